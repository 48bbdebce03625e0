//! Starting and stopping: from the rows an earlier process left to shards that answer. Costs a read
//! per queue and per message in flight, whatever the backlog.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, watch};

use super::at_rest::AtRest;
use super::browser::Browser;
use super::catalogue::Catalogue;
use super::checkpoints::Backups;
use super::core::{CoreOptions, ShardCore};
use super::directory::Directory;
use super::driver::{Driver, spawn_compactor};
use super::engine_time::EngineTime;
use super::free_space::{FreeSpace, FreeSpaceOptions, Watch};
use super::handle::{Inner, QueueInfo, Shards};
use super::hosted::Hosted;
use super::ids::IdHasher;
use super::map::ShardMap;
use super::outbox::Outbox;
use super::reclaim::Reclaim;
use super::stats::ShardStats;
use super::tasks::Tasks;
use super::waiters::Waiters;
use crate::env::{Clock, SeededRng, os_random};
use crate::keyring::{KeyError, Keyring};
use crate::model::fifo::Seq;
use crate::model::queue::{Generation, QueueKind, Slot};
use crate::model::receipt::ReceiptKey;
use crate::model::rows::{ReceiveId, ReceiveRow};
use crate::model::time::{Millis, Timestamp};
use crate::store::codec::{decode, encode, read_receive};
use crate::store::keys::{
    KeyRange, dead_range, deliveries_range, hint_key, parse_dead_key, parse_queue_key,
    parse_task_key, parse_tombstone_key, queues_range, server_key, space_range, tasks_range,
    tombstones_range, turn_key, turns_range,
};
use crate::store::values::{QueueRow, ServerRow, TombstoneRow, TurnRow};
use crate::store::{Batch, Durability, Key, Limit, Op, Space, Store, StoreError};

/// Rows one read of a start loads.
const LOAD_LIMIT: Limit = Limit { rows: 10_000, bytes: 8 * 1024 * 1024 };

/// Room in a mailbox beside the requests that are admitted at the edge: hints and returns.
const MAILBOX_EXTRA: usize = 1_024;

/// What an answer promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurabilityLevel {
    /// It waited for the disk.
    Fsync,
    /// The kernel has it: survives the process, not the machine.
    Os,
    /// Nothing is kept.
    Memory,
}

/// What shards are started with.
pub struct StartOptions {
    /// Where rows are kept.
    pub store: Arc<dyn Store>,
    /// How many shards, 1 to 256. May change at any start.
    pub shards: usize,
    /// What an answer promises.
    pub durability: DurabilityLevel,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The wall clock is right, however far it is ahead of the last start.
    pub accept_clock: bool,
    /// Virtual time may be moved.
    pub virtual_clock: bool,
    /// `strict` limits: 60 seconds between deletion and creation, and between purges.
    pub sixty_second_rules: bool,
    /// Messages a queue may have in flight.
    pub in_flight_max: usize,
    /// Bytes the read-ahead of all queues may hold together.
    pub window_bytes_max: usize,
    /// Requests the edge admits at once: what the mailboxes must hold.
    pub requests_max: usize,
    /// Long polls that may wait at once.
    pub parked_polls_max: usize,
    /// The disk to watch; `None` where nothing is written to one.
    pub free_space: Option<FreeSpaceOptions>,
    /// Where checkpoints are kept; `None` where the store has no files.
    pub checkpoints: Option<PathBuf>,
    /// The master keys.
    pub keyring: Arc<Keyring>,
}

impl StartOptions {
    /// One shard over a store, with everything else as a fresh server has it.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> StartOptions {
        StartOptions {
            store,
            shards: 1,
            durability: DurabilityLevel::Fsync,
            clock,
            accept_clock: false,
            virtual_clock: false,
            sixty_second_rules: false,
            in_flight_max: crate::limits::IN_FLIGHT_MESSAGES_MAX,
            window_bytes_max: 64 * 1024 * 1024,
            requests_max: 10_000,
            parked_polls_max: 100_000,
            free_space: None,
            checkpoints: None,
            keyring: Arc::new(Keyring::ephemeral()),
        }
    }
}

