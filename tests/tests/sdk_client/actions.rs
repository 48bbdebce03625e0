//! Every action once, signed, by its method.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use stanchion_sdk::{
    ChangeMessageVisibility, ChangeMessageVisibilityBatch, ChangeMessageVisibilityBatchEntry,
    Client, CreateQueue, DeadLetterMessage, DeleteMessage, DeleteMessageBatch, GetQueueAttributes,
    GetQueueUrl, Message, MessageAttribute, ReceiveMessage, SendMessage, SendMessageBatch,
    SendMessageBatchEntry, SetQueueAttributes,
    actions::{
        move_tasks::{CancelMessageMoveTask, ListMessageMoveTasks, StartMessageMoveTask},
        own::{
            access::{
                CreateAccessKey, DeleteAccessKey, DeleteUser, DeleteUserPolicy, ListAccessKeys,
                ListUsers, PutUserPolicy, SimulatePolicy, UpdateAccessKey,
            },
            groups::{ListMessageGroups, PurgeMessageGroup, SkipMessageGroupHead},
            messages::{DeleteMessages, Filter, MoveMessages, PeekMessages},
            server::{
                AdvanceClock, Checkpoint, DeleteCheckpoint, GetServerInfo, ListCheckpoints,
                ListQueueStats, PauseQueue, Reset, ResumeQueue, RotateKeys,
            },
        },
        permissions::{AddPermission, RemovePermission},
        queues::{
            DeleteQueue, ListDeadLetterSourceQueues, ListQueueTags, ListQueues, PurgeQueue,
            TagQueue, UntagQueue,
        },
    },
};
use stanchion_tests::{Server, http};

use super::{client, queue};

