//! Messages between queues, in one shard and across shards, whatever happens in between.

use super::world::{World, key, message, name_on, polled, texts};
use crate::engine::command::Command;
use crate::engine::queue::Counters;
use crate::shard::request::Request;
use crate::store::memory::Crash;

const ONE: Counters = Counters { available: 1, in_flight: 0, delayed: 0 };
const NONE: Counters = Counters { available: 0, in_flight: 0, delayed: 0 };

/// A source on one shard of two, its target on the other, and a message that the next receive
/// moves.
fn apart() -> (World, String, String) {
    let mut world = World::new(2);
    let (source, target) = (name_on("source", 0, 2), name_on("target", 1, 2));
    world.create(&target);
    world.create_source(&source, &target, 1);
    world.send(&source, vec![message("a")]);
    assert_eq!(world.receive_and_return(&source), ["a"]);
    (world, source, target)
}

/// Makes the move happen in the source, and lets nobody hear of it.
fn leave(world: &mut World, source: &str) {
    let (reply, _answer) = tokio::sync::oneshot::channel();
    let command = Command::Receive(super::world::receive(10));
    world.step(0, vec![super::world::request(source, command, reply)]).unwrap();
    assert_eq!(world.under_way(), 1);
    assert_eq!(world.hints.len(), 1);
}

#[test]
fn a_move_inside_a_shard_is_one_batch() {
    let mut world = World::new(1);
    world.create("target");
    world.create_source("source", "target", 1);
    world.send("source", vec![message("a")]);
    assert_eq!(world.receive_and_return("source"), ["a"]);
    let before = world.store.counts();
    assert!(world.receive("source", 10).is_empty());
    assert_eq!(world.store.counts().commits - before.commits, 1);
    assert_eq!((world.counters("source"), world.counters("target")), (NONE, ONE));
    let dead = world.receive("target", 10);
    assert_eq!(texts(&dead), ["a"]);
    assert_eq!(dead[0].receive_count, 2);
    let moved = dead[0].message.moved.as_deref().unwrap();
    assert_eq!(moved.source_arn, key("source").arn());
    assert!(moved.dead_letter);
    assert_eq!(world.stats[0].dead_lettered.get(), 1);
}

#[test]
fn a_move_serves_those_who_wait_at_the_target_in_the_same_turn() {
    let mut world = World::new(1);
    world.create("target");
    world.create_source("source", "target", 1);
    world.send("source", vec![message("a")]);
    assert_eq!(world.receive_and_return("source"), ["a"]);
    let mut poll = world.poll("target");
    world.receive("source", 1);
    assert_eq!(polled(&mut poll), Some(Ok(vec!["a".to_owned()])));
}

#[test]
fn a_move_between_shards_arrives_once() {
    let (mut world, source, target) = apart();
    leave(&mut world, &source);
    // Heard twice, in one turn and later.
    let (shard, keys) = world.hints[0].clone();
    let twice = || vec![Request::Arrivals(keys.clone()), Request::Arrivals(keys.clone())];
    world.step(shard, twice()).unwrap();
    world.step(shard, twice()).unwrap();
    world.settle();
    assert_eq!((world.counters(&source), world.counters(&target)), (NONE, ONE));
    assert_eq!(world.under_way(), 0);
    assert_eq!(world.stats[0].outbox.get(), 0);
    assert_eq!(texts(&world.receive(&target, 10)), ["a"]);
}

#[test]
fn a_crash_between_outbox_and_target_loses_nothing_with_any_number_of_shards() {
    for shards in [1, 2, 3, 7] {
        let (mut world, source, target) = apart();
        leave(&mut world, &source);
        world.restart(Crash::Kill, shards);
        assert_eq!(world.counters(&source), NONE);
        world.settle();
        assert_eq!((world.under_way(), world.counters(&target)), (0, ONE));
        world.restart(Crash::Kill, 2);
        world.settle();
        assert_eq!((world.counters(&source), world.counters(&target)), (NONE, ONE));
    }
}