/// Why shards did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store would not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored secret is sealed with another key, or damaged.
    #[error("the secret of access key {id} cannot be opened: {why}")]
    AccessKey {
        /// Whose secret.
        id: String,
        /// Why not.
        why: String,
    },
    /// A master key is missing, or is another one.
    #[error("the messages of this server cannot be read. The key of {whose}: {error}")]
    Key {
        /// Whose messages these are.
        whose: String,
        /// Which key, and what is wrong.
        error: KeyError,
    },
    /// The operating system gave no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl StartError {
    pub(super) fn key(whose: impl ToString, error: KeyError) -> StartError {
        StartError::Key { whose: whose.to_string(), error }
    }
}

/// Ends the process: set when a shard can no longer be trusted.
pub type Failure = watch::Receiver<Option<String>>;

/// What all shards of a process share, read from the store once.
pub struct Foundation {
    /// The server's own record, as of this start.
    pub server: ServerRow,
    /// The clock.
    pub time: Arc<EngineTime>,
}

impl Foundation {
    /// Reads the server's record, or makes the first one, and begins a new epoch, synced: no
    /// sequence number of an earlier start is given again.
    pub fn lay(
        store: &dyn Store,
        clock: Arc<dyn Clock>,
        accept_clock: bool,
    ) -> Result<Foundation, StoreError> {
        let mut server = match store.get(&server_key())? {
            Some(row) => decode(row)?,
            None => ServerRow { epoch: 0, secret: os_random(), clock_offset: Millis(0) },
        };
        if server.epoch >= ServerRow::EPOCH_MAX {
            return Err(StoreError::Corrupt("this folder was started 16 million times".into()));
        }
        server.epoch += 1;
        let mut high_water = Timestamp::default();
        for (_, value) in load(store, turns_range())? {
            let row: TurnRow = decode(value)?;
            high_water = high_water.max(row.engine_time);
        }
        // Looked for only when it matters: what deletes left behind makes this scan a long one.
        let confirmed = accept_clock
            || !EngineTime::would_leap(&*clock, high_water, server.clock_offset)
            || is_without_messages(store)?;
        let time = EngineTime::start(clock, high_water, server.clock_offset, confirmed);
        write_server_row(store, &server)?;
        Ok(Foundation { server, time: Arc::new(time) })
    }
}

fn is_without_messages(store: &dyn Store) -> Result<bool, StoreError> {
    let KeyRange { from, to } = space_range(Space::Messages);
    Ok(store.scan(&from, &to, Limit { rows: 1, bytes: 1 })?.rows.is_empty())
}

/// Writes the server's record, synced.
pub(super) fn write_server_row(store: &dyn Store, row: &ServerRow) -> Result<(), StoreError> {
    let ops = vec![Op::Put(server_key(), encode(row))];
    store.commit(Batch { ops }, Durability::Synced)
}

impl ShardCore {
    /// A shard as its rows left it, published in the catalogue.
    pub fn open(options: CoreOptions) -> Result<ShardCore, StartError> {
        let store = Arc::clone(&options.store);
        let slots = || options.map.slots(options.shard);
        let mut last: TurnRow = match store.get(&turn_key(options.shard as u16))? {
            Some(row) => decode(row)?,
            None => TurnRow::default(),
        };
        // The new epoch was synced, and with it everything before.
        last.synced_up_to = last.turn;
        let outbox = Outbox::after_start(slots());
        let slots: Vec<Slot> = slots().collect();
        let mut core = ShardCore {
            options,
            queues: Vec::new(),
            vacant: Default::default(),
            names: Default::default(),
            waiters: Waiters::default(),
            outbox,
            tasks: Tasks::default(),
            reclaim: Reclaim::default(),
            tombstones: Default::default(),
            deadlines: Default::default(),
            idle: Default::default(),
            leftover: Vec::new(),
            unserved: Vec::new(),
            last,
            latest: last.engine_time,
            last_id: 0,
            held: 0,
            window_bytes: 0,
        };
        for slot in slots {
            core.load_slot(&*store, slot)?;
        }
        core.note_levels();
        Ok(core)
    }

