// The cases of ../cases.txt with the AWS SDK for Go v2, which checks the digests of bodies itself.
// Prints `ok CASE` or `FAIL CASE: why` for each.
package main

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
)

var (
	ctx         = context.Background()
	region      = os.Getenv("AWS_REGION")
	credentials = aws.Credentials{
		AccessKeyID:     os.Getenv("AWS_ACCESS_KEY_ID"),
		SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
	}
	client = sqs.New(sqs.Options{
		BaseEndpoint:     aws.String(os.Getenv("AWS_ENDPOINT_URL")),
		Region:           region,
		RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(
			func(context.Context) (aws.Credentials, error) { return credentials, nil },
		),
	})
	queues = 0
)

type attributes = map[string]string

// must returns what a call that has to succeed returns.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func equal(found, expected any) {
	if !reflect.DeepEqual(found, expected) {
		panic(fmt.Sprintf("%v is not %v", found, expected))
	}
}

// refused checks the code of the error of a call that must fail.
func refused(code string, _ any, err error) error {
	var refusal smithy.APIError
	if !errors.As(err, &refusal) {
		panic(fmt.Sprintf("%s expected, not %v", code, err))
	}
	equal(refusal.ErrorCode(), code)
	return err
}

func name() string {
	queues++
	return fmt.Sprintf("go-%d", queues)
}

func create(given attributes) *string {
	queue := name()
	if given["FifoQueue"] == "true" {
		queue += ".fifo"
	}
	return createNamed(queue, given)
}

func createNamed(queue string, given attributes) *string {
	input := &sqs.CreateQueueInput{QueueName: &queue, Attributes: given}
	return must(client.CreateQueue(ctx, input)).QueueUrl
}

func nameIn(queueUrl *string) *string {
	parts := strings.Split(*queueUrl, "/")
	return &parts[len(parts)-1]
}

func send(queueUrl *string, body string) *sqs.SendMessageOutput {
	return must(client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: queueUrl, MessageBody: &body}))
}

func receive(queueUrl *string, waitSeconds int32) []types.Message {
	return must(client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl:                    queueUrl,
		MaxNumberOfMessages:         10,
		WaitTimeSeconds:             waitSeconds,
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"},
		MessageAttributeNames:       []string{"All"},
	})).Messages
}

func receiveOne(queueUrl *string) types.Message {
	messages := receive(queueUrl, 20)
	equal(len(messages), 1)
	return messages[0]
}

func remove(queueUrl *string, message types.Message) (*sqs.DeleteMessageOutput, error) {
	return client.DeleteMessage(ctx, &sqs.DeleteMessageInput{
		QueueUrl: queueUrl, ReceiptHandle: message.ReceiptHandle,
	})
}

func giveBack(
	queueUrl *string, message types.Message,
) (*sqs.ChangeMessageVisibilityOutput, error) {
	return client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{
		QueueUrl: queueUrl, ReceiptHandle: message.ReceiptHandle, VisibilityTimeout: 0,
	})
}

func getAll(queueUrl *string, names ...types.QueueAttributeName) attributes {
	return must(client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: queueUrl, AttributeNames: names,
	})).Attributes
}

func get(queueUrl *string, name types.QueueAttributeName) string {
	return getAll(queueUrl, name)[string(name)]
}

func set(queueUrl *string, name, value string) (*sqs.SetQueueAttributesOutput, error) {
	return client.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{
		QueueUrl: queueUrl, Attributes: attributes{name: value},
	})
}

func bodies(messages []types.Message) []string {
	found := []string{}
	for _, message := range messages {
		found = append(found, *message.Body)
	}
	return found
}

func redrive(target string) string {
	return fmt.Sprintf(`{"deadLetterTargetArn":"%s","maxReceiveCount":1}`, target)
}

func tour() {
	queue := create(nil)
	sent := send(queue, "hello née ☕")
	message := receiveOne(queue)
	equal(*message.Body, "hello née ☕")
	equal(*message.MessageId, *sent.MessageId)
	equal(message.Attributes["ApproximateReceiveCount"], "1")
	must(remove(queue, message))
	send(queue, "purged")
	must(client.PurgeQueue(ctx, &sqs.PurgeQueueInput{QueueUrl: queue}))
	equal(bodies(receive(queue, 0)), []string{})
	named := &sqs.GetQueueUrlInput{QueueName: nameIn(queue)}
	equal(*must(client.GetQueueUrl(ctx, named)).QueueUrl, *queue)
	must(client.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: queue}))
	gone, err := client.GetQueueUrl(ctx, named)
	refused("AWS.SimpleQueueService.NonExistentQueue", gone, err)
}

