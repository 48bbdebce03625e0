//! The process and its surroundings: cores on one store, mailboxes, clients, a clock, disasters.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::oneshot;

use stanchion_service::engine::command::{
    Command, Delivered, Incoming, Outcome, Receipt, Receive, Rng,
};
use stanchion_service::env::{ManualClock, SeededRng};
use stanchion_service::error::Error;
use stanchion_service::keyring::Keyring;
use stanchion_service::model::attributes::{QueueSettings, RedrivePolicy};
use stanchion_service::model::fifo::{DedupHash, GroupHash, Seq};
use stanchion_service::model::queue::{AccountId, QueueId, QueueKey, QueueKind, QueueName, Region};
use stanchion_service::model::rows::{HintRow, Lane};
use stanchion_service::model::task::TaskId;
use stanchion_service::model::time::Millis;
use stanchion_service::shard::at_rest::AtRest;
use stanchion_service::shard::catalogue::Catalogue;
use stanchion_service::shard::core::{CoreOptions, ShardCore, Wake};
use stanchion_service::shard::engine_time::EngineTime;
use stanchion_service::shard::handle::QueueInfo;
use stanchion_service::shard::map::ShardMap;
use stanchion_service::shard::reclaim::Compaction;
use stanchion_service::shard::request::{Apply, Patience, Request, TaskRequest};
use stanchion_service::shard::start::Foundation;
use stanchion_service::shard::stats::ShardStats;
use stanchion_service::store::codec::{decode, read_receive};
use stanchion_service::store::keys::{
    KeyRange, deliveries_range, ending_seq, hint_key, messages_range, slot_of,
};
use stanchion_service::store::memory::{Crash, Fault, MemoryStore};
use stanchion_service::store::{Limit, Store, StoreError};
use stanchion_service::verify::verify;

use crate::auditor::{Auditor, QueueFacts};
use crate::client::{Answer, Asked, Came, Held, Pending, letter_of, payload_of};

/// A queue of the play.
struct Stage {
    name: &'static str,
    dead_letters: Option<usize>,
    max_receives: u32,
    delay_s: u32,
}

/// Dead letters stay in the family: standard to standard, FIFO to FIFO; one is its own target, two
/// are each other's.
const STAGES: [Stage; 8] = [
    Stage { name: "plain", dead_letters: None, max_receives: 0, delay_s: 0 },
    Stage { name: "source", dead_letters: Some(2), max_receives: 2, delay_s: 0 },
    Stage { name: "dead", dead_letters: None, max_receives: 0, delay_s: 0 },
    Stage { name: "line.fifo", dead_letters: None, max_receives: 0, delay_s: 0 },
    Stage { name: "source.fifo", dead_letters: Some(5), max_receives: 2, delay_s: 3 },
    Stage { name: "dead.fifo", dead_letters: None, max_receives: 0, delay_s: 0 },
    Stage { name: "circle-a", dead_letters: Some(7), max_receives: 3, delay_s: 0 },
    Stage { name: "circle-b", dead_letters: Some(6), max_receives: 3, delay_s: 0 },
];

/// Move tasks somebody may start: from a dead-letter queue to another queue, or each message to where
/// it died. Letters that were sent to `dead.fifo` itself can only go to `line.fifo`, and stay there.
const TASKS: [(usize, Option<usize>); 6] =
    [(2, None), (2, Some(0)), (5, None), (5, Some(3)), (6, None), (7, None)];

/// Beyond it a client stops sending, so that every play ends.
const LETTERS_MAX: usize = 600;

pub(crate) struct World {
    rng: SeededRng,
    store: MemoryStore,
    clock: Arc<ManualClock>,
    time: Arc<EngineTime>,
    cores: Vec<ShardCore>,
    mailboxes: Vec<VecDeque<Request>>,
    catalogue: Arc<Catalogue>,
    map: ShardMap,
    /// How many shards each start has, in turn.
    shard_counts: Vec<usize>,
    starts: usize,
    in_flight_max: usize,
    pending: Vec<Pending>,
    held: Vec<Held>,
    auditor: Auditor,
    stats: Arc<[Arc<ShardStats>]>,
    /// Half of the plays have move tasks; the others can be audited more strictly.
    with_tasks: bool,
    /// The last task that was started.
    task: Option<(usize, oneshot::Receiver<Result<TaskId, Error>>)>,
    steps: u64,
}

