//! Message groups, for people who look after them: which there are, and how each is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::core::ShardCore;
use super::handle::{QueueInfo, Shards};
use super::peek::odd_row;
use super::request::Request;
use crate::engine::groups::{GroupsView, ViewedGroup};
use crate::error::Error;
use crate::model::fifo::{GroupHash, Seq};
use crate::model::message::MessageId;
use crate::model::queue::{QueueId, QueueKey, QueueKind};
use crate::model::rows::{GroupRow, Lane, MessageRow, Place, RowKey};
use crate::model::time::{Millis, Timestamp};
use crate::store::codec::decode;
use crate::store::keys::{
    ending_seq, groups_range, members_range, parse_row_key, row_key, slot_of,
};
use crate::store::payload::decode_payload;
use crate::store::{Limit, Space, Store, StoreError};

/// How long one call looks; it ends with the group that is then looked at.
const CALL_TIME_MAX: Duration = Duration::from_millis(40);

/// A message group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// Messages never received; in a FIFO queue those that are delayed too, in a fair queue only
    /// those without a delay of their own.
    pub waiting: u64,
    /// Messages in flight.
    pub in_flight: u64,
    /// FIFO: messages that came back and were not received again.
    pub returned: u64,
    /// Its oldest message; in a fair queue the oldest that was never received.
    pub head: MessageId,
    /// How long ago that was sent.
    pub head_age: Millis,
    /// FIFO: something in flight holds the rest back.
    pub held: bool,
    /// Fair queues: others come first.
    pub noisy: bool,
    /// Where its oldest message is.
    pub(super) head_place: Place,
}

/// Some of the groups of a queue.
#[derive(Clone, Debug)]
pub struct Groups {
    /// In an order that says nothing, and stays.
    pub groups: Vec<Group>,
    /// Where to go on, if there are more.
    pub token: Option<String>,
}

/// What a shard says about the groups of a queue.
pub struct ViewedGroups {
    info: Arc<QueueInfo>,
    now: Timestamp,
    view: GroupsView,
}

/// A part of all groups, by their hashes.
#[derive(Clone, Copy)]
struct Part {
    from: GroupHash,
    /// Not itself; `None`: up to the last.
    until: Option<GroupHash>,
    max: usize,
}

impl Shards {
    /// Groups of a queue, at most so many; fewer where they took long.
    ///
    /// Fails with `InvalidParameter` for a token that is none of this queue's.
    pub async fn groups(
        &self,
        key: &QueueKey,
        token: Option<&str>,
        max: usize,
    ) -> Result<Groups, Error> {
        let queue = self.find(key).ok_or(Error::QueueDoesNotExist)?.id;
        let from = match token {
            // Zero stands for messages without a group.
            None => GroupHash(1),
            Some(token) => read_token(token, queue)
                .ok_or_else(|| Error::InvalidParameter("Invalid or expired next token.".into()))?,
        };
        let (groups, next) = self.part(key, queue, Part { from, until: None, max }).await?;
        Ok(Groups { groups, token: next.map(|next| write_token(queue, next)) })
    }

    /// One group, if it has messages.
    pub async fn group(&self, key: &QueueKey, id: &str) -> Result<Option<Group>, Error> {
        let queue = self.find(key).ok_or(Error::QueueDoesNotExist)?.id;
        let from = self.inner.ids.group(id);
        let until = Some(GroupHash(from.0.saturating_add(1)));
        let (groups, _) = self.part(key, queue, Part { from, until, max: 1 }).await?;
        Ok(groups.into_iter().next())
    }

    async fn part(
        &self,
        key: &QueueKey,
        queue: QueueId,
        part: Part,
    ) -> Result<(Vec<Group>, Option<GroupHash>), Error> {
        let Part { from, max, .. } = part;
        let view = |reply| Request::ViewGroups { key: key.clone(), queue, from, max, reply };
        let viewed = self.ask(slot_of(key), view).await?;
        let inner = Arc::clone(&self.inner);
        let look = move || {
            let started = inner.time.boot();
            let late = || CALL_TIME_MAX <= inner.time.boot().saturating_sub(started);
            read_part(&*inner.store, &viewed, part, &late)
        };
        self.inner.browser.run(look).await?.map_err(odd_row)
    }
}

