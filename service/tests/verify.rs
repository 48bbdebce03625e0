//! `stanchiond verify`: nothing is wrong with what a server leaves behind, and each harm that is
//! done to it is found.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use stanchion_service::env::ManualClock;
use stanchion_service::keyring::{Keyring, parse_keys};
use stanchion_service::model::attributes::QueueSettings;
use stanchion_service::model::digest::md5_of_body;
use stanchion_service::model::message::{Attributes, Content, NewMessage};
use stanchion_service::model::queue::{AccountId, QueueKey, QueueName, Region};
use stanchion_service::model::rows::{Lane, Place, ReceiveRow, RowKey};
use stanchion_service::model::time::{Millis, Timestamp};
use stanchion_service::model::user::{Owner, Policies, UserKey, UserName};
use stanchion_service::shard::handle::{Shards, Tags};
use stanchion_service::shard::messages::ReceiveRequest;
use stanchion_service::shard::start::StartOptions;
use stanchion_service::store::codec::{decode, encode};
use stanchion_service::store::keys::{
    StateKey, parse_row_key, parse_state_key, slot_of, space_range,
};
use stanchion_service::store::memory::{Crash, MemoryStore};
use stanchion_service::store::{Batch, Durability, Key, Limit, Op, Space, Store};
use stanchion_service::verify::{Report, verify};

fn key(name: &str) -> QueueKey {
    QueueKey {
        account: AccountId::parse("000000000000").unwrap(),
        region: Region::parse("us-east-1").unwrap(),
        name: QueueName::parse(name).unwrap(),
    }
}

fn message(body: &'static str, group: Option<&str>, delay_s: u32) -> NewMessage {
    let content = Content {
        body: Bytes::from(body),
        body_md5: md5_of_body(body.as_bytes()),
        attributes: Attributes::new(),
        attributes_md5: None,
        trace_header: None,
        sender_id: "000000000000".into(),
        group_id: group.map(Into::into),
        deduplication_id: group.map(|_| body.into()),
    };
    NewMessage { content, delay: (delay_s > 0).then(|| Millis::from_secs(delay_s)) }
}

fn user() -> UserKey {
    UserKey { account: key("q").account, name: UserName::parse("jane").unwrap() }
}

/// What a server leaves behind: a queue of each kind, with messages in every state.
async fn folder() -> MemoryStore {
    folder_of(Keyring::ephemeral()).await
}

async fn folder_of(keyring: Keyring) -> MemoryStore {
    let store = MemoryStore::new();
    let clock = Arc::new(ManualClock::at(Duration::from_secs(1_800_000_000)));
    let options = StartOptions {
        keyring: Arc::new(keyring),
        ..StartOptions::new(Arc::new(store.clone()), clock.clone())
    };
    let (shards, _failure) = Shards::start(options).unwrap();
    for name in ["plain", "fair", "line.fifo"] {
        let settings = QueueSettings::new(key(name).name.kind());
        let check = Box::new(|_: &_| Ok(()));
        shards.create(key(name), settings, Tags::new(), check).await.unwrap();
    }
    let send = async |name, messages| {
        let sent = shards.send(&key(name), messages).await.unwrap();
        assert!(sent.iter().all(Result::is_ok));
    };
    let receive = async |name| {
        let request =
            ReceiveRequest { max: 1, visibility: None, wait: Millis(0), attempt_id: None };
        let received = shards.receive(&key(name), request).await.unwrap();
        assert_eq!(received.len(), 1);
    };
    send("plain", vec![message("1", None, 0), message("2", None, 0), message("3", None, 0)]).await;
    send("plain", vec![message("4", None, 5), message("5", None, 60)]).await;
    send("fair", vec![message("6", Some("a"), 0), message("7", Some("b"), 0)]).await;
    let grouped = |body, group| message(body, Some(group), 0);
    send("line.fifo", vec![grouped("8", "a"), grouped("9", "a"), grouped("10", "b")]).await;
    receive("plain").await;
    receive("line.fifo").await;
    // The first delay ends.
    clock.advance(Duration::from_secs(6));
    receive("fair").await;
    shards.create_access_key(Owner::User(user()), Policies::new()).await.unwrap();
    shards.create_access_key(Owner::Root(user().account), Policies::new()).await.unwrap();
    // Ends at once: what is there did not die anywhere.
    shards.start_move_task(&key("fair"), None, None).await.unwrap();
    shards.stop().await;
    store.crash(Crash::Kill)
}

