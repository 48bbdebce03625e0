use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::model::queue::AccountId;

const LONG: Duration = Duration::from_secs(60);

fn read(path: &std::path::Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn event(record: &Record, refused: bool) -> Event<'_> {
    Event {
        record,
        request_id: "id",
        refused,
        outcome: if refused { "AccessDenied" } else { "OK" },
        now: Duration::from_millis(1_767_225_600_250),
    }
}

fn record(action: &str) -> Record {
    let record = Record::default();
    let account = AccountId::parse("111111111111").unwrap();
    let caller = Caller { access_key_id: Some("AKIA".into()), ..Caller::root(account) };
    record.set_permission(Permission::sqs(action));
    record.set_source([10, 0, 0, 1].into());
    record.set_caller(Arc::new(caller));
    record
}

fn note(action: &str, refused: bool) -> Note {
    let by = refused.then(|| "resource-based policy, statement x".into());
    Note { action: action.into(), resource: "arn:q".into(), refused, by }
}

#[tokio::test]
async fn a_line_says_who_did_what_by_what_right() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let sink = Sink::File(RotatingFile::open(path.clone(), 1 << 20, 1).unwrap());
    let audit = Audit::start(sink, false, Counter::default()).unwrap();

    let allowed = record("DeleteQueue");
    allowed.note(note("sqs:DeleteQueue", false));
    audit.put(event(&allowed, false), LONG).await;
    let refused = record("SendMessage");
    refused.note(note("sqs:ReceiveMessage", false));
    refused.note(note("sqs:SendMessage", true));
    audit.put(event(&refused, true), LONG).await;
    let wrong = Record::default();
    wrong.set_permission(Permission::sqs("DeleteQueue"));
    audit.put(event(&wrong, false), LONG).await;
    // The action itself refused, and what it answered does not say so.
    let hidden = record("SendMessage");
    hidden.note(Note { by: Some("x".into()), ..note("stanchion:DeleteAccessKey", false) });
    hidden.refuse("another account's");
    audit.put(event(&hidden, false), LONG).await;
    // Not asked for.
    audit.put(event(&record("SendMessage"), false), LONG).await;
    audit.close().await;

    let common = json!({
        "time": "2026-01-01T00:00:00.25Z", "request_id": "id", "access_key_id": "AKIA",
        "principal": "arn:aws:iam::111111111111:root", "source_address": "10.0.0.1",
        "resource": "arn:q",
    });
    let with = |more: Value| {
        let mut all = common.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let expected = [
        with(json!({"action": "sqs:DeleteQueue", "decision": "allowed", "outcome": "OK"})),
        with(json!({"action": "sqs:SendMessage", "decision": "denied", "outcome": "AccessDenied",
            "statement": "resource-based policy, statement x"})),
        // Nothing was asked, because the request was wrong before that.
        json!({"time": "2026-01-01T00:00:00.25Z", "request_id": "id", "action": "sqs:DeleteQueue",
            "outcome": "OK"}),
        with(json!({"action": "stanchion:DeleteAccessKey", "decision": "denied", "outcome": "OK",
            "reason": "another account's"})),
    ];
    assert_eq!(read(&path), expected);
}

#[tokio::test]
async fn actions_on_messages_are_on_record_where_they_shall_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let sink = Sink::File(RotatingFile::open(path.clone(), 1 << 20, 1).unwrap());
    let audit = Audit::start(sink, true, Counter::default()).unwrap();
    audit.put(event(&record("SendMessage"), false), LONG).await;
    audit.close().await;
    assert_eq!(read(&path).len(), 1);
}

#[tokio::test]
async fn what_cannot_be_written_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    // A folder stands where the second file is to be.
    fs::create_dir_all(folder.path().join("audit.log.1/x")).unwrap();
    let sink = Sink::File(RotatingFile::open(path.clone(), 1, 1).unwrap());
    let lost = Counter::default();
    let audit = Audit::start(sink, false, lost.clone()).unwrap();
    for _ in 0..3 {
        audit.put(event(&record("DeleteQueue"), false), LONG).await;
    }
    audit.close().await;
    assert_eq!((read(&path).len(), lost.get()), (1, 2));
}

#[tokio::test]
async fn who_goes_away_is_on_record_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let sink = Sink::File(RotatingFile::open(path.clone(), 1 << 20, 1).unwrap());
    let audit = Audit::start(sink, false, Counter::default()).unwrap();
    let begin = |action: &str| {
        let pending = audit.begin("id");
        pending.record().set_permission(Permission::sqs(action));
        pending
    };
    let gone = begin("DeleteQueue");
    gone.record().note(note("sqs:DeleteQueue", false));
    drop(gone);
    // Not asked for; no action at all; and one that was answered.
    drop(begin("SendMessage"));
    drop(audit.begin("id"));
    begin("CreateQueue").end(false, "OK", LONG).await;
    audit.close().await;
    let lines = read(&path);
    let outcomes: Vec<_> = lines.iter().map(|line| (&line["action"], &line["outcome"])).collect();
    assert_eq!(
        outcomes,
        [
            (&json!("sqs:DeleteQueue"), &json!("Abandoned")),
            (&json!("sqs:CreateQueue"), &json!("OK")),
        ]
    );
}