impl World {
    pub(crate) fn new(seed: u64, shard_counts: &[usize]) -> World {
        let with_tasks = seed % 2 == 1;
        let facts = STAGES.iter().enumerate().map(|(queue, stage)| {
            let from_here = TASKS.iter().any(|(source, _)| *source == queue);
            QueueFacts {
                fifo: stage.name.ends_with(".fifo"),
                leaves: stage.dead_letters.is_some() || (with_tasks && from_here),
                end_of: (queue == 3).then_some(5),
            }
        });
        let auditor = Auditor::new(facts.collect());
        let store = MemoryStore::new();
        let clock = Arc::new(ManualClock::at(Duration::from_secs(1_790_000_000)));
        let foundation = Foundation::lay(&store, clock.clone(), true).expect("a new store");
        let mut world = World {
            rng: SeededRng::new(seed),
            store,
            clock,
            time: foundation.time,
            cores: Vec::new(),
            mailboxes: Vec::new(),
            catalogue: Arc::default(),
            map: ShardMap::new(1),
            shard_counts: shard_counts.to_vec(),
            starts: 0,
            in_flight_max: 40,
            pending: Vec::new(),
            held: Vec::new(),
            auditor,
            stats: Arc::new([]),
            with_tasks,
            task: None,
            steps: 0,
        };
        world.start();
        for queue in 0..STAGES.len() {
            world.create(queue);
        }
        world.run_until_quiet();
        world
    }

    /// Something happens.
    pub(crate) fn step(&mut self) {
        self.steps += 1;
        match self.below(1000) {
            0..400 => self.ask(),
            400..870 => self.turn(),
            870..950 => {
                let ms = self.below(8_000);
                self.clock.advance(Duration::from_millis(ms));
            }
            950..955 => self.clock.advance(Duration::from_secs(301)),
            955..960 => {
                // Somebody sets the wall clock, either way; the engine's must not follow.
                let wall = 1_790_000_000 + self.below(100_000);
                self.clock.set_wall(Duration::from_secs(wall));
            }
            960..970 => self.hang_up(),
            970..976 => {
                let reads = 1 + self.below_usize(5) as u32;
                self.store.inject(Fault::Reads(reads));
            }
            976..984 => self.store.inject(Fault::CommitLost),
            984..987 => self.store.inject(Fault::CommitUncertain),
            987..990 => self.store.inject(Fault::SyncFails),
            990..993 => self.crash(false),
            993..996 => self.crash(true),
            _ => {
                self.run_until_quiet();
                self.check_counters();
            }
        }
    }

    /// The play ends: everything is received once more, and the auditor settles up.
    pub(crate) fn finish(&mut self) -> u64 {
        // A start takes away injected faults and whoever still waits.
        self.in_flight_max = usize::MAX;
        self.crash(false);
        self.run_until_quiet();
        self.clock.advance(Duration::from_secs(3600));
        let mut left = Vec::new();
        loop {
            self.run_until_quiet();
            let mut found = 0;
            for queue in 0..STAGES.len() {
                let messages = self.receive_now(queue);
                found += messages.len();
                left.extend(messages.iter().map(letter_of));
                self.delete_now(queue, &messages);
            }
            if found == 0 && self.stats.iter().all(|stats| stats.move_tasks.get() == 0) {
                break;
            }
            self.clock.advance(Duration::from_millis(100));
        }
        self.check_counters();
        self.auditor.settles_up(&left)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound
    }

    fn below_usize(&mut self, bound: usize) -> usize {
        self.below(bound as u64) as usize
    }

    fn now_ms(&self) -> u64 {
        self.time.now().0
    }

    // ---- clients

    fn ask(&mut self) {
        let queue = self.below_usize(STAGES.len());
        match self.below(100) {
            0..35 if self.auditor.letters.len() < LETTERS_MAX => self.ask_to_send(queue),
            0..70 => self.ask_to_receive(queue),
            70..90 => self.ask_to_delete(),
            90..94 => self.ask_to_change(),
            94..97 if self.with_tasks => self.ask_to_move(),
            97..98 => self.ask_to_empty(queue, Asked::Purge),
            98..99 => self.ask_to_empty(queue, Asked::Recreate),
            _ => {}
        }
    }

