//! Message move tasks: what they move, how fast, and how they end, whatever happens in between.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::oneshot;

use super::world::{World, fifo_message, key, message, name_on, receipts, texts};
use crate::engine::command::{Command, Incoming, Receive};
use crate::engine::queue::Counters;
use crate::error::Error;
use crate::model::fifo::GroupHash;
use crate::model::task::{MoveTask, TaskFailure, TaskId, TaskStatus};
use crate::model::time::Millis;
use crate::shard::core::Wake;
use crate::shard::request::{Request, TaskRequest};
use crate::store::Space;
use crate::store::memory::{Crash, Fault};

const NONE: Counters = Counters { available: 0, in_flight: 0, delayed: 0 };

fn available(available: u64) -> Counters {
    Counters { available, ..NONE }
}

impl World {
    fn start_task(
        &mut self,
        source: &str,
        destination: Option<&str>,
        rate: Option<u16>,
    ) -> Result<TaskId, Error> {
        let (source_key, destination) = (key(source), destination.map(key));
        self.ask(source, |reply| {
            Request::Task(TaskRequest::Start { source: source_key, destination, rate, reply })
        })
    }

    fn cancel_task(&mut self, source: &str, task: TaskId) -> Result<u64, Error> {
        let source_key = key(source);
        self.ask(source, |reply| {
            Request::Task(TaskRequest::Cancel { source: source_key, task, reply })
        })
    }

    fn tasks(&mut self, source: &str) -> Vec<(TaskId, MoveTask)> {
        let source_key = key(source);
        let request = |reply| TaskRequest::List { source: source_key, max: 10, reply };
        self.ask(source, |reply| Request::Task(request(reply))).unwrap()
    }

    fn last_task(&mut self, source: &str) -> MoveTask {
        self.tasks(source).swap_remove(0).1
    }

    fn pass_ms(&mut self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
        self.settle();
    }

    /// Lets time pass until the source's last task is over.
    fn await_task(&mut self, source: &str) -> MoveTask {
        for _ in 0..10_000 {
            let task = self.last_task(source);
            if !task.is_active() {
                return task;
            }
            self.pass_ms(10);
        }
        panic!("the task never ends");
    }

    /// Messages of a queue and its dead-letter queue that died there, `count` of them.
    fn dead_letters(&mut self, source: &str, dead: &str, count: usize) -> BTreeSet<String> {
        self.create(dead);
        self.create_source(source, dead, 1);
        let names: Vec<String> = (0..count).map(|number| format!("m{number}")).collect();
        for names in names.chunks(10) {
            let batch = names.iter().map(|name| named(source, name)).collect();
            self.send(source, batch);
            assert_eq!(self.receive_and_return(source).len(), names.len());
            assert!(self.receive(source, 10).is_empty());
        }
        assert_eq!((self.counters(source), self.counters(dead)), (NONE, available(count as u64)));
        names.into_iter().collect()
    }

    /// Receives and deletes everything of a queue, in its order.
    fn drain(&mut self, queue: &str) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let taken = self.receive(queue, 10);
            if taken.is_empty() {
                return all;
            }
            self.apply(queue, Command::Delete(receipts(&taken))).unwrap();
            all.extend(texts(&taken));
        }
    }
}

/// A message that any queue takes; in a FIFO queue those of `m0`, `m3`, `m6` … are one group.
fn named(queue: &str, name: &str) -> Incoming {
    let number: u128 = name[1..].parse().unwrap();
    match queue.ends_with(".fifo") {
        true => Incoming { group: Some(GroupHash(7 + number % 3)), ..fifo_message(name, number) },
        false => message(name),
    }
}

/// A source and its dead-letter queue, on the same shard of one or on two of two.
fn places(suffix: &str) -> [(usize, String, String); 2] {
    let on = |stem: &str, shard| {
        let mut names = (0..).map(|n| name_on(&format!("{stem}{n}-"), shard, 2) + suffix);
        names.find(|name| super::world::owner_of(name, 2) == shard).unwrap()
    };
    [(1, on("source", 0), on("dead", 0)), (2, on("source", 0), on("dead", 1))]
}

