//! Turns: what they see, what they write, when they answer.

use std::time::Duration;

use tokio::sync::oneshot;

use super::world::{World, fifo_message, key, message, receipts, receive, request, texts};
use crate::engine::command::{Command, Incoming, Outcome};
use crate::engine::queue::Counters;
use crate::error::Error;
use crate::model::time::Millis;
use crate::shard::core::Wake;
use crate::shard::request::{Parcel, Request};
use crate::shard::turn::{Answered, Turn};
use crate::store::memory::{Crash, Fault};
use crate::store::{Space, StoreError};

#[test]
fn a_turn_sees_what_it_wrote_itself() {
    let mut world = World::new(1);
    world.create("q");
    let (sent, mut sent_answer) = oneshot::channel();
    let (got, mut got_answer) = oneshot::channel();
    let send = request("q", Command::Send(vec![message("a"), message("b")]), sent);
    let receive = request("q", Command::Receive(receive(10)), got);
    world.step(0, vec![send, receive]).unwrap();
    assert!(sent_answer.try_recv().unwrap().is_ok());
    let Outcome::Received(messages) = got_answer.try_recv().unwrap().unwrap().open() else {
        panic!("a receive is answered with messages");
    };
    assert_eq!(texts(&messages), ["a", "b"]);
}

#[test]
fn a_turn_reads_its_own_rows_over_those_of_the_store() {
    let mut world = World::new(1);
    // No read-ahead: every receive reads.
    world.window_bytes_max = 0;
    world.start(1);
    world.create("q");
    for text in ["a", "b", "c", "d"] {
        world.send("q", vec![message(text)]);
    }
    let first = world.receive("q", 1);
    let answers: Vec<_> = [
        Command::Delete(receipts(&first)),
        Command::Receive(receive(1)),
        Command::Send(vec![message("e")]),
        Command::Receive(receive(10)),
    ]
    .into_iter()
    .map(|command| {
        let (reply, answer) = oneshot::channel();
        (request("q", command, reply), answer)
    })
    .collect();
    let (requests, mut answers): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
    world.step(0, requests).unwrap();
    let mut received = Vec::new();
    for answer in &mut answers {
        if let Outcome::Received(messages) = answer.try_recv().unwrap().unwrap().open() {
            received.extend(texts(&messages));
        }
    }
    assert_eq!(received, ["b", "c", "d", "e"]);
}

#[test]
fn two_sends_with_one_deduplication_id_in_one_turn_are_one_message() {
    let mut world = World::new(1);
    world.create("q.fifo");
    let (first, mut first_answer) = oneshot::channel();
    let (second, mut second_answer) = oneshot::channel();
    let requests = vec![
        request("q.fifo", Command::Send(vec![fifo_message("a", 7)]), first),
        request("q.fifo", Command::Send(vec![fifo_message("b", 7)]), second),
    ];
    world.step(0, requests).unwrap();
    let mut accepted = Vec::new();
    for answer in [&mut first_answer, &mut second_answer] {
        let Outcome::Sent(results) = answer.try_recv().unwrap().unwrap().open() else {
            panic!("a send is answered with results");
        };
        accepted.extend(results.into_iter().map(Result::unwrap));
    }
    assert!(!accepted[0].duplicate && accepted[1].duplicate);
    assert_eq!(accepted[0].id, accepted[1].id);
    assert_eq!(world.counters("q.fifo").available, 1);
}

#[test]
fn a_deduplication_id_holds_over_a_crash_and_its_row_goes_after_the_window() {
    let mut world = World::new(1);
    world.create("q.fifo");
    let first = world.send("q.fifo", vec![fifo_message("a", 7)]);
    world.restart(Crash::PowerCut { survivors: 0 }, 1);
    let again = world.send("q.fifo", vec![fifo_message("b", 7)]);
    assert!(again[0].duplicate && again[0].seq == first[0].seq);
    let rows = world.rows(Space::State);
    for _ in 0..12 {
        world.pass(61);
        world.settle();
    }
    assert_eq!(world.rows(Space::State), rows - 1);
    assert!(!world.send("q.fifo", vec![fifo_message("c", 7)])[0].duplicate);
}