    fn ask_to_send(&mut self, queue: usize) {
        let fifo = STAGES[queue].name.ends_with(".fifo");
        let now_ms = self.now_ms();
        let mut batch = Vec::new();
        let mut numbers = Vec::new();
        for _ in 0..=self.below(3) {
            let grouped = fifo || self.below(4) == 0;
            let group = grouped.then(|| self.below(4) as u8);
            let dedup = fifo.then(|| self.below(200) as u8);
            let delayed = !fifo && self.below(5) == 0;
            let delay = delayed.then(|| Millis(self.below(10_000)));
            let number = self.auditor.writes(queue, group, dedup, now_ms);
            numbers.push(number);
            let id = self.auditor.letters[number].id;
            batch.push(Incoming {
                id,
                payload: payload_of(&id, number),
                delay,
                group: group.map(|group| GroupHash(1000 + u128::from(group))),
                dedup: dedup.map(|dedup| DedupHash(u128::from(dedup))),
            });
        }
        self.apply(queue, None, Command::Send(batch), None, Asked::Send(numbers));
    }

    fn ask_to_receive(&mut self, queue: usize) {
        let visibility_ms = [0, 500, 3_000, 20_000][self.below_usize(4)];
        let patient = self.below(3) == 0;
        let receive = Receive {
            max: 1 + self.below_usize(10),
            visibility: Some(Millis(visibility_ms)),
            attempt: None,
            patient,
        };
        let patience = patient.then(|| {
            let until = self.time.boot() + Duration::from_millis(1 + self.below(20_000));
            Patience { until, permit: None }
        });
        let asked = Asked::Receive { queue, visibility_ms };
        self.apply(queue, None, Command::Receive(receive), patience, asked);
    }

    fn ask_to_delete(&mut self) {
        let mut chosen: Vec<Held> = Vec::new();
        for _ in 0..=self.below(3) {
            let Some(held) = self.some_held() else { break };
            let fits = chosen
                .first()
                .is_none_or(|first| first.queue == held.queue && first.identity == held.identity);
            if fits && chosen.iter().all(|other| other.letter != held.letter) {
                chosen.push(held);
            }
        }
        let Some(first) = chosen.first().cloned() else { return };
        self.auditor.asks_to_delete(&chosen);
        let receipts = chosen.iter().map(|held| held.receipt).collect();
        let command = Command::Delete(receipts);
        self.apply(first.queue, Some(first.identity), command, None, Asked::Delete(chosen));
    }

    fn ask_to_change(&mut self) {
        let Some(held) = self.some_held() else { return };
        let span_ms = [0, 1_000, 30_000][self.below_usize(3)];
        let now_ms = self.now_ms();
        self.auditor.asks_to_change(&held, span_ms, now_ms);
        let command = Command::ChangeVisibility(vec![(held.receipt, Millis(span_ms))]);
        self.apply(held.queue, Some(held.identity), command, None, Asked::Change);
    }

    fn some_held(&mut self) -> Option<Held> {
        if self.held.is_empty() {
            return None;
        }
        // Mostly recent ones, sometimes a handle from long ago.
        let recent = self.held.len().min(if self.below(10) == 0 { usize::MAX } else { 20 });
        let at = self.held.len() - 1 - self.below_usize(recent);
        Some(self.held[at].clone())
    }

    fn ask_to_empty(&mut self, queue: usize, asked: Asked) {
        self.auditor.empties(&self.origins(queue));
        let key = key_of(queue);
        let (reply, answer) = oneshot::channel();
        match asked {
            Asked::Purge => self.post(queue, Request::Purge { key, reply }),
            _ => {
                self.post(queue, Request::Delete { key, reply });
                self.create(queue);
            }
        }
        self.pending.push(Pending { asked, step: self.steps, answer: Answer::Unit(answer) });
    }

