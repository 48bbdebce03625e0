//! What the API holds of the engine room: send a command, await its outcome. What is done to messages
//! is in `messages.rs` and its siblings.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::at_rest::rewrap_transit_key;
use super::browser::Browser;
use super::catalogue::Catalogue;
use super::checkpoints::Backups;
use super::directory::Directory;
use super::engine_time::EngineTime;
use super::free_space::{FreeSpace, Room, Watch};
use super::ids::IdHasher;
use super::map::ShardMap;
use super::request::{Apply, Parcel, Patience, Reply, Request, TaskRequest};
use super::start::{StartError, write_server_row};
use super::stats::ShardStats;
use crate::engine::command::{Command, Outcome};
use crate::engine::queue::Counters;
use crate::error::Error;
use crate::keyring::Keyring;
use crate::keyring::data_key::DataKey;
use crate::limits::MOVE_TASKS_ACTIVE_MAX;
use crate::model::attributes::QueueSettings;
use crate::model::queue::{
    AccountId, Generation, Paused, QueueId, QueueKey, QueueKind, QueueName, Region, Slot,
};
use crate::model::receipt::ReceiptKey;
use crate::model::task::{MoveTask, TaskId};
use crate::model::time::{Millis, Timestamp};
use crate::store::keys::slot_of;
use crate::store::values::ServerRow;
use crate::store::{Reads, Store, StoreError};

/// Tags of a queue.
pub type Tags = BTreeMap<String, String>;

/// A queue as the catalogue knows it. Immutable; a change publishes a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueInfo {
    /// Its full name.
    pub key: QueueKey,
    /// Its identity: deleted and created again, it is another queue.
    pub id: QueueId,
    /// Which key prefix holds its rows.
    pub slot: Slot,
    /// Under which id its rows are stored at present.
    pub generation: Generation,
    /// Its settings.
    pub settings: QueueSettings,
    /// Its tags.
    pub tags: Tags,
    /// `CreatedTimestamp`.
    pub created_at: Timestamp,
    /// `LastModifiedTimestamp`.
    pub modified_at: Timestamp,
    /// The last purge.
    pub purged_at: Option<Timestamp>,
    /// What it does not do at present.
    pub paused: Paused,
    /// The key of its messages; `None` where none was ever encrypted.
    pub data_key: Option<DataKey>,
}

impl QueueInfo {
    /// Standard or FIFO.
    pub fn kind(&self) -> QueueKind {
        self.key.name.kind()
    }
}

/// What to pause, or to go on with: `None` leaves it as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pause {
    /// Whether receives are held up.
    pub receive: Option<bool>,
    /// Whether sends are.
    pub send: Option<bool>,
}

/// Decides inside the owning shard whether an existing queue answers a CreateQueue.
pub type Check = Box<dyn FnOnce(&QueueInfo) -> Result<(), Error> + Send>;

/// Changes settings and tags inside the owning shard; on an error nothing changes.
pub type Change = Box<dyn FnOnce(&mut QueueSettings, &mut Tags) -> Result<(), Error> + Send>;

/// The engine room. Cheap to clone.
#[derive(Clone)]
pub struct Shards {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) map: ShardMap,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) time: Arc<EngineTime>,
    pub(super) stats: Arc<[Arc<ShardStats>]>,
    pub(super) mailboxes: Vec<SyncSender<Request>>,
    pub(super) receipts: ReceiptKey,
    pub(super) ids: IdHasher,
    pub(super) parked_polls: Arc<Semaphore>,
    pub(super) free_space: Arc<FreeSpace>,
    pub(super) virtual_clock: bool,
    /// Guards the order of changes to the record; held while it is written, off the async threads.
    pub(super) server: Mutex<ServerRow>,
    pub(super) healthy: Arc<AtomicBool>,
    pub(super) failed: watch::Sender<Option<String>>,
    pub(super) draining: Arc<AtomicBool>,
    pub(super) stopping: Arc<AtomicBool>,
    pub(super) threads: Mutex<Vec<JoinHandle<()>>>,
    pub(super) watch: Mutex<Option<Watch>>,
    pub(super) store: Arc<dyn Store>,
    pub(super) directory: Arc<Directory>,
    /// `None` where the store has no files.
    pub(super) backups: Option<Backups>,
    pub(super) browser: Browser,
    pub(super) keyring: Arc<Keyring>,
}

