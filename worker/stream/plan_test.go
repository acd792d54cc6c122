package stream

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Each difference that the guarantees rest on is named, and no other.
func TestDifferenceOfAStreamIsNamed(t *testing.T) {
	for name, test := range map[string]struct {
		config func(Config) jetstream.StreamConfig
		change func(*jetstream.StreamConfig)
		says   string
	}{
		"none":                   {Config.results, func(*jetstream.StreamConfig) {}, ""},
		"a mirror":               {Config.results, func(c *jetstream.StreamConfig) { c.Mirror = &jetstream.StreamSource{} }, "mirror is true"},
		"foreign results":        {Config.results, sourcesOf("logoff.results.a.b"), "source HR is"},
		"foreign jobs":           {requestsOf, sourcesOf("logoff.requests.bulk.hr", "logoff.requests.urgent.hr", "logoff.requests", "logoff.requests.bulk.*"), ""},
		"foreign jobs as is":     {requestsOf, sourcesOf(), "source HR is [], needed is subject transforms"},
		"some that nobody takes": {requestsOf, sourcesOf("logoff.requests.bulk.hr", "logoff.requests.soon"), "source HR is"},
		"many tokens":            {requestsOf, sourcesOf("logoff.requests.bulk.>"), "source HR is"},
		"more tokens":            {requestsOf, sourcesOf("logoff.requests.bulk.hr.leavers"), "source HR is"},
		"tokens that are made":   {requestsOf, sourcesOf("logoff.requests.bulk.{{splitFromLeft(1,3)}}"), "source HR is"},
		"jobs that die of age":   {requestsOf, func(c *jetstream.StreamConfig) { c.MaxAge = 400 * 24 * time.Hour }, "max age is 9600h0m0s, needed is 0s"},
		"results kept for a day": {Config.results, func(c *jetstream.StreamConfig) { c.MaxAge = 24 * time.Hour }, ""},
		"results kept for less":  {Config.results, func(c *jetstream.StreamConfig) { c.MaxAge = 23 * time.Hour }, "max age is 23h0m0s, needed is 24h0m0s or more"},
		"results kept longer":    {Config.results, func(c *jetstream.StreamConfig) { c.MaxAge = 400 * 24 * time.Hour }, ""},
		"results kept for ever":  {Config.results, func(c *jetstream.StreamConfig) { c.MaxAge = 0 }, ""},
		"small results":          {Config.results, func(c *jetstream.StreamConfig) { c.MaxMsgSize = 100 }, "max message size is 100, needed is no limit"},
		"results of any size":    {Config.results, func(c *jetstream.StreamConfig) { c.MaxMsgSize = -1 }, ""},
		"smaller jobs":           {requestsOf, func(c *jetstream.StreamConfig) { c.MaxMsgSize = 100 }, ""},
		"larger jobs":            {requestsOf, func(c *jetstream.StreamConfig) { c.MaxMsgSize++ }, "or less, so that a dead letter has room"},
		"jobs of any size":       {requestsOf, func(c *jetstream.StreamConfig) { c.MaxMsgSize = -1 }, "max message size is -1"},
		"one result, replaced":   {Config.results, func(c *jetstream.StreamConfig) { c.DiscardNewPerSubject = false }, "max messages per subject is 1"},
		"two results":            {Config.results, func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 2 }, "max messages per subject is 2"},
		"any number of results":  {Config.results, func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject, c.DiscardNewPerSubject = -1, false }, ""},
		"one job for a subject":  {requestsOf, func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject, c.DiscardNewPerSubject = 1, true }, "max messages per subject is 1"},
		"one dead letter":        {Config.dead, func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject, c.DiscardNewPerSubject = 1, true }, "max messages per subject is 1"},
		"jobs that are replaced": {requestsOf, func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 }, "max messages per subject is 1"},
	} {
		want := test.config(DefaultConfig())
		have := test.config(DefaultConfig())
		test.change(&have)
		if got := strings.Join(streamDifferences(have, want), "; "); (got == "") != (test.says == "") || !strings.Contains(got, test.says) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// The command that sets a stream back has a flag for each field that differs and can be, and none for the others.
func TestStreamIsSetBackByItsDifferences(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*jetstream.StreamConfig)
		want   string
	}{
		"nothing":      {func(*jetstream.StreamConfig) {}, ""},
		"a larger one": {func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 40 }, ""},
		"for ever":     {func(c *jetstream.StreamConfig) { c.Storage, c.Sealed = jetstream.MemoryStorage, true }, ""},
		"subjects":     {func(c *jetstream.StreamConfig) { c.Subjects = []string{"x"} }, "--subjects='logoff.requests' --subjects='logoff.requests.urgent' --subjects='logoff.requests.urgent.*' --subjects='logoff.approved.urgent.*' --subjects='logoff.requests.bulk' --subjects='logoff.requests.bulk.*' --subjects='logoff.approved.bulk.*'"},
		"several": {func(c *jetstream.StreamConfig) {
			c.MaxAge, c.Discard, c.DenyPurge, c.NoAck = time.Hour, jetstream.DiscardOld, false, true
		}, "--discard=new --deny-purge --ack --max-age=0h"},
		"what is too big": {func(c *jetstream.StreamConfig) { c.MaxMsgSize, c.MaxMsgsPerSubject = -1, 1 }, "--max-msgs-per-subject=-1 --max-msg-size=786432"},
		"one a subject":   {func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject, c.DiscardNewPerSubject = 1, true }, "--max-msgs-per-subject=-1 --no-discard-per-subject"},
	} {
		have := requestsOf(DefaultConfig())
		test.change(&have)
		want := test.want
		if want != "" {
			want = "nats stream edit LOGOFF_REQUESTS --force " + want
		}
		if got := streamEdit(have, requestsOf(DefaultConfig())); got != want {
			t.Errorf("%s: %s\nwant %s", name, got, want)
		}
	}
	have := DefaultConfig().results()
	have.MaxAge = time.Hour
	if got := streamEdit(have, DefaultConfig().results()); !strings.HasSuffix(got, " --max-age=720h") {
		t.Error(got)
	}
}

