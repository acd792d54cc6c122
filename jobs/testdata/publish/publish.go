// Publish publishes the samples with NATS' client for Go.
package main

import (
	"context"
	"log"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var binary = nats.Header{"ce-specversion": {"1.0"}, "ce-type": {"logoff.job.v1"}, "ce-source": {"/soar/case/17"}, "ce-id": {"17"}}

func main() {
	nc, err := nats.Connect(os.Getenv("NATS_URL"))
	if err != nil {
		log.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		log.Fatal(err)
	}
	publish(js, "case-17-1", "job.json", "application/json", nats.Header{})
	publish(js, "case-17-2", "job-users.json", "application/json", nats.Header{})
	publish(js, "case-17-3", "job.xml", "application/xml", nats.Header{})
	publish(js, "case-17-4", "job.txt", "text/plain", nats.Header{})
	publish(js, "case-17-5", "job-cloudevent.json", "application/cloudevents+json", nats.Header{})
	publish(js, "case-17-6", "job-users.json", "application/json", binary)
	publish(js, "case-17-7", "job.jwt", "application/secevent+jwt", nats.Header{})
}

// publish returns once the job is stored. The message id is the same when a publish is repeated, and another for each job.
func publish(js jetstream.JetStream, id, sample, contentType string, header nats.Header) {
	data, err := os.ReadFile(sample)
	if err != nil {
		log.Fatal(err)
	}
	header.Set("Content-Type", contentType)
	header.Set(nats.MsgIdHdr, id)
	msg := &nats.Msg{Subject: "logoff.requests.urgent.soar", Header: header, Data: data}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(100)); err != nil {
		log.Fatal(err)
	}
}
