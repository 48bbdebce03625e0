//! SQS requests as an AWS SDK puts them on the wire (AWS JSON 1.0), and what is read from replies.
//!
//! Two speeds: [`Client`] is for setting up and asking, through `serde_json`; [`SendTemplate`],
//! [`receive`], [`receipt_handles`] and [`DeleteBatch`] are for the measured loops and copy bytes.

use std::io::{self, Write};
use std::net::SocketAddr;

use memchr::{memchr, memmem};
use serde_json::{Value, json};

use crate::http::Connection;

/// Bytes of every message body sent by the generator.
pub const BODY_BYTES: usize = 1024;

/// Entries of a full batch, and messages of a full receive.
pub const BATCH: usize = 10;

/// The head up to the value of `content-length`. Everything an SDK sends is there, so the server
/// parses what it will parse in life. The signature has the right form and no meaning: until
/// authentication exists nobody looks at it.
const HEAD: &str = "POST / HTTP/1.1\r\n\
    content-type: application/x-amz-json-1.0\r\n\
    x-amz-target: {target}\r\n\
    host: {host}\r\n\
    user-agent: aws-sdk-rust/1.3.9 os/linux lang/rust/1.88.0\r\n\
    x-amz-user-agent: aws-sdk-rust/1.3.9 ua/2.1 api/sqs/1.86.0 os/linux lang/rust/1.88.0 m/E,b\r\n\
    amz-sdk-invocation-id: 6f2f7b2e-6f0b-4d8f-9a43-0a5d6c1f2b11\r\n\
    amz-sdk-request: attempt=1; max=3\r\n\
    x-amz-date: 20261120T120000Z\r\n\
    authorization: AWS4-HMAC-SHA256 \
    Credential=AKIDEXAMPLE/20261120/us-east-1/sqs/aws4_request, \
    SignedHeaders=content-length;content-type;host;x-amz-date;x-amz-target;x-amz-user-agent, \
    Signature=cdb1f927665967d249d6bba7dc7da685204199bfae905b28647f9ca848211f68\r\n\
    content-length: ";

/// The complete bytes of one request.
pub fn request(address: SocketAddr, action: &str, body: &str) -> Vec<u8> {
    let mut bytes = head(address, action);
    finish(&mut bytes, body.as_bytes());
    bytes
}

/// An action of SQS by its name, or one of ours as `Stanchion.<Action>`.
fn head(address: SocketAddr, action: &str) -> Vec<u8> {
    let service = if action.contains('.') { "" } else { "AmazonSQS." };
    let target = format!("{service}{action}");
    HEAD.replace("{target}", &target).replace("{host}", &address.to_string()).into_bytes()
}

fn finish(bytes: &mut Vec<u8>, body: &[u8]) {
    let _ = write!(bytes, "{}\r\n\r\n", body.len()); // Writing to a Vec cannot fail.
    bytes.extend_from_slice(body);
}

/// Bodies that do not compress and do not repeat: slices of one random text, at moving offsets.
#[derive(Debug)]
pub struct Bodies {
    text: Vec<u8>,
    random: Random,
}

impl Bodies {
    /// Different seeds give different sequences.
    pub fn new(seed: u64) -> Bodies {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut random = Random::new(seed);
        let text = (0..64 * BODY_BYTES).map(|_| ALPHABET[(random.bits() % 64) as usize]).collect();
        Bodies { text, random }
    }

    /// The next body.
    pub fn body(&mut self) -> &[u8; BODY_BYTES] {
        let offsets = (self.text.len() - BODY_BYTES) as u64;
        let from = (self.random.bits() % offsets) as usize;
        self.text[from..].first_chunk().expect("an offset leaves room for a body")
    }
}

/// SplitMix64: enough for bodies and for the moment of a kill, and reproducible from its seed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// One seed, one sequence.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A send that is built once and gets new bodies (and FIFO ids) before each use.
#[derive(Debug)]
pub struct SendTemplate {
    bytes: Vec<u8>,
    bodies: Vec<usize>,
    ids: Vec<usize>,
}

/// Digits of the ids in a FIFO template: group and deduplication id have the same width.
const ID_DIGITS: usize = 12;