func queueAttributes() {
	queue := create(attributes{"VisibilityTimeout": "10"})
	all := getAll(queue, "All")
	equal(len(all), 12)
	equal(all["VisibilityTimeout"], "10")
	must(set(queue, "VisibilityTimeout", "11"))
	equal(get(queue, "VisibilityTimeout"), "11")
	output, err := set(queue, "VisibilityTimeout", "43201")
	refused("InvalidAttributeValue", output, err)
	output, err = set(queue, "Colour", "red")
	refused("InvalidAttributeName", output, err)
}

func tags() {
	queue := must(client.CreateQueue(ctx, &sqs.CreateQueueInput{
		QueueName: aws.String(name()), Tags: map[string]string{"team": "red", "größe": ""},
	})).QueueUrl
	tag := func(tags map[string]string) (*sqs.TagQueueOutput, error) {
		return client.TagQueue(ctx, &sqs.TagQueueInput{QueueUrl: queue, Tags: tags})
	}
	listed := func() map[string]string {
		return must(client.ListQueueTags(ctx, &sqs.ListQueueTagsInput{QueueUrl: queue})).Tags
	}
	must(tag(map[string]string{"team": "blue", "cost": "a=b"}))
	equal(listed(), map[string]string{"team": "blue", "größe": "", "cost": "a=b"})
	keys := []string{"team", "größe", "cost"}
	must(client.UntagQueue(ctx, &sqs.UntagQueueInput{QueueUrl: queue, TagKeys: keys}))
	equal(len(listed()), 0)
	output, err := tag(map[string]string{"aws:team": "red"})
	refused("InvalidParameterValue", output, err)
}

func permissions() {
	queue := create(nil)
	must(client.AddPermission(ctx, &sqs.AddPermissionInput{
		QueueUrl:      queue,
		Label:         aws.String("send"),
		AWSAccountIds: []string{"111122223333", "444455556666"},
		Actions:       []string{"SendMessage", "ReceiveMessage"},
	}))
	policy := get(queue, "Policy")
	equal(strings.Contains(policy, `"Action":["SQS:SendMessage","SQS:ReceiveMessage"]`), true)
	remove := func() (*sqs.RemovePermissionOutput, error) {
		return client.RemovePermission(ctx, &sqs.RemovePermissionInput{
			QueueUrl: queue, Label: aws.String("send"),
		})
	}
	must(remove())
	equal(get(queue, "Policy"), "")
	output, err := remove()
	refused("InvalidParameterValue", output, err)
}

func queueErrors() {
	missing := aws.String("https://sqs.us-east-1.amazonaws.com/000000000000/go-missing")
	received, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: missing})
	err = refused("AWS.SimpleQueueService.NonExistentQueue", received, err)
	var doesNotExist *types.QueueDoesNotExist
	equal(errors.As(err, &doesNotExist), true)
	created, err := client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("a b")})
	refused("InvalidParameterValue", created, err)
	queue := create(attributes{"DelaySeconds": "1"})
	created, err = client.CreateQueue(ctx, &sqs.CreateQueueInput{
		QueueName: nameIn(queue), Attributes: attributes{"DelaySeconds": "2"},
	})
	var exists *types.QueueNameExists
	equal(errors.As(refused("QueueAlreadyExists", created, err), &exists), true)
	deleted, err := remove(queue, types.Message{ReceiptHandle: aws.String("garbage")})
	refused("ReceiptHandleIsInvalid", deleted, err)
	received, err = client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: queue, MaxNumberOfMessages: 11,
	})
	refused("InvalidParameterValue", received, err)
	for body, code := range map[string]string{
		"": "MissingParameter", "\v": "InvalidMessageContents",
	} {
		input := &sqs.SendMessageInput{QueueUrl: queue, MessageBody: &body}
		sent, err := client.SendMessage(ctx, input)
		refused(code, sent, err)
	}
}