#[test]
fn dead_letters_go_back_to_where_they_came_from_as_new_messages() {
    for (shards, source, dead) in places("") {
        let mut world = World::new(shards);
        let names = world.dead_letters(&source, &dead, 250);
        world.pass(1000);
        world.start_task(&dead, None, None).unwrap();
        let task = world.await_task(&dead);
        assert_eq!((task.status, task.moved, task.to_move), (TaskStatus::Completed, 250, 250));
        assert_eq!((world.counters(&dead), world.counters(&source)), (NONE, available(250)));
        let first = world.receive(&source, 1);
        assert_eq!(first[0].receive_count, 1, "it was never received");
        let sent_at = first[0].message.head.sent_at;
        assert!(sent_at >= task.started_at && first[0].message.head.retained_from == sent_at);
        let moved = first[0].message.moved.as_deref().unwrap();
        assert_eq!((moved.source_arn.clone(), moved.dead_letter), (key(&dead).arn(), false));
        let mut found = world.drain(&source);
        found.extend(texts(&first));
        assert_eq!(found.len(), 250);
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), names);
        let moved: u64 = world.stats.iter().map(|stats| stats.moved.get()).sum();
        assert_eq!((moved, world.under_way()), (250, 0));
    }
}

#[test]
fn a_task_goes_on_after_a_crash_at_any_step() {
    for (_, source, dead) in places("") {
        let mut world = World::new(2);
        let names = world.dead_letters(&source, &dead, 2_000);
        world.start_task(&dead, None, None).unwrap();
        let mut crashes = 0;
        while world.last_task(&dead).is_active() {
            world.clock.advance(Duration::from_millis(10));
            // A step and its arrival are cut apart in every way.
            for shard in 0..world.cores.len() {
                world.step(shard, Vec::new()).unwrap();
                if crashes % 3 == shard {
                    let hints = std::mem::take(&mut world.hints);
                    for (to, keys) in hints {
                        world.step(to, vec![Request::Arrivals(keys)]).unwrap();
                    }
                }
            }
            let shards = 1 + crashes % 3;
            let survivors = world.store.unsynced();
            let crash = [Crash::Kill, Crash::PowerCut { survivors: survivors / 2 }][crashes % 2];
            world.restart(crash, shards);
            crashes += 1;
            assert!(crashes < 1_000, "it never ends");
        }
        assert!(crashes >= 10, "{crashes}");
        world.settle();
        let task = world.last_task(&dead);
        assert_eq!((task.status, task.moved, task.to_move), (TaskStatus::Completed, 2_000, 2_000));
        assert_eq!((world.counters(&dead), world.under_way()), (NONE, 0));
        let found = world.drain(&source);
        assert_eq!(found.len(), 2_000);
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), names);
    }
}

#[test]
fn a_rate_is_never_exceeded_and_nearly_reached() {
    for rate in [1, 7, 33, 500] {
        let mut world = World::new(1);
        world.dead_letters("source", "dead", 2_000);
        world.start_task("dead", None, Some(rate)).unwrap();
        let moved = |world: &mut World| world.last_task("dead").moved;
        let before = moved(&mut world);
        for second in 1..=3 {
            for _ in 0..200 {
                world.pass_ms(5);
            }
            let (moved, most) = (moved(&mut world) - before, second * u64::from(rate));
            assert!(moved <= most && moved + u64::from(rate / 10) + 1 >= most, "{moved} at {rate}");
        }
        // A server that was away does not make up for it.
        let before = moved(&mut world);
        world.pass(60);
        world.restart(Crash::Kill, 1);
        world.pass_ms(1_000);
        assert!(moved(&mut world) - before <= u64::from(rate / 5).max(2));
    }
}

#[test]
fn a_task_without_a_rate_leaves_room_between_its_steps() {
    let mut world = World::new(1);
    world.dead_letters("source", "dead", 500);
    world.start_task("dead", None, None).unwrap();
    assert_eq!(world.last_task("dead").moved, 100);
    assert!(matches!(world.cores[0].wake(), Wake::In(span) if span <= Duration::from_millis(10)));
    world.pass_ms(10);
    assert_eq!(world.last_task("dead").moved, 200);
}

#[test]
fn a_step_moves_about_a_mebibyte_at_the_most() {
    let mut world = World::new(1);
    world.create("there");
    world.create("dead");
    let large = Incoming { payload: vec![b'x'; 400_000].into(), ..message("large") };
    for _ in 0..10 {
        world.send("dead", vec![large.clone()]);
    }
    world.start_task("dead", Some("there"), None).unwrap();
    assert_eq!(world.last_task("dead").moved, 3);
    assert_eq!(world.await_task("dead").moved, 10);
}

