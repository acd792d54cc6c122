package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"logoffworker/worker/intake"
	"logoffworker/worker/stage"
	"logoffworker/worker/stream"
	"logoffworker/worker/tokens"
)

// nackVersion is the API of NATS' controller for JetStream. Its module cannot be had from the Go proxy, so that the
// fields which the chart uses are named here, as its CustomResourceDefinitions have them.
const nackVersion = "jetstream.nats.io/v1beta2"

// nackCommon is what the objects of NACK have in common.
type nackCommon struct {
	Account       string `json:"account"`
	JSDomain      string `json:"jsDomain"`
	PreventDelete bool   `json:"preventDelete"`
	Description   string `json:"description"`
}

type nackStream struct {
	meta.TypeMeta   `json:",inline"`
	meta.ObjectMeta `json:"metadata"`
	Spec            struct {
		nackCommon      `json:",inline"`
		Name            string         `json:"name"`
		Subjects        []string       `json:"subjects"`
		Retention       string         `json:"retention"`
		Storage         string         `json:"storage"`
		Discard         string         `json:"discard"`
		MaxAge          *meta.Duration `json:"maxAge"` // NACK sets a year where there is none
		MaxBytes        int64          `json:"maxBytes"`
		MaxMsgSize      int32          `json:"maxMsgSize"`
		DuplicateWindow meta.Duration  `json:"duplicateWindow"`
		Replicas        int            `json:"replicas"`
		AllowDirect     bool           `json:"allowDirect"`
		DenyDelete      bool           `json:"denyDelete"`
		DenyPurge       bool           `json:"denyPurge"`

		MaxMsgsPerSubject int64 `json:"maxMsgsPerSubject"`
		DiscardPerSubject bool  `json:"discardPerSubject"`
	} `json:"spec"`
}

type nackConsumer struct {
	meta.TypeMeta   `json:",inline"`
	meta.ObjectMeta `json:"metadata"`
	Spec            struct {
		nackCommon     `json:",inline"`
		StreamName     string        `json:"streamName"`
		DurableName    string        `json:"durableName"`
		FilterSubjects []string      `json:"filterSubjects"`
		DeliverPolicy  string        `json:"deliverPolicy"`
		AckPolicy      string        `json:"ackPolicy"`
		AckWait        meta.Duration `json:"ackWait"`
		MaxDeliver     int           `json:"maxDeliver"`
		MaxAckPending  int           `json:"maxAckPending"`
		ReplayPolicy   string        `json:"replayPolicy"`
	} `json:"spec"`
}

type nackKeyValue struct {
	meta.TypeMeta   `json:",inline"`
	meta.ObjectMeta `json:"metadata"`
	Spec            struct {
		nackCommon `json:",inline"`
		Bucket     string `json:"bucket"`
		History    uint8  `json:"history"`
		Storage    string `json:"storage"`
		Replicas   int    `json:"replicas"`
		MaxBytes   int64  `json:"maxBytes"`
	} `json:"spec"`
}

func decodeNACK(kind string, document []byte) (any, error) {
	kinds := map[string]any{"Stream": &nackStream{}, "Consumer": &nackConsumer{}, "KeyValue": &nackKeyValue{}}
	object, known := kinds[kind]
	if !known {
		return nil, fmt.Errorf("%s of %s is not known here", kind, nackVersion)
	}
	return object, yaml.UnmarshalStrict(document, object)
}

// sameStreams makes what objects for NACK say in one embedded broker, and has the worker make what it needs in
// another one. Both must come to the same, but for the copies, of which one broker keeps one only. Bucket, if any, is
// the name of that for a pair of tokens; with it there is the bucket of those who poll streams of Shared Signals.
func sameStreams(ctx context.Context, objects []any, config stream.Config, copies int, bucket string) error {
	theirs, err := inBroker(ctx, func(js jetstream.JetStream) error { return makeObjects(ctx, js, objects, copies) })
	if err != nil {
		return err
	}
	ours, err := inBroker(ctx, func(js jetstream.JetStream) error {
		config.Replicas, config.Provision = 1, stream.ProvisionCreate
		err := config.ProvisionStreams(ctx, js)
		if err == nil && bucket != "" {
			poller := intake.Poller{JS: js, Bucket: intake.PollBucket(config.Subjects), Create: true, Replicas: 1}
			err = errors.Join(tokens.Bucket{JS: js, Name: bucket, Create: true, Replicas: 1}.Provision(ctx), poller.Provision(ctx))
		}
		return err
	})
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(theirs, ours) {
		return fmt.Errorf("NACK makes\n  %s\nand the worker needs\n  %s", strings.Join(theirs, "\n  "), strings.Join(ours, "\n  "))
	}
	return nil
}

