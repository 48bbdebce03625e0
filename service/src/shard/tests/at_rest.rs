//! Messages that are kept encrypted: under which key, wherever they go.

use std::sync::Arc;

use bytes::Bytes;

use super::world::{World, key, name_on, receive};
use crate::engine::command::{Command, Delivered, Incoming, Outcome, Receive};
use crate::engine::queue::Counters;
use crate::keyring::data_key::{DataKey, KeyOwner};
use crate::keyring::{KeyError, Keyring, parse_keys};
use crate::model::attributes::{QueueSettings, RedrivePolicy};
use crate::model::digest::md5_of_body;
use crate::model::message::{Attributes, Content, MessageId};
use crate::model::time::Millis;
use crate::shard::at_rest::AtRest;
use crate::shard::handle::QueueInfo;
use crate::shard::request::{Request, TaskRequest};
use crate::shard::start::StartError;
use crate::store::memory::Crash;
use crate::store::payload::{decode_payload, encode_payload, is_sealed};

const ONE: Counters = Counters { available: 1, in_flight: 0, delayed: 0 };

/// Master keys with these ids, the first of them current; `b` answers to `alias/orders`.
fn keyring(ids: &str) -> Arc<Keyring> {
    let mut file = format!("current = '{}'\n", &ids[..1]);
    for id in ids.chars() {
        let secret = if id == 'a' { "AQEB" } else { "AgIC" }.repeat(10);
        let end = if id == 'a' { "AQE=" } else { "AgI=" };
        file += &format!("[[keys]]\nid = '{id}'\nsecret = '{secret}{end}'\n");
        if id == 'b' {
            file += "aliases = ['alias/orders']\n";
        }
    }
    Arc::new(Keyring::new(Some(parse_keys(&file).unwrap()), None))
}

fn settings(encrypted: bool) -> QueueSettings {
    QueueSettings { sse_enabled: encrypted, ..QueueSettings::new(key("q").name.kind()) }
}

/// The id of the master key that a queue's data key is sealed under.
fn master_key_of(info: &QueueInfo) -> String {
    let [_, length, rest @ ..] = info.data_key.as_ref().unwrap().sealed() else { panic!() };
    String::from_utf8(rest[..usize::from(*length)].to_vec()).unwrap()
}

impl World {
    fn info(&self, name: &str) -> Arc<QueueInfo> {
        self.catalogue.find(&key(name)).unwrap()
    }

    /// A source whose messages go to `target` at their second receive.
    fn create_pair(&mut self, source: (&str, bool), target: (&str, bool)) {
        self.create_with(target.0, settings(target.1)).unwrap();
        let redrive =
            RedrivePolicy { dead_letter_target_arn: key(target.0).arn(), max_receive_count: 1 };
        let settings = QueueSettings { redrive: Some(redrive), ..settings(source.1) };
        self.create_with(source.0, settings).unwrap();
    }

    fn send_text(&mut self, name: &str, id: MessageId, text: &str) {
        let content = Content {
            body: Bytes::copy_from_slice(text.as_bytes()),
            body_md5: md5_of_body(text.as_bytes()),
            attributes: Attributes::new(),
            attributes_md5: None,
            trace_header: None,
            sender_id: "000000000000".into(),
            group_id: None,
            deduplication_id: None,
        };
        let payload = encode_payload(&id, &content, self.info(name).sealing());
        let message = Incoming { id, payload, delay: None, group: None, dedup: None };
        self.send(name, vec![message]);
    }

    /// Receives a message and lets it return.
    fn touch_one(&mut self, name: &str) -> Vec<Delivered> {
        let command = Command::Receive(Receive { visibility: Some(Millis(0)), ..receive(1) });
        match self.apply(name, command) {
            Ok(Outcome::Received(messages)) => messages,
            other => panic!("{other:?}"),
        }
    }

    /// The only message of a queue, and whether it is sealed there.
    fn read_one(&mut self, name: &str) -> (MessageId, String, bool) {
        let mut messages = self.touch_one(name);
        assert_eq!(messages.len(), 1, "{name}");
        let payload = messages.remove(0).message.payload;
        let sealed = is_sealed(&payload);
        let (id, content) = decode_payload(payload, self.info(name).cipher()).unwrap();
        (id, String::from_utf8(content.body.to_vec()).unwrap(), sealed)
    }

