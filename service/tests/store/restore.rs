//! From a store to a checkpoint, and from there to a data folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use stanchion_service::model::time::{Millis, Timestamp};
use stanchion_service::store::checkpoints::{CheckpointError, CheckpointName, Checkpoints};
use stanchion_service::store::codec::{decode, encode};
use stanchion_service::store::format::{FORMAT, OpenError};
use stanchion_service::store::keys::server_key;
use stanchion_service::store::rocks::{RocksOptions, RocksStore, RocksView, restore};
use stanchion_service::store::values::ServerRow;
use stanchion_service::store::{Batch, Durability, Key, Op, Snapshot, Space, Store};

const EPOCH: u32 = 3;

/// A store with two rows, a checkpoint of it, and one more row.
struct Made {
    dir: tempfile::TempDir,
    store: RocksStore,
    checkpoints: Checkpoints,
}

fn name(text: &str) -> CheckpointName {
    CheckpointName::parse(text).unwrap()
}

fn key(text: &str) -> Key {
    Key { space: Space::Messages, bytes: text.into() }
}

fn put(store: &RocksStore, text: &str) {
    let ops = vec![Op::Put(key(text), Bytes::copy_from_slice(text.as_bytes()))];
    store.commit(Batch { ops }, Durability::Synced).unwrap();
}

fn make() -> Made {
    let dir = tempfile::tempdir().unwrap();
    let store = RocksStore::open(&dir.path().join("data"), &RocksOptions::default()).unwrap();
    let row = ServerRow { epoch: EPOCH, secret: [7; 32], clock_offset: Millis(0) };
    let ops = vec![Op::Put(server_key(), encode(&row))];
    store.commit(Batch { ops }, Durability::Synced).unwrap();
    put(&store, "before");
    let checkpoints = Checkpoints::new(dir.path().join("data/checkpoints"));
    let note = checkpoints.make(&store, name("one"), Timestamp(1_234)).unwrap();
    assert_eq!((note.name, note.made_at_ms), (name("one"), 1_234));
    put(&store, "after");
    Made { dir, store, checkpoints }
}

impl Made {
    fn checkpoint(&self) -> PathBuf {
        self.checkpoints.folder(&name("one"))
    }

    fn target(&self) -> PathBuf {
        self.dir.path().join("restored")
    }

    fn restore(&self) -> Result<(), OpenError> {
        self.restore_by(0)
    }

    fn restore_by(&self, chance: u32) -> Result<(), OpenError> {
        let options = RocksOptions::default();
        restore(&self.checkpoint(), &self.target(), &options, chance).map(drop)
    }
}

/// What a restored folder holds, and the number of its last start.
fn held(dir: &Path) -> (bool, bool, u32) {
    let store = RocksStore::open(dir, &RocksOptions::default()).unwrap();
    let has = |text| store.get(&key(text)).unwrap().is_some();
    let server: ServerRow = decode(store.get(&server_key()).unwrap().unwrap()).unwrap();
    assert_eq!(server.secret, [7; 32], "the ids in its keys are hashed with it");
    (has("before"), has("after"), server.epoch)
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_restored_folder_holds_what_was_there_when_the_checkpoint_was_made() {
    let made = make();
    made.restore().unwrap();
    assert_eq!(held(&made.target()), (true, false, EPOCH + 1_024));
    assert_eq!(names_in(&made.target()), ["FORMAT", "db", "lock"]);
    // The store and its checkpoint do not notice.
    put(&made.store, "later");
    drop(made.store);
    assert_eq!(held(&made.dir.path().join("data")), (true, true, EPOCH));
}

#[test]
fn two_folders_from_one_checkpoint_number_differently() {
    let made = make();
    made.restore_by(77).unwrap();
    assert_eq!(held(&made.target()).2, EPOCH + 1_024 + 77);
    let other = made.dir.path().join("other");
    restore(&made.checkpoint(), &other, &RocksOptions::default(), u32::MAX).unwrap();
    assert_eq!(held(&other).2, EPOCH + 1_024 + (1 << 14) - 1);
}

#[test]
fn a_checkpoint_can_be_restored_from_a_copy_after_its_server_is_gone() {
    let Made { dir, store, checkpoints } = make();
    let copy = dir.path().join("elsewhere");
    fs::create_dir_all(copy.join("db")).unwrap();
    for folder in ["", "db"] {
        for entry in fs::read_dir(checkpoints.folder(&name("one")).join(folder)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), copy.join(folder).join(entry.file_name())).unwrap();
            }
        }
    }
    drop(store);
    fs::remove_dir_all(dir.path().join("data")).unwrap();
    let target = dir.path().join("restored");
    restore(&copy, &target, &RocksOptions::default(), 0).unwrap();
    assert_eq!(held(&target), (true, false, EPOCH + 1_024));
}

