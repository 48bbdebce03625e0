//! One queue: what is in flight, what came back, where fresh messages start, and the counters.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::command::{Command, Context, Effects, Need, Outcome, Step};
use crate::engine::deliveries::Deliveries;
use crate::engine::fifo::Held;
use crate::engine::line::Line;
use crate::engine::reader::Reader;
use crate::engine::retention::Sweep;
use crate::engine::window::{DueWindow, Window};
use crate::limits::{self, RECEIVE_MESSAGES_MAX};
use crate::model::attributes::{DeduplicationScope, QueueSettings};
use crate::model::fifo::{GroupHash, Seq};
use crate::model::rows::{DedupBucket, HintRow, Lane, Place, ReceiveId, ReceiveRow};
use crate::model::time::{Millis, Timestamp};

/// Rows one step of background work, or the dropping of one command, may touch.
pub(super) const STEP_ROWS_MAX: usize = 1000;

/// Rows one read-ahead asks for; the loader also bounds it by bytes.
pub(super) const READ_AHEAD_ROWS: usize = 512;

/// Rows to ask for when the windows may grow by `room` bytes: with none, what one receive takes.
pub(super) fn read_ahead_rows(room: usize) -> usize {
    if room > 0 { READ_AHEAD_ROWS } else { RECEIVE_MESSAGES_MAX }
}

/// Messages of a queue by state. Exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Ready to be received.
    pub available: u64,
    /// Received, neither deleted nor visible again.
    pub in_flight: u64,
    /// Waiting for the end of their first delay.
    pub delayed: u64,
}

/// The state machine of one queue.
#[derive(Debug)]
pub struct Queue {
    pub(super) settings: QueueSettings,
    /// Next sequence number to give.
    pub(super) next_seq: Seq,
    /// In flight and returned.
    pub(super) deliveries: Deliveries,
    /// In flight at once, at most; and held (in flight or returned) before only returned ones go.
    pub(super) in_flight_max: usize,
    /// A receive that has both takes a returned message next, then a fresh one.
    pub(super) returned_next: bool,

    /// Standard: never received, main lane.
    pub(super) window: Window,
    /// Standard: rows of the main lane before this are those of deliveries.
    pub(super) cleared: Seq,
    /// Standard: never received, their own delay over.
    pub(super) due: DueWindow,
    pub(super) fresh_count: u64,
    pub(super) due_count: u64,
    pub(super) delayed_count: u64,
    /// Standard: timers up to and including this were counted as due.
    pub(super) due_cursor: (Timestamp, Seq),
    /// Standard: when the next timer runs out, or earlier when that is not known.
    pub(super) next_due: Option<Timestamp>,

    /// FIFO: messages from here on wait for the queue's delay.
    pub(super) undelayed: Seq,
    /// FIFO: when the message at `undelayed` was sent; `None` when that is not known.
    pub(super) undelayed_sent_at: Option<Timestamp>,
    /// FIFO: groups that have something in flight or returned, and what.
    pub(super) held: BTreeMap<GroupHash, Held>,
    /// FIFO: held groups whose first message is returned, by when it became available.
    pub(super) ready: BTreeSet<(Timestamp, GroupHash)>,
    /// FIFO: an earlier scope stays in force until the ids of its window are forgotten.
    pub(super) former_scope: Option<(DeduplicationScope, Timestamp)>,

    /// FIFO and fair.
    pub(super) line: Line,
    /// Fair: messages from here on are indexed by group.
    pub(super) fair_from: Option<Seq>,
    /// Fair: noisy groups, and when they last had something in flight.
    pub(super) noisy: BTreeMap<GroupHash, Timestamp>,

    pub(super) sweep: Sweep,
    /// The clock is in doubt: nothing expires.
    expiry_suspended: bool,
}

impl Queue {
    /// A queue as its rows left it: `deliveries` are all of its delivery rows, in any order.
    /// `first_seq` is the first sequence number of this start's epoch; numbers given from now on
    /// are at least that, and so are the ids of receives. A new queue has a default hint and no
    /// deliveries.
    pub fn open(
        settings: QueueSettings,
        hint: HintRow,
        deliveries: Vec<(ReceiveId, ReceiveRow)>,
        first_seq: Seq,
        now: Timestamp,
    ) -> Queue {
        let next_seq = hint.next_seq.max(first_seq);
        let mut queue = Queue {
            next_seq,
            deliveries: Deliveries::open(deliveries, ReceiveId(first_seq.0), now),
            in_flight_max: limits::IN_FLIGHT_MESSAGES_MAX,
            returned_next: true,
            // With nothing fresh, a window that begins at the next number is caught up.
            window: Window::starting_at(if hint.fresh_count == 0 { next_seq } else { hint.fresh }),
            cleared: if hint == HintRow::default() { next_seq } else { hint.cleared },
            due: DueWindow::starting_at(hint.timers_from),
            fresh_count: hint.fresh_count,
            due_count: hint.due_count,
            delayed_count: hint.delayed_count,
            due_cursor: hint.due_cursor,
            next_due: (settings.fifo.is_none() && hint.delayed_count > 0).then_some(now),
            undelayed: if hint.delayed_count == 0 { next_seq } else { hint.undelayed },
            undelayed_sent_at: None,
            held: BTreeMap::new(),
            ready: BTreeSet::new(),
            former_scope: None,
            line: Line { count: hint.line_count, from: hint.line_from, round: hint.round },
            fair_from: hint.fair_from,
            noisy: BTreeMap::new(),
            sweep: Sweep::resume(hint.low, hint.mixed_ages, now),
            expiry_suspended: false,
            settings,
        };
        if queue.is_fifo() {
            let members = queue.deliveries.iter().map(|(seq, row)| (row.group, seq));
            for (group, seq) in members.collect::<Vec<_>>() {
                if let Some(group) = group {
                    queue.hold_member(group, seq);
                }
            }
        }
        let held: Vec<GroupHash> = queue.held.keys().copied().collect();
        for group in held {
            queue.refresh_ready(group);
        }
        queue
    }

