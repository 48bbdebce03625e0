// A function as one writes it for Lambda: it knows nothing of the host.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

type body struct {
	Name string `json:"name"`
	Do   string `json:"do"`
}

func handle(_ context.Context, event json.RawMessage) (any, error) {
	var batch events.SQSEvent
	if err := json.Unmarshal(event, &batch); err != nil {
		return nil, err
	}
	if batch.Records == nil {
		return event, nil
	}
	response := events.SQSEventResponse{}
	for _, message := range batch.Records {
		var told body
		if err := json.Unmarshal([]byte(message.Body), &told); err != nil {
			return nil, err
		}
		if err := note(told.Name); err != nil {
			return nil, err
		}
		switch told.Do {
		case "fail":
			failure := events.SQSBatchItemFailure{ItemIdentifier: message.MessageId}
			response.BatchItemFailures = append(response.BatchItemFailures, failure)
		case "throw":
			return nil, errors.New("thrown as told")
		case "sleep":
			time.Sleep(time.Hour)
		case "crash":
			os.Exit(7)
		case "wait":
			for _, err := os.Stat(os.Getenv("FUNCTION_GATE")); err != nil; {
				time.Sleep(5 * time.Millisecond)
				_, err = os.Stat(os.Getenv("FUNCTION_GATE"))
			}
		}
	}
	return response, nil
}

func note(name string) error {
	fmt.Println("handling", name)
	path, isSet := os.LookupEnv("FUNCTION_DIARY")
	if !isSet {
		return nil
	}
	diary, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer diary.Close()
	_, err = diary.WriteString(name + "\n")
	return err
}

func main() {
	if _, isSet := os.LookupEnv("FUNCTION_BROKEN"); isSet {
		panic("broken as told")
	}
	lambda.Start(handle)
}
