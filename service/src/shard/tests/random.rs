//! Random lives of a process: whatever happens, an acknowledged message is in one queue until it is
//! deleted, and the counters say so.

use std::collections::BTreeSet;

use tokio::sync::oneshot;

use super::world::{World, fifo_message, message, name_on, receipts, request, texts};
use crate::engine::command::{Command, Incoming, Outcome, Receive, Rng};
use crate::env::SeededRng;
use crate::model::time::Millis;
use crate::store::memory::Crash;

const SEEDS: u64 = 100;
const STEPS: u64 = 120;

#[test]
fn an_acknowledged_message_is_in_one_queue_until_it_is_deleted() {
    let mut moves = 0;
    for seed in 1..=SEEDS {
        let first = live(seed);
        let moved = |line: &&String| line.contains("moved") && !line.ends_with("moved 0");
        moves += first.iter().filter(moved).count() as u64;
        if seed % 20 == 0 {
            assert_eq!(first, live(seed), "seed {seed} gives two histories");
        }
    }
    assert!(moves > SEEDS, "only {moves} receives met a moved message");
}

/// One life; returns how it went, for comparison.
fn live(seed: u64) -> Vec<String> {
    let mut rng = SeededRng::new(seed);
    let mut below = |bound: u64| rng.next_u64() % bound;
    let mut world = World::new(2);
    if below(2) == 0 {
        world.window_bytes_max = 200;
        world.start(2);
    }
    let fifo = below(3) == 0;
    let suffix = if fifo { ".fifo" } else { "" };
    let near = |stem: &str, shard| {
        let names = (0..).map(|n| format!("{}{suffix}", name_on(&format!("{stem}{n}"), 0, 1)));
        names.into_iter().find(|name| world.owner(name) == shard).unwrap()
    };
    let queues = [near("a", 0), near("b", 1), near("c", 0)];
    // Dead letters go from the first over the second to the third, and stay there.
    world.create(&queues[2]);
    world.create_source(&queues[1], &queues[2], 2);
    world.create_source(&queues[0], &queues[1], 1);
    let mut alive = BTreeSet::new();
    let mut history = Vec::new();
    for step in 0..STEPS {
        let queue = &queues[below(3) as usize];
        match below(12) {
            0..=3 => {
                let count = 1 + below(5);
                let new = |n: u64, delay: u64| {
                    let text = format!("{step}-{n}");
                    let plain = match fifo {
                        true => fifo_message(&text, u128::from(step * 10 + n)),
                        false => message(&text),
                    };
                    let delay = (!fifo && delay > 0).then(|| Millis::from_secs(delay as u32));
                    Incoming { delay, ..plain }
                };
                let messages: Vec<_> = (0..count).map(|n| new(n, below(4) * 5)).collect();
                world.send(queue, messages);
                alive.extend((0..count).map(|n| format!("{step}-{n}")));
            }
            4..=6 => {
                let taken = world.receive(queue, 1 + below(10) as usize);
                let moved = taken.iter().filter(|taken| taken.message.moved.is_some()).count();
                history.push(format!("{step} {queue} {:?} moved {moved}", texts(&taken)));
                let done = &taken[..below(taken.len() as u64 + 1) as usize];
                if !done.is_empty() {
                    world.apply(queue, Command::Delete(receipts(done))).unwrap();
                    for text in texts(done) {
                        assert!(alive.remove(&text), "seed {seed}: {text} came back");
                    }
                }
            }
            7 => drop(world.receive_and_return(queue)),
            8 => {
                world.pass(below(40));
                world.settle();
            }
            9 => {
                // A crash while messages may be under way.
                let (reply, _answer) = oneshot::channel();
                let command = Command::Receive(Receive {
                    visibility: Some(Millis(0)),
                    ..super::world::receive(10)
                });
                let owner = world.owner(queue);
                world.step(owner, vec![request(queue, command, reply)]).unwrap();
                let survivors = below(world.store.unsynced() as u64 + 1) as usize;
                let crash = [Crash::Kill, Crash::PowerCut { survivors }][below(2) as usize];
                world.restart(crash, 1 + below(4) as usize);
                world.settle();
            }
            10 => {
                // Nobody waits for the answer.
                let request = world.long_poll(queue, 20).0;
                let owner = world.owner(queue);
                world.step(owner, vec![request]).unwrap();
                world.settle();
            }
            _ => {
                let (request, mut answer) = world.long_poll(queue, below(20));
                let owner = world.owner(queue);
                world.step(owner, vec![request]).unwrap();
                world.settle();
                if let Ok(Ok(parcel)) = answer.try_recv()
                    && let Outcome::Received(messages) = parcel.open()
                {
                    history.push(format!("{step} polled {:?}", texts(&messages)));
                }
            }
        }
        let counted: u64 = queues
            .iter()
            .map(|queue| world.counters(queue))
            .map(|counters| counters.available + counters.in_flight + counters.delayed)
            .sum();
        assert_eq!((counted, world.under_way()), (alive.len() as u64, 0), "seed {seed} {step}");
    }
    drain(&mut world, &queues, seed, alive);
    history
}

/// Receives and deletes everything, and holds it against what must be there.
fn drain(world: &mut World, queues: &[String], seed: u64, mut alive: BTreeSet<String>) {
    for _ in 0..alive.len() * 3 + 30 {
        world.pass(31);
        world.settle();
        for queue in queues {
            let taken = world.receive(queue, 10);
            if taken.is_empty() {
                continue;
            }
            world.apply(queue, Command::Delete(receipts(&taken))).unwrap();
            for text in texts(&taken) {
                assert!(alive.remove(&text), "seed {seed}: {text} twice, or never sent");
            }
        }
        if alive.is_empty() {
            break;
        }
    }
    assert!(alive.is_empty(), "seed {seed}: lost {alive:?}");
    for _ in 0..20 {
        world.pass(61);
        world.settle();
    }
    assert_eq!(world.rows(crate::store::Space::Messages), 0, "seed {seed}: rows left behind");
}
