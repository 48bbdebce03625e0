//! What nobody gets too much of: connections, time, bytes and requests. Each limit is run into with
//! a socket and nothing between, and each shows in a metric.

use std::{
    fmt::Write as _,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use stanchion_tests::{Server, http, process::PATIENCE, sdk};

const RECEIVE: &str = "POST / HTTP/1.1\r\n\
     Host: localhost\r\n\
     Content-Type: application/x-amz-json-1.0\r\n";

/// A connection on which the server has answered: it has a place.
struct Held(BufReader<TcpStream>);

impl Held {
    /// `None` when the server closes it.
    fn open(address: SocketAddr) -> Option<Held> {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut held = Held(BufReader::new(stream));
        held.get("/health").ok().map(|_| held)
    }

    /// The same, as soon as there is a place: others that were let go may still have theirs.
    fn open_at_last(address: SocketAddr) -> Held {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(held) = Held::open(address) {
                return held;
            }
            assert!(Instant::now() < deadline, "there is no place");
        }
    }

    /// The body of an answer.
    fn get(&mut self, path: &str) -> io::Result<String> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes())?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(String::from_utf8(body).unwrap())
    }

    fn metric(&mut self, name: &str) -> u64 {
        metric(&self.get("/metrics").unwrap(), name)
    }
}

fn metric(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
}

/// A metric of a server with room for one more connection, and perhaps little patience.
fn metric_of(server: &Server, name: &str) -> u64 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        match http::exchange(server.address(), request) {
            Ok(answer) if answer.ends_with("# EOF\n") => return metric(&answer, name),
            _ => assert!(Instant::now() < deadline, "no metrics"),
        }
    }
}

