//! A process without threads: shards over a store in memory, stepped by hand.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::engine::command::{Accepted, Command, Delivered, Incoming, Outcome, Receipt, Receive};
use crate::engine::queue::Counters;
use crate::env::{ManualClock, SeededRng};
use crate::error::Error;
use crate::keyring::Keyring;
use crate::model::attributes::{QueueSettings, RedrivePolicy};
use crate::model::fifo::{DedupHash, GroupHash};
use crate::model::message::MessageId;
use crate::model::queue::{AccountId, QueueKey, QueueName, Region};
use crate::model::time::Millis;
use crate::shard::at_rest::AtRest;
use crate::shard::catalogue::Catalogue;
use crate::shard::core::{CoreOptions, ShardCore, Wake};
use crate::shard::handle::{QueueInfo, Tags};
use crate::shard::map::ShardMap;
use crate::shard::request::{Apply, Parcel, Patience, Reply, Request};
use crate::shard::start::Foundation;
use crate::shard::stats::ShardStats;
use crate::store::keys::{OutboxKey, outbox_range, slot_of, space_range};
use crate::store::memory::{Crash, MemoryStore};
use crate::store::{Limit, Space, Store, StoreError};

pub(super) const ALL: Limit = Limit { rows: usize::MAX, bytes: usize::MAX };

/// An answer on its way.
pub(super) type Pending<T> = oneshot::Receiver<Result<T, Error>>;

pub(super) struct World {
    pub(super) store: MemoryStore,
    pub(super) clock: Arc<ManualClock>,
    pub(super) cores: Vec<ShardCore>,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) stats: Arc<[Arc<ShardStats>]>,
    /// Hints that no shard has heard yet.
    pub(super) hints: Vec<(usize, Vec<OutboxKey>)>,
    pub(super) strict: bool,
    pub(super) window_bytes_max: usize,
    pub(super) keyring: Arc<Keyring>,
    seed: u64,
}

pub(super) fn key(name: &str) -> QueueKey {
    QueueKey {
        account: AccountId::parse("000000000000").unwrap(),
        region: Region::parse("us-east-1").unwrap(),
        name: QueueName::parse(name).unwrap(),
    }
}

/// A name that starts with `stem` and lives on a certain shard.
pub(super) fn name_on(stem: &str, shard: usize, shards: usize) -> String {
    let map = ShardMap::new(shards);
    let names = (0..).map(|n| format!("{stem}{n}"));
    names.into_iter().find(|name| map.owner(slot_of(&key(name))) == shard).unwrap()
}

/// The shard a name lives on.
pub(super) fn owner_of(name: &str, shards: usize) -> usize {
    ShardMap::new(shards).owner(slot_of(&key(name)))
}

pub(super) fn message(text: &str) -> Incoming {
    Incoming {
        id: MessageId([text.as_bytes()[0]; 16]),
        payload: Bytes::copy_from_slice(text.as_bytes()),
        delay: None,
        group: None,
        dedup: None,
    }
}

pub(super) fn fifo_message(text: &str, dedup: u128) -> Incoming {
    Incoming { group: Some(GroupHash(1)), dedup: Some(DedupHash(dedup)), ..message(text) }
}

pub(super) fn receive(max: usize) -> Receive {
    Receive { max, visibility: None, attempt: None, patient: false }
}

/// The texts of messages.
pub(super) fn texts(messages: &[Delivered]) -> Vec<String> {
    let text = |m: &Delivered| String::from_utf8(m.message.payload.to_vec()).unwrap();
    messages.iter().map(text).collect()
}

pub(super) fn receipts(messages: &[Delivered]) -> Vec<Receipt> {
    messages.iter().map(|m| Receipt { place: m.place, nonce: m.nonce }).collect()
}

impl World {
    pub(super) fn new(shards: usize) -> World {
        World::with_keys(shards, Arc::new(Keyring::ephemeral()))
    }

