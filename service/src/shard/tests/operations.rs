//! Queues that are paused and resumed, and a server that is reset.

use super::world::{World, key, message, name_on, polled, receipts, texts};
use crate::engine::command::Command;
use crate::engine::queue::Counters;
use crate::error::Error;
use crate::model::queue::Paused;
use crate::model::time::Millis;
use crate::shard::handle::Pause;
use crate::shard::request::Request;
use crate::store::Space;
use crate::store::memory::Crash;

const RECEIVE: Pause = Pause { receive: Some(true), send: None };
const SEND: Pause = Pause { receive: None, send: Some(true) };
const NOTHING: Pause = Pause { receive: Some(false), send: Some(false) };

fn pause(world: &mut World, name: &str, change: Pause) -> Paused {
    let asked = world.ask(name, |reply| Request::Pause { key: key(name), change, reply });
    asked.unwrap().paused
}

/// As `Shards::reset` does it.
fn reset(world: &mut World) {
    for shard in [0..world.cores.len(), 0..world.cores.len()].into_iter().flatten() {
        let (reply, mut answer) = tokio::sync::oneshot::channel();
        world.step(shard, vec![Request::Reset { reply }]).unwrap();
        assert_eq!(answer.try_recv().unwrap(), Ok(()));
    }
}

#[test]
fn paused_receives_find_nothing_and_what_is_in_flight_can_be_settled() {
    let mut world = World::new(1);
    world.create("q");
    world.send("q", vec![message("a"), message("b"), message("c")]);
    let held = world.receive("q", 2);
    assert_eq!(pause(&mut world, "q", RECEIVE), Paused { receive: true, send: false });
    assert!(world.receive("q", 10).is_empty());
    world.send("q", vec![message("d")]);
    world.apply("q", Command::Delete(receipts(&held[..1]))).unwrap();
    let change = receipts(&held[1..]).into_iter().map(|receipt| (receipt, Millis(0)));
    world.apply("q", Command::ChangeVisibility(change.collect())).unwrap();
    assert_eq!(world.counters("q"), Counters { available: 3, in_flight: 0, delayed: 0 });
    assert!(world.receive("q", 10).is_empty());
    pause(&mut world, "q", NOTHING);
    assert_eq!(world.receive("q", 10).len(), 3);
}

#[test]
fn long_polls_on_a_paused_queue_wait_their_time_or_for_its_resumption() {
    let mut world = World::new(1);
    world.create("q");
    let mut early = world.poll("q");
    pause(&mut world, "q", RECEIVE);
    let mut late = world.poll("q");
    world.send("q", vec![message("a")]);
    assert_eq!((polled(&mut early), polled(&mut late)), (None, None));
    pause(&mut world, "q", NOTHING);
    assert_eq!(polled(&mut early), Some(Ok(vec!["a".to_owned()])));
    pause(&mut world, "q", RECEIVE);
    world.send("q", vec![message("b")]);
    world.pass(20);
    world.settle();
    assert_eq!(polled(&mut late), Some(Ok(Vec::new())));
}

#[test]
fn paused_sends_are_refused_and_dead_letters_arrive() {
    let mut world = World::new(1);
    world.create("dead");
    world.create_source("q", "dead", 1);
    world.send("q", vec![message("a")]);
    assert_eq!(pause(&mut world, "dead", SEND), Paused { receive: false, send: true });
    let refused = world.apply("dead", Command::Send(vec![message("b")])).map(drop);
    assert_eq!(refused, Err(Error::QueuePaused));
    world.receive_and_return("q");
    assert!(world.receive("q", 1).is_empty());
    assert_eq!(texts(&world.receive("dead", 10)), ["a"]);
}

#[test]
fn what_is_paused_stays_so_over_a_power_cut_a_purge_and_a_change_of_settings() {
    let mut world = World::new(2);
    world.create("q");
    pause(&mut world, "q", SEND);
    assert_eq!(pause(&mut world, "q", RECEIVE), Paused { receive: true, send: true });
    world.restart(Crash::PowerCut { survivors: 0 }, 1);
    world.purge("q").unwrap();
    let settings = Box::new(|settings: &mut crate::model::attributes::QueueSettings, _: &mut _| {
        settings.delay_s = 1;
        Ok(())
    });
    world.ask("q", |reply| Request::Update { key: key("q"), change: settings, reply }).unwrap();
    let refused = world.apply("q", Command::Send(vec![message("b")])).map(drop);
    assert_eq!(refused, Err(Error::QueuePaused));
    let only_send = Pause { receive: None, send: Some(false) };
    assert_eq!(pause(&mut world, "q", only_send), Paused { receive: true, send: false });
    // Another queue of that name is another queue.
    world.delete_queue("q").unwrap();
    world.create("q");
    world.send("q", vec![message("c")]);
    assert_eq!(world.receive("q", 1).len(), 1);
}

#[test]
fn a_reset_leaves_nothing_of_anybody() {
    let mut world = World::new(4);
    world.strict = true;
    world.start(4);
    let empty = (world.rows(Space::Messages), world.rows(Space::State));
    for number in 0..50 {
        let name = format!("q{number}");
        world.create(&name);
        world.send(&name, (0..20).map(|_| message("a")).collect());
        world.receive(&name, 2);
    }
    world.delete_queue("q0").unwrap();
    let mut poll = world.poll("q1");
    world.receive("q1", 10);
    let mut parked = world.poll("q1");
    while polled(&mut parked).is_some() {
        parked = world.poll("q1");
    }
    let before = world.store.counts().commits;
    reset(&mut world);
    let commits = world.store.counts().commits - before;
    assert!(commits <= 8, "one for each shard and round, however many queues there are: {commits}");
    assert!(matches!(polled(&mut poll), Some(Ok(_))), "it was served before");
    assert_eq!(polled(&mut parked), Some(Err(Error::QueueDoesNotExist)));
    assert!(world.catalogue.is_empty());
    // Under strict limits too: the deletion was not the user's.
    world.create("q0");
    world.create("q1");
    assert_eq!(world.counters("q1"), Counters::default());
    assert!(world.receive("q1", 10).is_empty());

    reset(&mut world);
    world.pass(1);
    world.settle();
    world.pass(1);
    world.settle();
    let left = (world.rows(Space::Messages), world.rows(Space::State));
    // The markers of shards that had nothing to write before.
    assert!(left.0 == empty.0 && left.1 <= empty.1 + 4, "{left:?} {empty:?}");
    world.restart(Crash::PowerCut { survivors: 0 }, 3);
    assert!(world.catalogue.is_empty());
}

#[test]
fn what_was_on_its_way_does_not_arrive_after_a_reset() {
    let mut world = World::new(2);
    let (source, target) = (name_on("source", 0, 2), name_on("target", 1, 2));
    world.create(&target);
    world.create_source(&source, &target, 1);
    world.send(&source, vec![message("a")]);
    assert_eq!(world.receive_and_return(&source), ["a"]);
    let (reply, _answer) = tokio::sync::oneshot::channel();
    let command = Command::Receive(super::world::receive(10));
    world.step(0, vec![super::world::request(&source, command, reply)]).unwrap();
    assert_eq!((world.under_way(), world.hints.len()), (1, 1));
    reset(&mut world);
    world.create(&target);
    world.create(&source);
    world.settle();
    assert_eq!(world.under_way(), 0);
    assert_eq!(world.stats[0].outbox.get(), 0);
    assert_eq!(world.counters(&target), Counters::default());
    assert_eq!(world.counters(&source), Counters::default());
}
