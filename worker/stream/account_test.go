package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/worker/stage/bubble"
)

// An api stands for JetStream's: it answers what a test says, one after the other, and the last again and again.
// What it has no answer for, nobody answers.
type api struct {
	nc *nats.Conn
	js jetstream.JetStream // that asks it

	mu      sync.Mutex
	answers map[string][]string
	asked   map[string]int
}

// apiPrefix is where it is.
const apiPrefix = "STUB"

// withAPI runs a test in fake time with one, at a broker that has a JetStream of its own.
func withAPI(t *testing.T, test func(t *testing.T, a *api)) {
	withNATS(t, func(t *testing.T, nc *nats.Conn) {
		a := &api{nc: nc}
		a.says(nil)
		if _, err := nc.Subscribe(apiPrefix+".>", a.answer); err != nil {
			t.Fatal(err)
		}
		var err error
		if a.js, err = (Config{API: apiPrefix}).JetStream(nc); err != nil {
			t.Fatal(err)
		}
		test(t, a)
	})
}

func (a *api) says(answers map[string][]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers, a.asked = answers, map[string]int{}
}

// made is how often something was to be made.
func (a *api) made() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked["STREAM.CREATE"] + a.asked["CONSUMER.CREATE"]
}

func (a *api) answer(msg *nats.Msg) {
	a.mu.Lock()
	defer a.mu.Unlock()
	subject := strings.TrimPrefix(msg.Subject, apiPrefix+".")
	for begins, answers := range a.answers {
		if strings.HasPrefix(subject, begins) {
			n := a.asked[begins]
			a.asked[begins]++
			_ = msg.Respond([]byte(answers[min(n, len(answers)-1)]))
		}
	}
}

func refusal(code string) string {
	return `{"error":{"code":503,"err_code":` + code + `,"description":"no"}}`
}

func said(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What stands in the way of JetStream is said, with where to look if the settings name it.
func TestWhatStandsInTheWayOfJetStreamIsSaid(t *testing.T) {
	withAPI(t, func(t *testing.T, a *api) {
		ended, cancel := context.WithTimeout(t.Context(), -time.Second)
		defer cancel()
		for name, test := range map[string]struct {
			config  Config
			ctx     context.Context
			answers map[string][]string
			says    string // empty is that nothing is
		}{
			"well":            {Config{API: apiPrefix}, t.Context(), map[string][]string{"INFO": {`{"api":{"level":4}}`}}, ""},
			"not enabled":     {Config{API: apiPrefix}, t.Context(), map[string][]string{"INFO": {refusal("10076")}}, "no JetStream answers at STUB"},
			"silent":          {Config{API: apiPrefix}, t.Context(), nil, "no JetStream answers at STUB"},
			"silent, no name": {Config{}, ended, nil, "ask for JetStream"},
			"not well":        {Config{API: apiPrefix}, t.Context(), map[string][]string{"INFO": {refusal("10008")}}, "ask for JetStream"},
		} {
			a.says(test.answers)
			account, err := test.config.account(test.ctx, a.js)
			if (err == nil) != (test.says == "") || (account == nil) != (err != nil) || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %v", name, err)
			}
		}
		a.says(map[string][]string{"INFO": {refusal("10008")}})
		if _, err := (Config{API: apiPrefix}).Foresee(t.Context(), a.js); err == nil {
			t.Error("it foresees without an account")
		}
		if err := (Config{API: apiPrefix}).ProvisionStreams(t.Context(), a.js); err == nil {
			t.Error("it provisions without an account")
		}
		if _, err := (Config{API: apiPrefix, Replicas: 3}).account(t.Context(), a.js); err == nil {
			t.Error("no account is an account")
		}
		for level, refused := range map[int]bool{0: true, 3: true, 4: false} {
			a.says(map[string][]string{"INFO": {fmt.Sprintf(`{"api":{"level":%d}}`, level)}})
			_, err := (Config{API: apiPrefix, Replicas: 3}).account(t.Context(), a.js)
			if refused != (err != nil && strings.Contains(err.Error(), "older than 2.14, and may lose jobs")) {
				t.Errorf("a cluster of level %d: %v", level, err)
			}
		}
		for level, lacks := range map[int]bool{1: true, 3: true, 4: false, 5: false} {
			a.says(map[string][]string{"INFO": {fmt.Sprintf(`{"api":{"level":%d}}`, level)}})
			if f, _ := (Config{API: apiPrefix}).Foresee(t.Context(), a.js); strings.Contains(f.Lacks, "older than 2.14") != lacks {
				t.Errorf("at level %d it lacks %q", level, f.Lacks)
			}
			for _, counts := range []bool{false, true} {
				f, _ := (Config{API: apiPrefix, Counts: counts}).Foresee(t.Context(), a.js)
				if strings.Contains(f.Lacks, "divide them by the number of workers") != (counts && level < 2) {
					t.Errorf("at level %d, where counters are wanted (%v), it lacks %q", level, counts, f.Lacks)
				}
			}
		}
	})
}

