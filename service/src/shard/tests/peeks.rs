//! Looking into a queue: every message once, in its state, and nothing changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::command::{Command, Delivered, Incoming, Outcome, Receive, Rng};
use crate::engine::queue::Counters;
use crate::env::SeededRng;
use crate::model::attributes::QueueSettings;
use crate::model::fifo::{DedupHash, GroupHash, Seq};
use crate::model::filter::Filter;
use crate::model::message::{Attributes, Content, MessageId, MessageState};
use crate::model::queue::QueueKind;
use crate::model::time::Millis;
use crate::shard::queue_stats::oldest;
use crate::shard::request::{Request, Viewed};
use crate::shard::walk::{Cursor, Found, Walk, Wanted};
use crate::store::payload::{decode_payload, encode_payload};
use crate::store::{Space, Store};

use super::world::{ALL, World, key, receipts, receive};

/// A message whose body is its number.
fn numbered(number: u64, group: Option<u8>) -> Incoming {
    let id = MessageId(u128::from(number).to_be_bytes());
    let content = Content {
        body: number.to_string().into(),
        body_md5: [0; 16],
        attributes: Attributes::new(),
        attributes_md5: None,
        trace_header: None,
        sender_id: "sender".into(),
        group_id: group.map(|group| group.to_string()),
        deduplication_id: None,
    };
    Incoming {
        id,
        payload: encode_payload(&id, &content, None),
        delay: None,
        group: group.map(|group| GroupHash(group.into())),
        dedup: group.map(|_| DedupHash(number.into())),
    }
}

fn delayed(number: u64, seconds: u32) -> Incoming {
    Incoming { delay: Some(Millis::from_secs(seconds)), ..numbered(number, None) }
}

fn number_of(id: &MessageId) -> u64 {
    u128::from_be_bytes(id.0) as u64
}

fn in_states(states: &[MessageState]) -> Filter {
    Filter { states: states.iter().copied().collect(), ..Filter::default() }
}

impl World {
    fn view(&mut self, name: &str, from: Seq) -> Viewed {
        let view = |reply| Request::View { key: key(name), queue: None, from, tail: false, reply };
        self.ask(name, view).unwrap()
    }

    /// One page, as one call would find it.
    fn page(&mut self, name: &str, filter: &Filter, max: usize, cursor: &mut Cursor) -> Vec<Found> {
        let group = filter.group.as_ref().map(|group| GroupHash(group.parse().unwrap()));
        let wanted = Wanted { filter: filter.clone(), group, max, bytes_max: usize::MAX };
        let mut walk = Walk::new(Arc::new(wanted), *cursor, usize::MAX);
        loop {
            let Viewed { info, view, .. } = self.view(name, walk.cursor.first());
            walk.go_on(&self.store, &info, &view, &|| false).unwrap();
            *cursor = walk.cursor;
            if walk.is_over() || (walk.is_through(&view) && view.is_whole()) {
                return walk.found;
            }
        }
    }

    /// All pages.
    fn look(&mut self, name: &str, filter: &Filter, max: usize) -> Vec<Found> {
        let mut cursor = Cursor::default();
        let mut all = Vec::new();
        loop {
            let page = self.page(name, filter, max, &mut cursor);
            if page.is_empty() {
                return all;
            }
            assert!(page.len() <= max);
            all.extend(page);
        }
    }

    /// Numbers and states of all messages.
    fn states(&mut self, name: &str, filter: &Filter) -> Vec<(u64, MessageState)> {
        let found = self.look(name, filter, 3);
        found
            .iter()
            .map(|found| (number_of(&found.peeked.message.id), found.peeked.state))
            .collect()
    }

    fn numbers(&mut self, name: &str, filter: &Filter) -> Vec<u64> {
        self.states(name, filter).into_iter().map(|(number, _)| number).collect()
    }

    /// Everything there is, on the disk and in memory.
    fn everything(&self) -> String {
        let rows = [Space::Messages, Space::State].map(|space| {
            let range = crate::store::keys::space_range(space);
            self.store.scan(&range.from, &range.to, ALL).unwrap().rows
        });
        let queues = self.cores.iter().flat_map(|core| core.queues.iter().flatten());
        let queues: Vec<_> = queues.map(|hosted| format!("{:?}", hosted.queue)).collect();
        format!("{rows:?} {queues:?}")
    }
}

fn numbers(taken: &[Delivered]) -> Vec<u64> {
    let number = |taken: &Delivered| {
        number_of(&decode_payload(taken.message.payload.clone(), None).unwrap().0)
    };
    taken.iter().map(number).collect()
}