#[test]
fn a_cancelled_task_stops_and_what_was_moved_stays_moved() {
    for (shards, source, dead) in places("") {
        let mut world = World::new(shards);
        world.dead_letters(&source, &dead, 500);
        let id = world.start_task(&dead, None, Some(100)).unwrap();
        world.pass_ms(100);
        let moved = world.cancel_task(&dead, id).unwrap();
        assert!(0 < moved && moved < 500, "{moved}");
        let task = world.await_task(&dead);
        assert_eq!((task.status, task.moved), (TaskStatus::Cancelled, moved));
        world.pass(10);
        world.settle();
        let counters = (world.counters(&source), world.counters(&dead));
        assert_eq!(counters, (available(moved), available(500 - moved)));
        assert_eq!(world.cancel_task(&dead, id), Err(Error::MoveTaskIsOver));
        assert_eq!(world.cancel_task(&dead, TaskId(1)), Err(Error::MoveTaskDoesNotExist));
        assert_eq!(world.cancel_task(&source, id), Err(Error::MoveTaskDoesNotExist));
    }
}

#[test]
fn a_task_fails_when_a_message_has_nowhere_to_go_and_keeps_it() {
    for (shards, source, dead) in places("") {
        let mut world = World::new(shards);
        world.dead_letters(&source, &dead, 20);
        // One that was sent straight there.
        world.send(&dead, vec![message("straight")]);
        world.send(&dead, vec![message("after")]);
        world.start_task(&dead, None, None).unwrap();
        let task = world.await_task(&dead);
        assert_eq!(task.status, TaskStatus::Failed(TaskFailure::UnknownSource));
        assert_eq!((task.moved, world.counters(&dead)), (20, available(2)));
        // To a queue that is given it can go, until that one is gone.
        world.create("elsewhere");
        world.start_task(&dead, Some("elsewhere"), Some(1)).unwrap();
        assert_eq!(world.last_task(&dead).moved, 1);
        world.delete_queue("elsewhere").unwrap();
        let task = world.await_task(&dead);
        assert_eq!(task.status, TaskStatus::Failed(TaskFailure::NoSuchQueue));
        assert_eq!(texts(&world.receive(&dead, 10)), ["after"]);
    }
}

#[test]
fn messages_under_way_to_a_queue_that_is_deleted_come_back_and_the_task_fails() {
    let [_, (shards, source, dead)] = places("");
    let mut world = World::new(shards);
    let names = world.dead_letters(&source, &dead, 150);
    let (reply, _started) = oneshot::channel();
    let request = TaskRequest::Start { source: key(&dead), destination: None, rate: None, reply };
    world.step(1, vec![Request::Task(request)]).unwrap();
    assert_eq!(world.under_way(), 100);
    let hints = std::mem::take(&mut world.hints);
    let (reply, _deleted) = oneshot::channel();
    world.step(0, vec![Request::Delete { key: key(&source), reply }]).unwrap();
    world.hints.extend(hints);
    let task = world.await_task(&dead);
    assert_eq!(task.status, TaskStatus::Failed(TaskFailure::NoSuchQueue));
    assert_eq!((world.counters(&dead), world.under_way()), (available(150), 0));
    let found = world.drain(&dead);
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), names);
}

#[test]
fn groups_arrive_in_their_order_whatever_is_lost_on_the_way() {
    for (shards, source, dead) in places(".fifo") {
        let mut world = World::new(shards);
        world.dead_letters(&source, &dead, 300);
        world.start_task(&dead, None, None).unwrap();
        let mut round = 0;
        while world.last_task(&dead).is_active() {
            round += 1;
            world.clock.advance(Duration::from_millis(10));
            let owner = world.owner(&dead);
            world.step(owner, Vec::new()).unwrap();
            let hints = std::mem::take(&mut world.hints);
            for (to, keys) in hints {
                match round % 3 {
                    // The mailbox is full.
                    0 => world.cores[owner].hint_again(to, keys),
                    // The store is busy in the middle of it, while more comes in.
                    1 => {
                        let (some, rest) = keys.split_at(keys.len() / 2);
                        let arrivals = [some, rest].map(|keys| Request::Arrivals(keys.to_vec()));
                        world.store.inject(Fault::Reads(1));
                        world.step(to, arrivals.into()).unwrap();
                    }
                    _ => world.hints.push((to, keys)),
                }
            }
            assert!(round < 1_000, "it never ends");
        }
        let mut found = Vec::new();
        for _ in 0..40 {
            found.extend(world.drain(&source));
        }
        let number = |name: &String| name[1..].parse::<usize>().unwrap();
        let numbers: Vec<usize> = found.iter().map(number).collect();
        assert_eq!(numbers.len(), 300);
        for group in 0..3 {
            let own: Vec<_> = numbers.iter().filter(|number| *number % 3 == group).collect();
            assert!(own.is_sorted(), "{own:?}");
        }
    }
}

