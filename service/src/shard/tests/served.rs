//! The shards as the API sees them: threads, handles, and their end.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::env::{ManualClock, SystemClock};
use crate::error::Error;
use crate::model::attributes::QueueSettings;
use crate::model::filter::Filter;
use crate::model::message::{Attributes, Content, NewMessage, PeekedMessage, ReceivedMessage};
use crate::model::time::Millis;
use crate::shard::handle::{Shards, Tags};
use crate::shard::messages::ReceiveRequest;
use crate::shard::peek::{Peek, Show, Start};
use crate::shard::start::{Failure, StartOptions};
use crate::store::memory::{Crash, Fault, MemoryStore};

use super::world::key;

impl Show for PeekedMessage {
    fn show(message: PeekedMessage) -> PeekedMessage {
        message
    }
}

fn start(store: &MemoryStore) -> (Shards, Failure) {
    let options = StartOptions::new(Arc::new(store.clone()), Arc::new(SystemClock));
    Shards::start(StartOptions { shards: 2, ..options }).unwrap()
}

pub(super) async fn create(shards: &Shards, name: &str) {
    let settings = QueueSettings::new(key(name).name.kind());
    shards.create(key(name), settings, Tags::new(), Box::new(|_| Ok(()))).await.unwrap();
}

pub(super) fn new_message(text: &str) -> NewMessage {
    NewMessage {
        content: Content {
            body: text.to_owned().into(),
            body_md5: [0; 16],
            attributes: Attributes::new(),
            attributes_md5: None,
            trace_header: None,
            sender_id: "sender".into(),
            group_id: None,
            deduplication_id: None,
        },
        delay: None,
    }
}

pub(super) fn receive(wait_s: u32) -> ReceiveRequest {
    ReceiveRequest { max: 10, visibility: None, wait: Millis::from_secs(wait_s), attempt_id: None }
}

/// A long poll on the queue `q`, once it waits.
async fn park_a_poll(shards: &Shards) -> JoinHandle<Result<Vec<ReceivedMessage>, Error>> {
    let waiting = tokio::spawn({
        let shards = shards.clone();
        async move { shards.receive(&key("q"), receive(20)).await }
    });
    while shards.stats().iter().all(|stats| stats.parked_polls.get() == 0) {
        tokio::task::yield_now().await;
    }
    waiting
}

#[tokio::test]
async fn a_message_goes_in_and_out_and_away() {
    let (shards, _failure) = start(&MemoryStore::new());
    create(&shards, "q").await;
    let sent = shards.send(&key("q"), vec![new_message("hello")]).await.unwrap();
    let sent = sent[0].as_ref().unwrap();
    assert_eq!(sent.sequence_number, None);
    let received = shards.receive(&key("q"), receive(0)).await.unwrap();
    assert_eq!(
        (&received[0].message.content.body[..], received[0].message.id),
        (&b"hello"[..], sent.id)
    );
    let handle = received[0].receipt_handle.clone();
    let hide = vec![(handle.clone(), 60)];
    assert_eq!(shards.change_visibility(&key("q"), hide).await.unwrap(), [Ok(())]);
    let beyond = vec![(handle.clone(), 43_200)];
    tokio::task::yield_now().await;
    let refused = shards.change_visibility(&key("q"), beyond).await.unwrap();
    assert!(matches!(refused[0], Ok(()) | Err(Error::VisibilityBeyondLimit(43_200))));
    let mixed = vec!["garbage".to_owned(), handle];
    let results = shards.delete(&key("q"), mixed).await.unwrap();
    assert_eq!(results, [Err(Error::ReceiptHandleIsInvalid("garbage".into())), Ok(())]);
    let left = shards.counters(&key("q")).await.unwrap();
    assert_eq!(left, Default::default());
    shards.stop().await;
}

#[tokio::test]
async fn a_fifo_queue_shows_sequence_numbers_and_drops_duplicates() {
    let (shards, _failure) = start(&MemoryStore::new());
    create(&shards, "q.fifo").await;
    let mut message = new_message("a");
    message.content.group_id = Some("g".into());
    message.content.deduplication_id = Some("d".into());
    let sent = shards.send(&key("q.fifo"), vec![message.clone(), message]).await.unwrap();
    assert_eq!(sent[0], sent[1]);
    let number = sent[0].as_ref().unwrap().sequence_number.clone();
    assert_eq!(number.as_ref().map(String::len), Some(20));
    let received = shards.receive(&key("q.fifo"), receive(0)).await.unwrap();
    assert_eq!((received.len(), &received[0].message.sequence_number), (1, &number));
    shards.stop().await;
}

