"""A program with an identity token from elsewhere, and no key: boto3 fetches credentials with it and
uses them. Prints `ok` for each thing that was as it must be."""

import json
import sys

import boto3
from botocore.exceptions import ClientError

session = boto3.Session()
sqs = session.client("sqs")
sts = session.client("sts")


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        found = error.response["Error"]["Code"]
        assert found == code, f"{found} is not {code}"
        return
    raise AssertionError(f"{code} expected, and the call succeeded")


# The credentials are the session's, fetched with the token by the SDK itself.
who = sts.get_caller_identity()
arn = "arn:aws:sts::000000000000:assumed-role/orders/pod-7"
assert (who["Arn"], who["Account"]) == (arn, "000000000000"), who
assert who["UserId"].startswith("AROA") and who["UserId"].endswith(":pod-7"), who
print("ok identity")

url = sqs.create_queue(QueueName="orders")["QueueUrl"]
sqs.send_message(QueueUrl=url, MessageBody="hello née ☕")
(message,) = sqs.receive_message(QueueUrl=url)["Messages"]
assert message["Body"] == "hello née ☕", message
print("ok messages")

refused("AccessDenied", sqs.create_queue, QueueName="invoices")
refused("AccessDenied", sqs.purge_queue, QueueUrl=url)
print("ok policies")

# From one role into another, with less.
policy = {"Statement": {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}}
taken = sts.assume_role(
    RoleArn="arn:aws:iam::000000000000:role/reader",
    RoleSessionName="less",
    ExternalId="q-7",
    DurationSeconds=900,
    Policy=json.dumps(policy),
)
assert taken["AssumedRoleUser"]["Arn"].endswith("assumed-role/reader/less"), taken
assert 0 < taken["PackedPolicySize"] < 100, taken
keys = taken["Credentials"]
less = boto3.client(
    "sqs",
    aws_access_key_id=keys["AccessKeyId"],
    aws_secret_access_key=keys["SecretAccessKey"],
    aws_session_token=keys["SessionToken"],
)
refused("AccessDenied", less.receive_message, QueueUrl=url)
refused("AccessDenied", less.send_message, QueueUrl=url, MessageBody="x")
print("ok narrowed")

reader = "arn:aws:iam::000000000000:role/reader"
refused("AccessDenied", sts.assume_role, RoleArn=reader, RoleSessionName="less")
missing = "arn:aws:iam::000000000000:role/missing"
refused("AccessDenied", sts.assume_role, RoleArn=missing, RoleSessionName="less")
refused("ValidationError", sts.assume_role, RoleArn=reader, RoleSessionName="a b")
print("ok refused")

stranger = boto3.client(
    "sqs",
    aws_access_key_id=keys["AccessKeyId"],
    aws_secret_access_key=keys["SecretAccessKey"],
    aws_session_token=keys["SessionToken"][:-8] + "AAAAAAAA",
)
refused("InvalidClientTokenId", stranger.list_queues)
print("ok tokens")
sys.stdout.flush()
