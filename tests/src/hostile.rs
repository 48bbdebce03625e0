//! Requests that are well-formed HTTP and hostile in everything else, in both protocols: made of the
//! names that the API knows and values that it should not be given.

use std::fmt::Write as _;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Uri,
    header::{HeaderName, HeaderValue},
};
use serde_json::{Map, Value, json};

/// The queues that requests mean when they mean one that exists.
pub const QUEUES: [&str; 3] = ["hostile", "hostile-dead", "hostile.fifo"];

const ACTIONS: [&str; 24] = [
    "AddPermission",
    "CancelMessageMoveTask",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
    "CreateQueue",
    "DeleteMessage",
    "DeleteMessageBatch",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "ListMessageMoveTasks",
    "ListQueueTags",
    "ListQueues",
    "PurgeQueue",
    "ReceiveMessage",
    "RemovePermission",
    "SendMessage",
    "SendMessageBatch",
    "SetQueueAttributes",
    "StartMessageMoveTask",
    "TagQueue",
    "UntagQueue",
    "sendmessage",
    "",
];

/// Actions of our own, without those that wait for the disk or concern every queue.
const OWN_ACTIONS: [&str; 19] = [
    "CreateAccessKey",
    "DeadLetterMessage",
    "DeleteAccessKey",
    "DeleteMessages",
    "DeleteUser",
    "DeleteUserPolicy",
    "GetServerInfo",
    "ListAccessKeys",
    "ListMessageGroups",
    "ListQueueStats",
    "ListUsers",
    "MoveMessages",
    "PeekMessages",
    "PurgeMessageGroup",
    "PutUserPolicy",
    "ResumeQueue",
    "SimulatePolicy",
    "SkipMessageGroupHead",
    "UpdateAccessKey",
];

const MEMBERS: [&str; 60] = [
    "AWSAccountIds",
    "AccessKeyId",
    "AccountId",
    "Action",
    "Actions",
    "Attribute",
    "AttributeNames",
    "Attributes",
    "BinaryValue",
    "BodyContains",
    "Context",
    "DataType",
    "DelaySeconds",
    "DestinationQueueUrl",
    "DryRun",
    "Entries",
    "Filter",
    "Id",
    "JsonEquals",
    "JsonPath",
    "Label",
    "MaxAgeSeconds",
    "MaxNumberOfMessages",
    "MaxReceiveCount",
    "MaxResults",
    "MessageAttributeNames",
    "MessageAttributes",
    "MessageBody",
    "MessageDeduplicationId",
    "MessageGroupId",
    "MessageId",
    "MessageIds",
    "MessageSystemAttributeNames",
    "MessageSystemAttributes",
    "Name",
    "NextToken",
    "Policies",
    "Policy",
    "PolicyName",
    "Principal",
    "QueueName",
    "QueueNamePrefix",
    "QueueOwnerAWSAccountId",
    "QueueUrl",
    "Reason",
    "ReceiptHandle",
    "ReceiveRequestAttemptId",
    "RedrivePolicy",
    "SessionPolicy",
    "SourceArn",
    "StartFrom",
    "States",
    "Status",
    "StringListValues",
    "StringValue",
    "TagKeys",
    "Tags",
    "UserName",
    "VisibilityTimeout",
    "WaitTimeSeconds",
];

/// No number between 1 and 20: as a wait, the service would rightly wait.
const TEXTS: [&str; 47] = [
    "",
    " ",
    "\0",
    "\u{b}\u{fffe}",
    "-1",
    "0",
    "1.5",
    "43200",
    "43201",
    "1e400",
    "99999999999999999999",
    "-9223372036854775808",
    "All",
    "*",
    "foo.*",
    "$",
    "$.a[0]['b'].*",
    "$[*][*][99999999999999999999]",
    "$..a['",
    "Now",
    "InFlight",
    "AAABAAAAAAEAAAEAAAAAAgAAAQAAAAAC",
    "true",
    "null",
    "String",
    "Number",
    "Binary",
    "Number.int",
    "aGVsbG8=",
    "a===",
    "AQEBAAAA",
    "AWSTraceHeader",
    "aws:reserved",
    "hostile",
    "hostile.fifo",
    "/000000000000/hostile",
    "http://[::1/000000000000/hostile",
    "arn:aws:sqs:us-east-1:000000000000:hostile-dead",
    "arn:aws:sqs:::",
    "111122223333",
    "SendMessage",
    "{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:hostile-dead\",\"maxReceiveCount\":\"2\"}",
    "{\"redrivePermission\":\"byQueue\",\"sourceQueueArns\":[{}]}",
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"sqs:*\"}]}",
    "{\"Statement\":{\"Statement\":[[[[{}]]]]}}",
    "né\u{301}e ☕ \u{202e}\u{10ffff}",
    "../../../etc/passwd",
];

