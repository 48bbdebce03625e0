//! Harm done to the log of a closed database: nothing acknowledged is dropped in silence, and
//! nothing keeps a database from opening that has lost nothing acknowledged.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use stanchion_service::model::fifo::Seq;
use stanchion_service::model::queue::{Generation, Slot};
use stanchion_service::model::rows::{Lane, MessageHead, MessageRow, Place, RowKey, Write};
use stanchion_service::model::time::Timestamp;
use stanchion_service::store::codec::{decode, encode, encode_write};
use stanchion_service::store::format::OpenError;
use stanchion_service::store::keys::{messages_range, parse_row_key, turn_key};
use stanchion_service::store::recovery::Loss;
use stanchion_service::store::rocks::{RocksOptions, RocksStore, repair};
use stanchion_service::store::values::TurnRow;
use stanchion_service::store::{Batch, Durability, Limit, Op, Space, Store};

const SLOT: Slot = Slot(7);
const GENERATION: Generation = Generation(1);
const SHARD: u16 = 0;

/// A closed database whose only log holds some turns of one shard, each with one message.
struct Written {
    dir: tempfile::TempDir,
    log: PathBuf,
    /// Where in the log each turn's record is; the first turn is 1.
    records: Vec<Range<usize>>,
}

impl Written {
    /// Turns up to and including `synced` are synced, those behind it are not.
    fn new(turns: u64, synced: u64, body_bytes: usize) -> Written {
        let dir = tempfile::tempdir().unwrap();
        let store = RocksStore::open(dir.path(), &RocksOptions::default()).unwrap();
        let log = newest_log(dir.path());
        let mut records = Vec::new();
        for turn in 1..=turns {
            let start = fs::metadata(&log).unwrap().len() as usize;
            let durability = if turn <= synced { Durability::Synced } else { Durability::Buffered };
            store.commit(batch(turn, synced, body_bytes), durability).unwrap();
            records.push(start..fs::metadata(&log).unwrap().len() as usize);
        }
        drop(store);
        Written { dir, log, records }
    }

    fn record(&self, turn: u64) -> Range<usize> {
        self.records[turn as usize - 1].clone()
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.log).unwrap()
    }

    /// A copy of the folder whose log has these bytes.
    fn with_log(&self, bytes: &[u8]) -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        copy_dir(self.dir.path(), folder.path());
        let log = self.log.strip_prefix(self.dir.path()).unwrap();
        fs::write(folder.path().join(log), bytes).unwrap();
        folder
    }
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn path(&self) -> &Path {
        self.0.path()
    }

    /// The last turn after a recovery, which must be the last of an unbroken row.
    fn open(&self) -> Result<u64, OpenError> {
        let store = RocksStore::open(self.path(), &RocksOptions::default())?;
        let last = last_turn(&store);
        // What was recovered is written out: it opens again, and works.
        store.commit(batch(last + 1, last, 10), Durability::Synced).unwrap();
        drop(store);
        let store = RocksStore::open(self.path(), &RocksOptions::default())?;
        assert_eq!(last_turn(&store), last + 1);
        Ok(last)
    }

    /// Turns that are gone, as the refusal says; the folder must be as it was.
    fn refused(&self) -> u64 {
        let before = listing(self.path());
        let error = self.open().unwrap_err();
        let OpenError::Lost { turns, .. } = error else { panic!("not a loss: {error}") };
        assert!(error.to_string().contains("stanchiond repair --accept-loss"), "{error}");
        assert_eq!(listing(self.path()), before, "a refusal changes nothing");
        turns
    }

    fn set_aside(&self) -> bool {
        self.path().join("damaged-1").exists()
    }
}

