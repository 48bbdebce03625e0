//! Keys and values as bytes: they come back as they went in, order is kept, and what is on people's
//! disks keeps its form.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use stanchion_service::cipher::Cipher;
use stanchion_service::model::attributes::QueueSettings;
use stanchion_service::model::fifo::{AttemptHash, DedupHash, GroupHash, Seq};
use stanchion_service::model::message::{
    Attribute, AttributeValue, Attributes, Content, MessageId,
};
use stanchion_service::model::policy::identity_policy::IdentityPolicy;
use stanchion_service::model::policy::queue_policy::QueuePolicy;
use stanchion_service::model::queue::{
    AccountId, Generation, Paused, QueueId, QueueKey, QueueKind, Slot,
};
use stanchion_service::model::rows::{
    DedupBucket, DedupKey, DedupRow, DeliveryRow, GroupRow, HintRow, Lane, LinePlace, MessageHead,
    MessageRow, Moved, Place, ReceiveId, ReceiveRow, RowKey, Write,
};
use stanchion_service::model::task::{MoveTask, TaskFailure, TaskId, TaskStatus};
use stanchion_service::model::time::{Millis, Timestamp};
use stanchion_service::model::user::{Owner, PolicyName, UserKey, UserName};
use stanchion_service::store::codec::{Value, decode, decode_receive, encode, encode_write};
use stanchion_service::store::keys::{self, KeyRange, OutboxKey, TaskKey};
use stanchion_service::store::payload::{decode_payload, encode_payload, sealed, unsealed};
use stanchion_service::store::values::{
    AccessKeyRow, DeadRow, OutboxRow, QueueRow, ServerRow, TombstoneRow, TransitKeyRow, TurnRow,
    UserRow,
};
use stanchion_service::store::{Key, Op, StoreError};

fn timestamps() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp)
}

fn seqs() -> impl Strategy<Value = Seq> {
    any::<u64>().prop_map(Seq)
}

fn groups() -> impl Strategy<Value = GroupHash> {
    any::<u128>().prop_map(GroupHash)
}

fn lanes() -> impl Strategy<Value = Lane> {
    prop_oneof![Just(Lane::Main), Just(Lane::Delayed)]
}

fn places() -> impl Strategy<Value = Place> {
    (lanes(), seqs()).prop_map(|(lane, seq)| Place { lane, seq })
}

fn line_places() -> impl Strategy<Value = LinePlace> {
    (seqs(), any::<u64>()).prop_map(|(seq, round)| LinePlace { seq, round })
}

fn payloads() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

prop_compose! {
    fn moves()(
        source_arn in ".{0,100}",
        dead_letter: bool,
        receive_count: u32,
        moved_at in timestamps(),
        reason in ".{0,100}",
        redrives: u32,
    ) -> Moved {
        Moved { source_arn, dead_letter, receive_count, moved_at, reason, redrives }
    }
}

prop_compose! {
    fn messages()(
        sent_at in timestamps(),
        retained_from in timestamps(),
        due_at in option::of(timestamps()),
        group in option::of(groups()),
        earlier_receives: u32,
        earlier_first_received_at in option::of(timestamps()),
        payload in payloads(),
        moved in option::of(moves()),
    ) -> MessageRow {
        let head = MessageHead {
            sent_at, retained_from, due_at, group, earlier_receives, earlier_first_received_at,
        };
        MessageRow { head, payload, moved: moved.map(Box::new) }
    }
}

prop_compose! {
    fn deliveries()(
        lane in lanes(),
        visible_at in timestamps(),
        received_at in timestamps(),
        receive_count: u32,
        first_received_at in timestamps(),
        nonce: u64,
        retained_from in timestamps(),
        group in option::of(groups()),
        attempt in option::of((any::<u64>().prop_map(AttemptHash), any::<u8>())),
    ) -> DeliveryRow {
        DeliveryRow {
            lane, visible_at, received_at, receive_count, first_received_at, nonce, retained_from,
            group, attempt,
        }
    }
}

fn receives() -> impl Strategy<Value = ReceiveRow> {
    vec((seqs(), deliveries()), 0..12)
}