impl SendTemplate {
    /// SendMessage with one body.
    pub fn single(address: SocketAddr, queue_url: &str) -> SendTemplate {
        let body = json!({ "QueueUrl": queue_url, "MessageBody": hole() });
        SendTemplate::new(address, "SendMessage", &body)
    }

    /// SendMessageBatch with ten bodies, each delayed when `delay_s` is given.
    pub fn batch(address: SocketAddr, queue_url: &str, delay_s: Option<u32>) -> SendTemplate {
        let entries = (0..BATCH).map(|id| {
            let mut entry = json!({ "Id": id.to_string(), "MessageBody": hole() });
            if let Some(delay_s) = delay_s {
                entry["DelaySeconds"] = delay_s.into();
            }
            entry
        });
        let body = json!({ "QueueUrl": queue_url, "Entries": Value::from_iter(entries) });
        SendTemplate::new(address, "SendMessageBatch", &body)
    }

    /// SendMessageBatch with ten bodies for a FIFO queue.
    pub fn fifo_batch(address: SocketAddr, queue_url: &str) -> SendTemplate {
        let id = "~".repeat(ID_DIGITS);
        let entries = (0..BATCH).map(|entry| {
            json!({
                "Id": entry.to_string(), "MessageBody": hole(),
                "MessageDeduplicationId": &id, "MessageGroupId": &id,
            })
        });
        let body = json!({ "QueueUrl": queue_url, "Entries": Value::from_iter(entries) });
        SendTemplate::new(address, "SendMessageBatch", &body)
    }

    fn new(address: SocketAddr, action: &str, body: &Value) -> SendTemplate {
        let bytes = request(address, action, &body.to_string());
        let find = |text: &str| memmem::find_iter(&bytes, text).collect();
        let (bodies, ids) = (find(&hole()), find(&"~".repeat(ID_DIGITS)));
        SendTemplate { bytes, bodies, ids }
    }

    /// Messages per request.
    pub fn messages(&self) -> u64 {
        self.bodies.len() as u64
    }

    /// The bytes to send, with fresh bodies.
    pub fn next(&mut self, bodies: &mut Bodies) -> &[u8] {
        for &at in &self.bodies {
            self.bytes[at..at + BODY_BYTES].copy_from_slice(bodies.body());
        }
        &self.bytes
    }

    /// The bytes to send, with fresh bodies, for the FIFO messages `from ..`: message `n` has
    /// deduplication id `n` and group `n % groups`.
    pub fn next_fifo(&mut self, bodies: &mut Bodies, from: u64, groups: u64) -> &[u8] {
        // Each entry has its deduplication id before its group.
        for (entry, pair) in self.ids.chunks_exact(2).enumerate() {
            let number = from + entry as u64;
            for (&at, id) in pair.iter().zip([number, number % groups]) {
                let digits = format!("{id:0ID_DIGITS$}");
                self.bytes[at..at + ID_DIGITS].copy_from_slice(digits.as_bytes());
            }
        }
        self.next(bodies)
    }
}

/// What a template holds where a body goes.
fn hole() -> String {
    "#".repeat(BODY_BYTES)
}

/// How one ReceiveMessage asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Receive {
    /// `MaxNumberOfMessages`, 1 to 10.
    pub messages_max: usize,
    /// `WaitTimeSeconds`, 0 to 20.
    pub wait_s: u32,
    /// `VisibilityTimeout`; the queue's when `None`.
    pub visibility_s: Option<u32>,
}

/// The bytes of a ReceiveMessage.
pub fn receive(address: SocketAddr, queue_url: &str, ask: Receive) -> Vec<u8> {
    request(address, "ReceiveMessage", &receive_body(queue_url, ask).to_string())
}

fn receive_body(queue_url: &str, ask: Receive) -> Value {
    let mut body = json!({
        "QueueUrl": queue_url,
        "MaxNumberOfMessages": ask.messages_max.max(1),
        "WaitTimeSeconds": ask.wait_s,
    });
    if let Some(visibility_s) = ask.visibility_s {
        body["VisibilityTimeout"] = visibility_s.into();
    }
    body
}

