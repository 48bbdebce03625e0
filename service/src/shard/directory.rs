//! Which users and access keys there are: an immutable map, replaced by the shard that owns the
//! server's rows after the commit that changed it, read by everybody without a lock.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;

use super::core::ShardCore;
use super::request::Reply;
use super::start::{StartError, load};
use super::turn::{Answered, Turn};
use crate::error::Error;
use crate::keyring::Keyring;
use crate::limits::{ACCESS_KEYS_MAX, OWNER_ACCESS_KEYS_MAX, USERS_MAX};
use crate::model::caller::{Caller, Secret};
use crate::model::policy::identity_policy::IdentityPolicy;
use crate::model::time::Timestamp;
use crate::model::user::{AccessKey, LastUsed, Owner, Policies, PolicyName, User, UserKey};
use crate::store::codec::{decode, encode};
use crate::store::keys::{
    access_key_key, access_keys_range, parse_access_key_key, parse_user_key, user_key, users_range,
};
use crate::store::values::{AccessKeyRow, UserRow};
use crate::store::{Op, Store, StoreError};

/// All users and access keys of the process, as of the last commit.
#[derive(Default)]
pub struct Directory(ArcSwap<Entries>);

/// All users and access keys at one moment.
#[derive(Clone, Default)]
pub struct Entries {
    users: BTreeMap<UserKey, Arc<User>>,
    keys: HashMap<Arc<str>, Arc<AccessKey>>,
}

/// A change of users and access keys, decided and made inside the owning shard.
pub enum AccessChange {
    /// A new key; its user is created where it is new.
    CreateKey(Box<NewKey>),
    /// Whether a key may be used.
    SetActive {
        /// Which.
        id: String,
        /// Whether it may.
        active: bool,
    },
    /// A key goes; its user stays.
    DeleteKey(String),
    /// A user goes, and its keys.
    DeleteUser(UserKey),
    /// A user may do something else too, or differently.
    PutPolicy {
        /// Which user.
        user: UserKey,
        /// The name, perhaps of a policy that this one replaces.
        name: PolicyName,
        /// What it may do.
        policy: IdentityPolicy,
    },
    /// A user may no longer do something.
    DeletePolicy {
        /// Which user.
        user: UserKey,
        /// Which policy.
        name: PolicyName,
    },
    /// Secrets are the same, but sealed anew.
    Reseal(Vec<(Arc<str>, Bytes)>),
    /// When keys were used last is written down, of those that were.
    SaveLastUsed,
}

/// A key that is not there yet.
pub struct NewKey {
    /// `AKIA…`
    pub id: Arc<str>,
    /// What requests will be signed with.
    pub secret: Secret,
    /// The same as it is stored.
    pub sealed: Bytes,
    /// Whose it will be.
    pub owner: Owner,
    /// What the user is to be called in policies, should it be new.
    pub user_id: String,
    /// What the user may do beside what it may already.
    pub policies: Policies,
}

/// What the seal of a secret is bound to: that of one key opens no other.
pub(super) fn purpose(id: &str) -> Vec<u8> {
    [b"access key ", id.as_bytes()].concat()
}

