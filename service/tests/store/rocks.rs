//! RocksDB behind the store trait: the same answers as the rows in memory, in bounded work.

use std::fs;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use stanchion_service::engine::command::Rng;
use stanchion_service::env::SeededRng;
use stanchion_service::model::fifo::Seq;
use stanchion_service::model::queue::{Generation, Slot};
use stanchion_service::model::rows::{Lane, Place, RowKey};
use stanchion_service::store::format::OpenError;
use stanchion_service::store::keys::{messages_range, row_key, space_range};
use stanchion_service::store::memory::MemoryStore;
use stanchion_service::store::rocks::{RocksOptions, RocksStore};
use stanchion_service::store::{Batch, Durability, Key, Limit, Op, Page, Space, Store, StoreError};

const ALL: Limit = Limit { rows: usize::MAX, bytes: usize::MAX };

fn open(dir: &tempfile::TempDir) -> RocksStore {
    RocksStore::open(dir.path(), &RocksOptions::default()).unwrap()
}

fn key(text: &str) -> Key {
    Key { space: Space::State, bytes: text.into() }
}

fn put(text: &str) -> Op {
    Op::Put(key(text), Bytes::copy_from_slice(text.as_bytes()))
}

fn commit(store: &impl Store, ops: Vec<Op>) {
    store.commit(Batch { ops }, Durability::Synced).unwrap();
}

fn everything(store: &impl Store) -> [Page; 2] {
    [Space::Messages, Space::State].map(|space| {
        let range = space_range(space);
        store.scan(&range.from, &range.to, ALL).unwrap()
    })
}

/// The pages of a range, each within the limit and further on than the last.
fn pages(store: &impl Store, from: &Key, to: &Key, limit: Limit) -> Vec<Page> {
    let (mut from, mut pages) = (from.clone(), Vec::new());
    loop {
        let page = store.scan(&from, to, limit).unwrap();
        let before_last = page.rows.iter().rev().skip(1).map(|(_, value)| value.len());
        assert!(page.rows.len() <= limit.rows, "{} rows", page.rows.len());
        assert!(before_last.sum::<usize>() < limit.bytes, "went on after the bytes were reached");
        let next = page.next.clone();
        pages.push(page);
        let Some(next) = next else { return pages };
        assert!(from.bytes < next, "every page makes way");
        from.bytes = next;
    }
}

fn rows_of(pages: Vec<Page>) -> Vec<(Vec<u8>, Bytes)> {
    pages.into_iter().flat_map(|page| page.rows).collect()
}

