//! What may not happen, whoever sends, receives, deletes or pulls the plug.
//!
//! The auditor is told what clients did and what they were answered, and knows nothing of HTTP or
//! time: a simulation can feed it as well as a load test. A request whose answer never came (the
//! server died) counts as *attempted*: it may have happened or not, and both are right.
//!
//! Each call is one event; the order of calls is the order of events. Whoever shares an auditor
//! between threads keeps it behind a mutex, reports an attempt *before* its request leaves, and an
//! answer *after* it arrived.

use std::collections::HashMap;

/// A message as its sender knows it: the `number`th of a stream, counted from zero without gaps.
/// For FIFO queues a stream is a message group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Index of the stream, as returned by [`Audit::stream`].
    pub stream: usize,
    /// Position in the stream.
    pub number: usize,
}

/// A point in the order of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

/// Whether a stream promises order and single delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// A standard queue: any order, now and then twice.
    Any,
    /// A message group of a FIFO queue. Its sender sends one after the other and repeats a send,
    /// with the same deduplication id, until it is acknowledged.
    Strict,
}

/// One message in a ReceiveMessage reply.
#[derive(Debug, Clone)]
pub struct Reception {
    /// Which one.
    pub key: Key,
    /// Its `MessageId`, hashed or shortened as the caller likes.
    pub message_id: u128,
    /// Its `ApproximateReceiveCount`, when asked for.
    pub receive_count: Option<u32>,
}

/// A broken promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Breach {
    /// Acknowledged, never deleted, and not there any more.
    Lost,
    /// Received by a request that began after its delete was acknowledged.
    Resurrected,
    /// Given out while an earlier message of its group was neither deleted nor just before it in
    /// the same reply.
    OutOfOrder,
    /// One send to a FIFO queue became two messages.
    Duplicated,
    /// A receive count that did not grow.
    CountNotGrown,
    /// A message nobody sent.
    Unknown,
}

/// All breaches, in the order in which they are reported.
pub const BREACHES: [(Breach, &str); 6] = [
    (Breach::Lost, "lost"),
    (Breach::Resurrected, "received after an acknowledged delete"),
    (Breach::OutOfOrder, "out of order in their group"),
    (Breach::Duplicated, "duplicated in a FIFO queue"),
    (Breach::CountNotGrown, "with a receive count that did not grow"),
    (Breach::Unknown, "never sent"),
];

/// How many of a kind of breach are kept as examples.
const EXAMPLES_MAX: usize = 5;

#[derive(Debug, Clone, Copy, Default)]
struct Message {
    send_acknowledged: bool,
    delete_attempted: bool,
    delete_acknowledged: Option<Moment>,
    /// When it was last seen in a reply.
    seen: Option<Moment>,
    message_id: Option<u128>,
    receive_count: u32,
}

#[derive(Debug)]
struct Stream {
    order: Order,
    messages: Vec<Message>,
    /// No message before this one can hold up a later one.
    settled: usize,
}

/// Knows every acknowledged send and delete.
#[derive(Debug, Default)]
pub struct Audit {
    streams: Vec<Stream>,
    clock: u64,
    drain_began: Option<Moment>,
    breaches: HashMap<Breach, (usize, Vec<Key>)>,
    sends_acknowledged: usize,
    deletes_acknowledged: usize,
    receptions: usize,
}

impl Audit {
    /// Knows of nothing.
    pub fn new() -> Audit {
        Audit::default()
    }

    /// Opens a stream.
    pub fn stream(&mut self, order: Order) -> usize {
        self.streams.push(Stream { order, messages: Vec::new(), settled: 0 });
        self.streams.len() - 1
    }

    /// A new message is about to be sent. Returns its key.
    pub fn send_attempted(&mut self, stream: usize) -> Key {
        let messages = &mut self.streams[stream].messages;
        messages.push(Message::default());
        Key { stream, number: messages.len() - 1 }
    }

    /// The server said it has the message.
    pub fn send_acknowledged(&mut self, key: Key) {
        if let Some(message) = self.message(key) {
            message.send_acknowledged = true;
            self.sends_acknowledged += 1;
        }
    }

    /// A delete is about to be sent.
    pub fn delete_attempted(&mut self, key: Key) {
        if let Some(message) = self.message(key) {
            message.delete_attempted = true;
        }
    }

    /// The server said the message is gone. Only to be reported for a delete with the latest
    /// receipt handle: an older one may be answered with success and delete nothing.
    pub fn delete_acknowledged(&mut self, key: Key) {
        let now = self.tick();
        if let Some(message) = self.message(key) {
            message.delete_acknowledged.get_or_insert(now);
            self.deletes_acknowledged += 1;
        }
    }

    /// A receive is about to be sent.
    pub fn receive_attempted(&mut self) -> Moment {
        self.tick()
    }

