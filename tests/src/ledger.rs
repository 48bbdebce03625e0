//! What clients were told, kept outside the server, and what must therefore be true of it.
//!
//! A message is known by its line (a FIFO message group, or a producer) and its number in it. An
//! operation is *begun* before its request is sent and *acknowledged* when the answer has come; one
//! that was begun and never acknowledged may or may not have happened.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

/// A message: its line, and its number in that line.
pub type Key = (String, u64);

/// The shared record of one test. Guards a plain table; no caller holds it across a request.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Books>);

/// A moment in the order in which clients learned things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

#[derive(Clone, Debug, Default)]
struct Books {
    now: u64,
    acknowledged: u64,
    messages: BTreeMap<Key, Entry>,
    violations: Vec<String>,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    sent: bool,
    receives: u32,
    delete_begun: bool,
    deleted_at: Option<Moment>,
}

impl Ledger {
    /// The body to send for a message.
    pub fn body((line, number): &Key) -> String {
        format!("{line} {number}")
    }

    /// The message a body belongs to; `None` if no client ever wrote such a body.
    pub fn key(body: &str) -> Option<Key> {
        let (line, number) = body.split_once(' ')?;
        Some((line.to_owned(), number.parse().ok()?))
    }

    /// The present moment; take it before a receive is sent.
    pub fn moment(&self) -> Moment {
        let mut books = self.books();
        books.now += 1;
        Moment(books.now)
    }

    /// How many answers have been recorded, of any kind.
    pub fn acknowledged(&self) -> u64 {
        self.books().acknowledged
    }

    /// The next number of a line that was not acknowledged yet.
    pub fn next_of(&self, line: &str) -> u64 {
        let books = self.books();
        let of_line = books.messages.range((line.to_owned(), 0)..=(line.to_owned(), u64::MAX));
        of_line
            .filter(|(_, entry)| entry.sent)
            .map(|((_, number), _)| number + 1)
            .max()
            .unwrap_or(0)
    }

    /// A send is about to be requested.
    pub fn send_begun(&self, key: &Key) {
        self.books().messages.entry(key.clone()).or_default();
    }

    /// A send was answered.
    pub fn sent(&self, key: &Key) {
        let mut books = self.books();
        books.acknowledged += 1;
        books.entry(key).sent = true;
    }

    /// One receive's answer, in order, asked for at `asked`. `ordered` lines may not give out a
    /// message while an earlier one is neither deleted nor just before it in the same answer.
    pub fn received(&self, asked: Moment, bodies: &[&str], ordered: bool) {
        let mut books = self.books();
        books.acknowledged += 1;
        let keys: Vec<Key> = bodies.iter().filter_map(|body| Ledger::key(body)).collect();
        if keys.len() < bodies.len() {
            books.violations.push(format!("a body that nobody sent: {bodies:?}"));
        }
        for (position, key) in keys.iter().enumerate() {
            books.check_receive(asked, key);
            if ordered {
                books.check_order(key, &keys[..position]);
            }
        }
    }

    /// A delete is about to be requested.
    pub fn delete_begun(&self, key: &Key) {
        self.books().entry(key).delete_begun = true;
    }

    /// A delete was answered with success.
    pub fn deleted(&self, key: &Key) {
        let mut books = self.books();
        books.acknowledged += 1;
        books.now += 1;
        let now = Moment(books.now);
        books.entry(key).deleted_at.get_or_insert(now);
    }

    /// Messages that must still be in the queue: sent for certain, and nobody asked to delete them.
    pub fn owed(&self) -> Vec<Key> {
        let books = self.books();
        let owed = books.messages.iter().filter(|(_, entry)| entry.sent && !entry.delete_begun);
        owed.map(|(key, _)| key.clone()).collect()
    }

    /// Everything that was wrong so far, one sentence each.
    pub fn violations(&self) -> Vec<String> {
        self.books().violations.clone()
    }

    /// The ledger as it stands.
    pub fn copy(&self) -> Ledger {
        Ledger(Mutex::new(self.books().clone()))
    }

    /// What must be true of a copy of the server that was made at some moment between this ledger,
    /// a copy taken before, and the one taken `after`: what was acknowledged here is certain there,
    /// and what was begun in between may have happened.
    pub fn restored(&self, after: &Ledger) -> Arc<Ledger> {
        let mut books = after.books().clone();
        let certain = self.books();
        for (key, entry) in &mut books.messages {
            let known = certain.messages.get(key);
            entry.sent = known.is_some_and(|known| known.sent);
            entry.deleted_at = known.and_then(|known| known.deleted_at);
        }
        Arc::new(Ledger(Mutex::new(books)))
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().expect("no method panics while it holds the books")
    }
}