fn look(store: &MemoryStore) -> Report {
    verify(&*store.snapshot().unwrap(), &Keyring::ephemeral())
}

type Row = (Key, Bytes);

fn rows(store: &MemoryStore) -> Vec<Row> {
    let all = Limit { rows: usize::MAX, bytes: usize::MAX };
    let of_space = |space| {
        let range = space_range(space);
        let page = store.scan(&range.from, &range.to, all).unwrap();
        page.rows.into_iter().map(move |(bytes, value)| (Key { space, bytes }, value))
    };
    [Space::Messages, Space::State].into_iter().flat_map(of_space).collect()
}

fn commit(store: &MemoryStore, op: Op) {
    store.commit(Batch { ops: vec![op] }, Durability::Synced).unwrap();
}

/// The first row of a queue that a predicate picks, by what its key says.
fn find(store: &MemoryStore, name: &str, wanted: impl Fn(&RowKey) -> bool) -> Row {
    let found = rows(store).into_iter().find(|(row, _)| {
        let parsed = parse_row_key(row.space, &row.bytes);
        parsed.is_ok_and(|(slot, _, row)| slot == slot_of(&key(name)) && wanted(&row))
    });
    found.expect("there is such a row")
}

fn find_state(store: &MemoryStore, wanted: impl Fn(&StateKey) -> bool) -> Row {
    let found = rows(store).into_iter().find(|(row, _)| {
        row.space == Space::State && wanted(&parse_state_key(&row.bytes).unwrap().1)
    });
    found.expect("there is such a row")
}

/// The folder with one row gone.
async fn without(name: &str, wanted: impl Fn(&RowKey) -> bool) -> Report {
    let store = folder().await;
    let (row, _) = find(&store, name, wanted);
    commit(&store, Op::Delete(row));
    look(&store)
}

#[track_caller]
fn finds(report: Report, words: &str) {
    assert!(!report.is_whole(), "{words}: nothing was found");
    assert!(report.told.iter().any(|told| told.contains(words)), "{words} in {:#?}", report.told);
}

#[tokio::test]
async fn what_a_server_leaves_behind_is_whole() {
    let report = look(&folder().await);
    assert_eq!(report.told, [""; 0]);
    let counts = report.counts;
    assert_eq!((counts.queues, counts.messages, counts.received), (3, 10, 3));
    assert_eq!(look(&MemoryStore::new()).told, ["the server's own record is missing"]);
}

#[tokio::test]
async fn a_missing_row_is_found() {
    let is_message = |row: &RowKey| matches!(row, RowKey::Message(_));
    finds(without("plain", is_message).await, "was received, and is not there");
    let second = |row: &RowKey| matches!(row, RowKey::Message(Place { seq, .. }) if seq.0 & 1 == 1);
    finds(without("plain", second).await, "messages that were never received: there are");
    let delayed = |row: &RowKey| matches!(row, RowKey::Message(Place { lane: Lane::Delayed, .. }));
    finds(without("plain", delayed).await, "timers: there are 2, and 1 are noted");
    let timer = |row: &RowKey| matches!(row, RowKey::Timer(..));
    finds(without("plain", timer).await, "has no timer");
    finds(without("plain", timer).await, "messages whose delay has ended: there are 0, and 1");
    let receive = |row: &RowKey| matches!(row, RowKey::Receive(_));
    finds(without("plain", receive).await, "messages that were received: there are");
    finds(without("line.fifo", receive).await, "is missing in its group");
    for name in ["fair", "line.fifo"] {
        let member = |row: &RowKey| matches!(row, RowKey::Member(..));
        finds(without(name, member).await, "is missing in its group");
        let group = |row: &RowKey| matches!(row, RowKey::Group(_));
        finds(without(name, group).await, "");
        let line = |row: &RowKey| matches!(row, RowKey::Line(_));
        finds(without(name, line).await, "is not where it should stand in line");
    }
}

#[tokio::test]
async fn a_missing_row_of_the_catalogue_is_found() {
    for (wanted, words) in [
        ((|row| matches!(row, StateKey::Server)) as fn(&StateKey) -> bool, "own record"),
        (|row| matches!(row, StateKey::Queue(_)), "no such queue"),
        (|row| matches!(row, StateKey::Hint(_)), "and 0 are noted"),
        (|row| matches!(row, StateKey::User(_)), "no such user"),
    ] {
        let store = folder().await;
        let (row, _) = find_state(&store, wanted);
        commit(&store, Op::Delete(row));
        finds(look(&store), words);
    }
}