#[test]
fn nothing_is_restored_over_anything() {
    let made = make();
    fs::create_dir(made.target()).unwrap();
    fs::write(made.target().join("notes.txt"), "mine").unwrap();
    let error = made.restore().unwrap_err();
    assert!(matches!(&error, OpenError::NotEmpty { found, .. } if found == "notes.txt"), "{error}");
    assert_eq!(names_in(&made.target()), ["notes.txt"]);
    // Not over a data folder either, its own least of all.
    let data = made.dir.path().join("data");
    let error = restore(&made.checkpoint(), &data, &RocksOptions::default(), 0).unwrap_err();
    assert!(matches!(error, OpenError::NotEmpty { .. }), "{error}");
    // What a fresh disk has does not count.
    fs::remove_file(made.target().join("notes.txt")).unwrap();
    fs::create_dir(made.target().join("lost+found")).unwrap();
    made.restore().unwrap();
    assert!(held(&made.target()).0);
}

#[test]
fn a_restore_that_died_is_refused_by_a_start_and_done_by_the_next() {
    let made = make();
    made.restore().unwrap();
    let (target, draft) = (made.target(), made.target().join("restore.new"));
    let open = || RocksStore::open(&made.target(), &RocksOptions::default()).map(drop);
    // In the middle of the copying; after the first rename; when all but the draft was done.
    let deaths: [&dyn Fn(); 3] = [
        &|| {
            fs::remove_file(target.join("FORMAT")).unwrap();
            fs::rename(target.join("db"), draft.join("db")).unwrap();
        },
        &|| fs::remove_file(target.join("FORMAT")).unwrap(),
        &|| {},
    ];
    for die in deaths {
        fs::create_dir(&draft).unwrap();
        die();
        let error = open().unwrap_err();
        assert!(matches!(error, OpenError::RestoreUnfinished(_)), "{error}");
        let looked = RocksView::open(&target, &RocksOptions::default()).map(drop).unwrap_err();
        assert!(matches!(looked, OpenError::RestoreUnfinished(_)), "{looked}");
        made.restore().unwrap();
        assert_eq!(held(&target), (true, false, EPOCH + 1_024));
    }
}

#[test]
fn a_folder_that_is_no_checkpoint_is_not_restored() {
    let made = make();
    let options = RocksOptions::default();
    let error = restore(&made.dir.path().join("data"), &made.target(), &options, 0).unwrap_err();
    assert!(matches!(error, OpenError::NotACheckpoint(_)), "{error}");
    let note = made.checkpoint().join("CHECKPOINT");
    let ours = format!("\"format\": {FORMAT}");
    let newer = fs::read_to_string(&note).unwrap().replace(&ours, "\"format\": 9");
    fs::write(&note, newer).unwrap();
    let error = made.restore().unwrap_err();
    assert!(matches!(error, OpenError::NewerFormat { found: 9, .. }), "{error}");
    assert!(!made.target().exists(), "nothing was begun");
}

#[test]
fn a_checkpoint_without_its_tables_leaves_nothing_behind() {
    let made = make();
    for table in fs::read_dir(made.checkpoint().join("db")).unwrap() {
        let path = table.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "sst") {
            fs::remove_file(path).unwrap();
        }
    }
    let error = made.restore().unwrap_err();
    assert!(matches!(error, OpenError::Store { .. }), "{error}");
    assert_eq!(names_in(&made.target()), ["lock"]);
}