#[test]
fn each_message_is_shown_in_its_state() {
    use MessageState::*;
    let mut world = World::new(1);
    world.create("q");
    world.send("q", vec![numbered(1, None), delayed(2, 10), numbered(3, None), delayed(4, 99)]);
    world.send("q", (5..8).map(|n| numbered(n, None)).collect());
    let taken = world.receive("q", 2);
    assert_eq!(numbers(&taken), [1, 3]);
    let back = Command::ChangeVisibility(vec![(receipts(&taken)[1], Millis(0))]);
    world.apply("q", back).unwrap();
    world.pass(10);
    world.settle();

    let all = Filter::default();
    let expected = [(1, InFlight), (3, Returned), (5, Available), (6, Available), (7, Available)];
    let delayed = [(2, Available), (4, Delayed)];
    assert_eq!(world.states("q", &all), [&expected[..], &delayed].concat());
    for (states, expected) in [
        (&[InFlight][..], &[1][..]),
        (&[Returned], &[3]),
        (&[Delayed], &[4]),
        (&[Available], &[5, 6, 7, 2]),
        (&[InFlight, Returned], &[1, 3]),
        (&[Returned, Delayed], &[3, 4]),
        (&[], &[]),
    ] {
        assert_eq!(world.numbers("q", &in_states(states)), expected, "{states:?}");
    }
    let found = world.look("q", &all, 100);
    let hidden: Vec<_> = found.iter().filter_map(|found| found.peeked.hidden_until).collect();
    let sent_at = found[0].peeked.message.sent_at;
    assert_eq!(hidden, [30, 99].map(|seconds| sent_at.plus(Millis::from_secs(seconds))));
    let counts: Vec<_> = found.iter().map(|found| found.peeked.message.receive_count).collect();
    assert_eq!(counts, [1, 1, 0, 0, 0, 0, 0]);
    assert_eq!(found[1].peeked.message.first_received_at, Some(sent_at));
    assert_eq!(found[2].peeked.message.first_received_at, None);
}

#[test]
fn a_fifo_queue_shows_its_own_delay_and_finds_a_group_by_its_index() {
    use MessageState::*;
    let mut world = World::new(1);
    let mut settings = QueueSettings::new(QueueKind::Fifo);
    settings.delay_s = 10;
    world.create_with("q.fifo", settings).unwrap();
    world.send("q.fifo", vec![numbered(1, Some(1)), numbered(2, Some(2)), numbered(3, Some(1))]);
    world.pass(10);
    world.settle();
    world.send("q.fifo", vec![numbered(4, Some(1)), numbered(5, Some(2))]);
    let taken = world.receive("q.fifo", 1);
    assert_eq!(numbers(&taken), [1]);
    let states = [(1, InFlight), (2, Available), (3, Available), (4, Delayed), (5, Delayed)];
    assert_eq!(world.states("q.fifo", &Filter::default()), states);
    let found = world.look("q.fifo", &in_states(&[Delayed]), 100);
    assert_eq!(
        found[0].peeked.hidden_until,
        Some(found[0].peeked.message.sent_at.plus(Millis(10_000)))
    );

    let group = |group: &str| Filter { group: Some(group.into()), ..Filter::default() };
    let before = world.store.counts();
    assert_eq!(world.numbers("q.fifo", &group("1")), [1, 3, 4]);
    assert_eq!(world.numbers("q.fifo", &group("2")), [2, 5]);
    assert_eq!(world.numbers("q.fifo", &group("3")), [0; 0]);
    let member_rows = world.store.counts().scanned_rows - before.scanned_rows;
    assert!(member_rows <= 4 * 3, "{member_rows} rows read");
    let mine = Filter { states: in_states(&[Available]).states, ..group("1") };
    assert_eq!(world.numbers("q.fifo", &mine), [3]);
}

#[test]
fn what_has_expired_is_not_shown_though_it_is_still_there() {
    let mut world = World::new(1);
    let mut settings = QueueSettings::new(QueueKind::Standard);
    settings.retention_s = 60;
    world.create_with("q", settings).unwrap();
    world.send("q", (1..100).map(|n| numbered(n, None)).collect());
    world.pass(30);
    world.send("q", vec![numbered(100, None)]);
    world.pass(30);
    // One turn drops a few; the rest is for the next.
    let (reply, mut answer) = tokio::sync::oneshot::channel();
    let view = Request::View { key: key("q"), queue: None, from: Seq::MIN, tail: false, reply };
    world.step(0, vec![view]).unwrap();
    assert!(world.rows(Space::Messages) > 50);
    let Viewed { info, view, .. } = answer.try_recv().unwrap().unwrap();
    let wanted = Wanted { filter: Filter::default(), group: None, max: 9, bytes_max: 99_999 };
    let mut walk = Walk::<Found>::new(Arc::new(wanted), Cursor::default(), 1000);
    walk.go_on(&world.store, &info, &view, &|| false).unwrap();
    assert_eq!(
        walk.found.iter().map(|found| number_of(&found.peeked.message.id)).collect::<Vec<_>>(),
        [100]
    );
}

