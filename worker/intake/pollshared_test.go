package intake

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
	"logoffworker/worker/intake/ssf/transmitter"
	"logoffworker/worker/stage/pipe"
)

// alter has the transmitter's answers changed on their way, by the last part of the path that was asked for.
func (s *pollSite) alter(change func(path, body string) string) {
	s.t.Helper()
	dial, stop := pipe.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := httptest.NewRecorder()
		s.x.ServeHTTP(got, r)
		w.Header().Set("Content-Type", got.Header().Get("Content-Type"))
		w.WriteHeader(got.Code)
		_, _ = io.WriteString(w, change(r.URL.Path, got.Body.String()))
	}))
	s.t.Cleanup(stop)
	s.dial = dial
}

// pushed is a token as the transmitter would push it now.
func (s *pollSite) pushed() string {
	s.t.Helper()
	var token string
	ctx, stop := context.WithCancel(s.t.Context())
	taken := make(chan struct{})
	tell := sync.OnceFunc(func() { close(taken) })
	arrives := roundTrip(func(q *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(q.Body)
		claims, _ := base64.RawURLEncoding.DecodeString(strings.Split(string(body)+".", ".")[1])
		if bytes.Contains(claims, []byte(revoked)) && token == "" {
			token = string(body)
			tell()
		}
		return &http.Response{StatusCode: http.StatusAccepted, Body: http.NoBody}, err
	})
	ended := make(chan struct{})
	go func() { defer close(ended); s.x.Push(ctx, &http.Client{Transport: arrives}) }()
	s.issue(1)
	<-taken
	stop()
	<-ended
	return token
}

// reads is what a replica makes of a token that is pushed to it.
func (r *poller) reads(token string) signals.Answer {
	return r.Issuers.Reader(jobs.Rules{}, time.Now()).SET("idp", []byte(token))
}

// kv is the bucket that pollers share.
func (s *pollSite) kv() jetstream.KeyValue {
	s.t.Helper()
	kv, err := s.js.KeyValue(s.t.Context(), PollBucket(subjects))
	if err != nil {
		s.t.Fatal(err)
	}
	return kv
}

// Whichever replica a token is pushed to, it can verify it, and knows of a stream that is made anew.
func TestEachReplicaKnowsTheStreamThatIsPushed(t *testing.T) {
	polled(t, transmitter.Settings{}, "delivery: push, push_url: https://us.example/v1/events/idp", func(t *testing.T, s *pollSite) {
		replicas := []*poller{s.start(), s.start()}
		s.ready()
		known := func(after time.Duration) {
			t.Helper()
			time.Sleep(after)
			token := s.pushed()
			for n, r := range replicas {
				if a := r.reads(token); a.Verdict != signals.Job {
					t.Errorf("replica %d reads it as %s: %s", n, a.Verdict, a.Why)
				}
			}
		}
		known(30 * time.Second)
		s.x.Remove("stream-1")
		s.until(6*time.Minute, "there is another stream", func() bool { return len(s.x.Streams()) > 0 })
		known(10 * time.Second)
		replicas = append(replicas, s.start())
		known(30 * time.Second)
		if n := s.x.Count("create"); n != 2 {
			t.Errorf("%d streams were made", n)
		}
	})
}

// What is new of a stream counts, although its audience stays the same.
func TestEachChangeOfAStreamIsLearnt(t *testing.T) {
	polled(t, transmitter.Settings{Audience: "https://us.example"}, "delivery: poll", func(t *testing.T, s *pollSite) {
		moved := false
		var mu sync.Mutex
		s.alter(func(_, body string) string {
			mu.Lock()
			defer mu.Unlock()
			if moved {
				return strings.ReplaceAll(body, issuerURL+`/keys"`, issuerURL+`/keys?new"`)
			}
			return body
		})
		r := s.start()
		s.ready()
		time.Sleep(time.Minute)
		s.x.Remove("stream-1")
		s.until(3*time.Minute, "there is another stream", func() bool { return len(s.x.Streams()) > 0 })
		ids := s.issue(3)
		s.until(time.Minute, "they are stored", func() bool { return s.x.Pending() == 0 })
		s.once(ids)
		mu.Lock()
		moved = true
		mu.Unlock()
		s.until(70*time.Minute, "the new address of keys is known", func() bool { return r.Issuers.File().Issuers[0].Keys.URL == issuerURL+"/keys?new" })
	})
}

