//! Many queues at a glance: what is in them, how fast it comes and goes, and how old it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::core::ShardCore;
use super::handle::{QueueInfo, Shards};
use super::peek::odd_row;
use super::rates::PerSecond;
use super::request::Request;
use super::walk::{Cursor, Found, Walk, Wanted};
use crate::engine::queue::Counters;
use crate::engine::view::View;
use crate::error::Error;
use crate::model::fifo::Seq;
use crate::model::filter::Filter;
use crate::model::queue::{AccountId, QueueKey, QueueName, Region};
use crate::model::time::{Millis, Timestamp};
use crate::store::keys::slot_of;
use crate::store::{Store, StoreError};

/// Rows one queue's oldest message is looked for among: what was deleted around it counts too.
const ROWS_MAX: usize = 2_000;

/// How long one call looks for oldest messages; it ends with the queue that is then looked at.
const CALL_TIME_MAX: Duration = Duration::from_millis(100);

/// A queue at a glance.
#[derive(Clone, Debug)]
pub struct QueueStats {
    /// The queue.
    pub info: Arc<QueueInfo>,
    /// Messages by state.
    pub counters: Counters,
    /// How fast they come and go.
    pub rates: PerSecond,
    /// How long the message has been there that has been there longest; `None` when there is none,
    /// or when it was not found in reasonable time.
    pub oldest: Option<Millis>,
    /// Queues whose redrive policy names this one, in name order.
    pub sources: Vec<QueueKey>,
}

/// What a shard says about one of its queues.
pub struct Glance {
    pub(super) info: Arc<QueueInfo>,
    pub(super) counters: Counters,
    pub(super) rates: PerSecond,
    pub(super) view: View,
}

impl Shards {
    /// Queues of an account and region whose names start with `prefix`, in name order, after
    /// `after`, at most `max`; fewer where they took long, but never none.
    pub async fn queue_stats(
        &self,
        account: &AccountId,
        region: &Region,
        prefix: &str,
        after: Option<&QueueName>,
        max: usize,
    ) -> Result<Vec<QueueStats>, Error> {
        let queues = self.list(account, region, prefix, after, max);
        let mut by_shard = BTreeMap::<usize, Vec<QueueKey>>::new();
        for queue in &queues {
            by_shard.entry(self.inner.map.owner(queue.slot)).or_default().push(queue.key.clone());
        }
        let mut glances = BTreeMap::new();
        for keys in by_shard.into_values() {
            let slot = slot_of(&keys[0]);
            for glance in self.ask(slot, |reply| Request::Glance { keys, reply }).await? {
                glances.insert(glance.info.key.clone(), glance);
            }
        }
        let mut sources = self.inner.catalogue.sources_of(glances.keys());
        let inner = Arc::clone(&self.inner);
        let look = move || {
            let started = inner.time.boot();
            let mut all = Vec::new();
            for (key, Glance { info, counters, rates, view }) in glances {
                if !all.is_empty() && CALL_TIME_MAX <= inner.time.boot().saturating_sub(started) {
                    break;
                }
                let oldest = oldest(&*inner.store, &info, &view)?;
                let oldest = oldest.map(|arrived_at| view.now.since(arrived_at));
                let sources = sources.remove(&key).unwrap_or_default();
                all.push(QueueStats { info, counters, rates, oldest, sources });
            }
            Ok(all)
        };
        self.inner.browser.run(look).await?.map_err(odd_row)
    }
}

/// When the message arrived that has been in the queue longest.
pub(super) fn oldest(
    store: &dyn Store,
    info: &QueueInfo,
    view: &View,
) -> Result<Option<Timestamp>, StoreError> {
    let wanted = Wanted { filter: Filter::default(), group: None, max: 1, bytes_max: usize::MAX };
    let wanted = Arc::new(wanted);
    let mut arrivals = Vec::new();
    for cursor in [Cursor::in_main(), Cursor::in_delayed()] {
        let mut walk = Walk::<Found>::new(Arc::clone(&wanted), cursor, ROWS_MAX);
        walk.go_on(store, info, view, &|| false)?;
        arrivals.extend(walk.found.into_iter().map(|found| {
            let message = found.peeked.message;
            message.moved.map_or(message.sent_at, |moved| moved.moved_at)
        }));
    }
    Ok(arrivals.into_iter().min())
}

impl ShardCore {
    /// Looks at some of its queues; those that are gone are not among the answers.
    pub(super) fn glance(
        &mut self,
        now: Timestamp,
        boot: Duration,
        keys: &[QueueKey],
    ) -> Vec<Glance> {
        let mut glances = Vec::with_capacity(keys.len());
        for index in keys.iter().filter_map(|key| self.names.get(key)) {
            let Some(hosted) = &mut self.queues[*index] else { continue };
            glances.push(Glance {
                info: Arc::clone(&hosted.info),
                counters: hosted.queue.counters(),
                rates: hosted.rates.per_second(boot),
                // The first delivery is the only one that can be of the oldest message.
                view: hosted.queue.view(Seq::MIN, 1, now),
            });
        }
        glances
    }
}
