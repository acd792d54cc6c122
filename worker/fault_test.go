package worker_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// Whatever the Web Server does instead of answering, nothing is claimed, and all is done when it is
// well again. Only what had its effect without an answer depends on what is said to ended sessions.
func TestNothingButTheSuccessAnswerIsSuccess(t *testing.T) {
	for name, fault := range map[string]simulator.Fault{
		"page":             simulator.Page(),
		"empty":            simulator.Empty(),
		"cut off":          simulator.CutOff(),
		"redirect":         simulator.Redirect("http://login.example/sso?token=x"),
		"doctype":          simulator.Doctype(),
		"gzip bomb":        simulator.GzipBomb(),
		"502":              simulator.Status(502),
		"504":              simulator.Status(504),
		"403":              simulator.Status(403),
		"reset":            simulator.Reset(false),
		"reset, applied":   simulator.Reset(true),
		"hang":             simulator.Hang(false),
		"endless":          simulator.EndlessBody(),
		"slow":             simulator.SlowBody(),
		"throttle, absurd": simulator.Throttle(99_999_999),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
				ids := s.sim.SignOnMany(7, 10)
				r := s.start(options{})
				passes(t, time.Second)
				faults := make([]simulator.Fault, 8)
				for i := range faults {
					faults[i] = fault
				}
				s.sim.FailNext(faults...)
				s.publish("logoff.requests", oneEach(ids)...)
				results := s.await(10)
				for _, r := range results {
					if got, want := r.Sessions[0].Outcome, s.honest(r.Sessions[0].ID); got != want {
						t.Errorf("session %s is %s, want %s\n%s", r.Sessions[0].ID, got, want, s.log)
					}
				}
				failed := 0
				for _, request := range s.logoffs() {
					if request.Success {
						break
					}
					failed++
				}
				if failed < 8 {
					t.Errorf("only %d requests failed, want 8", failed)
				}
				if s.alive(ids) != 0 {
					t.Error("a session is still on")
				}
				if strings.Contains(s.log.String(), "token=x") {
					t.Error("a query string is in the log")
				}
				r.stop()
			})
		})
	}
}

// One session at which the Web Server hangs holds up nobody for ever, and is not claimed.
func TestSessionThatHangsTheServerIsGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		ids := s.sim.SignOnMany(7, 400)
		poison := ids[0]
		s.start(options{client: func(c *webserver.Config) {
			dial := c.DialContext
			c.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := dial(ctx, network, addr)
				return &hangs{Conn: conn, at: []byte(poison)}, err
			}
		}})
		s.publish("logoff.requests", jobOf(ids[:50]...))
		for _, id := range ids[50:] { // others keep coming, and are accepted
			passes(t, 5*time.Second)
			s.publish("logoff.requests", jobOf(id))
		}
		results := s.await(351)
		if got := outcomes(results); got[jobs.Accepted] != 399 || got[jobs.Undecided] != 1 {
			t.Errorf("outcomes %v", got)
		}
		if n := s.deadLetters(); n != 1 {
			t.Errorf("%d dead letters", n)
		}
	})
}

// hangs swallows every request that names one session.
type hangs struct {
	net.Conn
	at []byte
}

func (h *hangs) Write(p []byte) (int, error) {
	if bytes.Contains(p, h.at) {
		return len(p), nil
	}
	return h.Conn.Write(p)
}

// An error in a 200 refuses its document. Of those beside the cause, what was ended all the same has ended
// when it is sent alone.
func TestErrorBodyInA200IsARefusal(t *testing.T) {
	const accepted, rejected = jobs.Accepted, jobs.Rejected
	for partial, want := range map[simulator.Partial][]jobs.Outcome{ // all of them, because each has an end of its own
		simulator.PartialAtomic: {accepted, rejected, accepted},
		simulator.PartialStop:   {rejected, rejected, accepted},
		simulator.PartialApply:  {rejected, rejected, rejected},
	} {
		t.Run(string(partial), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{Ended: simulator.EndedError, Partial: partial}) // the error in a 200
				ids := s.sim.SignOnMany(7, 3)
				s.sim.SignOff(ids[1])
				s.publish("logoff.requests", jobOf(ids...))
				s.start(options{})
				result := s.await(1)[0]
				for i, session := range result.Sessions {
					if session.Outcome != want[i] {
						t.Errorf("session %d is %s, want %s", i, session.Outcome, want[i])
					}
				}
				status := jobs.Partial
				if partial == simulator.PartialApply {
					status = jobs.Failed
				}
				if result.Status != status || s.alive(ids) != 0 {
					t.Errorf("%d sessions are on, result %+v", s.alive(ids), result)
				}
				if result.Sessions[1].ServerText == "" {
					t.Error("the server's words are missing")
				}
			})
		})
	}
}

func TestDeadTokenIsRenewedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		ids := s.sim.SignOnMany(7, 1000)
		s.start(options{})
		passes(t, time.Second)
		s.sim.RevokeTokens()
		s.publish("logoff.requests.bulk", oneEach(ids)...)
		if got := statuses(s.await(1000)); got[jobs.AcceptedJob] != 1000 {
			t.Errorf("statuses %v", got)
		}
		if renewals := s.sim.Count("renew") + s.sim.Count("login"); renewals > 3 {
			t.Errorf("%d renewals and logins", renewals)
		}
	})
}

func TestIdleTokenStaysAlive(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		ids := s.sim.SignOnMany(7, 1)
		s.start(options{})
		passes(t, 95*time.Minute)
		s.publish("logoff.requests", jobOf(ids...))
		if took := s.await(1)[0].TimeToLogoffMS; took != 40 {
			t.Errorf("after a quiet hour and a half it took %d ms", took)
		}
		if n := s.sim.Count("login"); n != 1 {
			t.Errorf("%d logins", n)
		}
	})
}

func TestRejectedLoginIsNotRepeated(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		ids := s.sim.SignOnMany(7, 1)
		var password atomic.Value // an operator changes it while the worker reads it
		password.Store("wrong")
		r := s.start(options{client: func(c *webserver.Config) {
			c.Password = func() (string, error) { return password.Load().(string), nil }
		}})
		s.publish("logoff.requests", jobOf(ids...))
		passes(t, 50*time.Minute)
		if n := s.sim.Count("login"); n != 1 {
			t.Errorf("%d logins with a rejected password in 50 minutes", n)
		}
		if problem := r.problem(worker.PartWebServer); !strings.Contains(problem, "login") {
			t.Errorf("the worker says %q", problem)
		}
		password.Store(servicePassword)
		if result := s.await(1)[0]; result.Status != jobs.AcceptedJob {
			t.Errorf("result %+v", result)
		}
	})
}

func TestTokenThatIsRefusedForEverHoldsTheJobs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		ids := s.sim.SignOnMany(7, 1)
		var token atomic.Value
		token.Store("QSDK 3dead")
		r := s.start(options{client: func(c *webserver.Config) {
			c.Username, c.Password = "", nil
			c.Token = func() (string, error) { return token.Load().(string), nil }
		}})
		s.publish("logoff.requests", jobOf(ids...))
		passes(t, 10*time.Minute)
		if problem := r.problem(worker.PartWebServer); !strings.Contains(problem, "401") {
			t.Errorf("the worker says %q", problem)
		}
		if n := s.deadLetters() + s.count(s.subjects.ResultStream()); n != 0 {
			t.Errorf("%d results and dead letters", n)
		}
		token.Store(s.sim.Token(1))
		if result := s.await(1)[0]; result.Status != jobs.AcceptedJob {
			t.Errorf("result %+v", result)
		}
	})
}

func TestMissingPermissionHoldsTheJobsWithoutLogin(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		ids := s.sim.SignOnMany(7, 1)
		s.sim.AddUser(simulator.User{ID: 9, Login: "weak", Display: "Weak", Password: "w"})
		password := "w"
		r := s.start(options{client: func(c *webserver.Config) {
			c.Username, c.Password = "weak", func() (string, error) { return password, nil }
		}})
		s.publish("logoff.requests", jobOf(ids...))
		passes(t, 30*time.Minute)
		if problem := r.problem(worker.PartWebServer); !strings.Contains(problem, "403") {
			t.Errorf("the worker says %q", problem)
		}
		if n := s.tokens(); n != 1 {
			t.Errorf("%d logins and renewals", n)
		}
		if n := s.deadLetters() + s.count(s.subjects.ResultStream()); n != 0 {
			t.Errorf("%d results and dead letters", n)
		}
	})
}

func TestTooLargeDocumentShrinksTheCap(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{DocumentLimit: 3000, LatencyFixed: 40 * time.Millisecond})
		s.sim.Configure(func(settings *simulator.Settings) { settings.DocumentLimitStatus = 413 })
		ids := s.sim.SignOnMany(7, 1000)
		s.start(options{})
		s.publish("logoff.requests.bulk", jobOf(ids...))
		if result := s.await(1)[0]; result.Counts[jobs.Accepted] != 1000 {
			t.Errorf("counts %v", result.Counts)
		}
		refused := 0
		for _, request := range s.logoffs() {
			if !request.Success {
				refused++
			}
		}
		if refused > 15 {
			t.Errorf("%d documents were too large", refused)
		}
	})
}

