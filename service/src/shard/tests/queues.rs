//! Queues come, are emptied, go, and come again.

use tokio::sync::oneshot;

use super::world::{World, key, message, receipts, receive, texts};
use crate::engine::command::{Command, Outcome};
use crate::engine::queue::Counters;
use crate::error::Error;
use crate::model::attributes::QueueSettings;
use crate::model::queue::QueueKind;
use crate::shard::request::{Apply, Request};
use crate::store::Space;
use crate::store::memory::Crash;

#[test]
fn a_queue_is_found_by_everybody_after_its_commit_and_after_a_restart() {
    let mut world = World::new(3);
    let info = world.create("q");
    assert_eq!(world.catalogue.find(&key("q")), Some(info.clone()));
    world.restart(Crash::PowerCut { survivors: 0 }, 2);
    assert_eq!(world.catalogue.find(&key("q")), Some(info));
    world.delete_queue("q").unwrap();
    assert_eq!(world.catalogue.find(&key("q")), None);
    world.restart(Crash::PowerCut { survivors: 0 }, 5);
    assert!(world.catalogue.is_empty());
}

#[test]
fn the_check_decides_whether_an_existing_queue_is_the_answer() {
    let mut world = World::new(1);
    let first = world.create("q");
    let create = |check, reply| Request::Create {
        key: key("q"),
        settings: Box::new(QueueSettings::new(QueueKind::Standard)),
        tags: Default::default(),
        check,
        declared: false,
        reply,
    };
    assert_eq!(world.ask("q", |reply| create(Box::new(|_| Ok(())), reply)), Ok(first));
    let differs = Error::QueueNameExists { attribute: "DelaySeconds" };
    let refusal = differs.clone();
    let refused = world.ask("q", |reply| create(Box::new(|_| Err(refusal)), reply));
    assert_eq!(refused, Err(differs));
}

#[test]
fn settings_and_tags_change_together_or_not_at_all() {
    let mut world = World::new(1);
    world.create("q");
    world.pass(5);
    let update = |change, reply| Request::Update { key: key("q"), change, reply };
    let failing = world.ask("q", |reply| {
        update(
            Box::new(|settings, tags| {
                settings.delay_s = 9;
                tags.insert("a".into(), "b".into());
                Err(Error::QueueDeletedRecently)
            }),
            reply,
        )
    });
    assert_eq!(failing, Err(Error::QueueDeletedRecently));
    let before = world.catalogue.find(&key("q")).unwrap();
    assert_eq!((before.settings.delay_s, before.tags.len()), (0, 0));
    let after = world.ask("q", |reply| {
        update(
            Box::new(|settings, _| {
                settings.visibility_timeout_s = 5;
                Ok(())
            }),
            reply,
        )
    });
    let after = after.unwrap();
    assert!(after.modified_at > after.created_at);
    world.send("q", vec![message("a")]);
    world.receive("q", 1);
    world.pass(5);
    world.settle();
    assert_eq!(world.counters("q").available, 1);
}

#[test]
fn a_purge_empties_a_queue_and_its_rows_go_behind() {
    let mut world = World::new(1);
    world.create("q");
    let empty = (world.rows(Space::Messages), world.rows(Space::State));
    world.send("q", (0..50).map(|_| message("a")).collect());
    let held = world.receive("q", 10);
    world.purge("q").unwrap();
    assert_eq!(world.counters("q"), Counters::default());
    assert!(world.receive("q", 10).is_empty());
    // A handle from before is of this queue, and its message is gone.
    let Outcome::Done(results) = world.apply("q", Command::Delete(receipts(&held))).unwrap() else {
        panic!("a delete is answered with results");
    };
    assert!(results.iter().all(Result::is_ok));
    world.send("q", vec![message("b")]);
    assert_eq!(texts(&world.receive("q", 10)), ["b"]);
    world.purge("q").unwrap();
    for _ in 0..5 {
        world.pass(1);
        world.settle();
    }
    assert_eq!((world.rows(Space::Messages), world.rows(Space::State)), empty);
}

#[test]
fn a_purge_holds_over_a_crash() {
    let mut world = World::new(1);
    world.create("q");
    world.send("q", vec![message("a")]);
    world.purge("q").unwrap();
    world.restart(Crash::PowerCut { survivors: 0 }, 1);
    assert_eq!(world.counters("q"), Counters::default());
    world.pass(1);
    world.settle();
    assert_eq!(world.rows(Space::Messages), 0);
}

#[test]
fn a_large_generation_goes_by_range_delete_at_most_once_a_minute() {
    let mut world = World::new(1);
    world.create("q");
    let fill = |world: &mut World| {
        for _ in 0..150 {
            world.send("q", (0..10).map(|_| message("a")).collect());
        }
    };
    fill(&mut world);
    world.purge("q").unwrap();
    world.pass(1);
    world.settle();
    assert_eq!(world.rows(Space::Messages), 0);
    let compaction = world.cores[0].take_compaction().expect("space to give back");
    assert!(!compaction.dead.is_empty());
    fill(&mut world);
    world.purge("q").unwrap();
    world.pass(30);
    world.settle();
    assert_eq!(world.rows(Space::Messages), 1_500);
    world.pass(31);
    world.settle();
    assert_eq!(world.rows(Space::Messages), 0);
}