    /// Where letters may have been sent to that are in this queue, or on their way to it.
    fn origins(&self, queue: usize) -> BTreeSet<usize> {
        let dead = |to| STAGES.iter().enumerate().filter(move |(_, s)| s.dead_letters == Some(to));
        if !self.with_tasks {
            // A message of a circle may be anywhere in it.
            return dead(queue).map(|(at, _)| at).chain([queue]).collect();
        }
        let mut all = BTreeSet::from([queue]);
        loop {
            let before = all.len();
            for to in all.clone() {
                all.extend(dead(to).map(|(at, _)| at));
                // Back to where it died, or where the task says.
                let back = STAGES[to].dead_letters;
                let given = TASKS.iter().filter(move |(_, there)| *there == Some(to));
                all.extend(back.into_iter().chain(given.map(|(source, _)| *source)));
            }
            if all.len() == before {
                return all;
            }
        }
    }

    fn ask_to_move(&mut self) {
        if let Some((source, mut started)) = self.task.take()
            && self.below(4) == 0
            && let Ok(Ok(task)) = started.try_recv()
        {
            let (reply, _) = oneshot::channel();
            let cancel = TaskRequest::Cancel { source: key_of(source), task, reply };
            return self.post(source, Request::Task(cancel));
        }
        let (source, destination) = TASKS[self.below_usize(TASKS.len())];
        let rate = (self.below(3) == 0).then_some(50);
        let (reply, started) = oneshot::channel();
        self.task = Some((source, started));
        self.auditor.task_starts();
        let (key, destination) = (key_of(source), destination.map(key_of));
        let start = TaskRequest::Start { source: key, destination, rate, reply };
        self.post(source, Request::Task(start));
    }

    fn create(&mut self, queue: usize) {
        let key = key_of(queue);
        let stage = &STAGES[queue];
        let mut settings = QueueSettings::new(key.name.kind());
        settings.retention_s = 14 * 24 * 3600;
        settings.delay_s = stage.delay_s;
        settings.redrive = stage.dead_letters.map(|target| RedrivePolicy {
            dead_letter_target_arn: key_of(target).arn(),
            max_receive_count: stage.max_receives,
        });
        let (reply, _) = oneshot::channel();
        let settings = Box::new(settings);
        let (tags, check, declared) = (Default::default(), Box::new(|_: &_| Ok(())), false);
        self.post(queue, Request::Create { key, settings, tags, check, declared, reply });
    }

    fn apply(
        &mut self,
        queue: usize,
        identity: Option<QueueId>,
        command: Command,
        patience: Option<Patience>,
        asked: Asked,
    ) {
        let (reply, answer) = oneshot::channel();
        let key = key_of(queue);
        self.post(
            queue,
            Request::Apply(Box::new(Apply { key, queue: identity, command, patience, reply })),
        );
        self.pending.push(Pending { asked, step: self.steps, answer: Answer::Parcel(answer) });
    }

    fn post(&mut self, queue: usize, request: Request) {
        let shard = self.map.owner(slot_of(&key_of(queue)));
        self.mailboxes[shard].push_back(request);
    }

    /// A client that waits for messages leaves.
    fn hang_up(&mut self) {
        let waits = |pending: &Pending| matches!(pending.asked, Asked::Receive { .. });
        if let Some(at) = self.pending.iter().position(waits) {
            self.pending.remove(at);
        }
    }

    fn read_answers(&mut self) {
        let now_ms = self.now_ms();
        self.auditor.turn_begins();
        let pending = std::mem::take(&mut self.pending);
        for mut waiting in pending {
            match waiting.look() {
                Came::NotYet => self.pending.push(waiting),
                Came::Unknown => self.auditor.never_hears(&waiting.asked, now_ms),
                Came::Refused => self.auditor.hears_no(&waiting.asked, now_ms),
                Came::Done => {}
                Came::Outcome(identity, outcome) => {
                    let asked = &waiting.asked;
                    self.auditor.hears(asked, &outcome, waiting.step, self.steps, now_ms);
                    if let (Asked::Receive { queue, .. }, Outcome::Received(messages)) =
                        (asked, outcome)
                    {
                        for message in messages {
                            self.held.push(held_of(*queue, identity, &message));
                        }
                    }
                }
            }
        }
    }

