//! The client against a server that is not ours: moto's, which the Python world tests SQS with.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::json;
use stanchion_sdk::{
    ChangeMessageVisibility, Client, CreateQueue, DeleteMessage, DeleteMessageBatch,
    GetQueueAttributes, GetQueueUrl, Message, MessageAttribute, ReceiveMessage, SendMessage,
    SendMessageBatch, SendMessageBatchEntry, SetQueueAttributes,
    actions::queues::{DeleteQueue, ListQueues},
};
use stanchion_tests::install;

/// moto's server; dropped, it is killed.
struct Moto {
    child: Child,
    url: String,
}

impl Moto {
    /// `None`, said aloud, when this machine has no Python.
    fn start() -> Option<Moto> {
        let python = install::python("requirements-moto.txt")?;
        let mut child = Command::new(python.join("bin/moto_server"))
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("moto's server can be run");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut lines = stderr.lines().map_while(Result::ok);
        let url = lines.find_map(|line| Some(line.split_once("Running on ")?.1.trim().to_owned()));
        // What it says of every request must go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Moto { child, url: url.expect("it says where it is") })
    }

    fn client(&self) -> Client {
        let builder = Client::builder().endpoint(&self.url).credentials("any", "any");
        builder.timeout(Duration::from_secs(60)).build().expect("the endpoint is one")
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // Either may fail when it has ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn receive(sqs: &Client, url: &str) -> Vec<Message> {
    sqs.receive_message(ReceiveMessage::new(url).max(10)).await.unwrap().messages
}

#[tokio::test]
async fn what_works_with_our_server_works_with_motos() {
    let Some(moto) = Moto::start() else { return };
    let sqs = moto.client();
    messages(&sqs).await;
    batches(&sqs).await;
    fifo(&sqs).await;
    redrive(&sqs).await;
}

async fn messages(sqs: &Client) {
    let create = CreateQueue::new("orders").attribute("VisibilityTimeout", 40).tag("team", "shop");
    let url = sqs.create_queue(create).await.unwrap().queue_url;
    assert_eq!(sqs.get_queue_url(GetQueueUrl::new("orders")).await.unwrap().queue_url, url);
    assert_eq!(sqs.list_queues(ListQueues::default()).await.unwrap().queue_urls, [&*url]);
    let attributes = [("DelaySeconds".into(), "0".into())].into();
    let set = SetQueueAttributes { queue_url: url.clone(), attributes };
    sqs.set_queue_attributes(set).await.unwrap();
    let all = sqs.get_queue_attributes(GetQueueAttributes::all(&url)).await.unwrap().attributes;
    assert_eq!(all["VisibilityTimeout"], "40");

    let send = SendMessage::new(&url, "née ☕")
        .attribute("kind", "order")
        .attribute("weight", MessageAttribute::number(1.5))
        .attribute("photo", MessageAttribute::binary([0, 255, 7]));
    let sent = sqs.send_message(send).await.unwrap();
    let [message] = &receive(sqs, &url).await[..] else { panic!("one message") };
    assert_eq!((&message.message_id, &*message.body), (&sent.message_id, "née ☕"));
    assert_eq!(message.attribute("weight"), Some("1.5"));
    assert_eq!(message.message_attributes["photo"].binary_value.as_deref(), Some(&[0, 255, 7][..]));
    assert_eq!(message.receive_count(), 1);
    let back = ChangeMessageVisibility::new(&url, &message.receipt_handle, Duration::ZERO);
    sqs.change_message_visibility(back).await.unwrap();
    let [again] = &receive(sqs, &url).await[..] else { panic!("it is back") };
    assert_eq!(again.receive_count(), 2);
    sqs.delete_message(DeleteMessage::new(&url, &again.receipt_handle)).await.unwrap();

    sqs.delete_queue(DeleteQueue { queue_url: url.clone() }).await.unwrap();
    let gone = sqs.send_message(SendMessage::new(&url, "late")).await.unwrap_err();
    assert!(gone.is_queue_missing(), "{gone}");
}

async fn batches(sqs: &Client) {
    let url = sqs.create_queue(CreateQueue::new("batches")).await.unwrap().queue_url;
    let entry = |number: u32| {
        let entry = SendMessageBatchEntry::new(format!("m{number}"), number.to_string());
        entry.attribute("number", MessageAttribute::number(number))
    };
    let entries: Vec<_> = (0..10).map(entry).collect();
    let sent = sqs.send_message_batch(SendMessageBatch::new(&url, entries)).await.unwrap();
    assert_eq!((sent.successful.len(), sent.failed.len()), (10, 0));
    let received = receive(sqs, &url).await;
    let handles = received.iter().map(|message| &*message.receipt_handle);
    let deleted = sqs.delete_message_batch(DeleteMessageBatch::new(&url, handles)).await.unwrap();
    assert_eq!((received.len(), deleted.successful.len()), (10, 10));
}

async fn fifo(sqs: &Client) {
    let url = sqs.create_queue(CreateQueue::new("steps.fifo")).await.unwrap().queue_url;
    for (group, body) in [("a", "1"), ("b", "2"), ("a", "3"), ("a", "3")] {
        let send = SendMessage::new(&url, body).group(group).dedup_id(format!("{group}{body}"));
        assert!(sqs.send_message(send).await.unwrap().sequence_number.is_some());
    }
    let received = receive(sqs, &url).await;
    let seen: Vec<_> =
        received.iter().map(|message| (message.group().unwrap(), &*message.body)).collect();
    let of_a: Vec<_> = seen.iter().filter(|(group, _)| *group == "a").collect();
    assert_eq!(of_a, [&("a", "1"), &("a", "3")]);
    assert!(received.iter().all(|message| message.sequence_number().is_some()));
}

async fn redrive(sqs: &Client) {
    let dead = sqs.create_queue(CreateQueue::new("dead")).await.unwrap().queue_url;
    let all = sqs.get_queue_attributes(GetQueueAttributes::all(&dead)).await.unwrap().attributes;
    let policy = json!({"deadLetterTargetArn": all["QueueArn"], "maxReceiveCount": 1}).to_string();
    let create = CreateQueue::new("alive").attribute("RedrivePolicy", policy);
    let url = sqs.create_queue(create).await.unwrap().queue_url;
    sqs.send_message(SendMessage::new(&url, "poison")).await.unwrap();
    for _ in 0..2 {
        let hidden = ReceiveMessage::new(&url).visibility(Duration::ZERO);
        sqs.receive_message(hidden).await.unwrap();
    }
    assert_eq!(receive(sqs, &dead).await[0].body, "poison");
}
