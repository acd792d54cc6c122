package worker_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/guard"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// holding are options of a worker that holds what names more.
func holding(job, hour int) options {
	return options{config: func(c *worker.Config) { c.HoldAboveJob, c.HoldAboveHour = job, hour }}
}

// countedSite has counters, without an age: the server's clock by which it forgets is not that of a bubble.
func countedSite(t *testing.T) *site {
	t.Helper()
	bubble.NeedsNATS(t, 12)
	s := newSite(t, simulator.Settings{})
	s.makeCounts()
	return s
}

func (s *site) makeCounts() {
	s.t.Helper()
	_, err := s.js.CreateStream(s.t.Context(), jetstream.StreamConfig{
		Name: s.subjects.CountStream(), Subjects: []string{s.subjects.Counts()}, AllowMsgCounter: true, AllowDirect: true, DenyDelete: true, DenyPurge: true,
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// approve publishes a job that was held as its approver does.
func (s *site) approve(held jobs.Result, key, approver string, payload string) {
	s.t.Helper()
	s.publishMsg(s.subjects.Approved(held.Lane, approver), nats.Header{
		guard.Header:  {s.subjects.Result(held.JobID, key)},
		nats.MsgIdHdr: {"approved-" + key + "-" + approver},
	}, []byte(payload))
}

// latestKey is the key of the latest result.
func (s *site) latestKey() string {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), s.subjects.ResultStream())
	if err != nil {
		s.t.Fatal(err)
	}
	msg, err := stream.GetMsg(s.t.Context(), stream.CachedInfo().State.LastSeq)
	if err != nil {
		s.t.Fatal(err)
	}
	_, key, _ := s.subjects.ResultOf(msg.Subject)
	return key
}

// For a job that names too much nothing is asked of the Web Server: no look-up of its people, no logoff. Its letter is
// the message as it came.
func TestHeldJobSendsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		ids := s.sim.SignOnMany(7, 3)
		s.start(holding(3, 0))
		s.publish(s.subjects.Request(jobs.Bulk, "hr"), jobOf(ids[0]))
		s.await(1)
		before := len(s.sim.Journal())
		payload := fmt.Sprintf(` {"sessions":[%q,%q,"wrong"],"users":[{"id":7}],"reason":"leavers"} `, ids[1], ids[2])
		s.publish(s.subjects.Request(jobs.Bulk, "hr"), payload)
		r := s.await(1)[0]
		key := s.latestKey()
		passes(t, time.Minute)
		if after := len(s.sim.Journal()); after != before {
			t.Errorf("%d requests were made: %+v", after-before, s.sim.Journal()[before:])
		}
		want := "3 sessions and 1 person, more than the 3 that one job may name; somebody else than hr may approve it: logoffctl approve " + key
		if r.Status != jobs.Held || r.Error != want || r.Publisher != "hr" || r.Reason != "leavers" || r.HeldSHA256 != fmt.Sprintf("%x", sha256.Sum256([]byte(payload))) {
			t.Errorf("the result is %+v", r)
		}
		if r.Counts[jobs.HeldSession] != 2 || r.Counts[jobs.InvalidSession] != 1 || len(r.Users) != 1 || r.Users[0].Outcome != jobs.UserHeld {
			t.Errorf("its outcomes are %v and %+v", r.Counts, r.Users)
		}
		letter := s.deadLetter(1)
		if letter.Reason != jobs.Held || string(letter.Payload) != payload || letter.Error != want || letter.Subject != s.subjects.Request(jobs.Bulk, "hr") {
			t.Errorf("the letter is %+v", letter)
		}
		if said := s.log.String(); !strings.Contains(said, "logoffctl deny") || strings.Contains(said, "publish their payload again") {
			t.Errorf("the log says\n%s", said)
		}
		if s.alive(ids) != 2 || s.left() != 0 {
			t.Errorf("%d are on, %d jobs are left", s.alive(ids), s.left())
		}
	})
}