fn receive_ids() -> impl Strategy<Value = ReceiveId> {
    any::<u64>().prop_map(ReceiveId)
}

fn group_rows() -> impl Strategy<Value = GroupRow> {
    (any::<u64>(), option::of(line_places())).prop_map(|(fresh, place)| GroupRow { fresh, place })
}

fn dedup_rows() -> impl Strategy<Value = DedupRow> {
    (any::<[u8; 16]>(), seqs(), timestamps()).prop_map(|(id, seq, accepted_at)| DedupRow {
        message_id: MessageId(id),
        seq,
        accepted_at,
    })
}

prop_compose! {
    fn hints()(
        numbers: [u64; 9],
        held in option::of(any::<u64>()),
        timers in [timestamps(), timestamps()],
        line_from in line_places(),
        fair_from in option::of(seqs()),
        mixed_ages: bool,
    ) -> HintRow {
        let [next, fresh, low, fresh_count, due_count, delayed_count, undelayed, line, round] =
            numbers;
        HintRow {
            next_seq: Seq(next),
            fresh: Seq(fresh),
            cleared: Seq(line),
            held,
            low: Seq(low),
            fresh_count,
            due_count,
            delayed_count,
            due_cursor: (timers[0], Seq(next)),
            timers_from: (timers[1], Seq(low)),
            undelayed: Seq(undelayed),
            line_count: line,
            line_from,
            round,
            fair_from,
            mixed_ages,
        }
    }
}

prop_compose! {
    fn dedup_keys()(bucket: u64, scope in groups(), id: u128) -> DedupKey {
        DedupKey { bucket: DedupBucket(bucket), scope, id: DedupHash(id) }
    }
}

fn row_keys() -> impl Strategy<Value = RowKey> {
    prop_oneof![
        places().prop_map(RowKey::Message),
        receive_ids().prop_map(RowKey::Receive),
        (timestamps(), seqs()).prop_map(|(due, seq)| RowKey::Timer(due, seq)),
        groups().prop_map(RowKey::Group),
        (groups(), seqs()).prop_map(|(group, seq)| RowKey::Member(group, seq)),
        line_places().prop_map(RowKey::Line),
        dedup_keys().prop_map(RowKey::Dedup),
    ]
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let value = prop_oneof![
        ".{0,40}".prop_map(AttributeValue::Text),
        payloads().prop_map(AttributeValue::Binary),
    ];
    let attribute =
        ("[A-Za-z.]{1,20}", value).prop_map(|(data_type, value)| Attribute { data_type, value });
    btree_map("[a-z]{1,20}", attribute, 0..=10)
}

prop_compose! {
    fn contents()(
        body in payloads(),
        body_md5: [u8; 16],
        attributes in attributes(),
        attributes_md5 in option::of(any::<[u8; 16]>()),
        trace_header in option::of(".{0,60}"),
        sender_id in ".{0,60}",
        group_id in option::of("[!-~]{1,128}"),
        deduplication_id in option::of("[!-~]{1,128}"),
    ) -> Content {
        Content {
            body, body_md5, attributes, attributes_md5, trace_header, sender_id, group_id,
            deduplication_id,
        }
    }
}

