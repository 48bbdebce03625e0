//! Queues that nobody uses any more.

use std::time::Duration;

use super::world::{World, key, message, polled};
use crate::engine::command::{Command, Receive};
use crate::env::Clock;
use crate::model::attributes::QueueSettings;
use crate::model::queue::QueueKind;
use crate::model::time::Millis;
use crate::shard::core::Wake;
use crate::shard::request::Request;
use crate::store::Space;
use crate::store::memory::Crash;

fn create(world: &mut World, name: &str, seconds: u32) {
    let mut settings = QueueSettings::new(QueueKind::Standard);
    settings.expire_after_idle_s = Some(seconds);
    world.create_with(name, settings).unwrap();
}

fn there(world: &World, name: &str) -> bool {
    world.catalogue.find(&key(name)).is_some()
}

/// Time passes, and whatever is due happens.
fn pass(world: &mut World, seconds: u64) {
    world.pass(seconds);
    world.settle();
}

#[test]
fn a_queue_that_nobody_uses_is_deleted_with_its_messages() {
    let mut world = World::new(1);
    world.create("stays");
    let rows = world.rows(Space::Messages);
    create(&mut world, "q", 60);
    world.send("q", vec![message("a")]);
    assert_eq!(world.cores[0].wake(), Wake::In(Duration::from_secs(60)));
    pass(&mut world, 59);
    assert!(there(&world, "q"));
    pass(&mut world, 1);
    assert!(!there(&world, "q"));
    assert!(there(&world, "stays"));
    assert_eq!(world.stats[0].queues_idle_deleted.get(), 1);
    pass(&mut world, 1);
    assert_eq!(world.rows(Space::Messages), rows);
    world.restart(Crash::PowerCut { survivors: 0 }, 1);
    assert!(!there(&world, "q"));
}

#[test]
fn every_use_puts_the_end_off() {
    type Use = fn(&mut World);
    let uses: [(&str, Use); 7] = [
        ("a send", |world| drop(world.send("q", vec![message("a")]))),
        ("a receive", |world| drop(world.receive("q", 1))),
        ("a delete of nothing", |world| drop(world.apply("q", Command::Delete(Vec::new())))),
        ("a purge", |world| world.purge("q").unwrap()),
        ("a change", |world| {
            let change = Box::new(|settings: &mut QueueSettings, _: &mut _| {
                settings.delay_s += 1;
                Ok(())
            });
            world.ask("q", |reply| Request::Update { key: key("q"), change, reply }).unwrap();
        }),
        ("a creation that finds it", |world| drop(world.create("q"))),
        ("a pause", |world| {
            let change = crate::shard::handle::Pause { receive: Some(true), send: None };
            world.ask("q", |reply| Request::Pause { key: key("q"), change, reply }).unwrap();
        }),
    ];
    let mut world = World::new(1);
    create(&mut world, "q", 60);
    for (name, used) in uses {
        pass(&mut world, 59);
        assert!(there(&world, "q"), "before {name}");
        used(&mut world);
        pass(&mut world, 59);
        assert!(there(&world, "q"), "after {name}");
        used(&mut world);
    }
    // It is paused by now: a receive that gets nothing is a use all the same.
    pass(&mut world, 59);
    world.receive("q", 1);
    pass(&mut world, 59);
    assert!(there(&world, "q"));
    pass(&mut world, 1);
    assert!(!there(&world, "q"));
}

#[test]
fn what_time_does_to_a_queue_is_no_use() {
    let mut world = World::new(1);
    create(&mut world, "q", 60);
    world.send("q", vec![message("a")]);
    let visibility = Some(Millis::from_secs(30));
    let hidden = Receive { max: 1, visibility, attempt: None, patient: false };
    world.apply("q", Command::Receive(hidden)).unwrap();
    pass(&mut world, 30);
    assert_eq!(world.counters("q").available, 1);
    pass(&mut world, 30);
    assert!(!there(&world, "q"));
}

#[test]
fn a_poll_that_waits_keeps_its_queue_and_so_does_its_end() {
    let mut world = World::new(1);
    create(&mut world, "q", 60);
    pass(&mut world, 50);
    let (request, mut poll) = world.long_poll("q", 20);
    world.step(0, vec![request]).unwrap();
    // Virtual time may pass while the poll waits in real time.
    for core in &world.cores {
        core.options.time.set_offset(Millis::from_secs(3600));
    }
    world.settle();
    assert!(there(&world, "q"));
    pass(&mut world, 20);
    assert_eq!(polled(&mut poll), Some(Ok(Vec::new())));
    pass(&mut world, 59);
    assert!(there(&world, "q"));
    pass(&mut world, 1);
    assert!(!there(&world, "q"));
}

#[test]
fn a_dead_letter_queue_stays_as_long_as_somebody_names_it() {
    for shards in [1, 4] {
        let mut world = World::new(shards);
        create(&mut world, "dead", 60);
        world.create_source("q", "dead", 3);
        for _ in 0..10 {
            pass(&mut world, 60);
        }
        assert!(there(&world, "dead"));
        world.delete_queue("q").unwrap();
        pass(&mut world, 60);
        assert!(!there(&world, "dead"));
    }
}

#[test]
fn a_span_may_be_set_changed_and_taken_back() {
    let set = |world: &mut World, seconds| {
        let change = Box::new(move |settings: &mut QueueSettings, _: &mut _| {
            settings.expire_after_idle_s = seconds;
            Ok(())
        });
        world.ask("q", |reply| Request::Update { key: key("q"), change, reply }).unwrap();
    };
    let mut world = World::new(1);
    world.create("q");
    assert_eq!(world.cores[0].wake(), Wake::Never);
    set(&mut world, Some(3600));
    set(&mut world, Some(60));
    assert_eq!(world.cores[0].wake(), Wake::In(Duration::from_secs(60)));
    pass(&mut world, 30);
    set(&mut world, None);
    assert_eq!(world.cores[0].wake(), Wake::Never);
    pass(&mut world, 86_400);
    assert!(there(&world, "q"));
}

#[test]
fn a_restart_is_a_use() {
    let mut world = World::new(1);
    create(&mut world, "q", 60);
    pass(&mut world, 59);
    world.restart(Crash::Kill, 1);
    pass(&mut world, 59);
    assert!(there(&world, "q"));
    pass(&mut world, 1);
    assert!(!there(&world, "q"));
}

#[test]
fn no_queue_ends_while_the_clock_is_in_doubt() {
    let mut world = World::new(1);
    create(&mut world, "q", 60);
    world.send("q", vec![message("a")]);
    world.clock.set_wall(world.clock.wall() + Duration::from_secs(15 * 86_400));
    world.restart(Crash::Kill, 1);
    pass(&mut world, 3600);
    assert!(there(&world, "q"));
}

#[test]
fn a_thousand_at_once_end_in_several_turns_and_none_of_another() {
    let mut world = World::new(2);
    for number in 0..1_000 {
        create(&mut world, &format!("reply-{number}"), 60);
    }
    world.create("stays");
    world.pass(60);
    world.step(0, Vec::new()).unwrap();
    assert!(world.stats[0].queues_idle_deleted.get() <= 256);
    world.settle();
    assert_eq!(world.catalogue.len(), 1);
    // Its place in the shard may be taken; what was expected of the old one is not of the new.
    for number in 0..1_000 {
        world.create(&format!("new-{number}"));
    }
    pass(&mut world, 3600);
    assert_eq!(world.catalogue.len(), 1_001);
}
