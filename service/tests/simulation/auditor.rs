//! Knows what was asked and what was answered, and what must be true of the two.

use std::collections::BTreeSet;

use stanchion_service::engine::command::{Accepted, Delivered, Outcome};
use stanchion_service::model::fifo::Seq;
use stanchion_service::model::message::MessageId;

use crate::client::{Asked, Held, letter_of};

const DEDUP_WINDOW_MS: u64 = 5 * 60 * 1000;

/// A message, from the day a client tried to send it.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    /// Where it was sent to.
    pub(crate) queue: usize,
    pub(crate) group: Option<u8>,
    pub(crate) dedup: Option<u8>,
    pub(crate) id: MessageId,
    asked_ms: u64,
    /// When the sender knew how it went, or that nobody would ever tell.
    settled_ms: Option<u64>,
    acknowledged: bool,
    /// Answered as a duplicate of an earlier one: it does not exist.
    void: bool,
    delete_asked: bool,
    /// The step at which its deletion was acknowledged.
    deleted_at: Option<u64>,
    /// A purge or the end of its queue may have taken it.
    maybe_gone: bool,
    received: bool,
    last: Option<Receipt>,
}

/// The last time it was received.
#[derive(Clone, Copy, Debug)]
struct Receipt {
    queue: usize,
    seq: Seq,
    count: u32,
    hidden_until_ms: u64,
    /// Power cuts until then.
    power_cuts: u32,
    /// The turn whose answers told of it.
    turn: u64,
}

/// What an auditor must know of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueFacts {
    pub(crate) fifo: bool,
    /// Messages may leave for another queue, as dead letters or with a move task.
    pub(crate) leaves: bool,
    /// Letters that were sent to this other queue come here with move tasks alone, and stay.
    pub(crate) end_of: Option<usize>,
}

pub(crate) struct Auditor {
    pub(crate) letters: Vec<Letter>,
    queues: Vec<QueueFacts>,
    power_cuts: u32,
    turns: u64,
    tasks_started: bool,
    /// Everything that was answered, digested.
    history: u64,
}

impl Auditor {
    pub(crate) fn new(queues: Vec<QueueFacts>) -> Auditor {
        Auditor {
            letters: Vec::new(),
            queues,
            power_cuts: 0,
            turns: 0,
            tasks_started: false,
            history: 0,
        }
    }