    /// The settings in force.
    pub fn settings(&self) -> &QueueSettings {
        &self.settings
    }

    /// Puts new settings in force from `now` on (facts sheet, 3.8).
    pub fn configure(&mut self, settings: QueueSettings, now: Timestamp) {
        let scope = |s: &QueueSettings| s.fifo.map(|fifo| fifo.deduplication_scope);
        // Differs from AWS: there a new scope was seen to leave deduplication as it was, as far as
        // anybody has looked. Ids of the old one must hold for their window, so here the new one
        // takes over when that has passed.
        if let Some(old) = scope(&self.settings)
            && scope(&settings) != Some(old)
            && self.former_scope.is_none_or(|(_, until)| until <= now)
        {
            self.former_scope = Some((old, now.plus(DedupBucket::WINDOW)));
        }
        self.settings = settings;
        self.sweep.soon(now);
    }

    /// Sets how many messages may be in flight at once; 120,000 unless told otherwise.
    pub fn set_in_flight_max(&mut self, max: usize) {
        self.in_flight_max = max;
    }

    /// Lets nothing expire while the clock is in doubt, and everything due when it no longer is.
    pub fn suspend_expiry(&mut self, suspended: bool, now: Timestamp) {
        self.expiry_suspended = suspended;
        self.sweep.soon(now);
    }