#[test]
fn nobody_is_answered_when_the_commit_fails_not_even_a_duplicate() {
    for fault in [Fault::CommitLost, Fault::CommitUncertain, Fault::SyncFails] {
        let mut world = World::new(1);
        world.create("q.fifo");
        world.store.inject(fault);
        let (first, mut first_answer) = oneshot::channel();
        let (second, mut second_answer) = oneshot::channel();
        let requests = vec![
            request("q.fifo", Command::Send(vec![fifo_message("a", 7)]), first),
            request("q.fifo", Command::Send(vec![fifo_message("a", 7)]), second),
        ];
        assert!(matches!(world.step(0, requests), Err(StoreError::Io(_))));
        assert!(first_answer.try_recv().is_err());
        assert!(second_answer.try_recv().is_err());
        world.restart(Crash::PowerCut { survivors: 0 }, 1);
        assert_eq!(world.counters("q.fifo"), Counters::default());
    }
}

#[test]
fn a_receive_does_not_wait_for_the_sync_that_others_wait_for() {
    let mut world = World::new(1);
    world.create("q");
    world.send("q", vec![message("a"), message("b")]);
    let taken = world.receive("q", 1);
    let (deleted, mut deleted_answer) = oneshot::channel();
    let (received, mut received_answer) = oneshot::channel();
    let (empty, mut empty_answer) = oneshot::channel();
    let requests = vec![
        request("q", Command::Delete(receipts(&taken)), deleted),
        request("q", Command::Receive(receive(1)), received),
        request("q", Command::Receive(receive(1)), empty),
    ];
    world.store.inject(Fault::SyncFails);
    assert!(matches!(world.step(0, requests), Err(StoreError::Io(_))));
    assert!(received_answer.try_recv().is_ok());
    assert!(deleted_answer.try_recv().is_err());
    // That nothing is left depends on the delete and on the receive.
    assert!(empty_answer.try_recv().is_err());
}

#[test]
fn a_receive_waits_for_the_sync_of_a_message_that_came_in_its_turn() {
    let mut world = World::new(1);
    world.create("q");
    let (sent, mut sent_answer) = oneshot::channel();
    let (received, mut received_answer) = oneshot::channel();
    let requests = vec![
        request("q", Command::Send(vec![message("a")]), sent),
        request("q", Command::Receive(receive(1)), received),
    ];
    world.store.inject(Fault::SyncFails);
    assert!(matches!(world.step(0, requests), Err(StoreError::Io(_))));
    assert!(sent_answer.try_recv().is_err());
    assert!(received_answer.try_recv().is_err());
}

#[test]
fn counters_and_receive_counts_survive_a_restart() {
    let mut world = World::new(4);
    world.create("q");
    world.send("q", (0..10).map(|n| message(&n.to_string())).collect());
    let taken = world.receive("q", 4);
    world.apply("q", Command::Delete(receipts(&taken[..1]))).unwrap();
    let expected = Counters { available: 6, in_flight: 3, delayed: 0 };
    assert_eq!(world.counters("q"), expected);
    world.restart(Crash::Kill, 1);
    assert_eq!(world.counters("q"), expected);
    world.pass(31);
    world.settle();
    let again = world.receive("q", 10);
    assert_eq!(again.len(), 9);
    assert_eq!(again.iter().filter(|message| message.receive_count == 2).count(), 3);
}

#[test]
fn delays_that_ended_are_not_counted_again_by_the_next_start() {
    let mut world = World::new(1);
    world.create("q");
    let delayed = || Incoming { delay: Some(Millis::from_secs(900)), ..message("late") };
    world.send("q", (0..3_000).map(|_| delayed()).collect());
    world.pass(901);
    world.settle();
    let all = Counters { available: 3_000, in_flight: 0, delayed: 0 };
    assert_eq!(world.counters("q"), all);
    world.restart(Crash::Kill, 1);
    let before = world.store.counts().scanned_rows;
    world.settle();
    assert_eq!(world.counters("q"), all);
    assert!(world.store.counts().scanned_rows - before < 100);
}

#[test]
fn a_receive_that_the_power_cut_took_back_only_makes_the_message_available_early() {
    let mut world = World::new(1);
    world.create("q");
    world.send("q", vec![message("a")]);
    assert_eq!(world.receive("q", 1).len(), 1);
    assert_eq!(world.store.unsynced(), 1);
    world.restart(Crash::PowerCut { survivors: 0 }, 1);
    assert_eq!(world.counters("q"), Counters { available: 1, ..Counters::default() });
}

#[test]
fn an_empty_receive_writes_nothing() {
    let mut world = World::new(1);
    world.create("q");
    let before = world.store.counts();
    assert!(world.receive("q", 10).is_empty());
    assert_eq!(world.store.counts().commits, before.commits);
    assert_eq!(world.cores[0].wake(), Wake::Never);
}