#[test]
fn a_walk_meets_each_message_once_whatever_happens_to_it_meanwhile() {
    let mut world = World::new(1);
    world.create("q");
    world.send("q", (1..=6).map(|n| numbered(n, None)).collect());
    let open = Filter::default();
    let mut cursor = Cursor::default();
    let number = |found: Vec<Found>| -> Vec<u64> {
        found.iter().map(|found| number_of(&found.peeked.message.id)).collect()
    };
    assert_eq!(number(world.page("q", &open, 2, &mut cursor)), [1, 2]);
    // Two are received, one of them again; one goes for good; one arrives.
    let taken = world.receive("q", 5);
    world.apply("q", Command::Delete(vec![receipts(&taken)[4]])).unwrap();
    world.send("q", vec![numbered(7, None)]);
    assert_eq!(number(world.page("q", &open, 2, &mut cursor)), [3, 4]);
    let back = receipts(&taken)[..4].iter().map(|receipt| (*receipt, Millis(0))).collect();
    world.apply("q", Command::ChangeVisibility(back)).unwrap();
    assert_eq!(number(world.page("q", &open, 9, &mut cursor)), [6, 7]);
    assert_eq!(number(world.page("q", &open, 9, &mut cursor)), [0; 0]);
    // At the end the cursor waits for what arrives, with a delay or without.
    world.send("q", vec![delayed(8, 5), numbered(9, None)]);
    assert_eq!(number(world.page("q", &open, 9, &mut cursor)), [9, 8]);
    // Over a purge too.
    world.purge("q").unwrap();
    world.send("q", vec![numbered(10, None)]);
    assert_eq!(number(world.page("q", &open, 9, &mut cursor)), [10]);
}

#[test]
fn a_walk_stops_when_it_has_done_enough_and_goes_on_where_it_was() {
    let mut world = World::new(1);
    world.create("q");
    world.send("q", (1..=1000).map(|n| numbered(n, None)).collect());
    let wanted = Wanted {
        filter: Filter { body: Some("999".into()), ..Filter::default() },
        group: None,
        max: 10,
        bytes_max: usize::MAX,
    };
    let wanted = Arc::new(wanted);
    let mut cursor = Cursor::default();
    for calls in 1.. {
        let Viewed { info, view, .. } = world.view("q", cursor.first());
        let mut walk = Walk::<Found>::new(Arc::clone(&wanted), cursor, 100);
        let before = world.store.counts().scanned_rows;
        walk.go_on(&world.store, &info, &view, &|| false).unwrap();
        assert!(world.store.counts().scanned_rows - before <= 256);
        assert!(cursor != walk.cursor, "it gets somewhere");
        cursor = walk.cursor;
        if !walk.found.is_empty() {
            assert_eq!(calls, 10);
            break;
        }
    }
    // Late from the start, it looks at some rows, not at all.
    let Viewed { info, view, .. } = world.view("q", Seq::MIN);
    let mut walk = Walk::<Found>::new(wanted, Cursor::default(), 5000);
    walk.go_on(&world.store, &info, &view, &|| true).unwrap();
    assert!(walk.found.is_empty() && !walk.is_over() && !walk.is_through(&view));
}

#[test]
fn more_deliveries_than_one_view_tells_of_take_several() {
    let mut world = World::new(1);
    world.create("q");
    world.send("q", (1..=1200).map(|n| numbered(n, None)).collect());
    for _ in 0..110 {
        world.receive("q", 10);
    }
    assert!(!world.view("q", Seq::MIN).view.is_whole());
    let expected: Vec<u64> = (1..=1200).collect();
    assert_eq!(world.look("q", &Filter::default(), 1000).len(), 1200);
    assert_eq!(world.numbers("q", &Filter::default()), expected);
    assert_eq!(world.numbers("q", &in_states(&[MessageState::Available])), expected[1100..]);
}