/// Writes bytes and reads until the server closes the connection, which may well be by a reset.
fn until_closed(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = Vec::new();
    let ended = stream.write_all(bytes).and_then(|()| stream.read_to_end(&mut answer));
    if let Err(error) = ended {
        assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "the server closes the connection");
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn connections_beyond_the_last_place_are_closed_at_once() {
    let server = Server::start_with(&["--max-connections", "3"]);
    let mut held: Vec<_> = (0..3).map(|_| Held::open_at_last(server.address())).collect();
    let before = held[0].metric("stanchion_connections_refused_total");
    assert!(Held::open(server.address()).is_none());
    assert_eq!(held[0].metric("stanchion_connections"), 3);
    assert_eq!(held[1].metric("stanchion_connections_refused_total"), before + 1);
    held.pop();
    held.push(Held::open_at_last(server.address()));
}

#[tokio::test]
async fn one_address_does_not_get_every_place() {
    let server = Server::start_with(&["--max-connections-per-address", "2"]);
    let mut held: Vec<_> = (0..2).map(|_| Held::open_at_last(server.address())).collect();
    let name = "stanchion_connections_refused_of_address_total";
    let before = held[0].metric(name);
    assert!(Held::open(server.address()).is_none());
    assert_eq!(held[1].metric(name), before + 1);

    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let other = socket.connect(server.address()).await.unwrap();
    let request = hyper::Request::get("/health").header("host", "localhost");
    let request = request.body(http_body_util::Full::default()).unwrap();
    assert_eq!(http::send_over(other, request).await.status, 200);
}

#[test]
fn a_proxy_may_have_more_connections_than_a_client() {
    let server =
        Server::start_with(&["--max-connections-per-address", "1", "--trust-proxy", "127.0.0.1"]);
    let _held: Vec<_> = (0..3).map(|_| Held::open(server.address()).unwrap()).collect();
}

#[test]
fn a_connection_on_which_nothing_is_asked_is_closed() {
    let server = Server::start_with(&["--max-idle-seconds", "1"]);
    let http2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    let beginnings = ["", "P", "PRI * HT", "POST / HTTP/1.1\r\nHost: loc", http2];
    let address = server.address();
    let silent =
        beginnings.map(|bytes| std::thread::spawn(move || until_closed(address, bytes.as_bytes())));
    let mut served = Held::open_at_last(address);
    assert_eq!(served.0.read(&mut [0]).unwrap(), 0, "the connection is closed");
    for closed in silent {
        closed.join().unwrap();
    }
    let closed = metric_of(&server, "stanchion_connections_idle_total");
    assert!(closed > beginnings.len() as u64, "{closed}");
}

/// The answers to a creation of a queue and to a long poll of it, on one connection.
fn create_and_poll(server: &Server, wait_s: u32) -> String {
    let create = "{\"QueueName\":\"q\"}";
    let receive = format!("{{\"QueueUrl\":\"q\",\"WaitTimeSeconds\":{wait_s}}}");
    let mut both = String::new();
    for (action, body) in [("CreateQueue", create), ("ReceiveMessage", &receive)] {
        let length = body.len();
        let close = if action == "ReceiveMessage" { "Connection: close\r\n" } else { "" };
        let head = format!("{RECEIVE}X-Amz-Target: AmazonSQS.{action}\r\n{close}");
        write!(both, "{head}Content-Length: {length}\r\n\r\n{body}").unwrap();
    }
    until_closed(server.address(), both.as_bytes())
}

#[test]
fn a_long_poll_is_not_idle() {
    let server = Server::start_with(&["--max-idle-seconds", "1"]);
    let answers = create_and_poll(&server, 4);
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
}

#[test]
fn a_client_that_takes_no_answers_is_let_go() {
    let server = Server::start_with(&["--max-idle-seconds", "1"]);
    let mut greedy = TcpStream::connect(server.address()).unwrap();
    greedy.set_write_timeout(Some(PATIENCE)).unwrap();
    let requests = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    // Answers fill what is between us, then the server reads no further, then nothing moves.
    let ended = loop {
        if let Err(error) = greedy.write_all(requests.as_bytes()) {
            break error.kind();
        }
    };
    assert_ne!(ended, io::ErrorKind::WouldBlock, "the server closes the connection");
    assert!(metric_of(&server, "stanchion_connections_idle_total") >= 1);
}

#[test]
fn a_body_comes_in_time_or_not_at_all() {
    let server = Server::start_with(&["--max-body-seconds", "1"]);
    for length in ["Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"] {
        let request = format!("{RECEIVE}X-Amz-Target: AmazonSQS.ReceiveMessage\r\n{length}");
        let answer = until_closed(server.address(), request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(answer.contains("RequestTimeout"), "{answer}");
    }
    let late = "action=\"unknown\",code=\"RequestTimeout\",protocol=\"json\"";
    assert_eq!(metric_of(&server, &format!("stanchion_requests_total{{{late}}}")), 2);
    assert_eq!(metric_of(&server, "stanchion_bodies_late_total"), 2);
    // A body that nobody wants is read to its end, and no longer.
    let put = "PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{";
    let answer = until_closed(server.address(), put.as_bytes());
    assert!(answer.contains("connection: close"), "{answer}");
}

/// Writes a head, then a body byte by byte with pauses, until the server has answered and closed.
fn dribble(address: SocketAddr, head: &str, body: &[u8], pause: Duration) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut answers = stream.try_clone().unwrap();
    let reader = std::thread::spawn(move || {
        let mut answer = Vec::new();
        // A reset comes after the answer.
        let _ = answers.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    });
    for byte in body {
        if reader.is_finished() || stream.write_all(&[*byte]).is_err() {
            break;
        }
        std::thread::sleep(pause);
    }
    reader.join().unwrap()
}

#[test]
fn a_body_comes_as_fast_as_it_must_or_not_at_all() {
    let limits = ["--body-grace-seconds", "1", "--min-body-bytes-per-second", "500"];
    let server = Server::start_with(&limits);
    let head = format!("{RECEIVE}X-Amz-Target: AmazonSQS.CreateQueue\r\nConnection: close\r\n");
    // Something comes all the time, and never enough.
    let long = format!("{head}Content-Length: 1000000\r\n\r\n");
    let answer = dribble(server.address(), &long, &[b' '; 20_000], Duration::from_millis(20));
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("The request was not received in time."), "{answer}");
    assert_eq!(metric_of(&server, "stanchion_bodies_slow_total"), 1);
    assert_eq!(metric_of(&server, "stanchion_bodies_late_total"), 0);
}

#[test]
fn a_body_may_take_longer_than_its_grace_if_it_comes_fast_enough() {
    let limits = ["--body-grace-seconds", "1", "--min-body-bytes-per-second", "1"];
    let server = Server::start_with(&limits);
    let body = b"{\"QueueName\":\"slow\"}";
    // What comes with the headers buys more time than the rest takes on any machine.
    let blanks = " ".repeat(50);
    let head = format!(
        "{RECEIVE}X-Amz-Target: AmazonSQS.CreateQueue\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{blanks}",
        blanks.len() + body.len()
    );
    let answer = dribble(server.address(), &head, body, Duration::from_millis(100));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(metric_of(&server, "stanchion_bodies_slow_total"), 0);
}