    fn load_slot(&mut self, store: &dyn Store, slot: Slot) -> Result<(), StartError> {
        let now = self.now();
        let boot = self.options.time.boot();
        let mut published = Vec::new();
        for (key, value) in load(store, queues_range(slot))? {
            let (_, name) = parse_queue_key(&key.bytes)?;
            let row: QueueRow = decode(value)?;
            let info =
                Arc::new(QueueInfo::from_row(slot, name, row, self.options.at_rest.keyring())?);
            self.load_queue(store, &info, now)?;
            if info.kind() == QueueKind::Fifo {
                self.reclaim.expect_dedup(slot, now, boot);
            }
            published.push((info.key.clone(), Some(info)));
        }
        for (key, value) in load(store, tasks_range(slot))? {
            let key = parse_task_key(&key.bytes)?;
            let mut queues = published.iter().filter_map(|(_, info)| info.as_ref());
            if let Some(source) = queues.find(|info| info.id == key.source) {
                self.tasks.resume(source, key.task, decode(value)?, now);
            }
        }
        if !published.is_empty() {
            self.options.catalogue.publish(slot, published);
        }
        for (key, _) in load(store, dead_range(slot))? {
            let (slot, generation) = parse_dead_key(&key.bytes)?;
            self.reclaim.bury(slot, generation, boot);
        }
        if self.options.sixty_second_rules {
            for (key, value) in load(store, tombstones_range(slot))? {
                let (_, name) = parse_tombstone_key(&key.bytes)?;
                let row: TombstoneRow = decode(value)?;
                self.tombstones.insert(name, row.deleted_at);
            }
        }
        Ok(())
    }

    fn load_queue(
        &mut self,
        store: &dyn Store,
        info: &Arc<QueueInfo>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let hint = store.get(&hint_key(info.slot, info.generation))?;
        let hint = hint.map(decode).transpose()?.unwrap_or_default();
        let deliveries = load_deliveries(store, info.slot, info.generation)?;
        let queue = self.open_queue(info, hint, deliveries, Seq::MIN, now);
        let mut hosted = Hosted::new(Arc::clone(info), queue, now);
        hosted.deadline = hosted.queue.next_deadline();
        hosted.held = hosted.queue.held();
        self.held += hosted.held;
        let deadline = hosted.deadline;
        let index = self.host(hosted);
        if hint.cleared < hint.fresh {
            self.reclaim.expect_remains(index, self.options.time.boot());
        }
        self.deadlines.extend(deadline.map(|deadline| (deadline, index)));
        Ok(())
    }
}