impl Directory {
    /// What the store holds. Fails where a secret cannot be opened, and names its key.
    pub fn load(store: &dyn Store, keyring: &Keyring) -> Result<Directory, StartError> {
        let mut entries = Entries::default();
        for (key, value) in load(store, users_range())? {
            let key = parse_user_key(&key.bytes)?;
            let UserRow { id, created_at, policies } = decode(value)?;
            let user = User { key: key.clone(), id, created_at, policies };
            entries.users.insert(key, Arc::new(user));
        }
        for (key, value) in load(store, access_keys_range())? {
            let id = parse_access_key_key(&key.bytes)?;
            let row: AccessKeyRow = decode(value)?;
            let refused = |why| StartError::AccessKey { id: id.clone(), why };
            let secret =
                keyring.open(&purpose(&id), &row.sealed).map_err(|why| refused(why.to_string()))?;
            let secret = String::from_utf8(secret).map_err(|_| refused("it is not text".into()))?;
            let id: Arc<str> = id.into();
            let caller = entries.caller(&id, &row.owner);
            let caller = caller.ok_or_else(|| {
                StoreError::Corrupt(format!("access key {id} is that of a user who is not there"))
            })?;
            entries.insert(AccessKey {
                id,
                owner: row.owner,
                active: row.active,
                created_at: row.created_at,
                sealed: row.sealed,
                secret: Secret(secret.into()),
                caller,
                last_used: Arc::new(LastUsed::since(row.last_used_at)),
            });
        }
        Ok(Directory(ArcSwap::from_pointee(entries)))
    }

    /// As it is now. Not to be held for long.
    pub fn now(&self) -> Guard<Arc<Entries>> {
        self.0.load()
    }

    pub(super) fn publish(&self, entries: Entries) {
        self.0.store(Arc::new(entries));
    }
}

impl Entries {
    /// A key by its id.
    pub fn key(&self, id: &str) -> Option<&Arc<AccessKey>> {
        self.keys.get(id)
    }

    /// A user by its name.
    pub fn user(&self, key: &UserKey) -> Option<&Arc<User>> {
        self.users.get(key)
    }

    /// Keys that are wanted, in the order of their ids, after `after`, at most `max`.
    pub fn list_keys(
        &self,
        after: &str,
        max: usize,
        wanted: impl Fn(&AccessKey) -> bool,
    ) -> Vec<Arc<AccessKey>> {
        let behind = self.keys.values().filter(|key| &*key.id > after && wanted(key));
        let mut keys: Vec<_> = behind.cloned().collect();
        keys.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        keys.truncate(max);
        keys
    }