    fn receive_now(&mut self, queue: usize) -> Vec<Delivered> {
        let (reply, mut answer) = oneshot::channel();
        let command = Command::Receive(Receive {
            max: 10,
            visibility: Some(Millis(12 * 3600 * 1000)),
            attempt: None,
            patient: false,
        });
        let key = key_of(queue);
        let apply = Apply { key, queue: None, command, patience: None, reply };
        self.post(queue, Request::Apply(Box::new(apply)));
        self.run_until_quiet();
        match answer.try_recv() {
            Ok(Ok(parcel)) => match parcel.open() {
                Outcome::Received(messages) => messages,
                other => panic!("{other:?}"),
            },
            Ok(Err(error)) => panic!("{error}"),
            Err(_) => panic!("a receive got no answer"),
        }
    }

    fn delete_now(&mut self, queue: usize, messages: &[Delivered]) {
        let (reply, _) = oneshot::channel();
        let receipt = |m: &Delivered| Receipt { place: m.place, nonce: m.nonce };
        let command = Command::Delete(messages.iter().map(receipt).collect());
        let key = key_of(queue);
        let apply = Apply { key, queue: None, command, patience: None, reply };
        self.post(queue, Request::Apply(Box::new(apply)));
    }

    // ---- the process

    /// A start: new cores on what the store has.
    fn start(&mut self) {
        let shards = self.shard_counts[self.starts % self.shard_counts.len()];
        self.starts += 1;
        self.map = ShardMap::new(shards);
        self.catalogue = Arc::default();
        let foundation =
            Foundation::lay(&self.store, self.clock.clone(), true).expect("the store opens");
        let at_rest = AtRest::lay(&self.store, Arc::new(Keyring::ephemeral()));
        let at_rest = Arc::new(at_rest.expect("nothing is sealed"));
        self.time = foundation.time;
        self.stats = (0..shards).map(|_| Arc::default()).collect();
        self.cores = (0..shards)
            .map(|shard| {
                let options = CoreOptions {
                    shard,
                    map: self.map,
                    store: Arc::new(self.store.clone()),
                    time: Arc::clone(&self.time),
                    catalogue: Arc::clone(&self.catalogue),
                    directory: Arc::default(),
                    stats: Arc::clone(&self.stats),
                    sync: true,
                    epoch: foundation.server.epoch,
                    rng: SeededRng::new(self.rng.next_u64()),
                    in_flight_max: self.in_flight_max,
                    window_bytes_max: [0, 2_000, 1 << 20][self.below_usize(3)],
                    sixty_second_rules: false,
                    draining: Arc::new(AtomicBool::new(false)),
                    way_back: None,
                    at_rest: Arc::clone(&at_rest),
                };
                ShardCore::open(options).expect("the shard opens")
            })
            .collect();
        self.mailboxes = (0..shards).map(|_| VecDeque::new()).collect();
    }

    fn crash(&mut self, power_cut: bool) {
        self.cores.clear();
        self.mailboxes.clear();
        self.read_answers();
        let end = match power_cut {
            false => Crash::Kill,
            true => {
                let survivors = self.below_usize(self.store.unsynced() + 1);
                self.auditor.power_was_cut();
                Crash::PowerCut { survivors }
            }
        };
        self.store = self.store.crash(end);
        let found =
            verify(&*self.store.snapshot().expect("memory can be read"), &Keyring::ephemeral());
        assert_eq!(found.told, [""; 0], "what a crash leaves behind is whole");
        self.start();
        // A queue whose creation was lost with its deletion known: its user makes it again.
        for queue in 0..STAGES.len() {
            self.create(queue);
        }
    }

    /// One turn of one shard, with some of what waits for it.
    fn turn(&mut self) {
        let shard = self.below_usize(self.cores.len());
        let waiting = self.mailboxes[shard].len();
        let count = self.below_usize(waiting + 1);
        self.turn_of(shard, count);
    }