    /// One whose operator gave it these master keys.
    pub(super) fn with_keys(shards: usize, keyring: Arc<Keyring>) -> World {
        let clock = Arc::new(ManualClock::at(Duration::from_secs(1_800_000_000)));
        let mut world = World {
            store: MemoryStore::new(),
            clock,
            cores: Vec::new(),
            catalogue: Arc::default(),
            stats: Arc::new([]),
            hints: Vec::new(),
            strict: false,
            window_bytes_max: 1 << 20,
            keyring,
            seed: 1,
        };
        world.start(shards);
        world
    }

    /// Starts the process on what the store holds.
    pub(super) fn start(&mut self, shards: usize) {
        let map = ShardMap::new(shards);
        let foundation = Foundation::lay(&self.store, self.clock.clone(), false).unwrap();
        let at_rest = AtRest::lay(&self.store, Arc::clone(&self.keyring)).unwrap();
        let at_rest = Arc::new(at_rest);
        self.catalogue = Arc::default();
        self.stats = (0..shards).map(|_| Arc::default()).collect();
        self.hints.clear();
        self.cores.clear();
        for shard in 0..shards {
            self.seed += 1;
            self.cores.push(
                ShardCore::open(CoreOptions {
                    shard,
                    map,
                    store: Arc::new(self.store.clone()),
                    time: Arc::clone(&foundation.time),
                    catalogue: Arc::clone(&self.catalogue),
                    directory: Arc::default(),
                    stats: Arc::clone(&self.stats),
                    sync: true,
                    epoch: foundation.server.epoch,
                    rng: SeededRng::new(self.seed),
                    in_flight_max: 120_000,
                    window_bytes_max: self.window_bytes_max,
                    sixty_second_rules: self.strict,
                    draining: Arc::new(AtomicBool::new(false)),
                    way_back: None,
                    at_rest: Arc::clone(&at_rest),
                })
                .unwrap(),
            );
        }
    }