/// The receipt handles in a ReceiveMessage reply, as they stand in the JSON text.
pub fn receipt_handles(reply: &[u8]) -> impl Iterator<Item = &[u8]> {
    const BEFORE: &[u8] = br#""ReceiptHandle":""#;
    memmem::find_iter(reply, BEFORE).filter_map(move |at| {
        let handle = &reply[at + BEFORE.len()..];
        memchr(b'"', handle).map(|end| &handle[..end])
    })
}

/// Whether a batch reply says that an entry failed.
pub fn has_failed_entries(reply: &[u8]) -> bool {
    memmem::find(reply, br#""Failed":[{"#).is_some()
}

/// Builds deletes of what was just received, reusing its buffers.
#[derive(Debug)]
pub struct DeleteBatch {
    head: Vec<u8>,
    opening: Vec<u8>,
    /// What stands before the handle of each entry.
    before: Vec<Vec<u8>>,
    body: Vec<u8>,
    bytes: Vec<u8>,
}

impl DeleteBatch {
    /// Deletes from one queue.
    pub fn new(address: SocketAddr, queue_url: &str) -> DeleteBatch {
        let opening = format!(r#"{{"QueueUrl":"{queue_url}","Entries":["#).into_bytes();
        let head = head(address, "DeleteMessageBatch");
        let before = |entry| {
            let comma = if entry == 0 { "" } else { "," };
            format!(r#"{comma}{{"Id":"{entry}","ReceiptHandle":""#).into_bytes()
        };
        let before = (0..BATCH).map(before).collect();
        DeleteBatch { head, opening, before, body: Vec::new(), bytes: Vec::new() }
    }

    /// The DeleteMessageBatch for every message in a ReceiveMessage reply, and how many these are;
    /// `None` when there are none.
    pub fn of(&mut self, reply: &[u8]) -> Option<(&[u8], u64)> {
        self.body.clear();
        self.body.extend_from_slice(&self.opening);
        let mut entries = 0;
        for (before, handle) in self.before.iter().zip(receipt_handles(reply)) {
            self.body.extend_from_slice(before);
            self.body.extend_from_slice(handle);
            self.body.extend_from_slice(br#""}"#);
            entries += 1;
        }
        self.body.extend_from_slice(b"]}");
        self.bytes.clear();
        self.bytes.extend_from_slice(&self.head);
        finish(&mut self.bytes, &self.body);
        (entries != 0).then_some((self.bytes.as_slice(), entries))
    }
}

/// The three `Approximate…` counters of a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// `ApproximateNumberOfMessages`.
    pub available: u64,
    /// `ApproximateNumberOfMessagesNotVisible`.
    pub in_flight: u64,
    /// `ApproximateNumberOfMessagesDelayed`.
    pub delayed: u64,
}

/// A client for setting up and asking. One connection, one request at a time.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    connection: Connection,
}

impl Client {
    /// Connects.
    pub async fn open(address: SocketAddr) -> io::Result<Client> {
        Ok(Client { address, connection: Connection::open(address).await? })
    }

    /// Where the server is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Calls an action; a status other than 200 is an error that quotes the reply.
    pub async fn call(&mut self, action: &str, input: &Value) -> io::Result<Value> {
        let bytes = request(self.address, action, &input.to_string());
        let response = self.connection.call(&bytes).await?;
        if response.status != 200 {
            return Err(refusal(action, response.status, response.body));
        }
        if response.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(response.body).map_err(io::Error::other)
    }

    /// CreateQueue; returns the queue URL.
    pub async fn create_queue(&mut self, name: &str, attributes: Value) -> io::Result<String> {
        let input = json!({ "QueueName": name, "Attributes": attributes });
        let reply = self.call("CreateQueue", &input).await?;
        reply["QueueUrl"].as_str().map(str::to_owned).ok_or_else(|| unreadable("CreateQueue"))
    }

    /// DeleteQueue.
    pub async fn delete_queue(&mut self, queue_url: &str) -> io::Result<()> {
        self.call("DeleteQueue", &json!({ "QueueUrl": queue_url })).await.map(drop)
    }

    /// One attribute of a queue, as text.
    pub async fn attribute(&mut self, queue_url: &str, name: &str) -> io::Result<String> {
        let input = json!({ "QueueUrl": queue_url, "AttributeNames": [name] });
        let reply = self.call("GetQueueAttributes", &input).await?;
        reply["Attributes"][name].as_str().map(str::to_owned).ok_or_else(|| unreadable(name))
    }

    /// The `Approximate…` counters.
    pub async fn counters(&mut self, queue_url: &str) -> io::Result<Counters> {
        let input = json!({ "QueueUrl": queue_url, "AttributeNames": [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ] });
        let reply = self.call("GetQueueAttributes", &input).await?;
        let count = |name: &str| {
            let text = reply["Attributes"][name].as_str().unwrap_or_default();
            text.parse().map_err(|_| unreadable(name))
        };
        Ok(Counters {
            available: count("ApproximateNumberOfMessages")?,
            in_flight: count("ApproximateNumberOfMessagesNotVisible")?,
            delayed: count("ApproximateNumberOfMessagesDelayed")?,
        })
    }

    /// ReceiveMessage, with the receive count of every message; returns the `Messages`.
    pub async fn receive(&mut self, queue_url: &str, ask: Receive) -> io::Result<Vec<Value>> {
        let mut input = receive_body(queue_url, ask);
        input["MessageSystemAttributeNames"] = json!(["ApproximateReceiveCount"]);
        let mut reply = self.call("ReceiveMessage", &input).await?;
        match reply["Messages"].take() {
            Value::Null => Ok(Vec::new()),
            Value::Array(messages) => Ok(messages),
            _ => Err(unreadable("ReceiveMessage")),
        }
    }
}

/// The error for a reply that is not 200. The reply is cut to a line.
pub fn refusal(action: &str, status: u16, body: &[u8]) -> io::Error {
    let text = String::from_utf8_lossy(&body[..body.len().min(300)]);
    io::Error::other(format!("{action} was answered {status}: {text}"))
}

fn unreadable(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what}: the reply is not understood"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE_URL: &str = "http://127.0.0.1:9324/000000000000/q";

    fn address() -> SocketAddr {
        ([127, 0, 0, 1], 9324).into()
    }

    fn json_body(bytes: &[u8]) -> Value {
        let at = memmem::find(bytes, b"\r\n\r\n").unwrap() + 4;
        let head = std::str::from_utf8(&bytes[..at]).unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", bytes.len() - at)), "{head}");
        serde_json::from_slice(&bytes[at..]).unwrap()
    }

    #[test]
    fn a_template_sends_new_bodies_in_one_shape() {
        let mut bodies = Bodies::new(1);
        let mut template = SendTemplate::batch(address(), QUEUE_URL, Some(7));
        let first = json_body(template.next(&mut bodies));
        let second = json_body(template.next(&mut bodies));
        assert_eq!(first["Entries"].as_array().unwrap().len(), BATCH);
        for (one, other) in (0..BATCH).map(|at| (&first["Entries"][at], &second["Entries"][at])) {
            assert_eq!(one["MessageBody"].as_str().unwrap().len(), BODY_BYTES);
            assert_ne!(one["MessageBody"], other["MessageBody"]);
            assert_eq!(one["DelaySeconds"], 7);
        }
    }

    #[test]
    fn a_fifo_template_numbers_its_messages() {
        let mut template = SendTemplate::fifo_batch(address(), QUEUE_URL);
        let body = json_body(template.next_fifo(&mut Bodies::new(1), 1_230, 100));
        assert_eq!(body["Entries"][4]["MessageDeduplicationId"], "000000001234");
        assert_eq!(body["Entries"][4]["MessageGroupId"], "000000000034");
    }

    #[test]
    fn a_delete_takes_the_handles_of_a_receive() {
        let reply = br#"{"Messages":[{"ReceiptHandle":"a+/=","Body":"x"},{"ReceiptHandle":"b"}]}"#;
        let mut delete = DeleteBatch::new(address(), QUEUE_URL);
        let (bytes, entries) = delete.of(reply).unwrap();
        assert_eq!(entries, 2);
        let expected = json!({ "QueueUrl": QUEUE_URL, "Entries": [
            { "Id": "0", "ReceiptHandle": "a+/=" }, { "Id": "1", "ReceiptHandle": "b" },
        ] });
        assert_eq!(json_body(bytes), expected);
        assert!(delete.of(b"{}").is_none());
    }
}
