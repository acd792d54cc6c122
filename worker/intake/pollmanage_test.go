package intake

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"logoffworker/jobs/signals"
	"logoffworker/worker/intake/ssf/transmitter"
)

// streams are those of the transmitter, as it shows them.
func (s *pollSite) streams() (all []map[string]any) {
	s.t.Helper()
	for _, text := range s.x.Streams() {
		var one map[string]any
		if err := json.Unmarshal([]byte(text), &one); err != nil {
			s.t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

func TestAStreamIsMadeOnceAndLeftAlone(t *testing.T) {
	polled(t, transmitter.Settings{Bearer: "stream-canary"}, "delivery: poll, bearer: stream-canary", func(t *testing.T, s *pollSite) {
		first := s.start()
		s.start()
		time.Sleep(3 * time.Hour)
		first.stop()
		s.start()
		time.Sleep(3 * time.Hour)
		want := []map[string]any{{
			"stream_id": "stream-1", "iss": issuerURL, "aud": "receiver/stream-1", "description": "logoff-worker idp",
			"delivery":         map[string]any{"method": "urn:ietf:rfc:8936", "endpoint_url": issuerURL + "/poll/stream-1"},
			"events_requested": []any{revoked, disabled}, "events_delivered": []any{revoked, disabled}, "events_supported": []any{revoked, disabled},
		}}
		if diff := cmp.Diff(want, s.streams()); diff != "" {
			t.Errorf("the transmitter's streams (-want +got):\n%s", diff)
		}
		if s.x.Count("create") != 1 || s.x.Count("change") != 0 || s.x.Count("delete") != 0 || s.x.Count("list") < 6 {
			t.Errorf("created %d, changed %d, deleted %d, listed %d times", s.x.Count("create"), s.x.Count("change"), s.x.Count("delete"), s.x.Count("list"))
		}
	})
}

func TestAStreamIsAdoptedAndChanged(t *testing.T) {
	for name, test := range map[string]struct {
		settings transmitter.Settings
		stream   string
		have     func(x *transmitter.Transmitter)
		created  int
		changed  int
	}{
		"by its description":             {transmitter.Settings{}, "delivery: poll", func(x *transmitter.Transmitter) { x.Add("logoff-worker idp", revoked, disabled) }, 0, 0},
		"that asks for less":             {transmitter.Settings{}, "delivery: poll", func(x *transmitter.Transmitter) { x.Add("logoff-worker idp", revoked) }, 0, 1},
		"by its address":                 {transmitter.Settings{}, "delivery: poll, poll_url: " + issuerURL + "/poll/stream-1", func(x *transmitter.Transmitter) { x.Add("somebody's", revoked) }, 0, 1},
		"not somebody else's":            {transmitter.Settings{}, "delivery: poll", func(x *transmitter.Transmitter) { x.Add("somebody's", revoked) }, 1, 0},
		"the only one that there may be": {transmitter.Settings{Single: true}, "delivery: poll", func(x *transmitter.Transmitter) { x.Add("", revoked) }, 1, 1},
		"that is to be pushed from now":  {transmitter.Settings{}, "delivery: push, push_url: https://us.example/v1/events/idp", func(x *transmitter.Transmitter) { x.Add("logoff-worker idp", revoked, disabled) }, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			polled(t, test.settings, test.stream, func(t *testing.T, s *pollSite) {
				test.have(s.x)
				s.start()
				time.Sleep(3 * time.Hour)
				if s.x.Count("create") != test.created || s.x.Count("change") != test.changed {
					t.Errorf("%d times it was tried to make one, %d times it was changed", s.x.Count("create"), s.x.Count("change"))
				}
				last := s.streams()[len(s.streams())-1]
				if diff := cmp.Diff([]any{revoked, disabled}, last["events_delivered"]); diff != "" {
					t.Errorf("what it delivers (-want +got):\n%s", diff)
				}
				if strings.Contains(test.stream, "push") {
					want := map[string]any{"method": "urn:ietf:rfc:8935", "endpoint_url": "https://us.example/v1/events/idp", "authorization_header": "Bearer push-canary"}
					if diff := cmp.Diff(want, last["delivery"]); diff != "" {
						t.Errorf("its delivery (-want +got):\n%s", diff)
					}
				}
			})
		})
	}
}

func TestAStreamWithoutADescriptionIsKnownAgain(t *testing.T) {
	polled(t, transmitter.Settings{Unnamed: true}, "delivery: poll", func(t *testing.T, s *pollSite) {
		s.start().stop()
		s.start()
		time.Sleep(time.Hour)
		if n := s.x.Count("create"); n != 1 {
			t.Errorf("%d streams were made", n)
		}
	})
}

func TestAStreamThatIsGoneIsMadeAnew(t *testing.T) {
	polled(t, transmitter.Settings{}, "delivery: poll", func(t *testing.T, s *pollSite) {
		s.start()
		s.ready()
		s.x.Remove("stream-1")
		s.until(5*time.Minute, "there is another", func() bool { return len(s.x.Streams()) > 0 })
		ids := s.issue(3)
		s.until(time.Minute, "they are stored", func() bool { return s.x.Pending() == 0 })
		s.once(ids)
	})
}

func TestAStreamThatIsNotManagedIsOnlyPolled(t *testing.T) {
	polled(t, transmitter.Settings{Audience: "us"}, "delivery: poll, managed: false, poll_url: "+issuerURL+"/poll/stream-1", func(t *testing.T, s *pollSite) {
		s.x.Add("somebody's", revoked)
		s.append("    audience: [us]\n    keys: {url: " + issuerURL + "/keys}\n")
		r := s.start()
		ids := s.issue(3)
		s.until(2*time.Minute, "they are stored", func() bool { return s.x.Pending() == 0 })
		time.Sleep(3 * time.Hour)
		s.once(ids)
		for _, op := range []string{"discover", "list", "create", "change", "delete", "status", "verify"} {
			if n := s.x.Count(op); n != 0 {
				t.Errorf("%d times %s", n, op)
			}
		}
		if r.condition("silent") != nil || r.gauge("logoff_signal_verify_interval_seconds") != -1 || r.gauge("logoff_signal_age_seconds") < 3600 {
			t.Errorf("its silence is judged, or its age is not told: %v", r.gauge("logoff_signal_age_seconds"))
		}
	})
}

func TestWhatIsNotAsWantedIsTold(t *testing.T) {
	for name, test := range map[string]struct {
		settings transmitter.Settings
		begin    func(x *transmitter.Transmitter)
		kind     string
		words    string
		end      func(x *transmitter.Transmitter)
		harmless bool
	}{
		"an event that is not delivered": {
			transmitter.Settings{Supported: []string{revoked}},
			nil, "undelivered",
			"idp does not deliver what the issuers file has rules for: " + disabled,
			func(x *transmitter.Transmitter) {
				x.Configure(func(s *transmitter.Settings) { s.Supported = nil })
				x.Remove("stream-1")
			}, false,
		},
		"nobody is added": {
			transmitter.Settings{DefaultSubjects: "NONE"},
			nil, "subjects", "default_subjects: NONE",
			func(x *transmitter.Transmitter) {
				x.Configure(func(s *transmitter.Settings) { s.DefaultSubjects = "ALL" })
			}, true,
		},
		"it is paused": {
			transmitter.Settings{},
			func(x *transmitter.Transmitter) { x.SetStatus("paused", "maintenance at 5") }, "status",
			"the stream of idp is paused, and delivers nothing: maintenance at 5",
			func(x *transmitter.Transmitter) { x.SetStatus("enabled", "") }, false,
		},
		"it is disabled": {
			transmitter.Settings{},
			func(x *transmitter.Transmitter) { x.SetStatus("disabled", "") }, "status",
			"the stream of idp is disabled, and delivers nothing",
			func(x *transmitter.Transmitter) { x.SetStatus("enabled", "") }, false,
		},
		"the transmitter is down": {
			transmitter.Settings{},
			func(x *transmitter.Transmitter) { x.Configure(func(s *transmitter.Settings) { s.Down = true }) }, "unreachable",
			"the stream of idp cannot be polled: poll the stream: HTTP 503 Service Unavailable",
			func(x *transmitter.Transmitter) { x.Configure(func(s *transmitter.Settings) { s.Down = false }) }, false,
		},
		"it does not know us": {
			transmitter.Settings{Bearer: "another"},
			nil, "unmanaged",
			"the stream of idp cannot be looked after: list the streams: HTTP 401 Unauthorized: authentication_failed: the token is not known",
			func(x *transmitter.Transmitter) {
				x.Configure(func(s *transmitter.Settings) { s.Bearer = "stream-canary" })
			}, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			polled(t, test.settings, "delivery: poll, bearer: stream-canary", func(t *testing.T, s *pollSite) {
				r := s.start()
				if test.begin != nil {
					s.ready()
					test.begin(s.x)
				}
				if test.harmless {
					s.until(time.Minute, "it is told", func() bool { return strings.Contains(s.log.String(), test.words) })
					if c := r.condition(test.kind); c != nil {
						t.Errorf("the worker is not ready: %v", c)
					}
				} else {
					s.until(70*time.Minute, "it is told", func() bool { return r.condition(test.kind) != nil })
					if c := r.condition(test.kind); !strings.Contains(c.What, test.words) {
						t.Errorf("it is told as %q", c.What)
					}
				}
				test.end(s.x)
				s.until(70*time.Minute, "it has ended", func() bool {
					return r.condition(test.kind) == nil && (!test.harmless || strings.Contains(s.log.String(), "no longer"))
				})
			})
		})
	}
}

func TestAChangeOfStatusThatIsToldIsLookedAtSoon(t *testing.T) {
	polled(t, transmitter.Settings{}, "delivery: poll", func(t *testing.T, s *pollSite) {
		r := s.start()
		s.ready()
		time.Sleep(10 * time.Minute)
		s.x.SetStatus("paused", "")
		s.until(70*time.Minute, "it is told", func() bool { return r.condition("status") != nil })
		s.x.SetStatus("enabled", "")
		s.until(2*time.Minute, "it has ended", func() bool { return r.condition("status") == nil })
	})
}

// A change is looked at as soon where it is pushed, to whichever replica.
func TestAChangeOfStatusThatIsPushedIsLookedAtSoon(t *testing.T) {
	polled(t, transmitter.Settings{}, "delivery: push, push_url: https://us.example/v1/events/idp, verify: 0s", func(t *testing.T, s *pollSite) {
		replicas := []*poller{s.start(), s.start()}
		s.ready()
		holds := func() *poller { // who looks after the stream
			for _, r := range replicas {
				if r.gauge("logoff_signal_age_seconds") != -1 {
					return r
				}
			}
			return replicas[0]
		}
		time.Sleep(10 * time.Minute)
		for _, to := range replicas { // one of them looks after the stream, the other does not
			pushed := func(status string) {
				s.x.SetStatus(status, "")
				to.receiver().settle(t.Context(), sender{publisher: "idp", done: func(string, signals.Answer) answer { return answer{} }},
					signals.Answer{Verdict: signals.Ignored, Issuer: "idp", StreamUpdated: status})
			}
			pushed("paused")
			s.until(2*time.Minute, "it is told", func() bool { return holds().condition("status") != nil })
			pushed("enabled")
			s.until(2*time.Minute, "it has ended", func() bool { return holds().condition("status") == nil })
		}
	})
}

// receiver is one beside a replica.
func (r *poller) receiver() *Receiver {
	return &Receiver{Issuers: r.Issuers, Store: r.Store, Metrics: r.Events, Health: r.health, Log: r.Log, Alive: r.Alive}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (r roundTrip) RoundTrip(q *http.Request) (*http.Response, error) { return r(q) }

func TestSilenceIsToldWithinTwoIntervalsAndEnds(t *testing.T) {
	for name, stream := range map[string]string{
		"of a stream that is polled": "delivery: poll, verify: 5m",
		"of a stream that is pushed": "delivery: push, push_url: https://us.example/v1/events/idp, verify: 5m",
	} {
		t.Run(name, func(t *testing.T) {
			polled(t, transmitter.Settings{}, stream, func(t *testing.T, s *pollSite) {
				r, other := s.start(), s.start()
				s.ready()
				if strings.Contains(stream, "push") {
					arrives := roundTrip(func(*http.Request) (*http.Response, error) {
						other.Alive("idp", false) // pushes arrive at the other one
						return &http.Response{StatusCode: http.StatusAccepted, Body: http.NoBody}, nil
					})
					ctx, stop := context.WithCancel(t.Context())
					ended := make(chan struct{})
					go func() { defer close(ended); s.x.Push(ctx, &http.Client{Transport: arrives}) }()
					defer func() { stop(); <-ended }()
				}
				time.Sleep(time.Hour)
				if r.gauge("logoff_signal_age_seconds") == -1 {
					r, other = other, r // who looks after the stream
				}
				if age := r.gauge("logoff_signal_age_seconds"); age < 0 || age > 5*60+30 || r.condition("silent") != nil {
					t.Fatalf("the stream lives, and its age is %v seconds (%v)", age, r.condition("silent"))
				}
				if other.gauge("logoff_signal_age_seconds") != -1 {
					t.Error("one tells an age who does not look after the stream")
				}
				asked := s.x.Count("verify")
				if asked < 11 || asked > 14 {
					t.Errorf("it was asked %d times in an hour", asked)
				}
				s.x.Configure(func(s *transmitter.Settings) { s.Silent = true })
				s.until(10*time.Minute, "a verification is missed", func() bool { return s.x.Count("verify") > asked })
				s.until(10*time.Minute, "it is told", func() bool { return r.condition("silent") != nil })
				if age := r.gauge("logoff_signal_age_seconds"); age <= 2*r.gauge("logoff_signal_verify_interval_seconds")+60 {
					t.Errorf("its age is %v seconds", age)
				}
				s.x.Configure(func(s *transmitter.Settings) { s.Silent = false })
				s.until(6*time.Minute, "it has ended", func() bool { return r.condition("silent") == nil })
				if age := r.gauge("logoff_signal_age_seconds"); age > 60 {
					t.Errorf("its age is %v seconds", age)
				}
			})
		})
	}
}
