#!/usr/bin/env bash
# The cases of ../cases.txt with the AWS command line, version 1 or 2, whichever comes first on the
# path. Prints `ok CASE` or `FAIL CASE: why` for each. A case is a function that runs in a subshell
# and ends at its first failing command.

number=0
# Each case makes queues of its own: its number is in their names.
name() { echo "cli-$number-$1"; }

sqs() { aws --endpoint-url "$AWS_ENDPOINT_URL" sqs "$@" --output text; }
create() { sqs create-queue --queue-name "$(name "$1")" "${@:2}"; }
attribute() {
    sqs get-queue-attributes --queue-url "$1" --attribute-names "$2" --query "Attributes.$2"
}
receive() {
    # The older name of --message-system-attribute-names, which every version knows.
    sqs receive-message --queue-url "$1" --max-number-of-messages 10 \
        --attribute-names All --message-attribute-names All "${@:2}"
}
# The answer's text form for nothing is the word None, or nothing at all.
receive_bodies() {
    receive "$1" --query 'join(`" "`, Messages[].Body || `[]`)' "${@:2}"
}
receive_handle() { receive "$1" --query 'Messages[0].ReceiptHandle'; }
give_back() {
    sqs change-message-visibility --queue-url "$1" --receipt-handle "$2" --visibility-timeout 0
}

redrive() {
    echo "{\"RedrivePolicy\":\"{\\\"deadLetterTargetArn\\\":\\\"$1\\\",\\\"maxReceiveCount\\\":1}\"}"
}

equal() {
    if [ "$1" != "$2" ]; then
        echo "'$1' is not '$2'" >&2
        return 1
    fi
}

# refused CODE COMMAND...: it must fail with that code.
refused() {
    local said
    if said=$("${@:2}" 2>&1); then
        echo "$1 expected, and the call succeeded" >&2
        return 1
    fi
    if [[ "$said" != *"($1)"* ]]; then
        echo "$1 expected: $said" >&2
        return 1
    fi
}

tour() {
    local url handle
    url=$(create q)
    sqs send-message --queue-url "$url" --message-body 'hello née ☕' >&2
    handle=$(receive_handle "$url")
    equal "$(attribute "$url" ApproximateNumberOfMessagesNotVisible)" 1
    give_back "$url" "$handle"
    equal "$(receive_bodies "$url" --visibility-timeout 0)" 'hello née ☕'
    handle=$(receive_handle "$url")
    sqs delete-message --queue-url "$url" --receipt-handle "$handle"
    sqs send-message --queue-url "$url" --message-body purged >&2
    sqs purge-queue --queue-url "$url"
    equal "$(receive_bodies "$url")" ''
    equal "$(sqs get-queue-url --queue-name "$(name q)")" "$url"
    sqs delete-queue --queue-url "$url"
    refused AWS.SimpleQueueService.NonExistentQueue sqs get-queue-url --queue-name "$(name q)"
}

attributes() {
    local url
    url=$(create q --attributes VisibilityTimeout=10)
    equal "$(sqs get-queue-attributes --queue-url "$url" --attribute-names All \
        --query 'length(keys(Attributes))')" 12
    sqs set-queue-attributes --queue-url "$url" --attributes VisibilityTimeout=11
    equal "$(attribute "$url" VisibilityTimeout)" 11
    refused InvalidAttributeValue \
        sqs set-queue-attributes --queue-url "$url" --attributes VisibilityTimeout=43201
    refused InvalidAttributeName \
        sqs set-queue-attributes --queue-url "$url" --attributes Colour=red
}

tags() {
    local url
    url=$(create q --tags team=red,cost=a)
    sqs tag-queue --queue-url "$url" --tags '{"team":"blue","größe":""}'
    listed() { sqs list-queue-tags --queue-url "$url" --query "$1"; }
    equal "$(listed 'Tags.[team,cost,"größe"]')" $'blue\ta\t'
    sqs untag-queue --queue-url "$url" --tag-keys team cost größe
    equal "$(listed Tags)" None
    refused InvalidParameterValue sqs tag-queue --queue-url "$url" --tags aws:team=red
}

permissions() {
    local url
    url=$(create q)
    sqs add-permission --queue-url "$url" --label send \
        --aws-account-ids 111122223333 444455556666 --actions SendMessage ReceiveMessage
    [[ "$(attribute "$url" Policy)" == *'"Sid":"send"'* ]]
    sqs remove-permission --queue-url "$url" --label send
    equal "$(attribute "$url" Policy)" None
    refused InvalidParameterValue sqs remove-permission --queue-url "$url" --label send
}