impl Shards {
    /// A queue by name, from the present snapshot of the catalogue.
    pub fn find(&self, key: &QueueKey) -> Option<Arc<QueueInfo>> {
        self.inner.catalogue.find(key)
    }

    /// Queues of an account and region whose names start with `prefix`, in name order, after
    /// `after`, at most `max`.
    pub fn list(
        &self,
        account: &AccountId,
        region: &Region,
        prefix: &str,
        after: Option<&QueueName>,
        max: usize,
    ) -> Vec<Arc<QueueInfo>> {
        self.inner.catalogue.list(account, region, prefix, after, max)
    }

    /// Queues whose redrive policy names `target`, in name order.
    pub fn dead_letter_sources(&self, target: &QueueKey) -> Vec<Arc<QueueInfo>> {
        self.inner.catalogue.dead_letter_sources(target)
    }

    /// Creates a queue; where one of that name exists, `check` decides whether it is the answer.
    pub async fn create(
        &self,
        key: QueueKey,
        settings: QueueSettings,
        tags: Tags,
        check: Check,
    ) -> Result<Arc<QueueInfo>, Error> {
        self.needs(Room::Ample)?;
        let slot = slot_of(&key);
        let (settings, declared) = (Box::new(settings), false);
        let create = |reply| Request::Create { key, settings, tags, check, declared, reply };
        self.ask(slot, create).await
    }

    /// Creates a queue that the operator declares, unless it is there: also under a name that must
    /// rest, and on a disk with little room, or a server might not start any more.
    pub async fn declare(
        &self,
        key: QueueKey,
        settings: QueueSettings,
        tags: Tags,
    ) -> Result<Arc<QueueInfo>, Error> {
        self.needs(Room::Short)?;
        let slot = slot_of(&key);
        let (settings, declared) = (Box::new(settings), true);
        let check: Check = Box::new(|_| Ok(()));
        let create = |reply| Request::Create { key, settings, tags, check, declared, reply };
        self.ask(slot, create).await
    }

    /// Deletes a queue and everything in it. Parked polls get `QueueDoesNotExist`.
    pub async fn delete_queue(&self, key: &QueueKey) -> Result<(), Error> {
        self.needs(Room::Short)?;
        self.ask(slot_of(key), |reply| Request::Delete { key: key.clone(), reply }).await
    }

    /// Empties a queue: a new generation, in one batch, whatever its size.
    pub async fn purge(&self, key: &QueueKey) -> Result<(), Error> {
        self.needs(Room::Short)?;
        self.ask(slot_of(key), |reply| Request::Purge { key: key.clone(), reply }).await
    }

    /// Changes settings or tags.
    pub async fn update(&self, key: &QueueKey, change: Change) -> Result<Arc<QueueInfo>, Error> {
        self.needs(Room::Short)?;
        self.ask(slot_of(key), |reply| Request::Update { key: key.clone(), change, reply }).await
    }

    /// Holds up receives, sends or both, or lets them go on: from the answer on nothing gets through,
    /// or everything. Deletes, changes of visibility, moves and expiry go on.
    pub async fn pause(&self, key: &QueueKey, change: Pause) -> Result<Arc<QueueInfo>, Error> {
        self.needs(Room::Short)?;
        self.ask(slot_of(key), |reply| Request::Pause { key: key.clone(), change, reply }).await
    }

    /// Deletes every queue of every account and everything in them.
    pub async fn reset(&self) -> Result<(), Error> {
        self.needs(Room::Short)?;
        let map = self.inner.map;
        // What was under way from one shard to another in the first round, the second finds.
        let rounds = if map.shards() > 1 { 2 } else { 1 };
        for shard in (0..rounds).flat_map(|_| 0..map.shards()) {
            for slot in map.slots(shard).take(1) {
                self.ask(slot, |reply| Request::Reset { reply }).await?;
            }
        }
        Ok(())
    }