    fn start_task_to(&mut self, source: &str, destination: &str) {
        let (source_key, destination) = (key(source), Some(key(destination)));
        self.ask(source, |reply| {
            let start = TaskRequest::Start { source: source_key, destination, rate: None, reply };
            Request::Task(start)
        })
        .unwrap();
    }
}

const ID: MessageId = MessageId([7; 16]);

#[test]
fn a_message_is_sealed_as_the_queue_keeps_its_messages_that_it_comes_to() {
    for target_shard in [0, 1] {
        for (from, to) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut world = World::with_keys(2, keyring("a"));
            let (source, target) = (name_on("s", 0, 2), name_on("t", target_shard, 2));
            world.create_pair((&source, from), (&target, to));
            world.send_text(&source, ID, "hush");
            assert_eq!(world.read_one(&source), (ID, "hush".into(), from));
            assert!(world.touch_one(&source).is_empty(), "it dies");
            world.settle();
            assert_eq!(world.read_one(&target), (ID, "hush".into(), to));

            // Back again it is a message of its own.
            world.start_task_to(&target, &source);
            world.pass(1);
            world.settle();
            let (id, text, sealed) = world.read_one(&source);
            assert!(id != ID && text == "hush" && sealed == from);
        }
    }
}

#[test]
fn each_queue_has_a_key_of_its_own() {
    let mut world = World::with_keys(1, keyring("a"));
    world.create_pair(("source", true), ("target", true));
    world.send_text("source", ID, "hush");
    let payload = world.touch_one("source").remove(0).message.payload;
    let (source, target) = (world.info("source"), world.info("target"));
    assert!(decode_payload(payload.clone(), source.cipher()).is_ok());
    assert!(decode_payload(payload.clone(), target.cipher()).is_err());
    assert!(decode_payload(payload, None).is_err());
    // A stored key is that of its queue alone.
    let sealed = source.data_key.as_ref().unwrap().sealed();
    let owner = KeyOwner::Queue(target.slot, target.id);
    assert_eq!(
        DataKey::open(&world.keyring, sealed, owner).unwrap_err(),
        KeyError::Wrong("a".into())
    );
}

/// A message on its way from one shard to the other, of which nobody has heard.
fn under_way() -> (World, String, String) {
    let mut world = World::with_keys(2, keyring("a"));
    let (source, target) = (name_on("s", 0, 2), name_on("t", 1, 2));
    world.create_pair((&source, true), (&target, true));
    world.send_text(&source, ID, "hush");
    world.touch_one(&source);
    let (reply, _answer) = tokio::sync::oneshot::channel();
    let command = Command::Receive(receive(1));
    world.step(0, vec![super::world::request(&source, command, reply)]).unwrap();
    assert_eq!(world.under_way(), 1);
    (world, source, target)
}

#[test]
fn what_is_under_way_is_read_when_its_source_is_gone_also_after_a_crash() {
    for crash in [false, true] {
        let (mut world, source, target) = under_way();
        let hints = std::mem::take(&mut world.hints);
        world.delete_queue(&source).unwrap();
        match crash {
            true => world.restart(Crash::Kill, 3),
            false => world.hints = hints,
        }
        world.settle();
        assert_eq!(world.counters(&target), ONE);
        assert_eq!(world.read_one(&target), (ID, "hush".into(), true));
    }
}

#[test]
fn what_comes_back_because_its_target_is_gone_is_read_in_the_source() {
    let (mut world, source, target) = under_way();
    let hints = std::mem::take(&mut world.hints);
    world.delete_queue(&target).unwrap();
    world.hints = hints;
    world.settle();
    assert_eq!(world.read_one(&source), (ID, "hush".into(), true));
}

