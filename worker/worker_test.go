package worker_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

func TestJobBecomesLogoffResultAndAck(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		ids := s.sim.SignOnMany(7, 2)
		r := s.start(options{})
		s.publish("logoff.requests", `{"id":"job-1","sessions":["`+ids[0]+`"],"reason":"taken over","requestedBy":"soar","labels":{"case":"INC-1"}}`)
		s.publish("logoff.requests.bulk.hr", jobOf(ids[1]))
		results := s.await(2)

		first, second := results[0], results[1]
		if first.Lane == jobs.Bulk { // the lanes do not wait for each other
			first, second = second, first
		}
		if first.Status != jobs.AcceptedJob || first.JobID != "job-1" || first.Lane != jobs.Urgent || first.Reason != "taken over" ||
			first.RequestedBy != "soar" || first.Labels["case"] != "INC-1" || first.Worker != "w" || first.Deliveries != 1 {
			t.Errorf("first result: %+v", first)
		}
		session := first.Sessions[0]
		if session.ID != ids[0] || session.Outcome != jobs.Accepted || session.Attempts != 1 || session.RequestID == "" {
			t.Errorf("first session: %+v", session)
		}
		if second.Lane != jobs.Bulk || second.Publisher != "hr" || second.JobID == "" {
			t.Errorf("second result: %+v", second)
		}
		if n := s.alive(ids); n != 0 {
			t.Errorf("%d sessions are still on", n)
		}
		r.stop()
		if n := s.left(); n != 0 {
			t.Errorf("%d jobs are left", n)
		}
		if n := s.deadLetters(); n != 0 {
			t.Errorf("%d dead letters", n)
		}
	})
}

func TestUrgentJobLeavesAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		ids := s.sim.SignOnMany(7, 1)
		s.start(options{})
		passes(t, time.Second)
		s.publish("logoff.requests", jobOf(ids...))
		if took := s.await(1)[0].TimeToLogoffMS; took != 40 {
			t.Errorf("it took %d ms, one request takes 40", took)
		}
	})
}

func TestOneDocumentServesManyJobs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		ids := s.sim.SignOnMany(7, 1000)
		s.publish("logoff.requests.bulk", oneEach(ids)...)
		s.start(options{})
		results := s.await(1000)
		if got := outcomes(results)[jobs.Accepted]; got != 1000 {
			t.Errorf("outcomes %v", outcomes(results))
		}
		if n := len(s.logoffs()); n != 5 {
			t.Errorf("%d requests for 1000 sessions, want 5 of 200", n)
		}
	})
}

func TestTwentyThousandJobsPublishedWhileTheWorkerRuns(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const n = 20_000
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond, LatencyPerSession: 20 * time.Microsecond})
		ids := s.sim.SignOnMany(7, n)
		r := s.start(options{})
		subjects := []string{"logoff.requests", "logoff.requests.bulk"}
		for i := 0; i < n; i += 20 {
			s.publish(subjects[i/20%2], oneEach(ids[i:i+20])...)
			passes(t, 2*time.Millisecond)
		}
		results := s.await(n)
		perJob := map[string]int{}
		for _, result := range results {
			perJob[result.JobID]++
		}
		if got := outcomes(results)[jobs.Accepted]; got != n || len(perJob) != n {
			t.Errorf("%d sessions accepted, %d jobs with a result, want %d", got, len(perJob), n)
		}
		sent := map[string]int{}
		for _, request := range s.logoffs() {
			for _, id := range request.Sessions {
				if request.Success {
					sent[id]++
				}
			}
		}
		for id, times := range sent {
			if times > 1 {
				t.Fatalf("session %s is in %d documents with success", id, times)
			}
		}
		requests := len(s.logoffs())
		if requests > n/20 {
			t.Errorf("%d requests for %d jobs", requests, n)
		}
		r.stop()
		if left := s.left(); left != 0 {
			t.Errorf("%d jobs left", left)
		}
		t.Logf("%d jobs, %d requests, %.0f sessions a document", n, requests, float64(n)/float64(requests))
	})
}

