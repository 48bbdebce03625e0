//! A queue at home in a shard: its engine, its rows of the present turn, and what the shard has to
//! know about it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::handle::QueueInfo;
use super::rates::Rates;
use super::rows::TurnRows;
use crate::engine::command::{Command, Context, Effects, Loaded, Need, Outcome, Step};
use crate::engine::queue::Queue;
use crate::env::SeededRng;
use crate::error::Error;
use crate::model::fifo::Seq;
use crate::model::queue::{QueueKey, QueueKind};
use crate::model::rows::HintRow;
use crate::model::time::Timestamp;
use crate::store::{Store, StoreError};

/// One queue of a shard.
pub(super) struct Hosted {
    pub(super) info: Arc<QueueInfo>,
    pub(super) queue: Queue,
    pub(super) rows: TurnRows,
    /// The redrive policy's target, if there is one to be named.
    pub(super) dead_letter: Option<QueueKey>,
    /// Something was done to it in this turn.
    pub(super) in_turn: bool,
    /// Messages with smaller numbers were there before this turn.
    pub(super) turn_began_at: Seq,
    /// As it was last written, or read at the start.
    pub(super) hint: HintRow,
    /// As the shard's line of deadlines has it.
    pub(super) deadline: Option<Timestamp>,
    /// As the shard's sums have it.
    pub(super) held: usize,
    /// As the shard's sums have it.
    pub(super) window_bytes: usize,
    /// Messages removed whose rows may still be there.
    pub(super) uncleared: Churn,
    /// Messages removed since its range was last compacted.
    pub(super) uncompacted: Churn,
    /// When something was last done to it, on the boot clock.
    pub(super) touched_at: Duration,
    /// When somebody last used it.
    pub(super) used_at: Timestamp,
    /// As the shard's line of queues that may be idle has it.
    pub(super) idle_due: Option<Timestamp>,
    /// For those who follow its tail: the number that the next message gets.
    pub(super) arrivals: Option<watch::Sender<Seq>>,
    /// How fast messages come and go.
    pub(super) rates: Rates,
}

/// What was removed from a queue since something was done about it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Churn {
    pub(super) messages: u64,
    /// Bytes of the messages handed out since then: about what the removed ones took. Who removes a
    /// message no longer knows its size, but has had it before.
    given_bytes: u64,
}

impl Churn {
    /// In messages of a KiB.
    pub(super) fn size(&self) -> u64 {
        match self.messages {
            0 => 0,
            messages => messages.max(self.given_bytes / 1024),
        }
    }
}

/// What a queue may use of its shard while it works.
pub(super) struct Around<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) now: Timestamp,
    pub(super) rng: &'a mut SeededRng,
    pub(super) dead_letter_target: bool,
    pub(super) window_room: usize,
    pub(super) effects: &'a mut Effects,
}

/// What a queue shall do.
pub(super) enum Act<'a> {
    /// Obey.
    Apply(&'a mut Command),
    /// What time asks for.
    Expire,
}

impl Hosted {
    pub(super) fn new(info: Arc<QueueInfo>, queue: Queue, now: Timestamp) -> Hosted {
        let rows = TurnRows::new(info.slot, info.generation);
        let mut hosted = Hosted {
            info: Arc::clone(&info),
            hint: queue.hint(),
            queue,
            rows,
            dead_letter: None,
            in_turn: false,
            turn_began_at: Seq::MIN,
            deadline: None,
            held: 0,
            window_bytes: 0,
            uncleared: Churn::default(),
            uncompacted: Churn::default(),
            touched_at: Duration::ZERO,
            used_at: now,
            idle_due: None,
            arrivals: None,
            rates: Rates::default(),
        };
        hosted.describe(info);
        hosted
    }

    /// Takes on what the catalogue will say about it.
    pub(super) fn describe(&mut self, info: Arc<QueueInfo>) {
        self.dead_letter = info.settings.redrive.as_ref().and_then(|policy| policy.target());
        self.info = info;
    }

    /// Removes, in this turn, rows of messages that are gone. `false` when there are more.
    pub(super) fn clear(&mut self) -> bool {
        let mut writes = Vec::new();
        let all = self.queue.clear(&mut writes);
        self.rows.push(&mut writes);
        if all {
            self.uncleared = Churn::default();
        }
        all
    }

    /// Whether an outcome may be told only when the whole turn is as durable as any part of it has
    /// to be: all but messages of a standard queue that were there before the turn.
    pub(super) fn waits_for_the_turn(&self, result: &Result<Outcome, Error>) -> bool {
        match result {
            Ok(Outcome::Received(messages)) if self.info.kind() == QueueKind::Standard => {
                messages.is_empty()
                    || messages.iter().any(|given| given.place.seq >= self.turn_began_at)
            }
            _ => true,
        }
    }

    /// Makes the queue act, loading what it asks for. A store error means that nothing was done.
    pub(super) fn perform(
        &mut self,
        mut act: Act<'_>,
        around: Around<'_>,
    ) -> Result<Result<Outcome, Error>, StoreError> {
        let mut loaded = Loaded::default();
        if let Act::Apply(command) = &act {
            let needs = self.queue.plan(command, around.now);
            load(&mut self.rows, around.store, needs, &mut loaded)?;
        }
        loop {
            let mut context = Context {
                now: around.now,
                loaded: &loaded,
                rng: &mut *around.rng,
                dead_letter_target: around.dead_letter_target,
                window_room: around.window_room,
                effects: &mut *around.effects,
            };
            let step = match &mut act {
                Act::Apply(command) => self.queue.apply(command, &mut context),
                Act::Expire => self.queue.expire(&mut context),
            };
            match step {
                Step::Done(result) => {
                    self.rows.push(&mut around.effects.writes);
                    let given: u64 = match &result {
                        Ok(Outcome::Received(messages)) => {
                            messages.iter().map(|given| given.message.payload.len() as u64).sum()
                        }
                        _ => 0,
                    };
                    for churn in [&mut self.uncleared, &mut self.uncompacted] {
                        churn.messages += around.effects.removed;
                        churn.given_bytes += given;
                    }
                    return Ok(result);
                }
                Step::More(needs) => load(&mut self.rows, around.store, needs, &mut loaded)?,
            }
        }
    }
}

fn load(
    rows: &mut TurnRows,
    store: &dyn Store,
    needs: Vec<Need>,
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    for need in needs {
        let answer = rows.answer(store, need)?;
        loaded.0.insert(need, answer);
    }
    Ok(())
}