const HEADERS: [&str; 12] = [
    "accept",
    "authorization",
    "content-encoding",
    "content-type",
    "forwarded",
    "host",
    "x-amz-date",
    "x-amz-target",
    "x-amzn-query-mode",
    "x-amzn-trace-id",
    "x-forwarded-for",
    "x-forwarded-host",
];

const HEADER_VALUES: [&[u8]; 14] = [
    b"",
    b"application/json",
    b"application/x-amz-json-1.0",
    b"application/x-www-form-urlencoded; charset=utf-7",
    b"AmazonSQS.",
    b"Stanchion.GetServerInfo",
    b"AWS4-HMAC-SHA256 Credential=////, SignedHeaders=, Signature=",
    b"AWS4-HMAC-SHA256 Credential=a/b/eu-west-1/sqs/aws4_request",
    b"AWS4-HMAC-SHA256 Credential=,Credential=/,=,,SignedHeaders=;;;,Signature",
    b"20260230T256199Z",
    b"Root=1-5e3d83c1-e6a0db58",
    b"for=\"[::1]\";host=\"\xff\xfe\";proto=gopher",
    b"gzip, chunked, \x80\x81",
    b"you@example/\"><b>",
];

const METHODS: [Method; 6] =
    [Method::PUT, Method::DELETE, Method::HEAD, Method::OPTIONS, Method::PATCH, Method::TRACE];

