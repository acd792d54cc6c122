package counts

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"

	"logoffworker/jobs"
	"logoffworker/worker/broker"
	"logoffworker/worker/stage/bubble"
)

var subjects = jobs.Subjects{Prefix: "logoff"}

// countStream is the stream as the workers make it, but that it keeps all: the server's clock by which it forgets is not
// that of a bubble.
func countStream(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: subjects.CountStream(), Subjects: []string{subjects.Count(">")}, Storage: jetstream.FileStorage,
		AllowMsgCounter: true, AllowDirect: true, Replicas: replicas,
	}
}

// A site is a broker with the stream of counters.
type site struct {
	t      *testing.T
	store  string
	broker *broker.Broker
}

// inBubble runs a test in fake time.
func inBubble(t *testing.T, test func(t *testing.T, s *site)) {
	bubble.NeedsNATS(t, 12)
	bubble.Run(t, time.Minute, func(t *testing.T) {
		s := &site{t: t, store: t.TempDir()}
		s.start()
		if _, err := jetStream(t, s.connect()).CreateStream(t.Context(), countStream(1)); err != nil {
			t.Fatal(err)
		}
		test(t, s)
	})
}

func (s *site) start() {
	s.t.Helper()
	var err error
	if s.broker, err = broker.Start(broker.Options{StoreDir: s.store}); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.broker.Shutdown)
}

func (s *site) connect() *nats.Conn {
	s.t.Helper()
	nc, err := s.broker.Connect(nats.ReconnectBufSize(-1), nats.NoReconnect())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

// counts are those of a worker that has just started.
func (s *site) counts() *Counts {
	s.t.Helper()
	return New(jetStream(s.t, s.connect()), subjects)
}

// forget has the stream forget what is older than its age.
func (s *site) forget(c *Counts) {
	s.t.Helper()
	stream, err := c.js.Stream(s.t.Context(), subjects.CountStream())
	if err != nil {
		s.t.Fatal(err)
	}
	state := stream.CachedInfo().State
	for i := state.FirstSeq; i <= state.LastSeq && state.Msgs > 0; i++ {
		if msg, err := stream.GetMsg(s.t.Context(), i); err != nil || time.Since(msg.Time) < 65*time.Minute {
			return
		}
		if err := stream.DeleteMsg(s.t.Context(), i); err != nil {
			s.t.Fatal(err)
		}
	}
}

// A tester keeps rapid from asking for the deadline of the test, which there is none for in a bubble.
type tester struct{ *testing.T }

func jetStream(t *testing.T, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func (c *Counts) adds(t *testing.T, n, want int64) {
	t.Helper()
	if got, err := c.Add(t.Context(), "writes", n); err != nil || got != want {
		t.Errorf("after %d more there are %d within the hour, want %d (%v)", n, got, want, err)
	}
}

func (c *Counts) has(t *testing.T, want int64) {
	t.Helper()
	if got, err := c.Within(t.Context(), "writes"); err != nil || got != want {
		t.Errorf("there are %d within the hour, want %d (%v)", got, want, err)
	}
}

// What was added counts for an hour and a little, by the time at which the server stored it.
func TestWhatWasAddedCountsForAnHour(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c := s.counts()
		c.has(t, 0)
		c.adds(t, 3, 3)
		time.Sleep(30 * time.Minute)
		c.adds(t, 2, 5)
		time.Sleep(30 * time.Minute)
		c.adds(t, 1, 6)
		time.Sleep(window - time.Hour + time.Second)
		c.has(t, 3)
		c.adds(t, 1, 4)
		time.Sleep(2 * time.Hour)
		c.has(t, 0)
		c.adds(t, 1, 1)
	})
}

// Counters are apart from each other.
func TestCountersAreApart(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c := s.counts()
		c.adds(t, 3, 3)
		for _, what := range []string{"reads", "publisher.-", "publisher.writes"} {
			if got, err := c.Add(t.Context(), what, 1); err != nil || got != 1 {
				t.Errorf("of %s there are %d (%v)", what, got, err)
			}
		}
		c.has(t, 3)
	})
}