fn short_keys() -> impl Strategy<Value = Key> {
    (any::<bool>(), vec(0u8..4, 1..4)).prop_map(|(state, bytes)| Key {
        space: if state { Space::State } else { Space::Messages },
        bytes,
    })
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (short_keys(), any::<u8>()).prop_map(|(key, value)| {
            Op::Put(key, Bytes::from(vec![value; 1 + usize::from(value % 3)]))
        }),
        2 => short_keys().prop_map(Op::Delete),
        1 => (short_keys(), short_keys()).prop_map(|(a, b)| {
            let b = Key { space: a.space, ..b };
            if a <= b { Op::DeleteRange(a, b) } else { Op::DeleteRange(b, a) }
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn it_answers_like_the_rows_in_memory(
        batches in vec(vec(ops(), 0..12), 1..8),
        probes in vec(short_keys(), 1..8),
        rows in 1usize..6,
        bytes in 1usize..8,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (memory, mut rocks) = (MemoryStore::new(), open(&dir));
        for (number, ops) in batches.into_iter().enumerate() {
            let durability = [Durability::Synced, Durability::Buffered][number % 2];
            memory.commit(Batch { ops: ops.clone() }, durability).unwrap();
            rocks.commit(Batch { ops }, durability).unwrap();
            if number == 3 {
                drop(rocks);
                rocks = open(&dir);
            }
        }
        prop_assert_eq!(everything(&rocks), everything(&memory));
        prop_assert_eq!(rocks.multi_get(&probes), memory.multi_get(&probes));
        let limit = Limit { rows, bytes };
        for (probe, space) in probes.iter().zip([Space::State, Space::Messages].into_iter().cycle()) {
            prop_assert_eq!(rocks.get(probe), memory.get(probe));
            let (from, to) = (Key { space, ..probe.clone() }, space_range(space).to);
            let [stored, expected] = [
                pages(&rocks, &from, &to, limit),
                pages(&memory, &from, &to, limit),
            ];
            match space {
                Space::State => prop_assert_eq!(stored, expected),
                // Where numbers have gaps a page may end early, but not with less than a quarter.
                Space::Messages => {
                    let (first, full) = (&stored[0].rows, &expected[0].rows);
                    prop_assert!(full.starts_with(first) && full.len() <= 4 * first.len());
                    prop_assert_eq!(rows_of(stored), rows_of(expected));
                }
            }
        }
        let (a, b) = (rocks.snapshot().unwrap(), memory.snapshot().unwrap());
        commit(&rocks, vec![put("later")]);
        let range = space_range(Space::State);
        prop_assert_eq!(a.scan(&range.from, &range.to, ALL), b.scan(&range.from, &range.to, ALL));
        prop_assert_eq!(a.get(&probes[0]), b.get(&probes[0]));
    }
}

#[test]
fn a_scan_among_deleted_rows_gives_up_and_says_where_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let place = |seq| Place { lane: Lane::Main, seq: Seq(seq) };
    let key = |seq| row_key(Slot(1), Generation(1), &RowKey::Message(place(seq)));
    let total = 300_000;
    let value = Bytes::from_static(b"v");
    let puts = (0..total).map(|seq| Op::Put(key(seq), value.clone()));
    commit(&store, puts.collect());
    // One old message, then only deleted ones up to the last.
    commit(&store, (1..total - 1).map(|seq| Op::Delete(key(seq))).collect());

    let range = messages_range(Slot(1), Generation(1), Lane::Main, Seq::MIN);
    let pages = pages(&store, &range.from, &range.to, Limit { rows: 10, bytes: 1 << 20 });
    let calls = pages.len();
    let found: Vec<_> = rows_of(pages).into_iter().map(|(key, _)| key).collect();
    assert_eq!(found, [key(0).bytes, key(total - 1).bytes]);
    assert!((5..60).contains(&calls), "{calls} calls: bounded work each, but no crawl");
}

#[test]
fn one_key_deleted_many_times_does_not_stop_a_scan() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    for _ in 0..30 {
        let rewrite = (0..2_000).flat_map(|_| [put("a"), Op::Delete(key("a"))]);
        commit(&store, rewrite.collect());
    }
    commit(&store, vec![put("b")]);
    let pages = pages(&store, &key(""), &key("z"), ALL);
    assert!(pages.len() <= 100, "{} pages", pages.len());
    let rows = rows_of(pages);
    assert_eq!(rows.len(), 1);
}

#[test]
fn a_failed_write_is_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    commit(&store, vec![put("a")]);
    // RocksDB refuses a range that ends before it starts, like a disk that refuses to be written.
    let backwards = Batch { ops: vec![Op::DeleteRange(key("b"), key("a"))] };
    let error = store.commit(backwards, Durability::Synced).unwrap_err();
    let next = Batch { ops: vec![put("b")] };
    assert_eq!(store.commit(next, Durability::Buffered), Err(error.clone()));
    assert_eq!(store.flush(), Err(error));
    assert_eq!(store.get(&key("a")).unwrap(), Some(Bytes::from_static(b"a")), "reads go on");
    assert_eq!(store.get(&key("b")).unwrap(), None);
}

#[test]
fn a_checkpoint_opens_as_a_database_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    commit(&store, vec![put("a")]);
    let copy = tempfile::tempdir().unwrap();
    store.checkpoint(&copy.path().join("db")).unwrap();
    commit(&store, vec![put("b")]);
    fs::copy(dir.path().join("FORMAT"), copy.path().join("FORMAT")).unwrap();
    let copied = open(&copy);
    assert_eq!(copied.multi_get(&[key("a"), key("b")]).unwrap(), [Some("a".into()), None]);
}