#[tokio::test]
async fn a_row_that_is_not_what_it_was_is_found() {
    let is_message = |row: &RowKey| matches!(row, RowKey::Message(_));
    let store = folder().await;
    let (row, value) = find(&store, "plain", is_message);
    let mut bytes = value.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    commit(&store, Op::Put(row.clone(), bytes.into()));
    finds(look(&store), "is not what was sent");
    commit(&store, Op::Put(row, value.slice(..20)));
    finds(look(&store), "a stored message does not read");

    let store = folder().await;
    let (row, value) = find(&store, "fair", |row| matches!(row, RowKey::Receive(_)));
    let mut receive: ReceiveRow = decode(value).unwrap();
    receive[0].1.retained_from = Timestamp(1);
    commit(&store, Op::Put(row, encode(&receive)));
    finds(look(&store), "and its delivery differ");
}

#[tokio::test]
async fn a_row_that_belongs_to_nothing_is_found() {
    let store = folder().await;
    let nobody = Key { space: Space::State, bytes: vec![7, 0xee, 1] };
    commit(&store, Op::Put(nobody, Bytes::new()));
    finds(look(&store), "no such key");

    let kinds: [fn(&RowKey) -> bool; 2] =
        [|row| matches!(row, RowKey::Message(_)), |row| matches!(row, RowKey::Member(..))];
    for wanted in kinds {
        let store = folder().await;
        let (mut row, value) = find(&store, "fair", wanted);
        // The last byte of the generation, which lies behind slot and tag.
        let at = if row.space == Space::Messages { 8 } else { 9 };
        row.bytes[at] ^= 0x80;
        commit(&store, Op::Put(row, value));
        finds(look(&store), "no such queue");
    }

    let store = folder().await;
    let (mut row, value) = find_state(&store, |row| matches!(row, StateKey::Task(_)));
    // The last byte of the source's id.
    row.bytes[9] ^= 0x80;
    commit(&store, Op::Put(row, value));
    finds(look(&store), "no such queue");

    let store = folder().await;
    let (mut row, value) = find(&store, "line.fifo", |row| matches!(row, RowKey::Member(..)));
    *row.bytes.last_mut().unwrap() = 0xff;
    commit(&store, Op::Put(row, value));
    finds(look(&store), "messages in groups: there are 3, and 2 are noted");
}

#[tokio::test]
async fn faults_beyond_a_hundred_are_counted_and_not_told() {
    let store = folder().await;
    for number in 0..150 {
        let nobody = Key { space: Space::State, bytes: vec![7, 0xee, number] };
        commit(&store, Op::Put(nobody, Bytes::new()));
    }
    let report = look(&store);
    assert_eq!((report.faults, report.told.len()), (150, 100));
}

/// One master key with this id.
fn keyring(id: &str) -> Keyring {
    let secret = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    let file = format!("current = '{id}'\n[[keys]]\nid = '{id}'\nsecret = '{secret}'");
    Keyring::new(Some(parse_keys(&file).unwrap()), None)
}

#[tokio::test]
async fn what_is_encrypted_is_looked_through_with_its_master_keys() {
    let store = folder_of(keyring("k1")).await;
    let look = |id: &str| verify(&*store.snapshot().unwrap(), &keyring(id));
    let report = look("k1");
    assert_eq!((report.told, report.counts.messages), (vec![], 10));
    // Three queues and what is under way: once each, and not every message.
    let report = look("k2");
    assert_eq!(report.faults, 4);
    let named = |told: &String| told.contains("the master key k1, which is not configured");
    assert!(report.told.iter().all(named), "{:?}", report.told);

    let message = rows(&store).into_iter().find(|(key, _)| key.space == Space::Messages);
    let (key, value) = message.unwrap();
    let mut value = value.to_vec();
    let at = value.len() - 50;
    value[at] ^= 1;
    let ops = vec![Op::Put(key, value.into())];
    store.commit(Batch { ops }, Durability::Synced).unwrap();
    let report = verify(&*store.snapshot().unwrap(), &keyring("k1"));
    assert_eq!(report.faults, 1, "{:?}", report.told);
    assert!(report.told[0].contains("not what was sealed with this key"), "{:?}", report.told);
}