func messageAttributes() {
	queue := create(nil)
	text := func(kind, value string) types.MessageAttributeValue {
		return types.MessageAttributeValue{DataType: &kind, StringValue: &value}
	}
	sent := must(client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl:    queue,
		MessageBody: aws.String("m"),
		MessageAttributes: map[string]types.MessageAttributeValue{
			"City":       text("String", "Any City"),
			"Population": text("Number.int", "1250800"),
			"Greeting": {
				DataType: aws.String("Binary"), BinaryValue: []byte("Hello, World!"),
			},
		},
		MessageSystemAttributes: map[string]types.MessageSystemAttributeValue{
			"AWSTraceHeader": {
				DataType:    aws.String("String"),
				StringValue: aws.String("Root=1-5e3d83c1-e6a0db58"),
			},
		},
	}))
	equal(*sent.MD5OfMessageAttributes, "0bf4fddaaaeccae7e21f21bc0a1bc2a4")
	message := receiveOne(queue)
	equal(*message.MD5OfMessageAttributes, *sent.MD5OfMessageAttributes)
	found := message.MessageAttributes
	equal(*found["City"].StringValue, "Any City")
	equal(*found["Population"].DataType, "Number.int")
	equal(string(found["Greeting"].BinaryValue), "Hello, World!")
	equal(message.Attributes["AWSTraceHeader"], "Root=1-5e3d83c1-e6a0db58")
}

func delayAndLongPoll() {
	queue := create(nil)
	must(client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: queue, MessageBody: aws.String("later"), DelaySeconds: 1,
	}))
	equal(bodies(receive(queue, 0)), []string{})
	equal(bodies(receive(queue, 20)), []string{"later"})
	sent := make(chan any)
	time.AfterFunc(100*time.Millisecond, func() { sent <- send(queue, "soon") })
	equal(bodies(receive(queue, 20)), []string{"soon"})
	<-sent
}

func visibility() {
	queue := create(nil)
	send(queue, "m")
	first := receiveOne(queue)
	equal(bodies(receive(queue, 0)), []string{})
	must(giveBack(queue, first))
	second := receiveOne(queue)
	equal(second.Attributes["ApproximateReceiveCount"], "2")
	equal(*first.ReceiptHandle == *second.ReceiptHandle, false)
	must(remove(queue, second))
	output, err := giveBack(queue, second)
	refused("InvalidParameterValue", output, err)
}

func sendBatch(queue *string, body string, ids ...string) (*sqs.SendMessageBatchOutput, error) {
	entries := []types.SendMessageBatchRequestEntry{}
	for _, id := range ids {
		entries = append(entries, types.SendMessageBatchRequestEntry{Id: &id, MessageBody: &body})
	}
	return client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{
		QueueUrl: queue, Entries: entries,
	})
}

func batches() {
	queue := create(nil)
	entries, expected := []types.SendMessageBatchRequestEntry{}, []string{}
	for number := range 9 {
		id, body := fmt.Sprint(number), fmt.Sprintf("m%d", number)
		expected = append(expected, body)
		entries = append(entries, types.SendMessageBatchRequestEntry{Id: &id, MessageBody: &body})
	}
	entries = append(entries, types.SendMessageBatchRequestEntry{
		Id: aws.String("bad"), MessageBody: aws.String("\v"),
	})
	sent := must(client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{
		QueueUrl: queue, Entries: entries,
	}))
	equal(len(sent.Successful), 9)
	equal(len(sent.Failed), 1)
	equal(*sent.Failed[0].Id, "bad")
	equal(*sent.Failed[0].Code, "InvalidMessageContents")
	equal(sent.Failed[0].SenderFault, true)

	messages := receive(queue, 0)
	found := bodies(messages)
	slices.Sort(found)
	equal(found, expected)
	hidden := []types.ChangeMessageVisibilityBatchRequestEntry{}
	done := []types.DeleteMessageBatchRequestEntry{
		{Id: aws.String("bad"), ReceiptHandle: aws.String("garbage")},
	}
	for number, message := range messages {
		id, handle := fmt.Sprint(number), message.ReceiptHandle
		hidden = append(hidden, types.ChangeMessageVisibilityBatchRequestEntry{
			Id: &id, ReceiptHandle: handle, VisibilityTimeout: 60,
		})
		done = append(done, types.DeleteMessageBatchRequestEntry{Id: &id, ReceiptHandle: handle})
	}
	changed := must(client.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{
		QueueUrl: queue, Entries: hidden,
	}))
	equal([]int{len(changed.Successful), len(changed.Failed)}, []int{9, 0})
	deleted := must(client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{
		QueueUrl: queue, Entries: done,
	}))
	equal([]int{len(deleted.Successful), len(deleted.Failed)}, []int{9, 1})
	equal(*deleted.Failed[0].Code, "ReceiptHandleIsInvalid")
}

