// The cases of ../cases.txt with the AWS SDK for Java v2, which checks the digests of bodies and
// attributes itself. Prints `ok CASE` or `FAIL CASE: why` for each.

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.http.SdkHttpMethod;
import software.amazon.awssdk.http.SdkHttpRequest;
import software.amazon.awssdk.http.auth.aws.signer.AwsV4FamilyHttpSigner.AuthLocation;
import software.amazon.awssdk.http.auth.aws.signer.AwsV4HttpSigner;
import software.amazon.awssdk.retries.DefaultRetryStrategy;
import software.amazon.awssdk.services.sqs.SqsClient;
import software.amazon.awssdk.services.sqs.model.*;

final class Cases {
    static final SqsClient SQS = SqsClient.builder()
        .endpointOverride(URI.create(System.getenv("AWS_ENDPOINT_URL")))
        .credentialsProvider(EnvironmentVariableCredentialsProvider.create())
        .overrideConfiguration(all -> all.retryStrategy(DefaultRetryStrategy.doNotRetry()))
        .build();
    static int queues = 0;

    interface Case {
        void run() throws Exception;
    }

    static void equal(Object found, Object expected) {
        if (!Objects.equals(found, expected)) {
            throw new AssertionError(found + " is not " + expected);
        }
    }

    /** The error of a call that must fail. */
    static AwsServiceException refused(String code, Case call) throws Exception {
        try {
            call.run();
        } catch (AwsServiceException error) {
            equal(error.awsErrorDetails().errorCode(), code);
            Objects.requireNonNull(error.requestId());
            return error;
        }
        throw new AssertionError(code + " expected, and the call succeeded");
    }

    static String name() {
        return "java-" + queues++;
    }

    static String create(Map<String, String> attributes) {
        return create(name() + (attributes.containsKey("FifoQueue") ? ".fifo" : ""), attributes);
    }

    static String create(String name, Map<String, String> attributes) {
        return SQS.createQueue(ask -> ask.queueName(name).attributesWithStrings(attributes)).queueUrl();
    }

    static String nameIn(String url) {
        return url.substring(url.lastIndexOf('/') + 1);
    }

    static SendMessageResponse send(String url, String body) {
        return SQS.sendMessage(ask -> ask.queueUrl(url).messageBody(body));
    }

    static List<Message> receive(String url, int waitSeconds) {
        return SQS.receiveMessage(ask -> ask
            .queueUrl(url)
            .maxNumberOfMessages(10)
            .waitTimeSeconds(waitSeconds)
            .messageSystemAttributeNamesWithStrings("All")
            .messageAttributeNames("All")).messages();
    }

    static Message receiveOne(String url) {
        List<Message> messages = receive(url, 20);
        equal(messages.size(), 1);
        return messages.get(0);
    }

    static void delete(String url, String handle) {
        SQS.deleteMessage(ask -> ask.queueUrl(url).receiptHandle(handle));
    }

    static void giveBack(String url, Message message) {
        SQS.changeMessageVisibility(ask -> ask
            .queueUrl(url).receiptHandle(message.receiptHandle()).visibilityTimeout(0));
    }

    static Map<String, String> attributes(String url, String name) {
        return SQS.getQueueAttributes(ask -> ask.queueUrl(url).attributeNamesWithStrings(name))
            .attributesAsStrings();
    }

    static String attribute(String url, String name) {
        return attributes(url, name).get(name);
    }

    static void set(String url, String name, String value) {
        SQS.setQueueAttributes(ask -> ask.queueUrl(url).attributesWithStrings(Map.of(name, value)));
    }

    static List<String> bodies(List<Message> messages) {
        return messages.stream().map(Message::body).collect(Collectors.toList());
    }

    static String systemAttribute(Message message, String name) {
        return message.attributesAsStrings().get(name);
    }

    static Map<String, String> redrive(String target) {
        String policy = "{\"deadLetterTargetArn\":\"" + target + "\",\"maxReceiveCount\":1}";
        return Map.of("RedrivePolicy", policy);
    }