#[test]
fn what_is_in_flight_or_comes_later_stays() {
    for suffix in ["", ".fifo"] {
        for (shards, source, dead) in places(suffix) {
            let mut world = World::new(shards);
            world.dead_letters(&source, &dead, 30);
            // Of a FIFO queue it holds up its group.
            let taken = world.receive(&dead, 1);
            world.start_task(&dead, None, Some(10)).unwrap();
            world.send(&dead, vec![named(&dead, "m1000")]);
            let task = world.await_task(&dead);
            let stays = if suffix.is_empty() { 1 } else { 10 };
            assert_eq!((task.status, task.moved), (TaskStatus::Completed, 30 - stays));
            assert_eq!(task.to_move, 29);
            let counters = world.counters(&dead);
            assert_eq!((counters.available, counters.in_flight), (stays, 1));
            world.apply(&dead, Command::Delete(receipts(&taken))).unwrap();
        }
    }
}

#[test]
fn what_returns_while_a_task_runs_is_moved_too() {
    for (shards, source, dead) in places("") {
        let mut world = World::new(shards);
        world.dead_letters(&source, &dead, 10);
        let receive = Receive { visibility: Some(Millis(2_500)), ..super::world::receive(3) };
        world.apply(&dead, Command::Receive(receive)).unwrap();
        world.start_task(&dead, None, Some(1)).unwrap();
        assert_eq!(world.last_task(&dead).to_move, 7);
        let task = world.await_task(&dead);
        assert_eq!((task.status, task.moved, task.to_move), (TaskStatus::Completed, 10, 10));
    }
}

#[test]
fn a_source_has_one_task_at_a_time_and_ten_are_listed_also_after_a_restart() {
    let mut world = World::new(1);
    world.dead_letters("source", "dead", 5);
    let mut ids = vec![world.start_task("dead", None, Some(1)).unwrap()];
    assert_eq!(world.start_task("dead", None, None), Err(Error::MoveTaskIsRunning));
    world.restart(Crash::Kill, 3);
    assert_eq!(world.start_task("dead", None, None), Err(Error::MoveTaskIsRunning));
    world.await_task("dead");
    for _ in 0..11 {
        ids.push(world.start_task("dead", None, None).unwrap());
        world.await_task("dead");
    }
    ids.reverse();
    let listed =
        |world: &mut World| world.tasks("dead").into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(listed(&mut world), ids[..10]);
    world.restart(Crash::Kill, 1);
    assert_eq!(listed(&mut world), ids[..10]);
    assert_eq!(world.tasks("source"), []);
}

#[test]
fn tasks_go_with_their_queue() {
    let mut world = World::new(1);
    world.dead_letters("source", "dead", 5);
    world.start_task("dead", None, Some(1)).unwrap();
    world.delete_queue("dead").unwrap();
    world.create("dead");
    assert_eq!(world.tasks("dead"), []);
    world.delete_queue("dead").unwrap();
    world.delete_queue("source").unwrap();
    for _ in 0..10 {
        world.pass(61);
        world.settle();
    }
    world.restart(Crash::Kill, 1);
    // The server's record and the shard's marker.
    assert_eq!((world.rows(Space::State), world.stats[0].move_tasks.get()), (2, 0));
}

#[test]
fn a_purge_leaves_a_task_nothing_to_do() {
    let mut world = World::new(1);
    world.dead_letters("source", "dead", 5);
    world.start_task("dead", None, Some(1)).unwrap();
    world.purge("dead").unwrap();
    let task = world.await_task("dead");
    assert_eq!((task.status, task.moved), (TaskStatus::Completed, 1));
}

#[test]
fn a_task_ends_after_thirty_six_hours() {
    let mut world = World::new(1);
    world.dead_letters("source", "dead", 5);
    world.start_task("dead", None, Some(1)).unwrap();
    world.pass(36 * 3600);
    world.settle();
    let task = world.last_task("dead");
    assert_eq!(task.status, TaskStatus::Failed(TaskFailure::TookTooLong));
    assert_eq!(task.moved, 1);
}

#[test]
fn a_task_goes_on_when_the_store_was_busy() {
    for (shards, source, dead) in places("") {
        let mut world = World::new(shards);
        world.dead_letters(&source, &dead, 300);
        world.start_task(&dead, None, None).unwrap();
        for reads in 1..20 {
            world.store.inject(Fault::Reads(reads));
            world.pass_ms(10);
        }
        let task = world.await_task(&dead);
        assert_eq!((task.status, task.moved), (TaskStatus::Completed, 300));
        assert_eq!((world.counters(&source), world.counters(&dead)), (available(300), NONE));
    }
}