// A transmitter that does not say by what its tokens can be verified, or says it in a way that is not believed, leaves
// them waiting; that is told, and ends with what the issuers file says.
func TestWhatATransmitterDoesNotSayIsTold(t *testing.T) {
	for name, test := range map[string]struct {
		from, to, words, mend string
	}{
		"no audience":    {`"aud":"https://us.example",`, ``, "idp names no audience of its stream", "audience: [https://us.example]"},
		"no keys":        {`"jwks_uri":"` + issuerURL + `/keys",`, ``, "idp names no address of its keys", "keys: {url: " + issuerURL + "/keys}"},
		"keys in public": {`"jwks_uri":"` + issuerURL + `/keys"`, `"jwks_uri":"http://elsewhere.example/keys"`, "the transmitter's address of keys must begin with https://", "keys: {url: " + issuerURL + "/keys}"},
	} {
		t.Run(name, func(t *testing.T) {
			polled(t, transmitter.Settings{Audience: "https://us.example"}, "delivery: poll", func(t *testing.T, s *pollSite) {
				found := make(chan struct{})
				tell := sync.OnceFunc(func() { close(found) })
				s.alter(func(_, body string) string {
					if strings.Contains(body, test.from) {
						tell()
					}
					return strings.ReplaceAll(body, test.from, test.to)
				})
				r := s.start()
				s.ready()
				<-found
				s.until(time.Minute, "it is told", func() bool {
					c := r.condition("unknown")
					return c != nil && strings.Contains(c.What, test.words)
				})
				ids := s.issue(1)
				time.Sleep(time.Minute)
				if len(s.stored()) > 0 {
					t.Error("it is believed all the same")
				}
				s.append("    " + test.mend + "\n")
				s.until(2*time.Minute, "it is stored", func() bool { return len(s.stored()) == 1 })
				s.once(ids)
				s.until(time.Minute, "it has ended", func() bool { return r.condition("unknown") == nil })
			})
		})
	}
}

// Whoever may write the bucket that pollers share gets no credentials by it, and has no key believed.
func TestNothingInTheBucketIsAskedOrBelieved(t *testing.T) {
	polled(t, transmitter.Settings{Bearer: "stream-canary"}, "delivery: poll, bearer: stream-canary", func(t *testing.T, s *pollSite) {
		var mu sync.Mutex
		var asked []string
		elsewhere, stop := pipe.Serve(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, q.Host+q.URL.Path+" "+q.Header.Get("Authorization"))
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		t.Cleanup(stop)
		there := s.dial
		s.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if strings.HasPrefix(addr, "127.0.0.9") {
				return elsewhere(ctx, network, addr)
			}
			return there(ctx, network, addr)
		}
		r := s.start()
		s.ready()
		time.Sleep(time.Minute)
		for n := range 20 {
			if _, err := s.kv().Put(t.Context(), "lease.idp", []byte("me")); err != nil {
				t.Fatal(err)
			}
			said := fmt.Sprintf(`{"id":"stream-%d","poll":"http://127.0.0.9/steal","keys":"http://127.0.0.9/keys","verification":"http://127.0.0.9/verify","aud":["x"],"least":1,"said":"%d"}`, n, n)
			if _, err := s.kv().Put(t.Context(), "stream.idp", []byte(said)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
		}
		time.Sleep(time.Minute)
		if len(asked) > 0 {
			t.Errorf("asked was %v", asked)
		}
		f := r.Issuers.File()
		if keys, audience := f.Issuers[0].Keys.URL, f.Policy.Issuers[0].Audience; keys != issuerURL+"/keys" || len(audience) != 1 || audience[0] != "receiver/stream-1" {
			t.Errorf("the keys are at %s, the audience is %v", keys, audience)
		}
		ids := s.issue(3)
		s.until(time.Minute, "they are stored", func() bool { return s.x.Pending() == 0 })
		s.once(ids)
		if s.x.Count("create") != 1 || s.x.Count("list") > 50 {
			t.Errorf("%d streams were made, and they were listed %d times", s.x.Count("create"), s.x.Count("list"))
		}
	})
}

// A sign of life that is yet to come does not hide a silence.
func TestASignOfLifeInTheFutureHidesNoSilence(t *testing.T) {
	polled(t, transmitter.Settings{}, "delivery: poll, verify: 5m", func(t *testing.T, s *pollSite) {
		r := s.start()
		s.ready()
		time.Sleep(10 * time.Minute)
		s.x.Configure(func(s *transmitter.Settings) { s.Silent = true })
		if _, err := s.kv().Put(t.Context(), "sign.idp", []byte("2099-01-01T00:00:00Z")); err != nil {
			t.Fatal(err)
		}
		s.until(20*time.Minute, "it is told", func() bool { return r.condition("silent") != nil })
	})
}

