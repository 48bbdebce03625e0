//! Long polls: who is served, who waits, who has left.

use std::time::Duration;

use super::world::{World, key, message, polled, receive, request};
use crate::engine::command::Command;
use crate::engine::queue::Counters;
use crate::error::Error;
use crate::shard::core::Wake;
use crate::shard::request::Request;

fn got(text: &str) -> Option<Result<Vec<String>, Error>> {
    Some(Ok(vec![text.to_owned()]))
}

#[test]
fn waiters_are_served_in_the_order_they_came() {
    let mut world = World::new(1);
    world.create("q");
    let mut polls: Vec<_> = (0..3).map(|_| world.poll("q")).collect();
    world.send("q", vec![message("a")]);
    assert_eq!(polled(&mut polls[0]), got("a"));
    assert_eq!(polled(&mut polls[1]), None);
    world.send("q", vec![message("b"), message("c")]);
    assert_eq!(polled(&mut polls[1]), got("b"));
    assert_eq!(polled(&mut polls[2]), got("c"));
}

#[test]
fn a_newcomer_does_not_overtake_those_who_wait() {
    let mut world = World::new(1);
    world.create("q");
    let mut early = world.poll("q");
    let (late, mut late_answer) = world.long_poll("q", 20);
    let (reply, _answer) = tokio::sync::oneshot::channel();
    let send = request("q", Command::Send(vec![message("a")]), reply);
    world.step(0, vec![send, late]).unwrap();
    assert_eq!(polled(&mut early), got("a"));
    assert_eq!(polled(&mut late_answer), None);
}

#[test]
fn one_who_hung_up_is_passed_over() {
    let mut world = World::new(1);
    world.create("q");
    drop(world.poll("q"));
    let mut second = world.poll("q");
    world.send("q", vec![message("a")]);
    assert_eq!(polled(&mut second), got("a"));
}

#[test]
fn patience_ends_in_real_time_with_an_empty_answer() {
    let mut world = World::new(1);
    world.create("q");
    let mut poll = world.poll("q");
    assert_eq!(world.cores[0].wake(), Wake::In(Duration::from_secs(20)));
    world.pass(19);
    world.settle();
    assert_eq!(polled(&mut poll), None);
    world.pass(1);
    world.settle();
    assert_eq!(polled(&mut poll), Some(Ok(Vec::new())));
    assert_eq!(world.cores[0].wake(), Wake::Never);
    assert_eq!(world.stats[0].empty_receives.get(), 1);
}

#[test]
fn the_end_of_a_visibility_timeout_or_a_delay_serves_a_waiter() {
    let mut world = World::new(1);
    world.create("q");
    world.send("q", vec![message("a")]);
    assert_eq!(world.receive("q", 1).len(), 1);
    let (request, mut back) = world.long_poll("q", 60);
    world.step(0, vec![request]).unwrap();
    world.pass(30);
    world.settle();
    assert_eq!(polled(&mut back), got("a"));

    let delayed = crate::engine::command::Incoming {
        delay: Some(crate::model::time::Millis::from_secs(5)),
        ..message("b")
    };
    world.send("q", vec![delayed]);
    let mut due = world.poll("q");
    world.pass(5);
    world.settle();
    assert_eq!(polled(&mut due), got("b"));
}

#[test]
fn a_waiter_without_patience_is_answered_at_once() {
    let mut world = World::new(1);
    world.create("q");
    let (request, mut answer) = world.long_poll("q", 0);
    world.step(0, vec![request]).unwrap();
    assert_eq!(polled(&mut answer), Some(Ok(Vec::new())));
}

#[test]
fn ten_thousand_waiters_and_one_message_are_one_wake_up() {
    let mut world = World::new(1);
    world.create("q");
    let (requests, mut polls): (Vec<_>, Vec<_>) =
        (0..10_000).map(|_| world.long_poll("q", 20)).unzip();
    world.step(0, requests).unwrap();
    let before = world.store.counts();
    world.send("q", vec![message("a")]);
    let answered = polls.iter_mut().filter_map(polled).count();
    assert_eq!(answered, 1);
    assert_eq!(world.stats[0].parked_polls.get(), 9_999);
    // One commit for the send and the receive together, and nothing read.
    assert_eq!(world.store.counts().commits - before.commits, 1);
    assert_eq!(world.store.counts().gets, before.gets);
}

#[test]
fn more_waiters_than_one_turn_serves_are_served_by_the_next() {
    let mut world = World::new(1);
    world.create("q");
    let (requests, mut polls): (Vec<_>, Vec<_>) =
        (0..1_000).map(|_| world.long_poll("q", 20)).unzip();
    world.step(0, requests).unwrap();
    world.send("q", (0..1_000).map(|_| message("a")).collect());
    assert_eq!(polls.iter_mut().filter_map(polled).count(), 1_000);
    assert_eq!(world.stats[0].parked_polls.get(), 0);
}

#[test]
fn deleting_a_queue_tells_those_who_wait() {
    let mut world = World::new(1);
    world.create("q");
    let mut poll = world.poll("q");
    world.delete_queue("q").unwrap();
    assert_eq!(polled(&mut poll), Some(Err(Error::QueueDoesNotExist)));
}

#[test]
fn a_poll_whose_client_leaves_while_it_is_served_gives_its_message_to_the_next() {
    let mut world = World::new(1);
    world.create("q");
    let first = world.poll("q");
    let mut second = world.poll("q");
    // The reply is made in the turn, and refused when it is handed over.
    let (reply, _answer) = tokio::sync::oneshot::channel();
    let send = request("q", Command::Send(vec![message("a")]), reply);
    drop(first);
    world.step(0, vec![send]).unwrap();
    world.settle();
    assert_eq!(polled(&mut second), got("a"));
}

#[test]
fn draining_answers_everybody_and_parks_nobody() {
    let mut world = World::new(1);
    world.create("q");
    let mut poll = world.poll("q");
    world.cores[0].options.draining.store(true, std::sync::atomic::Ordering::Release);
    world.step(0, vec![Request::Look]).unwrap();
    assert_eq!(polled(&mut poll), Some(Ok(Vec::new())));
    let mut late = world.poll("q");
    assert_eq!(polled(&mut late), Some(Ok(Vec::new())));
}

#[test]
fn messages_given_back_serve_the_next_waiter() {
    let mut world = World::new(1);
    let info = world.create("q");
    world.send("q", vec![message("a")]);
    let taken = world.receive("q", 1);
    let mut poll = world.poll("q");
    let receipts = super::world::receipts(&taken);
    let release = Request::Release { key: key("q"), queue: info.id, receipts };
    world.step(0, vec![release]).unwrap();
    assert_eq!(polled(&mut poll), got("a"));
    assert_eq!(world.counters("q"), Counters { in_flight: 1, ..Counters::default() });
    assert!(matches!(world.apply("q", Command::Receive(receive(1))), Ok(_)));
}
