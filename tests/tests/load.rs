//! Clients that send, receive and delete as fast as they are answered, and keep a ledger of it.

use std::{collections::BTreeSet, sync::Arc};

use aws_sdk_sqs::{
    Client,
    types::{DeleteMessageBatchRequestEntry, Message, SendMessageBatchRequestEntry},
};
use stanchion_tests::{
    Server,
    ledger::{Key, Ledger},
    sdk,
};
use tokio::task::JoinSet;

const STANDARD_PRODUCERS: usize = 4;
const FIFO_PRODUCERS: usize = 4;
const CONSUMERS: usize = 3;

/// Short, so that what a crash left in flight comes back while the test looks on.
pub(crate) const VISIBILITY_TIMEOUT_S: &str = "2";

/// Producers and consumers on both queues, each running until the server no longer answers.
pub(crate) fn start(
    server: &Server,
    ledger: &Arc<Ledger>,
    standard: &str,
    fifo: &str,
) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for producer in 0..STANDARD_PRODUCERS {
        let worker = Worker::new(server, ledger, standard);
        let line = format!("s{producer}");
        // Half of them send batches.
        match producer % 2 {
            0 => clients.spawn(worker.send_singly(line)),
            _ => clients.spawn(worker.send_in_batches(line)),
        };
    }
    for producer in 0..FIFO_PRODUCERS {
        clients.spawn(Worker::new(server, ledger, fifo).send_in_order(format!("g{producer}")));
    }
    for _ in 0..CONSUMERS {
        clients.spawn(Worker::new(server, ledger, standard).consume(false));
        clients.spawn(Worker::new(server, ledger, fifo).consume(true));
    }
    clients
}

/// One client's view: a queue, and the ledger it keeps.
struct Worker {
    sqs: Client,
    url: String,
    ledger: Arc<Ledger>,
}

impl Worker {
    fn new(server: &Server, ledger: &Arc<Ledger>, url: &str) -> Worker {
        Worker { sqs: sdk::client(server), url: url.to_owned(), ledger: ledger.clone() }
    }

    /// A standard producer never repeats a send, so an unanswered one may have happened or not.
    async fn send_singly(self, line: String) {
        let first = self.ledger.next_of(&line) + 1_000;
        for key in (first..).map(|number| (line.clone(), number)) {
            self.ledger.send_begun(&key);
            let send = self.sqs.send_message().queue_url(&self.url);
            if send.message_body(Ledger::body(&key)).send().await.is_err() {
                return;
            }
            self.ledger.sent(&key);
        }
    }

    async fn send_in_batches(self, line: String) {
        let first = self.ledger.next_of(&line) + 1_000;
        for start in (first..).step_by(10) {
            let keys: Vec<Key> = (start..start + 10).map(|number| (line.clone(), number)).collect();
            let mut send = self.sqs.send_message_batch().queue_url(&self.url);
            for (id, key) in keys.iter().enumerate() {
                self.ledger.send_begun(key);
                let entry = SendMessageBatchRequestEntry::builder().id(id.to_string());
                let entry = entry.message_body(Ledger::body(key)).build();
                send = send.entries(entry.expect("id and body are given"));
            }
            let Ok(answer) = send.send().await else { return };
            assert!(answer.failed().is_empty(), "{answer:?}");
            keys.iter().for_each(|key| self.ledger.sent(key));
        }
    }

    /// A FIFO producer repeats an unanswered send with its deduplication id, so that in the end
    /// every number is there once.
    async fn send_in_order(self, line: String) {
        for number in self.ledger.next_of(&line).. {
            let key = (line.clone(), number);
            self.ledger.send_begun(&key);
            let send = self.sqs.send_message().queue_url(&self.url);
            let send = send.message_body(Ledger::body(&key)).message_group_id(&line);
            // The whole queue is the scope, so the group is part of the id.
            let id = format!("{line}-{number}");
            if send.message_deduplication_id(id).send().await.is_err() {
                return;
            }
            self.ledger.sent(&key);
        }
    }

    /// Deletes two thirds of what it receives and lets the rest return.
    async fn consume(self, ordered: bool) {
        for round in 0u32.. {
            let asked = self.ledger.moment();
            let receive = self.sqs.receive_message().queue_url(&self.url);
            let Ok(answer) = receive.max_number_of_messages(10).wait_time_seconds(1).send().await
            else {
                return;
            };
            let messages = answer.messages();
            self.ledger.received(asked, &sdk::bodies(messages), ordered);
            if round % 3 != 2 && !messages.is_empty() && !self.delete(messages).await {
                return;
            }
        }
    }

    /// Deletes in order, as a consumer of a group does; false once the server is gone.
    async fn delete(&self, messages: &[Message]) -> bool {
        let mut delete = self.sqs.delete_message_batch().queue_url(&self.url);
        for (id, message) in messages.iter().enumerate() {
            if let Some(key) = Ledger::key(sdk::body(message)) {
                self.ledger.delete_begun(&key);
            }
            let entry = DeleteMessageBatchRequestEntry::builder().id(id.to_string());
            let entry = entry.receipt_handle(sdk::handle(message)).build();
            delete = delete.entries(entry.expect("id and handle are given"));
        }
        let Ok(answer) = delete.send().await else { return false };
        // On a FIFO queue an expired handle is refused, and the message comes again.
        for deleted in answer.successful() {
            let index: usize = deleted.id().parse().expect("the ids are ours");
            if let Some(key) = Ledger::key(sdk::body(&messages[index])) {
                self.ledger.deleted(&key);
            }
        }
        true
    }
}

/// Receives and deletes until the queue has been empty for longer than the visibility timeout.
/// Answers how many messages there were.
pub(crate) async fn drain(sqs: &Client, url: &str, ledger: &Arc<Ledger>, ordered: bool) -> usize {
    let worker = Worker { sqs: sqs.clone(), url: url.to_owned(), ledger: ledger.clone() };
    let mut seen = BTreeSet::new();
    loop {
        let asked = ledger.moment();
        let messages = sdk::receive(sqs, url, 5).await;
        if messages.is_empty() {
            return seen.len();
        }
        seen.extend(messages.iter().map(|message| sdk::body(message).to_owned()));
        ledger.received(asked, &sdk::bodies(&messages), ordered);
        assert!(worker.delete(&messages).await, "the server answers");
    }
}