    /// A client is about to send a letter; answers its number.
    pub(crate) fn writes(
        &mut self,
        queue: usize,
        group: Option<u8>,
        dedup: Option<u8>,
        now_ms: u64,
    ) -> usize {
        let number = self.letters.len();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(number as u64).to_be_bytes());
        self.letters.push(Letter {
            queue,
            group,
            dedup,
            id: MessageId(id),
            asked_ms: now_ms,
            settled_ms: None,
            acknowledged: false,
            void: false,
            delete_asked: false,
            deleted_at: None,
            maybe_gone: false,
            received: false,
            last: None,
        });
        number
    }

    pub(crate) fn asks_to_delete(&mut self, held: &[Held]) {
        for held in held {
            self.letters[held.letter].delete_asked = true;
        }
    }

    /// A message may be hidden for less time from now on, whatever the answer will be.
    pub(crate) fn asks_to_change(&mut self, held: &Held, span_ms: u64, now_ms: u64) {
        if let Some(last) = &mut self.letters[held.letter].last {
            last.hidden_until_ms = last.hidden_until_ms.min(now_ms + span_ms);
        }
    }

    /// Somebody starts a move task: from now on receive counts may begin again.
    pub(crate) fn task_starts(&mut self) {
        self.tasks_started = true;
    }

    /// A queue is about to be emptied or replaced. Of what was sent to one of its origins, so may
    /// be there, nothing is certain.
    pub(crate) fn empties(&mut self, origins: &BTreeSet<usize>) {
        for letter in &mut self.letters {
            if origins.contains(&letter.queue) {
                letter.maybe_gone = true;
            }
        }
    }

    pub(crate) fn power_was_cut(&mut self) {
        self.power_cuts += 1;
    }

    /// What is heard from now on was answered by another turn.
    pub(crate) fn turn_begins(&mut self) {
        self.turns += 1;
    }

    /// Nobody will ever tell what became of a request.
    pub(crate) fn never_hears(&mut self, asked: &Asked, now_ms: u64) {
        if let Asked::Send(letters) = asked {
            for &number in letters {
                self.letters[number].settled_ms = Some(now_ms);
            }
        }
    }

    /// A request was refused and changed nothing.
    pub(crate) fn hears_no(&mut self, asked: &Asked, now_ms: u64) {
        if let Asked::Send(letters) = asked {
            for &number in letters {
                let letter = &mut self.letters[number];
                letter.settled_ms = Some(now_ms);
                letter.void = true;
            }
        }
    }

    /// An outcome came. `asked_step` is when it was asked for, `step` and `now_ms` the present.
    pub(crate) fn hears(
        &mut self,
        asked: &Asked,
        outcome: &Outcome,
        asked_step: u64,
        step: u64,
        now_ms: u64,
    ) {
        match (asked, outcome) {
            (Asked::Send(letters), Outcome::Sent(results)) => {
                assert_eq!(letters.len(), results.len());
                for (&number, result) in letters.iter().zip(results) {
                    self.sent(number, result.as_ref().expect("sends have no entry errors"), now_ms);
                }
            }
            (Asked::Receive { queue, visibility_ms }, Outcome::Received(messages)) => {
                let numbers: Vec<usize> = messages.iter().map(letter_of).collect();
                for (at, message) in messages.iter().enumerate() {
                    let until = now_ms + visibility_ms;
                    self.given(*queue, message, &numbers[..at], asked_step, now_ms, until);
                }
            }
            (Asked::Delete(held), Outcome::Done(results)) => {
                for (held, result) in held.iter().zip(results) {
                    self.note(result.is_ok().into());
                    // Where messages leave, this one may have left before: then its old handle
                    // deletes nothing, and says so to nobody.
                    if result.is_ok() && !self.queues[held.queue].leaves {
                        self.letters[held.letter].deleted_at = Some(step);
                    }
                }
            }
            (Asked::Change, Outcome::Done(results)) => self.note(results[0].is_ok().into()),
            (asked, outcome) => panic!("{asked:?} was answered with {outcome:?}"),
        }
    }

    fn sent(&mut self, number: usize, accepted: &Accepted, now_ms: u64) {
        self.note(accepted.seq.0);
        let letter = &mut self.letters[number];
        letter.settled_ms = Some(now_ms);
        if accepted.duplicate {
            letter.void = true;
            let (dedup, queue) = (letter.dedup, letter.queue);
            let original = self.letters.iter().find(|other| other.id == accepted.id);
            let original = original.expect("a duplicate names its original");
            assert!(original.dedup == dedup && original.queue == queue, "a foreign original");
            return;
        }
        assert_eq!(accepted.id, letter.id);
        letter.acknowledged = true;
        let letter = &self.letters[number];
        if letter.maybe_gone {
            return;
        }
        for (other_number, other) in self.letters.iter().enumerate() {
            let same = other.queue == letter.queue
                && other.dedup == letter.dedup
                && letter.dedup.is_some()
                && other_number != number;
            if same && other.acknowledged && !other.maybe_gone && other_number < number {
                let within = now_ms - other.asked_ms < DEDUP_WINDOW_MS;
                assert!(!within, "letters {other_number} and {number} have one dedup id");
            }
        }
    }

    fn given(
        &mut self,
        queue: usize,
        message: &Delivered,
        before: &[usize],
        asked_step: u64,
        now_ms: u64,
        until_ms: u64,
    ) {
        let number = letter_of(message);
        self.note(number as u64);
        assert!(!before.contains(&number), "letter {number} twice in one answer");
        let letter = &self.letters[number];
        assert!(!letter.void, "letter {number} was refused or a duplicate, and is here");
        let resurrected = letter.deleted_at.is_some_and(|at| at < asked_step);
        assert!(!resurrected, "letter {number} was deleted, and is back: {letter:?}");
        let facts = self.queues[queue];
        // One turn may give a letter out twice, when nothing hides it, and its answers are heard in
        // the order in which they were asked for: the count says which came first.
        let mut is_last = true;
        if let Some(last) = letter.last {
            // What a power cut undid of a standard queue's receives, it undid of the count.
            let stayed = (last.queue, last.seq) == (queue, message.place.seq);
            let certain = (facts.fifo || last.power_cuts == self.power_cuts)
                && (stayed || !self.tasks_started);
            is_last = !certain || last.turn != self.turns || last.count < message.receive_count;
            let (before, after) = match is_last {
                true => (last.count, message.receive_count),
                false => (message.receive_count, last.count),
            };
            assert!(!certain || before < after, "the count of {number} fell");
            let hidden_until_ms = if is_last { last.hidden_until_ms } else { until_ms };
            assert!(
                last.queue != queue || !facts.fifo || hidden_until_ms <= now_ms,
                "letter {number} was given out while in flight"
            );
        }
        if facts.fifo {
            self.check_group(queue, number, message.place.seq, before, now_ms);
            self.check_arrival(queue, number, message.place.seq);
        }
        let letter = &mut self.letters[number];
        letter.received = true;
        if is_last {
            letter.last = Some(Receipt {
                queue,
                seq: message.place.seq,
                count: message.receive_count,
                hidden_until_ms: until_ms,
                power_cuts: self.power_cuts,
                turn: self.turns,
            });
        }
    }

    /// Nothing of a group goes out while an earlier one is in flight, or is there and has not gone.
    fn check_group(&self, queue: usize, number: usize, seq: Seq, before: &[usize], now_ms: u64) {
        let letter = &self.letters[number];
        // For the dead-letter queue; receives whose answers were lost count as well.
        let may_leave = self.queues[queue].leaves;
        for (other_number, other) in self.letters.iter().enumerate() {
            let certain = other.group == letter.group
                && other_number != number
                && !before.contains(&other_number)
                && !other.delete_asked
                && !other.maybe_gone
                && !other.void;
            if !certain {
                continue;
            }
            if let Some(last) = other.last.filter(|last| last.queue == queue && last.seq < seq) {
                let hidden = now_ms < last.hidden_until_ms;
                assert!(!hidden, "letter {number} overtook {other_number}, which is in flight");
                assert!(may_leave, "letter {number} overtook {other_number}, which is there");
            }
            // Letters are numbered in the order they were sent, and a queue applies in that order.
            let fresh = other.acknowledged && !other.received && other.queue == queue;
            let in_source = letter.queue == queue;
            if fresh && in_source && other_number < number && !may_leave {
                panic!("letter {number} overtook {other_number}, which never went out");
            }
        }
    }

    /// What move tasks took from a group comes in the order in which it was there, and nothing is
    /// left behind.
    fn check_arrival(&self, queue: usize, number: usize, seq: Seq) {
        let letter = &self.letters[number];
        for (other_number, other) in self.letters.iter().enumerate() {
            let together = (other.queue, other.group) == (letter.queue, letter.group);
            let Some(last) = other.last.filter(|_| together && other_number != number) else {
                continue;
            };
            if letter.maybe_gone || other.maybe_gone {
                continue;
            }
            if self.queues[queue].end_of == Some(letter.queue) && last.queue == queue {
                let in_order = (other_number < number) == (last.seq < seq);
                assert!(in_order, "letters {number} and {other_number} arrived in the wrong order");
            }
            if self.queues[last.queue].end_of == Some(queue) && letter.queue == queue {
                assert!(number > other_number, "letter {other_number} left before {number}");
            }
        }
    }

    /// The end: `left` is every message that all queues still gave out, each hidden for good.
    pub(crate) fn settles_up(&mut self, left: &[usize]) -> u64 {
        let mut times = vec![0; self.letters.len()];
        for &number in left {
            times[number] += 1;
            self.note(number as u64);
        }
        for (number, letter) in self.letters.iter().enumerate() {
            let sure = letter.acknowledged && !letter.delete_asked && !letter.maybe_gone;
            assert!(
                !sure || times[number] == 1,
                "letter {number} is there {} times",
                times[number]
            );
            assert!(times[number] <= 1, "letter {number} is there {} times", times[number]);
            let gone = letter.void || letter.deleted_at.is_some();
            assert!(!gone || times[number] == 0, "letter {number} should not be: {letter:?}");
        }
        self.check_twins();
        self.history
    }

    /// Of two letters with one dedup id that were certainly sent within the window, one exists.
    fn check_twins(&self) {
        let exists = |letter: &&Letter| letter.dedup.is_some() && letter.received;
        let there: Vec<&Letter> = self.letters.iter().filter(exists).collect();
        for (at, first) in there.iter().enumerate() {
            for second in &there[at + 1..] {
                let twins = first.queue == second.queue && first.dedup == second.dedup;
                let settled = second.settled_ms.unwrap_or(u64::MAX);
                let within = settled.saturating_sub(first.asked_ms) < DEDUP_WINDOW_MS;
                let purged = first.maybe_gone || second.maybe_gone;
                assert!(!twins || !within || purged, "{first:?} and {second:?} are twins");
            }
        }
    }

    /// Adds to the digest of the history.
    pub(crate) fn note(&mut self, what: u64) {
        self.history = (self.history ^ what).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(5);
    }
}
