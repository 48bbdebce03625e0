//! What goes wrong between a client and a server, and what the client makes of it.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use stanchion_sdk::{
    Client, DeleteMessageBatch, Error, GetQueueUrl, ReceiveMessage, RetryPolicy, SendMessage,
    SendMessageBatch, SendMessageBatchEntry,
    actions::{own::access::CreateAccessKey, queues::ListQueues},
};
use stanchion_tests::{
    Server, http,
    relay::Relay,
    sdk::{ROOT_KEY, ROOT_SECRET},
    tls::Certificates,
};
use tokio::{net::TcpListener, sync::watch};

use super::{client, client_at, queue};

/// Patient, and in no time.
const AT_ONCE: RetryPolicy = RetryPolicy { attempts: 3, base: Duration::ZERO, cap: Duration::ZERO };

/// As often as it takes for a server to start again.
const STUBBORN: RetryPolicy = RetryPolicy {
    attempts: 10_000,
    base: Duration::from_millis(20),
    cap: Duration::from_millis(20),
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_while_the_server_is_killed_and_started_again_arrives() {
    const MESSAGES: usize = 300;
    let mut server = Server::start_signed(&[]);
    let relay = Relay::start(server.address()).await;
    let sqs = client_at(&relay.url(), STUBBORN);
    let url = queue(&sqs, "q").await;

    let (sent, mut progress) = watch::channel(0);
    let (sender, to) = (sqs.clone(), url.clone());
    let sending = tokio::spawn(async move {
        for number in 0..MESSAGES {
            let send = SendMessage::new(&to, number.to_string());
            sender.send_message(send).await.expect("it is sent in the end");
            sent.send_replace(number);
        }
    });
    for after in [50, 150] {
        progress.wait_for(|sent| after <= *sent).await.expect("it goes on");
        server.kill();
        server.start_again();
        relay.point_to(server.address());
    }
    sending.await.expect("every send succeeds");

    let mut seen = BTreeSet::new();
    while seen.len() < MESSAGES {
        let receive = ReceiveMessage::new(&url).max(10).wait(Duration::from_secs(20));
        let messages = sqs.receive_message(receive).await.unwrap().messages;
        assert!(!messages.is_empty(), "{} of {MESSAGES} arrived", seen.len());
        let handles = messages.iter().map(|message| &*message.receipt_handle);
        let deleted = sqs.delete_message_batch(DeleteMessageBatch::new(&url, handles)).await;
        assert!(deleted.unwrap().failed.is_empty());
        // What was sent twice, because its answer was lost, is there twice.
        seen.extend(messages.into_iter().map(|message| message.body));
    }
}

#[tokio::test]
async fn a_fifo_message_whose_answer_was_lost_is_there_once() {
    let server = Server::start_signed(&[]);
    let sqs = client(&server);
    let url = queue(&sqs, "q.fifo").await;
    let target = server.address();
    let lossy = Stub::start(move |count, request| async move {
        let answer = http::send(target, request.map(Full::new)).await;
        match count {
            0 | 1 => Reply::Nothing,
            _ => Reply::Answer(answer.status, answer.body),
        }
    })
    .await;
    let send = SendMessage::new(&url, "once").group("g").dedup_id("d");
    let sent = client_at(&lossy.url(), AT_ONCE).send_message(send).await.unwrap();
    assert_eq!(lossy.asked(), 3);
    let received = sqs.receive_message(ReceiveMessage::new(&url).max(10)).await.unwrap();
    let ids: Vec<_> = received.messages.into_iter().map(|message| message.message_id).collect();
    assert_eq!(ids, [sent.message_id]);
}

#[tokio::test]
async fn an_error_has_the_request_id_of_the_servers_log() {
    let server = Server::start_signed(&[]);
    let missing = client(&server).get_queue_url(GetQueueUrl::new("nowhere")).await.unwrap_err();
    assert!(missing.is_queue_missing() && !missing.is_retryable() && !missing.is_denied());
    let Error::Service(refusal) = &missing else { panic!("{missing:?}") };
    assert_eq!((refusal.status, refusal.action), (400, "GetQueueUrl"));
    let id = missing.request_id().expect("the server gives one");
    assert!(id.len() == 36 && missing.to_string().contains(id), "{missing}");

    let endpoint = Client::builder().endpoint(server.url()).retry(RetryPolicy::never());
    let wrong = endpoint.credentials(ROOT_KEY, "another secret").build().unwrap();
    let denied = wrong.list_queues(ListQueues::default()).await.unwrap_err();
    assert!(denied.is_denied() && denied.request_id().is_some(), "{denied}");
}

#[tokio::test]
async fn over_http_2_all_requests_share_a_connection() {
    let server = Server::start_signed(&[]);
    let builder = Client::builder().endpoint(server.url()).credentials(ROOT_KEY, ROOT_SECRET);
    let sqs = builder.http2(true).build().unwrap();
    let url = queue(&sqs, "q").await;
    let send = |number: u32| {
        let (sqs, send) = (sqs.clone(), SendMessage::new(&url, number.to_string()));
        tokio::spawn(async move { sqs.send_message(send).await })
    };
    let sends: Vec<_> = (0..50).map(send).collect();
    for sent in sends {
        sent.await.unwrap().unwrap();
    }
    // That one, and the one that asks.
    let metrics = http::get(server.address(), "/metrics").await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(metrics.contains("\nstanchion_connections 2\n"), "{metrics}");
}

#[tokio::test]
async fn over_tls_a_server_is_believed_whose_authority_is() {
    let certificates = Certificates::new();
    let arguments = certificates.arguments();
    let server = Server::start_signed(&arguments.each_ref().map(String::as_str));
    assert!(server.url().starts_with("https://"));
    let builder = || {
        let builder = Client::builder().endpoint(server.url()).retry(RetryPolicy::never());
        builder.credentials(ROOT_KEY, ROOT_SECRET)
    };
    for http2 in [false, true] {
        let trusting = builder().http2(http2).certificate_authority(certificates.authority_pem());
        let url = queue(&trusting.build().unwrap(), "q").await;
        assert!(url.starts_with("https://"), "{url}");
    }
    let stranger = Certificates::new();
    let wary = builder().certificate_authority(stranger.authority_pem()).build().unwrap();
    let refused = wary.list_queues(ListQueues::default()).await.unwrap_err();
    assert!(matches!(refused, Error::Connection { arrived: false, .. }), "{refused:?}");
}

#[tokio::test]
async fn an_answer_that_is_not_about_what_was_sent_is_found_out() {
    const WRONG: &str = "00000000000000000000000000000000";
    let lie = |body: String| Stub::start(move |_, _| std::future::ready(Reply::answer(200, &body)));
    let once = |stub: &Stub| client_at(&stub.url(), RetryPolicy::never());

    let stub = lie(format!(r#"{{"MessageId":"m","MD5OfMessageBody":"{WRONG}"}}"#)).await;
    let sent = once(&stub).send_message(SendMessage::new("q", "a")).await.unwrap_err();
    assert!(matches!(&sent, Error::Corrupt { action: "SendMessage", .. }), "{sent:?}");
    assert_eq!(sent.request_id(), Some(Stub::REQUEST_ID));

    let body_is_right = "0cc175b9c0f1b6a831c399e269772661";
    let stub = lie(format!(
        r#"{{"Successful":[{{"Id":"1","MessageId":"m","MD5OfMessageBody":"{body_is_right}",
            "MD5OfMessageAttributes":"{WRONG}"}}]}}"#
    ))
    .await;
    let entry = SendMessageBatchEntry::new("1", "a").attribute("kind", "order");
    let batch = SendMessageBatch::new("q", [entry]);
    let sent = once(&stub).send_message_batch(batch).await.unwrap_err();
    assert!(matches!(sent, Error::Corrupt { .. }), "{sent:?}");

    for (body, digest) in [("a", WRONG), ("b", body_is_right)] {
        let stub = lie(format!(
            r#"{{"Messages":[{{"MessageId":"m","ReceiptHandle":"h","Body":"{body}","MD5OfBody":"{digest}"}}]}}"#
        ))
        .await;
        let received = once(&stub).receive_message(ReceiveMessage::new("q")).await.unwrap_err();
        assert!(matches!(received, Error::Corrupt { .. }), "{received:?}");
    }
    let stub = lie("<html>all is well</html>".into()).await;
    let listed = once(&stub).list_queues(ListQueues::default()).await.unwrap_err();
    assert!(matches!(listed, Error::Corrupt { .. }), "{listed:?}");
}