fn batch(turn: u64, synced: u64, body_bytes: usize) -> Batch {
    let row =
        TurnRow { turn, synced_up_to: synced.min(turn - 1), engine_time: Timestamp(1_000 + turn) };
    let head = MessageHead {
        sent_at: Timestamp(turn),
        retained_from: Timestamp(turn),
        due_at: None,
        group: None,
        earlier_receives: 0,
        earlier_first_received_at: None,
    };
    let payload = Bytes::from(vec![turn as u8; body_bytes]);
    let place = Place { lane: Lane::Main, seq: Seq(turn) };
    let write = Write::Message(place, MessageRow { head, payload, moved: None });
    let ops = vec![Op::Put(turn_key(SHARD), encode(&row)), encode_write(SLOT, GENERATION, &write)];
    Batch { ops }
}

fn last_turn(store: &RocksStore) -> u64 {
    let row = store.get(&turn_key(SHARD)).unwrap();
    let last = row.map_or(0, |row| decode::<TurnRow>(row).unwrap().turn);
    let range = messages_range(SLOT, GENERATION, Lane::Main, Seq::MIN);
    let all = Limit { rows: usize::MAX, bytes: usize::MAX };
    let page = store.scan(&range.from, &range.to, all).unwrap();
    let seqs = page.rows.iter().map(|(key, _)| match parse_row_key(Space::Messages, key) {
        Ok((_, _, RowKey::Message(place))) => place.seq.0,
        other => panic!("not a message: {other:?}"),
    });
    assert!(seqs.eq(1..=last), "exactly the messages of the turns up to {last} are there");
    last
}

fn newest_log(dir: &Path) -> PathBuf {
    let logs = fs::read_dir(dir.join("db")).unwrap().map(|entry| entry.unwrap().path());
    logs.filter(|path| path.extension().is_some_and(|e| e == "log")).max().unwrap()
}

fn copy_dir(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Names and sizes of everything in a folder.
fn listing(dir: &Path) -> Vec<(PathBuf, u64)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(listing(&path));
        }
        files.push((path.clone(), if path.is_dir() { 0 } else { path.metadata().unwrap().len() }));
    }
    files.sort();
    files
}

#[test]
fn an_undamaged_log_opens_whole() {
    let written = Written::new(30, 20, 50);
    assert_eq!(written.with_log(&written.bytes()).open().unwrap(), 30);
}

#[test]
fn a_record_cut_in_its_middle_is_dropped() {
    let written = Written::new(30, 29, 50);
    let end = written.record(30).start + 40;
    let folder = written.with_log(&written.bytes()[..end]);
    assert_eq!(folder.open().unwrap(), 29);
    assert!(!folder.set_aside(), "what a killed process leaves behind is no damage");
}