    static void tour() throws Exception {
        String url = create(Map.of());
        SendMessageResponse sent = send(url, "hello née ☕");
        Message message = receiveOne(url);
        equal(message.body(), "hello née ☕");
        equal(message.messageId(), sent.messageId());
        equal(systemAttribute(message, "ApproximateReceiveCount"), "1");
        delete(url, message.receiptHandle());
        send(url, "purged");
        SQS.purgeQueue(ask -> ask.queueUrl(url));
        equal(receive(url, 0), List.of());
        equal(SQS.getQueueUrl(ask -> ask.queueName(nameIn(url))).queueUrl(), url);
        SQS.deleteQueue(ask -> ask.queueUrl(url));
        refused(
            "AWS.SimpleQueueService.NonExistentQueue",
            () -> SQS.getQueueUrl(ask -> ask.queueName(nameIn(url))));
    }

    static void queueAttributes() throws Exception {
        String url = create(Map.of("VisibilityTimeout", "10"));
        Map<String, String> all = attributes(url, "All");
        equal(all.size(), 12);
        equal(all.get("VisibilityTimeout"), "10");
        set(url, "VisibilityTimeout", "11");
        equal(attribute(url, "VisibilityTimeout"), "11");
        refused("InvalidAttributeValue", () -> set(url, "VisibilityTimeout", "43201"));
        refused("InvalidAttributeName", () -> set(url, "Colour", "red"));
    }

    static void tags() throws Exception {
        Map<String, String> first = Map.of("team", "red", "größe", "");
        String url = SQS.createQueue(ask -> ask.queueName(name()).tags(first)).queueUrl();
        SQS.tagQueue(ask -> ask.queueUrl(url).tags(Map.of("team", "blue", "cost", "a=b")));
        Map<String, String> tags = Map.of("team", "blue", "größe", "", "cost", "a=b");
        equal(SQS.listQueueTags(ask -> ask.queueUrl(url)).tags(), tags);
        SQS.untagQueue(ask -> ask.queueUrl(url).tagKeys(tags.keySet()));
        equal(SQS.listQueueTags(ask -> ask.queueUrl(url)).tags(), Map.of());
        refused(
            "InvalidParameterValue",
            () -> SQS.tagQueue(ask -> ask.queueUrl(url).tags(Map.of("aws:team", "red"))));
    }

    static void permissions() throws Exception {
        String url = create(Map.of());
        SQS.addPermission(ask -> ask
            .queueUrl(url)
            .label("send")
            .awsAccountIds("111122223333", "444455556666")
            .actions("SendMessage", "ReceiveMessage"));
        String actions = "\"Action\":[\"SQS:SendMessage\",\"SQS:ReceiveMessage\"]";
        equal(attribute(url, "Policy").contains(actions), true);
        Case remove = () -> SQS.removePermission(ask -> ask.queueUrl(url).label("send"));
        remove.run();
        equal(attribute(url, "Policy"), null);
        refused("InvalidParameterValue", remove);
    }

    static void queueErrors() throws Exception {
        String missing = "https://sqs.us-east-1.amazonaws.com/000000000000/java-missing";
        AwsServiceException error = refused(
            "AWS.SimpleQueueService.NonExistentQueue",
            () -> SQS.receiveMessage(ask -> ask.queueUrl(missing)));
        equal(error.getClass(), QueueDoesNotExistException.class);
        refused("InvalidParameterValue", () -> create("a b", Map.of()));
        String url = create(Map.of("DelaySeconds", "1"));
        error = refused(
            "QueueAlreadyExists", () -> create(nameIn(url), Map.of("DelaySeconds", "2")));
        equal(error.getClass(), QueueNameExistsException.class);
        refused("ReceiptHandleIsInvalid", () -> delete(url, "garbage"));
        refused(
            "InvalidParameterValue",
            () -> SQS.receiveMessage(ask -> ask.queueUrl(url).maxNumberOfMessages(11)));
        refused("MissingParameter", () -> send(url, ""));
        refused("InvalidMessageContents", () -> send(url, "\u000b"));
    }

    static MessageAttributeValue text(String type, String value) {
        return MessageAttributeValue.builder().dataType(type).stringValue(value).build();
    }

    static void messageAttributes() {
        String url = create(Map.of());
        SdkBytes hello = SdkBytes.fromUtf8String("Hello, World!");
        Map<String, MessageAttributeValue> attributes = Map.of(
            "City", text("String", "Any City"),
            "Population", text("Number.int", "1250800"),
            "Greeting", MessageAttributeValue.builder().dataType("Binary").binaryValue(hello).build());
        String trace = "Root=1-5e3d83c1-e6a0db58";
        SendMessageResponse sent = SQS.sendMessage(ask -> ask
            .queueUrl(url)
            .messageBody("m")
            .messageAttributes(attributes)
            .messageSystemAttributesWithStrings(Map.of("AWSTraceHeader",
                MessageSystemAttributeValue.builder().dataType("String").stringValue(trace).build())));
        equal(sent.md5OfMessageAttributes(), "0bf4fddaaaeccae7e21f21bc0a1bc2a4");
        Message message = receiveOne(url);
        equal(message.messageAttributes(), attributes);
        equal(message.md5OfMessageAttributes(), sent.md5OfMessageAttributes());
        equal(systemAttribute(message, "AWSTraceHeader"), trace);
    }