    /// Ends the process and starts it again.
    pub(super) fn restart(&mut self, crash: Crash, shards: usize) {
        self.cores.clear();
        self.store = self.store.crash(crash);
        self.start(shards);
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(super) fn owner(&self, name: &str) -> usize {
        owner_of(name, self.cores.len())
    }

    /// One turn of one shard; its hints stay unheard.
    pub(super) fn step(&mut self, shard: usize, requests: Vec<Request>) -> Result<(), StoreError> {
        let result = self.cores[shard].step(requests);
        self.hints.extend(self.cores[shard].take_hints());
        result
    }

    /// Steps until no shard has anything left to do at this moment.
    pub(super) fn settle(&mut self) {
        for _ in 0..1000 {
            let hints = std::mem::take(&mut self.hints);
            let quiet = hints.is_empty() && self.cores.iter().all(|core| core.wake() != Wake::Now);
            if quiet {
                return;
            }
            for (shard, keys) in hints {
                self.step(shard, vec![Request::Arrivals(keys)]).unwrap();
            }
            for shard in 0..self.cores.len() {
                if self.cores[shard].wake() == Wake::Now {
                    self.step(shard, Vec::new()).unwrap();
                }
            }
        }
        panic!("the shards never came to rest");
    }

    /// Makes one request and settles.
    pub(super) fn ask<T>(
        &mut self,
        name: &str,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> Result<T, Error> {
        let (reply, mut answer) = oneshot::channel();
        self.step(self.owner(name), vec![request(reply)]).unwrap();
        self.settle();
        answer.try_recv().expect("an answer")
    }

    pub(super) fn create(&mut self, name: &str) -> Arc<QueueInfo> {
        let settings = QueueSettings::new(key(name).name.kind());
        self.create_with(name, settings).unwrap()
    }

    pub(super) fn create_with(
        &mut self,
        name: &str,
        settings: QueueSettings,
    ) -> Result<Arc<QueueInfo>, Error> {
        self.ask(name, |reply| Request::Create {
            key: key(name),
            settings: Box::new(settings),
            tags: Tags::new(),
            check: Box::new(|_| Ok(())),
            declared: false,
            reply,
        })
    }

    /// A queue whose messages go to `target` after so many receives.
    pub(super) fn create_source(&mut self, name: &str, target: &str, receives: u32) {
        let mut settings = QueueSettings::new(key(name).name.kind());
        settings.redrive = Some(RedrivePolicy {
            dead_letter_target_arn: key(target).arn(),
            max_receive_count: receives,
        });
        self.create_with(name, settings).unwrap();
    }

    pub(super) fn delete_queue(&mut self, name: &str) -> Result<(), Error> {
        self.ask(name, |reply| Request::Delete { key: key(name), reply })
    }

    pub(super) fn purge(&mut self, name: &str) -> Result<(), Error> {
        self.ask(name, |reply| Request::Purge { key: key(name), reply })
    }

    pub(super) fn counters(&mut self, name: &str) -> Counters {
        self.ask(name, |reply| Request::Count { key: key(name), reply }).unwrap()
    }

    pub(super) fn apply(&mut self, name: &str, command: Command) -> Result<Outcome, Error> {
        let parcel = self.ask(name, |reply| request(name, command, reply))?;
        Ok(parcel.open())
    }

    pub(super) fn send(&mut self, name: &str, messages: Vec<Incoming>) -> Vec<Accepted> {
        match self.apply(name, Command::Send(messages)) {
            Ok(Outcome::Sent(results)) => results.into_iter().map(Result::unwrap).collect(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn receive(&mut self, name: &str, max: usize) -> Vec<Delivered> {
        match self.apply(name, Command::Receive(receive(max))) {
            Ok(Outcome::Received(messages)) => messages,
            other => panic!("{other:?}"),
        }
    }

    /// Receives and makes visible again at once.
    pub(super) fn receive_and_return(&mut self, name: &str) -> Vec<String> {
        let command = Command::Receive(Receive { visibility: Some(Millis(0)), ..receive(10) });
        match self.apply(name, command) {
            Ok(Outcome::Received(messages)) => texts(&messages),
            other => panic!("{other:?}"),
        }
    }

    /// A long poll of twenty seconds, parked if there is nothing.
    pub(super) fn poll(&mut self, name: &str) -> Pending<Parcel> {
        let (request, answer) = self.long_poll(name, 20);
        self.step(self.owner(name), vec![request]).unwrap();
        answer
    }

    pub(super) fn long_poll(&self, name: &str, seconds: u64) -> (Request, Pending<Parcel>) {
        use crate::env::Clock;
        let (reply, answer) = oneshot::channel();
        let until = self.clock.boot() + Duration::from_secs(seconds);
        let apply = Apply {
            key: key(name),
            queue: None,
            command: Command::Receive(Receive { patient: true, ..receive(1) }),
            patience: Some(Patience { until, permit: None }),
            reply,
        };
        (Request::Apply(Box::new(apply)), answer)
    }

    /// Rows of messages under way.
    pub(super) fn under_way(&self) -> usize {
        let rows = |slot: u16| {
            let range = outbox_range(crate::model::queue::Slot(slot as u8));
            self.store.scan(&range.from, &range.to, ALL).unwrap().rows.len()
        };
        (0..256).map(rows).sum()
    }

    /// All rows of a space.
    pub(super) fn rows(&self, space: Space) -> usize {
        let range = space_range(space);
        self.store.scan(&range.from, &range.to, ALL).unwrap().rows.len()
    }
}

pub(super) fn request(name: &str, command: Command, reply: Reply<Parcel>) -> Request {
    let apply = Apply { key: key(name), queue: None, command, patience: None, reply };
    Request::Apply(Box::new(apply))
}

/// What an answered poll got.
pub(super) fn polled(answer: &mut Pending<Parcel>) -> Option<Result<Vec<String>, Error>> {
    let parcel = answer.try_recv().ok()?;
    Some(parcel.map(|parcel| match parcel.open() {
        Outcome::Received(messages) => texts(&messages),
        other => panic!("{other:?}"),
    }))
}
