"""The cases of ../cases.txt with boto3. Prints `ok CASE` or `FAIL CASE: why` for each."""

import hashlib
import itertools
import json
import sys
import threading
import traceback
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen
from xml.etree import ElementTree

import boto3
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError

session = boto3.Session()
sqs = session.client("sqs")
numbers = itertools.count()

# boto3 from before the JSON protocol knows only the older of the two names.
RECEIVE = sqs.meta.service_model.operation_model("ReceiveMessage").input_shape.members
SYSTEM_ATTRIBUTES = next(
    name for name in ["MessageSystemAttributeNames", "AttributeNames"] if name in RECEIVE
)


def create(suffix="", **attributes):
    name = f"python-{next(numbers)}{suffix}"
    if suffix:
        attributes["FifoQueue"] = "true"
    return sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]


def receive(url, wait_s=0, **more):
    answer = sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=10,
        WaitTimeSeconds=wait_s,
        MessageAttributeNames=["All"],
        **{SYSTEM_ATTRIBUTES: ["All"]},
        **more,
    )
    return answer.get("Messages", [])


def give_back(url, message):
    handle = message["ReceiptHandle"]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)


def attribute(url, name):
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name]


def bodies(messages):
    return [message["Body"] for message in messages]


def equal(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        equal(error.response["Error"]["Code"], code)
        assert error.response["ResponseMetadata"]["RequestId"]
        return error
    raise AssertionError(f"{code} expected, and the call succeeded")


def tour():
    url = create()
    sent = sqs.send_message(QueueUrl=url, MessageBody="hello née ☕")
    (message,) = receive(url)
    equal(message["Body"], "hello née ☕")
    equal(message["MessageId"], sent["MessageId"])
    equal(message["Attributes"]["ApproximateReceiveCount"], "1")
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    sqs.send_message(QueueUrl=url, MessageBody="purged")
    sqs.purge_queue(QueueUrl=url)
    equal(receive(url), [])
    name = url.rsplit("/", 1)[1]
    equal(sqs.get_queue_url(QueueName=name)["QueueUrl"], url)
    sqs.delete_queue(QueueUrl=url)
    refused("AWS.SimpleQueueService.NonExistentQueue", sqs.get_queue_url, QueueName=name)


def attributes():
    url = create(VisibilityTimeout="10")
    everything = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    equal(len(everything), 12)
    equal(everything["VisibilityTimeout"], "10")
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "11"})
    equal(attribute(url, "VisibilityTimeout"), "11")
    for name, value, code in [
        ("VisibilityTimeout", "43201", "InvalidAttributeValue"),
        ("Colour", "red", "InvalidAttributeName"),
    ]:
        change = {name: value}
        refused(code, sqs.set_queue_attributes, QueueUrl=url, Attributes=change)


def tags():
    name = f"python-{next(numbers)}"
    url = sqs.create_queue(QueueName=name, tags={"team": "red", "größe": ""})["QueueUrl"]
    sqs.tag_queue(QueueUrl=url, Tags={"team": "blue", "cost": "a=b"})
    tagged = {"team": "blue", "größe": "", "cost": "a=b"}
    equal(sqs.list_queue_tags(QueueUrl=url)["Tags"], tagged)
    sqs.untag_queue(QueueUrl=url, TagKeys=list(tagged))
    assert not sqs.list_queue_tags(QueueUrl=url).get("Tags")
    refused("InvalidParameterValue", sqs.tag_queue, QueueUrl=url, Tags={"aws:team": "red"})


def permissions():
    url = create()
    sqs.add_permission(
        QueueUrl=url,
        Label="send",
        AWSAccountIds=["111122223333", "444455556666"],
        Actions=["SendMessage", "ReceiveMessage"],
    )
    (statement,) = json.loads(attribute(url, "Policy"))["Statement"]
    equal(statement["Sid"], "send")
    equal(statement["Action"], ["SQS:SendMessage", "SQS:ReceiveMessage"])
    equal(len(statement["Principal"]["AWS"]), 2)
    sqs.remove_permission(QueueUrl=url, Label="send")
    refused("InvalidParameterValue", sqs.remove_permission, QueueUrl=url, Label="send")