    static void delayAndLongPoll() throws Exception {
        String url = create(Map.of());
        SQS.sendMessage(ask -> ask.queueUrl(url).messageBody("later").delaySeconds(1));
        equal(receive(url, 0), List.of());
        equal(bodies(receive(url, 20)), List.of("later"));
        var after = CompletableFuture.delayedExecutor(100, TimeUnit.MILLISECONDS);
        var sent = CompletableFuture.runAsync(() -> send(url, "soon"), after);
        equal(bodies(receive(url, 20)), List.of("soon"));
        sent.get();
    }

    static void visibility() throws Exception {
        String url = create(Map.of());
        send(url, "m");
        Message first = receiveOne(url);
        equal(receive(url, 0), List.of());
        giveBack(url, first);
        Message second = receiveOne(url);
        equal(systemAttribute(second, "ApproximateReceiveCount"), "2");
        equal(first.receiptHandle().equals(second.receiptHandle()), false);
        delete(url, second.receiptHandle());
        refused("InvalidParameterValue", () -> giveBack(url, second));
    }

    static SendMessageBatchRequestEntry entry(String id, String body) {
        return SendMessageBatchRequestEntry.builder().id(id).messageBody(body).build();
    }

    static void batches() {
        String url = create(Map.of());
        List<SendMessageBatchRequestEntry> entries =
            IntStream.range(0, 9).mapToObj(one -> entry("" + one, "m" + one))
                .collect(Collectors.toCollection(ArrayList::new));
        entries.add(entry("bad", "\u000b"));
        SendMessageBatchResponse sent =
            SQS.sendMessageBatch(ask -> ask.queueUrl(url).entries(entries));
        equal(sent.successful().size(), 9);
        equal(sent.failed().size(), 1);
        BatchResultErrorEntry failed = sent.failed().get(0);
        equal(
            List.of(failed.id(), failed.code(), failed.senderFault()),
            List.of("bad", "InvalidMessageContents", true));

        List<Message> messages = receive(url, 0);
        equal(
            bodies(messages).stream().sorted().collect(Collectors.toList()),
            entries.stream().limit(9).map(one -> one.messageBody()).collect(Collectors.toList()));
        var changed = SQS.changeMessageVisibilityBatch(ask -> ask.queueUrl(url).entries(
            messages.stream()
                .map(message -> ChangeMessageVisibilityBatchRequestEntry.builder()
                    .id(message.body()).receiptHandle(message.receiptHandle()).visibilityTimeout(60)
                    .build())
                .collect(Collectors.toList())));
        equal(List.of(changed.successful().size(), changed.failed().size()), List.of(9, 0));
        List<DeleteMessageBatchRequestEntry> done =
            Stream.concat(
                    messages.stream().map(one -> List.of(one.body(), one.receiptHandle())),
                    Stream.of(List.of("bad", "garbage")))
                .map(one -> DeleteMessageBatchRequestEntry.builder()
                    .id(one.get(0)).receiptHandle(one.get(1)).build())
                .collect(Collectors.toList());
        var deleted = SQS.deleteMessageBatch(ask -> ask.queueUrl(url).entries(done));
        equal(List.of(deleted.successful().size(), deleted.failed().size()), List.of(9, 1));
        equal(deleted.failed().get(0).code(), "ReceiptHandleIsInvalid");
    }

    static void wrongBatch(String code, SendMessageBatchRequestEntry... entries) throws Exception {
        String url = create(Map.of());
        refused(
            "AWS.SimpleQueueService." + code,
            () -> SQS.sendMessageBatch(ask -> ask.queueUrl(url).entries(entries)));
    }

    static void wrongBatches() throws Exception {
        wrongBatch("EmptyBatchRequest");
        wrongBatch(
            "TooManyEntriesInBatchRequest",
            IntStream.range(0, 11).mapToObj(one -> entry("" + one, "m"))
                .toArray(SendMessageBatchRequestEntry[]::new));
        wrongBatch("BatchEntryIdsNotDistinct", entry("1", "m"), entry("1", "m"));
        wrongBatch("InvalidBatchEntryId", entry("a b", "m"));
        String large = "x".repeat(600_000);
        wrongBatch("BatchRequestTooLong", entry("a", large), entry("b", large));
    }

