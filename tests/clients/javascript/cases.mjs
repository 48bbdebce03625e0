// The cases of ../cases.txt with the AWS SDK for JavaScript v3. Prints `ok CASE` or
// `FAIL CASE: why` for each. The SDK is installed in the folder named by CLIENT_MODULES.

import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.CLIENT_MODULES}/package.json`);
const {
  SQS,
  QueueDoesNotExist,
  QueueNameExists,
  paginateListDeadLetterSourceQueues,
  paginateListQueues,
} = require("@aws-sdk/client-sqs");
const { SignatureV4 } = require("@smithy/signature-v4");

const sqs = new SQS({ endpoint: process.env.AWS_ENDPOINT_URL, maxAttempts: 1 });
let number = 0;

async function create(suffix = "", attributes = {}) {
  const QueueName = `javascript-${number++}${suffix}`;
  const Attributes = suffix ? { ...attributes, FifoQueue: "true" } : attributes;
  return (await sqs.createQueue({ QueueName, Attributes })).QueueUrl;
}

async function receive(QueueUrl, WaitTimeSeconds = 0) {
  const answer = await sqs.receiveMessage({
    QueueUrl,
    WaitTimeSeconds,
    MaxNumberOfMessages: 10,
    // The SDK from before the JSON protocol knows only the second of the two names.
    MessageSystemAttributeNames: ["All"],
    AttributeNames: ["All"],
    MessageAttributeNames: ["All"],
  });
  return answer.Messages ?? [];
}

const giveBack = (QueueUrl, { ReceiptHandle }) =>
  sqs.changeMessageVisibility({ QueueUrl, ReceiptHandle, VisibilityTimeout: 0 });

const bodies = (messages) => messages.map((message) => message.Body);

async function attribute(QueueUrl, name) {
  const answer = await sqs.getQueueAttributes({ QueueUrl, AttributeNames: [name] });
  return answer.Attributes[name];
}

/** The error of a call that must fail; its code is the shape's name or the query code. */
async function refused(code, call) {
  const error = await call.then(
    () => assert.fail(`${code} expected, and the call succeeded`),
    (error) => error,
  );
  const codes = [error.name, error.Code, error.Error?.Code].map((one) => one?.split(".").pop());
  assert.ok(codes.includes(code), `${code} expected: ${error}`);
  assert.ok(error.$metadata.requestId);
  return error;
}

class Sha256 {
  constructor(secret) {
    this.hash = secret ? createHmac("sha256", secret) : createHash("sha256");
  }
  update(data) {
    this.hash.update(data);
  }
  async digest() {
    return this.hash.digest();
  }
}

/** What a GET of a presigned URL is answered. */
async function get(QueueUrl, Action, parameters = {}) {
  const { credentials, region } = sqs.config;
  const signer = new SignatureV4({ service: "sqs", region, credentials, sha256: Sha256 });
  const { protocol, hostname, port, pathname: path } = new URL(QueueUrl);
  const query = { Action, Version: "2012-11-05", ...parameters };
  const headers = { host: `${hostname}:${port}` };
  const request = { method: "GET", protocol, hostname, port, path, query, headers };
  const signed = await signer.presign(request, { expiresIn: 60 });
  // Not `URLSearchParams`: it writes a blank as a plus, which is signed as a plus.
  const pairs = Object.entries(signed.query).map((pair) => pair.map(encodeURIComponent).join("="));
  const answer = await fetch(`${QueueUrl}?${pairs.join("&")}`);
  const text = await answer.text();
  const element = (name) => text.match(new RegExp(`<${name}>([^<]*)</${name}>`))?.[1];
  return { status: answer.status, element };
}

const cases = {
  async tour() {
    const QueueUrl = await create();
    const sent = await sqs.sendMessage({ QueueUrl, MessageBody: "hello née ☕" });
    const [message] = await receive(QueueUrl);
    assert.equal(message.Body, "hello née ☕");
    assert.equal(message.MessageId, sent.MessageId);
    assert.equal(message.Attributes.ApproximateReceiveCount, "1");
    await sqs.deleteMessage({ QueueUrl, ReceiptHandle: message.ReceiptHandle });
    await sqs.sendMessage({ QueueUrl, MessageBody: "purged" });
    await sqs.purgeQueue({ QueueUrl });
    assert.deepEqual(await receive(QueueUrl), []);
    const QueueName = QueueUrl.split("/").pop();
    assert.equal((await sqs.getQueueUrl({ QueueName })).QueueUrl, QueueUrl);
    await sqs.deleteQueue({ QueueUrl });
    await refused("NonExistentQueue", sqs.getQueueUrl({ QueueName }));
  },

  async attributes() {
    const QueueUrl = await create("", { VisibilityTimeout: "10" });
    const all = await sqs.getQueueAttributes({ QueueUrl, AttributeNames: ["All"] });
    assert.equal(Object.keys(all.Attributes).length, 12);
    assert.equal(all.Attributes.VisibilityTimeout, "10");
    const set = (Attributes) => sqs.setQueueAttributes({ QueueUrl, Attributes });
    await set({ VisibilityTimeout: "11" });
    assert.equal(await attribute(QueueUrl, "VisibilityTimeout"), "11");
    await refused("InvalidAttributeValue", set({ VisibilityTimeout: "43201" }));
    await refused("InvalidAttributeName", set({ Colour: "red" }));
  },

  async tags() {
    const tags = { team: "red", größe: "" };
    const { QueueUrl } = await sqs.createQueue({ QueueName: `javascript-${number++}`, tags });
    await sqs.tagQueue({ QueueUrl, Tags: { team: "blue", cost: "a=b" } });
    const Tags = { team: "blue", größe: "", cost: "a=b" };
    const listed = async () => (await sqs.listQueueTags({ QueueUrl })).Tags ?? {};
    assert.deepEqual({ ...(await listed()) }, Tags);
    await sqs.untagQueue({ QueueUrl, TagKeys: Object.keys(Tags) });
    assert.deepEqual({ ...(await listed()) }, {});
    const reserved = sqs.tagQueue({ QueueUrl, Tags: { "aws:team": "red" } });
    await refused("InvalidParameterValue", reserved);
  },

  async permissions() {
    const QueueUrl = await create();
    await sqs.addPermission({
      QueueUrl,
      Label: "send",
      AWSAccountIds: ["111122223333", "444455556666"],
      Actions: ["SendMessage", "ReceiveMessage"],
    });
    const [statement] = JSON.parse(await attribute(QueueUrl, "Policy")).Statement;
    assert.equal(statement.Sid, "send");
    assert.deepEqual(statement.Action, ["SQS:SendMessage", "SQS:ReceiveMessage"]);
    assert.equal(statement.Principal.AWS.length, 2);
    const remove = () => sqs.removePermission({ QueueUrl, Label: "send" });
    await remove();
    await refused("InvalidParameterValue", remove());
  },

  async "queue errors"() {
    const missing = "https://sqs.us-east-1.amazonaws.com/000000000000/javascript-missing";
    await refused("NonExistentQueue", sqs.receiveMessage({ QueueUrl: missing }));
    const unknown = sqs.getQueueUrl({ QueueName: "javascript-missing" });
    assert.ok((await refused("NonExistentQueue", unknown)) instanceof QueueDoesNotExist);
    await refused("InvalidParameterValue", sqs.createQueue({ QueueName: "a b" }));
    const QueueUrl = await create("", { DelaySeconds: "1" });
    const QueueName = QueueUrl.split("/").pop();
    const again = sqs.createQueue({ QueueName, Attributes: { DelaySeconds: "2" } });
    assert.ok((await refused("QueueNameExists", again)) instanceof QueueNameExists);
    const garbage = sqs.deleteMessage({ QueueUrl, ReceiptHandle: "garbage" });
    await refused("ReceiptHandleIsInvalid", garbage);
    const eleven = sqs.receiveMessage({ QueueUrl, MaxNumberOfMessages: 11 });
    await refused("InvalidParameterValue", eleven);
    await refused("MissingParameter", sqs.sendMessage({ QueueUrl, MessageBody: "" }));
    await refused("InvalidMessageContents", sqs.sendMessage({ QueueUrl, MessageBody: "\x0b" }));
  },

  async "message attributes"() {
    // The SDK checks the bodies' digests itself.
    const QueueUrl = await create();
    const MessageAttributes = {
      City: { DataType: "String", StringValue: "Any City" },
      Population: { DataType: "Number.int", StringValue: "1250800" },
      Greeting: { DataType: "Binary", BinaryValue: new TextEncoder().encode("Hello, World!") },
    };
    const trace = { DataType: "String", StringValue: "Root=1-5e3d83c1-e6a0db58" };
    const sent = await sqs.sendMessage({
      QueueUrl,
      MessageBody: "m",
      MessageAttributes,
      MessageSystemAttributes: { AWSTraceHeader: trace },
    });
    assert.equal(sent.MD5OfMessageAttributes, "0bf4fddaaaeccae7e21f21bc0a1bc2a4");
    const [message] = await receive(QueueUrl);
    const { City, Population, Greeting } = message.MessageAttributes;
    assert.equal(City.StringValue, "Any City");
    assert.equal(Population.DataType, "Number.int");
    assert.equal(new TextDecoder().decode(Greeting.BinaryValue), "Hello, World!");
    assert.equal(message.MD5OfMessageAttributes, sent.MD5OfMessageAttributes);
    assert.equal(message.Attributes.AWSTraceHeader, trace.StringValue);
  },

  async "delay and long poll"() {
    const QueueUrl = await create();
    await sqs.sendMessage({ QueueUrl, MessageBody: "later", DelaySeconds: 1 });
    assert.deepEqual(await receive(QueueUrl), []);
    assert.deepEqual(bodies(await receive(QueueUrl, 20)), ["later"]);
    const waiting = receive(QueueUrl, 20);
    await sqs.sendMessage({ QueueUrl, MessageBody: "soon" });
    assert.deepEqual(bodies(await waiting), ["soon"]);
  },

  async visibility() {
    const QueueUrl = await create();
    await sqs.sendMessage({ QueueUrl, MessageBody: "m" });
    const [first] = await receive(QueueUrl);
    assert.deepEqual(await receive(QueueUrl), []);
    await giveBack(QueueUrl, first);
    const [second] = await receive(QueueUrl);
    assert.equal(second.Attributes.ApproximateReceiveCount, "2");
    assert.notEqual(first.ReceiptHandle, second.ReceiptHandle);
    await sqs.deleteMessage({ QueueUrl, ReceiptHandle: second.ReceiptHandle });
    await refused("InvalidParameterValue", giveBack(QueueUrl, second));
  },

  async "batches with partial failures"() {
    const QueueUrl = await create();
    const good = [...Array(9).keys()].map(String);
    const entries = good.map((Id) => ({ Id, MessageBody: `m${Id}` }));
    const sent = await sqs.sendMessageBatch({
      QueueUrl,
      Entries: [...entries, { Id: "bad", MessageBody: "\x0b" }],
    });
    assert.deepEqual(sent.Successful.map((one) => one.Id), good);
    const [{ Id, Code, SenderFault }] = sent.Failed;
    assert.deepEqual([Id, Code, SenderFault], ["bad", "InvalidMessageContents", true]);
    const messages = await receive(QueueUrl);
    assert.deepEqual(bodies(messages).sort(), good.map((Id) => `m${Id}`));
    const handles = messages.map(({ ReceiptHandle }, index) => ({ Id: `${index}`, ReceiptHandle }));
    const changed = await sqs.changeMessageVisibilityBatch({
      QueueUrl,
      Entries: handles.map((entry) => ({ ...entry, VisibilityTimeout: 60 })),
    });
    assert.equal(changed.Successful.length, 9);
    assert.equal(changed.Failed, undefined);
    const deleted = await sqs.deleteMessageBatch({
      QueueUrl,
      Entries: [...handles, { Id: "bad", ReceiptHandle: "garbage" }],
    });
    assert.equal(deleted.Successful.length, 9);
    assert.equal(deleted.Failed[0].Code, "ReceiptHandleIsInvalid");
  },

  async "wrong batches"() {
    const QueueUrl = await create();
    for (const [code, ids] of [
      ["EmptyBatchRequest", []],
      ["TooManyEntriesInBatchRequest", [...Array(11).keys()]],
      ["BatchEntryIdsNotDistinct", [1, 1]],
      ["InvalidBatchEntryId", ["a b"]],
    ]) {
      const Entries = ids.map((id) => ({ Id: `${id}`, MessageBody: "m" }));
      await refused(code, sqs.sendMessageBatch({ QueueUrl, Entries }));
    }
    const large = ["a", "b"].map((Id) => ({ Id, MessageBody: "x".repeat(600_000) }));
    await refused("BatchRequestTooLong", sqs.sendMessageBatch({ QueueUrl, Entries: large }));
  },

  async "fifo order"() {
    const QueueUrl = await create(".fifo");
    const send = (MessageBody, MessageGroupId) =>
      sqs.sendMessage({ QueueUrl, MessageBody, MessageGroupId, MessageDeduplicationId: MessageBody });
    const sequence = [];
    for (const body of ["a1", "a2", "a3"]) sequence.push((await send(body, "a")).SequenceNumber);
    assert.deepEqual([...sequence].sort(), sequence);
    await send("b1", "b");
    const [first] = (await sqs.receiveMessage({ QueueUrl })).Messages;
    assert.equal(first.Body, "a1");
    assert.deepEqual(bodies(await receive(QueueUrl)), ["b1"]);
    await sqs.deleteMessage({ QueueUrl, ReceiptHandle: first.ReceiptHandle });
    assert.deepEqual(bodies(await receive(QueueUrl)), ["a2", "a3"]);
  },

  async "fifo deduplication"() {
    const QueueUrl = await create(".fifo", { ContentBasedDeduplication: "true" });
    const send = () => sqs.sendMessage({ QueueUrl, MessageBody: "m", MessageGroupId: "g" });
    const [first, again] = [await send(), await send()];
    assert.equal(first.MessageId, again.MessageId);
    assert.equal(first.SequenceNumber, again.SequenceNumber);
    assert.equal((await receive(QueueUrl)).length, 1);
    await refused("MissingParameter", sqs.sendMessage({ QueueUrl, MessageBody: "m" }));
  },

  async "dead letters"() {
    const dead = await create();
    const deadLetterTargetArn = await attribute(dead, "QueueArn");
    const policy = (target) => JSON.stringify({ deadLetterTargetArn: target, maxReceiveCount: 1 });
    const QueueUrl = await create("", { RedrivePolicy: policy(deadLetterTargetArn) });
    await sqs.sendMessage({ QueueUrl, MessageBody: "poison" });
    await giveBack(QueueUrl, (await receive(QueueUrl))[0]);
    assert.deepEqual(await receive(QueueUrl), []);
    const [moved] = await receive(dead, 20);
    assert.equal(moved.Body, "poison");
    const source = await attribute(QueueUrl, "QueueArn");
    assert.equal(moved.Attributes.DeadLetterQueueSourceArn, source);
    const Attributes = { RedrivePolicy: policy(`${deadLetterTargetArn}x`) };
    await refused("InvalidParameterValue", sqs.setQueueAttributes({ QueueUrl, Attributes }));
  },

  async "move tasks"() {
    const [dead, other] = [await create(), await create()];
    const SourceArn = await attribute(dead, "QueueArn");
    const policy = { deadLetterTargetArn: SourceArn, maxReceiveCount: 1 };
    await create("", { RedrivePolicy: JSON.stringify(policy) });
    // At one a second, more than can be moved before the task is cancelled.
    for (let one = 0; one < 30; one++) {
      await sqs.sendMessage({ QueueUrl: dead, MessageBody: `m${one}` });
    }
    const DestinationArn = await attribute(other, "QueueArn");
    const task = { SourceArn, DestinationArn, MaxNumberOfMessagesPerSecond: 1 };
    const { TaskHandle } = await sqs.startMessageMoveTask(task);
    await refused("InvalidParameterValue", sqs.startMessageMoveTask(task));
    const { Results } = await sqs.listMessageMoveTasks({ SourceArn, MaxResults: 10 });
    assert.deepEqual(Results.map((one) => [one.Status, one.TaskHandle]), [["RUNNING", TaskHandle]]);
    assert.equal(Results[0].ApproximateNumberOfMessagesToMove, 30);
    assert.ok(Results[0].StartedTimestamp > 1_600_000_000_000);
    assert.equal(bodies(await receive(other, 20))[0], "m0");
    const moved = (await sqs.cancelMessageMoveTask({ TaskHandle })).ApproximateNumberOfMessagesMoved;
    assert.ok(1 <= moved && moved < 30);
    const missing = sqs.startMessageMoveTask({ SourceArn: `${SourceArn}x` });
    await refused("ResourceNotFoundException", missing);
  },

  async pages() {
    const dead = await create();
    const deadLetterTargetArn = await attribute(dead, "QueueArn");
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 1 });
    const urls = [];
    for (const one of [0, 1, 2, 3, 4]) {
      const queue = { QueueName: `pages-${one}`, Attributes: { RedrivePolicy } };
      urls.push((await sqs.createQueue(queue)).QueueUrl);
    }
    const config = { client: sqs, pageSize: 2 };
    for (const [pages, member] of [
      [paginateListQueues(config, { QueueNamePrefix: "pages-" }), "QueueUrls"],
      [paginateListDeadLetterSourceQueues(config, { QueueUrl: dead }), "queueUrls"],
    ]) {
      const found = [];
      for await (const page of pages) found.push(page[member]);
      assert.deepEqual(found.map((page) => page.length), [2, 2, 1]);
      assert.deepEqual(found.flat().sort(), urls);
    }
    const none = await sqs.listQueues({ QueueNamePrefix: "none-" });
    assert.deepEqual(none.QueueUrls ?? [], []);
  },

  async "presigned urls"() {
    const QueueUrl = await create();
    const MessageBody = "by née & ☕";
    const sent = await get(QueueUrl, "SendMessage", { MessageBody });
    assert.equal(sent.element("MD5OfMessageBody"), createHash("md5").update(MessageBody).digest("hex"));
    const received = await get(QueueUrl, "ReceiveMessage");
    assert.equal(received.element("Body"), "by née &amp; ☕");
    const ReceiptHandle = received.element("ReceiptHandle");
    assert.equal((await get(QueueUrl, "DeleteMessage", { ReceiptHandle })).status, 200);
    assert.equal(await attribute(QueueUrl, "ApproximateNumberOfMessagesNotVisible"), "0");
    await sqs.deleteQueue({ QueueUrl });
    const gone = await get(QueueUrl, "ReceiveMessage");
    assert.equal(gone.status, 400);
    assert.equal(gone.element("Code"), "AWS.SimpleQueueService.NonExistentQueue");
  },
};

for (const [name, run] of Object.entries(cases)) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    process.exitCode = 1;
    console.log(`FAIL ${name}: ${error}`);
    console.error(error);
  }
}