    /// Puts every data key under the master key that is to seal it; answers how many were under
    /// another one.
    pub async fn rotate_keys(&self) -> Result<u64, Error> {
        self.needs(Room::Short)?;
        let inner = Arc::clone(&self.inner);
        let rewrapped = tokio::task::spawn_blocking(move || inner.rewrap_transit_key()).await;
        let mut keys = rewrapped.map_err(|error| Error::Internal(error.to_string().into()))??;
        for shard in 0..self.inner.map.shards() {
            let mut from = Some(0);
            while let Some(next) = from {
                let rewrap = |reply| Request::Rewrap { from: next, reply };
                let rewrapped = self.ask_shard(shard, rewrap).await?;
                keys += rewrapped.keys;
                from = rewrapped.next;
            }
        }
        keys += self.reseal_access_keys().await?;
        Ok(keys)
    }

    /// Messages by state.
    pub async fn counters(&self, key: &QueueKey) -> Result<Counters, Error> {
        self.ask(slot_of(key), |reply| Request::Count { key: key.clone(), reply }).await
    }

    /// Starts a message move task, unless the source has one that is active, or the account as many
    /// as it may. What it may move, and where to, is for the caller to know.
    pub async fn start_move_task(
        &self,
        source: &QueueKey,
        destination: Option<QueueKey>,
        rate: Option<u16>,
    ) -> Result<TaskId, Error> {
        self.needs(Room::Ample)?;
        let mut active = 0;
        for shard in 0..self.inner.map.shards() {
            let account = source.account.clone();
            let count = |reply| Request::Task(TaskRequest::Count { account, reply });
            active += self.ask_shard(shard, count).await?;
        }
        if active >= MOVE_TASKS_ACTIVE_MAX {
            return Err(Error::OverLimit("Too many active message move tasks.".into()));
        }
        let source = source.clone();
        self.ask(slot_of(&source), |reply| {
            Request::Task(TaskRequest::Start { source, destination, rate, reply })
        })
        .await
    }

    /// Stops a message move task; answers how many messages it has moved.
    pub async fn cancel_move_task(&self, source: &QueueKey, task: TaskId) -> Result<u64, Error> {
        self.needs(Room::Short)?;
        let source = source.clone();
        self.ask(slot_of(&source), |reply| {
            Request::Task(TaskRequest::Cancel { source, task, reply })
        })
        .await
    }

    /// The message move tasks of a source, the newest first, at most `max`.
    pub async fn list_move_tasks(
        &self,
        source: &QueueKey,
        max: usize,
    ) -> Result<Vec<(TaskId, MoveTask)>, Error> {
        let source = source.clone();
        self.ask(slot_of(&source), |reply| Request::Task(TaskRequest::List { source, max, reply }))
            .await
    }

    /// The present on the engine's clock.
    pub fn now(&self) -> Timestamp {
        self.inner.time.now()
    }

    /// Moves virtual time ahead. Returns when the new lead is on the disk and every shard has been
    /// told to look at its deadlines.
    ///
    /// Fails with `UnsupportedOperation` unless the server runs on virtual time.
    pub async fn advance_clock(&self, by: Millis) -> Result<Timestamp, Error> {
        if !self.inner.virtual_clock {
            return Err(Error::UnsupportedOperation(
                "This server runs on real time; start it with --virtual-clock.".into(),
            ));
        }
        let inner = Arc::clone(&self.inner);
        let moved = tokio::task::spawn_blocking(move || inner.advance_clock(by)).await;
        moved.map_err(|error| Error::Internal(error.to_string().into()))??;
        self.look();
        Ok(self.now())
    }

