package stream

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker/stage"
	"logoffworker/worker/stage/bubble"
)

// On three servers, a consumer that is made anew while its lane is paused is paused again, and goes on when the lane
// does; whoever watches hears of it all the time.
func TestPauseOutlivesItsConsumerOnThreeServers(t *testing.T) {
	bubble.NeedsNATS(t, 14) // what the worker asks for in a cluster
	nc := trio(t)
	s := &told{log: &stage.Output{}}
	log, c := slog.New(slog.NewTextHandler(s.log, nil)), DefaultConfig()
	c.Replicas = 3
	js, err := c.JetStream(nc)
	if err != nil {
		t.Fatal(err)
	}
	s.Streams = &Streams{
		Config: c, NATS: nc, Metrics: metrics.New(prometheus.NewRegistry(), metrics.Build{}), Health: metrics.NewHealth(log, Parts...), Log: log,
		Wait: func(int) time.Duration { return time.Second },
	}
	s.js = js
	if !stage.Await(t.Context(), 60*time.Second, func() bool { return s.Config.ProvisionStreams(t.Context(), s.js) == nil }) {
		t.Fatal("the streams cannot be made")
	}
	if err := s.Find(t.Context()); err != nil {
		t.Fatal(err)
	}
	heard := make(chan bool, 1000)
	w := &Watch{
		Streams: s.Streams, Jobs: func() int { return 1 }, Sessions: func(jobs.Lane) int { return 1 }, Accepted: func() int64 { return 0 },
		Paused: func(lane jobs.Lane, paused bool) {
			if lane == jobs.Bulk {
				heard <- paused
			}
		},
	}
	act := func(verb jobs.Verb) {
		data, err := jobs.Act{Verb: verb, Who: "operator", At: time.Now(), Lane: jobs.Bulk, Until: time.Now().Add(time.Hour)}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.js.Publish(t.Context(), s.Config.Subjects.LaneAct(jobs.Bulk, "operator"), data); err != nil {
			t.Fatal(err)
		}
	}
	hears := func(want bool) {
		t.Helper()
		for deadline := time.After(10 * time.Second); ; {
			select {
			case paused := <-heard:
				if paused == want {
					return
				}
			case <-deadline:
				t.Fatalf("nobody hears that it is paused: %t\n%s", want, s.log)
			}
		}
	}
	isPaused := func() bool {
		c, err := s.js.Consumer(t.Context(), s.plan.requests.Name, string(jobs.Bulk))
		return err == nil && c.CachedInfo().Paused
	}
	go w.keepPauses(t.Context())
	hears(false)
	act(jobs.ActPause)
	hears(true)
	if !stage.Await(t.Context(), 15*time.Second, isPaused) {
		t.Fatalf("the consumer is not paused\n%s", s.log)
	}
	if err := s.js.DeleteConsumer(t.Context(), s.plan.requests.Name, string(jobs.Bulk)); err != nil {
		t.Fatal(err)
	}
	if !stage.Await(t.Context(), 20*time.Second, func() bool {
		_, err := s.js.CreateConsumer(t.Context(), s.plan.requests.Name, s.plan.consumers[jobs.Bulk])
		return err == nil
	}) {
		t.Fatal("the consumer cannot be made anew")
	}
	for len(heard) > 0 {
		<-heard
	}
	if !stage.Await(t.Context(), 30*time.Second, isPaused) {
		t.Errorf("the consumer made anew is not paused\n%s", s.log)
	}
	for len(heard) > 0 {
		if !<-heard {
			t.Error("the lane went on meanwhile")
		}
	}
	act(jobs.ActResume)
	if _, err := s.js.ResumeConsumer(t.Context(), s.plan.requests.Name, string(jobs.Bulk)); err != nil {
		t.Fatal(err)
	}
	hears(false)
}