#[tokio::test]
async fn what_may_go_better_is_tried_again_and_nothing_else() {
    const THROTTLED: &str = r#"{"__type":"com.amazonaws.sqs#RequestThrottled","message":"slow"}"#;
    const INVALID: &str = r#"{"__type":"com.amazonaws.sqs#InvalidAddress","message":"no"}"#;
    let after = |failures: usize, status: u16, body: &'static str| {
        Stub::start(move |count, _| {
            std::future::ready(match count < failures {
                true => Reply::answer(status, body),
                false => Reply::answer(200, r#"{"QueueUrls":[]}"#),
            })
        })
    };
    let list = async |stub: &Stub| {
        client_at(&stub.url(), AT_ONCE).list_queues(ListQueues::default()).await
    };
    for (status, body) in
        [(403, THROTTLED), (408, ""), (500, "{}"), (503, "<html></html>"), (429, "")]
    {
        let stub = after(2, status, body).await;
        assert!(list(&stub).await.is_ok() && stub.asked() == 3, "{status} {body}");
    }
    let stub = after(3, 403, THROTTLED).await;
    assert_eq!(list(&stub).await.unwrap_err().code(), Some("RequestThrottled"));
    assert_eq!(stub.asked(), 3);
    let stub = after(1, 404, INVALID).await;
    assert_eq!(list(&stub).await.unwrap_err().code(), Some("InvalidAddress"));
    assert_eq!(stub.asked(), 1);

    // What would be done twice is not asked twice, unless it was not done.
    for (status, attempts) in [(408, 1), (500, 1), (503, 3)] {
        let stub = after(usize::MAX, status, "{}").await;
        let create = CreateAccessKey::default();
        let made = client_at(&stub.url(), AT_ONCE).create_access_key(create).await;
        assert!(made.is_err() && stub.asked() == attempts, "{status}");
    }
}