impl Books {
    fn entry(&mut self, key: &Key) -> &mut Entry {
        self.messages.entry(key.clone()).or_default()
    }

    fn check_receive(&mut self, asked: Moment, key: &Key) {
        let Some(entry) = self.messages.get_mut(key) else {
            self.violations.push(format!("{key:?} was received and never sent"));
            return;
        };
        entry.receives += 1;
        if entry.deleted_at.is_some_and(|deleted| deleted < asked) {
            self.violations.push(format!("{key:?} came back after its delete was acknowledged"));
        }
    }

    fn check_order(&mut self, key: &Key, before: &[Key]) {
        let (line, number) = key;
        let earlier = self.messages.range((line.clone(), 0)..(line.clone(), *number));
        // One that nobody was told about may not exist at all.
        let waiting = earlier.filter(|(_, entry)| entry.sent && !entry.delete_begun);
        if let Some((early, _)) = waiting.into_iter().find(|(early, _)| !before.contains(early)) {
            self.violations.push(format!("{key:?} was received before {early:?} was deleted"));
        }
        if before.iter().any(|other| other.0 == *line && other.1 >= *number) {
            self.violations.push(format!("{key:?} came late in one answer: {before:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> Key {
        ("g".into(), number)
    }

    fn sent(numbers: &[u64]) -> Ledger {
        let ledger = Ledger::default();
        for number in numbers {
            ledger.send_begun(&key(*number));
            ledger.sent(&key(*number));
        }
        ledger
    }

    #[test]
    fn what_was_sent_and_not_deleted_is_owed() {
        let ledger = sent(&[0, 1, 2]);
        ledger.send_begun(&key(3));
        ledger.delete_begun(&key(1));
        assert_eq!(ledger.owed(), [key(0), key(2)]);
        assert_eq!(ledger.next_of("g"), 3);
    }

    #[test]
    fn a_message_that_comes_back_after_its_delete_is_a_violation() {
        let ledger = sent(&[0]);
        let asked_before = ledger.moment();
        ledger.delete_begun(&key(0));
        ledger.deleted(&key(0));
        ledger.received(asked_before, &["g 0"], true);
        assert_eq!(ledger.violations(), [""; 0]);
        ledger.received(ledger.moment(), &["g 0"], true);
        assert_eq!(ledger.violations().len(), 1);
    }

    #[test]
    fn a_later_message_of_a_group_may_only_follow_an_earlier_one() {
        let ledger = sent(&[0, 1, 2]);
        ledger.received(ledger.moment(), &["g 0", "g 1"], true);
        assert_eq!(ledger.violations(), [""; 0]);
        ledger.delete_begun(&key(0));
        ledger.received(ledger.moment(), &["g 2"], true);
        assert_eq!(ledger.violations().len(), 1);
        ledger.received(ledger.moment(), &["g 2", "g 1"], true);
        assert_eq!(ledger.violations().len(), 3);
    }

    #[test]
    fn of_a_copy_only_what_was_known_before_is_certain() {
        let ledger = sent(&[0, 1, 2]);
        ledger.delete_begun(&key(0));
        ledger.deleted(&key(0));
        let before = ledger.copy();
        for number in [3, 4] {
            ledger.send_begun(&key(number));
            ledger.sent(&key(number));
        }
        ledger.delete_begun(&key(1));
        ledger.deleted(&key(1));
        let restored = before.restored(&ledger);
        ledger.send_begun(&key(5));
        assert_eq!(restored.owed(), [key(2)]);
        restored.received(restored.moment(), &["g 1", "g 2", "g 4"], true);
        assert_eq!(restored.violations(), [""; 0]);
        restored.received(restored.moment(), &["g 0", "g 5"], false);
        assert_eq!(restored.violations().len(), 2, "{:?}", restored.violations());
    }

    #[test]
    fn a_body_that_nobody_sent_is_a_violation() {
        let ledger = sent(&[0]);
        ledger.received(ledger.moment(), &["x"], false);
        ledger.received(ledger.moment(), &["g 7"], false);
        assert_eq!(ledger.violations().len(), 2);
    }
}