    /// The reply to the receive that began at `began`.
    pub fn received(&mut self, began: Moment, reply: &[Reception]) {
        let now = self.tick();
        for (at, reception) in reply.iter().enumerate() {
            self.receptions += 1;
            let key = reception.key;
            let Some(&message) = self.message(key).map(|message| &*message) else {
                self.breach(Breach::Unknown, key);
                continue;
            };
            if message.delete_acknowledged.is_some_and(|deleted| deleted < began) {
                self.breach(Breach::Resurrected, key);
            }
            if reception.receive_count.is_some_and(|count| count <= message.receive_count) {
                self.breach(Breach::CountNotGrown, key);
            }
            if self.streams[key.stream].order == Order::Strict {
                if message.message_id.is_some_and(|id| id != reception.message_id) {
                    self.breach(Breach::Duplicated, key);
                }
                if self.is_held_up(key, &reply[..at]) {
                    self.breach(Breach::OutOfOrder, key);
                }
            }
            if let Some(message) = self.message(key) {
                message.seen = Some(now);
                message.message_id = Some(reception.message_id);
                message.receive_count = reception.receive_count.unwrap_or(message.receive_count);
            }
        }
    }

    /// From here on nothing is sent any more, and everything that is left is received until the
    /// queues are empty: what does not appear is lost.
    pub fn drain_began(&mut self) {
        self.drain_began = Some(self.tick());
    }

    /// What was found. Without a drain, a message counts as lost when it was never received.
    pub fn finish(mut self) -> Findings {
        let since = self.drain_began.unwrap_or(Moment(0));
        let mut lost = Vec::new();
        for (stream, Stream { messages, .. }) in self.streams.iter().enumerate() {
            for (number, message) in messages.iter().enumerate() {
                let owed = message.send_acknowledged && !message.delete_attempted;
                // An attempted delete may have happened, but only of a message that was received.
                if owed && message.seen.is_none_or(|seen| seen < since) {
                    lost.push(Key { stream, number });
                }
            }
        }
        for key in lost {
            self.breach(Breach::Lost, key);
        }
        Findings {
            sends_acknowledged: self.sends_acknowledged,
            deletes_acknowledged: self.deletes_acknowledged,
            receptions: self.receptions,
            breaches: self.breaches,
        }
    }

    /// Acknowledged sends minus attempted deletes of a rough kind: how much waits to be received.
    pub fn backlog(&self) -> usize {
        self.sends_acknowledged.saturating_sub(self.deletes_acknowledged)
    }

    /// Whether an earlier message of the group must come first.
    fn is_held_up(&mut self, key: Key, before: &[Reception]) -> bool {
        let Stream { messages, settled, .. } = &mut self.streams[key.stream];
        while messages.get(*settled).is_some_and(|message| message.delete_attempted) {
            *settled += 1;
        }
        let settled = (*settled).min(key.number);
        let earlier = messages[settled..key.number].iter().zip(settled..);
        let mut open = earlier
            .filter(|(message, _)| message.send_acknowledged && !message.delete_attempted)
            .map(|(_, number)| Key { number, ..key });
        // A message behind this one in the same reply is out of order too.
        open.any(|open| !before.iter().any(|reception| reception.key == open))
            || before.iter().any(|r| r.key.stream == key.stream && key.number < r.key.number)
    }

    fn message(&mut self, key: Key) -> Option<&mut Message> {
        self.streams.get_mut(key.stream)?.messages.get_mut(key.number)
    }

    fn breach(&mut self, breach: Breach, key: Key) {
        let (count, examples) = self.breaches.entry(breach).or_default();
        *count += 1;
        if examples.len() < EXAMPLES_MAX {
            examples.push(key);
        }
    }

    fn tick(&mut self) -> Moment {
        self.clock += 1;
        Moment(self.clock)
    }
}

/// The result of an audit.
#[derive(Debug)]
pub struct Findings {
    /// Messages the server said it had.
    pub sends_acknowledged: usize,
    /// Deletes the server said it had done.
    pub deletes_acknowledged: usize,
    /// Messages in all replies.
    pub receptions: usize,
    breaches: HashMap<Breach, (usize, Vec<Key>)>,
}

impl Findings {
    /// How many messages broke this promise.
    pub fn count(&self, breach: Breach) -> usize {
        self.breaches.get(&breach).map_or(0, |(count, _)| *count)
    }

    /// Some of them.
    pub fn examples(&self, breach: Breach) -> &[Key] {
        self.breaches.get(&breach).map_or(&[], |(_, examples)| examples)
    }

