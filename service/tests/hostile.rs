//! The targets of `tests/fuzz` with bytes that are nearly right, in every test run: what a seed is
//! with a few bytes changed, cut out or doubled.

use std::fs;
use std::path::Path;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use stanchion_service::auth::session_token::SigningKeys;
use stanchion_service::model::fifo::Seq;
use stanchion_service::model::queue::{QueueId, Slot};
use stanchion_service::model::receipt::{ReceiptHandle, ReceiptKey};
use stanchion_service::model::rows::{Lane, Place};

#[path = "../../tests/fuzz/targets.rs"]
mod targets;

/// A change of bytes: what is done, where, and with what.
type Change = (u8, Index, Index, u8);

fn nearly(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let change = (0..6_u8, any::<Index>(), any::<Index>(), any::<u8>());
    (select(seeds), vec(change, 0..6)).prop_map(|(mut bytes, changes)| {
        changes.into_iter().for_each(|change| apply(&mut bytes, change));
        bytes
    })
}

fn apply(bytes: &mut Vec<u8>, (what, from, to, with): Change) {
    let at = |index: Index| index.index(bytes.len() + 1);
    let (from, to) = (at(from).min(at(to)), at(from).max(at(to)));
    match what {
        0 => bytes.truncate(to),
        1 => drop(bytes.drain(from..to)),
        2 => bytes.extend_from_within(from..to),
        3 => bytes.insert(from, with),
        // What the formats are made of.
        4 => bytes.insert(from, b"{}[]\",:&=.%1\n\0"[usize::from(with) % 14]),
        _ => bytes[from..to].iter_mut().take(1).for_each(|byte| *byte ^= with),
    }
}

/// The files in `tests/fuzz/seeds` for a target.
fn files(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/seeds").join(target);
    let files = fs::read_dir(folder).expect("there are seeds").map(|file| file.unwrap().path());
    files.map(|file| fs::read(file).unwrap()).collect()
}

/// The keys and the values whose bytes are fixed for good.
fn stored() -> Vec<Vec<u8>> {
    let golden = include_str!("store/golden.txt");
    let words = golden.split([' ', '\n']).filter(|word| word.len() > 1 && word.len() % 2 == 0);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    words.filter_map(|word| word.as_bytes().chunks(2).map(byte).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn json(bytes in nearly(files("json"))) {
        targets::json(&bytes);
    }

    #[test]
    fn jwt(bytes in nearly(files("jwt"))) {
        targets::jwt(&bytes);
    }

    #[test]
    fn query(bytes in nearly(files("query"))) {
        targets::query(&bytes);
    }

    #[test]
    fn policy(bytes in nearly(files("policy"))) {
        targets::policy(&bytes);
    }

    #[test]
    fn signature(bytes in nearly(files("signature"))) {
        targets::signature(&bytes);
    }

    #[test]
    fn rows(bytes in nearly(stored())) {
        targets::rows(&bytes);
    }

    #[test]
    fn receipt(bytes in nearly(vec![handle()])) {
        targets::receipt(&bytes);
    }
}

/// A handle that the target's key opens.
fn handle() -> Vec<u8> {
    let key = ReceiptKey::derive(targets::RECEIPT_SECRET);
    let place = Place { lane: Lane::Main, seq: Seq(1) };
    let handle = ReceiptHandle { slot: Slot(0), queue: QueueId(0), place, nonce: 0 };
    key.seal(&handle).into_bytes()
}

#[test]
fn the_seeds_are_what_they_seem() {
    let key = ReceiptKey::derive(targets::RECEIPT_SECRET);
    let text = String::from_utf8(handle()).unwrap();
    assert!(key.open(&text, Slot(0), QueueId(0)).is_ok());
    assert!(stored().len() > 20);
    let sessions = SigningKeys::derive([targets::SESSION_KEY]);
    let opens =
        |seed: &Vec<u8>| sessions.open(&String::from_utf8_lossy(seed), Duration::ZERO).is_ok();
    assert!(files("jwt").iter().any(opens));
    assert!(files("signature").iter().all(|seed| targets::signature(seed)));
    for target in ["json", "query", "policy", "signature"] {
        assert!(!files(target).is_empty(), "{target}");
    }
}
