//! Messages whose own delay has ended are read ahead like any others: in bulk, within the budget.

use super::world::{World, message, receipts, texts};
use crate::engine::command::{Command, Incoming};
use crate::engine::queue::Counters;
use crate::model::time::Millis;
use crate::store::memory::Crash;

fn delayed(text: &str, seconds: u32) -> Incoming {
    Incoming { delay: Some(Millis::from_secs(seconds)), ..message(text) }
}

/// Names of so many messages.
fn names(count: usize) -> Vec<String> {
    (0..count).map(|nth| format!("m{nth:03}")).collect()
}

/// A queue with messages of these texts, all of them due and in nobody's memory.
fn fall_due(world: &mut World, queue: &str, texts: &[String]) {
    world.create(queue);
    world.send(queue, texts.iter().map(|text| delayed(text, 10)).collect());
    world.restart(Crash::Kill, 1);
    world.pass(10);
    world.settle();
}

#[test]
fn many_receives_of_due_messages_read_once() {
    let mut world = World::new(1);
    let sent = names(100);
    fall_due(&mut world, "q", &sent);
    let before = world.store.counts();
    let mut received = texts(&world.receive("q", 10));
    assert_eq!(world.store.counts().gets, before.gets);
    let before = world.store.counts();
    for _ in 0..9 {
        received.extend(texts(&world.receive("q", 10)));
    }
    assert_eq!(received, sent);
    let after = world.store.counts();
    assert_eq!((after.gets, after.scans), (before.gets, before.scans));
}

#[test]
fn due_messages_that_lie_apart_come_in_their_order_and_are_looked_up_a_few_at_a_time() {
    let mut world = World::new(1);
    world.create("q");
    let names = names(100);
    // Neighbours are due 43 seconds apart.
    let delay = |nth: usize| 1 + (nth * 43 % 100) as u32;
    for (nth, name) in names.iter().enumerate() {
        world.send("q", vec![delayed(name, delay(nth))]);
        world.send("q", (0..10).map(|_| delayed("later", 900)).collect());
    }
    world.pass(101);
    world.settle();
    let mut in_order: Vec<usize> = (0..100).collect();
    in_order.sort_by_key(|&nth| delay(nth));
    let mut received = Vec::new();
    for _ in 0..10 {
        let before = world.store.counts().gets;
        received.extend(texts(&world.receive("q", 10)));
        assert!(world.store.counts().gets - before <= 32);
    }
    let expected: Vec<String> = in_order.into_iter().map(|nth| names[nth].clone()).collect();
    assert_eq!(received, expected);
}

#[test]
fn large_due_messages_are_read_ahead_a_page_at_a_time() {
    let mut world = World::new(1);
    world.window_bytes_max = 64 << 20;
    world.start(1);
    let sent: Vec<String> = names(100).iter().map(|name| name.repeat(10_000)).collect();
    fall_due(&mut world, "q", &sent);
    let mut received = Vec::new();
    for _ in 0..10 {
        received.extend(texts(&world.receive("q", 10)));
        assert!(world.stats[0].window_bytes.get() <= 2 << 20);
    }
    assert!(received == sent);
}

#[test]
fn due_messages_share_the_budget_of_read_ahead() {
    let mut world = World::new(1);
    world.window_bytes_max = 4_000;
    world.start(1);
    let queues = ["a", "b", "c", "d"];
    let sent: Vec<String> = names(10).iter().map(|name| name.repeat(75)).collect();
    for queue in queues {
        fall_due(&mut world, queue, &sent);
    }
    for queue in queues {
        assert_eq!(texts(&world.receive(queue, 1)), sent[..1]);
        assert!(world.stats[0].window_bytes.get() < 4_000);
    }
    for queue in queues {
        assert_eq!(texts(&world.receive(queue, 10)), sent[1..]);
    }
    assert_eq!(world.stats[0].window_bytes.get(), 0);
}

#[test]
fn a_due_message_that_was_read_ahead_can_be_deleted_by_a_handle_that_a_power_cut_undid() {
    let mut world = World::new(1);
    let sent = names(4);
    fall_due(&mut world, "q", &sent);
    let undone = receipts(&world.receive("q", 2));
    world.restart(Crash::PowerCut { survivors: 0 }, 1);
    world.settle();
    assert_eq!(texts(&world.receive("q", 1)), sent[..1]);
    world.apply("q", Command::Delete(undone)).unwrap();
    assert_eq!(texts(&world.receive("q", 10)), sent[2..]);
    assert_eq!(world.counters("q"), Counters { in_flight: 2, ..Counters::default() });
}

#[test]
fn a_purge_empties_the_read_ahead_of_due_messages() {
    let mut world = World::new(1);
    fall_due(&mut world, "q", &names(4));
    assert_eq!(world.receive("q", 1).len(), 1);
    assert!(0 < world.stats[0].window_bytes.get());
    world.purge("q").unwrap();
    assert_eq!(world.stats[0].window_bytes.get(), 0);
    assert!(world.receive("q", 10).is_empty());
}