// Streams are made in a domain that somebody has named, or where there is none.
func TestStreamsAreMadeWhereItWasAskedFor(t *testing.T) {
	for _, test := range []struct {
		api, domain string
		may         bool
	}{{"", "", true}, {"", "leaf", false}, {"$JS.leaf.API", "leaf", true}} {
		if err := (Config{API: test.api}).mayCreateIn(test.domain); (err == nil) != test.may {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

// Streams of the server itself that would answer in place of those of the domain are found, each once.
func TestStreamThatAnswersInPlaceOfAnotherIsFound(t *testing.T) {
	withAPI(t, func(t *testing.T, a *api) {
		c := DefaultConfig()
		c.API = apiPrefix
		p := c.plan(&jetstream.AccountInfo{Domain: "hub"}, 1<<20)
		if err := c.findShadow(t.Context(), a.js, p); err != nil {
			t.Errorf("there is none: %v", err)
		}
		local, err := Config{}.JetStream(a.nc)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := local.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHERS", Subjects: []string{"logoff.requests", "logoff.requests.>"}}); err != nil {
			t.Fatal(err)
		}
		if err := c.findShadow(t.Context(), a.js, p); err == nil || strings.Count(err.Error(), "OTHERS") != 1 {
			t.Error(err)
		}
		p.domain = ""
		if err := c.findShadow(t.Context(), a.js, p); err != nil {
			t.Errorf("it is the same JetStream: %v", err)
		}
		p.domain = "hub"
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.findShadow(ended, a.js, p); err != nil {
			t.Errorf("it cannot be asked: %v", err)
		}
		other := errors.New("something else")
		for name, test := range map[string]struct {
			err  error
			says string
		}{
			"no refusal": {other, other.Error()}, "overlap": {&jetstream.APIError{ErrorCode: subjectsOverlap}, "stream OTHERS has some of its subjects"},
			"no room": {&jetstream.APIError{ErrorCode: 10023}, "lower LOGOFF_NATS_MAX_BYTES"}, "unknown": {&jetstream.APIError{ErrorCode: 1, Description: "words"}, "nats: API error: code=0 err_code=1 description=words"},
		} {
			if got := explained(t.Context(), local, c.requests(1<<20), test.err); !strings.HasPrefix(got.Error(), test.says) && !strings.Contains(got.Error(), test.says+",") {
				t.Errorf("%s: %v", name, got)
			}
		}
	})
}

func TestTierIsThatOfTheCopies(t *testing.T) {
	account := &jetstream.AccountInfo{Tier: jetstream.Tier{Streams: 1}, Tiers: map[string]jetstream.Tier{"R3": {Streams: 3}}}
	if (Config{Replicas: 3}).tier(account).Streams != 3 || (Config{Replicas: 1}).tier(account).Streams != 1 {
		t.Error("it is another")
	}
}

// What an account lacks is said before anything is made, and nothing of what it has.
func TestWhatAnAccountLacksIsForeseen(t *testing.T) {
	free := jetstream.AccountLimits{MaxStore: -1, MaxStreams: -1, MaxConsumers: -1, StoreMaxStreamBytes: -1}
	with := func(change func(*jetstream.AccountLimits)) jetstream.AccountLimits {
		l := free
		change(&l)
		return l
	}
	const mib = 1 << 20
	for name, test := range map[string]struct {
		bytes  int64
		limits jetstream.AccountLimits
		used   jetstream.Tier
		says   string
	}{
		"no limits":                 {mib, free, jetstream.Tier{Streams: 100}, ""},
		"limits demanded and given": {mib, with(func(l *jetstream.AccountLimits) { l.MaxBytesRequired = true }), jetstream.Tier{}, ""},
		"limits demanded":           {0, with(func(l *jetstream.AccountLimits) { l.MaxBytesRequired = true }), jetstream.Tier{}, "set LOGOFF_NATS_MAX_BYTES"},
		"large enough":              {mib, with(func(l *jetstream.AccountLimits) { l.StoreMaxStreamBytes = mib }), jetstream.Tier{}, ""},
		"too large":                 {2 * mib, with(func(l *jetstream.AccountLimits) { l.StoreMaxStreamBytes = mib }), jetstream.Tier{}, "which is 1 MiB"},
		"room":                      {mib, with(func(l *jetstream.AccountLimits) { l.MaxStore = 4 * mib }), jetstream.Tier{Store: mib}, ""},
		"no room":                   {mib, with(func(l *jetstream.AccountLimits) { l.MaxStore = 4 * mib }), jetstream.Tier{ReservedStore: 2 * mib}, "storage for 2 MiB more, and 3 streams of LOGOFF_NATS_MAX_BYTES take 3 MiB"},
		"streams":                   {mib, with(func(l *jetstream.AccountLimits) { l.MaxStreams = 5 }), jetstream.Tier{Streams: 2}, ""},
		"too few streams":           {mib, with(func(l *jetstream.AccountLimits) { l.MaxStreams = 5 }), jetstream.Tier{Streams: 3}, "allows 5 streams and has 3; 3 more are needed"},
		"consumers":                 {mib, with(func(l *jetstream.AccountLimits) { l.MaxConsumers = 2 }), jetstream.Tier{}, ""},
		"too few consumers":         {mib, with(func(l *jetstream.AccountLimits) { l.MaxConsumers = 1 }), jetstream.Tier{}, "allows 1 consumers of a stream; 2 are needed"},
	} {
		tier := test.used
		tier.Limits = test.limits
		err := Config{MaxBytes: test.bytes}.shortOf(&jetstream.AccountInfo{Tier: tier}, 3)
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestForecastInWords(t *testing.T) {
	for got, want := range map[string]string{
		created(jetstream.StreamConfig{Name: "S"}):                                                                      "stream S is missing (1 copy, no limit of bytes, messages kept until they are done)",
		created(jetstream.StreamConfig{Name: "S", Replicas: 3, MaxBytes: 1 << 30, MaxAge: 48 * time.Hour}):              "stream S is missing (3 copies, at most 1 GiB, messages kept for 2 days)",
		Config{}.allowance(&jetstream.AccountInfo{Tier: jetstream.Tier{Limits: jetstream.AccountLimits{MaxStore: -1}}}): "the account's storage: no limit (used: 0 bytes); streams: no limit (used: 0); consumers of a stream: no limit",
		Config{}.allowance(&jetstream.AccountInfo{Tier: jetstream.Tier{Store: 1, Streams: 2, Limits: jetstream.AccountLimits{MaxStore: 2048, MaxStreams: 3, MaxConsumers: 4, MaxBytesRequired: true}}}): "the account's storage: 2 KiB (used: 1 bytes); streams: 3 (used: 2); consumers of a stream: 4; each stream must have a limit of bytes",
		Bytes(1023): "1023 bytes", Bytes(1024): "1 KiB", Bytes(1 << 60): "1.049e+06 TiB",
	} {
		if got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// The forecast names what is missing, and what keeps it from being made.
func TestForecastNamesWhatIsMissing(t *testing.T) {
	bubble.NeedsNATS(t, 14) // before it no copies are thought of
	withAPI(t, func(t *testing.T, a *api) {
		c := DefaultConfig()
		js, err := c.JetStream(a.nc)
		if err != nil {
			t.Fatal(err)
		}
		if f, err := c.Foresee(t.Context(), js); err != nil || len(f.Creates) != 4 {
			t.Errorf("%+v, %v", f, err)
		}
		c.Replicas = 3
		if _, err := c.Foresee(t.Context(), js); err == nil || !strings.Contains(err.Error(), "the server is in no cluster") {
			t.Errorf("copies without a cluster: %v", err)
		}
		c.Replicas = 1
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHERS", Subjects: []string{"logoff.dead.x"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Foresee(t.Context(), js); err == nil || !strings.Contains(err.Error(), "cannot be created: stream OTHERS has some") {
			t.Errorf("another's subjects: %v", err)
		}
		if err := c.ProvisionStreams(t.Context(), js); err == nil || !strings.Contains(err.Error(), "stream OTHERS has some") {
			t.Errorf("another's subjects: %v", err)
		}
		if err := js.DeleteStream(t.Context(), "OTHERS"); err != nil {
			t.Fatal(err)
		}
		if err := c.ProvisionStreams(t.Context(), js); err != nil {
			t.Fatal(err)
		}
		c.Replicas = 3
		if f, err := c.Foresee(t.Context(), js); err != nil || len(f.Creates) != 0 {
			t.Errorf("all is there: %+v, %v", f, err)
		}
	})
}

// Somebody else may be first to make what is missing, and what cannot be asked for is not made.
func TestProvisioningMakesOnlyWhatIsMissing(t *testing.T) {
	withAPI(t, func(t *testing.T, a *api) {
		c := DefaultConfig()
		c.API = apiPrefix
		ctx, want := t.Context(), c.results()
		there := said(t, jetstream.StreamInfo{Config: want})
		consumer := c.consumer("urgent", &jetstream.AccountInfo{})
		consumed := said(t, jetstream.ConsumerInfo{Name: "urgent", Stream: "S", Config: consumer})
		stream := func(c Config, domain string) error {
			_, err := c.provisionStream(ctx, a.js, want, domain)
			return err
		}
		lane := func(c Config) error {
			_, err := c.provisionConsumer(ctx, a.js, "S", consumer)
			return err
		}
		verify := c
		verify.Provision = ProvisionVerify
		for name, test := range map[string]struct {
			answers map[string][]string
			what    func() error
			well    bool
			makes   int
		}{
			"another was first":          {map[string][]string{"STREAM.INFO": {refusal("10059"), there}, "STREAM.CREATE": {refusal("10058")}}, func() error { return stream(c, "") }, true, 1},
			"not well":                   {map[string][]string{"STREAM.INFO": {refusal("10008")}, "STREAM.CREATE": {there}}, func() error { return stream(c, "") }, false, 0},
			"in nobody's domain":         {map[string][]string{"STREAM.INFO": {refusal("10059")}, "STREAM.CREATE": {there}}, func() error { return stream(DefaultConfig(), "leaf") }, false, 0},
			"a consumer, another first":  {map[string][]string{"CONSUMER.INFO": {refusal("10014"), consumed}, "CONSUMER.CREATE": {refusal("10148")}}, func() error { return lane(c) }, true, 1},
			"a consumer, not well":       {map[string][]string{"CONSUMER.INFO": {refusal("10008")}, "CONSUMER.CREATE": {consumed}}, func() error { return lane(c) }, false, 0},
			"a consumer, verified alone": {map[string][]string{"CONSUMER.INFO": {refusal("10014")}, "CONSUMER.CREATE": {consumed}}, func() error { return lane(verify) }, false, 0},
			"a server of long ago":       {map[string][]string{"CONSUMER.INFO": {refusal("10014")}, "CONSUMER.CREATE": {said(t, jetstream.ConsumerInfo{})}}, func() error { return lane(c) }, false, 1},
			"a push consumer":            {map[string][]string{"CONSUMER.INFO": {said(t, jetstream.ConsumerInfo{Config: jetstream.ConsumerConfig{DeliverSubject: "x"}})}}, func() error { return lane(c) }, false, 0},
		} {
			a.says(test.answers)
			err := test.what()
			if (err == nil) != test.well || a.made() != test.makes {
				t.Errorf("%s: %v, made %d", name, err, a.made())
			}
			for of, words := range map[string]string{"a push consumer": pushed, "a server of long ago": "nats-server 2.10 or later"} {
				if name == of && (err == nil || !strings.Contains(err.Error(), words)) {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	})
}