#[test]
fn garbage_or_zeros_behind_the_last_record_are_dropped() {
    let written = Written::new(30, 30, 50);
    let garbage: Vec<u8> =
        (0..5_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for tail in [garbage, vec![0; 5_000], vec![0; 100_000], vec![0xff; 40_000]] {
        let folder = written.with_log(&[written.bytes(), tail].concat());
        assert_eq!(folder.open().unwrap(), 30);
    }
}

#[test]
fn a_byte_flipped_in_the_middle_refuses_and_repair_opens() {
    let written = Written::new(1_000, 1_000, 50);
    let mut bytes = written.bytes();
    bytes[written.record(501).start + 60] ^= 1;
    let folder = written.with_log(&bytes);
    // Turn 1,000 says that 999 were synced. 500 are left.
    assert_eq!(folder.refused(), 499);
    assert_eq!(folder.refused(), 499);

    let options = RocksOptions::default();
    let refused = repair(folder.path(), Loss::Refuse, &options).unwrap_err();
    assert!(matches!(refused, OpenError::Lost { turns: 499, .. }), "{refused}");
    let done = repair(folder.path(), Loss::Accept, &options).unwrap().unwrap();
    assert_eq!((done.dropped_records, done.lost_turns), (499, 499));
    let kept = fs::read(done.aside.join(written.log.file_name().unwrap())).unwrap();
    assert_eq!(kept, bytes, "the damaged log is kept as it was");
    assert_eq!(folder.open().unwrap(), 500);
    assert_eq!(repair(folder.path(), Loss::Accept, &options).unwrap(), None);
}

#[test]
fn any_byte_flipped_in_a_synced_turn_refuses() {
    // One block, all of it the log's last: here RocksDB itself would take a bad length for the end.
    let written = Written::new(6, 6, 10);
    let bytes = written.bytes();
    for turn in 1..=5 {
        let record = written.record(turn);
        // The whole header, and a few bytes of what follows.
        for at in (record.start..record.start + 12).chain(record.clone().skip(12).step_by(19)) {
            for flip in [0x01, 0x04, 0x80] {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                let lost = written.with_log(&bytes).refused();
                assert_eq!(lost, 5 - (turn - 1), "byte {at} of turn {turn}, bit {flip:#x}");
            }
        }
    }
}

#[test]
fn a_log_cut_anywhere_behind_the_last_synced_byte_opens() {
    let written = Written::new(5, 3, 40);
    let bytes = written.bytes();
    for end in written.record(3).end..=bytes.len() {
        let last = written.with_log(&bytes[..end]).open().unwrap();
        let whole = (4..=5).filter(|turn| written.record(*turn).end <= end).count() as u64;
        assert_eq!(last, 3 + whole, "cut at {end}");
    }
}

#[test]
fn a_log_filled_with_zeros_anywhere_behind_the_last_synced_byte_opens() {
    let written = Written::new(5, 3, 40);
    let bytes = written.bytes();
    for from in (written.record(3).end..bytes.len()).step_by(7) {
        let mut bytes = bytes.clone();
        bytes[from..].fill(0);
        let last = written.with_log(&bytes).open().unwrap();
        assert!((3..=5).contains(&last), "zeros from {from}: {last}");
    }
}

#[test]
fn records_of_several_blocks_are_cut_at_their_start() {
    let written = Written::new(5, 3, 70_000);
    let bytes = written.bytes();
    let record = written.record(4);
    for at in [record.start, record.start + 3, record.start + 32_768, record.end - 2] {
        let folder = written.with_log(&bytes[..at]);
        assert_eq!(folder.open().unwrap(), 3, "cut at {at}");
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        assert_eq!(written.with_log(&bytes).open().unwrap(), 3, "flipped at {at}");
    }
}

#[test]
fn a_hole_in_an_unsynced_turn_opens_without_it() {
    let written = Written::new(8, 4, 9_000);
    let bytes = written.bytes();
    for turn in 5..=7 {
        // The pages that hold the turn never reached the disk; later ones did.
        let mut bytes = bytes.clone();
        bytes[written.record(turn)].fill(0);
        let folder = written.with_log(&bytes);
        assert_eq!(folder.open().unwrap(), turn - 1);
        assert!(folder.set_aside());
    }
}

#[test]
fn a_hole_of_whole_blocks_is_seen_by_its_missing_numbers() {
    // Zeros over whole blocks are what RocksDB skips in silence.
    let written = Written::new(400, 2, 300);
    let mut bytes = written.bytes();
    bytes[32_768..65_536].fill(0);
    let last = written.with_log(&bytes).open().unwrap();
    let before = (1..=400).filter(|turn| written.record(*turn).end <= 32_768).max().unwrap();
    assert_eq!(last, before);
}

#[test]
fn a_recovery_that_died_is_finished_by_the_next() {
    let written = Written::new(8, 4, 100);
    let mut bytes = written.bytes();
    bytes[written.record(6)].fill(0);

    // While the copy was made.
    let folder = written.with_log(&bytes);
    fs::create_dir(folder.path().join("db.copy")).unwrap();
    fs::write(folder.path().join("db.copy/000001.sst"), "half").unwrap();
    assert_eq!(folder.open().unwrap(), 5);

    // Between the two renames.
    let folder = written.with_log(&bytes);
    assert_eq!(folder.open().unwrap(), 5);
    fs::rename(folder.path().join("db"), folder.path().join("db.copy")).unwrap();
    assert_eq!(folder.open().unwrap(), 6);
}

/// A database with two live logs: turns up to and including `first` are in the older one.
fn two_logs(written: &Written, first: u64, damage: impl FnOnce(&mut Vec<u8>)) -> Folder {
    let bytes = written.bytes();
    let cut = written.record(first).end;
    let mut older = bytes[..cut].to_vec();
    damage(&mut older);
    let folder = written.with_log(&older);
    // All records are small and in one block, so they mean the same at the start of another log.
    assert!(bytes.len() < 32_768);
    fs::write(folder.path().join("db/001000.log"), &bytes[cut..]).unwrap();
    folder
}

#[test]
fn two_logs_are_one() {
    let written = Written::new(10, 10, 50);
    assert_eq!(two_logs(&written, 5, |_| {}).open().unwrap(), 10);
}

#[test]
fn an_older_log_that_ends_early_hides_the_newer_one() {
    // RocksDB would leave the turn out and go on with the newer log.
    let written = Written::new(10, 4, 50);
    let turn_5 = written.record(5);
    for missing in [turn_5.len(), 20, 1] {
        let folder = two_logs(&written, 5, |log| log.truncate(log.len() - missing));
        assert_eq!(folder.open().unwrap(), 4, "{missing} bytes missing");
    }
    let written = Written::new(10, 10, 50);
    for missing in [turn_5.len(), 20, 1] {
        let folder = two_logs(&written, 5, |log| log.truncate(log.len() - missing));
        assert_eq!(folder.refused(), 5, "{missing} bytes missing");
    }
}

#[test]
fn damage_in_a_log_that_is_no_longer_needed_means_nothing() {
    let written = Written::new(10, 10, 50);
    let folder = written.with_log(&written.bytes());
    assert_eq!(folder.open().unwrap(), 10);
    // The removal of the old log did not reach the disk, and a page of it is gone.
    let log = folder.path().join(written.log.strip_prefix(written.dir.path()).unwrap());
    assert!(!log.exists());
    let mut bytes = written.bytes();
    bytes[written.record(5)].fill(0);
    fs::write(log, bytes).unwrap();
    assert_eq!(folder.open().unwrap(), 11);
    assert!(!folder.set_aside());
}

#[test]
fn turns_of_several_shards_are_judged_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let options = RocksOptions::default();
    let store = RocksStore::open(dir.path(), &options).unwrap();
    let log = newest_log(dir.path());
    let commit = |shard: u16, turn, synced_up_to| {
        let row = TurnRow { turn, synced_up_to, engine_time: Timestamp(turn) };
        let ops = vec![Op::Put(turn_key(shard), encode(&row))];
        store.commit(Batch { ops }, Durability::Buffered).unwrap();
        fs::metadata(&log).unwrap().len() as usize
    };
    // The first shard is far ahead of the second, whose last turn is about to be damaged.
    commit(1, 900, 899);
    let start = commit(2, 7, 6);
    let end = commit(2, 8, 6);
    commit(1, 901, 900);
    let unharmed = fs::read(&log).unwrap();
    commit(2, 9, 8);
    let proof = fs::read(&log).unwrap();
    drop(store);
    for (log_bytes, lost) in [(unharmed, None), (proof, Some(1))] {
        let folder = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), folder.path());
        let mut bytes = log_bytes;
        bytes[start..end].fill(0);
        fs::write(folder.path().join(log.strip_prefix(dir.path()).unwrap()), bytes).unwrap();
        let turns = match RocksStore::open(folder.path(), &options) {
            Err(OpenError::Lost { turns, .. }) => Some(turns),
            Err(error) => panic!("{error}"),
            Ok(_) => None,
        };
        assert_eq!(turns, lost);
    }
}