#[test]
fn an_idle_queue_is_compacted_after_many_deletes() {
    let mut world = World::new(1);
    world.create("q");
    for _ in 0..1_001 {
        world.send("q", (0..10).map(|_| message("a")).collect());
        let taken = world.receive("q", 10);
        world.apply("q", Command::Delete(receipts(&taken))).unwrap();
    }
    assert!(world.cores[0].take_compaction().is_none());
    world.pass(11);
    world.settle();
    assert!(world.cores[0].take_compaction().is_some());
}

#[test]
fn a_few_large_deletes_are_as_good_as_many_small_ones() {
    let mut world = World::new(1);
    world.create("q");
    let large = "a".repeat(1 << 20);
    world.send("q", (0..10).map(|_| message(&large)).collect());
    let taken = world.receive("q", 10);
    world.pass(11);
    world.settle();
    assert!(world.cores[0].take_compaction().is_none(), "nothing was deleted yet");
    world.apply("q", Command::Delete(receipts(&taken))).unwrap();
    world.pass(11);
    world.settle();
    assert!(world.cores[0].take_compaction().is_some());
}

#[test]
fn a_queue_deleted_and_created_again_is_another_queue() {
    let mut world = World::new(1);
    let first = world.create("q");
    world.send("q", vec![message("a")]);
    let held = world.receive("q", 1);
    world.delete_queue("q").unwrap();
    let second = world.create("q");
    assert_ne!((first.id, first.generation), (second.id, second.generation));
    assert_eq!(world.counters("q"), Counters::default());
    // A command for messages of the first does not reach the second.
    let refused = world.ask("q", |reply| {
        Request::Apply(Box::new(Apply {
            key: key("q"),
            queue: Some(first.id),
            command: Command::Delete(receipts(&held)),
            patience: None,
            reply,
        }))
    });
    assert_eq!(refused.err(), Some(Error::QueueDoesNotExist));
}

#[test]
fn a_queue_can_be_deleted_and_created_again_a_thousand_times_even_in_one_turn() {
    let mut world = World::new(1);
    for round in 0..1_000 {
        world.create("q");
        world.send("q", vec![message("a")]);
        let (reply, mut deleted) = oneshot::channel();
        let delete = Request::Delete { key: key("q"), reply };
        let (reply, mut created) = oneshot::channel();
        let create = Request::Create {
            key: key("q"),
            settings: Box::new(QueueSettings::new(QueueKind::Standard)),
            tags: Default::default(),
            check: Box::new(|_| Err(Error::QueueDeletedRecently)),
            declared: false,
            reply,
        };
        world.step(0, vec![delete, create]).unwrap();
        assert_eq!(deleted.try_recv().unwrap(), Ok(()));
        assert!(created.try_recv().unwrap().is_ok());
        assert_eq!(world.counters("q"), Counters::default());
        if round % 100 == 99 {
            world.restart(Crash::Kill, 1);
            assert_eq!(world.counters("q"), Counters::default());
        }
    }
    for _ in 0..3_000 {
        world.clock.advance(std::time::Duration::from_millis(20));
        world.settle();
    }
    assert_eq!(world.rows(Space::Messages), 0);
}

#[test]
fn strict_limits_make_names_and_purges_rest_for_a_minute() {
    let mut world = World::new(1);
    world.strict = true;
    world.start(1);
    world.create("q");
    world.purge("q").unwrap();
    world.pass(59);
    assert_eq!(world.purge("q"), Err(Error::PurgeQueueInProgress { queue: "q".into() }));
    world.pass(1);
    world.purge("q").unwrap();

    world.delete_queue("q").unwrap();
    world.pass(30);
    world.restart(Crash::Kill, 1);
    let settings = QueueSettings::new(QueueKind::Standard);
    let refused = world.create_with("q", settings.clone());
    assert_eq!(refused, Err(Error::QueueDeletedRecently));
    world.pass(30);
    assert!(world.create_with("q", settings).is_ok());
}

#[test]
fn nothing_expires_after_a_long_pause_until_the_clock_is_confirmed() {
    let mut world = World::new(1);
    world.create("q");
    world.send("q", vec![message("a")]);
    world.pass(15 * 86_400);
    for _ in 0..2 {
        // A restart does not settle the doubt.
        world.restart(Crash::Kill, 1);
        world.send("q", vec![message("b")]);
        world.settle();
    }
    assert_eq!(world.counters("q").available, 3);
    assert_eq!(world.receive("q", 10).len(), 3);
    assert!(world.apply("q", Command::Receive(receive(1))).is_ok());
}