    static void fifoOrder() {
        String url = create(Map.of("FifoQueue", "true"));
        List<String> sequence = new ArrayList<>();
        for (String body : List.of("a1", "a2", "a3", "b1")) {
            sequence.add(SQS.sendMessage(ask -> ask
                .queueUrl(url)
                .messageBody(body)
                .messageGroupId(body.substring(0, 1))
                .messageDeduplicationId(body)).sequenceNumber());
        }
        equal(sequence.stream().sorted().collect(Collectors.toList()), sequence);
        Message first = SQS.receiveMessage(ask -> ask.queueUrl(url)).messages().get(0);
        equal(first.body(), "a1");
        equal(bodies(receive(url, 0)), List.of("b1"));
        delete(url, first.receiptHandle());
        equal(bodies(receive(url, 0)), List.of("a2", "a3"));
    }

    static void fifoDeduplication() throws Exception {
        String url = create(Map.of("FifoQueue", "true", "ContentBasedDeduplication", "true"));
        SendMessageRequest request =
            SendMessageRequest.builder().queueUrl(url).messageBody("m").messageGroupId("g").build();
        SendMessageResponse first = SQS.sendMessage(request), again = SQS.sendMessage(request);
        equal(first.messageId(), again.messageId());
        equal(first.sequenceNumber(), again.sequenceNumber());
        equal(bodies(receive(url, 0)), List.of("m"));
        refused("MissingParameter", () -> send(url, "m"));
    }

    static void deadLetters() throws Exception {
        String dead = create(Map.of());
        String target = attribute(dead, "QueueArn");
        String url = create(redrive(target));
        send(url, "poison");
        giveBack(url, receiveOne(url));
        equal(receive(url, 0), List.of());
        Message moved = receiveOne(dead);
        equal(moved.body(), "poison");
        equal(systemAttribute(moved, "DeadLetterQueueSourceArn"), attribute(url, "QueueArn"));
        String policy = redrive(target + "x").get("RedrivePolicy");
        refused("InvalidParameterValue", () -> set(url, "RedrivePolicy", policy));
    }

    static void moveTasks() throws Exception {
        String dead = create(Map.of()), other = create(Map.of());
        String source = attribute(dead, "QueueArn");
        create(redrive(source));
        // At one a second, more than can be moved before the task is cancelled.
        for (int one = 0; one < 30; one++) {
            send(dead, "m" + one);
        }
        StartMessageMoveTaskRequest task = StartMessageMoveTaskRequest.builder()
            .sourceArn(source)
            .destinationArn(attribute(other, "QueueArn"))
            .maxNumberOfMessagesPerSecond(1)
            .build();
        String handle = SQS.startMessageMoveTask(task).taskHandle();
        refused("InvalidParameterValue", () -> SQS.startMessageMoveTask(task));
        var results =
            SQS.listMessageMoveTasks(ask -> ask.sourceArn(source).maxResults(10)).results();
        equal(results.size(), 1);
        equal(
            List.of(results.get(0).status(), results.get(0).taskHandle()),
            List.of("RUNNING", handle));
        equal(results.get(0).approximateNumberOfMessagesToMove(), 30L);
        equal(results.get(0).startedTimestamp() > 1_600_000_000_000L, true);
        equal(receive(other, 20).get(0).body(), "m0");
        long moved = SQS.cancelMessageMoveTask(ask -> ask.taskHandle(handle))
            .approximateNumberOfMessagesMoved();
        equal(1 <= moved && moved < 30, true);
        refused(
            "ResourceNotFoundException",
            () -> SQS.startMessageMoveTask(ask -> ask.sourceArn(source + "x")));
    }

