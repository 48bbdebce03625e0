//! Who may do what, where requests are authenticated.

use std::{fs, io::Write, net::TcpStream, os::unix::fs::PermissionsExt};

use aws_sdk_sqs::Client;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};
use stanchion_tests::{
    Server,
    http::{self, Answer},
    sdk::{ROOT_KEY, ROOT_SECRET, arn, attributes, client, create, failure, receive},
};
use tempfile::TempDir;

/// A server that wants signatures, and the folder of its audit log.
fn start(args: &[&str]) -> (Server, TempDir) {
    let folder = TempDir::new().expect("a scratch folder can be made");
    let audit = folder.path().join("audit.log");
    let own = [&["--audit-log", audit.to_str().unwrap()], args].concat();
    (Server::start_signed(&own), folder)
}

/// An action by nobody in particular.
async fn unsigned(server: &Server, target: &str, input: Value) -> Answer {
    let request = Request::post("/")
        .header("host", server.address().to_string())
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", target)
        .body(Full::new(Bytes::from(input.to_string())))
        .unwrap();
    http::send(server.address(), request).await
}

async fn set_policy(sqs: &Client, url: &str, statement: Value) {
    let policy = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    let attributes = attributes(&[("Policy", &policy)]);
    let set = sqs.set_queue_attributes().queue_url(url).set_attributes(Some(attributes));
    set.send().await.unwrap();
}

#[tokio::test]
async fn nobody_in_particular_may_do_what_a_queues_policy_gives_to_everybody() {
    let (server, _folder) = start(&[]);
    let sqs = client(&server);
    let url = create(&sqs, "open", &[]).await;
    let send = || json!({"QueueUrl": url, "MessageBody": "hello"});
    let denied = format!("Access to the resource {url} is denied.");

    let refused = unsigned(&server, "AmazonSQS.SendMessage", send()).await;
    assert_eq!((refused.status, &*refused.error_type()), (403, "AccessDeniedException"));
    assert_eq!(refused.header("x-amzn-query-error"), "AccessDenied;Sender");
    assert_eq!(refused.message(), denied);

    let arn = arn(&sqs, &url).await;
    let statement = json!({"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage",
        "Resource": arn, "Condition": {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}});
    set_policy(&sqs, &url, statement).await;
    assert_eq!(unsigned(&server, "AmazonSQS.SendMessage", send()).await.status, 200);
    let received = receive(&sqs, &url, 0).await;
    assert_eq!(received[0].body(), Some("hello"));
    let system = received[0].attributes().unwrap();
    assert_eq!(system[&"SenderId".into()], "anonymous");

    // Nothing else, and nothing of other queues, whether they are there or not; in Query as well.
    let refused = unsigned(&server, "AmazonSQS.ReceiveMessage", send()).await;
    assert_eq!((refused.status, refused.message()), (403, denied));
    let missing = json!({"QueueUrl": format!("{url}-missing"), "MessageBody": "x"});
    let refused = unsigned(&server, "AmazonSQS.SendMessage", missing).await;
    assert_eq!((refused.status, &*refused.error_type()), (403, "AccessDeniedException"));
    let refused = unsigned(&server, "Stanchion.PeekMessages", send()).await;
    assert_eq!(refused.header("x-amzn-query-error"), "MissingAuthenticationToken;Sender");
    let path = "/000000000000/open?Action=ReceiveMessage&Version=2012-11-05";
    let refused = http::get(server.address(), path).await;
    let text = String::from_utf8(refused.body.to_vec()).unwrap();
    assert_eq!(refused.status, 403, "{text}");
    assert!(text.contains("<Code>AccessDenied</Code>"), "{text}");
    assert!(text.contains("Access to the resource http://"), "{text}");
}