func TestWrongPathHoldsTheJobs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		ids := s.sim.SignOnMany(7, 200)
		token := s.sim.Token(1)
		r := s.start(options{client: func(c *webserver.Config) {
			c.URL = "http://127.0.0.1/commandcentre/api"
			c.Username, c.Password = "", nil
			c.Token = func() (string, error) { return token, nil }
		}})
		s.publish("logoff.requests", jobOf(ids...))
		passes(t, 10*time.Minute)
		if problem := r.problem(worker.PartWebServer); !strings.Contains(problem, "404") {
			t.Errorf("the worker says %q", problem)
		}
		if n := s.deadLetters() + s.count(s.subjects.ResultStream()); n != 0 {
			t.Errorf("%d results and dead letters", n)
		}
	})
}

func TestConsumerMadeAnewGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		ids := s.sim.SignOnMany(7, 2)
		s.start(options{})
		passes(t, time.Second)
		if err := s.js.DeleteConsumer(t.Context(), s.subjects.RequestStream(), "urgent"); err != nil {
			t.Fatal(err)
		}
		passes(t, time.Second)
		begun := time.Now()
		s.publish("logoff.requests", jobOf(ids[0]))
		if result := s.await(1)[0]; result.Status != jobs.AcceptedJob {
			t.Errorf("result %+v", result)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// A lane whose consumer was gone goes on with the consumer, whatever else is still missing.
func TestLaneWaitsForNothingButItsConsumer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		ids := s.sim.SignOnMany(7, 1)
		r := s.start(options{config: func(c *worker.Config) { c.Stream.Provision = stream.ProvisionVerify }})
		passes(t, time.Second)
		results, err := s.js.Stream(t.Context(), s.subjects.ResultStream())
		if err != nil {
			t.Fatal(err)
		}
		urgent := s.consumer(jobs.Urgent).Config
		for _, err := range []error{
			s.js.DeleteStream(t.Context(), s.subjects.ResultStream()),
			s.js.DeleteConsumer(t.Context(), s.subjects.RequestStream(), urgent.Durable),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		passes(t, time.Minute)
		if problem := r.problem(stream.PartStreams); problem == "" {
			t.Error("nothing is said about the missing consumer")
		}
		if _, err := s.js.CreateConsumer(t.Context(), s.subjects.RequestStream(), urgent); err != nil {
			t.Fatal(err)
		}
		s.publish("logoff.requests", jobOf(ids...))
		passes(t, 3*time.Second)
		if n := s.alive(ids); n != 0 || s.left() != 1 {
			t.Errorf("%d sessions are on, %d jobs left: the results are missing, the consumer is not", n, s.left())
		}
		if _, err := s.js.CreateStream(t.Context(), results.CachedInfo().Config); err != nil {
			t.Fatal(err)
		}
		passes(t, time.Minute)
		if n := s.count(s.subjects.ResultStream()); n != 1 || s.left() != 0 {
			t.Errorf("%d results, %d jobs left", n, s.left())
		}
		if problem := r.problem(stream.PartStreams) + r.problem(worker.PartResults); problem != "" {
			t.Error(problem)
		}
	})
}

func TestFullResultsStreamStopsTheAcks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		ids := s.sim.SignOnMany(7, 1000)
		s.limitResults(100)
		r := s.start(options{})
		s.publish("logoff.requests.bulk", oneEach(ids)...)
		passes(t, 5*time.Minute)
		if n := s.left(); n != 900 {
			t.Errorf("%d jobs are in the stream while only 100 results fit", n)
		}
		if problem := r.problem(worker.PartResults); !strings.Contains(problem, "full") {
			t.Errorf("the worker says %q", problem)
		}
		s.limitResults(-1)
		if got := statuses(s.await(1000)); got[jobs.AcceptedJob] != 1000 {
			t.Errorf("statuses %v", got)
		}
		if n := s.consumer(jobs.Bulk).NumRedelivered; n != 0 {
			t.Errorf("%d redelivered", n)
		}
	})
}

func TestNoSecretInAnyOutput(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		ids := s.sim.SignOnMany(7, 50)
		r := s.start(options{})
		s.sim.FailNext(simulator.Status(503), simulator.Page(), simulator.Redirect("http://u:canary-redirect@x.example/?canary-query"), simulator.Generic500())
		s.sim.RevokeTokens()
		s.publish("logoff.requests", oneEach(ids)...)
		s.publish("logoff.requests", `{"bad"`)
		s.await(51)
		page := r.pages()
		r.stop()
		for _, name := range append(ids, "jane", "Jane") {
			if strings.Contains(page, name) {
				t.Errorf("a page names %s", name)
			}
		}
		everything := s.log.String() + page + s.stored(s.subjects.ResultStream()) + s.stored(s.subjects.DeadStream())
		for _, secret := range []string{servicePassword, "Y2FuYXJ5", "QSDK", "canary-redirect", "canary-query"} {
			if strings.Contains(everything, secret) {
				t.Errorf("%q is in an output", secret)
			}
		}
	})
}