// A job that somebody else approved is worked, and its result tells of both.
func TestApprovedJobIsWorked(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		ids := s.sim.SignOnMany(7, 3)
		s.start(holding(2, 0))
		s.publish(s.subjects.Request(jobs.Bulk, "hr"), jobOf(ids...))
		held, key := s.await(1)[0], s.latestKey()
		s.approve(held, key, "jane", jobOf(ids...))
		r := s.await(1)[0]
		if r.Status != jobs.AcceptedJob || r.Publisher != "hr" || r.ApprovedBy != "jane" || r.Approves != s.subjects.Result(held.JobID, key) || r.JobID != held.JobID || r.HeldSHA256 != "" {
			t.Errorf("the result is %+v", r)
		}
		if s.alive(ids) != 0 || s.left() != 0 || s.deadLetters() != 1 {
			t.Errorf("%d are on, %d jobs are left, %d letters", s.alive(ids), s.left(), s.deadLetters())
		}
	})
}

// What was approved and worked is not worked again, whoever approves it and whenever, also after what was left of it was
// published again under its id.
func TestJobIsWorkedOnceHoweverOftenItIsApproved(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		ids := s.sim.SignOnMany(7, 3)
		s.start(holding(2, 0))
		s.publish(s.subjects.Request(jobs.Bulk, "hr"), `{"id":"leavers","sessions":["`+strings.Join(ids, `","`)+`"]}`)
		held, key := s.await(1)[0], s.latestKey()
		payload := string(s.deadLetter(1).Payload)
		s.approve(held, key, "jane", payload)
		if r := s.await(1)[0]; r.Status != jobs.AcceptedJob {
			t.Fatalf("the result is %+v", r)
		}
		worked, requests := s.latestKey(), len(s.logoffs())
		for n, approver := range []string{"jane", "tim", "tim"} {
			passes(t, 3*time.Minute)
			s.publishMsg(s.subjects.Approved(jobs.Bulk, approver), nats.Header{guard.Header: {s.subjects.Result("leavers", key)}}, []byte(payload))
			want := "what was held was approved by jane before, and worked: its result is " + s.subjects.Result("leavers", worked)
			if r := s.await(1)[0]; r.Status != jobs.Invalid || r.Error != want {
				t.Errorf("approved for the %d. time more: %+v", n+1, r)
			}
			s.publish(s.subjects.Request(jobs.Bulk, "hr"), `{"id":"leavers","sessions":["`+ids[0]+`"]}`)
			s.await(1)
		}
		for _, request := range s.logoffs()[requests:] {
			if slices.Contains(request.Sessions, ids[1]) {
				t.Errorf("sent again: %v", request.Sessions)
			}
		}
		if s.left() != 0 {
			t.Errorf("%d jobs are left", s.left())
		}
	})
}

// What is approved wrongly is invalid, has a letter, and nothing is sent for it; nor is a job on a plain subject approved
// by its headers.
func TestWrongApprovalSendsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		ids := s.sim.SignOnMany(7, 3)
		s.start(holding(2, 0))
		s.publish(s.subjects.Request(jobs.Bulk, "hr"), jobOf(ids...))
		held, key := s.await(1)[0], s.latestKey()
		requests := len(s.logoffs())
		for _, test := range []struct {
			approver, payload, key string
			lane                   jobs.Lane
			want                   string
		}{
			{"hr", jobOf(ids...), key, jobs.Bulk, "hr published the job that was held"},
			{"jane", jobOf(ids[:2]...), key, jobs.Bulk, "the payloads differ"},
			{"tim", jobOf(ids...), key, jobs.Urgent, "it was approved for the urgent lane"},
			{"amy", jobOf(ids...), "1-2", jobs.Bulk, "there is no result"},
		} {
			wrong := held
			wrong.Lane = test.lane
			s.approve(wrong, test.key, test.approver, test.payload)
			r := s.await(1)[0]
			if r.Status != jobs.Invalid || !strings.Contains(r.Error, test.want) || len(r.Sessions) > 0 || r.ApprovedBy != test.approver {
				t.Errorf("%s: %+v", test.want, r)
			}
		}
		s.publishMsg(s.subjects.Request(jobs.Bulk, "hr"), nats.Header{guard.Header: {s.subjects.Result(held.JobID, key)}}, []byte(jobOf(ids...)))
		if r := s.await(1)[0]; r.Status != jobs.Held || r.Approves != "" || r.JobID == held.JobID {
			t.Errorf("a plain job with the header is %+v", r)
		}
		if len(s.logoffs()) != requests || s.alive(ids) != 3 || s.deadLetters() != 6 || s.left() != 0 {
			t.Errorf("%d logoffs, %d are on, %d letters", len(s.logoffs())-requests, s.alive(ids), s.deadLetters())
		}
	})
}