queue_errors() {
    local url
    refused AWS.SimpleQueueService.NonExistentQueue \
        sqs receive-message --queue-url https://sqs.us-east-1.amazonaws.com/000000000000/cli-missing
    refused InvalidParameterValue sqs create-queue --queue-name 'a b'
    url=$(create q --attributes DelaySeconds=1)
    refused QueueAlreadyExists create q --attributes DelaySeconds=2
    refused ReceiptHandleIsInvalid \
        sqs delete-message --queue-url "$url" --receipt-handle garbage
    refused InvalidParameterValue \
        sqs receive-message --queue-url "$url" --max-number-of-messages 11
    refused MissingParameter sqs send-message --queue-url "$url" --message-body ''
    refused InvalidMessageContents sqs send-message --queue-url "$url" --message-body $'\v'
}

message_attributes() {
    local url greeting='Hello, World!' digest=0bf4fddaaaeccae7e21f21bc0a1bc2a4
    url=$(create q)
    # Version 2 wants what is binary in base64, version 1 as it is.
    case $(aws --version) in aws-cli/2.*) greeting=SGVsbG8sIFdvcmxkIQ== ;; esac
    equal "$(sqs send-message --queue-url "$url" --message-body m \
        --message-attributes '{
            "City": {"DataType": "String", "StringValue": "Any City"},
            "Population": {"DataType": "Number.int", "StringValue": "1250800"},
            "Greeting": {"DataType": "Binary", "BinaryValue": "'"$greeting"'"}
        }' --query MD5OfMessageAttributes)" $digest
    equal "$(receive "$url" --query 'Messages[0].[MessageAttributes.City.StringValue,
        MessageAttributes.Greeting.BinaryValue,MD5OfMessageAttributes]')" \
        $'Any City\tSGVsbG8sIFdvcmxkIQ==\t'$digest
}

delay_and_long_poll() {
    local url
    url=$(create q)
    sqs send-message --queue-url "$url" --message-body later --delay-seconds 1 >&2
    equal "$(receive_bodies "$url" --wait-time-seconds 20)" later
    sqs send-message --queue-url "$url" --message-body soon >&2 &
    equal "$(receive_bodies "$url" --wait-time-seconds 20)" soon
    wait
}

visibility() {
    local url handle
    url=$(create q)
    sqs send-message --queue-url "$url" --message-body m >&2
    handle=$(receive_handle "$url")
    equal "$(receive_bodies "$url")" ''
    give_back "$url" "$handle"
    equal "$(receive "$url" --query 'Messages[0].Attributes.ApproximateReceiveCount')" 2
    sqs delete-message --queue-url "$url" --receipt-handle "$handle"
    refused InvalidParameterValue give_back "$url" "$handle"
}

batches_with_partial_failures() {
    local url handle
    url=$(create q)
    equal "$(sqs send-message-batch --queue-url "$url" --entries \
        '[{"Id":"a","MessageBody":"m"},{"Id":"b","MessageBody":"\u000b"}]' \
        --query '[Successful[].Id, Failed[].Code][]')" $'a\tInvalidMessageContents'
    handle=$(receive_handle "$url")
    equal "$(sqs change-message-visibility-batch --queue-url "$url" --entries \
        "Id=a,ReceiptHandle=$handle,VisibilityTimeout=60" \
        --query '[length(Successful), Failed]')" $'1\tNone'
    equal "$(sqs delete-message-batch --queue-url "$url" --entries \
        "Id=a,ReceiptHandle=$handle" Id=b,ReceiptHandle=garbage \
        --query '[Successful[].Id, Failed[].Code][]')" $'a\tReceiptHandleIsInvalid'
}

wrong_batches() {
    local url
    url=$(create q)
    refused AWS.SimpleQueueService.EmptyBatchRequest \
        sqs send-message-batch --queue-url "$url" --entries '[]'
    refused AWS.SimpleQueueService.BatchEntryIdsNotDistinct \
        sqs send-message-batch --queue-url "$url" --entries Id=a,MessageBody=m Id=a,MessageBody=m
    refused AWS.SimpleQueueService.InvalidBatchEntryId \
        sqs send-message-batch --queue-url "$url" --entries 'Id=a b,MessageBody=m'
}

