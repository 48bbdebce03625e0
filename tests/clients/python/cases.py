"""The cases of ../cases.txt with boto3. Prints `ok CASE` or `FAIL CASE: why` for each."""

import itertools
import json
import sys
import threading
import traceback

import boto3
from botocore.exceptions import ClientError

sqs = boto3.client("sqs")
numbers = itertools.count()


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
        MessageSystemAttributeNames=["All"],
        MessageAttributeNames=["All"],
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
    # botocore checks the digests itself.
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


def pages():
    urls = sorted(sqs.create_queue(QueueName=f"pages-{one}")["QueueUrl"] for one in range(5))
    paginator = sqs.get_paginator("list_queues")
    pages = paginator.paginate(QueueNamePrefix="pages-", PaginationConfig={"PageSize": 2})
    equal(sorted(url for page in pages for url in page.get("QueueUrls", [])), urls)


CASES = [
    tour,
    attributes,
    queue_errors,
    message_attributes,
    delay_and_long_poll,
    visibility,
    batches_with_partial_failures,
    wrong_batches,
    fifo_order,
    fifo_deduplication,
    dead_letters,
    pages,
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
