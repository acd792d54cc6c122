package intake

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
	"logoffworker/worker/issuers"
)

// What was refused, and kept for a person to see, does not stand for the same message when it is understood a moment later:
// its sender has corrected it, or the issuers file was mended.
func TestWhatIsKeptSwallowsNothing(t *testing.T) {
	const event = `{"specversion":"1.0","id":"e1","source":"auth0","type":"user.deleted","time":"2026-11-27T11:59:00Z","data":{"object":{"email":"`
	r := newRig(t, 0)
	x := r.receive()
	for _, c := range []struct {
		name      string
		post      func(mended bool) reply
		old, slip string // in the issuers file
	}{
		{"an event is corrected", func(mended bool) reply {
			name := map[bool]string{true: "jane@corp.example", false: "jane"}[mended]
			return x.post("/v1/jobs", "job-secret", "application/cloudevents+json", event+name+`"}}}`)
		}, "", ""},
		{"a hook's recipe is mended", func(bool) reply {
			return x.send(http.MethodPost, "/v1/hooks/okta", map[string]string{"Authorization": "hook-secret"}, example(t, "okta-hook-two"))
		}, "user: 'email:{/alternateId}'", "user: 'email:{/alternateID}'"},
		{"a logout token's map is mended", func(bool) reply {
			return x.post("/v1/events/keycloak", "", formType, example(t, "logout-sub-sid"))
		}, "iss_sub: 'map:maps/keycloak.csv'", "iss_sub: 'email:{sub}'"},
	} {
		x.edit(c.old, c.slip)
		before := len(r.stored())
		for range 2 { // it is kept once
			if got := c.post(false); got.code != 400 {
				t.Errorf("%s: at first %d %s", c.name, got.code, got.body)
			}
		}
		x.edit(c.slip, c.old)
		if got := c.post(true); got.code/100 != 2 {
			t.Errorf("%s: then %d %s", c.name, got.code, got.body)
		}
		var verdicts []signals.Verdict
		for _, m := range r.stored()[before:] {
			verdicts = append(verdicts, x.rc.reader().Message(m.Header, m.Data).Verdict)
		}
		if len(verdicts) != 2 || verdicts[1] != signals.Job {
			t.Errorf("%s: stored are %v", c.name, verdicts)
		}
	}
}

// A token that has ended is not kept of who shows no secret, since anybody may have found it, and one that is kept is kept
// once, whatever stands beside it.
func TestStrangersFillNoStreamWithOneToken(t *testing.T) {
	r := newRig(t, 0)
	x := r.receive()
	x.rc.clock = func() time.Time { return noon().Add(60 * 24 * time.Hour) }
	for range 3 {
		if got := x.post("/v1/events/keycloak", "", formType, example(t, "logout-sub-sid")); got.code != 400 {
			t.Errorf("a token that has ended: %d %s", got.code, got.body)
		}
	}
	if n := len(r.stored()); n != 0 {
		t.Errorf("%d messages are stored of one that has ended", n)
	}
	x.rc.clock = noon
	for _, beside := range []string{"", "&x=1", "&x=2"} {
		if got := x.post("/v1/events/keycloak", "", formType, example(t, "logout-nonce")+beside); got.code != 400 {
			t.Errorf("a token with a nonce: %d %s", got.code, got.body)
		}
	}
	if n := len(r.stored()); n != 1 {
		t.Errorf("%d messages are stored of one that is kept", n)
	}
}

// What is kept is on the lane on which it came: a publisher may have the right to no other.
func TestWhatIsKeptIsOnItsLane(t *testing.T) {
	r := newRig(t, 0)
	x := r.receive()
	for _, lane := range jobs.Lanes {
		if got := x.post("/v1/jobs?lane="+string(lane), "job-secret", setType, example(t, "risc-unmapped")); got.code != 400 {
			t.Errorf("%d %s", got.code, got.body)
		}
		if !slices.ContainsFunc(r.stored(), func(m *jetstream.RawStreamMsg) bool { return m.Subject == subjects.Request(lane, "soar") }) {
			t.Errorf("nothing is stored on the %s lane", lane)
		}
	}
}

// edit puts some words in the issuers file in place of others, and has the file read.
func (x *receiving) edit(words, others string) {
	x.t.Helper()
	if words == "" && others == "" {
		return
	}
	file := filepath.Join(filepath.Dir(x.secret), "issuers.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		x.t.Fatal(err)
	}
	if strings.Count(string(text), words) != 1 {
		x.t.Fatalf("%q is not in the file once", words)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), words, others, 1)), 0o600); err != nil {
		x.t.Fatal(err)
	}
	if x.rc.Issuers, err = issuers.Open(file); err != nil {
		x.t.Fatal(err)
	}
}