send_in_order() {
    sqs send-message --queue-url "$1" --message-body "$2" --message-group-id "$3" \
        --message-deduplication-id "$2" --query SequenceNumber
}

fifo_order() {
    local url first second
    url=$(create q.fifo --attributes FifoQueue=true)
    first=$(send_in_order "$url" a1 a)
    second=$(send_in_order "$url" a2 a)
    [[ "$first" < "$second" ]]
    equal "$(receive_bodies "$url")" 'a1 a2'
    send_in_order "$url" a3 a >&2
    send_in_order "$url" b1 b >&2
    equal "$(receive_bodies "$url")" b1
}

fifo_deduplication() {
    local url first
    url=$(create q.fifo --attributes FifoQueue=true,ContentBasedDeduplication=true)
    send() { sqs send-message --queue-url "$url" --message-body m "$@" --query MessageId; }
    first=$(send --message-group-id g)
    equal "$(send --message-group-id g)" "$first"
    equal "$(receive_bodies "$url")" m
    refused MissingParameter send
}

dead_letters() {
    local url dead target handle
    dead=$(create dead)
    target=$(attribute "$dead" QueueArn)
    url=$(create q --attributes "$(redrive "$target")")
    sqs send-message --queue-url "$url" --message-body poison >&2
    handle=$(receive_handle "$url")
    give_back "$url" "$handle"
    equal "$(receive_bodies "$url")" ''
    equal "$(receive "$dead" --wait-time-seconds 20 \
        --query 'Messages[0].Attributes.DeadLetterQueueSourceArn')" "$(attribute "$url" QueueArn)"
    refused InvalidParameterValue \
        sqs set-queue-attributes --queue-url "$url" --attributes "$(redrive "${target}x")"
}

move_tasks() {
    local dead source other target batch handle moved
    dead=$(create dead)
    source=$(attribute "$dead" QueueArn)
    create q --attributes "$(redrive "$source")" >&2
    other=$(create other)
    target=$(attribute "$other" QueueArn)
    # At one a second, more than can be moved before the task is cancelled.
    for batch in {0..5}; do
        # shellcheck disable=SC2046
        sqs send-message-batch --queue-url "$dead" --entries \
            $(printf "Id=%s,MessageBody=m$batch " {0..9}) >&2
    done
    start() {
        sqs start-message-move-task --source-arn "$source" --destination-arn "$target" \
            --max-number-of-messages-per-second 1
    }
    handle=$(start)
    refused InvalidParameterValue start
    equal "$(sqs list-message-move-tasks --source-arn "$source" --max-results 10 \
        --query 'Results[].[Status,TaskHandle,ApproximateNumberOfMessagesToMove][]')" \
        $'RUNNING\t'"$handle"$'\t60'
    [[ "$(receive_bodies "$other" --wait-time-seconds 20)" == m0* ]]
    moved=$(sqs cancel-message-move-task --task-handle "$handle")
    [ "$moved" -ge 1 ] && [ "$moved" -lt 60 ]
    refused ResourceNotFoundException sqs start-message-move-task --source-arn "${source}x"
}

pages() {
    local one dead policy
    dead=$(create dead)
    policy=$(redrive "$(attribute "$dead" QueueArn)")
    for one in 0 1 2; do create "page-$one" --attributes "$policy" >&2; done
    equal "$(sqs list-queues --queue-name-prefix "$(name page-)" --page-size 2 \
        --query 'QueueUrls[]' | wc -w)" 3
    equal "$(sqs list-dead-letter-source-queues --queue-url "$dead" --page-size 2 \
        --query 'queueUrls[]' | wc -w)" 3
}

failures=0
while IFS= read -r title; do
    case $title in
    # It signs no URLs for SQS.
    'presigned urls') continue ;;
    # Older ones of version 2 do not know the actions.
    'move tasks') [[ "$(aws sqs start-message-move-task 2>&1)" != *'Invalid choice'* ]] || continue ;;
    esac
    number=$((number + 1))
    # A case in a condition would go on after its failures, so its status is looked at afterwards.
    said=$( (set -euo pipefail; "${title// /_}") 2>&1)
    status=$?
    if [ "$status" -eq 0 ]; then
        echo "ok $title"
    else
        failures=$((failures + 1))
        echo "FAIL $title: $said"
    fi
done <"$(dirname "$0")/../cases.txt"
exit $((failures > 0))