func wrongBatches() {
	queue := create(nil)
	large := strings.Repeat("x", 600_000)
	for _, wrong := range []struct {
		code, body string
		ids        []string
	}{
		{"EmptyBatchRequest", "m", nil},
		{"TooManyEntriesInBatchRequest", "m", strings.Split("0 1 2 3 4 5 6 7 8 9 10", " ")},
		{"BatchEntryIdsNotDistinct", "m", []string{"1", "1"}},
		{"InvalidBatchEntryId", "m", []string{"a b"}},
		{"BatchRequestTooLong", large, []string{"a", "b"}},
	} {
		output, err := sendBatch(queue, wrong.body, wrong.ids...)
		refused("AWS.SimpleQueueService."+wrong.code, output, err)
	}
}

func fifoOrder() {
	queue := create(attributes{"FifoQueue": "true"})
	sendTo := func(group, body string) string {
		return *must(client.SendMessage(ctx, &sqs.SendMessageInput{
			QueueUrl: queue, MessageBody: &body, MessageGroupId: &group,
			MessageDeduplicationId: &body,
		})).SequenceNumber
	}
	sequence := []string{sendTo("a", "a1"), sendTo("a", "a2"), sendTo("a", "a3")}
	equal(slices.IsSorted(sequence), true)
	sendTo("b", "b1")
	one := &sqs.ReceiveMessageInput{QueueUrl: queue}
	first := must(client.ReceiveMessage(ctx, one)).Messages[0]
	equal(*first.Body, "a1")
	equal(bodies(receive(queue, 0)), []string{"b1"})
	must(remove(queue, first))
	equal(bodies(receive(queue, 0)), []string{"a2", "a3"})
}

func fifoDeduplication() {
	queue := create(attributes{"FifoQueue": "true", "ContentBasedDeduplication": "true"})
	input := &sqs.SendMessageInput{
		QueueUrl: queue, MessageBody: aws.String("m"), MessageGroupId: aws.String("g"),
	}
	first, again := must(client.SendMessage(ctx, input)), must(client.SendMessage(ctx, input))
	equal(*first.MessageId, *again.MessageId)
	equal(*first.SequenceNumber, *again.SequenceNumber)
	equal(bodies(receive(queue, 0)), []string{"m"})
	input.MessageGroupId = nil
	output, err := client.SendMessage(ctx, input)
	refused("MissingParameter", output, err)
}

func deadLetters() {
	dead := create(nil)
	target := get(dead, "QueueArn")
	queue := create(attributes{"RedrivePolicy": redrive(target)})
	send(queue, "poison")
	must(giveBack(queue, receiveOne(queue)))
	equal(bodies(receive(queue, 0)), []string{})
	moved := receiveOne(dead)
	equal(*moved.Body, "poison")
	equal(moved.Attributes["DeadLetterQueueSourceArn"], get(queue, "QueueArn"))
	output, err := set(queue, "RedrivePolicy", redrive(target+"x"))
	refused("InvalidParameterValue", output, err)
}

func moveTasks() {
	dead, other := create(nil), create(nil)
	source := get(dead, "QueueArn")
	create(attributes{"RedrivePolicy": redrive(source)})
	// At one a second, more than can be moved before the task is cancelled.
	for number := range 30 {
		send(dead, fmt.Sprintf("m%d", number))
	}
	task := &sqs.StartMessageMoveTaskInput{
		SourceArn:                    &source,
		DestinationArn:               aws.String(get(other, "QueueArn")),
		MaxNumberOfMessagesPerSecond: aws.Int32(1),
	}
	handle := must(client.StartMessageMoveTask(ctx, task)).TaskHandle
	again, err := client.StartMessageMoveTask(ctx, task)
	refused("InvalidParameterValue", again, err)
	results := must(client.ListMessageMoveTasks(ctx, &sqs.ListMessageMoveTasksInput{
		SourceArn: &source, MaxResults: aws.Int32(10),
	})).Results
	equal(len(results), 1)
	equal([]string{*results[0].Status, *results[0].TaskHandle}, []string{"RUNNING", *handle})
	equal(*results[0].ApproximateNumberOfMessagesToMove, int64(30))
	equal(results[0].StartedTimestamp > 1_600_000_000_000, true)
	equal(*receive(other, 20)[0].Body, "m0")
	moved := must(client.CancelMessageMoveTask(ctx, &sqs.CancelMessageMoveTaskInput{
		TaskHandle: handle,
	})).ApproximateNumberOfMessagesMoved
	equal(1 <= moved && moved < 30, true)
	missing, err := client.StartMessageMoveTask(ctx, &sqs.StartMessageMoveTaskInput{
		SourceArn: aws.String(source + "x"),
	})
	refused("ResourceNotFoundException", missing, err)
}

