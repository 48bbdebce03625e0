//! AWS Query: forms and URLs in, XML out.

use serde_json::{Value, json};

use super::server::{Answer, Server};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n";
const OPENING: &str = "<?xml version=\"1.0\"?>";

impl Server {
    /// What a form that is posted to a path is answered, its request id replaced by `ID`.
    async fn form(&self, path: &str, form: &str) -> (u16, String) {
        self.query("POST", path, FORM, form).await
    }

    /// What a GET is answered, its request id replaced by `ID`.
    async fn get(&self, target: &str) -> (u16, String) {
        self.query("GET", target, "", "").await
    }

    async fn query(&self, method: &str, target: &str, headers: &str, body: &str) -> (u16, String) {
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: sqs.test:1234\r\nContent-Length: {}\r\n{headers}\r\n\
             {body}",
            body.len()
        );
        let answer: Answer = self.raw(request.as_bytes(), 1).await.remove(0);
        let id = answer.header("x-amzn-requestid").unwrap();
        (answer.status, answer.body.replace(&id, "ID"))
    }
}

fn response(action: &str, result: &str) -> (u16, String) {
    let text = format!(
        "{OPENING}<{action}Response xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\">{result}\
         <ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></{action}Response>"
    );
    (200, text)
}

fn refusal(status: u16, code: &str, message: &str) -> (u16, String) {
    let text = format!(
        "{OPENING}<ErrorResponse xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\"><Error>\
         <Type>Sender</Type><Code>{code}</Code><Message>{message}</Message><Detail/></Error>\
         <RequestId>ID</RequestId></ErrorResponse>"
    );
    (status, text)
}

/// The text of the first element of a name.
fn text<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{name}>")).expect("there is such an element");
    rest.split_once(&format!("</{name}>")).expect("it ends").0
}

#[tokio::test]
async fn a_message_goes_in_comes_out_and_is_deleted() {
    let server = Server::start(&[]).await;
    let created = server
        .form(
            "/",
            "Action=CreateQueue&Version=2012-11-05&QueueName=tour&Attribute.1.Name=DelaySeconds\
             &Attribute.1.Value=0&Tag.1.Key=team&Tag.1.Value=a",
        )
        .await;
    let url = "http://sqs.test:1234/000000000000/tour";
    let result = format!("<CreateQueueResult><QueueUrl>{url}</QueueUrl></CreateQueueResult>");
    assert_eq!(created, response("CreateQueue", &result));

    let (status, sent) = server
        .form(
            "/000000000000/tour",
            "Action=SendMessage&MessageBody=%3Chello+%22you%22%3E%0D&MessageAttribute.1.Name=City\
             &MessageAttribute.1.Value.DataType=String&MessageAttribute.1.Value.StringValue=Any+City",
        )
        .await;
    assert_eq!(status, 200, "{sent}");
    assert_eq!(text(&sent, "MD5OfMessageAttributes"), "0c32cb5c844c01fbd5b6b434b52cf670");

    let (_, received) = server
        .get(
            "/000000000000/tour?Action=ReceiveMessage&AttributeName=All&MessageAttributeName.1=City",
        )
        .await;
    let handle = text(&received, "ReceiptHandle");
    let result = format!(
        "<ReceiveMessageResult><Message><MessageId>{}</MessageId><ReceiptHandle>{handle}\
         </ReceiptHandle><MD5OfBody>{}</MD5OfBody><Body>&lt;hello &quot;you&quot;&gt;&#xD;</Body>\
         <Attribute><Name>ApproximateFirstReceiveTimestamp</Name><Value>1700000000000</Value>\
         </Attribute><Attribute><Name>ApproximateReceiveCount</Name><Value>1</Value></Attribute>\
         <Attribute><Name>SenderId</Name><Value>000000000000</Value></Attribute>\
         <Attribute><Name>SentTimestamp</Name><Value>1700000000000</Value></Attribute>\
         <MD5OfMessageAttributes>0c32cb5c844c01fbd5b6b434b52cf670</MD5OfMessageAttributes>\
         <MessageAttribute><Name>City</Name><Value><DataType>String</DataType>\
         <StringValue>Any City</StringValue></Value></MessageAttribute></Message>\
         </ReceiveMessageResult>",
        text(&sent, "MessageId"),
        text(&sent, "MD5OfMessageBody"),
    );
    assert_eq!(received, response("ReceiveMessage", &result).1);

    let handle = handle.replace('+', "%2B");
    let delete = format!("Action=DeleteMessage&QueueUrl={url}&ReceiptHandle={handle}");
    assert_eq!(server.form("/", &delete).await, response("DeleteMessage", ""));
    let empty = server.get("/000000000000/tour?Action=ReceiveMessage").await;
    assert_eq!(empty, response("ReceiveMessage", "<ReceiveMessageResult/>"));
    server.end().await;
}