#[test]
fn a_glance_finds_the_message_that_has_been_there_longest() {
    let mut world = World::new(1);
    world.create("dead");
    world.create_source("q", "dead", 1);
    let began = |world: &mut World, name: &str| {
        let glance =
            world.ask(name, |reply| Request::Glance { keys: vec![key(name)], reply }).unwrap();
        let glance = glance.into_iter().next().unwrap();
        let age = oldest(&world.store, &glance.info, &glance.view).unwrap();
        (age.map(|arrived_at| glance.view.now.since(arrived_at).0 / 1000), glance)
    };
    assert_eq!(began(&mut world, "q").0, None);
    world.send("q", vec![delayed(1, 500)]);
    world.pass(10);
    world.send("q", (2..20).map(|n| numbered(n, None)).collect());
    world.pass(5);
    assert_eq!(began(&mut world, "q").0, Some(15), "delayed, and older than all others");
    world
        .apply("q", Command::Receive(Receive { visibility: Some(Millis(0)), ..receive(10) }))
        .unwrap();
    assert_eq!(began(&mut world, "q").0, Some(15));
    let (_, glance) = began(&mut world, "q");
    assert_eq!((glance.counters.available, glance.counters.delayed), (18, 1));
    assert!(glance.rates.sent > 0.3 && glance.rates.received > 0.15, "{:?}", glance.rates);
    world.receive("q", 10);
    world.pass(3);
    world.settle();
    assert_eq!(began(&mut world, "dead").0, Some(3), "since it came, not since it was sent");
    let all = world.look("q", &Filter::default(), 100);
    assert_eq!(number_of(&all.last().unwrap().peeked.message.id), 1);

    // Nobody is there.
    let gone = |reply| Request::Glance { keys: vec![key("nobody")], reply };
    assert_eq!(world.ask("q", gone).unwrap().len(), 0);
}

#[test]
fn a_token_says_where_to_go_on_in_its_own_queue_alone() {
    let mut world = World::new(1);
    let (one, other) = (world.create("one").id, world.create("other").id);
    let cursor = Cursor::at(Seq(7));
    let token = cursor.to_token(one);
    assert_eq!(Cursor::from_token(&token, one), Some(cursor));
    assert_eq!(Cursor::from_token(&token, other), None);
    for odd in ["", "!", "AAAA", &format!("{token}AAAA"), &token[4..]] {
        assert_eq!(Cursor::from_token(odd, one), None, "{odd}");
    }
    world.delete_queue("one").unwrap();
    assert_ne!(world.create("one").id, one);
}

/// Random lives of a queue: at any moment a look shows every message that was sent and not deleted,
/// in states that add up to the counters, and changes nothing.
#[test]
fn looking_shows_everything_and_changes_nothing() {
    let mut seen = BTreeMap::<MessageState, u64>::new();
    for seed in 1..=60 {
        let mut rng = SeededRng::new(seed);
        let mut below = |bound: u64| rng.next_u64() % bound;
        let kind = below(3);
        let name = if kind == 0 { "q.fifo" } else { "q" };
        let mut world = World::new(1);
        let mut settings = QueueSettings::new(key(name).name.kind());
        settings.delay_s = [0, 7][below(2) as usize];
        world.create_with(name, settings).unwrap();
        let mut alive = BTreeSet::new();
        let mut last = 0;
        for step in 0..60 {
            match below(6) {
                0 | 1 => {
                    let new = |_| {
                        last += 1;
                        let grouped = kind == 0 || (kind == 1 && below(2) == 0);
                        let message = numbered(last, grouped.then(|| below(3) as u8 + 1));
                        let own = (kind > 0 && below(3) == 0).then(|| below(30) as u32);
                        Incoming { delay: own.map(Millis::from_secs), ..message }
                    };
                    let messages: Vec<Incoming> = (0..5).map(new).collect();
                    alive.extend(messages.iter().map(|message| number_of(&message.id)));
                    world.send(name, messages);
                }
                2 | 3 => {
                    let visibility = Some(Millis(below(20) * 1000));
                    let receive = Command::Receive(Receive { visibility, ..receive(4) });
                    let Ok(Outcome::Received(taken)) = world.apply(name, receive) else {
                        panic!("seed {seed} {step}");
                    };
                    let done = &taken[..below(taken.len() as u64 + 1) as usize];
                    if !done.is_empty()
                        && let Ok(Outcome::Done(results)) =
                            world.apply(name, Command::Delete(receipts(done)))
                    {
                        for (number, result) in numbers(done).iter().zip(results) {
                            if result.is_ok() {
                                alive.remove(number);
                            }
                        }
                    }
                }
                4 => world.pass(below(12)),
                _ => world.restart(crate::store::memory::Crash::Kill, 1),
            }
            world.settle();
            let Counters { available, in_flight, delayed } = world.counters(name);
            let before = world.everything();
            let states = world.states(name, &Filter::default());
            assert_eq!(before, world.everything(), "seed {seed} {step}");
            let numbers: BTreeSet<u64> = states.iter().map(|(number, _)| *number).collect();
            assert_eq!((numbers.len(), &numbers), (states.len(), &alive), "seed {seed} {step}");
            let count = |wanted: &[MessageState]| {
                states.iter().filter(|(_, state)| wanted.contains(state)).count() as u64
            };
            use MessageState::*;
            let counted = (count(&[Available, Returned]), count(&[InFlight]), count(&[Delayed]));
            assert_eq!(counted, (available, in_flight, delayed), "seed {seed} {step}");
            for (_, state) in states {
                *seen.entry(state).or_default() += 1;
            }
        }
    }
    assert!(seen.len() == 4 && seen.values().all(|count| *count > 100), "{seen:?}");
}
