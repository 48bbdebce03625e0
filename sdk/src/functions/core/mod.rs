//! Every decision of a function host: when to receive, start, invoke, kill, delete and release. A
//! state machine without I/O: what happened goes in with the time, what is to be done comes out.

mod pending;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use self::pending::Pending;
pub(crate) use self::words::{
    Effect, Input, InvocationId, ProcessId, QueueRules, Report, Rules, Ticket,
};
use super::InvokeError;
use super::event::{self, Held, PAYLOAD_BYTES_MAX};

/// The most receives that wait at the same time.
const POLLS_MAX: usize = 5;

/// The most messages that a receive brings.
const RECEIVE_MAX: usize = 10;

/// The most messages that wait for a process, and the most bytes of them: enough for two of the
/// largest batches, whatever the number of processes.
const PENDING_MAX: usize = 20_000;
const PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The most events sent by hand that wait for a process.
pub(crate) const BY_HAND_MAX: usize = 1_000;

/// The most bytes of them together.
pub(crate) const BY_HAND_BYTES_MAX: usize = 64 * 1024 * 1024;

const CRASH_PAUSE: Duration = Duration::from_millis(100);
const POLL_PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

#[derive(Debug)]
enum Process {
    /// It starts, or has answered, and has not asked for an event.
    Preparing {
        until: Instant,
        is_new: bool,
    },
    Idle {
        since: Instant,
    },
    Busy(Invocation),
    /// It was told to end.
    Ending,
}

#[derive(Debug)]
struct Invocation {
    id: InvocationId,
    since: Instant,
    until: Instant,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Batch(Vec<Held>),
    ByHand(Ticket),
}

/// The groups of a batch that is being settled.
#[derive(Debug, Default)]
struct Settling {
    groups: BTreeSet<String>,
    failed: BTreeSet<String>,
}

/// The state machine.
#[derive(Debug)]
pub(crate) struct Core {
    rules: Rules,
    processes: BTreeMap<ProcessId, Process>,
    pending: Pending,
    by_hand: VecDeque<(Ticket, Bytes)>,
    settling: BTreeMap<InvocationId, Settling>,
    /// The receives that wait: how many there are, how many should be, and what they asked for.
    polls: usize,
    polls_wanted: usize,
    asked: usize,
    poll_failures: u32,
    poll_not_before: Option<Instant>,
    crashes: u32,
    start_not_before: Option<Instant>,
    is_throttled: bool,
    is_stopping: bool,
    is_done: bool,
    processes_made: u64,
    invocations_made: u64,
}

impl Core {
    pub(crate) fn new(rules: Rules) -> Core {
        Core {
            pending: Pending::new(rules.batch_size, rules.window),
            rules,
            processes: BTreeMap::new(),
            by_hand: VecDeque::new(),
            settling: BTreeMap::new(),
            polls: 0,
            polls_wanted: 1,
            asked: 0,
            poll_failures: 0,
            poll_not_before: None,
            crashes: 0,
            start_not_before: None,
            is_throttled: false,
            is_stopping: false,
            is_done: false,
            processes_made: 0,
            invocations_made: 0,
        }
    }

    /// Takes note of what happened at `now` and says what is to be done.
    pub(crate) fn step(&mut self, input: Input, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.note(input, now, &mut effects);
        self.end_what_is_late(now, &mut effects);
        self.hand_out(now, &mut effects);
        self.start(now, &mut effects);
        self.retire(now, &mut effects);
        self.poll(now, &mut effects);
        // A receive that is under way may still bring what has to be handed back.
        let is_over = self.processes.is_empty() && self.settling.is_empty() && self.polls == 0;
        if self.is_stopping && is_over && !self.is_done {
            self.is_done = true;
            effects.push(Effect::Done);
        }
        effects
    }