impl Shards {
    /// Starts the shards of a process over a store. What comes with them tells when the process has
    /// to end: a commit failed or a shard died, and only a restart knows what is true.
    pub fn start(options: StartOptions) -> Result<(Shards, Failure), StartError> {
        let store = options.store;
        let at_rest = Arc::new(AtRest::lay(&*store, Arc::clone(&options.keyring))?);
        let foundation = Foundation::lay(&*store, options.clock, options.accept_clock)?;
        let map = ShardMap::new(options.shards);
        let catalogue = Arc::new(Catalogue::default());
        let directory = Arc::new(Directory::load(&*store, &options.keyring)?);
        let stats: Arc<[Arc<ShardStats>]> = (0..map.shards()).map(|_| Arc::default()).collect();
        let draining = Arc::new(AtomicBool::new(false));
        let stopping = Arc::new(AtomicBool::new(false));
        let healthy = Arc::new(AtomicBool::new(true));
        let (failed, failure) = watch::channel(None);
        let (senders, receivers): (Vec<SyncSender<_>>, Vec<_>) =
            (0..map.shards()).map(|_| sync_channel(options.requests_max + MAILBOX_EXTRA)).unzip();

        // All shards read before one of them writes.
        let mut cores = Vec::with_capacity(map.shards());
        for (shard, way_back) in senders.iter().enumerate() {
            cores.push(ShardCore::open(CoreOptions {
                shard,
                map,
                store: Arc::clone(&store),
                time: Arc::clone(&foundation.time),
                catalogue: Arc::clone(&catalogue),
                directory: Arc::clone(&directory),
                stats: Arc::clone(&stats),
                sync: options.durability == DurabilityLevel::Fsync,
                epoch: foundation.server.epoch,
                rng: SeededRng::from_os(),
                in_flight_max: options.in_flight_max,
                window_bytes_max: options.window_bytes_max / map.shards(),
                sixty_second_rules: options.sixty_second_rules,
                draining: Arc::clone(&draining),
                way_back: Some(way_back.clone()),
                at_rest: Arc::clone(&at_rest),
            })?);
        }
        // One compaction at a time, one waiting.
        let (compactor, compactions) = sync_channel(1);
        let mut threads =
            vec![spawn_compactor(Arc::clone(&store), compactions, Arc::clone(&stopping))?];
        for (shard, (core, mailbox)) in cores.into_iter().zip(receivers).enumerate() {
            let driver = Driver {
                mailbox,
                shards: senders.clone(),
                compactor: compactor.clone(),
                stopping: Arc::clone(&stopping),
            };
            let (healthy, failed) = (Arc::clone(&healthy), failed.clone());
            threads.push(driver.spawn(format!("shard-{shard}"), core, move |why| {
                tracing::error!(shard, why, "a shard has failed; the process must end");
                healthy.store(false, Ordering::Release);
                failed.send_replace(Some(why));
            })?);
        }
        let counted = stats.clone();
        let work_done = move || {
            let done = |shard: &ShardStats| {
                shard.sent.get() + shard.received.get() + shard.empty_receives.get()
            };
            counted.iter().map(|shard| done(shard)).sum()
        };
        let (browser, thread) = Browser::start(foundation.time.clone(), work_done)?;
        threads.push(thread);
        let free_space = Arc::new(FreeSpace::default());
        let watch = options
            .free_space
            .map(|options| Watch::start(options, Arc::clone(&store), Arc::clone(&free_space)))
            .transpose()?;
        let inner = Inner {
            map,
            catalogue,
            directory,
            time: foundation.time,
            stats,
            mailboxes: senders,
            receipts: ReceiptKey::derive(&foundation.server.secret),
            ids: IdHasher::derive(&foundation.server.secret),
            parked_polls: Arc::new(Semaphore::new(options.parked_polls_max)),
            free_space,
            virtual_clock: options.virtual_clock,
            server: Mutex::new(foundation.server),
            healthy,
            failed,
            draining,
            stopping,
            threads: Mutex::new(threads),
            watch: Mutex::new(watch),
            store,
            backups: options.checkpoints.map(Backups::new),
            keyring: options.keyring,
            browser,
        };
        Ok((Shards { inner: Arc::new(inner) }, failure))
    }

    /// Ends the shard threads after their present turn and flushes the store. Requests that wait
    /// or come later get `ServiceUnavailable`.
    pub async fn stop(&self) {
        self.inner.stopping.store(true, Ordering::Release);
        self.look();
        self.inner.browser.stop();
        let inner = Arc::clone(&self.inner);
        let stopped = tokio::task::spawn_blocking(move || {
            let lock = |poisoned: PoisonError<_>| poisoned.into_inner();
            let threads = std::mem::take(&mut *inner.threads.lock().unwrap_or_else(lock));
            for thread in threads {
                // How a thread ended it has told by itself.
                let _ = thread.join();
            }
            drop(inner.watch.lock().unwrap_or_else(PoisonError::into_inner).take());
            if inner.healthy.load(Ordering::Acquire)
                && let Err(error) = inner.store.flush()
            {
                inner.fail(&error);
            }
        });
        if let Err(error) = stopped.await {
            tracing::error!(%error, "stopping went wrong");
        }
    }
}

/// A row as it is stored.
type StoredRow = (Key, bytes::Bytes);

/// All rows of a range. Only for kinds that are as few as queues, or as messages in flight.
pub(super) fn load(store: &dyn Store, range: KeyRange) -> Result<Vec<StoredRow>, StoreError> {
    let KeyRange { mut from, to } = range;
    let space = from.space;
    let mut rows = Vec::new();
    loop {
        let page = store.scan(&from, &to, LOAD_LIMIT)?;
        rows.extend(page.rows.into_iter().map(|(bytes, value)| (Key { space, bytes }, value)));
        match page.next {
            Some(bytes) => from = Key { space, bytes },
            None => return Ok(rows),
        }
    }
}

fn load_deliveries(
    store: &dyn Store,
    slot: Slot,
    generation: Generation,
) -> Result<Vec<(ReceiveId, ReceiveRow)>, StoreError> {
    let rows = load(store, deliveries_range(slot, generation))?;
    rows.into_iter().map(|(key, value)| read_receive(&key.bytes, value)).collect()
}