    /// Rows a command will certainly ask for: loading them for a whole turn at once saves reads.
    /// Never wrong to ignore.
    pub fn plan(&self, command: &Command, now: Timestamp) -> Vec<Need> {
        match command {
            Command::Send(messages) if self.is_fifo() => self.plan_send_fifo(messages, now),
            Command::Receive(receive) => {
                let returned = self.deliveries.returned_in_order().take(receive.max);
                returned.map(|(_, seq)| Need::Message(self.place_of_delivery(seq))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Applies one command. When it answers [`Step::More`], nothing has changed and `command` is as
    /// it was: load the rows, add them to what was loaded before, and call again. When it answers
    /// [`Step::Done`], `command` has been used up. Same queue, command, context: same outcome.
    pub fn apply(&mut self, command: &mut Command, context: &mut Context<'_>) -> Step {
        let fifo = self.is_fifo();
        let step = match command {
            Command::Send(messages) if fifo => self.send_fifo(messages, context),
            Command::Send(messages) => self.send_standard(messages, context),
            Command::Receive(receive) if fifo => self.receive_fifo(receive, context),
            Command::Receive(receive) => self.receive_standard(receive, context),
            Command::Delete(receipts) => self.delete(receipts, context),
            Command::ChangeVisibility(changes) => self.change_visibility(changes, context),
            Command::Release(receipts) => self.release(receipts, context),
            Command::Survey(survey) => self.survey(survey, context),
            Command::SendOff(errand) => self.send_off(errand, context),
            Command::Remove(removal) => self.remove(removal, context),
            Command::Accept(departure) => self.accept(departure, context),
            Command::Restore(departure) => self.restore(departure, context),
        };
        if let Step::Done(_) = step {
            self.deliveries.close(&mut context.effects.writes);
            context.effects.sync |= fifo && !context.effects.writes.is_empty();
        }
        step
    }

    /// Does what time asks for: ends visibility timeouts and delays, drops what is past its
    /// retention. Bounded work per call (about 1,000 rows). `Step::More` as for `apply`;
    /// `Step::Done` when this step is through; call again at [`Queue::next_deadline`], which may
    /// be at once.
    pub fn expire(&mut self, context: &mut Context<'_>) -> Step {
        for (_, row) in self.deliveries.end_timeouts(context.now, STEP_ROWS_MAX) {
            if self.is_fifo()
                && let Some(group) = row.group
            {
                self.refresh_ready(group);
            }
        }
        let mut reader = Reader::new(context.loaded);
        if self.is_fifo() {
            self.end_queue_delays(&mut reader, context.now);
        } else {
            self.count_due(&mut reader, context.now);
        }
        self.sweep_expired(&mut reader, context.now, context.effects);
        match reader.missing() {
            missing if missing.is_empty() => {
                self.deliveries.close(&mut context.effects.writes);
                Step::Done(Ok(Outcome::Done(Vec::new())))
            }
            missing => Step::More(missing),
        }
    }

    /// The earliest moment `expire` has something to do; `None` while there is nothing. At or
    /// before the present while work is left over.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let delay = match self.is_fifo() {
            true => self.next_queue_delay_end(),
            false => self.next_due,
        };
        let sweep = self.sweep.next().filter(|_| !self.expiry_suspended && self.total() > 0);
        [self.deliveries.first_timeout(), delay, sweep].into_iter().flatten().min()
    }

    /// Whether a receive could get something now. Cheap, and never wrong with `false`; a `true`
    /// may turn out empty.
    pub fn has_work(&self) -> bool {
        if self.is_fifo() {
            return !self.ready.is_empty() || (self.line.count > 0 && self.fresh_count > 0);
        }
        self.deliveries.returned() > 0 || self.fresh_count > 0 || self.due_count > 0
    }

    /// Messages by state.
    pub fn counters(&self) -> Counters {
        Counters {
            available: self.fresh_count + self.due_count + self.deliveries.returned() as u64,
            in_flight: self.deliveries.in_flight() as u64,
            delayed: self.delayed_count,
        }
    }

    /// The row that sums this queue up, to be committed with the writes of a turn that changed it.
    pub fn hint(&self) -> HintRow {
        HintRow {
            next_seq: self.next_seq,
            fresh: self.window.fresh(),
            cleared: self.cleared,
            low: self.sweep.low(),
            held: Some(self.deliveries.len() as u64),
            fresh_count: self.fresh_count,
            due_count: self.due_count,
            delayed_count: self.delayed_count,
            due_cursor: self.due_cursor,
            timers_from: self.due.from(),
            undelayed: self.undelayed,
            line_count: self.line.count,
            line_from: self.line.from,
            round: self.line.round,
            fair_from: self.fair_from,
            mixed_ages: self.sweep.mixed_ages(),
        }
    }

    /// Bytes of messages in the read-ahead windows.
    pub fn window_bytes(&self) -> usize {
        self.window.bytes() + self.due.bytes()
    }

    /// Empties the read-ahead windows; they fill again from the store when needed.
    pub fn drop_window(&mut self) {
        self.window.clear();
        self.due.clear();
    }

    /// In flight plus returned: what this queue holds in memory.
    pub fn held(&self) -> usize {
        self.deliveries.len()
    }

    /// The number that the next message gets.
    pub fn next_seq(&self) -> Seq {
        self.next_seq
    }

    pub(super) fn is_fifo(&self) -> bool {
        self.settings.fifo.is_some()
    }

    /// Every message there is.
    pub(super) fn total(&self) -> u64 {
        self.fresh_count + self.due_count + self.delayed_count + self.deliveries.len() as u64
    }

    pub(super) fn take_seq(&mut self) -> Seq {
        let seq = self.next_seq;
        self.next_seq = seq.next();
        seq
    }

    /// The newest `seq` that does not wait for the queue's delay. Numbers begin above zero.
    pub(super) fn newest_undelayed(&self) -> Seq {
        Seq(self.undelayed.0.saturating_sub(1))
    }

    pub(super) fn place_of_delivery(&self, seq: Seq) -> Place {
        let lane = self.deliveries.get(seq).map_or(Lane::Main, |row| row.lane);
        Place { lane, seq }
    }

    /// Whether a message that is retained from `from` on is gone at `now`.
    pub(super) fn is_expired(&self, from: Timestamp, now: Timestamp) -> bool {
        !self.expiry_suspended && from.plus(self.settings.retention()) <= now
    }

    /// Messages retained from this moment on or earlier are gone at `now`; `None` while nothing
    /// expires.
    pub(super) fn expired(&self, now: Timestamp) -> Option<Timestamp> {
        let latest = now.0.checked_sub(self.settings.retention().0);
        latest.filter(|_| !self.expiry_suspended).map(Timestamp)
    }

    pub(super) fn visibility(&self, asked: Option<Millis>) -> Millis {
        asked.unwrap_or(Millis::from_secs(self.settings.visibility_timeout_s))
    }

    /// How many messages may be handed out before the bounds on what is held are reached.
    pub(super) fn room(&self) -> Room {
        Room {
            in_flight: self.in_flight_max.saturating_sub(self.deliveries.in_flight()),
            held: self.in_flight_max.saturating_sub(self.deliveries.len()),
        }
    }
}

/// How many more messages may be handed out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Of any kind.
    pub(super) in_flight: usize,
    /// That were never received.
    pub(super) held: usize,
}

/// An outcome without results of its own.
pub(super) fn done() -> Step {
    Step::Done(Ok(Outcome::Done(Vec::new())))
}

/// Marks what was done as something to be on the disk before anybody is answered.
pub(super) fn sync(effects: &mut Effects) {
    effects.sync = true;
}

/// The place of a message of the main lane.
pub(super) fn main_lane(seq: Seq) -> Place {
    Place { lane: Lane::Main, seq }
}