    /// The earliest moment after `now` at which time alone changes something.
    pub(crate) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let may_retire = self.live() > self.rules.processes_min;
        let processes = self.processes.values().filter_map(|process| match process {
            Process::Preparing { until, .. } => Some(*until),
            Process::Busy(invocation) => Some(invocation.until),
            Process::Idle { since } => may_retire.then_some(*since + self.rules.idle_timeout),
            Process::Ending => None,
        });
        let patience = self.rules.patience().into_iter();
        processes
            .chain(patience.flat_map(|patience| self.pending.deadlines(patience)))
            .chain(self.poll_not_before)
            .chain(self.start_not_before)
            .filter(|deadline| *deadline > now)
            .min()
    }

    /// Processes at work, and processes in all that were not told to end.
    pub(crate) fn concurrency(&self) -> (usize, usize) {
        (self.busy(), self.live())
    }

    fn note(&mut self, input: Input, now: Instant, effects: &mut Vec<Effect>) {
        match input {
            Input::Tick => {}
            Input::Received { asked, wanted, unwanted } => {
                self.received(asked, wanted, unwanted, effects);
            }
            Input::PollFailed { asked } => {
                (self.polls, self.asked) = (self.polls - 1, self.asked - asked);
                self.poll_failures += 1;
                self.polls_wanted = 1;
                self.poll_not_before = Some(now + pause(POLL_PAUSE, self.poll_failures));
            }
            Input::Next(process) => self.next(process, now, effects),
            Input::Answered(process, answer) => {
                let result = answer.map_err(InvokeError::Function);
                if result.is_ok() {
                    self.crashes = 0;
                }
                if self.finish(process, result, now, effects) {
                    let until = now + self.rules.init_timeout;
                    self.processes.insert(process, Process::Preparing { until, is_new: false });
                }
            }
            Input::Lost(process) => {
                let error = InvokeError::Crashed("it is not there to take an event".into());
                self.finish(process, Err(error), now, effects);
                self.kill(process, effects);
                self.crashed(now);
            }
            Input::InitFailed(process, error) => {
                if let Some(Process::Preparing { is_new: true, .. }) = self.processes.get(&process)
                {
                    self.kill(process, effects);
                    self.init_failed(process, error.to_string(), now, effects);
                }
            }
            Input::Exited(process, how) => self.exited(process, how, now, effects),
            Input::Settled { invocation, failed } => self.settled(invocation, failed, effects),
            Input::Invoke(ticket, event) => self.invoke(ticket, event, effects),
            Input::Stop => self.stop(effects),
            Input::StopNow => {
                self.stop(effects);
                for process in self.processes.keys().copied().collect::<Vec<_>>() {
                    self.finish(process, Err(InvokeError::Stopped), now, effects);
                    self.kill(process, effects);
                }
            }
        }
    }

    fn received(
        &mut self,
        asked: usize,
        wanted: Vec<Held>,
        unwanted: Vec<String>,
        effects: &mut Vec<Effect>,
    ) {
        (self.polls, self.asked) = (self.polls - 1, self.asked - asked);
        (self.poll_failures, self.poll_not_before) = (0, None);
        // A full answer says that there is more; an empty one, that one receive is enough.
        match wanted.len() + unwanted.len() {
            0 => self.polls_wanted = 1,
            count if count >= asked => self.polls_wanted = POLLS_MAX.min(self.polls_wanted + 1),
            _ => {}
        }
        if !unwanted.is_empty() {
            effects.push(Effect::Delete(unwanted));
        }
        if self.is_stopping {
            release(wanted.into_iter().map(|held| held.receipt_handle).collect(), effects);
        } else {
            wanted.into_iter().for_each(|held| self.pending.push(held));
        }
    }

    fn next(&mut self, process: ProcessId, now: Instant, effects: &mut Vec<Effect>) {
        if let Some(Process::Busy(_)) = self.processes.get(&process) {
            let text = "it asked for the next event before it answered".to_owned();
            self.finish(process, Err(InvokeError::Crashed(text)), now, effects);
        }
        if let Some(state) = self.processes.get_mut(&process)
            && !matches!(state, Process::Ending)
        {
            *state = Process::Idle { since: now };
        }
    }

    fn exited(&mut self, process: ProcessId, how: String, now: Instant, effects: &mut Vec<Effect>) {
        self.finish(process, Err(InvokeError::Crashed(how.clone())), now, effects);
        match self.processes.remove(&process) {
            Some(Process::Preparing { is_new: true, .. }) => {
                self.init_failed(process, how, now, effects);
            }
            Some(Process::Preparing { .. } | Process::Idle { .. } | Process::Busy(_)) => {
                self.crashed(now);
            }
            Some(Process::Ending) | None => {}
        }
    }

    fn init_failed(
        &mut self,
        process: ProcessId,
        error: String,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        self.crashed(now);
        // Who waits learns why, unless another process may still do it.
        if self.live() == 0 {
            let failed = self.by_hand.drain(..);
            let error = || Err(InvokeError::Crashed(error.clone()));
            effects.extend(failed.map(|(ticket, _)| Effect::Reply(ticket, error())));
        }
        effects.push(Effect::InitError(process, error));
    }

    fn crashed(&mut self, now: Instant) {
        self.crashes += 1;
        self.start_not_before = Some(now + pause(CRASH_PAUSE, self.crashes));
    }

    fn invoke(&mut self, ticket: Ticket, event: Bytes, effects: &mut Vec<Effect>) {
        let waiting: usize = self.by_hand.iter().map(|(_, event)| event.len()).sum();
        let refusal = if self.is_stopping {
            InvokeError::Stopped
        } else if event.len() > PAYLOAD_BYTES_MAX {
            InvokeError::TooLarge
        } else if self.by_hand.len() >= BY_HAND_MAX || waiting + event.len() > BY_HAND_BYTES_MAX {
            effects.push(Effect::Throttled);
            InvokeError::Throttled
        } else {
            return self.by_hand.push_back((ticket, event));
        };
        effects.push(Effect::Reply(ticket, Err(refusal)));
    }

    fn stop(&mut self, effects: &mut Vec<Effect>) {
        if !self.is_stopping {
            self.is_stopping = true;
            effects.push(Effect::StopPolling);
            release(self.pending.take_all(), effects);
            let refused = self.by_hand.drain(..);
            effects.extend(
                refused.map(|(ticket, _)| Effect::Reply(ticket, Err(InvokeError::Stopped))),
            );
        }
    }

    /// Ends the invocation that a process is busy with. Returns whether there was one; the process
    /// is then left without a state worth keeping, which the caller decides.
    fn finish(
        &mut self,
        process: ProcessId,
        result: Result<Bytes, InvokeError>,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(state) = self.processes.get_mut(&process) else { return false };
        if !matches!(state, Process::Busy(_)) {
            return false;
        }
        let was = std::mem::replace(state, Process::Idle { since: now });
        let Process::Busy(Invocation { id, since, work, .. }) = was else { return false };
        let report = |error, handled, failed| {
            let took = now - since;
            Effect::Report(Report { process, invocation: id, took, error, handled, failed })
        };
        match work {
            Work::ByHand(ticket) => {
                effects.push(report(result.as_ref().err().cloned(), 0, 0));
                effects.push(Effect::Reply(ticket, result));
            }
            Work::Batch(batch) => {
                let (failed, error) = self.judge(&batch, result);
                effects.push(report(error, batch.len() - failed.len(), failed.len()));
                self.settle(id, batch, &failed, effects);
            }
        }
        true
    }

    /// Which messages of a batch failed, and what the invocation's error is.
    fn judge(
        &self,
        batch: &[Held],
        result: Result<Bytes, InvokeError>,
    ) -> (BTreeSet<String>, Option<InvokeError>) {
        let failed = result.and_then(|answer| match self.rules.reports_failures {
            true => event::failures(&answer, batch).map_err(InvokeError::BadAnswer),
            false => Ok(BTreeSet::new()),
        });
        match failed {
            Ok(failed) => (failed, None),
            Err(error) => (batch.iter().map(|held| held.message_id.clone()).collect(), Some(error)),
        }
    }

    fn settle(
        &mut self,
        invocation: InvocationId,
        batch: Vec<Held>,
        failed: &BTreeSet<String>,
        effects: &mut Vec<Effect>,
    ) {
        let (mut settling, mut delete) = (Settling::default(), Vec::new());
        for held in batch {
            let has_failed = failed.contains(&held.message_id);
            if let Some(group) = held.group {
                settling.failed.extend(has_failed.then(|| group.clone()));
                settling.groups.insert(group);
            }
            if !has_failed {
                delete.push(held.receipt_handle);
            }
        }
        self.settling.insert(invocation, settling);
        if delete.is_empty() {
            self.settled(invocation, false, effects);
        } else {
            effects.push(Effect::Settle { invocation, delete });
        }
    }

    fn settled(&mut self, invocation: InvocationId, failed: bool, effects: &mut Vec<Effect>) {
        let Some(settling) = self.settling.remove(&invocation) else { return };
        self.pending.unlock(&settling.groups);
        // What failed comes again later, and what follows it in its group must come after it.
        let held_up = if failed { &settling.groups } else { &settling.failed };
        release(self.pending.take_groups(held_up), effects);
    }

    fn end_what_is_late(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let late = self.processes.iter().filter_map(|(process, state)| match state {
            Process::Preparing { until, is_new } if *until <= now => Some((*process, *is_new)),
            Process::Busy(Invocation { until, .. }) if *until <= now => Some((*process, false)),
            _ => None,
        });
        for (process, is_new) in late.collect::<Vec<_>>() {
            self.finish(process, Err(InvokeError::TimedOut), now, effects);
            self.kill(process, effects);
            if is_new {
                let seconds = self.rules.init_timeout.as_secs_f64();
                let text = format!("it did not ask for an event within {seconds} s");
                self.init_failed(process, text, now, effects);
            }
        }
        if let Some(patience) = self.rules.patience() {
            self.pending.expire(now, patience);
        }
        for moment in [&mut self.start_not_before, &mut self.poll_not_before] {
            moment.take_if(|moment| *moment <= now);
        }
    }

    fn kill(&mut self, process: ProcessId, effects: &mut Vec<Effect>) {
        if let Some(state) = self.processes.get_mut(&process) {
            *state = Process::Ending;
            effects.push(Effect::Kill(process));
        }
    }

    fn hand_out(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        while let Some(process) = self.idle() {
            let (work, event, trace) = if let Some((ticket, event)) = self.by_hand.pop_front() {
                (Work::ByHand(ticket), event, None)
            } else if let Some(batch) = self.pending.take(now) {
                let trace = batch.iter().find_map(|held| held.trace_header.clone());
                let event = event::event(&batch);
                (Work::Batch(batch), event, trace)
            } else {
                break;
            };
            self.invocations_made += 1;
            let id = InvocationId(self.invocations_made);
            let until = now + self.rules.timeout;
            let invocation = Invocation { id, since: now, until, work };
            self.processes.insert(process, Process::Busy(invocation));
            effects.push(Effect::Invoke { process, invocation: id, event, trace });
        }
    }

    /// Of the idle processes the one that was busy last, so that the others grow old.
    fn idle(&self) -> Option<ProcessId> {
        let idle = self.processes.iter().filter_map(|(process, state)| match state {
            Process::Idle { since } => Some((*since, *process)),
            _ => None,
        });
        idle.max().map(|(_, process)| process)
    }

    fn start(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.is_stopping || self.start_not_before.is_some() {
            return;
        }
        let count = |wanted: fn(&Process) -> bool| {
            self.processes.values().filter(|process| wanted(process)).count()
        };
        let preparing = count(|process| matches!(process, Process::Preparing { .. }));
        let idle = count(|process| matches!(process, Process::Idle { .. }));
        let live = self.live();
        let work = self.pending.due(now) + self.by_hand.len();
        let for_work = work.saturating_sub(preparing + idle);
        let for_minimum = self.rules.processes_min.saturating_sub(live);
        let mut count = for_work.max(for_minimum).min(self.rules.processes_max - live);
        if self.crashes > 0 {
            // One at a time, until one has worked.
            count = count.min(1_usize.saturating_sub(preparing));
        }
        for _ in 0..count {
            self.processes_made += 1;
            let process = ProcessId(self.processes_made);
            let until = now + self.rules.init_timeout;
            self.processes.insert(process, Process::Preparing { until, is_new: true });
            effects.push(Effect::Start(process));
        }
    }

    fn retire(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let mut spare = self.live() - self.rules.processes_min.min(self.live());
        for (process, state) in &mut self.processes {
            let is_unneeded = match state {
                Process::Idle { since } => {
                    self.is_stopping || (spare > 0 && *since + self.rules.idle_timeout <= now)
                }
                Process::Preparing { .. } => self.is_stopping,
                Process::Busy(_) | Process::Ending => false,
            };
            if is_unneeded {
                spare = spare.saturating_sub(1);
                *state = Process::Ending;
                effects.push(Effect::Retire(*process));
            }
        }
    }

    /// Asks for no more than what processes are free for.
    fn poll(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Some(queue) = &self.rules.queue else { return };
        let fifo = queue.fifo;
        if self.is_stopping || self.poll_not_before.is_some_and(|moment| moment > now) {
            return;
        }
        // Messages that nobody can handle would only grow old here.
        if self.live() == 0 && self.start_not_before.is_some() {
            return;
        }
        let free = self.rules.processes_max.saturating_sub(self.busy());
        if free == 0 && !self.is_throttled {
            effects.push(Effect::Throttled);
        }
        self.is_throttled = free == 0;
        let free = free.saturating_sub(self.by_hand.len());
        let bytes_max = PENDING_BYTES_MAX.min(free.saturating_mul(PAYLOAD_BYTES_MAX));
        let has_space = self.pending.bytes() < bytes_max;
        // Of a FIFO queue no more than a batch at once: the rest of a group would have to wait here,
        // where a failure of its first messages costs all of them a receive.
        let most = if fifo { RECEIVE_MAX.min(self.rules.batch_size) } else { RECEIVE_MAX };
        let holds = |core: &Core| core.pending.len() + core.asked;
        let capacity = PENDING_MAX.min(free.saturating_mul(self.rules.batch_size));
        while self.polls < self.polls_wanted && has_space && holds(self) < capacity {
            let asked = most.min(capacity - holds(self));
            (self.polls, self.asked) = (self.polls + 1, self.asked + asked);
            effects.push(Effect::Poll(asked));
        }
    }

    fn live(&self) -> usize {
        self.processes.values().filter(|process| !matches!(process, Process::Ending)).count()
    }

    fn busy(&self) -> usize {
        self.processes.values().filter(|process| matches!(process, Process::Busy(_))).count()
    }
}

fn release(handles: Vec<String>, effects: &mut Vec<Effect>) {
    if !handles.is_empty() {
        effects.push(Effect::Release(handles));
    }
}

/// Doubles with every failure in a row.
fn pause(first: Duration, failures: u32) -> Duration {
    first.saturating_mul(1 << failures.clamp(1, 16).saturating_sub(1)).min(PAUSE_MAX)
}