    /// Users who are wanted, in the order of their accounts and names, after `after`, at most `max`.
    pub fn list_users(
        &self,
        after: Option<&UserKey>,
        max: usize,
        wanted: impl Fn(&User) -> bool,
    ) -> Vec<Arc<User>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.users.range((from, Bound::Unbounded)).map(|(_, user)| user);
        behind.filter(|user| wanted(user)).take(max).cloned().collect()
    }

    /// What a change makes of this, and the rows it writes. On an error nothing changes.
    fn change(&self, change: AccessChange, now: Timestamp) -> Result<(Entries, Vec<Op>), Error> {
        let mut next = self.clone();
        let mut ops = Vec::new();
        match change {
            AccessChange::CreateKey(new) => next.create_key(*new, now, &mut ops)?,
            AccessChange::SetActive { id, active } => {
                let key = next.find_key(&id)?;
                let key = AccessKey { active, ..AccessKey::clone(key) };
                next.record_key(key, &mut ops);
            }
            AccessChange::DeleteKey(id) => {
                next.find_key(&id)?;
                next.keys.remove(id.as_str());
                ops.push(Op::Delete(access_key_key(&id)));
            }
            AccessChange::DeleteUser(name) => {
                next.find_user(&name)?;
                next.users.remove(&name);
                ops.push(Op::Delete(user_key(&name)));
                let theirs = |key: &AccessKey| key.owner.user() == Some(&name);
                let gone = next.keys.extract_if(|_, key| theirs(key));
                ops.extend(gone.map(|(id, _)| Op::Delete(access_key_key(&id))));
            }
            AccessChange::PutPolicy { user, name, policy } => {
                let mut user = User::clone(next.find_user(&user)?);
                user.policies.insert(name, policy);
                next.record_user(user, &mut ops)?;
            }
            AccessChange::DeletePolicy { user, name } => {
                let mut user = User::clone(next.find_user(&user)?);
                let gone = user.policies.remove(&name);
                gone.ok_or(Error::ResourceNotFound("PolicyName"))?;
                next.record_user(user, &mut ops)?;
            }
            AccessChange::Reseal(seals) => {
                for (id, sealed) in seals {
                    // One that has gone meanwhile needs no seal.
                    if let Some(key) = next.keys.get(&id) {
                        let key = AccessKey { sealed, ..AccessKey::clone(key) };
                        next.record_key(key, &mut ops);
                    }
                }
            }
            AccessChange::SaveLastUsed => {
                let used = self.keys.values().filter(|key| key.last_used.take_unsaved());
                ops.extend(used.map(|key| put_key(key)));
            }
        }
        Ok((next, ops))
    }

    fn create_key(&mut self, new: NewKey, now: Timestamp, ops: &mut Vec<Op>) -> Result<(), Error> {
        let NewKey { id, secret, sealed, owner, user_id, policies } = new;
        let over = |text: String| Err(Error::OverLimit(text.into()));
        if self.keys.len() >= ACCESS_KEYS_MAX {
            return over(format!("The server has its {ACCESS_KEYS_MAX} access keys."));
        }
        if self.keys.values().filter(|key| key.owner == owner).count() >= OWNER_ACCESS_KEYS_MAX {
            return over(format!("Cannot exceed {OWNER_ACCESS_KEYS_MAX} access keys per user."));
        }
        if let Owner::User(name) = &owner {
            let mut user = match self.users.get(name) {
                Some(user) => User::clone(user),
                None if self.users.len() >= USERS_MAX => {
                    return over(format!("The server has its {USERS_MAX} users."));
                }
                None => User {
                    key: name.clone(),
                    id: user_id,
                    created_at: now,
                    policies: Policies::new(),
                },
            };
            user.policies.extend(policies);
            if self.users.get(name).is_none_or(|known| **known != user) {
                self.record_user(user, ops)?;
            }
        }
        let caller = self.caller(&id, &owner).ok_or(Error::ResourceNotFound("UserName"))?;
        let last_used = Arc::default();
        let key = AccessKey {
            id,
            owner,
            active: true,
            created_at: now,
            sealed,
            secret,
            caller,
            last_used,
        };
        self.record_key(key, ops);
        Ok(())
    }

    fn find_key(&self, id: &str) -> Result<&Arc<AccessKey>, Error> {
        self.keys.get(id).ok_or(Error::ResourceNotFound("AccessKeyId"))
    }

    fn find_user(&self, name: &UserKey) -> Result<&Arc<User>, Error> {
        self.users.get(name).ok_or(Error::ResourceNotFound("UserName"))
    }

    /// Who signs with a key of this id; `None` where its user is not there.
    fn caller(&self, id: &str, owner: &Owner) -> Option<Arc<Caller>> {
        let caller = match owner {
            Owner::User(name) => self.users.get(name)?.caller(id),
            Owner::Root(account) => {
                Caller { access_key_id: Some(id.into()), ..Caller::root(account.clone()) }
            }
        };
        Some(Arc::new(caller))
    }

    fn insert(&mut self, key: AccessKey) {
        self.keys.insert(Arc::clone(&key.id), Arc::new(key));
    }

    fn record_key(&mut self, key: AccessKey, ops: &mut Vec<Op>) {
        ops.push(put_key(&key));
        self.insert(key);
    }

    /// Writes a user's row, and has its keys know what it may do now.
    fn record_user(&mut self, user: User, ops: &mut Vec<Op>) -> Result<(), Error> {
        user.check_policies()?;
        let User { key, id, created_at, policies } = user.clone();
        let row = UserRow { id, created_at, policies };
        ops.push(Op::Put(user_key(&key), encode(&row)));
        for known in self.keys.values_mut().filter(|one| one.owner.user() == Some(&key)) {
            let caller = Arc::new(user.caller(&known.id));
            *known = Arc::new(AccessKey { caller, ..AccessKey::clone(known) });
        }
        self.users.insert(key, Arc::new(user));
        Ok(())
    }
}