#[tokio::test]
async fn a_denial_holds_for_the_owner_too() {
    let (server, _folder) = start(&[]);
    let sqs = client(&server);
    let url = create(&sqs, "shut", &[]).await;
    let arn = arn(&sqs, &url).await;
    let statement = json!({"Sid": "tls", "Effect": "Deny", "Principal": "*", "Resource": arn,
        "Action": "sqs:SendMessage", "Condition": {"Bool": {"aws:SecureTransport": "false"}}});
    set_policy(&sqs, &url, statement).await;
    let refused = failure(sqs.send_message().queue_url(&url).message_body("x").send().await);
    assert_eq!((refused.status, &*refused.code), (403, "AccessDenied"));
    assert_eq!(
        refused.message,
        format!(
            "User: arn:aws:iam::000000000000:root is not authorized to perform: sqs:sendmessage \
             on resource: {arn} with an explicit deny in a resource-based policy"
        )
    );
    assert!(receive(&sqs, &url, 0).await.is_empty());

    // Of another account one learns what AWS tells.
    let elsewhere = url.replace("000000000000", "111111111111");
    let missing = failure(sqs.purge_queue().queue_url(&elsewhere).send().await);
    assert_eq!(missing.code, "AWS.SimpleQueueService.NonExistentQueue");
    let text = "The specified queue does not exist or you do not have access to it.";
    assert_eq!(missing.message, text);
}

#[tokio::test]
async fn the_audit_log_has_management_actions_and_refused_requests() {
    let (mut server, folder) = start(&["--audit-data-actions"]);
    let sqs = client(&server);
    let url = create(&sqs, "q", &[]).await;
    let sent = sqs.send_message().queue_url(&url).message_body("a private matter").send().await;
    sent.unwrap();
    let send = json!({"QueueUrl": url, "MessageBody": "a private matter"});
    assert_eq!(unsigned(&server, "AmazonSQS.SendMessage", send).await.status, 403);
    // A signature that is none.
    let forged = http::call(server.address(), "ListQueues", "{}").await;
    assert_eq!(forged.error_type(), "IncompleteSignatureException");
    assert!(server.terminate().success());

    let file = folder.path().join("audit.log");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let arn = "arn:aws:sqs:us-east-1:000000000000:q";
    let shown = |line: &Value| {
        let member = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
        ["principal", "access_key_id", "action", "resource", "decision", "outcome"].map(member)
    };
    let owner = "arn:aws:iam::000000000000:root";
    let expected = [
        [owner, ROOT_KEY, "sqs:CreateQueue", arn, "allowed", "OK"],
        [owner, ROOT_KEY, "sqs:SendMessage", arn, "allowed", "OK"],
        ["anonymous", "-", "sqs:SendMessage", arn, "denied", "AccessDenied"],
        ["-", "-", "sqs:ListQueues", "-", "denied", "IncompleteSignature"],
    ];
    assert_eq!(lines.iter().map(shown).collect::<Vec<_>>(), expected);
    assert!(lines.iter().all(|line| line["source_address"] == "127.0.0.1"));
    assert!(lines.iter().all(|line| line["request_id"].as_str().is_some_and(|id| id.len() == 36)));
    for secret in ["private", "Signature=", "us-east-1/sqs", ROOT_SECRET] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_a_line() {
    let folder = TempDir::new().expect("a scratch folder can be made");
    let file = folder.path().join("audit.log");
    let mut server = Server::start_with(&["--audit-log", file.to_str().unwrap()]);
    for number in 0..20 {
        let body = json!({"QueueName": format!("q{number}")}).to_string();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-amz-json-1.0\r\n\
             X-Amz-Target: AmazonSQS.CreateQueue\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        // Nobody waits for the answer.
        TcpStream::connect(server.address()).unwrap().write_all(request.as_bytes()).unwrap();
    }
    let listed = client(&server).list_queues().send().await.unwrap();
    let made: Vec<_> = listed.queue_urls().iter().map(|url| url.rsplit('/').next()).collect();
    assert!(server.terminate().success());
    let text = fs::read_to_string(&file).unwrap();
    for name in made {
        let name = name.unwrap();
        let resource = format!("\"resource\":\"arn:aws:sqs:us-east-1:000000000000:{name}\"");
        assert!(text.lines().any(|line| line.contains(&resource)), "{name} in {text}");
    }
}