// Of workers that add at once, each learns another sum, and the last learns all of it. Workers that start again
// forget nothing, nor does a broker.
func TestEachAdditionLearnsAnotherSum(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		const workers, each = 5, 20
		var mu sync.Mutex
		var sums []int64
		var adding sync.WaitGroup
		for range workers {
			c := s.counts()
			adding.Go(func() {
				for range each {
					sum, err := c.Add(t.Context(), "writes", 1)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					sums = append(sums, sum)
					mu.Unlock()
				}
			})
		}
		adding.Wait()
		slices.Sort(sums)
		for i, sum := range sums {
			if sum != int64(i+1) {
				t.Fatalf("the sums are %v", sums)
			}
		}
		s.counts().adds(t, 1, workers*each+1)
		s.broker.Shutdown()
		s.start()
		s.counts().adds(t, 1, workers*each+2)
	})
}

// Whatever is added when, by whichever worker, each addition learns what lies within the window, to the message. What
// is only asked is never too low.
func TestSumIsThatOfTheWindow(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		workers := []*Counts{s.counts(), s.counts(), s.counts()}
		run := 0
		rapid.Check(tester{t}, func(r *rapid.T) {
			run++
			what := fmt.Sprintf("run.%d", run)
			type added struct {
				at time.Time
				n  int64
			}
			var all []added
			sum := func() (sum int64) {
				for _, a := range all {
					if time.Since(a.at) <= window {
						sum += a.n
					}
				}
				return sum
			}
			for range rapid.IntRange(1, 30).Draw(r, "steps") {
				time.Sleep(time.Duration(rapid.OneOf(rapid.Int64Range(0, 5), rapid.Int64Range(0, 1800), rapid.Int64Range(3600, 4200)).Draw(r, "seconds")) * time.Second)
				c := rapid.SampledFrom(workers).Draw(r, "worker")
				s.forget(c)
				if rapid.IntRange(0, 3).Draw(r, "asks") == 0 {
					if got, err := c.Within(t.Context(), what); err != nil || got < sum() {
						r.Fatalf("%d are within the hour, and at least %d are (%v)", got, sum(), err)
					}
					continue
				}
				n := rapid.Int64Range(1, 1000).Draw(r, "n")
				all = append(all, added{time.Now(), n})
				if got, err := c.Add(t.Context(), what, n); err != nil || got != sum() {
					r.Fatalf("after %d more %d are within the hour, and should be %d (%v)", n, got, sum(), err)
				}
			}
		})
	})
}

// Whoever only asks sees room as soon as there is some, whether the stream has forgotten what is older, and whether it
// has added anything itself.
func TestRoomIsSeenByTheServersClock(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		old, fresh := s.counts(), s.counts()
		old.adds(t, 4, 4)
		time.Sleep(30 * time.Minute)
		old.adds(t, 1, 5)
		time.Sleep(window - 30*time.Minute - time.Second)
		old.has(t, 5)
		fresh.has(t, 5)
		time.Sleep(2 * time.Second)
		old.has(t, 1)
		fresh.has(t, 1)
		s.counts().has(t, 1)
		time.Sleep(4 * time.Minute)
		s.forget(old)
		fresh.has(t, 1)
	})
}

// What cannot be counted is an error that names it, and a counter never shrinks.
func TestWhatCannotBeCountedIsAnError(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c := s.counts()
		for _, n := range []int64{0, -1} {
			if _, err := c.Add(t.Context(), "writes", n); err == nil {
				t.Errorf("%d is added", n)
			}
		}
		c.has(t, 0)
		if err := c.js.DeleteStream(t.Context(), subjects.CountStream()); err != nil {
			t.Fatal(err)
		}
		if within, err := c.Add(t.Context(), "writes", 1); err == nil {
			t.Errorf("without a stream, there are %d", within)
		}
		if within, err := c.Within(t.Context(), "writes"); err == nil {
			t.Errorf("without a stream, it is said that there are %d", within)
		}
	})
}

// An answer that comes too late is none: what was added counts, and must not be used.
func TestLateAnswerIsNone(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c := s.counts()
		js := c.js
		c.js = slowStream{js}
		if within, err := c.Add(t.Context(), "writes", 1); err == nil {
			t.Errorf("%v after its server stored it, an addition is answered with %d", 2*Patience, within)
		}
		c.js = js
		c.has(t, 1)
	})
}

// A slowStream answers late, as when the process is frozen meanwhile.
type slowStream struct{ jetstream.JetStream }

func (s slowStream) PublishMsg(_ context.Context, msg *nats.Msg, o ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ack, err := s.JetStream.PublishMsg(context.Background(), msg, o...)
	time.Sleep(2 * Patience)
	return ack, err
}