#[test]
fn a_request_takes_its_time_and_no_longer() {
    let server = Server::start_with(&["--max-request-seconds", "2", "--durability", "memory"]);
    let head = "X-Amz-Target: AmazonSQS.ReceiveMessage\r\nContent-Length: 100\r\n\r\n{";
    let answer = until_closed(server.address(), format!("{RECEIVE}{head}").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(metric_of(&server, "stanchion_requests_late_total"), 1);
    assert_eq!(metric_of(&server, "stanchion_bodies_late_total"), 0);
    // A long poll waits because it is asked to.
    let answers = create_and_poll(&server, 4);
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
    assert_eq!(metric_of(&server, "stanchion_requests_late_total"), 1);
}

#[test]
fn a_body_is_not_longer_than_any_may_be() {
    let server = Server::start();
    for length in ["Content-Length: 999999999999\r\n\r\n", "Content-Length: 16777217\r\n\r\n"] {
        let request = format!("{RECEIVE}X-Amz-Target: AmazonSQS.SendMessage\r\n{length}");
        let answer = until_closed(server.address(), request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    }
    let large = "action=\"unknown\",code=\"RequestEntityTooLarge\",protocol=\"json\"";
    assert_eq!(metric_of(&server, &format!("stanchion_requests_total{{{large}}}")), 2);
}

#[test]
fn headers_are_not_longer_than_any_need_be() {
    let server = Server::start();
    let request = format!("GET / HTTP/1.1\r\nX-Large: {}\r\n\r\n", "x".repeat(1_000_000));
    until_closed(server.address(), request.as_bytes());
    assert_eq!(metric_of(&server, "stanchion_headers_too_large_total"), 1);
}

/// Requests for the attributes of queues.
fn ask(queues: &[&str]) -> String {
    let mut requests = String::new();
    for queue in queues {
        let body = format!("{{\"QueueUrl\":\"http://localhost/000000000000/{queue}\"}}");
        let length = body.len();
        let head = "X-Amz-Target: AmazonSQS.GetQueueAttributes\r\n";
        write!(requests, "{RECEIVE}{head}Content-Length: {length}\r\n\r\n{body}").unwrap();
    }
    let last = requests.rfind("Content-Length").unwrap();
    requests.insert_str(last, "Connection: close\r\n");
    requests
}

/// How many of the answers are success, and how many say that there were too many.
fn counts(answers: &str) -> (usize, usize) {
    let throttled = answers.matches("HTTP/1.1 403").count();
    assert_eq!(answers.matches("com.amazonaws.sqs#RequestThrottled").count(), throttled);
    assert_eq!(answers.matches("x-amzn-query-error: RequestThrottled;Sender").count(), throttled);
    (answers.matches("HTTP/1.1 200").count(), throttled)
}

#[tokio::test]
async fn a_queue_may_be_named_so_often() {
    let limits = ["--requests-per-second-per-queue", "1", "--request-burst-per-queue", "3"];
    let server = Server::start_with(&limits);
    for name in ["a", "b"] {
        http::call(server.address(), "CreateQueue", format!("{{\"QueueName\":\"{name}\"}}")).await;
    }
    let answers = until_closed(server.address(), ask(&["a"; 100]).as_bytes());
    let (served, throttled) = counts(&answers);
    assert!(served >= 3 && throttled > 0 && served + throttled == 100, "{served}, {throttled}");
    let refused = metric_of(&server, "stanchion_requests_throttled_by_queue_total");
    assert_eq!(refused, throttled as u64);
    // Others have as much as ever.
    let answers = until_closed(server.address(), ask(&["b"; 3]).as_bytes());
    assert_eq!(counts(&answers), (3, 0));
}

#[tokio::test]
async fn a_key_may_ask_so_often() {
    let limits = ["--requests-per-second-per-key", "1", "--request-burst-per-key", "3"];
    let server = Server::start_signed(&limits);
    let sqs = sdk::client(&server);
    let mut served = 0;
    let refused = loop {
        assert!(served < 100, "nobody is throttled");
        let listed = sqs.list_queues().send().await;
        if listed.is_err() {
            break sdk::failure(listed);
        }
        served += 1;
    };
    assert!(served >= 3, "{served}");
    assert_eq!((refused.status, &*refused.code), (403, "RequestThrottled"), "{refused:?}");
    assert_eq!(metric_of(&server, "stanchion_requests_throttled_by_key_total"), 1);
    // Who signs nothing is somebody else, and refused for that.
    let list = "GET /?Action=ListQueues HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = until_closed(server.address(), list.as_bytes());
    assert!(answer.contains("<Code>AccessDenied</Code>"), "{answer}");
}
