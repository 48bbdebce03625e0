//! SIGTERM: running requests are finished, parked polls are answered, nothing is lost.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use stanchion_tests::{Server, process::PATIENCE, sdk};

/// A long poll the server has certainly begun to serve: it has asked for the body.
fn park(address: SocketAddr, url: &str) -> TcpStream {
    let body = format!("{{\"QueueUrl\":\"{url}\",\"WaitTimeSeconds\":20}}");
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-amz-json-1.0\r\n\
         X-Amz-Target: AmazonSQS.ReceiveMessage\r\nExpect: 100-continue\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut go_on = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut go_on).unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100"), "{go_on:?}");
    stream.write_all(body.as_bytes()).unwrap();
    stream
}

#[tokio::test]
async fn parked_polls_are_answered_empty() {
    let mut server = Server::start();
    let url = sdk::create(&sdk::client(&server), "q", &[]).await;
    let polls: Vec<TcpStream> = (0..20).map(|_| park(server.address(), &url)).collect();

    let asked = Instant::now();
    let status = server.terminate();
    assert!(status.success(), "{status}");
    assert!(asked.elapsed() < Duration::from_secs(15), "it did not wait for the polls to end");
    for mut poll in polls {
        let mut answer = String::new();
        poll.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n{}"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_loses_nothing() {
    const CLIENTS: u64 = 16;
    let mut server = Server::start();
    let sqs = sdk::client(&server);
    let url = sdk::create(&sqs, "q", &[]).await;
    let (began, mut sends) = tokio::sync::mpsc::channel(1);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (sqs, url, began) = (sqs.clone(), url.clone(), began.clone());
            tokio::spawn(async move {
                let mut sent = 0;
                while sqs.send_message().queue_url(&url).message_body("m").send().await.is_ok() {
                    sent += 1;
                    // Only the first few are waited for.
                    let _ = began.try_send(());
                }
                sent
            })
        })
        .collect();
    for _ in 0..100 {
        sends.recv().await.expect("the clients send");
    }
    assert!(server.terminate().success());
    let mut sent: u64 = 0;
    for client in clients {
        sent += client.await.unwrap();
    }

    server.start_again();
    let [available, in_flight, delayed] = sdk::counters(&sdk::client(&server), &url).await;
    assert_eq!((in_flight, delayed), (0, 0));
    assert!(sent <= available, "{sent} acknowledged, {available} there");
    assert!(available <= sent + CLIENTS, "each client had at most one request without an answer");
}

#[tokio::test]
async fn everything_is_there_after_a_stop_and_after_a_crash() {
    let mut server = Server::start();
    let sqs = sdk::client(&server);
    let url = sdk::create(&sqs, "q", &[("VisibilityTimeout", "43200")]).await;
    for body in ["in flight", "available"] {
        sdk::send(&sqs, &url, body).await;
    }
    let receive = sqs.receive_message().queue_url(&url).send().await.unwrap();
    assert_eq!(sdk::bodies(receive.messages()), ["in flight"]);
    let delayed = sqs.send_message().queue_url(&url).message_body("delayed").delay_seconds(900);
    delayed.send().await.unwrap();

    for crash in [false, true] {
        match crash {
            true => server.kill(),
            false => assert!(server.terminate().success()),
        }
        server.start_again();
        let sqs = sdk::client(&server);
        assert_eq!(sdk::counters(&sqs, &url).await, [1, 1, 1], "crash: {crash}");
        assert_eq!(sdk::attribute(&sqs, &url, "VisibilityTimeout").await, "43200");
    }
    let sqs = sdk::client(&server);
    sdk::delete(&sqs, &url, &receive.messages()[0]).await;
    assert_eq!(sdk::counters(&sqs, &url).await, [1, 0, 1], "the handle outlives the restarts");
}

#[tokio::test]
async fn without_syncs_what_was_answered_survives_the_end_of_the_process() {
    let mut server = Server::start_with(&["--durability", "os"]);
    let sqs = sdk::client(&server);
    let url = sdk::create(&sqs, "q", &[]).await;
    for body in ["deleted", "kept"] {
        sdk::send(&sqs, &url, body).await;
    }
    let receive = sqs.receive_message().queue_url(&url).send().await.unwrap();
    assert_eq!(sdk::bodies(receive.messages()), ["deleted"]);
    sdk::delete(&sqs, &url, &receive.messages()[0]).await;

    server.kill();
    server.start_again();
    let sqs = sdk::client(&server);
    assert_eq!(sdk::counters(&sqs, &url).await, [1, 0, 0]);
    assert_eq!(sdk::body(&sdk::receive_one(&sqs, &url).await), "kept");
}

#[tokio::test]
async fn a_hangup_ends_nothing_where_there_is_nothing_to_read_again() {
    let server = Server::start();
    let sqs = sdk::client(&server);
    let url = sdk::create(&sqs, "q", &[]).await;
    server.hang_up();
    assert!(server.says("there is nothing to read again"));
    sdk::send(&sqs, &url, "m").await;
}