/// The actions of SQS that the service has, and its own, each as its page lists them.
fn actions() -> Vec<&'static str> {
    let sqs = include_str!("../../../docs/sqs-compatibility.md");
    let sqs = sqs.split("\n## Actions\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let of_sqs = sqs
        .into_iter()
        .flat_map(str::lines)
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let own = include_str!("../../../docs/admin-actions.md");
    let of_ours = own.lines().filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`'));
    of_sqs.chain(of_ours).collect()
}

#[tokio::test]
async fn every_action_of_the_service_has_a_method_that_works() {
    let server = Server::start_signed(&["--virtual-clock"]);
    let sqs = client(&server);
    queues(&sqs).await;
    messages(&sqs).await;
    batches(&sqs).await;
    dead_letters(&sqs).await;
    chosen_messages(&sqs).await;
    groups(&sqs).await;
    access(&sqs).await;
    the_server(&sqs, &server).await;

    let actions = actions();
    assert_eq!(actions.len(), 23 + 26, "{actions:?}");
    let request = http::get(server.address(), "/metrics").await;
    let metrics = String::from_utf8_lossy(&request.body).into_owned();
    for action in actions {
        let done = |line: &str| {
            line.starts_with("stanchion_requests_total{")
                && line.contains(&format!("action=\"{action}\""))
                && line.contains("code=\"OK\"")
        };
        assert!(metrics.lines().any(done), "nobody called {action}");
    }
}

async fn queues(sqs: &Client) {
    let created = CreateQueue::new("orders").attribute("DelaySeconds", 0).tag("team", "shop");
    let url = sqs.create_queue(created).await.unwrap().queue_url;
    let found = sqs.get_queue_url(GetQueueUrl::new("orders")).await.unwrap();
    assert_eq!(found.queue_url, url);
    let listed = sqs.list_queues(ListQueues::default()).await.unwrap();
    assert_eq!((listed.queue_urls, listed.next_token), (vec![url.clone()], None));

    let attributes = [("VisibilityTimeout".into(), "7".into())].into();
    let set = SetQueueAttributes { queue_url: url.clone(), attributes };
    sqs.set_queue_attributes(set).await.unwrap();
    let all = sqs.get_queue_attributes(GetQueueAttributes::all(&url)).await.unwrap().attributes;
    assert_eq!(all["VisibilityTimeout"], "7");
    assert_eq!(all["QueueArn"], "arn:aws:sqs:us-east-1:000000000000:orders");

    let tags = [("stage".into(), "test".into())].into();
    sqs.tag_queue(TagQueue { queue_url: url.clone(), tags }).await.unwrap();
    let untag = UntagQueue { queue_url: url.clone(), tag_keys: vec!["team".into()] };
    sqs.untag_queue(untag).await.unwrap();
    let tags = sqs.list_queue_tags(ListQueueTags { queue_url: url.clone() }).await.unwrap().tags;
    assert_eq!(tags, BTreeMap::from([("stage".into(), "test".into())]));

    sqs.add_permission(AddPermission {
        queue_url: url.clone(),
        label: "others".into(),
        aws_account_ids: vec!["111122223333".into()],
        actions: vec!["SendMessage".into()],
    })
    .await
    .unwrap();
    let removed = RemovePermission { queue_url: url.clone(), label: "others".into() };
    sqs.remove_permission(removed).await.unwrap();

    sqs.send_message(SendMessage::new(&url, "purged")).await.unwrap();
    sqs.purge_queue(PurgeQueue { queue_url: url.clone() }).await.unwrap();
    assert!(receive(sqs, &url).await.is_empty());
    sqs.delete_queue(DeleteQueue { queue_url: url.clone() }).await.unwrap();
    let gone = sqs.get_queue_url(GetQueueUrl::new("orders")).await.unwrap_err();
    assert!(gone.is_queue_missing(), "{gone}");
}

async fn receive(sqs: &Client, url: &str) -> Vec<Message> {
    sqs.receive_message(ReceiveMessage::new(url).max(10)).await.unwrap().messages
}

async fn messages(sqs: &Client) {
    let url = queue(sqs, "letters").await;
    let send = SendMessage::new(&url, "née ☕ <&> \u{10348}")
        .attribute("kind", "order")
        .attribute("weight", MessageAttribute::number(1.5))
        .attribute("photo", MessageAttribute::binary([0, 255, 7]))
        .trace_header("Root=1-5759e988-bd862e3fe1be46a994272793")
        .delay(Duration::from_secs(5));
    let sent = sqs.send_message(send).await.unwrap();
    assert!(receive(sqs, &url).await.is_empty(), "it is delayed");
    sqs.advance_clock(AdvanceClock { seconds: 5 }).await.unwrap();

    let [message] = &receive(sqs, &url).await[..] else { panic!("one message") };
    assert_eq!(message.message_id, sent.message_id);
    assert_eq!(message.body, "née ☕ <&> \u{10348}");
    assert_eq!(
        (message.attribute("kind"), message.attribute("weight")),
        (Some("order"), Some("1.5"))
    );
    assert_eq!(message.message_attributes["photo"].binary_value.as_deref(), Some(&[0, 255, 7][..]));
    assert_eq!(message.receive_count(), 1);
    assert_eq!(message.trace_header(), Some("Root=1-5759e988-bd862e3fe1be46a994272793"));
    assert!(message.sent_at() < message.first_received_at());

    let change = ChangeMessageVisibility::new(&url, &message.receipt_handle, Duration::ZERO);
    sqs.change_message_visibility(change).await.unwrap();
    let [again] = &receive(sqs, &url).await[..] else { panic!("it is back") };
    assert_eq!(again.receive_count(), 2);
    sqs.delete_message(DeleteMessage::new(&url, &again.receipt_handle)).await.unwrap();
    sqs.advance_clock(AdvanceClock { seconds: 3600 }).await.unwrap();
    assert!(receive(sqs, &url).await.is_empty());

    let fifo = queue(sqs, "letters.fifo").await;
    let send = SendMessage::new(&fifo, "first").group("g").dedup_id("once");
    let (first, again) = (sqs.send_message(send.clone()).await, sqs.send_message(send).await);
    let (first, again) = (first.unwrap(), again.unwrap());
    assert_eq!(
        (&first.message_id, &first.sequence_number),
        (&again.message_id, &again.sequence_number)
    );
    let [message] = &receive(sqs, &fifo).await[..] else { panic!("one message") };
    assert_eq!((message.group(), message.dedup_id()), (Some("g"), Some("once")));
    assert_eq!(message.sequence_number(), first.sequence_number.as_deref());
}

async fn batches(sqs: &Client) {
    let url = queue(sqs, "batches").await;
    let entries = [
        SendMessageBatchEntry::new("a", "1").attribute("n", MessageAttribute::number(1)),
        SendMessageBatchEntry::new("b", ""),
        SendMessageBatchEntry::new("c", "3"),
    ];
    let sent = sqs.send_message_batch(SendMessageBatch::new(&url, entries)).await.unwrap();
    let ids: Vec<&str> = sent.successful.iter().map(|done| &*done.id).collect();
    assert_eq!(ids, ["a", "c"]);
    let [failed] = &sent.failed[..] else { panic!("an empty body is refused: {sent:?}") };
    assert_eq!((&*failed.id, failed.sender_fault), ("b", true));

    let received = receive(sqs, &url).await;
    assert_eq!(received.len(), 2);
    let entries = received.iter().map(|message| ChangeMessageVisibilityBatchEntry {
        id: message.body.clone(),
        receipt_handle: message.receipt_handle.clone(),
        visibility_timeout: 60,
    });
    let change =
        ChangeMessageVisibilityBatch { queue_url: url.clone(), entries: entries.collect() };
    let changed = sqs.change_message_visibility_batch(change).await.unwrap();
    assert_eq!((changed.successful.len(), changed.failed.len()), (2, 0));
    let handles = received.iter().map(|message| message.receipt_handle.as_str());
    let delete = DeleteMessageBatch::new(&url, handles.chain(["no handle"]));
    let deleted = sqs.delete_message_batch(delete).await.unwrap();
    assert_eq!(deleted.successful.len(), 2);
    let [failed] = &deleted.failed[..] else { panic!("one is no handle: {deleted:?}") };
    assert_eq!((&*failed.id, &*failed.code), ("2", "ReceiptHandleIsInvalid"));
}

async fn dead_letters(sqs: &Client) {
    let dead = queue(sqs, "dead").await;
    let arn = "arn:aws:sqs:us-east-1:000000000000:dead";
    let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": 1000}).to_string();
    let source = CreateQueue::new("alive").attribute("RedrivePolicy", policy);
    let source = sqs.create_queue(source).await.unwrap().queue_url;
    let list = ListDeadLetterSourceQueues { queue_url: dead.clone(), ..Default::default() };
    let sources = sqs.list_dead_letter_source_queues(list).await.unwrap().queue_urls;
    assert_eq!(sources, [&*source]);

    for body in ["1", "2", "3"] {
        sqs.send_message(SendMessage::new(&source, body)).await.unwrap();
    }
    for message in receive(sqs, &source).await {
        let letter = DeadLetterMessage::new(&source, &message.receipt_handle).reason("no address");
        assert_eq!(sqs.dead_letter_message(letter).await.unwrap().dead_letter_target_arn, arn);
    }
    let start = StartMessageMoveTask {
        source_arn: arn.into(),
        max_number_of_messages_per_second: Some(1),
        ..Default::default()
    };
    let task = sqs.start_message_move_task(start).await.unwrap().task_handle;
    let list = ListMessageMoveTasks { source_arn: arn.into(), max_results: Some(10) };
    let tasks = sqs.list_message_move_tasks(list).await.unwrap().results;
    assert_eq!((tasks.len(), &*tasks[0].status), (1, "RUNNING"));
    assert_eq!(tasks[0].task_handle.as_ref(), Some(&task));
    let cancelled = sqs.cancel_message_move_task(CancelMessageMoveTask { task_handle: task }).await;
    assert!(cancelled.unwrap().approximate_number_of_messages_moved <= 3);
}

async fn chosen_messages(sqs: &Client) {
    let (from, to) = (queue(sqs, "from").await, queue(sqs, "to").await);
    for body in ["keep", "move", "delete"] {
        sqs.send_message(SendMessage::new(&from, body)).await.unwrap();
    }
    let with = |text: &str| Filter { body_contains: Some(text.into()), ..Filter::default() };
    let moved = MoveMessages {
        queue_url: from.clone(),
        destination_queue_url: to.clone(),
        filter: with("move"),
        ..Default::default()
    };
    assert_eq!(sqs.move_messages(moved).await.unwrap().message_ids.len(), 1);
    let delete =
        DeleteMessages { queue_url: from.clone(), filter: with("delete"), ..Default::default() };
    assert_eq!(sqs.delete_messages(delete).await.unwrap().message_ids.len(), 1);
    let peeked = sqs.peek_messages(PeekMessages::new(&from)).await.unwrap().messages;
    let bodies: Vec<&str> = peeked.iter().map(|peeked| &*peeked.message.body).collect();
    assert_eq!(bodies, ["keep"]);
    assert_eq!(peeked[0].state, "Available");
}

async fn groups(sqs: &Client) {
    let url = queue(sqs, "groups.fifo").await;
    for body in ["1", "2", "3"] {
        let send = SendMessage::new(&url, body).group("g").dedup_id(body);
        sqs.send_message(send).await.unwrap();
    }
    let list = ListMessageGroups { queue_url: url.clone(), ..Default::default() };
    let groups = sqs.list_message_groups(list).await.unwrap().groups;
    assert_eq!((groups.len(), &*groups[0].message_group_id, groups[0].waiting), (1, "g", 3));
    let group = || (url.clone(), "g".to_owned());
    let (queue_url, message_group_id) = group();
    let skip = SkipMessageGroupHead { queue_url, message_group_id, message_id: None };
    let skipped = sqs.skip_message_group_head(skip).await.unwrap().message_id;
    assert_eq!(skipped, groups[0].head_message_id);
    let (queue_url, message_group_id) = group();
    let purge = PurgeMessageGroup { queue_url, message_group_id, next_token: None };
    assert_eq!(sqs.purge_message_group(purge).await.unwrap().deleted, 2);
}

async fn access(sqs: &Client) {
    let policy = json!({"Statement": {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}});
    let user_name = || "alice".to_owned();
    let create = CreateAccessKey { user_name: Some(user_name()), ..Default::default() };
    let key = sqs.create_access_key(create).await.unwrap();
    assert!(!format!("{key:?}").contains(&key.secret_access_key));
    sqs.put_user_policy(PutUserPolicy {
        user_name: user_name(),
        policy_name: "all".into(),
        policy: policy.to_string(),
        account_id: None,
    })
    .await
    .unwrap();
    let users = sqs.list_users(ListUsers::default()).await.unwrap().users;
    assert_eq!((users.len(), &*users[0].user_name), (1, "alice"));
    let url = queue(sqs, "simulated").await;
    let simulated = SimulatePolicy {
        queue_url: url,
        action: "SendMessage".into(),
        principal: Some(users[0].arn.clone()),
        ..Default::default()
    };
    assert_eq!(sqs.simulate_policy(simulated).await.unwrap().decision, "allowed");
    let access_key_id = || key.access_key_id.clone();
    let update = UpdateAccessKey { access_key_id: access_key_id(), status: "Inactive".into() };
    sqs.update_access_key(update).await.unwrap();
    let keys = sqs.list_access_keys(ListAccessKeys::default()).await.unwrap().access_keys;
    let statuses: Vec<_> = keys.iter().map(|key| (&*key.access_key_id, &*key.status)).collect();
    assert_eq!(statuses, [(&*key.access_key_id, "Inactive")]);
    sqs.delete_access_key(DeleteAccessKey { access_key_id: access_key_id() }).await.unwrap();
    let (policy_name, account_id) = ("all".into(), None);
    let delete = DeleteUserPolicy { user_name: user_name(), policy_name, account_id };
    sqs.delete_user_policy(delete).await.unwrap();
    sqs.delete_user(DeleteUser { user_name: user_name(), account_id: None }).await.unwrap();
}

async fn the_server(sqs: &Client, server: &Server) {
    let info = sqs.get_server_info(GetServerInfo::default()).await.unwrap();
    assert!(info.virtual_clock && info.healthy && info.accepts_sends, "{info:?}");
    let url = queue(sqs, "paused").await;
    let pause = PauseQueue { queue_url: url.clone(), operation: Some("Send".into()) };
    let paused = sqs.pause_queue(pause).await.unwrap();
    assert_eq!((paused.receive, paused.send), (false, true));
    let refused = sqs.send_message(SendMessage::new(&url, "no")).await.unwrap_err();
    assert_eq!((refused.code(), refused.is_retryable()), (Some("RequestThrottled"), true));
    let resume = ResumeQueue { queue_url: url.clone(), operation: None };
    assert!(!sqs.resume_queue(resume).await.unwrap().send);
    let stats = ListQueueStats { queue_name_prefix: Some("paused".into()), ..Default::default() };
    let stats = sqs.list_queue_stats(stats).await.unwrap().queues;
    assert_eq!((stats.len(), &*stats[0].queue_url), (1, &*url));

    let made = sqs.checkpoint(Checkpoint { name: Some("before".into()) }).await.unwrap();
    assert!(made.folder.starts_with(server.folder().path().to_str().unwrap()), "{made:?}");
    let listed = sqs.list_checkpoints(ListCheckpoints::default()).await.unwrap().checkpoints;
    assert_eq!(listed, [made]);
    sqs.delete_checkpoint(DeleteCheckpoint { name: "before".into() }).await.unwrap();
    sqs.rotate_keys(RotateKeys::default()).await.unwrap();
    sqs.reset(Reset::default()).await.unwrap();
    assert!(sqs.list_queues(ListQueues::default()).await.unwrap().queue_urls.is_empty());
}