/// Numbers from a seed (SplitMix64).
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        // The remainder is below a usize.
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// A request of either protocol, or of none.
    pub fn request(&mut self) -> Request<Full<Bytes>> {
        let mut request = match self.below(5) {
            0 => self.own(),
            1 | 2 => self.sqs(),
            _ => {
                let action = self.pick(&ACTIONS);
                self.query(action)
            }
        };
        while self.one_in(6) {
            let name = HeaderName::from_static(self.pick(&HEADERS));
            let value = HeaderValue::from_bytes(self.pick(&HEADER_VALUES));
            request.headers_mut().insert(name, value.expect("no control characters"));
        }
        if self.one_in(50) {
            *request.method_mut() = self.pick(&METHODS);
        }
        request
    }

    fn sqs(&mut self) -> Request<Full<Bytes>> {
        let action = self.pick(&ACTIONS);
        let input = self.input();
        self.json(&format!("AmazonSQS.{action}"), input)
    }

    fn own(&mut self) -> Request<Full<Bytes>> {
        let action = self.pick(&OWN_ACTIONS);
        let mut input = self.input();
        if self.one_in(2) {
            let members = (0..self.below(3)).map(|_| (self.pick(&MEMBERS).into(), self.value(1)));
            input.insert("Filter".into(), Value::Object(members.collect()));
            input.insert("MessageGroupId".into(), "SendMessage".into());
            input.insert("DestinationQueueUrl".into(), self.pick(&QUEUES).into());
        }
        self.json(&format!("Stanchion.{action}"), input)
    }

    fn json(&mut self, target: &str, input: Map<String, Value>) -> Request<Full<Bytes>> {
        let mut body = Value::Object(input).to_string().into_bytes();
        if self.one_in(20) {
            let depth = self.pick(&[10, 127, 128, 100_000]);
            body = "[".repeat(depth).into_bytes();
        }
        self.damage(&mut body);
        Request::post("/")
            .header("host", "localhost")
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", target)
            .body(Full::new(body.into()))
            .expect("the parts are legal")
    }

    fn query(&mut self, action: &str) -> Request<Full<Bytes>> {
        let mut form = format!("Action={action}&Version=2012-11-05");
        let input = Value::Object(self.input());
        self.parameters("", &input, &mut form);
        let mut path = "/".to_owned();
        if self.one_in(3) {
            write!(path, "000000000000/{}", self.pick(&QUEUES)).expect("a string takes any text");
        }
        let mut body = Vec::new();
        if self.one_in(3) {
            path.push('?');
            path.push_str(&form);
        } else {
            body = form.into_bytes();
            self.damage(&mut body);
        }
        let method = if body.is_empty() { Method::GET } else { Method::POST };
        // A target has a length that the client minds.
        let target = Uri::try_from(path).unwrap_or_else(|_| Uri::from_static("/?Action"));
        Request::builder()
            .method(method)
            .uri(target)
            .header("host", "localhost")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::new(body.into()))
            .expect("the parts are legal")
    }

    /// Members that may belong to the action, with values that may belong to them; most of the time
    /// for a queue that exists.
    fn input(&mut self) -> Map<String, Value> {
        let mut input = Map::new();
        if !self.one_in(5) {
            let url = format!("http://localhost/000000000000/{}", self.pick(&QUEUES));
            input.insert("QueueUrl".into(), url.into());
        }
        if self.one_in(2) {
            input.insert("MessageBody".into(), self.text().into());
            input.insert("QueueName".into(), self.pick(&QUEUES).into());
        }
        for _ in 0..self.below(6) {
            let value = self.value(3);
            input.insert(self.pick(&MEMBERS).into(), value);
        }
        input
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 4 } else { 7 }) {
            0 => json!(self.pick(&[-1, 0, 21, 900, 43_201, i64::MIN, i64::MAX])),
            1 => self.pick(&[Value::Null, json!(true), json!(0.5), json!(1e300), json!({})]),
            2 | 3 => self.text().into(),
            4 => (0..self.below(12)).map(|_| self.value(depth - 1)).collect(),
            5 => json!([{"Id": "a", "MessageBody": self.text(), "ReceiptHandle": self.text()}]),
            _ => {
                let members = (0..self.below(4)).map(|_| {
                    let name =
                        if self.one_in(3) { self.text() } else { self.pick(&MEMBERS).into() };
                    (name, self.value(depth - 1))
                });
                Value::Object(members.collect())
            }
        }
    }

    fn text(&mut self) -> String {
        let text = self.pick(&TEXTS);
        match self.below(40) {
            0 => text.repeat(2_000),
            1 => "x".repeat(70_000),
            2 => format!("{text}{}", self.pick(&TEXTS)),
            _ => text.into(),
        }
    }

    /// A value as parameters, each list and map by the index of its elements.
    fn parameters(&mut self, name: &str, value: &Value, form: &mut String) {
        match value {
            Value::Array(items) => {
                let name = name.trim_end_matches('s');
                for (at, item) in items.iter().enumerate() {
                    let index = if self.one_in(20) { 4_294_967_296 } else { at + 1 };
                    self.parameters(&format!("{name}.{index}"), item, form);
                }
            }
            Value::Object(members) => {
                for (member, value) in members {
                    let dot = if name.is_empty() { "" } else { "." };
                    let member = self.pick(&[
                        member.clone(),
                        member.clone(),
                        "Attribute".into(),
                        "SendMessageBatchRequestEntry".into(),
                    ]);
                    self.parameters(&format!("{name}{dot}{member}"), value, form);
                }
            }
            value => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                write!(form, "&{}={}", escape(name), escape(&text))
                    .expect("a string takes any text");
            }
        }
    }

    /// Now and then breaks bytes, cuts them short or doubles them.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() || !self.one_in(8) {
            return;
        }
        let at = self.below(bytes.len());
        match self.below(4) {
            0 => bytes.truncate(at),
            1 => bytes.extend_from_within(at..),
            2 => bytes[at] = self.pick(b"\0%&=\"{}[]\\\xff"),
            _ => bytes[at] ^= 1 << self.below(8),
        }
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_".contains(&byte) {
            escaped.push(byte.into());
        } else {
            write!(escaped, "%{byte:02X}").expect("a string takes any text");
        }
    }
    escaped
}