def queue_errors():
    missing = "https://sqs.us-east-1.amazonaws.com/000000000000/python-missing"
    error = refused(
        "AWS.SimpleQueueService.NonExistentQueue", sqs.receive_message, QueueUrl=missing
    )
    assert isinstance(error, sqs.exceptions.QueueDoesNotExist)
    refused("InvalidParameterValue", sqs.create_queue, QueueName="a b")
    url = create(DelaySeconds="1")
    name = url.rsplit("/", 1)[1]
    again = {"DelaySeconds": "2"}
    error = refused("QueueAlreadyExists", sqs.create_queue, QueueName=name, Attributes=again)
    assert isinstance(error, sqs.exceptions.QueueNameExists)
    refused(
        "ReceiptHandleIsInvalid", sqs.delete_message, QueueUrl=url, ReceiptHandle="garbage"
    )
    refused("InvalidParameterValue", sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=11)
    refused("MissingParameter", sqs.send_message, QueueUrl=url, MessageBody="")
    refused("InvalidMessageContents", sqs.send_message, QueueUrl=url, MessageBody="\x0b")


def message_attributes():
    url = create()
    sent = {
        "City": {"DataType": "String", "StringValue": "Any City"},
        "Population": {"DataType": "Number.int", "StringValue": "1250800"},
        "Greeting": {"DataType": "Binary", "BinaryValue": b"Hello, World!"},
    }
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5e3d83c1-e6a0db58"}}
    answer = sqs.send_message(
        QueueUrl=url, MessageBody="m", MessageAttributes=sent, MessageSystemAttributes=trace
    )
    equal(answer["MD5OfMessageAttributes"], "0bf4fddaaaeccae7e21f21bc0a1bc2a4")
    (message,) = receive(url)
    equal(message["MessageAttributes"], sent)
    equal(message["MD5OfMessageAttributes"], answer["MD5OfMessageAttributes"])
    equal(message["MD5OfBody"], hashlib.md5(b"m").hexdigest())
    equal(message["Attributes"]["AWSTraceHeader"], "Root=1-5e3d83c1-e6a0db58")


def delay_and_long_poll():
    url = create()
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=1)
    equal(receive(url), [])
    equal(bodies(receive(url, wait_s=20)), ["later"])
    send = threading.Timer(0.1, sqs.send_message, kwargs={"QueueUrl": url, "MessageBody": "soon"})
    send.start()
    equal(bodies(receive(url, wait_s=20)), ["soon"])
    send.join()


def visibility():
    url = create()
    sqs.send_message(QueueUrl=url, MessageBody="m")
    (first,) = receive(url)
    equal(receive(url), [])
    give_back(url, first)
    (second,) = receive(url)
    equal(second["Attributes"]["ApproximateReceiveCount"], "2")
    assert first["ReceiptHandle"] != second["ReceiptHandle"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=second["ReceiptHandle"])
    refused(
        "InvalidParameterValue",
        sqs.change_message_visibility,
        QueueUrl=url,
        ReceiptHandle=second["ReceiptHandle"],
        VisibilityTimeout=1,
    )