#[test]
fn messages_from_before_there_were_keys_stay_as_they_are() {
    let mut world = World::new(1);
    world.create("q");
    world.send_text("q", ID, "plain");
    assert!(world.info("q").data_key.is_none());
    world.keyring = keyring("a");
    world.restart(Crash::Kill, 1);
    assert_eq!(world.read_one("q"), (ID, "plain".into(), false));
    world.purge("q").unwrap();
    world.send_text("q", ID, "hush");
    assert_eq!(world.read_one("q"), (ID, "hush".into(), true));
    // Set otherwise, it goes on reading what it has.
    world
        .ask("q", |reply| Request::Update {
            key: key("q"),
            change: Box::new(|settings, _| {
                settings.sse_enabled = false;
                Ok(())
            }),
            reply,
        })
        .unwrap();
    assert_eq!(world.read_one("q"), (ID, "hush".into(), true));
    world.purge("q").unwrap();
    world.send_text("q", ID, "plain");
    assert_eq!(world.read_one("q"), (ID, "plain".into(), false));
}

#[test]
fn without_keys_of_the_operators_nothing_is_sealed() {
    let mut world = World::new(1);
    world.create("q");
    world.send_text("q", ID, "plain");
    assert_eq!(world.read_one("q"), (ID, "plain".into(), false));
}

#[test]
fn a_queue_names_its_master_key() {
    let mut world = World::with_keys(1, keyring("ab"));
    for (name, kms_key_id, master_key) in [
        ("default", None, "a"),
        ("aws", Some("alias/aws/sqs"), "a"),
        ("orders", Some("alias/orders"), "b"),
        ("unknown", Some("alias/unknown"), "a"),
    ] {
        let kms_key_id: Option<String> = kms_key_id.map(Into::into);
        let settings =
            QueueSettings { sse_enabled: kms_key_id.is_none(), kms_key_id, ..settings(true) };
        let info = world.create_with(name, settings).unwrap();
        assert_eq!(master_key_of(&info), master_key, "{name}");
        world.send_text(name, ID, "hush");
        let change = |settings: &mut QueueSettings| settings.kms_key_id = Some("b".into());
        let info = world.ask(name, |reply| Request::Update {
            key: key(name),
            change: Box::new(move |settings, _| {
                change(settings);
                Ok(())
            }),
            reply,
        });
        assert_eq!(master_key_of(&info.unwrap()), "b", "{name}");
        // The data key is the same, only sealed anew.
        assert_eq!(world.read_one(name), (ID, "hush".into(), true));
    }
}

#[test]
fn a_rotation_leaves_nothing_under_the_old_master_key() {
    let start = |world: &World, ids| AtRest::lay(&world.store, keyring(ids)).map(drop);
    let (mut world, source, target) = under_way();
    let without_a = start(&world, "b").unwrap_err();
    let StartError::Key { error: KeyError::Missing(id), .. } = &without_a else { panic!() };
    assert_eq!(id, "a");
    assert!(without_a.to_string().contains("the master key a"), "{without_a}");

    world.keyring = keyring("ba");
    world.restart(Crash::Kill, 2);
    for (name, keys) in [(&source, 1), (&target, 1), (&source, 0)] {
        let rewrapped = world.ask(name, |reply| Request::Rewrap { from: 0, reply }).unwrap();
        assert_eq!((rewrapped.keys, rewrapped.next), (keys, None));
    }
    assert!(start(&world, "b").is_err(), "there is also that of what is under way");
    let rewrap = || super::super::at_rest::rewrap_transit_key(&world.store, &world.keyring);
    assert_eq!((rewrap().unwrap(), rewrap().unwrap()), (1, 0));
    world.keyring = keyring("b");
    world.restart(Crash::PowerCut { survivors: 0 }, 2);
    world.settle();
    assert_eq!(world.read_one(&target), (ID, "hush".into(), true));
}

#[test]
fn a_master_key_that_is_missing_or_another_one_is_named() {
    let mut world = World::with_keys(1, keyring("a"));
    world.create("q");
    let other = "current = 'a'\n[[keys]]\nid = 'a'\nsecret = \
                 'AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM='";
    let other = Keyring::new(Some(parse_keys(other).unwrap()), None);
    let error = AtRest::lay(&world.store, Arc::new(other)).unwrap_err().to_string();
    assert!(error.contains("the master key a does not open it"), "{error}");
    let none = AtRest::lay(&world.store, Arc::new(Keyring::ephemeral())).unwrap_err();
    assert!(none.to_string().contains("master key a, which is not configured"), "{none}");
}