    /// Whether every promise was kept.
    pub fn is_clean(&self) -> bool {
        self.breaches.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a story against one stream. Messages are named by number; a line is
    /// `send N`, `send N lost` (no answer), `receive N...`, `delete N`, `delete N lost`, `drain`.
    fn breaches(order: Order, story: &str) -> Vec<Breach> {
        let mut audit = Audit::new();
        let stream = audit.stream(order);
        let mut counts: HashMap<usize, u32> = HashMap::new();
        for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let words: Vec<&str> = line.split(' ').collect();
            let numbers = || words[1..].iter().map_while(|word| word.parse::<usize>().ok());
            let answered = *words.last().unwrap() != "lost";
            match words[0] {
                "send" => {
                    let key = audit.send_attempted(stream);
                    assert_eq!(Some(key.number), numbers().next(), "numbers have no gaps");
                    if answered {
                        audit.send_acknowledged(key);
                    }
                }
                "receive" => {
                    let began = audit.receive_attempted();
                    let reply: Vec<Reception> = numbers()
                        .map(|number| {
                            let count = counts.entry(number).or_default();
                            *count += 1;
                            Reception {
                                key: Key { stream, number },
                                message_id: number as u128,
                                receive_count: Some(*count),
                            }
                        })
                        .collect();
                    audit.received(began, &reply);
                }
                "delete" => {
                    for number in numbers() {
                        audit.delete_attempted(Key { stream, number });
                        if answered {
                            audit.delete_acknowledged(Key { stream, number });
                        }
                    }
                }
                "drain" => audit.drain_began(),
                other => panic!("{other}"),
            }
        }
        let findings = audit.finish();
        BREACHES.iter().map(|&(breach, _)| breach).filter(|&b| 0 < findings.count(b)).collect()
    }

    #[test]
    fn a_quiet_life_breaks_nothing() {
        let story = "send 0\nsend 1\nreceive 0\nreceive 1\ndelete 1\ndrain\nreceive 0\ndelete 0";
        assert_eq!(breaches(Order::Any, story), []);
        assert_eq!(breaches(Order::Strict, "send 0\nsend 1\nreceive 0 1\ndelete 0 1"), []);
    }

    #[test]
    fn an_acknowledged_message_that_does_not_appear_in_the_drain_is_lost() {
        assert_eq!(breaches(Order::Any, "send 0\ndrain"), [Breach::Lost]);
        assert_eq!(breaches(Order::Any, "send 0\nreceive 0\ndrain"), [Breach::Lost]);
    }

    #[test]
    fn what_was_never_answered_may_have_happened_or_not() {
        assert_eq!(breaches(Order::Any, "send 0 lost\ndrain"), []);
        assert_eq!(breaches(Order::Any, "send 0 lost\ndrain\nreceive 0"), []);
        assert_eq!(breaches(Order::Any, "send 0\nreceive 0\ndelete 0 lost\ndrain"), []);
        assert_eq!(breaches(Order::Any, "send 0\nreceive 0\ndelete 0 lost\ndrain\nreceive 0"), []);
    }

    #[test]
    fn a_deleted_message_does_not_return() {
        let story = "send 0\nreceive 0\ndelete 0\nreceive 0";
        assert_eq!(breaches(Order::Any, story), [Breach::Resurrected]);
    }

    #[test]
    fn a_receive_that_began_before_the_delete_was_answered_may_still_see_the_message() {
        let mut audit = Audit::new();
        let stream = audit.stream(Order::Any);
        let key = audit.send_attempted(stream);
        audit.send_acknowledged(key);
        let began = audit.receive_attempted();
        audit.delete_attempted(key);
        audit.delete_acknowledged(key);
        audit.received(began, &[Reception { key, message_id: 1, receive_count: None }]);
        assert!(audit.finish().is_clean());
    }

    #[test]
    fn a_group_is_delivered_in_order() {
        let out_of_order = [Breach::OutOfOrder];
        let sends = "send 0\nsend 1\nsend 2\n";
        let check = |rest: &str| breaches(Order::Strict, &format!("{sends}{rest}\ndelete 0 1 2"));
        assert_eq!(check("receive 1"), out_of_order);
        assert_eq!(check("receive 1 0"), out_of_order);
        assert_eq!(check("receive 0\nreceive 1"), out_of_order);
        assert_eq!(check("receive 0 1 2\nreceive 1"), out_of_order);
        assert_eq!(check("receive 0 1 2\nreceive 0 1"), []);
        assert_eq!(check("receive 0\ndelete 0\nreceive 1 2"), []);
        assert_eq!(breaches(Order::Any, "send 0\nsend 1\nreceive 1\nreceive 0"), []);
    }

    #[test]
    fn one_send_is_one_message_and_every_receive_counts() {
        let mut audit = Audit::new();
        let stream = audit.stream(Order::Strict);
        let key = audit.send_attempted(stream);
        audit.send_acknowledged(key);
        for (message_id, count) in [(1, 1), (2, 1)] {
            let began = audit.receive_attempted();
            audit.received(began, &[Reception { key, message_id, receive_count: Some(count) }]);
        }
        let findings = audit.finish();
        assert_eq!(findings.count(Breach::Duplicated), 1);
        assert_eq!(findings.count(Breach::CountNotGrown), 1);
    }
}