fn policies() -> impl Strategy<Value = QueuePolicy> {
    "[a-z \"\\\\é]{0,60}".prop_map(|id| {
        let statement = r#"{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}"#;
        let id = serde_json::to_string(&id).unwrap();
        QueuePolicy::parse(&format!(r#"{{"Id":{id},"Statement":{statement}}}"#)).unwrap()
    })
}

prop_compose! {
    fn queues()(
        numbers: [u64; 4],
        purged_at in option::of(timestamps()),
        fifo: bool,
        policy in option::of(policies()),
        paused: [bool; 2],
        tags in btree_map(".{1,20}", ".{0,20}", 0..5),
        data_key in option::of(vec(any::<u8>(), 0..200)),
    ) -> QueueRow {
        let kind = if fifo { QueueKind::Fifo } else { QueueKind::Standard };
        let [id, generation, created_at, modified_at] = numbers;
        QueueRow {
            id: QueueId(id),
            generation: Generation(generation),
            settings: QueueSettings { policy, ..QueueSettings::new(kind) },
            tags,
            created_at: Timestamp(created_at),
            modified_at: Timestamp(modified_at),
            purged_at,
            paused: Paused { receive: paused[0], send: paused[1] },
            data_key,
        }
    }
}

prop_compose! {
    fn outbox_rows()(
        target_arn in ".{0,100}",
        message in messages(),
        place in places(),
        delivery in deliveries(),
        moved in moves(),
    ) -> OutboxRow {
        OutboxRow { target_arn, message, place, delivery, moved }
    }
}

fn statuses() -> impl Strategy<Value = TaskStatus> {
    prop_oneof![
        Just(TaskStatus::Running),
        Just(TaskStatus::Cancelling),
        Just(TaskStatus::Cancelled),
        Just(TaskStatus::Completed),
        Just(TaskStatus::Failed(TaskFailure::NoSuchQueue)),
        Just(TaskStatus::Failed(TaskFailure::UnknownSource)),
        Just(TaskStatus::Failed(TaskFailure::TookTooLong)),
    ]
}

prop_compose! {
    fn tasks()(
        status in statuses(),
        there: bool,
        rate in option::of(1..=500u16),
        started_at in timestamps(),
        before in seqs(),
        moved: u64,
        to_move: u64,
    ) -> MoveTask {
        let destination = there.then(queue_key);
        MoveTask { status, destination, rate, started_at, before, moved, to_move }
    }
}

/// It comes back; cut short anywhere or of another version it is corrupt, and nothing panics.
fn user_key() -> UserKey {
    let account = AccountId::parse("111122223333").unwrap();
    UserKey { account, name: UserName::parse("jane@example.com").unwrap() }
}

fn owners() -> impl Strategy<Value = Owner> {
    prop_oneof![Just(Owner::Root(user_key().account)), Just(Owner::User(user_key()))]
}

prop_compose! {
    fn users()(
        id in "AIDA[A-Z2-7]{17}",
        created_at in timestamps(),
        policies in btree_map("[a-z]{1,9}", "[a-z]{1,9}", 0..4),
    ) -> UserRow {
        let policy = |(name, action): (String, String)| {
            let text = format!(
                r#"{{"Statement":[{{"Effect":"Allow","Action":"sqs:{action}","Resource":"*"}}]}}"#
            );
            (PolicyName::parse(&name).unwrap(), IdentityPolicy::stored(&text).unwrap())
        };
        UserRow { id, created_at, policies: policies.into_iter().map(policy).collect() }
    }
}

prop_compose! {
    fn access_keys()(
        owner in owners(),
        active: bool,
        created_at in timestamps(),
        last_used_at in option::of(timestamps()),
        sealed in payloads(),
    ) -> AccessKeyRow {
        AccessKeyRow { owner, active, created_at, last_used_at, sealed }
    }
}

fn round_trip<V: Value + Debug + PartialEq>(value: V) -> Result<(), TestCaseError> {
    let bytes = encode(&value);
    let decoded: Result<V, StoreError> = decode(bytes.clone());
    prop_assert_eq!(decoded.as_ref(), Ok(&value));
    for end in 0..bytes.len() {
        // A message's payload may end anywhere; everything before it may not.
        if let Ok(shorter) = decode::<V>(bytes.slice(..end)) {
            prop_assert_ne!(shorter, decode::<V>(bytes.clone()).unwrap());
        }
    }
    let mut other_version = bytes.to_vec();
    other_version[0] = 99;
    prop_assert!(matches!(decode::<V>(other_version.into()), Err(StoreError::Corrupt(_))));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_value_comes_back(
        message in messages(),
        delivery in deliveries(),
        receive in receives(),
        timer in option::of(groups()),
        group in group_rows(),
        line in groups(),
        dedup in dedup_rows(),
        hint in hints(),
        queue in queues(),
        outbox in outbox_rows(),
        task in tasks(),
        user in users(),
        access_key in access_keys(),
        numbers: [u64; 3],
        epoch: u32,
        secret: [u8; 32],
    ) {
        let [turn, synced_up_to, at] = numbers;
        round_trip(message)?;
        round_trip(delivery)?;
        round_trip(receive)?;
        round_trip(timer)?;
        round_trip(group)?;
        round_trip(())?;
        round_trip(line)?;
        round_trip(dedup)?;
        round_trip(hint)?;
        round_trip(queue)?;
        round_trip(outbox)?;
        round_trip(task)?;
        round_trip(user)?;
        round_trip(access_key)?;
        round_trip(ServerRow { epoch, secret, clock_offset: Millis(at) })?;
        round_trip(TurnRow { turn, synced_up_to, engine_time: Timestamp(at) })?;
        round_trip(TombstoneRow { deleted_at: Timestamp(at) })?;
        round_trip(DeadRow { since: Timestamp(at) })?;
    }

    #[test]
    fn every_payload_comes_back(id: [u8; 16], content in contents()) {
        let payload = encode_payload(&MessageId(id), &content, None);
        prop_assert_eq!(decode_payload(payload, None), Ok((MessageId(id), content)));
    }

    #[test]
    fn a_sealed_payload_opens_with_its_key_alone_and_under_its_id(
        id: [u8; 16],
        content in contents(),
        at: prop::sample::Index,
    ) {
        let (id, key) = (MessageId(id), Cipher::new(&[1; 32]));
        let payload = encode_payload(&id, &content, Some(&key));
        prop_assert_eq!(decode_payload(payload.clone(), Some(&key)), Ok((id, content.clone())));
        prop_assert!(decode_payload(payload.clone(), None).is_err());
        prop_assert!(decode_payload(payload.clone(), Some(&Cipher::new(&[2; 32]))).is_err());
        let mut changed = payload.to_vec();
        changed[at.index(payload.len())] ^= 1;
        prop_assert!(decode_payload(changed.into(), Some(&key)).is_err());

        // Opened, it is as if it had never been sealed, and the other way round.
        let plain = encode_payload(&id, &content, None);
        prop_assert_eq!(&unsealed(payload.clone(), Some(&key)), &plain);
        let again = sealed(plain, Some(&key));
        prop_assert_eq!(again.len(), payload.len());
        prop_assert_eq!(decode_payload(again, Some(&key)), Ok((id, content)));
        // What does not open stays as it is.
        prop_assert_eq!(unsealed(payload.clone(), None), payload);
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in vec(any::<u8>(), 0..200), version in 0u8..3) {
        let bytes: Bytes = [vec![version], bytes].concat().into();
        let _ = decode::<MessageRow>(bytes.clone());
        let _ = decode_receive(ReceiveId(0), bytes.clone());
        let _ = decode::<HintRow>(bytes.clone());
        let _ = decode::<QueueRow>(bytes.clone());
        let _ = decode::<OutboxRow>(bytes.clone());
        let _ = decode::<MoveTask>(bytes.clone());
        let _ = decode_payload(bytes.clone(), Some(&Cipher::new(&[1; 32])));
        let _ = decode::<UserRow>(bytes.clone());
        let _ = decode::<AccessKeyRow>(bytes.clone());
        let _ = decode_payload(bytes.clone(), None);
        let _ = keys::parse_row_key(stanchion_service::store::Space::State, &bytes);
        let _ = keys::parse_queue_key(&bytes);
    }

    #[test]
    fn every_row_key_comes_back(slot: u8, generation: u64, row in row_keys()) {
        let (slot, generation) = (Slot(slot), Generation(generation));
        let key = keys::row_key(slot, generation, &row);
        prop_assert_eq!(keys::parse_row_key(key.space, &key.bytes), Ok((slot, generation, row)));
        prop_assert!(keys::parse_row_key(key.space, &key.bytes[..key.bytes.len() - 1]).is_err());
        prop_assert!(keys::parse_row_key(key.space, &keys::after(key.clone()).bytes).is_err());
    }

    #[test]
    fn rows_of_one_kind_are_in_order(a in row_keys(), b in row_keys()) {
        if std::mem::discriminant(&a) == std::mem::discriminant(&b) {
            let [x, y] = [a, b].map(|row| keys::row_key(Slot(3), Generation(9), &row));
            prop_assert_eq!(a.cmp(&b), x.cmp(&y));
        }
    }

    #[test]
    fn ranges_hold_what_they_say(
        slot: u8,
        generation: u64,
        row in row_keys(),
        from in seqs(),
        due in timestamps(),
        bucket: u64,
    ) {
        let (slot, generation) = (Slot(slot), Generation(generation));
        let key = keys::row_key(slot, generation, &row);
        let whole = keys::generation_ranges(slot, generation);
        let holders = whole.iter().filter(|range| holds(range, &key)).count();
        prop_assert_eq!(holders, usize::from(!matches!(row, RowKey::Dedup(_))));
        match row {
            RowKey::Message(place) => {
                let range = keys::messages_range(slot, generation, place.lane, from);
                prop_assert_eq!(holds(&range, &key), from <= place.seq);
            }
            RowKey::Receive(_) => {
                prop_assert!(holds(&keys::deliveries_range(slot, generation), &key));
            }
            RowKey::Timer(at, seq) => {
                let (first, last) = ((Timestamp(0), from), (due, from));
                let range = keys::timers_range(slot, generation, first, last);
                prop_assert_eq!(holds(&range, &key), (first..=last).contains(&(at, seq)));
            }
            RowKey::Member(group, seq) => {
                let range = keys::members_range(slot, generation, group, from);
                prop_assert_eq!(holds(&range, &key), from <= seq);
            }
            RowKey::Line(place) => {
                let range = keys::line_range(slot, generation, LinePlace::default(), from);
                prop_assert_eq!(holds(&range, &key), place.seq < from);
            }
            RowKey::Dedup(dedup) => {
                prop_assert!(holds(&keys::dedup_bucket_range(slot, dedup.bucket), &key));
                let expired = keys::dedup_before_range(slot, DedupBucket(bucket));
                prop_assert_eq!(holds(&expired, &key), dedup.bucket < DedupBucket(bucket));
            }
            RowKey::Group(_) => {}
        }
        let other = Generation(generation.0.wrapping_add(1));
        let foreign = keys::generation_ranges(slot, other);
        prop_assert!(!foreign.iter().any(|range| holds(range, &key)));
    }
}

fn holds(range: &KeyRange, key: &Key) -> bool {
    range.from <= *key && *key < range.to
}

fn queue_key() -> QueueKey {
    QueueKey::parse_arn("arn:aws:sqs:us-east-1:000000000000:orders.fifo").unwrap()
}

#[test]
fn keys_that_are_no_rows_of_a_queue_come_back() {
    let (slot, name) = (Slot(255), queue_key());
    let key = keys::queue_key(slot, &name);
    assert_eq!(keys::parse_queue_key(&key.bytes), Ok((slot, name.clone())));
    assert!(holds(&keys::queues_range(slot), &key));
    let key = keys::tombstone_key(slot, &name);
    assert_eq!(keys::parse_tombstone_key(&key.bytes), Ok((slot, name)));
    assert!(holds(&keys::tombstones_range(slot), &key));
    let key = keys::hint_key(slot, Generation(u64::MAX));
    assert_eq!(keys::parse_hint_key(&key.bytes), Ok((slot, Generation(u64::MAX))));
    assert!(holds(&keys::hints_range(slot), &key));
    let key = keys::dead_key(slot, Generation(3));
    assert_eq!(keys::parse_dead_key(&key.bytes), Ok((slot, Generation(3))));
    assert!(holds(&keys::dead_range(slot), &key));
    let outbox = OutboxKey { slot, source: QueueId(4), number: u64::MAX };
    let key = keys::outbox_key(&outbox);
    assert_eq!(keys::parse_outbox_key(&key.bytes), Ok(outbox));
    assert!(holds(&keys::outbox_range(slot), &key));
    assert!(holds(&keys::outbox_of_range(slot, QueueId(4)), &key));
    let later = OutboxKey { number: 5, ..outbox };
    assert!(holds(&keys::outbox_from_range(&later), &key));
    assert!(!holds(&keys::outbox_from_range(&outbox), &keys::outbox_key(&later)));
    let task = TaskKey { slot, source: QueueId(4), task: TaskId(u64::MAX) };
    let key = keys::task_key(&task);
    assert_eq!(keys::parse_task_key(&key.bytes), Ok(task));
    assert!(holds(&keys::tasks_range(slot), &key));
    let key = keys::turn_key(u16::MAX);
    assert_eq!(keys::parse_turn_key(&key.bytes), Ok(u16::MAX));
    assert!(holds(&keys::turns_range(), &key));
    assert!(!holds(&keys::turns_range(), &keys::server_key()));
    let key = keys::user_key(&user_key());
    assert_eq!(keys::parse_user_key(&key.bytes), Ok(user_key()));
    assert!(holds(&keys::users_range(), &key));
    let key = keys::access_key_key("AKIAIOSFODNN7EXAMPLE");
    assert_eq!(keys::parse_access_key_key(&key.bytes), Ok("AKIAIOSFODNN7EXAMPLE".into()));
    assert!(holds(&keys::access_keys_range(), &key));
    assert!(!holds(&keys::users_range(), &key));
}

#[test]
fn a_body_is_shared_with_the_stored_row() {
    let (_, write) = &samples()[0];
    let Write::Message(_, row) = write else { panic!("the first sample is a message") };
    let stored = encode(row);
    let span = stored.as_ptr_range();
    let (_, content) = decode_payload(decode::<MessageRow>(stored).unwrap().payload, None).unwrap();
    assert!(span.contains(&content.body.as_ptr()), "the body was copied");
}

/// One write of every kind.
fn samples() -> Vec<(&'static str, Write)> {
    let content = Content {
        body: Bytes::from_static(b"a body"),
        body_md5: [0xbb; 16],
        attributes: Attributes::from([
            (
                "count".to_owned(),
                Attribute {
                    data_type: "Number".to_owned(),
                    value: AttributeValue::Text("42".to_owned()),
                },
            ),
            (
                "raw".to_owned(),
                Attribute {
                    data_type: "Binary.gif".to_owned(),
                    value: AttributeValue::Binary(Bytes::from_static(&[1, 2, 3])),
                },
            ),
        ]),
        attributes_md5: Some([0xaa; 16]),
        trace_header: Some("Root=1-5759e988-bd862e3fe1be46a994272793".to_owned()),
        sender_id: "AIDAEXAMPLE".to_owned(),
        group_id: Some("group".to_owned()),
        deduplication_id: Some("once".to_owned()),
    };
    let group = GroupHash(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
    let head = MessageHead {
        sent_at: Timestamp(1_700_000_000_123),
        retained_from: Timestamp(1_700_000_000_456),
        due_at: Some(Timestamp(1_700_000_900_123)),
        group: Some(group),
        earlier_receives: 4,
        earlier_first_received_at: Some(Timestamp(1_700_000_000_200)),
    };
    let message = MessageRow {
        head,
        payload: encode_payload(&MessageId([0x1d; 16]), &content, None),
        moved: Some(Box::new(moved())),
    };
    let dedup = DedupKey {
        bucket: DedupBucket::of(Timestamp(1_700_000_000_123)),
        scope: group,
        id: DedupHash(7),
    };
    let dedup_row = DedupRow {
        message_id: MessageId([0x1d; 16]),
        seq: seq(),
        accepted_at: Timestamp(1_700_000_000_123),
    };
    let due = Timestamp(1_700_000_900_123);
    let line = LinePlace { seq: seq(), round: 2 };
    vec![
        ("message", Write::Message(Place { lane: Lane::Delayed, seq: seq() }, message)),
        ("receive", Write::Receive(ReceiveId(seq().0), receive())),
        ("timer", Write::Timer(due, seq(), Some(group))),
        ("timer without group", Write::Timer(due, seq(), None)),
        ("group", Write::Group(group, GroupRow { fresh: 9, place: Some(line) })),
        ("held group", Write::Group(group, GroupRow { fresh: 9, place: None })),
        ("member", Write::Member(group, seq())),
        ("line", Write::Line(line, group)),
        ("dedup", Write::Dedup(dedup, dedup_row)),
    ]
}

fn seq() -> Seq {
    Seq(Seq::first_of_epoch(3).0 + 77)
}

fn moved() -> Moved {
    Moved {
        source_arn: "arn:aws:sqs:us-east-1:000000000000:source".to_owned(),
        dead_letter: true,
        receive_count: 3,
        moved_at: Timestamp(1_700_000_000_999),
        reason: "maxReceiveCount 3 exceeded".to_owned(),
        redrives: 0,
    }
}

fn receive() -> ReceiveRow {
    let plain = DeliveryRow { group: None, attempt: None, lane: Lane::Delayed, ..delivery() };
    vec![(seq(), delivery()), (seq().next(), plain)]
}

fn delivery() -> DeliveryRow {
    DeliveryRow {
        lane: Lane::Main,
        visible_at: Timestamp(1_700_000_030_123),
        received_at: Timestamp(1_700_000_000_123),
        receive_count: 2,
        first_received_at: Timestamp(1_700_000_000_100),
        nonce: 0x0123_4567_89ab_cdef,
        retained_from: Timestamp(1_700_000_000_001),
        group: Some(GroupHash(5)),
        attempt: Some((AttemptHash(6), 10)),
    }
}

/// Every kind of key and value, in hex.
fn golden() -> String {
    let (slot, generation, name) = (Slot(200), Generation(0x0102), queue_key());
    let mut lines = String::new();
    let mut line = |kind: &str, key: Key, value: Bytes| {
        let hex = |bytes: &[u8]| {
            bytes.iter().fold(String::new(), |mut hex, byte| {
                write!(hex, "{byte:02x}").unwrap();
                hex
            })
        };
        let (space, key) = (key.space, hex(&key.bytes));
        writeln!(lines, "{kind}: {space:?} {key} = {}", hex(&value)).unwrap();
    };
    for (kind, write) in samples() {
        match encode_write(slot, generation, &write) {
            Op::Put(key, value) => line(kind, key, value),
            other => panic!("{kind} is no put: {other:?}"),
        }
    }
    let hint = HintRow {
        next_seq: Seq(1),
        fresh: Seq(2),
        cleared: Seq(17),
        held: Some(18),
        low: Seq(3),
        fresh_count: 4,
        due_count: 5,
        delayed_count: 6,
        due_cursor: (Timestamp(7), Seq(8)),
        timers_from: (Timestamp(9), Seq(10)),
        undelayed: Seq(11),
        line_count: 12,
        line_from: LinePlace { seq: Seq(13), round: 14 },
        round: 15,
        fair_from: Some(Seq(16)),
        mixed_ages: true,
    };
    line("hint", keys::hint_key(slot, generation), encode(&hint));
    let queue = QueueRow {
        id: QueueId(5),
        generation,
        settings: QueueSettings::new(QueueKind::Fifo),
        tags: BTreeMap::from([("team".to_owned(), "blue".to_owned())]),
        created_at: Timestamp(1_700_000_000_000),
        modified_at: Timestamp(1_700_000_001_000),
        purged_at: Some(Timestamp(1_700_000_002_000)),
        paused: Paused::default(),
        data_key: None,
    };
    line("queue", keys::queue_key(keys::slot_of(&name), &name), encode(&queue));
    let encrypted = QueueRow { data_key: Some(vec![0xd0; 12]), ..queue };
    let row_key = keys::queue_key(keys::slot_of(&name), &name);
    line("encrypted queue", row_key, encode(&encrypted));
    line("transit key", keys::transit_key(), encode(&TransitKeyRow(vec![0xd1; 12])));
    let tombstone = TombstoneRow { deleted_at: Timestamp(1_700_000_003_000) };
    line("tombstone", keys::tombstone_key(slot, &name), encode(&tombstone));
    let dead = DeadRow { since: Timestamp(1_700_000_004_000) };
    line("dead generation", keys::dead_key(slot, generation), encode(&dead));
    let Some((_, Write::Message(place, message))) = samples().into_iter().next() else {
        panic!("the first sample is a message")
    };
    let outbox = OutboxRow {
        target_arn: "arn:aws:sqs:us-east-1:000000000000:target".to_owned(),
        message,
        place,
        delivery: delivery(),
        moved: moved(),
    };
    let outbox_key = OutboxKey { slot, source: QueueId(5), number: 6 };
    line("outbox", keys::outbox_key(&outbox_key), encode(&outbox));
    let task = MoveTask {
        status: TaskStatus::Failed(TaskFailure::NoSuchQueue),
        destination: Some(queue_key()),
        rate: Some(500),
        started_at: Timestamp(1_700_000_006_000),
        before: seq(),
        moved: 8,
        to_move: 9,
    };
    let task_key = TaskKey { slot, source: QueueId(5), task: TaskId(7) };
    line("move task", keys::task_key(&task_key), encode(&task));
    let server = ServerRow { epoch: 3, secret: [0x5e; 32], clock_offset: Millis(86_400_000) };
    line("server", keys::server_key(), encode(&server));
    let engine_time = Timestamp(1_700_000_005_000);
    let turn = TurnRow { turn: 10, synced_up_to: 9, engine_time };
    line("turn", keys::turn_key(0x0102), encode(&turn));
    let policy = r#"{"Statement":[{"Effect":"Allow","Action":"sqs:*","Resource":"*"}]}"#;
    let policy = IdentityPolicy::stored(policy).unwrap();
    let user = UserRow {
        id: "AIDACKCEVSQ6C2EXAMPLE".to_owned(),
        created_at: Timestamp(1_700_000_007_000),
        policies: BTreeMap::from([(PolicyName::parse("all").unwrap(), policy)]),
    };
    line("user", keys::user_key(&user_key()), encode(&user));
    let access_key = AccessKeyRow {
        owner: Owner::User(user_key()),
        active: true,
        created_at: Timestamp(1_700_000_008_000),
        last_used_at: Some(Timestamp(1_700_000_009_000)),
        sealed: Bytes::from_static(b"sealed"),
    };
    line("access key", keys::access_key_key("AKIAIOSFODNN7EXAMPLE"), encode(&access_key));
    lines
}

/// Rows that the first format wrote otherwise.
#[test]
fn rows_of_the_first_format_are_read() {
    // Under the number of its message, with the delivery of that message alone.
    let row = "0103000000018bcfe5ddab0000018bcfe5687b000000020000018bcfe568640123456789abcdef0000018b\
        cfe568010000000000000000000000000000000500000000000000060a";
    let found = decode_receive(ReceiveId(seq().0), from_hex(row)).unwrap();
    assert_eq!(found, vec![(seq(), delivery())]);
    // Where messages took their rows with them, and what was received was not counted.
    let row: String = (1..=16).map(|number| format!("{number:016x}")).collect();
    let found: HintRow = decode(from_hex(&format!("0103{row}"))).unwrap();
    assert_eq!((found.fresh, found.cleared), (Seq(2), Seq(2)));
    assert_eq!((found.held, found.fair_from), (None, Some(Seq(16))));
}

fn from_hex(text: &str) -> Bytes {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect::<Vec<_>>().into()
}

/// What is on people's disks. A difference means that their data no longer read: give the kind a
/// new version that still reads the old one. Only before a first release, or for a new kind or
/// version, write the file anew: `STANCHION_GOLDEN=write cargo test -p stanchion-service golden`.
#[test]
fn stored_bytes_match_the_golden_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/golden.txt");
    if std::env::var_os("STANCHION_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(path, golden()).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap();
    for (expected, found) in expected.lines().zip(golden().lines()) {
        assert_eq!(expected, found);
    }
    assert_eq!(expected.lines().count(), golden().lines().count());
}