#[tokio::test]
async fn a_long_poll_is_woken_by_a_send() {
    let (shards, _failure) = start(&MemoryStore::new());
    create(&shards, "q").await;
    let waiting = park_a_poll(&shards).await;
    shards.send(&key("q"), vec![new_message("a")]).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().len(), 1);
    shards.stop().await;
}

fn look(start: Start, wait_s: u32) -> Peek {
    let filter = Filter { body: Some("wanted".into()), ..Filter::default() };
    Peek { filter, start, max: 10, bytes_max: 1 << 20, wait: Millis::from_secs(wait_s) }
}

#[tokio::test]
async fn a_look_waits_for_what_arrives_and_passes_its_filter() {
    let (shards, _failure) = start(&MemoryStore::new());
    create(&shards, "q").await;
    shards.send(&key("q"), vec![new_message("wanted"), new_message("no")]).await.unwrap();
    let page = shards.peek::<PeekedMessage>(&key("q"), look(Start::Oldest, 20)).await.unwrap();
    assert_eq!((page.messages.len(), page.at_end), (1, true), "it need not wait");
    let tail = Start::Token(page.token);
    let now = shards.peek::<PeekedMessage>(&key("q"), look(Start::Now, 0)).await.unwrap();
    assert_eq!(tail, Start::Token(now.token), "both are at the end");
    assert_eq!(
        shards
            .peek::<PeekedMessage>(&key("q"), look(tail.clone(), 0))
            .await
            .unwrap()
            .messages
            .len(),
        0
    );

    let waiting = tokio::spawn({
        let (shards, tail) = (shards.clone(), tail.clone());
        async move { shards.peek::<PeekedMessage>(&key("q"), look(tail, 20)).await.unwrap() }
    });
    // Whether they arrive before it waits or while it does.
    tokio::task::yield_now().await;
    shards.send(&key("q"), vec![new_message("no")]).await.unwrap();
    tokio::task::yield_now().await;
    shards.send(&key("q"), vec![new_message("wanted too")]).await.unwrap();
    let page = waiting.await.unwrap();
    assert_eq!(&page.messages[0].message.content.body[..], b"wanted too");
    assert_eq!(page.messages.len(), 1);
    assert_eq!(shards.receive(&key("q"), receive(0)).await.unwrap().len(), 4);

    // Nobody waits longer than the queue lives, or than the server serves.
    let last = look(Start::Token(page.token), 20);
    let waiting = tokio::spawn({
        let (shards, last) = (shards.clone(), last.clone());
        async move { shards.peek::<PeekedMessage>(&key("q"), last).await }
    });
    shards.drain();
    assert_eq!(waiting.await.unwrap().map(|page| page.messages.len()), Ok(0));
    let later = shards.peek::<PeekedMessage>(&key("q"), last.clone()).await.unwrap();
    assert_eq!(later.messages.len(), 0);
    shards.delete_queue(&key("q")).await.unwrap();
    create(&shards, "q").await;
    let refused = shards.peek::<PeekedMessage>(&key("q"), last).await;
    assert!(matches!(refused, Err(Error::InvalidParameter(_))), "a token of another queue");
    shards.stop().await;
}

#[tokio::test]
async fn handles_of_a_deleted_queue_do_not_fit_the_next_of_its_name() {
    let store = MemoryStore::new();
    let (shards, _failure) = start(&store);
    create(&shards, "q").await;
    shards.send(&key("q"), vec![new_message("a")]).await.unwrap();
    let handle = shards.receive(&key("q"), receive(0)).await.unwrap()[0].receipt_handle.clone();
    shards.delete_queue(&key("q")).await.unwrap();
    let gone = shards.delete(&key("q"), vec![handle.clone()]).await;
    assert_eq!(gone, Err(Error::QueueDoesNotExist));
    create(&shards, "q").await;
    let refused = shards.delete(&key("q"), vec![handle.clone()]).await.unwrap();
    assert_eq!(refused, [Err(Error::ReceiptHandleOfAnotherQueue(handle))]);
    shards.stop().await;
}

#[tokio::test]
async fn handles_stay_good_over_a_restart() {
    let store = MemoryStore::new();
    let (shards, _failure) = start(&store);
    create(&shards, "q").await;
    shards.send(&key("q"), vec![new_message("a")]).await.unwrap();
    let handle = shards.receive(&key("q"), receive(0)).await.unwrap()[0].receipt_handle.clone();
    shards.stop().await;
    let (shards, _failure) = start(&store.crash(Crash::Kill));
    assert_eq!(shards.delete(&key("q"), vec![handle]).await.unwrap(), [Ok(())]);
    assert_eq!(shards.counters(&key("q")).await.unwrap(), Default::default());
    shards.stop().await;
}