func TestLargeJobIsSplitIntoDocuments(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		ids := s.sim.SignOnMany(7, jobs.MaxSessions)
		s.start(options{})
		s.publish("logoff.requests.bulk", jobOf(ids...))
		result := s.await(1)[0]
		if result.Status != jobs.AcceptedJob || result.Counts[jobs.Accepted] != jobs.MaxSessions {
			t.Errorf("status %s, counts %v, error %q", result.Status, result.Counts, result.Error)
		}
		if n := len(s.logoffs()); n != jobs.MaxSessions/200 {
			t.Errorf("%d requests", n)
		}
		for i, session := range result.Sessions {
			if session.ID != ids[i] {
				t.Fatalf("session %d is %s, want %s", i, session.ID, ids[i])
			}
		}
	})
}

func TestSameSessionInManyJobsIsSentOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		ids := s.sim.SignOnMany(7, 2)
		lower := strings.ToLower(ids[0])
		s.publish("logoff.requests", jobOf(ids[0]), jobOf(ids[1], ids[0]), jobOf(lower))
		s.start(options{})
		results := s.await(3)
		if got := statuses(results); got[jobs.AcceptedJob] != 3 {
			t.Errorf("statuses %v", got)
		}
		sent := 0
		for _, request := range s.logoffs() {
			sent += len(request.Sessions)
		}
		if sent != 2 {
			t.Errorf("%d sessions sent, want 2", sent)
		}
		for _, result := range results {
			if len(result.Sessions) == 1 && result.Sessions[0].ID != ids[0] && result.Sessions[0].ID != lower {
				t.Errorf("a result spells the session %q", result.Sessions[0].ID)
			}
		}
	})
}

// One bad ID costs nobody else anything where its document is refused as a whole, or ended sessions are
// taken. Else those that were ended beside it share its fate, each with an answer of its own.
func TestOneBadIDFailsAlone(t *testing.T) {
	for _, test := range []struct {
		name    string
		status  int
		partial simulator.Partial
		outcome jobs.Outcome
	}{
		{"500", 500, "", jobs.Undecided},
		{"500 to a whole document", 500, simulator.PartialAtomic, jobs.Undecided}, // then nobody shares its fate, in every run
		{"400", 400, "", jobs.Rejected},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{Partial: test.partial, LatencyFixed: 40 * time.Millisecond})
				ids := s.sim.SignOnMany(7, 200)
				bad := ids[137]
				s.sim.Configure(func(settings *simulator.Settings) { settings.BadIDs = map[string]int{bad: test.status} })
				s.publish("logoff.requests.bulk", oneEach(ids)...)
				s.start(options{})
				results := s.await(200)
				alone := test.status < 500 || s.switches.Partial == simulator.PartialAtomic || s.switches.Ended == simulator.EndedIgnore
				if got := outcomes(results); alone && (got[jobs.Accepted] != 199 || got[test.outcome] != 1) {
					t.Errorf("outcomes %v", got)
				}
				var letter jobs.DeadLetter
				letters := uint64(0)
				for _, r := range results {
					id, want := r.Sessions[0].ID, test.outcome
					if id != bad {
						want = s.honest(id)
					}
					if got := r.Sessions[0].Outcome; got != want {
						t.Errorf("session %s is %s, want %s", id, got, want)
					}
					if want == jobs.Accepted {
						continue
					}
					letters++
					if l := s.deadLetter(letters); l.JobID == r.JobID && id == bad {
						letter = l
					}
				}
				if n := s.deadLetters(); n != letters {
					t.Errorf("%d dead letters, want %d", n, letters)
				}
				most, mostInAll := 1+2*int(math.Ceil(math.Log2(200))), 25
				if !alone {
					most, mostInAll = 2*200, 4*200
				}
				if n := len(s.sim.Journal()); n > mostInAll || len(s.logoffs()) > most {
					t.Errorf("%d requests in all, %d logoffs; want at most %d and %d", n, len(s.logoffs()), mostInAll, most)
				}
				t.Logf("%d requests in all, %d logoffs among them", len(s.sim.Journal()), len(s.logoffs()))
				job, err := jobs.Decode(letter.Payload, jobs.Rules{})
				if err != nil || len(job.Sessions) != 1 || job.Sessions[0].ID != bad {
					t.Errorf("dead letter %+v, error %v", job, err)
				}

				s.sim.Configure(func(settings *simulator.Settings) { settings.BadIDs = nil })
				s.publish(letter.Subject, string(letter.Payload))
				if again := s.await(1)[0]; again.Status != jobs.AcceptedJob || again.JobID != letter.JobID {
					t.Errorf("replayed: %+v", again)
				}
			})
		})
	}
}

func TestManyBadIDsStayBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		ids := s.sim.SignOnMany(7, 200)
		for _, id := range ids {
			s.sim.SignOff(id)
		}
		s.publish("logoff.requests.bulk", jobOf(ids...))
		s.start(options{})
		result := s.await(1)[0]
		status, letters := jobs.Failed, uint64(1)
		if s.repeated() == jobs.Accepted {
			status, letters = jobs.AcceptedJob, 0
		}
		if result.Status != status || result.Counts[s.repeated()] != 200 {
			t.Errorf("status %s, counts %v", result.Status, result.Counts)
		}
		if n := len(s.logoffs()); n > 2*200 {
			t.Errorf("%d requests for 200 sessions that all ended before", n)
		}
		if n := s.deadLetters(); n != letters {
			t.Errorf("%d dead letters for one job", n)
		}
	})
}

func TestOutageLosesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{Down: 503, LatencyFixed: 40 * time.Millisecond})
		ids := s.sim.SignOnMany(7, 5000)
		s.publish("logoff.requests.bulk", oneEach(ids)...)
		r := s.start(options{})
		for range 20 {
			passes(t, 30*time.Second)
			info := s.consumer(jobs.Bulk)
			if info.NumAckPending > 4*200 || info.NumRedelivered > 0 {
				t.Fatalf("in hand %d, redelivered %d", info.NumAckPending, info.NumRedelivered)
			}
		}
		if problem := r.problem(worker.PartWebServer); !strings.Contains(problem, "503") {
			t.Errorf("the worker says %q of the Web Server", problem)
		}
		asked := len(s.sim.Journal())
		s.sim.Configure(func(settings *simulator.Settings) { settings.Down = 0 })
		healed := time.Now()
		results := s.await(5000)
		if got := statuses(results); got[jobs.AcceptedJob] != 5000 {
			t.Errorf("statuses %v", got)
		}
		if took := time.Since(healed); took > time.Minute {
			t.Errorf("done %v after the Web Server was back", took)
		}
		for _, result := range results {
			if result.Deliveries != 1 {
				t.Fatalf("a job was delivered %d times", result.Deliveries)
			}
		}
		if n := s.deadLetters(); n != 0 {
			t.Errorf("%d dead letters", n)
		}
		if asked > 600 {
			t.Errorf("%d requests during ten minutes of outage", asked)
		}
		t.Logf("requests during the outage: %d; after it: %d", asked, len(s.sim.Journal())-asked)
		r.stop()
		if n := s.left(); n != 0 {
			t.Errorf("%d jobs left", n)
		}
	})
}

// A server that answers 500 to everything is down, and not a judge of sessions.
func TestStormOf500DeadLettersNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{Down: 500})
		ids := s.sim.SignOnMany(7, 300)
		s.publish("logoff.requests", oneEach(ids)...)
		s.start(options{})
		passes(t, 10*time.Minute)
		if n := s.deadLetters(); n != 0 {
			t.Fatalf("%d dead letters", n)
		}
		s.sim.Configure(func(settings *simulator.Settings) { settings.Down = 0 })
		if got := statuses(s.await(300)); got[jobs.AcceptedJob] != 300 {
			t.Errorf("statuses %v", got)
		}
	})
}