/// Groups of a part, and the first that is not among them, if there is one.
fn read_part(
    store: &dyn Store,
    viewed: &ViewedGroups,
    part: Part,
    late: &dyn Fn() -> bool,
) -> Result<(Vec<Group>, Option<GroupHash>), StoreError> {
    let ViewedGroups { info, view, .. } = viewed;
    let range = groups_range(info.slot, info.generation, part.from, part.until);
    let page = store.scan(&range.from, &range.to, Limit { rows: part.max, bytes: usize::MAX })?;
    // Everything before this is known: by the rows, and by the view.
    let edge = match (&page.next, page.rows.last()) {
        (None, _) => part.until,
        (Some(_), Some((last, _))) => Some(GroupHash(group_of(last)?.0.saturating_add(1))),
        (Some(next), None) => Some(group_of(next)?),
    };
    let edge = [edge, view.until, part.until].into_iter().flatten().min();
    let mut next = edge.filter(|edge| part.until.is_none_or(|until| *edge < until));
    let known = |group: &GroupHash| edge.is_none_or(|edge| *group < edge);
    let mut waiting = BTreeMap::new();
    for (key, value) in page.rows {
        waiting.insert(group_of(&key)?, decode::<GroupRow>(value)?.fresh);
    }
    let fifo = info.kind() == QueueKind::Fifo;
    // In a fair queue one that is not in the rows has nothing left that waits.
    let received = view.groups.keys().filter(|_| fifo).copied();
    let hashes: BTreeSet<GroupHash> = waiting.keys().copied().chain(received).collect();
    let mut groups = Vec::new();
    for hash in hashes.into_iter().filter(known) {
        if groups.len() == part.max || (late() && !groups.is_empty()) {
            next = Some(hash);
            break;
        }
        let seen = view.groups.get(&hash).copied().unwrap_or_default();
        let waiting = waiting.get(&hash).copied().unwrap_or(0);
        groups.extend(read_group(store, viewed, hash, seen, waiting)?);
    }
    Ok((groups, next))
}

/// The group that the key of its row, or of a place between two, stands for.
fn group_of(key: &[u8]) -> Result<GroupHash, StoreError> {
    match parse_row_key(Space::State, key)? {
        (_, _, RowKey::Group(group)) => Ok(group),
        _ => Err(StoreError::Corrupt("a row among groups is none".into())),
    }
}

/// A group with its oldest message; `None` when that is gone by now.
fn read_group(
    store: &dyn Store,
    viewed: &ViewedGroups,
    hash: GroupHash,
    seen: ViewedGroup,
    waiting: u64,
) -> Result<Option<Group>, StoreError> {
    let info = &viewed.info;
    let head = match seen.first {
        Some(first) => Some(first),
        None => first_member(store, info, hash)?,
    };
    let Some(seq) = head else { return Ok(None) };
    let head_place = Place { lane: Lane::Main, seq };
    let key = row_key(info.slot, info.generation, &RowKey::Message(head_place));
    let Some(row) = store.get(&key)? else { return Ok(None) };
    let row: MessageRow = decode(row)?;
    let (head, content) = decode_payload(row.payload, info.cipher())?;
    let fifo = info.kind() == QueueKind::Fifo;
    Ok(content.group_id.map(|id| Group {
        id,
        waiting,
        in_flight: seen.in_flight,
        returned: seen.returned,
        head,
        head_age: viewed.now.since(row.head.sent_at),
        held: fifo && seen.in_flight > 0,
        noisy: seen.noisy,
        head_place,
    }))
}

fn first_member(
    store: &dyn Store,
    info: &QueueInfo,
    hash: GroupHash,
) -> Result<Option<Seq>, StoreError> {
    let range = members_range(info.slot, info.generation, hash, Seq::MIN);
    let mut from = range.from;
    loop {
        let page = store.scan(&from, &range.to, Limit { rows: 1, bytes: usize::MAX })?;
        match (page.rows.first(), page.next) {
            (Some((key, _)), _) => return ending_seq(key).map(Some),
            (None, None) => return Ok(None),
            // Its first thousands were deleted.
            (None, Some(next)) => from.bytes = next,
        }
    }
}

fn write_token(queue: QueueId, next: GroupHash) -> String {
    let mut bytes = queue.0.to_be_bytes().to_vec();
    bytes.extend(next.0.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn read_token(token: &str, queue: QueueId) -> Option<GroupHash> {
    let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
    let (id, hash) = (bytes.first_chunk::<8>()?, bytes.last_chunk::<16>()?);
    (u64::from_be_bytes(*id) == queue.0).then(|| GroupHash(u128::from_be_bytes(*hash).max(1)))
}

impl ShardCore {
    /// What the rows of a queue's groups do not say.
    pub(super) fn view_groups(
        &self,
        now: Timestamp,
        key: &QueueKey,
        queue: QueueId,
        from: GroupHash,
        max: usize,
    ) -> Result<ViewedGroups, Error> {
        let index = self.resolve(key, Some(queue)).ok_or(Error::QueueDoesNotExist)?;
        let hosted = self.queues[index].as_ref().ok_or(Error::QueueDoesNotExist)?;
        let view = hosted.queue.view_groups(from, max);
        Ok(ViewedGroups { info: Arc::clone(&hosted.info), now, view })
    }
}