#[test]
fn a_checkpoint_made_between_the_writes_of_many_holds_all_that_were_done_before() {
    let made = make();
    // Memory so small that logs and tables change all the time.
    let options = RocksOptions { memory_bytes: 3 << 20, ..RocksOptions::default() };
    let dir = made.dir.path().join("busy");
    let store = RocksStore::open(&dir, &options).unwrap();
    let row = ServerRow { epoch: EPOCH, secret: [7; 32], clock_offset: Millis(0) };
    let ops = vec![Op::Put(server_key(), encode(&row))];
    store.commit(Batch { ops }, Durability::Synced).unwrap();
    let checkpoints = Checkpoints::new(dir.join("checkpoints"));
    let key_of = |writer: usize, number: u64| key(&format!("{writer} {number:08}"));
    let done: [AtomicU64; 3] = Default::default();
    let stop = AtomicBool::new(false);
    let known = std::thread::scope(|scope| {
        for (writer, done) in done.iter().enumerate() {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                for number in 1.. {
                    let value = Bytes::from(vec![number as u8; 2_000]);
                    // A batch is there whole or not at all, in both families.
                    let twin = Key { space: Space::State, ..key_of(writer, number) };
                    let ops =
                        vec![Op::Put(key_of(writer, number), value.clone()), Op::Put(twin, value)];
                    let durability =
                        [Durability::Buffered, Durability::Synced][number as usize % 2];
                    store.commit(Batch { ops }, durability).unwrap();
                    done.store(number, Ordering::Release);
                    if stop.load(Ordering::Acquire) {
                        return;
                    }
                }
            });
        }
        let known: Vec<_> = (0..6)
            .map(|nth| {
                let start = done[0].load(Ordering::Acquire);
                while done[0].load(Ordering::Acquire) < start + 300 {
                    std::thread::yield_now();
                }
                let before = done.each_ref().map(|done| done.load(Ordering::Acquire));
                checkpoints.make(&store, name(&format!("n{nth}")), Timestamp(nth)).unwrap();
                before
            })
            .collect();
        stop.store(true, Ordering::Release);
        known
    });
    for (nth, before) in known.into_iter().enumerate() {
        let target = made.dir.path().join(format!("restored-{nth}"));
        let from = checkpoints.folder(&name(&format!("n{nth}")));
        restore(&from, &target, &options, 0).unwrap();
        let store = RocksStore::open(&target, &options).unwrap();
        for (writer, before) in before.into_iter().enumerate() {
            let has = |space, number| {
                let key = Key { space, ..key_of(writer, number) };
                store.get(&key).unwrap().is_some()
            };
            let there = (1..).take_while(|number| has(Space::Messages, *number)).count() as u64;
            let twins = (1..).take_while(|number| has(Space::State, *number)).count() as u64;
            assert!(before <= there, "checkpoint {nth}: {there} of {before} of writer {writer}");
            assert_eq!(there, twins, "checkpoint {nth}, writer {writer}");
        }
    }
}

#[test]
fn no_server_starts_on_a_checkpoint() {
    let made = make();
    let error = RocksStore::open(&made.checkpoint(), &RocksOptions::default()).map(drop);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("stanchiond restore --from"), "{error}");
    assert_eq!(names_in(&made.checkpoint()), ["CHECKPOINT", "db"]);
}

#[test]
fn checkpoints_are_listed_and_deleted_by_name() {
    let Made { dir: _dir, store, checkpoints } = make();
    checkpoints.make(&store, name("another"), Timestamp(2)).unwrap();
    let taken = checkpoints.make(&store, name("one"), Timestamp(3)).unwrap_err();
    assert!(matches!(taken, CheckpointError::Exists), "{taken}");
    let listed = || -> Vec<String> {
        let notes = checkpoints.list().unwrap();
        notes.into_iter().map(|note| note.name.to_string()).collect()
    };
    assert_eq!(listed(), ["another", "one"]);
    checkpoints.delete(&name("another")).unwrap();
    assert_eq!(listed(), ["one"]);
    let gone = checkpoints.delete(&name("another")).unwrap_err();
    assert!(matches!(gone, CheckpointError::Missing), "{gone}");
}

#[test]
fn a_checkpoint_that_died_is_no_checkpoint_and_not_in_the_way() {
    let Made { dir, store, checkpoints } = make();
    let draft = dir.path().join("data/checkpoints/.new");
    fs::create_dir_all(draft.join("db")).unwrap();
    assert_eq!(checkpoints.list().unwrap().len(), 1);
    checkpoints.make(&store, name("two"), Timestamp(2)).unwrap();
    assert!(!draft.exists());
}

#[test]
fn looking_changes_nothing() {
    let Made { dir, store, checkpoints } = make();
    put(&store, "in the log");
    drop(store);
    let data = dir.path().join("data");
    for folder in [checkpoints.folder(&name("one")), data] {
        let before = listing(&folder);
        let view = RocksView::open(&folder, &RocksOptions::default()).unwrap();
        assert_eq!(view.get(&key("before")).unwrap(), Some(Bytes::from_static(b"before")));
        drop(view);
        assert_eq!(listing(&folder), before);
    }
}

#[test]
fn nobody_looks_while_a_server_runs_and_none_starts_meanwhile() {
    let Made { dir, store, .. } = make();
    let data = dir.path().join("data");
    let looked = RocksView::open(&data, &RocksOptions::default()).map(drop).unwrap_err();
    assert!(matches!(looked, OpenError::InUse(_)), "{looked}");
    drop(store);
    let _view = RocksView::open(&data, &RocksOptions::default()).unwrap();
    let started = RocksStore::open(&data, &RocksOptions::default()).map(drop).unwrap_err();
    assert!(matches!(started, OpenError::InUse(_)), "{started}");
}

/// Names, contents and times of everything in a folder.
fn listing(dir: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(listing(&path)),
            false => {
                let changed = path.metadata().unwrap().modified().unwrap();
                files.push(format!("{path:?} {changed:?} {:?}", fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}