#[tokio::test]
async fn draining_ends_polls_and_stopping_refuses_the_rest() {
    let (shards, _failure) = start(&MemoryStore::new());
    create(&shards, "q").await;
    let waiting = park_a_poll(&shards).await;
    shards.drain();
    assert_eq!(waiting.await.unwrap(), Ok(Vec::new()));
    assert_eq!(shards.receive(&key("q"), receive(20)).await, Ok(Vec::new()));
    shards.stop().await;
    let refused = shards.receive(&key("q"), receive(0)).await;
    assert!(matches!(refused, Err(Error::ServiceUnavailable(_))), "{refused:?}");
    assert!(shards.is_healthy());
}

#[tokio::test]
async fn a_failed_commit_fails_those_who_wait_and_tells_the_process_to_end() {
    let store = MemoryStore::new();
    let (shards, mut failure) = start(&store);
    create(&shards, "q").await;
    store.inject(Fault::CommitLost);
    let refused = shards.send(&key("q"), vec![new_message("a")]).await;
    assert!(matches!(refused, Err(Error::Internal(_))), "{refused:?}");
    let why = failure.wait_for(Option::is_some).await.unwrap().clone();
    assert!(why.unwrap().contains("commit failed"));
    assert!(!shards.is_healthy());
    let refused = shards.send(&key("q"), vec![new_message("b")]).await;
    assert!(matches!(refused, Err(Error::Internal(_))));
    shards.stop().await;
}

#[tokio::test]
async fn virtual_time_moves_deadlines_at_once_and_survives_a_restart() {
    let store = MemoryStore::new();
    let clock = Arc::new(ManualClock::at(Duration::from_secs(1_800_000_000)));
    let start = |store: &MemoryStore, virtual_clock| {
        let options = StartOptions::new(Arc::new(store.clone()), clock.clone());
        Shards::start(StartOptions { virtual_clock, ..options }).unwrap().0
    };
    let shards = start(&store, true);
    create(&shards, "q").await;
    shards.send(&key("q"), vec![new_message("a")]).await.unwrap();
    assert_eq!(shards.receive(&key("q"), receive(0)).await.unwrap().len(), 1);
    let before = shards.now();
    shards.advance_clock(Millis::from_secs(31)).await.unwrap();
    assert_eq!(shards.now().since(before), Millis::from_secs(31));
    assert_eq!(shards.receive(&key("q"), receive(0)).await.unwrap().len(), 1);
    shards.stop().await;

    let shards = start(&store.crash(Crash::PowerCut { survivors: 0 }), false);
    assert_eq!(shards.now().since(before), Millis::from_secs(31));
    let refused = shards.advance_clock(Millis(1)).await;
    assert!(matches!(refused, Err(Error::UnsupportedOperation(_))));
    shards.stop().await;
}

#[tokio::test]
async fn polls_beyond_their_bound_are_refused() {
    let store = MemoryStore::new();
    let options = StartOptions::new(Arc::new(store), Arc::new(SystemClock));
    let (shards, _failure) =
        Shards::start(StartOptions { parked_polls_max: 0, ..options }).unwrap();
    create(&shards, "q").await;
    let refused = shards.receive(&key("q"), receive(1)).await;
    assert!(matches!(refused, Err(Error::ServiceUnavailable(_))));
    assert_eq!(shards.receive(&key("q"), receive(0)).await, Ok(Vec::new()));
    shards.stop().await;
}

#[tokio::test]
async fn without_room_on_the_disk_sends_are_refused_and_receives_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let disk = rustix::fs::statvfs(folder.path()).unwrap();
    let free_bytes = disk.f_bavail * disk.f_frsize;
    let store = MemoryStore::new();
    let (shards, _failure) = start(&store);
    create(&shards, "q").await;
    shards.send(&key("q"), vec![new_message("a")]).await.unwrap();
    shards.stop().await;

    let options = StartOptions::new(Arc::new(store.crash(Crash::Kill)), Arc::new(SystemClock));
    let free_space = Some(crate::shard::free_space::FreeSpaceOptions {
        path: folder.path().into(),
        // Between the mark and half of it, whatever others write meanwhile.
        mark_bytes: Some(free_bytes / 2 * 3),
    });
    let (shards, _failure) = Shards::start(StartOptions { free_space, ..options }).unwrap();
    assert!(!shards.accepts_sends());
    let refused = shards.send(&key("q"), vec![new_message("b")]).await;
    assert!(matches!(refused, Err(Error::ServiceUnavailable(_))));
    assert_eq!(shards.receive(&key("q"), receive(0)).await.unwrap().len(), 1);
    shards.stop().await;
}