func pages() {
	dead := create(nil)
	policy := attributes{"RedrivePolicy": redrive(get(dead, "QueueArn"))}
	urls := []string{}
	for number := range 5 {
		urls = append(urls, *createNamed(fmt.Sprintf("pages-%d", number), policy))
	}
	sizes, found := []int{}, []string{}
	add := func(page []string) {
		sizes, found = append(sizes, len(page)), append(found, page...)
	}
	listed := sqs.NewListQueuesPaginator(client, &sqs.ListQueuesInput{
		QueueNamePrefix: aws.String("pages-"), MaxResults: aws.Int32(2),
	})
	for listed.HasMorePages() {
		add(must(listed.NextPage(ctx)).QueueUrls)
	}
	sources := sqs.NewListDeadLetterSourceQueuesPaginator(client,
		&sqs.ListDeadLetterSourceQueuesInput{QueueUrl: dead, MaxResults: aws.Int32(2)})
	for sources.HasMorePages() {
		add(must(sources.NextPage(ctx)).QueueUrls)
	}
	equal(sizes, []int{2, 2, 1, 2, 2, 1})
	slices.Sort(found[:5])
	slices.Sort(found[5:])
	equal(found, append(urls, urls...))
}

// ask returns the status and the text of what a GET of a presigned URL is answered.
func ask(queue *string, action string, parameters url.Values) (int, string) {
	query := url.Values{"Action": {action}, "Version": {"2012-11-05"}, "X-Amz-Expires": {"60"}}
	for name, values := range parameters {
		query[name] = values
	}
	request := must(http.NewRequest(http.MethodGet, *queue+"?"+query.Encode(), nil))
	empty := "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	signed, _, err := v4.NewSigner().PresignHTTP(
		ctx, credentials, request, empty, "sqs", region, time.Now())
	answer := must(http.Get(must(signed, err)))
	defer answer.Body.Close()
	return answer.StatusCode, string(must(io.ReadAll(answer.Body)))
}

func element(text, name string) string {
	found := regexp.MustCompile("<" + name + ">([^<]*)</").FindStringSubmatch(text)
	if found == nil {
		panic(fmt.Sprintf("no %s in %s", name, text))
	}
	return found[1]
}

func presignedUrls() {
	queue := create(nil)
	body := "by née & ☕"
	_, sent := ask(queue, "SendMessage", url.Values{"MessageBody": {body}})
	equal(element(sent, "MD5OfMessageBody"), fmt.Sprintf("%x", md5.Sum([]byte(body))))
	_, received := ask(queue, "ReceiveMessage", nil)
	equal(element(received, "Body"), "by née &amp; ☕")
	handle := url.Values{"ReceiptHandle": {element(received, "ReceiptHandle")}}
	status, _ := ask(queue, "DeleteMessage", handle)
	equal(status, 200)
	equal(get(queue, "ApproximateNumberOfMessagesNotVisible"), "0")
	must(client.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: queue}))
	status, gone := ask(queue, "ReceiveMessage", nil)
	equal(status, 400)
	equal(element(gone, "Code"), "AWS.SimpleQueueService.NonExistentQueue")
}

// run prints what became of a case, and whether it is well.
func run(title string, test func()) (ok bool) {
	defer func() {
		if why := recover(); why != nil {
			fmt.Printf("FAIL %s: %v\n", title, why)
			ok = false
		}
	}()
	test()
	fmt.Println("ok", title)
	return true
}

func main() {
	failures := 0
	for _, one := range []struct {
		title string
		test  func()
	}{
		{"tour", tour},
		{"attributes", queueAttributes},
		{"tags", tags},
		{"permissions", permissions},
		{"queue errors", queueErrors},
		{"message attributes", messageAttributes},
		{"delay and long poll", delayAndLongPoll},
		{"visibility", visibility},
		{"batches with partial failures", batches},
		{"wrong batches", wrongBatches},
		{"fifo order", fifoOrder},
		{"fifo deduplication", fifoDeduplication},
		{"dead letters", deadLetters},
		{"move tasks", moveTasks},
		{"pages", pages},
		{"presigned urls", presignedUrls},
	} {
		if !run(one.title, one.test) {
			failures++
		}
	}
	if failures > 0 {
		os.Exit(1)
	}
}