#[tokio::test]
async fn lists_and_maps_are_flattened() {
    let server = Server::start(&[]).await;
    server.create("a", json!({})).await;
    server.create("b", json!({})).await;
    let urls = ["a", "b"]
        .map(|name| format!("<QueueUrl>http://sqs.test:1234/000000000000/{name}</QueueUrl>"))
        .concat();
    let listed = response("ListQueues", &format!("<ListQueuesResult>{urls}</ListQueuesResult>"));
    assert_eq!(server.get("/?Action=ListQueues").await, listed);

    let tag = "Action=TagQueue&Tag.1.Key=team&Tag.1.Value=x%3Dy";
    assert_eq!(server.form("/000000000000/a", tag).await, response("TagQueue", ""));
    let tags = "<ListQueueTagsResult><Tag><Key>team</Key><Value>x=y</Value></Tag>\
                </ListQueueTagsResult>";
    let listed = server.get("/000000000000/a?Action=ListQueueTags").await;
    assert_eq!(listed, response("ListQueueTags", tags));

    // As clients of 2009 write a single pair.
    let set = "Action=SetQueueAttributes&Attribute.Name=VisibilityTimeout&Attribute.Value=7";
    assert_eq!(server.form("/000000000000/a", set).await, response("SetQueueAttributes", ""));
    let attributes = "<GetQueueAttributesResult><Attribute><Name>VisibilityTimeout</Name>\
                      <Value>7</Value></Attribute></GetQueueAttributesResult>";
    let got = server
        .get("/000000000000/a?Action=GetQueueAttributes&AttributeName.1=VisibilityTimeout")
        .await;
    assert_eq!(got, response("GetQueueAttributes", attributes));
    server.end().await;
}

#[tokio::test]
async fn a_batch_says_of_each_entry_what_became_of_it() {
    let server = Server::start(&[]).await;
    server.create("q", json!({})).await;
    let (status, answer) = server
        .form(
            "/000000000000/q",
            "Action=SendMessageBatch&SendMessageBatchRequestEntry.1.Id=one\
             &SendMessageBatchRequestEntry.1.MessageBody=first\
             &SendMessageBatchRequestEntry.2.Id=two\
             &SendMessageBatchRequestEntry.2.MessageBody=second\
             &SendMessageBatchRequestEntry.2.DelaySeconds=901",
        )
        .await;
    assert_eq!(status, 200);
    let id = text(&answer, "MessageId");
    let result = format!(
        "<SendMessageBatchResult><SendMessageBatchResultEntry><Id>one</Id><MessageId>{id}\
         </MessageId><MD5OfMessageBody>8b04d5e3775d298e78455efc5ca404d5</MD5OfMessageBody>\
         </SendMessageBatchResultEntry><BatchResultErrorEntry><Id>two</Id>\
         <SenderFault>true</SenderFault><Code>InvalidParameterValue</Code><Message>Value 901 for \
         parameter DelaySeconds is invalid. Reason: DelaySeconds must be &gt;= 0 and &lt;= 900.\
         </Message></BatchResultErrorEntry></SendMessageBatchResult>"
    );
    assert_eq!(answer, response("SendMessageBatch", &result).1);
    server.end().await;
}

#[tokio::test]
async fn errors_look_as_they_do_at_aws() {
    let server = Server::start(&[]).await;
    server.create("q", json!({})).await;
    #[rustfmt::skip]
    let cases = [
        ("/000000000000/none?Action=ReceiveMessage", 400, "AWS.SimpleQueueService.NonExistentQueue",
            "The specified queue does not exist for this wsdl version."),
        ("/000000000000/q?Action=Fly", 400, "InvalidAction",
            "The action Fly is not valid for this endpoint."),
        ("/000000000000/q?Action=ListQueues", 400, "InvalidAction",
            "The action ListQueues is not valid for this endpoint."),
        ("/?Action=SendMessage&MessageBody=x", 400, "InvalidAction",
            "The action SendMessage is not valid for this endpoint."),
        ("/some/where?Action=ReceiveMessage", 404, "InvalidAddress",
            "The address /some/where is not valid for this endpoint."),
        ("/000000000000/q?Action=SendMessage&MessageBody=%zz", 404, "MalformedQueryString",
            "The query string is malformed."),
        ("/000000000000/q?Action=SendMessage", 400, "MissingParameter",
            "The request must contain the parameter MessageBody."),
        ("/000000000000/q?Action=ReceiveMessage&WaitTimeSeconds=soon", 400, "InvalidParameterValue",
            "Value soon for parameter WaitTimeSeconds is invalid. Reason: Must be an integer."),
        // What XML cannot carry is not echoed.
        ("/000000000000/q?Action=ReceiveMessage&WaitTimeSeconds=%01", 400, "InvalidParameterValue",
            "Value \u{fffd} for parameter WaitTimeSeconds is invalid. Reason: Must be an integer."),
    ];
    for (target, status, code, message) in cases {
        assert_eq!(server.get(target).await, refusal(status, code, message), "{target}");
    }
    let bare = (404, "<UnknownOperationException/>\n".to_string());
    for target in ["/", "/000000000000/q", "/favicon.ico"] {
        assert_eq!(server.get(target).await, bare, "{target}");
    }
    server.end().await;
}