def batches_with_partial_failures():
    url = create()
    entries = [{"Id": str(number), "MessageBody": f"m{number}"} for number in range(9)]
    entries.append({"Id": "bad", "MessageBody": "\x0b"})
    sent = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    equal([one["Id"] for one in sent["Successful"]], [str(number) for number in range(9)])
    (failed,) = sent["Failed"]
    equal((failed["Id"], failed["Code"], failed["SenderFault"]),
          ("bad", "InvalidMessageContents", True))
    messages = receive(url)
    equal(sorted(bodies(messages)), [f"m{number}" for number in range(9)])
    handles = [
        {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
        for number, message in enumerate(messages)
    ]
    hidden = [dict(entry, VisibilityTimeout=60) for entry in handles]
    changed = sqs.change_message_visibility_batch(QueueUrl=url, Entries=hidden)
    equal(len(changed["Successful"]), 9)
    assert "Failed" not in changed
    deleted = sqs.delete_message_batch(
        QueueUrl=url, Entries=[*handles, {"Id": "bad", "ReceiptHandle": "garbage"}]
    )
    equal(len(deleted["Successful"]), 9)
    equal(deleted["Failed"][0]["Code"], "ReceiptHandleIsInvalid")


def wrong_batches():
    url = create()
    for code, ids in [
        ("EmptyBatchRequest", []),
        ("TooManyEntriesInBatchRequest", range(11)),
        ("BatchEntryIdsNotDistinct", [1, 1]),
        ("InvalidBatchEntryId", ["a b"]),
    ]:
        entries = [{"Id": str(one), "MessageBody": "m"} for one in ids]
        refused(
            f"AWS.SimpleQueueService.{code}", sqs.send_message_batch, QueueUrl=url, Entries=entries
        )
    large = [{"Id": one, "MessageBody": "x" * 600_000} for one in "ab"]
    refused(
        "AWS.SimpleQueueService.BatchRequestTooLong",
        sqs.send_message_batch,
        QueueUrl=url,
        Entries=large,
    )


def send_in_order(url, body, group):
    return sqs.send_message(
        QueueUrl=url, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=body
    )


def fifo_order():
    url = create(".fifo")
    sequence = [send_in_order(url, body, "a")["SequenceNumber"] for body in ["a1", "a2", "a3"]]
    equal(sequence, sorted(sequence))
    send_in_order(url, "b1", "b")
    (first,) = sqs.receive_message(QueueUrl=url)["Messages"]
    equal(first["Body"], "a1")
    equal(bodies(receive(url)), ["b1"])
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    equal(bodies(receive(url)), ["a2", "a3"])


def fifo_deduplication():
    url = create(".fifo", ContentBasedDeduplication="true")
    first = sqs.send_message(QueueUrl=url, MessageBody="m", MessageGroupId="g")
    again = sqs.send_message(QueueUrl=url, MessageBody="m", MessageGroupId="g")
    equal(first["MessageId"], again["MessageId"])
    equal(first["SequenceNumber"], again["SequenceNumber"])
    equal(len(receive(url)), 1)
    refused("MissingParameter", sqs.send_message, QueueUrl=url, MessageBody="m")


def dead_letters():
    dead = create()
    target = attribute(dead, "QueueArn")
    policy = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": 1})
    url = create(RedrivePolicy=policy)
    sqs.send_message(QueueUrl=url, MessageBody="poison")
    give_back(url, receive(url)[0])
    equal(receive(url), [])
    (moved,) = receive(dead, wait_s=20)
    equal(moved["Body"], "poison")
    equal(moved["Attributes"]["DeadLetterQueueSourceArn"], attribute(url, "QueueArn"))
    policy = json.dumps({"deadLetterTargetArn": target + "x", "maxReceiveCount": 1})
    change = {"RedrivePolicy": policy}
    refused("InvalidParameterValue", sqs.set_queue_attributes, QueueUrl=url, Attributes=change)


def move_tasks():
    dead = create()
    source, other = attribute(dead, "QueueArn"), create()
    redrive = json.dumps({"deadLetterTargetArn": source, "maxReceiveCount": 1})
    create(RedrivePolicy=redrive)
    # At one a second, more than can be moved before the task is cancelled.
    for number in range(30):
        sqs.send_message(QueueUrl=dead, MessageBody=f"m{number}")
    task = dict(
        SourceArn=source,
        DestinationArn=attribute(other, "QueueArn"),
        MaxNumberOfMessagesPerSecond=1,
    )
    handle = sqs.start_message_move_task(**task)["TaskHandle"]
    refused("InvalidParameterValue", sqs.start_message_move_task, **task)
    (listed,) = sqs.list_message_move_tasks(SourceArn=source, MaxResults=10)["Results"]
    equal((listed["Status"], listed["TaskHandle"]), ("RUNNING", handle))
    equal(listed["ApproximateNumberOfMessagesToMove"], 30)
    assert listed["StartedTimestamp"] > 1_600_000_000_000
    equal(bodies(receive(other, wait_s=20))[:1], ["m0"])
    moved = sqs.cancel_message_move_task(TaskHandle=handle)
    assert 1 <= moved["ApproximateNumberOfMessagesMoved"] < 30
    refused("ResourceNotFoundException", sqs.start_message_move_task, SourceArn=source + "x")


def pages():
    dead = create()
    target = attribute(dead, "QueueArn")
    policy = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": 1})
    urls = sorted(
        sqs.create_queue(QueueName=f"pages-{one}", Attributes={"RedrivePolicy": policy})["QueueUrl"]
        for one in range(5)
    )
    for operation, member, arguments in [
        ("list_queues", "QueueUrls", {"QueueNamePrefix": "pages-"}),
        ("list_dead_letter_source_queues", "queueUrls", {"QueueUrl": dead}),
    ]:
        paginator = sqs.get_paginator(operation)
        pages = list(paginator.paginate(**arguments, PaginationConfig={"PageSize": 2}))
        equal([len(page[member]) for page in pages], [2, 2, 1])
        equal(sorted(url for page in pages for url in page[member]), urls)
    assert not sqs.list_queues(QueueNamePrefix="none-").get("QueueUrls")


def presigned(url, action, **parameters):
    query = urlencode({"Action": action, "Version": "2012-11-05", **parameters})
    request = AWSRequest("GET", f"{url}?{query}")
    region = sqs.meta.region_name
    SigV4QueryAuth(session.get_credentials(), "sqs", region, expires=60).add_auth(request)
    return request.prepare().url


def get(url):
    with urlopen(url) as answer:
        root = ElementTree.fromstring(answer.read())
    return {element.tag.rsplit("}")[-1]: element.text for element in root.iter()}


def presigned_urls():
    url = create()
    sent = get(presigned(url, "SendMessage", MessageBody="by née & ☕"))
    equal(sent["MD5OfMessageBody"], hashlib.md5("by née & ☕".encode()).hexdigest())
    if sqs.meta.service_model.metadata["protocol"] == "query":
        receive_url = sqs.generate_presigned_url(
            "receive_message", {"QueueUrl": url}, HttpMethod="GET"
        )
    else:
        receive_url = presigned(url, "ReceiveMessage")
    received = get(receive_url)
    equal((received["Body"], received["MessageId"]), ("by née & ☕", sent["MessageId"]))
    get(presigned(url, "DeleteMessage", ReceiptHandle=received["ReceiptHandle"]))
    equal(attribute(url, "ApproximateNumberOfMessagesNotVisible"), "0")
    sqs.delete_queue(QueueUrl=url)
    try:
        get(presigned(url, "ReceiveMessage"))
    except HTTPError as error:
        equal(error.code, 400)
        assert b"<Code>AWS.SimpleQueueService.NonExistentQueue</Code>" in error.read()
    else:
        raise AssertionError("the queue is gone")


CASES = [
    tour,
    attributes,
    tags,
    permissions,
    queue_errors,
    message_attributes,
    delay_and_long_poll,
    visibility,
    batches_with_partial_failures,
    wrong_batches,
    fifo_order,
    fifo_deduplication,
    dead_letters,
    move_tasks,
    pages,
    presigned_urls,
]

failures = 0
for case in CASES:
    name = case.__name__.replace("_", " ")
    try:
        case()
        print(f"ok {name}", flush=True)
    except Exception as error:
        failures += 1
        print(f"FAIL {name}: {error!r}", flush=True)
        traceback.print_exc()
sys.exit(1 if failures else 0)