#[test]
fn a_turn_of_many_sends_is_one_commit_and_one_sync() {
    let mut world = World::new(1);
    world.create("a");
    world.create("b");
    let before = world.store.counts();
    let requests = (0..100).map(|n| {
        let name = if n % 2 == 0 { "a" } else { "b" };
        request(name, Command::Send(vec![message("x")]), oneshot::channel().0)
    });
    world.step(0, requests.collect()).unwrap();
    let after = world.store.counts();
    assert_eq!((after.commits - before.commits, after.syncs - before.syncs), (1, 1));
    assert_eq!(after.gets + after.scans, before.gets + before.scans);
}

#[test]
fn a_busy_store_fails_the_command_and_not_the_shard() {
    let mut world = World::new(1);
    world.window_bytes_max = 0;
    world.start(1);
    world.create("q");
    world.send("q", vec![message("a")]);
    world.restart(Crash::Kill, 1);
    world.settle();
    world.store.inject(Fault::Reads(1));
    let refused = world.apply("q", Command::Receive(receive(1)));
    assert!(matches!(refused, Err(Error::ServiceUnavailable(_))), "{refused:?}");
    assert_eq!(texts(&world.receive("q", 1)), ["a"]);
}

#[test]
fn sequence_numbers_of_an_earlier_start_are_never_given_again() {
    let mut world = World::new(1);
    world.create("q");
    let mut last = world.send("q", vec![message("a")])[0].seq;
    for crash in [Crash::Kill, Crash::PowerCut { survivors: 0 }, Crash::Kill] {
        world.restart(crash, 1);
        let seq = world.send("q", vec![message("b")])[0].seq;
        assert!(seq > last);
        last = seq;
    }
}

#[test]
fn a_receive_of_somebody_who_left_takes_nothing() {
    let mut world = World::new(1);
    world.create("q");
    world.send("q", vec![message("a")]);
    let (reply, answer) = oneshot::channel();
    let receive = request("q", Command::Receive(receive(1)), reply);
    drop(answer);
    let before = world.store.counts();
    world.step(0, vec![receive]).unwrap();
    assert_eq!(world.store.counts().commits, before.commits);
    assert_eq!(world.counters("q").available, 1);
}

#[test]
fn messages_that_cannot_be_handed_over_come_back_in_the_next_turn() {
    let mut world = World::new(1);
    let info = world.create("q");
    world.send("q", vec![message("a")]);
    let messages = world.receive("q", 1);
    // The client leaves between the turn and its answers.
    let (reply, answer) = oneshot::channel();
    drop(answer);
    let mut turn = Turn::new(world.cores[0].now(), Duration::ZERO);
    let parcel = Parcel::new(&info, Outcome::Received(messages), None);
    turn.answers.push(Answered::Parcel(reply, Ok(parcel)));
    world.cores[0].answer(turn);
    world.settle();
    assert_eq!(world.counters("q"), Counters { available: 1, ..Counters::default() });
}

#[test]
fn a_parcel_that_nobody_opens_sends_its_messages_back() {
    let mut world = World::new(1);
    let info = world.create("q");
    world.send("q", vec![message("a")]);
    let messages = world.receive("q", 1);
    let (way_back, mailbox) = std::sync::mpsc::sync_channel(1);
    let parcel = |messages| Parcel::new(&info, Outcome::Received(messages), Some(way_back.clone()));
    drop(parcel(messages.clone()).open());
    assert!(mailbox.try_recv().is_err());
    drop(parcel(messages));
    world.step(0, vec![mailbox.try_recv().unwrap()]).unwrap();
    assert_eq!(world.counters("q"), Counters { available: 1, ..Counters::default() });
}

#[test]
fn read_ahead_stays_within_its_budget() {
    let mut world = World::new(1);
    world.window_bytes_max = 4_000;
    world.start(1);
    for name in ["a", "b", "c", "d"] {
        world.create(name);
        let body = "x".repeat(300);
        world.send(name, (0..10).map(|_| message(&body)).collect());
        assert_eq!(world.receive(name, 1).len(), 1);
        assert!(world.stats[0].window_bytes.get() <= 4_000 + 400);
    }
    for name in ["a", "b", "c", "d"] {
        assert_eq!(world.receive(name, 10).len(), 9);
    }
}

#[test]
fn a_request_for_no_queue_is_told_so() {
    let mut world = World::new(1);
    let refused = world.apply("none", Command::Receive(receive(1)));
    assert_eq!(refused.unwrap_err(), Error::QueueDoesNotExist);
    let count = world.ask("none", |reply| Request::Count { key: key("none"), reply });
    assert_eq!(count.unwrap_err(), Error::QueueDoesNotExist);
}