#[tokio::test]
async fn who_accepts_json_gets_the_answer_in_json() {
    let server = Server::start(&[]).await;
    server.create("q", json!({})).await;
    let ask = async |target: &str| {
        let (status, body) =
            server.query("GET", target, "Accept: text/plain, application/json\r\n", "").await;
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let metadata = json!({"RequestId": "ID"});
    let (_, listed) = ask("/?Action=ListQueues").await;
    let urls = json!({"queueUrls": ["http://sqs.test:1234/000000000000/q"]});
    let expected = json!({"ListQueuesResult": urls, "ResponseMetadata": metadata});
    assert_eq!(listed, json!({"ListQueuesResponse": expected}));

    let target = "/000000000000/q?Action=GetQueueAttributes&AttributeName=DelaySeconds";
    let (_, got) = ask(target).await;
    let attributes = json!({"Attributes": [{"Name": "DelaySeconds", "Value": "0"}]});
    let expected = json!({"GetQueueAttributesResult": attributes, "ResponseMetadata": metadata});
    assert_eq!(got, json!({"GetQueueAttributesResponse": expected}));

    let (status, refused) = ask("/000000000000/q?Action=SendMessage").await;
    let error = json!({"Code": "MissingParameter", "Type": "Sender",
        "Message": "The request must contain the parameter MessageBody."});
    assert_eq!((status, refused), (400, json!({"Error": error, "RequestId": "ID"})));
    server.end().await;
}

#[tokio::test]
async fn permissions_are_given_and_taken() {
    let server = Server::start(&[]).await;
    server.create("q", json!({})).await;
    let form = "Action=AddPermission&Label=send&AWSAccountId.1=111122223333\
                &AWSAccountId.2=444455556666&ActionName.1=SendMessage";
    assert_eq!(server.form("/000000000000/q", form).await, response("AddPermission", ""));
    let ask = json!({"QueueUrl": "q", "AttributeNames": ["Policy"]});
    let policy = server.ok("GetQueueAttributes", ask).await["Attributes"]["Policy"].clone();
    let policy: Value = serde_json::from_str(policy.as_str().unwrap()).unwrap();
    let statement = &policy["Statement"][0];
    assert_eq!(statement["Principal"]["AWS"][1], "arn:aws:iam::444455556666:root");
    assert_eq!(statement["Action"], "SQS:SendMessage");

    let form = "Action=RemovePermission&Label=send";
    assert_eq!(server.form("/000000000000/q", form).await, response("RemovePermission", ""));
    let text = "Value send for parameter Label is invalid. Reason: can't find label.";
    let refused = refusal(400, "InvalidParameterValue", text);
    assert_eq!(server.form("/000000000000/q", form).await, refused);
    server.end().await;
}

#[tokio::test]
async fn a_move_task_is_started_and_listed() {
    let server = Server::start(&[]).await;
    let arn = "arn:aws:sqs:us-east-1:000000000000:dead";
    server.create("dead", json!({})).await;
    let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": 1}).to_string();
    server.create("source", json!({"RedrivePolicy": policy})).await;
    let start = format!(
        "Action=StartMessageMoveTask&SourceArn={arn}&DestinationArn={}\
         &MaxNumberOfMessagesPerSecond=500",
        arn.replace("dead", "source")
    );
    let (status, started) = server.form("/", &start).await;
    assert_eq!(status, 200, "{started}");
    assert!(!text(&started, "TaskHandle").is_empty());
    let list = format!("Action=ListMessageMoveTasks&SourceArn={arn}&MaxResults=10");
    let (_, listed) = server.form("/", &list).await;
    let entry = text(&listed, "ListMessageMoveTasksResultEntry");
    assert_eq!(text(entry, "MaxNumberOfMessagesPerSecond"), "500");
    assert_eq!(text(entry, "ApproximateNumberOfMessagesMoved"), "0");
    assert_eq!(text(entry, "StartedTimestamp"), "1700000000000");
    let missing = format!("Action=ListMessageMoveTasks&SourceArn={arn}s");
    let why = "The resource that you specified for the SourceArn parameter doesn&apos;t exist.";
    let (status, refused) = server.form("/", &missing).await;
    assert_eq!(status, 404);
    assert_eq!(text(&refused, "Code"), "ResourceNotFoundException");
    assert_eq!(text(&refused, "Message").replace('\'', "&apos;"), why);
    server.end().await;
}