    fn turn_of(&mut self, shard: usize, count: usize) {
        let requests = self.mailboxes[shard].drain(..count).collect();
        if self.cores[shard].step(requests).is_err() {
            let power_cut = self.below(2) == 0;
            return self.crash(power_cut);
        }
        let mut full = BTreeSet::new();
        for (target, keys) in self.cores[shard].take_hints() {
            if full.contains(&target) || self.below(10) == 0 {
                // Its mailbox was full.
                full.insert(target);
                self.cores[shard].hint_again(target, keys);
            } else {
                self.mailboxes[target].push_back(Request::Arrivals(keys));
            }
        }
        while let Some(compaction) = self.cores[shard].take_compaction() {
            self.give_back(&compaction);
        }
        self.read_answers();
    }

    /// What the compactor does.
    fn give_back(&mut self, compaction: &Compaction) {
        for range in &compaction.dead {
            // Where it fails, another commit will.
            let _ = self.store.drop_dead(&range.from, &range.to);
        }
    }

    /// Lets every shard work until nothing is left to do at this moment.
    fn run_until_quiet(&mut self) {
        for _ in 0..100_000 {
            let busy = (0..self.cores.len()).find(|&shard| {
                !self.mailboxes[shard].is_empty() || self.cores[shard].wake() == Wake::Now
            });
            match busy {
                Some(shard) => self.turn_of(shard, self.mailboxes[shard].len()),
                None => {
                    // Retries wait for a few milliseconds; nothing else is this soon by accident.
                    let soon =
                        |wake| matches!(wake, Wake::In(span) if span <= Duration::from_millis(10));
                    if !self.cores.iter().any(|core| soon(core.wake())) {
                        return;
                    }
                    self.clock.advance(Duration::from_millis(10));
                }
            }
        }
        panic!("the shards never rest");
    }

    /// While all is quiet, counters say what the rows say.
    fn check_counters(&mut self) {
        for queue in 0..STAGES.len() {
            let key = key_of(queue);
            let (reply, mut answer) = oneshot::channel();
            self.post(queue, Request::Count { key: key.clone(), reply });
            self.run_until_quiet();
            let counters = match answer.try_recv() {
                Ok(Ok(counters)) => counters,
                // A fault struck; another quiet moment will come.
                _ => return,
            };
            let Some(info) = self.catalogue.find(&key) else { continue };
            let Ok((messages, received)) = self.stored(&info) else { return };
            let sum = counters.available + counters.in_flight + counters.delayed;
            assert_eq!(sum, messages, "messages in {key}: {counters:?}");
            assert!(counters.in_flight <= received, "in flight in {key}: {counters:?}");
        }
    }

    /// Messages that are not gone, as rows say it, and how many of them were received.
    fn stored(&self, info: &QueueInfo) -> Result<(u64, u64), StoreError> {
        let (slot, generation) = (info.slot, info.generation);
        let scan = |range: KeyRange| {
            let all = Limit { rows: usize::MAX, bytes: usize::MAX };
            self.store.scan(&range.from, &range.to, all).map(|page| page.rows)
        };
        let hint = self.store.get(&hint_key(slot, generation))?.map(decode::<HintRow>);
        let hint = hint.transpose()?.unwrap_or_default();
        let mut received = BTreeMap::new();
        for (key, value) in scan(deliveries_range(slot, generation))? {
            received.extend(read_receive(&key, value)?.1);
        }
        let mut messages = 0;
        for lane in [Lane::Main, Lane::Delayed] {
            for (key, _) in scan(messages_range(slot, generation, lane, Seq::MIN))? {
                let seq = ending_seq(&key)?;
                let whole = info.kind() == QueueKind::Fifo || lane == Lane::Delayed;
                let received = received.get(&seq).is_some_and(|row| row.lane == lane);
                messages += u64::from(whole || hint.fresh <= seq || received);
            }
        }
        Ok((messages, received.len() as u64))
    }
}

fn held_of(queue: usize, identity: QueueId, message: &Delivered) -> Held {
    let receipt = Receipt { place: message.place, nonce: message.nonce };
    Held { queue, identity, letter: letter_of(message), receipt }
}

fn key_of(queue: usize) -> QueueKey {
    QueueKey {
        account: AccountId::parse("000000000000").expect("twelve digits"),
        region: Region::parse("us-east-1").expect("a region"),
        name: QueueName::parse(STAGES[queue].name).expect("a name"),
    }
}