#[test]
fn a_flushed_store_has_nothing_to_replay() {
    for sync in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let options = RocksOptions { sync, ..RocksOptions::default() };
        let store = RocksStore::open(dir.path(), &options).unwrap();
        let value = Bytes::from(vec![7; 1 << 20]);
        commit(&store, vec![Op::Put(key("big"), value)]);
        let logged = store.reopen_bytes();
        assert!(logged >= 2 << 20, "log and memtable hold the value: {logged}");
        store.flush().unwrap();
        if sync {
            assert!(store.reopen_bytes() < 1 << 20);
        }
        drop(store);
        let store = RocksStore::open(dir.path(), &options).unwrap();
        assert!(store.get(&key("big")).unwrap().is_some());
    }
}

#[test]
fn compaction_gives_the_space_of_deleted_rows_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let size = || -> u64 {
        let files = fs::read_dir(dir.path().join("db")).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
    };
    let key = |n: u32| Key { space: Space::Messages, bytes: n.to_be_bytes().to_vec() };
    // Bytes that do not compress.
    let mut rng = SeededRng::new(1);
    for n in 0..64 {
        let value: Vec<u8> = (0..8 << 10).flat_map(|_| rng.next_u64().to_be_bytes()).collect();
        commit(&store, vec![Op::Put(key(n), Bytes::from(value))]);
    }
    store.flush().unwrap();
    let full = size();
    commit(&store, (0..64).map(|n| Op::Delete(key(n))).collect());
    store.compact(&key(0), &key(64)).unwrap();
    // Whoever still reads the files that went keeps them until he is done; closing waits for that.
    drop(store);
    drop(open(&dir));
    assert!(size() < full / 2, "{} of {full} bytes are left", size());
}

#[test]
fn dead_rows_are_dropped_by_the_table_and_no_other_row_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let key = |n: u32| Key { space: Space::Messages, bytes: n.to_be_bytes().to_vec() };
    let left = || {
        let all = Limit { rows: usize::MAX, bytes: usize::MAX };
        store.scan(&key(0), &key(u32::MAX), all).unwrap().rows.len()
    };
    // Two tables, below the first level.
    for rows in [0..256, 256..512] {
        commit(&store, rows.clone().map(|n| Op::Put(key(n), Bytes::from_static(b"row"))).collect());
        store.flush().unwrap();
        store.compact(&key(rows.start), &key(rows.end)).unwrap();
    }
    store.drop_dead(&key(0), &key(255)).unwrap();
    assert_eq!(left(), 512, "the last row of the first table is none of these");
    store.drop_dead(&key(1), &key(256)).unwrap();
    assert_eq!(left(), 512, "nor is its first one");
    store.drop_dead(&key(0), &key(256)).unwrap();
    assert_eq!(left(), 256);
    store.drop_dead(&key(0), &key(512)).unwrap();
    assert_eq!(left(), 0);
}

#[test]
fn a_second_server_on_the_folder_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(&dir);
    let second = RocksStore::open(dir.path(), &RocksOptions::default());
    assert!(matches!(second, Err(OpenError::InUse(_))));
    drop(first);
    open(&dir);
}

#[test]
fn a_folder_of_a_newer_format_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir));
    fs::write(dir.path().join("FORMAT"), "99").unwrap();
    let refused = RocksStore::open(dir.path(), &RocksOptions::default());
    assert!(matches!(refused, Err(OpenError::NewerFormat { found: 99, .. })));
}

#[test]
fn a_database_that_lost_a_table_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    commit(&store, vec![put("a")]);
    store.flush().unwrap();
    drop(store);
    for file in fs::read_dir(dir.path().join("db")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "sst") {
            fs::remove_file(path).unwrap();
        }
    }
    let refused = RocksStore::open(dir.path(), &RocksOptions::default());
    let Err(OpenError::Store { error, .. }) = refused else { panic!("it opened") };
    assert!(matches!(error, StoreError::Corrupt(_) | StoreError::Io(_)), "{error}");
}