// That the Web Server was well a moment ago does not make its 500s verdicts.
func TestStormOf500AfterASuccessDeadLettersNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		ids := s.sim.SignOnMany(7, 202)
		s.start(options{})
		s.publish("logoff.requests", jobOf(ids[0]))
		s.await(1)
		passes(t, 100*time.Millisecond)
		s.sim.Configure(func(settings *simulator.Settings) { settings.Down = 500 })
		s.publish("logoff.requests", jobOf(ids[1]))
		s.publish("logoff.requests.bulk", oneEach(ids[2:])...)
		passes(t, 10*time.Minute)
		if n := s.deadLetters(); n != 0 {
			t.Fatalf("%d dead letters", n)
		}
		s.sim.Configure(func(settings *simulator.Settings) { settings.Down = 0 })
		if got := statuses(s.await(201)); got[jobs.AcceptedJob] != 201 {
			t.Errorf("statuses %v", got)
		}
	})
}

func TestRetryAfterIsKeptByEverySlot(t *testing.T) {
	for name, throttle := range map[string]func() simulator.Fault{
		"seconds": func() simulator.Fault { return simulator.Throttle(90) },
		"date":    func() simulator.Fault { return simulator.ThrottleUntil(time.Now().Add(90 * time.Second)) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
				ids := s.sim.SignOnMany(7, 1000)
				r := s.start(options{})
				passes(t, 500*time.Millisecond)
				s.sim.FailNext(throttle())
				s.publish("logoff.requests.bulk", oneEach(ids[:900])...)
				s.publish("logoff.requests", oneEach(ids[900:])...)
				results := s.await(1000)
				if got := statuses(results); got[jobs.AcceptedJob] != 1000 {
					t.Errorf("statuses %v", got)
				}
				var throttled time.Time
				for _, request := range s.logoffs() {
					switch {
					case request.Status == 429:
						throttled = request.Time
					case throttled.IsZero() || request.Time.Before(throttled.Add(50*time.Millisecond)): // in flight already
					case request.Time.Before(throttled.Add(89 * time.Second)):
						t.Fatalf("a request left %v after being told to wait 90s", request.Time.Sub(throttled))
					}
				}
				if throttled.IsZero() {
					t.Fatal("nothing was throttled")
				}
				r.stop()
			})
		})
	}
}

func TestLeaseIsKeptThroughLongCalls(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 5 * time.Minute})
		ids := s.sim.SignOnMany(7, 3)
		token := s.sim.Token(1)
		s.start(options{client: func(c *webserver.Config) {
			c.Timeout = 10 * time.Minute
			c.Username, c.Password = "", nil
			c.Token = func() (string, error) { return token, nil }
		}})
		s.publish("logoff.requests", oneEach(ids)...)
		for _, result := range s.await(3) {
			if result.Status != jobs.AcceptedJob || result.Deliveries != 1 {
				t.Errorf("%s after %d deliveries", result.Status, result.Deliveries)
			}
		}
		if info := s.consumer(jobs.Urgent); info.NumRedelivered != 0 {
			t.Errorf("%d redelivered", info.NumRedelivered)
		}
	})
}

func TestUrgentDoesNotWaitBehindBulk(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond, LatencyPerSession: 20 * time.Microsecond})
		ids := s.sim.SignOnMany(7, 20_100)
		for i := range 40 {
			s.publish("logoff.requests.bulk", jobOf(ids[i*500:(i+1)*500]...))
		}
		s.start(options{})
		passes(t, 500*time.Millisecond)
		for _, id := range ids[20_000:] {
			s.publish("logoff.requests", jobOf(id))
			passes(t, 3*time.Millisecond)
		}
		slowest := int64(0)
		for _, result := range s.await(140) {
			if result.Lane == jobs.Urgent {
				slowest = max(slowest, result.TimeToLogoffMS)
			}
		}
		if slowest > 2*45 {
			t.Errorf("the slowest urgent job took %d ms; a request takes 44", slowest)
		}
	})
}