fn put_key(key: &AccessKey) -> Op {
    let row = AccessKeyRow {
        owner: key.owner.clone(),
        active: key.active,
        created_at: key.created_at,
        last_used_at: key.last_used.at(),
        sealed: key.sealed.clone(),
    };
    Op::Put(access_key_key(&key.id), encode(&row))
}

impl ShardCore {
    /// Makes a change; everybody else sees it after the commit, later requests of this turn now.
    pub(super) fn change_access(
        &mut self,
        turn: &mut Turn,
        change: AccessChange,
        reply: Reply<()>,
    ) {
        // What was noted about keys is no promise: it waits for nobody's sync.
        let sync = !matches!(change, AccessChange::SaveLastUsed);
        let changed = match &turn.access {
            Some(entries) => entries.change(change, turn.now),
            None => self.options.directory.now().change(change, turn.now),
        };
        let result = changed.map(|(entries, ops)| {
            turn.ops.extend(ops);
            turn.sync |= sync;
            turn.access = Some(entries);
        });
        turn.answers.push(Answered::Unit(reply, result));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::queue::AccountId;
    use crate::model::user::UserName;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn user(name: &str) -> UserKey {
        let account = AccountId::parse("111122223333").unwrap();
        UserKey { account, name: UserName::parse(name).unwrap() }
    }

    fn policy(action: &str) -> IdentityPolicy {
        let text =
            format!(r#"{{"Statement":[{{"Effect":"Allow","Action":"{action}","Resource":"*"}}]}}"#);
        IdentityPolicy::parse(&text, "Policy").unwrap()
    }

    fn key(id: &str, owner: Owner, policies: &[(&str, &str)]) -> AccessChange {
        let named =
            |(name, action): &(&str, &str)| (PolicyName::parse(name).unwrap(), policy(action));
        AccessChange::CreateKey(Box::new(NewKey {
            id: id.into(),
            secret: Secret("secret".into()),
            sealed: Bytes::from_static(b"sealed"),
            owner,
            user_id: format!("AIDA{id}"),
            policies: policies.iter().map(named).collect(),
        }))
    }

    /// Entries, and how often and how a store was changed for them.
    #[derive(Default)]
    struct World(Entries);

    impl World {
        fn does(&mut self, change: AccessChange) -> Result<usize, Error> {
            let (entries, ops) = self.0.change(change, NOW)?;
            self.0 = entries;
            Ok(ops.len())
        }

        fn policies_of(&self, id: &str) -> usize {
            self.0.key(id).unwrap().caller.policies.len()
        }
    }

    #[test]
    fn a_first_key_makes_its_user_and_a_second_one_is_the_same_users() {
        let mut world = World::default();
        let jane = || Owner::User(user("jane"));
        assert_eq!(world.does(key("A", jane(), &[("send", "sqs:SendMessage")])), Ok(2));
        assert_eq!(world.does(key("B", jane(), &[])), Ok(1));
        let callers = ["A", "B"].map(|id| world.0.key(id).unwrap().caller.user_id());
        assert_eq!(callers, [Some("AIDAA".into()), Some("AIDAA".into())]);
        assert_eq!((world.policies_of("A"), world.policies_of("B")), (1, 1));
        let third = world.does(key("C", jane(), &[]));
        assert_eq!(third, Err(Error::OverLimit("Cannot exceed 2 access keys per user.".into())));
    }

    #[test]
    fn a_policy_reaches_every_key_of_its_user_and_nobody_elses() {
        let mut world = World::default();
        for (id, name) in [("A", "jane"), ("B", "jane"), ("C", "joe")] {
            world.does(key(id, Owner::User(user(name)), &[])).unwrap();
        }
        let name = PolicyName::parse("receive").unwrap();
        let put = |to: &str| AccessChange::PutPolicy {
            user: user(to),
            name: name.clone(),
            policy: policy("sqs:ReceiveMessage"),
        };
        world.does(put("jane")).unwrap();
        assert_eq!(["A", "B", "C"].map(|id| world.policies_of(id)), [1, 1, 0]);
        // Twice is as good as once.
        world.does(put("jane")).unwrap();
        assert_eq!(world.policies_of("A"), 1);
        let drop = || AccessChange::DeletePolicy { user: user("jane"), name: name.clone() };
        world.does(drop()).unwrap();
        assert_eq!(world.policies_of("B"), 0);
        assert_eq!(world.does(drop()), Err(Error::ResourceNotFound("PolicyName")));
        assert_eq!(world.does(put("nobody")), Err(Error::ResourceNotFound("UserName")));
    }

    #[test]
    fn a_user_goes_with_its_keys() {
        let mut world = World::default();
        for (id, name) in [("A", "jane"), ("B", "jane"), ("C", "joe")] {
            world.does(key(id, Owner::User(user(name)), &[])).unwrap();
        }
        assert_eq!(world.does(AccessChange::DeleteUser(user("jane"))), Ok(3));
        assert_eq!(["A", "B", "C"].map(|id| world.0.key(id).is_some()), [false, false, true]);
        let again = world.does(AccessChange::DeleteUser(user("jane")));
        assert_eq!(again, Err(Error::ResourceNotFound("UserName")));
        // Without a key the user stays, with what it may do.
        world.does(AccessChange::DeleteKey("C".into())).unwrap();
        assert!(world.0.user(&user("joe")).is_some());
    }

    #[test]
    fn the_policies_of_a_user_are_bounded_together() {
        let mut world = World::default();
        world.does(key("A", Owner::User(user("jane")), &[])).unwrap();
        let long = format!("sqs:{}", "a".repeat(5_200));
        let mut put = |name: &str| {
            let name = PolicyName::parse(name).unwrap();
            world.does(AccessChange::PutPolicy { user: user("jane"), name, policy: policy(&long) })
        };
        assert_eq!(put("one"), Ok(1));
        assert_eq!(put("one"), Ok(1));
        assert!(matches!(put("two"), Err(Error::OverLimit(_))));
        assert_eq!(world.policies_of("A"), 1);
    }

    #[test]
    fn an_accounts_root_has_keys_without_a_user() {
        let mut world = World::default();
        let account = user("jane").account;
        world.does(key("A", Owner::Root(account.clone()), &[])).unwrap();
        assert_eq!(world.0.key("A").unwrap().caller.arn(), Caller::root(account).arn());
        assert!(world.0.list_users(None, 10, |_| true).is_empty());
    }

    #[test]
    fn lists_go_on_where_they_ended() {
        let mut world = World::default();
        for name in ["c", "a", "b"] {
            world.does(key(name, Owner::User(user(name)), &[])).unwrap();
        }
        let ids = |after| {
            let keys = world.0.list_keys(after, 2, |_| true);
            keys.iter().map(|key| key.id.to_string()).collect::<String>()
        };
        assert_eq!((ids(""), ids("b")), ("ab".into(), "c".into()));
        let names = |after: Option<&UserKey>| {
            let users = world.0.list_users(after, 2, |_| true);
            users.iter().map(|user| user.key.name.as_str().to_owned()).collect::<String>()
        };
        assert_eq!((names(None), names(Some(&user("b")))), ("ab".into(), "c".into()));
    }

    #[test]
    fn only_uses_that_are_news_are_saved() {
        let mut world = World::default();
        world.does(key("A", Owner::User(user("jane")), &[])).unwrap();
        assert_eq!(world.does(AccessChange::SaveLastUsed), Ok(0));
        world.0.key("A").unwrap().last_used.note(std::time::Duration::from_secs(1_700_000_000));
        assert_eq!(world.does(AccessChange::SaveLastUsed), Ok(1));
        assert_eq!(world.does(AccessChange::SaveLastUsed), Ok(0));
    }
}