#[tokio::test]
async fn whoever_never_answers_is_not_waited_for() {
    let stub = Stub::start(|_, _| std::future::pending()).await;
    let builder = Client::builder().endpoint(stub.url()).unsigned().retry(AT_ONCE);
    let sqs = builder.timeout(Duration::from_millis(20)).build().unwrap();
    let late = sqs.list_queues(ListQueues::default()).await.unwrap_err();
    assert!(matches!(late, Error::Timeout { action: "ListQueues", .. }), "{late:?}");
    assert_eq!(stub.asked(), 3);
    drop(stub);

    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let sqs = client_at(&format!("http://{address}"), AT_ONCE);
    let none = sqs.list_queues(ListQueues::default()).await.unwrap_err();
    assert!(matches!(none, Error::Connection { arrived: false, .. }), "{none:?}");
    assert!(none.is_retryable());
}

#[tokio::test]
async fn a_silent_connection_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connected = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connected);
    // Takes everything and says nothing, as a server does whose machine is gone.
    let silent = tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.push(stream);
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    let builder = Client::builder().endpoint(url).unsigned().http2(true);
    let sqs = builder.timeout(Duration::from_millis(50)).retry(RetryPolicy::never()).build();
    let sqs = sqs.unwrap();
    let again = async {
        while connected.load(Ordering::Relaxed) < 2 {
            assert!(sqs.list_queues(ListQueues::default()).await.is_err());
        }
    };
    // Only a failing test waits so long.
    tokio::time::timeout(Duration::from_secs(60), again).await.expect("another connection");
    silent.abort();
}