// A bulk job that comes alone leaves at once. One that comes just after it is held back, and what comes meanwhile goes
// along with it.
func TestBulkDocumentIsHeldBackFromItsFirstJobOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 48600 * time.Microsecond}) // 20 ms for each of 0.81 of three slots
		ids := s.sim.SignOnMany(7, 5)
		s.start(options{})
		publish := func(i int, then time.Duration) {
			s.publish("logoff.requests.bulk", jobOf(ids[i]))
			passes(t, then)
		}
		publish(0, time.Second)
		publish(1, 2*time.Millisecond)
		publish(2, 15*time.Millisecond)
		publish(3, 6*time.Millisecond)
		publish(4, time.Second) // 21 ms after the first of the document before, which has left
		s.await(5)
		var documents []int
		requests := s.logoffs()
		for _, r := range requests {
			documents = append(documents, len(r.Sessions))
		}
		if apart := requests[len(requests)-2].Time.Sub(requests[1].Time).Round(time.Millisecond); !slices.Equal(documents, []int{1, 1, 2, 1}) || apart != 22*time.Millisecond {
			t.Errorf("documents of %v sessions, the last but one %v after the one before", documents, apart)
		}
	})
}

func TestNotAfterEndsAWaitingJob(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{Down: 503})
		ids := s.sim.SignOnMany(7, 2)
		s.start(options{})
		deadline := time.Now().Add(5 * time.Minute)
		s.publish("logoff.requests", fmt.Sprintf(`{"id":"late","sessions":[%q],"notAfter":%q}`, ids[0], deadline.Format(time.RFC3339)))
		s.publish("logoff.requests", jobOf(ids[1]))
		result := s.await(1)[0]
		if result.JobID != "late" || len(result.Sessions) != 1 {
			t.Fatalf("result %+v", result)
		}
		if late := result.CompletedAt.Sub(deadline); late < -time.Second || late > time.Second {
			t.Errorf("the result came %v after notAfter", late)
		}
		// 503 leaves open whether the call took effect, so the worker cannot say that nothing was sent.
		if got := result.Sessions[0].Outcome; got != jobs.Undecided && got != jobs.Expired {
			t.Errorf("outcome %s", got)
		}
		s.sim.Configure(func(settings *simulator.Settings) { settings.Down = 0 })
		if other := s.await(1)[0]; other.Status != jobs.AcceptedJob {
			t.Errorf("the other job is %s", other.Status)
		}
	})
}

func TestExpiredJobIsNotSent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		ids := s.sim.SignOnMany(7, 1)
		s.start(options{})
		s.publish("logoff.requests", fmt.Sprintf(`{"sessions":[%q],"notAfter":%q}`, ids[0], time.Now().Add(-time.Second).Format(time.RFC3339)))
		result := s.await(1)[0]
		if result.Status != jobs.ExpiredJob || result.Sessions[0].Outcome != jobs.Expired {
			t.Errorf("result %+v", result)
		}
		if n := len(s.logoffs()); n != 0 {
			t.Errorf("%d requests", n)
		}
		if letter := s.deadLetter(1); letter.Reason != jobs.ExpiredJob {
			t.Errorf("dead letter %+v", letter)
		}
	})
}