    /// The master keys.
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.inner.keyring
    }

    /// The numbers of every shard, by its index.
    pub fn stats(&self) -> Vec<Arc<ShardStats>> {
        self.inner.stats.to_vec()
    }

    /// What the store has read.
    pub fn reads(&self) -> Reads {
        self.inner.store.reads()
    }

    /// No commit has failed and no shard has died.
    pub fn is_healthy(&self) -> bool {
        self.inner.healthy.load(Ordering::Acquire)
    }

    /// The disk has room above the free-space mark.
    pub fn accepts_sends(&self) -> bool {
        self.inner.free_space.room() == Room::Ample
    }

    /// Answers parked polls empty, at once and from now on; everything else goes on.
    pub fn drain(&self) {
        self.inner.draining.store(true, Ordering::Release);
        self.look();
    }

    /// Has every shard look at its flags and its clock.
    pub(super) fn look(&self) {
        self.inner.look();
    }

    /// Runs a command for messages of one certain queue.
    pub(super) async fn tell(
        &self,
        key: &QueueKey,
        queue: QueueId,
        command: Command,
    ) -> Result<Outcome, Error> {
        self.needs(Room::Short)?;
        Ok(self.command(key, Some(queue), command, None).await?.open())
    }

    pub(super) fn command(
        &self,
        key: &QueueKey,
        queue: Option<QueueId>,
        command: Command,
        patience: Option<Patience>,
    ) -> impl Future<Output = Result<Parcel, Error>> {
        let sent = self.find(key).ok_or(Error::QueueDoesNotExist).and_then(|info| {
            let key = key.clone();
            self.send_to(self.inner.map.owner(info.slot), |reply| {
                Request::Apply(Box::new(Apply { key, queue, command, patience, reply }))
            })
        });
        self.answer_to(sent)
    }

    /// Sends a request to the owner of a slot and awaits its answer.
    pub(super) fn ask<T>(
        &self,
        slot: Slot,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> impl Future<Output = Result<T, Error>> {
        self.ask_shard(self.inner.map.owner(slot), request)
    }

    fn ask_shard<T>(
        &self,
        shard: usize,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> impl Future<Output = Result<T, Error>> {
        self.answer_to(self.send_to(shard, request))
    }

    /// Sends now: the future that awaits the answer, perhaps for long, has no request in it.
    fn send_to<T>(
        &self,
        shard: usize,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> Result<oneshot::Receiver<Result<T, Error>>, Error> {
        let (reply, answer) = oneshot::channel();
        match self.inner.mailboxes[shard].try_send(request(reply)) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_)) => Err(busy("Too many requests at once.")),
            Err(TrySendError::Disconnected(_)) => Err(self.gone()),
        }
    }

    async fn answer_to<T>(
        &self,
        sent: Result<oneshot::Receiver<Result<T, Error>>, Error>,
    ) -> Result<T, Error> {
        sent?.await.unwrap_or_else(|_| Err(self.gone()))
    }

    /// There was no answer and there will be none.
    fn gone(&self) -> Error {
        match self.inner.stopping.load(Ordering::Acquire) {
            true => busy("The server is shutting down."),
            false => Error::Internal("the shard has failed".into()),
        }
    }

    /// Refuses what the room on the disk does not allow.
    pub(super) fn needs(&self, needed: Room) -> Result<(), Error> {
        match (self.inner.free_space.room(), needed) {
            (Room::Ample, _) | (Room::Short, Room::Short) => Ok(()),
            _ => Err(busy("There is not enough free space on the server's disk.")),
        }
    }
}

impl Inner {
    fn look(&self) {
        for mailbox in &self.mailboxes {
            // One that is full will look anyway, and one that is gone has nothing to look at.
            let _ = mailbox.try_send(Request::Look);
        }
    }

    /// A place among those who wait.
    pub(super) fn poll_permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        let permit = Arc::clone(&self.parked_polls).try_acquire_owned();
        permit.map_err(|_| busy("Too many long polls are waiting."))
    }

    /// The process can no longer be trusted with the data.
    pub(super) fn fail(&self, error: &StoreError) {
        tracing::error!(%error, "the store has failed; the process must end");
        self.healthy.store(false, Ordering::Release);
        self.failed.send_replace(Some(error.to_string()));
    }

    fn rewrap_transit_key(&self) -> Result<u64, Error> {
        // The guard keeps two rotations apart.
        let _server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        let rewrapped = rewrap_transit_key(&*self.store, &self.keyring);
        rewrapped.map_err(|error| {
            if let StartError::Store(error) = &error {
                self.fail(error);
            }
            Error::Internal(error.to_string().into())
        })
    }

    fn advance_clock(&self, by: Millis) -> Result<(), Error> {
        // The guard keeps two moves in order. The record is whole whenever the lock is free.
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        let mut moved = server.clone();
        moved.clock_offset = Millis(server.clock_offset.0.saturating_add(by.0));
        // On the disk first: a restart must not take time back that somebody has seen.
        if let Err(error) = write_server_row(&*self.store, &moved) {
            self.fail(&error);
            return Err(Error::Internal(error.to_string().into()));
        }
        self.time.set_offset(moved.clock_offset);
        *server = moved;
        Ok(())
    }
}

/// Nobody can ask any more: the threads end by themselves.
impl Drop for Inner {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        self.look();
    }
}

pub(super) fn busy(why: &'static str) -> Error {
    Error::ServiceUnavailable(why.into())
}