#[tokio::test]
async fn signatures_follow_the_servers_clock() {
    let stub = Stub::start(|_, request: Request<Bytes>| {
        let date = request.headers()["x-amz-date"].to_str().unwrap_or_default().to_owned();
        std::future::ready(match date.starts_with("20400101T00") {
            true => Reply::answer(200, "{}"),
            false => Reply::TooOld,
        })
    })
    .await;
    let sqs = client_at(&stub.url(), RetryPolicy::never());
    for asked in [2, 3] {
        sqs.list_queues(ListQueues::default()).await.unwrap();
        assert_eq!(stub.asked(), asked, "the first one learns it, for all");
    }
    // A signature that is wrong for other reasons is not tried again.
    let denied = r#"{"__type":"com.amazon.coral.service#InvalidSignatureException"}"#;
    let stub = Stub::start(move |_, _| std::future::ready(Reply::answer(403, denied))).await;
    let wrong = client_at(&stub.url(), AT_ONCE).list_queues(ListQueues::default()).await;
    assert!(wrong.unwrap_err().is_denied() && stub.asked() == 1);
}

#[tokio::test]
async fn each_receive_from_a_fifo_queue_is_one_of_its_own() {
    let server = Server::start_signed(&[]);
    let sqs = client(&server);
    let url = queue(&sqs, "q.fifo").await;
    for body in ["1", "2"] {
        let send = SendMessage::new(&url, body).group(body).dedup_id(body);
        sqs.send_message(send).await.unwrap();
    }
    // One request, used again and again.
    let receive = ReceiveMessage::new(&url);
    let mut bodies = Vec::new();
    for _ in 0..3 {
        let received = sqs.receive_message(receive.clone()).await.unwrap().messages;
        bodies.extend(received.into_iter().map(|message| message.body));
    }
    assert_eq!(bodies, ["1", "2"]);
}

/// A server that answers as it is told.
struct Stub {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

/// What a [`Stub`] does with a request.
enum Reply {
    Answer(u16, Bytes),
    /// It refuses a signature, at the first hour of 2040.
    TooOld,
    /// It hangs up.
    Nothing,
}

impl Reply {
    fn answer(status: u16, body: &str) -> Reply {
        Reply::Answer(status, Bytes::copy_from_slice(body.as_bytes()))
    }
}

impl Stub {
    const REQUEST_ID: &str = "7c1e4a86-0000-4000-8000-000000000000";
    const TOO_OLD: &str = r#"{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"Signature expired"}"#;

    /// One that is told by a function of how many requests came before, and of the request.
    async fn start<F>(answer: impl Fn(usize, Request<Bytes>) -> F + Send + Sync + 'static) -> Stub
    where
        F: Future<Output = Reply> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let (asked, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
        let counter = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, counter) = (Arc::clone(&answer), Arc::clone(&counter));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (answer, counter) = (Arc::clone(&answer), Arc::clone(&counter));
                    async move {
                        let count = counter.fetch_add(1, Ordering::Relaxed);
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.map_err(|_| "half a request")?;
                        let request = Request::from_parts(head, body.to_bytes());
                        let response = Response::builder();
                        let (response, status, body) = match answer(count, request).await {
                            Reply::Answer(status, body) => (response, status, body),
                            Reply::TooOld => {
                                let date = "Sun, 01 Jan 2040 00:30:00 GMT";
                                (response.header("date", date), 403, Stub::TOO_OLD.into())
                            }
                            Reply::Nothing => return Err("it hangs up"),
                        };
                        let response = response
                            .status(status)
                            .header("x-amzn-requestid", Stub::REQUEST_ID)
                            .body(Full::new(body));
                        Ok(response.expect("a status is one"))
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Stub { address, asked, task }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests came.
    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}
