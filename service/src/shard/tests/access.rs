//! Users and access keys, over commits, crashes and restarts.

use std::sync::Arc;
use std::time::Duration;

use crate::env::ManualClock;
use crate::error::Error;
use crate::keyring::{Keyring, MasterKey, OperatorKeys};
use crate::model::policy::identity_policy::IdentityPolicy;
use crate::model::queue::AccountId;
use crate::model::user::{AccessKey, Owner, Policies, PolicyName, UserKey, UserName};
use crate::shard::directory::AccessChange;
use crate::shard::handle::Shards;
use crate::shard::start::{StartError, StartOptions};
use crate::store::keys::space_range;
use crate::store::memory::{Crash, MemoryStore};
use crate::store::{Limit, Space, Store};

fn key(byte: u8) -> MasterKey {
    MasterKey::unnamed(&[byte; 32])
}

fn keyring(byte: u8) -> Keyring {
    Keyring::new(None, Some(key(byte)))
}

fn start(store: &MemoryStore, keyring: Keyring) -> Result<Shards, StartError> {
    let clock = Arc::new(ManualClock::at(Duration::from_secs(1_800_000_000)));
    let keyring = Arc::new(keyring);
    let options = StartOptions::new(Arc::new(store.clone()), clock);
    let (shards, _failure) = Shards::start(StartOptions { keyring, shards: 3, ..options })?;
    Ok(shards)
}

fn jane() -> UserKey {
    let account = AccountId::parse("111122223333").unwrap();
    UserKey { account, name: UserName::parse("jane").unwrap() }
}

fn policies() -> Policies {
    let text = r#"{"Statement":[{"Effect":"Allow","Action":"sqs:*","Resource":"*"}]}"#;
    let policy = IdentityPolicy::parse(text, "Policies").unwrap();
    Policies::from([(PolicyName::parse("all").unwrap(), policy)])
}

async fn create(shards: &Shards) -> Arc<AccessKey> {
    shards.create_access_key(Owner::User(jane()), policies()).await.unwrap()
}

fn find(shards: &Shards, id: &str) -> Option<Arc<AccessKey>> {
    shards.directory().now().key(id).cloned()
}

/// Everything a key is, secret and all.
fn told(key: &AccessKey) -> String {
    format!("{key:?} {}", key.secret.0)
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_power_cut() {
    let store = MemoryStore::new();
    let shards = start(&store, keyring(1)).unwrap();
    let made = create(&shards).await;
    let kept = create(&shards).await;
    let id = made.id.to_string();
    shards.change_access(AccessChange::SetActive { id, active: false }).await.unwrap();
    let changed = find(&shards, &made.id).unwrap();
    assert!(!changed.active);
    let left = store.crash(Crash::PowerCut { survivors: 0 });
    drop(shards);
    let shards = start(&left, keyring(1)).unwrap();
    for key in [changed, kept] {
        assert_eq!(told(&find(&shards, &key.id).unwrap()), told(&key));
    }
    assert_eq!(made.secret.0.len(), 40);
    assert!(made.id.starts_with("AKIA") && made.id.len() == 20, "{}", made.id);

    shards.change_access(AccessChange::DeleteUser(jane())).await.unwrap();
    let shards = start(&left.crash(Crash::PowerCut { survivors: 0 }), keyring(1)).unwrap();
    assert!(find(&shards, &made.id).is_none());
}

#[tokio::test]
async fn a_secret_is_never_stored_as_it_is_and_never_shown() {
    let store = MemoryStore::new();
    let shards = start(&store, keyring(1)).unwrap();
    let made = create(&shards).await;
    let all = Limit { rows: usize::MAX, bytes: usize::MAX };
    let range = space_range(Space::State);
    let rows = store.scan(&range.from, &range.to, all).unwrap().rows;
    let holds = |text: &[u8]| {
        rows.iter().any(|(_, value)| value.windows(text.len()).any(|part| part == text))
    };
    assert!(holds(b"sqs:*"), "the rows are looked at");
    assert!(!holds(made.secret.0.as_bytes()));
    assert!(!format!("{made:?}").contains(&*made.secret.0));
}

#[tokio::test]
async fn a_wrong_master_key_stops_the_start_and_names_both_keys() {
    let store = MemoryStore::new();
    let shards = start(&store, keyring(1)).unwrap();
    let made = create(&shards).await;
    shards.stop().await;
    let refused = start(&store, keyring(2)).err().expect("the start is refused").to_string();
    assert!(refused.contains(&*made.id), "{refused}");
    assert!(refused.contains(keyring(1).current()), "{refused}");
}

#[tokio::test]
async fn secrets_can_be_sealed_anew_with_another_master_key() {
    let store = MemoryStore::new();
    let shards = start(&store, keyring(1)).unwrap();
    let made = create(&shards).await;
    assert_eq!(shards.rotate_keys().await, Ok(0));
    shards.stop().await;
    let both = || Keyring::new(Some(OperatorKeys::single(key(2))), Some(key(1)));
    let shards = start(&store, both()).unwrap();
    assert_eq!(shards.rotate_keys().await, Ok(1));
    assert_eq!(shards.rotate_keys().await, Ok(0));
    shards.stop().await;
    // The first key is not needed any more.
    let second = Keyring::new(Some(OperatorKeys::single(key(2))), None);
    let shards = start(&store, second).unwrap();
    assert_eq!(find(&shards, &made.id).unwrap().secret, made.secret);
}

#[tokio::test]
async fn a_reset_of_the_queues_leaves_the_keys() {
    let shards = start(&MemoryStore::new(), keyring(1)).unwrap();
    let made = create(&shards).await;
    shards.reset().await.unwrap();
    assert!(find(&shards, &made.id).is_some());
}

#[tokio::test]
async fn changes_at_once_see_each_other() {
    let shards = start(&MemoryStore::new(), keyring(1)).unwrap();
    let make = || shards.create_access_key(Owner::User(jane()), policies());
    let (a, b, c) = tokio::join!(make(), make(), make());
    let made = [a, b, c].into_iter().filter(Result::is_ok).count();
    assert_eq!(made, 2, "a user has two keys at the most");
    let gone = shards.change_access(AccessChange::DeleteKey("AKIA".into())).await;
    assert_eq!(gone, Err(Error::ResourceNotFound("AccessKeyId")));
}

#[tokio::test]
async fn the_last_use_is_known_after_a_restart_once_it_was_saved() {
    let store = MemoryStore::new();
    let shards = start(&store, keyring(1)).unwrap();
    let made = create(&shards).await;
    made.last_used.note(Duration::from_secs(1_800_000_000));
    shards.change_access(AccessChange::SaveLastUsed).await.unwrap();
    shards.stop().await;
    let shards = start(&store, keyring(1)).unwrap();
    assert_eq!(find(&shards, &made.id).unwrap().last_used.at(), made.last_used.at());
}
