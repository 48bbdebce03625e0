//! Clients that know the server by another name or port than its own, as in containers and behind
//! proxies, get queue URLs that they can use.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, header::CONTENT_TYPE};
use stanchion_tests::{Server, http, sdk};
use tokio::net::{TcpListener, TcpStream};

/// The URL of the queue `q`, created by a request with these headers.
async fn url_of(server: &Server, headers: &[(&str, &str)]) -> String {
    let mut request = Request::post("/")
        .header(CONTENT_TYPE, "application/x-amz-json-1.0")
        .header("x-amz-target", "AmazonSQS.CreateQueue");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from_static(b"{\"QueueName\":\"q\"}"))).unwrap();
    let answer = http::send(server.address(), request).await;
    answer.json()["QueueUrl"].as_str().expect("the queue is created").to_owned()
}

/// The status and the text of what a GET is answered.
async fn get(address: SocketAddr, target: &str) -> (u16, String) {
    let answer = http::get(address, target).await;
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

/// Forwards connections to a port of its own, as a container's port mapping does.
async fn port_mapping(server: &Server) -> SocketAddr {
    let target = server.address();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut server = TcpStream::connect(target).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    address
}

#[tokio::test]
async fn urls_lead_back_through_a_port_mapping() {
    let server = Server::start();
    let mapped = port_mapping(&server).await;
    let endpoint = format!("http://localhost:{}", mapped.port());
    let sqs = sdk::client_at(&endpoint);
    let url = sdk::create(&sqs, "q", &[]).await;
    assert_eq!(url, format!("{endpoint}/000000000000/q"));
    let listed = sqs.list_queues().send().await.unwrap().queue_urls.unwrap();
    assert_eq!(listed, [&*url]);

    sdk::send(&sqs, &url, "through the mapping").await;
    // Clients of the Query protocol ask the URL itself.
    let path = url.strip_prefix(&endpoint).unwrap();
    let (status, text) = get(mapped, &format!("{path}?Action=ReceiveMessage")).await;
    assert_eq!(status, 200);
    assert!(text.contains("<Body>through the mapping</Body>"), "{text}");
    // Who is in the same container knows it by its own port; the queue is the same.
    sdk::send(&sdk::client(&server), &url, "directly").await;
    assert_eq!(sdk::bodies(&sdk::receive(&sqs, &url, 20).await), ["directly"]);
}

#[tokio::test]
async fn urls_start_with_what_the_client_called_the_server() {
    let server = Server::start();
    for host in ["sqs:9324", "host.docker.internal:4566", "queues.example", "[::1]:9324"] {
        assert_eq!(
            url_of(&server, &[("host", host)]).await,
            format!("http://{host}/000000000000/q")
        );
    }
    // What is no name of a host goes into no URL.
    for odd in ["", "a b", "you@example", "example/path", "\"><script>"] {
        let url = url_of(&server, &[("host", odd)]).await;
        assert_eq!(url, format!("{}/000000000000/q", server.url()), "{odd}");
    }
}

#[tokio::test]
async fn forwarded_headers_count_from_a_trusted_proxy_only() {
    let x: [(&[(&str, &str)], &str); 5] = [
        (
            &[("x-forwarded-host", "queues.example"), ("x-forwarded-proto", "https")],
            "https://queues.example",
        ),
        (&[("x-forwarded-proto", "https")], "https://inner:80"),
        (&[("x-forwarded-host", "queues.example:8080, inner")], "http://queues.example:8080"),
        (&[("x-forwarded-host", "a b")], "http://inner:80"),
        // What such a proxy does not write, a client may have written.
        (&[("forwarded", "host=evil.example;proto=https")], "http://inner:80"),
    ];
    let forwarded: [(&[(&str, &str)], &str); 3] = [
        (
            &[("forwarded", "for=10.0.0.9;host=\"queues.example:8443\";proto=https, for=10.0.0.1")],
            "https://queues.example:8443",
        ),
        (&[("forwarded", "nonsense")], "http://inner:80"),
        (&[("x-forwarded-host", "evil.example")], "http://inner:80"),
    ];
    for (trusted, args, cases) in [
        (true, &["--trust-proxy", "127.0.0.0/8"][..], &x[..]),
        (true, &["--trust-proxy", "127.0.0.0/8", "--proxy-headers", "forwarded"], &forwarded),
        (false, &["--trust-proxy", "10.0.0.0/8"], &x),
        (false, &[], &x),
    ] {
        let server = Server::start_with(args);
        for (headers, origin) in cases {
            let url = url_of(&server, &[&[("host", "inner:80")], *headers].concat()).await;
            let origin = if trusted { *origin } else { "http://inner:80" };
            assert_eq!(url, format!("{origin}/000000000000/q"), "{headers:?}");
        }
    }
}

#[tokio::test]
async fn a_public_url_is_what_every_url_starts_with() {
    for (given, public, path) in [
        ("https://queues.example", "https://queues.example", ""),
        ("http://queues.example:8080/", "http://queues.example:8080", ""),
        ("https://queues.example/sqs", "https://queues.example/sqs", "/sqs"),
        ("https://queues.example/our/sqs/", "https://queues.example/our/sqs", "/our/sqs"),
    ] {
        let server = Server::start_with(&["--public-url", given, "--trust-proxy", "127.0.0.1"]);
        let expected = format!("{public}/000000000000/q");
        let url = url_of(&server, &[("host", "inner"), ("x-forwarded-host", "outer")]).await;
        assert_eq!(url, expected);
        let sqs = sdk::client(&server);
        let found = sqs.get_queue_url().queue_name("q").send().await.unwrap();
        assert_eq!(found.queue_url(), Some(&*expected));
        sdk::send(&sqs, &url, "by its public name").await;

        // A proxy may take the public path off, or pass it on.
        for path in [path, ""] {
            let roots = [path.to_owned(), format!("{path}/")].into_iter();
            for root in roots.filter(|root| !root.is_empty()) {
                let (status, text) =
                    get(server.address(), &format!("{root}?Action=ListQueues")).await;
                assert_eq!(status, 200, "{root}: {text}");
                assert!(text.contains(&format!("<QueueUrl>{expected}</QueueUrl>")), "{text}");
            }
            let receive = "Action=ReceiveMessage&VisibilityTimeout=0";
            let target = format!("{path}/000000000000/q?{receive}");
            let (status, text) = get(server.address(), &target).await;
            assert_eq!(status, 200, "{target}: {text}");
            assert!(text.contains("<Body>by its public name</Body>"), "{text}");
        }
        let elsewhere = get(server.address(), "/elsewhere?Action=ListQueues").await;
        assert_eq!(elsewhere.0, 404, "{}", elsewhere.1);
        // An SDK whose endpoint is the public URL, behind a proxy that passes the path on.
        let behind = sdk::client_at(&format!("{}{path}", server.url()));
        let taken = sdk::receive_one(&behind, &url).await;
        sdk::delete(&behind, &url, &taken).await;
    }
}