// What of an approved job is not done has a letter of its own that is published as its publisher's: it is not what was
// approved.
func TestRestOfAnApprovedJobIsItsPublishers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		id := s.sim.SignOnMany(7, 1)[0]
		payload := fmt.Sprintf(`{"sessions":[%q,"wrong"]}`, id)
		s.start(holding(1, 0))
		s.publish(s.subjects.Request(jobs.Bulk, "hr"), payload)
		held, key := s.await(1)[0], s.latestKey()
		passes(t, time.Second) // until its letter is stored, too
		s.approve(held, key, "jane", payload)
		if r := s.await(1)[0]; r.Status != jobs.Partial {
			t.Errorf("the result is %+v", r)
		}
		if letter := s.deadLetter(2); letter.Reason != jobs.Partial || letter.Subject != s.subjects.Request(jobs.Bulk, "hr") {
			t.Errorf("the letter is %+v", letter)
		}
	})
}

// What a publisher names within an hour is counted over all workers, and after the hour it passes again.
func TestHourOfAPublisherHoldsForTheFleet(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := countedSite(t)
		s.start(holding(0, 10))
		other := holding(0, 10)
		config := other.config
		other.config = func(c *worker.Config) { config(c); c.Name = "w2" }
		s.start(other)
		hr := s.subjects.Request(jobs.Bulk, "hr")
		s.publish(hr, oneEach(s.sim.SignOnMany(7, 30))...)
		got := statuses(s.await(30))
		if got[jobs.AcceptedJob] != 10 || got[jobs.Held] != 20 {
			t.Errorf("of one publisher: %v", got)
		}
		s.publish(s.subjects.Request(jobs.Urgent, "soar"), oneEach(s.sim.SignOnMany(7, 5))...)
		if got := statuses(s.await(5)); got[jobs.AcceptedJob] != 5 {
			t.Errorf("of another: %v", got)
		}
		passes(t, 70*time.Minute)
		s.publish(hr, oneEach(s.sim.SignOnMany(7, 3))...)
		if got := statuses(s.await(3)); got[jobs.AcceptedJob] != 3 {
			t.Errorf("later: %v", got)
		}
	})
}

// startUncounted starts a worker that holds by the hour, and takes the stream of its counters away.
func (s *site) startUncounted() *running {
	s.t.Helper()
	r := s.start(holding(0, 100))
	passes(s.t, time.Second)
	if err := s.js.DeleteStream(s.t.Context(), s.subjects.CountStream()); err != nil {
		s.t.Fatal(err)
	}
	return r
}

// goesOnCounted makes the counters, and sees so many jobs worked and nothing said of them any more.
func (r *running) goesOnCounted(n int) {
	s := r.site
	s.t.Helper()
	s.makeCounts()
	if got := statuses(s.await(n)); got[jobs.AcceptedJob] != n || s.left() != 0 {
		s.t.Errorf("%v, %d are left", got, s.left())
	}
	passes(s.t, 20*time.Second)
	if ready, why := r.health.Ready(); !ready {
		s.t.Errorf("not ready: %v", why)
	}
}

// While it cannot be counted jobs wait, neither settled nor sent, and the worker is not ready. Then they go on, and at a
// stop they are handed back.
func TestJobsWaitWhileTheyCannotBeCounted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := countedSite(t)
		r := s.startUncounted()
		ids := s.sim.SignOnMany(7, 5)
		s.publish(s.subjects.Request(jobs.Bulk, "hr"), oneEach(ids)...)
		passes(t, 2*time.Minute)
		if s.alive(ids) != 5 || s.left() != 5 || len(s.awaitFor(1, time.Second)) > 0 {
			t.Fatalf("uncounted, %d of 5 are on, and %d jobs wait", s.alive(ids), s.left())
		}
		if ready, _ := r.health.Ready(); ready || !strings.Contains(r.problem("bulk"), "5 jobs wait") {
			t.Errorf("ready is %t: %s", ready, r.problem("bulk"))
		}
		r.stop()
		s.takesAtOnce(jobs.Bulk, 5)
		passes(t, 31*time.Second)
		r = s.startUncounted()
		r.goesOnCounted(5)
	})
}

