//! Messages in the worker's hands: how long they are ours, and the heartbeats that keep them so.

use std::{sync::Arc, time::Duration};

use super::{
    Answer, Core, Effect, Ending, HOLD_MAX, QueueId, Ticket, Time,
    settling::{Action, Settling},
};

/// One message.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) queue: QueueId,
    pub(super) group: Option<Arc<str>>,
    pub(super) received: Time,
    /// Until when it is ours.
    pub(super) ours_until: Time,
    /// Until when it will be, if the extension under way succeeds.
    pub(super) extending: Option<Time>,
    /// When the next heartbeat is due. None when there is none, or one is under way.
    pub(super) beat: Option<Time>,
    pub(super) phase: Phase,
    /// Its entry among the timers.
    timer: Option<Time>,
}

/// Where it is in its life.
#[derive(Debug)]
pub(super) enum Phase {
    /// No handler has begun with it.
    Waiting,
    /// A handler is at work.
    Running,
    /// It was decided on.
    Settling(Settling),
}

impl Held {
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Waiting)
    }

    /// While the server is being asked nothing is given up: the answer says how it went.
    fn is_under_way(&self) -> bool {
        matches!(&self.phase, Phase::Settling(settling) if settling.under_way)
    }

    fn is_released(&self) -> bool {
        matches!(&self.phase, Phase::Settling(Settling { action: Action::Release(_), .. }))
    }

    fn next_look(&self) -> Option<Time> {
        let retry = match &self.phase {
            Phase::Settling(settling) => settling.retry,
            Phase::Waiting | Phase::Running => None,
        };
        let end = (!self.is_under_way()).then_some(self.ours_until);
        [end, self.beat, retry].into_iter().flatten().min()
    }
}

impl Core {
    pub(super) fn hold(
        &mut self,
        now: Time,
        ticket: Ticket,
        queue: QueueId,
        group: Option<Arc<str>>,
    ) {
        let ours_until = now + self.settings.visibility - self.settings.margin();
        let beat = Some(self.next_beat(now));
        let phase = Phase::Waiting;
        let timer = None;
        let extending = None;
        let received = now;
        let held = Held { queue, group, received, ours_until, extending, beat, phase, timer };
        self.held.insert(ticket, held);
        self.arm(ticket);
    }

    /// Looks at every message for which it is time.
    pub(super) fn wake(&mut self, now: Time) {
        while let Some((at, ticket)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, ticket));
            let Some(held) = self.held.get_mut(&ticket) else { continue };
            held.timer = None;
            if held.ours_until <= now && !held.is_under_way() {
                // A release that did not come through has come about by itself.
                let ending = if held.is_released() { Ending::Released } else { Ending::Lost };
                self.lose(ticket, now, ending);
                continue;
            }
            if held.beat.is_some_and(|at| at <= now) {
                held.beat = None;
                self.extend(now, ticket);
            }
            self.retry(now, ticket);
            self.arm(ticket);
        }
    }

    pub(super) fn extended(&mut self, now: Time, results: Vec<(Ticket, Answer)>) {
        for (ticket, answer) in results {
            let next = self.next_beat(now);
            let again = now + (self.settings.visibility / 10).max(Duration::from_millis(500));
            let Some(held) = self.held.get_mut(&ticket) else { continue };
            let until = held.extending.take();
            match answer {
                Answer::Done => {
                    held.ours_until = until.unwrap_or(held.ours_until);
                    held.beat = Some(next);
                }
                Answer::Failed => held.beat = Some(again),
                // It stays ours until its time runs out. And a message that is being deleted may
                // have been gone before its extension: the deletion's answer says so.
                Answer::Refused => {}
                Answer::Lost if held.is_under_way() => {}
                Answer::Lost => {
                    self.lose(ticket, now, Ending::Lost);
                    continue;
                }
            }
            // A release waits for the extension, which would undo it.
            if held.is_released() {
                held.beat = None;
                self.enqueue(now, ticket);
            }
            self.arm(ticket);
        }
    }

    /// Puts the message's next moment among the timers.
    pub(super) fn arm(&mut self, ticket: Ticket) {
        let Some(held) = self.held.get_mut(&ticket) else { return };
        let next = held.next_look();
        if next == held.timer {
            return;
        }
        if let Some(old) = held.timer {
            self.timers.remove(&(old, ticket));
        }
        if let Some(next) = next {
            self.timers.insert((next, ticket));
        }
        held.timer = next;
    }

    /// The message is not ours any more, whatever was done with it.
    pub(super) fn lose(&mut self, ticket: Ticket, now: Time, ending: Ending) {
        let key = self.group_key(ticket);
        let Some(held) = self.held.get(&ticket) else { return };
        match &held.phase {
            Phase::Waiting => self.forget_waiting(ticket, now),
            Phase::Running => {}
            Phase::Settling(settling) => {
                if let (Action::DeadLetter { .. }, Some(key)) = (settling.action, key.clone()) {
                    self.let_group_go(key, now);
                }
            }
        }
        self.end(ticket, ending);
        if let (Ending::Lost, Some(key)) = (ending, key) {
            self.hand_back_rest(key, now);
        }
    }

    /// Forgets a message.
    pub(super) fn end(&mut self, ticket: Ticket, ending: Ending) {
        let Some(held) = self.held.remove(&ticket) else { return };
        if let Some(timer) = held.timer {
            self.timers.remove(&(timer, ticket));
        }
        if let Phase::Settling(_) = held.phase {
            self.settling -= 1;
        }
        self.effects.push(Effect::Ended { ticket, ending });
    }

    /// A heartbeat: hides the message for another while, up to the cap.
    fn extend(&mut self, now: Time, ticket: Ticket) {
        let margin = self.settings.margin();
        let hold = self.settings.hold.min(HOLD_MAX);
        let Some(held) = self.held.get_mut(&ticket) else { return };
        let left = (held.received + hold).saturating_sub(now);
        let whole = Duration::from_secs(left.min(self.settings.visibility).as_secs());
        let until = (now + whole).saturating_sub(margin);
        if held.is_released() || until <= held.ours_until {
            return;
        }
        held.extending = Some(until);
        let queue = held.queue;
        let seconds = u32::try_from(whole.as_secs()).unwrap_or(u32::MAX);
        self.queues[queue].outgoing.extensions.push((ticket, seconds));
    }

    /// Half the visibility away, on a grid: messages that came about together beat together, in one
    /// request.
    fn next_beat(&self, now: Time) -> Time {
        let grid = (self.settings.visibility / 10).as_millis().max(1);
        let at = (now + self.settings.visibility / 2).as_millis();
        Duration::from_millis(u64::try_from(at - at % grid).unwrap_or(u64::MAX))
    }
}