func TestBadInputIsKeptAndReported(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		ids := s.sim.SignOnMany(7, 1)
		id := ids[0]
		many := strings.TrimSuffix(strings.Repeat(`"`+id+`",`, jobs.MaxSessions+1), ",")
		bad := []struct{ name, payload, says string }{
			{"undecodable", `{"sessions":`, "byte"},
			{"duplicate key", `{"sessions":["` + id + `"],"sessions":["` + id + `"]}`, "sessions"},
			{"unknown member", `{"sessions":["` + id + `"],"sesions":[]}`, "sesions"},
			{"invalid UTF-8", "{\"sessions\":[\"" + id + "\"],\"reason\":\"\xff\"}", "UTF-8"},
			{"too many sessions", `{"sessions":[` + many + `]}`, "10000"},
			{"control character", `{"sessions":["` + id[:len(id)-1] + `\u0001"]}`, "/sessions/0"},
			{"wrong root", `<Api_LogonUsersRequest><sessions val="` + id + `"/></Api_LogonUsersRequest>`, "Api_LogoffUsersRequest"},
			{"empty", "", "empty"},
		}
		s.start(options{})
		for i, test := range bad {
			s.publish("logoff.requests.urgent.soar", test.payload)
			result := s.await(1)[0]
			if result.Status != jobs.Invalid || !strings.Contains(strings.ToLower(result.Error), strings.ToLower(test.says)) {
				t.Errorf("%s: %s %q, want the error to name %q", test.name, result.Status, result.Error, test.says)
			}
			letter := s.deadLetter(uint64(i + 1))
			if string(letter.Payload) != test.payload || letter.Reason != jobs.Invalid || letter.Subject != "logoff.requests.urgent.soar" {
				t.Errorf("%s: the dead letter does not hold the message as it came", test.name)
			}
			t.Logf("%-18s %s", test.name, result.Error)
		}
		s.publish("logoff.requests", jobOf(id))
		if result := s.await(1)[0]; result.Status != jobs.AcceptedJob {
			t.Errorf("the worker went on to %+v", result)
		}
		if n := len(s.logoffs()); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

func TestConfigReportsEveryProblem(t *testing.T) {
	if err := func() error { c := worker.DefaultConfig(); c.Name = "w"; return c.Validate() }(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	bad := worker.Config{
		Stream: stream.Config{Subjects: jobs.Subjects{Prefix: "a b"}, Provision: "maybe"}, Slots: 1, UrgentSlots: 1,
		BatchMaxSessions: 20_000, BatchMaxBytes: 10, BulkLinger: -1,
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	for _, words := range []string{
		"Subjects: ", "Name: ", "Provision: must be create or verify", "Replicas: must be 1 to 5, not 0", "Slots: must be 2 to 1000", "not 20000", "not 10\n",
		"BulkLinger: must be 0 to 1m, not -1ns", "Tries: must be 1 or more, not 0", "Backoff: ", "KeepAlive: must be more than 0", "ShutdownTimeout: must be more than 0",
	} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("%q is not said in:\n%v", words, err)
		}
	}
	if strings.Contains(err.Error(), "maybe") || strings.Contains(err.Error(), "a b") {
		t.Errorf("a text of a setting, which may be a secret in the wrong place, is said:\n%v", err)
	}
}

// A run ends with an error where somebody has to change a stream first. One that waits for its streams is stopped as any
// other.
func TestRunFailsOnlyWhereStreamsAreOthers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		if err := s.js.DeleteStream(t.Context(), s.subjects.ResultStream()); err != nil {
			t.Fatal(err)
		}
		r := s.start(options{config: func(c *worker.Config) { c.Stream.Provision = stream.ProvisionVerify }})
		passes(t, time.Minute)
		r.stop()
		if _, err := s.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: s.subjects.ResultStream(), Subjects: []string{"other"}}); err != nil {
			t.Fatal(err)
		}
		r = s.start(options{})
		r.stopped = true
		defer r.nc.Close()
		defer r.client.CloseIdle()
		defer r.cancel()
		select {
		case err := <-r.ended:
			var mismatch *stream.MismatchError
			if !errors.As(err, &mismatch) || !strings.Contains(mismatch.What, s.subjects.ResultStream()) {
				t.Errorf("it ends with %v", err)
			}
		case <-time.After(time.Minute):
			t.Error("it runs on")
		}
	})
}