    static void pages() {
        String dead = create(Map.of());
        Map<String, String> policy = redrive(attribute(dead, "QueueArn"));
        List<String> urls = new ArrayList<>();
        for (int one = 0; one < 5; one++) {
            urls.add(create("pages-" + one, policy));
        }
        List<List<String>> listed = SQS
            .listQueuesPaginator(ask -> ask.queueNamePrefix("pages-").maxResults(2))
            .stream().map(ListQueuesResponse::queueUrls).collect(Collectors.toList());
        List<List<String>> sources = SQS
            .listDeadLetterSourceQueuesPaginator(ask -> ask.queueUrl(dead).maxResults(2))
            .stream().map(ListDeadLetterSourceQueuesResponse::queueUrls).collect(Collectors.toList());
        for (List<List<String>> pages : List.of(listed, sources)) {
            equal(pages.stream().map(List::size).collect(Collectors.toList()), List.of(2, 2, 1));
            equal(pages.stream().flatMap(List::stream).sorted().collect(Collectors.toList()), urls);
        }
        equal(SQS.listQueues(ask -> ask.queueNamePrefix("none-")).queueUrls(), List.of());
    }

    /** What a GET of a presigned URL is answered. */
    static HttpResponse<String> get(String url, String action, String... parameters) throws Exception {
        SdkHttpRequest.Builder request =
            SdkHttpRequest.builder().method(SdkHttpMethod.GET).uri(URI.create(url))
                .putRawQueryParameter("Action", action)
                .putRawQueryParameter("Version", "2012-11-05");
        for (int at = 0; at < parameters.length; at += 2) {
            request.putRawQueryParameter(parameters[at], parameters[at + 1]);
        }
        var signed = AwsV4HttpSigner.create().sign(sign -> sign
            .identity(EnvironmentVariableCredentialsProvider.create().resolveCredentials())
            .request(request.build())
            .putProperty(AwsV4HttpSigner.SERVICE_SIGNING_NAME, "sqs")
            .putProperty(AwsV4HttpSigner.REGION_NAME, System.getenv("AWS_REGION"))
            .putProperty(AwsV4HttpSigner.AUTH_LOCATION, AuthLocation.QUERY_STRING)
            .putProperty(AwsV4HttpSigner.EXPIRATION_DURATION, Duration.ofMinutes(1)));
        var get = HttpRequest.newBuilder(signed.request().getUri()).build();
        return HttpClient.newHttpClient().send(get, HttpResponse.BodyHandlers.ofString());
    }

    static String element(HttpResponse<String> answer, String name) {
        var found = Pattern.compile("<" + name + ">([^<]*)</").matcher(answer.body());
        equal(found.find(), true);
        return found.group(1);
    }

    static void presignedUrls() throws Exception {
        String url = create(Map.of());
        var sent = get(url, "SendMessage", "MessageBody", "by née & ☕");
        equal(element(sent, "MD5OfMessageBody"), "60bc9d79bef0c69c6c5a785d48807ce0");
        var received = get(url, "ReceiveMessage");
        equal(element(received, "Body"), "by née &amp; ☕");
        String handle = element(received, "ReceiptHandle");
        equal(get(url, "DeleteMessage", "ReceiptHandle", handle).statusCode(), 200);
        equal(attribute(url, "ApproximateNumberOfMessagesNotVisible"), "0");
        SQS.deleteQueue(ask -> ask.queueUrl(url));
        var gone = get(url, "ReceiveMessage");
        equal(gone.statusCode(), 400);
        equal(element(gone, "Code"), "AWS.SimpleQueueService.NonExistentQueue");
    }

    public static void main(String[] none) {
        Map<String, Case> cases = new LinkedHashMap<>();
        cases.put("tour", Cases::tour);
        cases.put("attributes", Cases::queueAttributes);
        cases.put("tags", Cases::tags);
        cases.put("permissions", Cases::permissions);
        cases.put("queue errors", Cases::queueErrors);
        cases.put("message attributes", Cases::messageAttributes);
        cases.put("delay and long poll", Cases::delayAndLongPoll);
        cases.put("visibility", Cases::visibility);
        cases.put("batches with partial failures", Cases::batches);
        cases.put("wrong batches", Cases::wrongBatches);
        cases.put("fifo order", Cases::fifoOrder);
        cases.put("fifo deduplication", Cases::fifoDeduplication);
        cases.put("dead letters", Cases::deadLetters);
        cases.put("move tasks", Cases::moveTasks);
        cases.put("pages", Cases::pages);
        cases.put("presigned urls", Cases::presignedUrls);
        int failures = 0;
        for (var one : cases.entrySet()) {
            try {
                one.getValue().run();
                System.out.println("ok " + one.getKey());
            } catch (Throwable why) {
                failures++;
                System.out.println("FAIL " + one.getKey() + ": " + why);
                why.printStackTrace();
            }
        }
        System.exit(failures == 0 ? 0 : 1);
    }
}