// sourcesOf adds a source whose subjects become these.
func sourcesOf(destinations ...string) func(*jetstream.StreamConfig) {
	return func(c *jetstream.StreamConfig) {
		source := &jetstream.StreamSource{Name: "HR"}
		for _, d := range destinations {
			source.SubjectTransforms = append(source.SubjectTransforms, jetstream.SubjectTransformConfig{Source: "hr.>", Destination: d})
		}
		c.Sources = append(c.Sources, source)
	}
}

func requestsOf(c Config) jetstream.StreamConfig { return c.requests(1 << 20) }

func TestDifferenceOfAConsumerIsNamed(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*jetstream.ConsumerConfig)
		says   string
	}{
		"none":             {func(*jetstream.ConsumerConfig) {}, ""},
		"one filter":       {func(c *jetstream.ConsumerConfig) { c.FilterSubject, c.FilterSubjects = "x", nil }, "filter subjects is [x]"},
		"few waiting":      {func(c *jetstream.ConsumerConfig) { c.MaxWaiting = 15 }, "max waiting is 15"},
		"enough waiting":   {func(c *jetstream.ConsumerConfig) { c.MaxWaiting = 16 }, ""},
		"small batches":    {func(c *jetstream.ConsumerConfig) { c.MaxRequestBatch = 500 }, "max request batch is 500"},
		"short pulls":      {func(c *jetstream.ConsumerConfig) { c.MaxRequestExpires = time.Millisecond }, "max request expires is 1ms"},
		"long pulls":       {func(c *jetstream.ConsumerConfig) { c.MaxRequestExpires = PullWait }, ""},
		"small pulls":      {func(c *jetstream.ConsumerConfig) { c.MaxRequestMaxBytes = 100 }, "max request bytes is 100"},
		"large pulls":      {func(c *jetstream.ConsumerConfig) { c.MaxRequestMaxBytes = pullBytes }, ""},
		"a short lease":    {func(c *jetstream.ConsumerConfig) { c.AckWait = time.Second }, "ack wait is 1s"},
		"few in hand":      {func(c *jetstream.ConsumerConfig) { c.MaxAckPending = 999 }, "max ack pending is 999"},
		"enough in hand":   {func(c *jetstream.ConsumerConfig) { c.MaxAckPending = 1000 }, ""},
		"as many as comes": {func(c *jetstream.ConsumerConfig) { c.MaxAckPending = -1 }, ""},
	} {
		want := DefaultConfig().consumer("bulk", &jetstream.AccountInfo{})
		have := want
		test.change(&have)
		if got := strings.Join(consumerDifferences(have, want), "; "); (got == "") != (test.says == "") || !strings.Contains(got, test.says) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestJobsInHandAreAsManyAsTheAccountAllows(t *testing.T) {
	if mostInHand(0) != maxAckPending || mostInHand(-1) != maxAckPending || mostInHand(5) != 5 || mostInHand(2*maxAckPending) != maxAckPending {
		t.Error(mostInHand(0), mostInHand(-1), mostInHand(5), mostInHand(2*maxAckPending))
	}
}

// A stream is full where one more message like those in it has no room.
func TestFullStreamIsKnown(t *testing.T) {
	for name, test := range map[string]struct {
		limit jetstream.StreamConfig
		state jetstream.StreamState
		full  bool
	}{
		"no limits":      {jetstream.StreamConfig{}, jetstream.StreamState{Msgs: 5, Bytes: 500}, false},
		"few messages":   {jetstream.StreamConfig{MaxMsgs: 10}, jetstream.StreamState{Msgs: 9, Bytes: 500}, false},
		"all messages":   {jetstream.StreamConfig{MaxMsgs: 10}, jetstream.StreamState{Msgs: 10, Bytes: 500}, true},
		"room for bytes": {jetstream.StreamConfig{MaxBytes: 600}, jetstream.StreamState{Msgs: 5, Bytes: 500}, false},
		"no room":        {jetstream.StreamConfig{MaxBytes: 599}, jetstream.StreamState{Msgs: 5, Bytes: 500}, true},
		"empty":          {jetstream.StreamConfig{MaxBytes: 599}, jetstream.StreamState{}, false},
	} {
		if got := full(&jetstream.StreamInfo{Config: test.limit, State: test.state}); got != test.full {
			t.Errorf("%s: %t", name, got)
		}
	}
}
