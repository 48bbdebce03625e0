//! Shards, a store, clients and disasters in one thread, from one seed. A failure prints the seed;
//! `make sim SEED=…` plays it again, and `make sim SEED=1000..3000` plays all of these.

mod auditor;
mod client;
mod world;

use std::ops::Range;

use world::World;

/// Histories of every test run; each has a thousand steps and a few crashes.
const SEEDS: u64 = 40;
const STEPS: usize = 1500;

fn play(seed: u64, shards: &[usize]) -> u64 {
    let mut world = World::new(seed, shards);
    for _ in 0..STEPS {
        world.step();
    }
    world.finish()
}

/// `7`, or `7..9` for several.
fn parse_seeds(text: &str) -> Range<u64> {
    let number = |text: &str| -> u64 { text.parse().expect("a seed is a number") };
    match text.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(text)..number(text) + 1,
    }
}

fn play_all(shards: &[usize]) {
    let asked = std::env::var("STANCHION_SEED").ok().filter(|asked| !asked.is_empty());
    for seed in asked.map_or(0..SEEDS, |asked| parse_seeds(&asked)) {
        let told = std::panic::catch_unwind(|| play(seed, shards));
        assert!(told.is_ok(), "seed {seed} with shards {shards:?}: make sim SEED={seed}");
    }
}

#[test]
fn what_was_promised_holds_with_one_shard() {
    play_all(&[1]);
}

#[test]
fn what_was_promised_holds_with_four_shards() {
    play_all(&[4]);
}

#[test]
fn what_was_promised_holds_when_every_start_has_another_number_of_shards() {
    play_all(&[1, 4, 2, 7]);
}

#[test]
fn one_seed_is_one_history() {
    for seed in [1, 2, 3] {
        assert_eq!(play(seed, &[4]), play(seed, &[4]), "seed {seed}");
    }
}