// inBroker lists the streams and consumers that are in a new broker after they were made.
func inBroker(ctx context.Context, made func(jetstream.JetStream) error) (all []string, err error) {
	dir, err := os.MkdirTemp("", "chart")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := stage.StartNATS(&server.Options{JetStream: true, StoreDir: dir, JetStreamMaxStore: 1 << 40, DontListen: true}) // what streams reserve takes no disk
	if err != nil {
		return nil, err
	}
	defer s.Shutdown()
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	if err := made(js); err != nil {
		return nil, err
	}
	return listed(ctx, js)
}

func listed(ctx context.Context, js jetstream.JetStream) (all []string, err error) {
	streams := js.ListStreams(ctx)
	for info := range streams.Info() {
		all = append(all, fmt.Sprintf("%+v", info.Config))
		s, err := js.Stream(ctx, info.Config.Name)
		if err != nil {
			return nil, err
		}
		consumers := s.ListConsumers(ctx)
		for info := range consumers.Info() {
			all = append(all, fmt.Sprintf("%s %+v", info.Stream, info.Config))
		}
		if err := consumers.Err(); err != nil {
			return nil, err
		}
	}
	slices.Sort(all)
	return all, streams.Err()
}

// makeObjects makes what objects say, as NACK does: streams before their consumers.
func makeObjects(ctx context.Context, js jetstream.JetStream, objects []any, copies int) error {
	var consumers []*nackConsumer
	for _, object := range objects {
		var err error
		switch o := object.(type) {
		case *nackStream:
			err = o.make(ctx, js, copies)
		case *nackKeyValue:
			err = o.make(ctx, js, copies)
		case *nackConsumer:
			consumers = append(consumers, o)
		}
		if err != nil {
			return err
		}
	}
	for _, c := range consumers {
		if err := c.make(ctx, js); err != nil {
			return err
		}
	}
	return nil
}

// kept says why the content of a stream would not outlive the release, or would not have its copies.
func kept(name string, common nackCommon, has, wants int) error {
	if !common.PreventDelete || has != wants {
		return fmt.Errorf("%s: deletion is prevented: %v; copies: %d, wanted: %d", name, common.PreventDelete, has, wants)
	}
	return nil
}

func (o *nackStream) make(ctx context.Context, js jetstream.JetStream, copies int) error {
	s := o.Spec
	if err := kept(s.Name, s.nackCommon, s.Replicas, copies); err != nil {
		return err
	}
	if s.MaxAge == nil {
		return fmt.Errorf("%s: it names no maxAge, for which NACK sets a year", s.Name)
	}
	config := jetstream.StreamConfig{
		Name: s.Name, Description: s.Description, Subjects: s.Subjects, MaxAge: s.MaxAge.Duration, MaxBytes: s.MaxBytes,
		MaxMsgSize: s.MaxMsgSize, Duplicates: s.DuplicateWindow.Duration, Replicas: 1, AllowDirect: s.AllowDirect,
		DenyDelete: s.DenyDelete, DenyPurge: s.DenyPurge,
		MaxMsgsPerSubject: s.MaxMsgsPerSubject, DiscardNewPerSubject: s.DiscardPerSubject,
	}
	if err := words(map[string]any{s.Retention: &config.Retention, s.Storage: &config.Storage, s.Discard: &config.Discard}); err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	_, err := js.CreateStream(ctx, config)
	return err
}

func (o *nackConsumer) make(ctx context.Context, js jetstream.JetStream) error {
	s := o.Spec
	config := jetstream.ConsumerConfig{
		Durable: s.DurableName, Description: s.Description, FilterSubjects: s.FilterSubjects, AckWait: s.AckWait.Duration,
		MaxDeliver: s.MaxDeliver, MaxAckPending: s.MaxAckPending,
	}
	if err := words(map[string]any{s.DeliverPolicy: &config.DeliverPolicy, s.AckPolicy: &config.AckPolicy, s.ReplayPolicy: &config.ReplayPolicy}); err != nil {
		return fmt.Errorf("%s: %w", s.DurableName, err)
	}
	_, err := js.CreateConsumer(ctx, s.StreamName, config)
	return err
}

func (o *nackKeyValue) make(ctx context.Context, js jetstream.JetStream, copies int) error {
	s := o.Spec
	if err := kept(s.Bucket, s.nackCommon, s.Replicas, copies); err != nil {
		return err
	}
	config := jetstream.KeyValueConfig{Bucket: s.Bucket, Description: s.Description, History: s.History, MaxBytes: s.MaxBytes, Replicas: 1}
	if err := words(map[string]any{s.Storage: &config.Storage}); err != nil {
		return fmt.Errorf("%s: %w", s.Bucket, err)
	}
	_, err := js.CreateKeyValue(ctx, config)
	return err
}

// words reads the words for the choices of a stream or consumer, which NACK shares with JetStream.
func words(choices map[string]any) error {
	for word, choice := range choices {
		reads, is := choice.(interface{ UnmarshalJSON([]byte) error })
		if !is {
			return fmt.Errorf("%T is not read from a word", choice)
		}
		if err := reads.UnmarshalJSON([]byte(`"` + word + `"`)); err != nil {
			return err
		}
	}
	return nil
}