// As soon as they can be counted again they go on, and nothing is said of them any more.
func TestJobsGoOnWhenTheyCanBeCountedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := countedSite(t)
		r := s.startUncounted()
		s.publish(s.subjects.Request(jobs.Bulk, "hr"), oneEach(s.sim.SignOnMany(7, 5))...)
		passes(t, time.Minute)
		if problem := r.problem("bulk"); !strings.Contains(problem, "5 jobs wait") {
			t.Fatalf("while they cannot be counted it says %q", problem)
		}
		r.goesOnCounted(5)
	})
}

// A job that comes again when it has a result is not counted again.
func TestSettledJobIsNotCountedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := countedSite(t)
		ids := s.sim.SignOnMany(7, 4)
		s.publish(s.subjects.Request(jobs.Urgent, ""), jobOf(ids[:2]...))
		s.settleByHand(jobs.Accepted)
		s.await(1)
		passes(t, 31*time.Second)
		s.start(holding(0, 2))
		s.publish(s.subjects.Request(jobs.Urgent, ""), jobOf(ids[2:]...))
		if got := statuses(s.await(1)); got[jobs.AcceptedJob] != 1 {
			t.Errorf("beside a job that is settled: %v", got)
		}
	})
}

// A worker that dies anywhere between hold and approval leaves one result for each stored job, and one letter.
func TestCrashBetweenHoldAndApprovalLeavesOneResult(t *testing.T) {
	for _, point := range worker.Points {
		if point == worker.MidLogin || point == worker.MidSplit || point == worker.MidDrain {
			continue // which neither job comes to
		}
		t.Run(string(point), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{Ended: simulator.EndedIgnore})
				ids := s.sim.SignOnMany(7, 3)
				s.publish(s.subjects.Request(jobs.Bulk, "hr"), jobOf(ids...))
				s.dieHolding(point)
				s.start(holding(2, 0)).liveFor(time.Minute)
				held, key := s.await(1)[0], s.latestKey()
				if held.Status != jobs.Held || len(s.logoffs()) > 0 {
					t.Fatalf("%d logoffs, and the result is %+v", len(s.logoffs()), held)
				}
				s.approve(held, key, "jane", jobOf(ids...))
				s.dieHolding(point)
				s.start(holding(2, 0)).liveFor(time.Minute)
				r := s.await(1)[0]
				if r.Status != jobs.AcceptedJob || r.ApprovedBy != "jane" || r.Publisher != "hr" {
					t.Errorf("the result is %+v", r)
				}
				if n := s.count(s.subjects.ResultStream()); n != 2 || s.deadLetters() != 1 || s.left() != 0 || s.alive(ids) != 0 {
					t.Errorf("%d results, %d letters, %d jobs are left, %d sessions are on", n, s.deadLetters(), s.left(), s.alive(ids))
				}
			})
		})
	}
}

// dieHolding has a worker die when it comes to a point, if it does, and waits until nobody has its jobs any more.
func (s *site) dieHolding(point worker.Point) {
	line := &lifeline{toNATS: s.broker.Dial, toWeb: s.dial}
	o := holding(2, 0)
	o.connect = []nats.Option{nats.InProcessServer(line)}
	o.client = func(c *webserver.Config) { c.DialContext = line.dial }
	o.reached = func(p worker.Point) {
		if p == point {
			line.cut()
		}
	}
	s.start(o).liveFor(5 * time.Second)
	passes(s.t, 31*time.Second)
}

// liveFor lets a worker live for a while, and stops it.
func (r *running) liveFor(d time.Duration) {
	passes(r.site.t, d)
	r.stop()
}