// What pollers tell each other and cannot be read, or cannot be written, is told.
func TestWhatPollersCannotTellEachOtherIsTold(t *testing.T) {
	const words = "what pollers tell each other of idp"
	for name, spoil := range map[string]func(s *pollSite){
		"what is there is no JSON":   func(s *pollSite) { s.spoil("stream.idp", "no JSON") },
		"what is there is too large": func(s *pollSite) { s.spoil("stream.idp", `{"id":"`+strings.Repeat("x", 5000)+`"}`) },
		"a sign of life is no time":  func(s *pollSite) { s.spoil("sign.idp", "yesterday") },
		"a sign of life is to come":  func(s *pollSite) { s.spoil("sign.idp", "2099-01-01T00:00:00Z") },
		"it cannot be written":       func(s *pollSite) { s.narrow(); s.x.Remove("stream-1") },
	} {
		t.Run(name, func(t *testing.T) {
			polled(t, transmitter.Settings{}, "delivery: poll", func(t *testing.T, s *pollSite) {
				s.alter(func(_, body string) string {
					return strings.ReplaceAll(body, `"stream_id":"stream-2`, `"stream_id":"`+strings.Repeat("x", 500))
				})
				s.start()
				s.start()
				s.ready()
				time.Sleep(time.Minute)
				spoil(s)
				s.until(3*time.Minute, "it is told", func() bool { return strings.Contains(s.log.String(), words) })
			})
		})
	}
}

func (s *pollSite) spoil(key, value string) {
	s.t.Helper()
	if _, err := s.kv().Put(s.t.Context(), key, []byte(value)); err != nil {
		s.t.Fatal(err)
	}
}

// narrow has the bucket take nothing that is much longer than a lease.
func (s *pollSite) narrow() {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), "KV_"+PollBucket(subjects))
	if err != nil {
		s.t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.MaxMsgSize = 300
	if _, err := s.js.UpdateStream(s.t.Context(), config); err != nil {
		s.t.Fatal(err)
	}
}

// The issuers file says which stream is polled, whatever the bucket says: a changed address is taken up.
func TestWhatTheFileSaysGoesBeforeTheBucket(t *testing.T) {
	polled(t, transmitter.Settings{}, "delivery: poll, poll_url: "+issuerURL+"/poll/stream-1", func(t *testing.T, s *pollSite) {
		s.x.Add("made by hand, test", revoked, disabled)
		s.x.Add("made by hand, production", revoked, disabled)
		r := s.start()
		s.ready()
		text, err := os.ReadFile(s.file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.file, []byte(strings.Replace(string(text), "poll/stream-1", "poll/stream-2", 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		for _, after := range []string{"the change", "a restart"} {
			if aud := r.Issuers.File().Policy.Issuers[0].Audience; !strings.HasSuffix(strings.Join(aud, " "), "/stream-2") {
				t.Errorf("after %s the audience is %v", after, aud)
			}
			r.stop()
			r = s.start()
			time.Sleep(time.Hour)
		}
	})
}

// Whoever may write the bucket has nobody else's stream looked after.
func TestAnothersStreamIsNotTakenForOurs(t *testing.T) {
	polled(t, transmitter.Settings{}, "delivery: push, push_url: https://us.example/v1/events/idp", func(t *testing.T, s *pollSite) {
		r := s.start()
		time.Sleep(time.Hour)
		r.stop()
		s.x.Add("payroll", revoked)
		if _, err := s.kv().Put(t.Context(), "stream.idp", []byte(`{"id":"stream-2","sum":"x"}`)); err != nil {
			t.Fatal(err)
		}
		r = s.start()
		time.Sleep(time.Hour)
		for _, one := range s.streams() {
			if one["description"] == "payroll" && strings.Contains(fmt.Sprint(one["delivery"]), "us.example") {
				t.Errorf("another receiver's stream is pushed here: %v", one)
			}
		}
		if aud := r.Issuers.File().Policy.Issuers[0].Audience; !strings.HasSuffix(strings.Join(aud, " "), "/stream-1") {
			t.Errorf("the audience is %v", aud)
		}
	})
}

// While nobody could ask for a sign of life, that none came is no silence.
func TestSilenceCountsFromTheFirstQuestion(t *testing.T) {
	polled(t, transmitter.Settings{}, "delivery: poll, verify: 5m", func(t *testing.T, s *pollSite) {
		s.x.Configure(func(s *transmitter.Settings) { s.Down = true })
		r := s.start()
		time.Sleep(30 * time.Minute)
		s.x.Configure(func(s *transmitter.Settings) { s.Down = false })
		for began := time.Now(); time.Since(began) < 20*time.Minute; time.Sleep(time.Second) {
			if c := r.condition("silent"); c != nil {
				t.Fatalf("after %v: %s", time.Since(began), c.What)
			}
		}
	})
}