#[test]
fn a_target_too_busy_to_be_told_is_told_again() {
    let (mut world, source, target) = apart();
    leave(&mut world, &source);
    for (shard, keys) in std::mem::take(&mut world.hints) {
        world.cores[0].hint_again(shard, keys);
    }
    world.settle();
    assert_eq!(world.counters(&target), NONE);
    world.clock.advance(std::time::Duration::from_millis(10));
    world.settle();
    assert_eq!(world.counters(&target), ONE);
}

#[test]
fn more_hints_than_are_kept_are_found_again_by_a_scan() {
    let (mut world, source, target) = apart();
    leave(&mut world, &source);
    let (shard, keys) = world.hints.pop().unwrap();
    world.cores[0].hint_again(shard, keys.repeat(10_001));
    world.clock.advance(std::time::Duration::from_millis(10));
    world.settle();
    assert_eq!((world.under_way(), world.counters(&target)), (0, ONE));
}

#[test]
fn a_message_whose_target_was_deleted_on_its_way_goes_back_with_its_count() {
    for crash in [false, true] {
        let (mut world, source, target) = apart();
        leave(&mut world, &source);
        let hints = std::mem::take(&mut world.hints);
        let (reply, mut answer) = tokio::sync::oneshot::channel();
        world.step(1, vec![Request::Delete { key: key(&target), reply }]).unwrap();
        answer.try_recv().unwrap().unwrap();
        if crash {
            world.restart(Crash::Kill, 2);
        } else {
            world.hints = hints;
        }
        world.settle();
        assert_eq!((world.under_way(), world.counters(&source)), (0, ONE));
        // Without a target it stays, and is delivered for ever.
        let again = world.receive(&source, 10);
        assert_eq!((texts(&again), again[0].receive_count), (vec!["a".to_owned()], 2));
        assert!(world.stats[0].dead_letter_stuck.get() >= 1);
    }
}

#[test]
fn a_message_whose_target_was_purged_on_its_way_is_purged() {
    let (mut world, source, target) = apart();
    leave(&mut world, &source);
    let hints = std::mem::take(&mut world.hints);
    world.pass(1);
    world.purge(&target).unwrap();
    world.hints = hints;
    world.settle();
    assert_eq!((world.counters(&source), world.counters(&target)), (NONE, NONE));
    assert_eq!(world.under_way(), 0);
}

#[test]
fn a_message_whose_source_and_target_are_gone_is_gone() {
    let (mut world, source, target) = apart();
    leave(&mut world, &source);
    let hints = std::mem::take(&mut world.hints);
    world.delete_queue(&target).unwrap();
    world.delete_queue(&source).unwrap();
    // A queue of the same name is another queue.
    world.create(&source);
    world.hints = hints;
    world.settle();
    assert_eq!((world.counters(&source), world.under_way()), (NONE, 0));
}

#[test]
fn a_target_deleted_in_the_turn_of_the_move_keeps_the_message_in_the_source() {
    let mut world = World::new(1);
    world.create("target");
    world.create_source("source", "target", 1);
    world.send("source", vec![message("a")]);
    assert_eq!(world.receive_and_return("source"), ["a"]);
    let (reply, _receive) = tokio::sync::oneshot::channel();
    let command = Command::Receive(super::world::receive(10));
    let receive = super::world::request("source", command, reply);
    let (reply, _delete) = tokio::sync::oneshot::channel();
    let delete = Request::Delete { key: key("target"), reply };
    world.step(0, vec![receive, delete]).unwrap();
    world.settle();
    assert_eq!(world.counters("source"), ONE);
}

#[test]
fn a_cycle_of_dead_letter_queues_loses_nothing_and_ends() {
    for (one, other) in [("a", "b".to_owned()), ("a", name_on("z", 1, 2))] {
        let shards = 2;
        let mut world = World::new(shards);
        let one = name_on(one, 0, shards);
        world.create_source(&one, &other, 1);
        world.create_source(&other, &one, 1);
        world.send(&one, vec![message("m")]);
        for _ in 0..5 {
            for queue in [&one, &other] {
                world.receive_and_return(queue);
                world.settle();
            }
        }
        let (first, second) = (world.counters(&one), world.counters(&other));
        assert_eq!(first.available + second.available, 1, "{first:?} {second:?}");
    }
}
