package worker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/webserver/simulator"
)

const traced = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// publishTraced stores a job with a trace context.
func (s *site) publishTraced(subject, job, traceparent string) {
	s.t.Helper()
	s.publishMsg(subject, nats.Header{"TraceParent": {traceparent}}, []byte(job)) // everybody spells the name in another way
}

// What a job leads to can be found by its trace: the request, the log, the result, the dead letter, the time it took.
func TestTraceOfAJobIsKept(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		ids := s.sim.SignOnMany(7, 2)
		s.sim.Configure(func(settings *simulator.Settings) { settings.BadIDs = map[string]int{ids[1]: 400} })
		r := s.start(options{})
		s.publishTraced("logoff.requests", `{"id":"seen","sessions":["`+ids[0]+`","`+ids[1]+`"]}`, traced)
		if result := s.await(1)[0]; result.Status != jobs.Partial || result.Traceparent != traced {
			t.Errorf("the result: %+v", result)
		}
		if letter := s.deadLetter(1); letter.Trace != traced {
			t.Errorf("the dead letter: %+v", letter)
		}
		for _, request := range s.logoffs() {
			if got := request.Header.Get("traceparent"); got != traced {
				t.Errorf("request %d has %q", request.Number, got)
			}
		}
		if lines := s.linesWith("job: it is finished", "job=seen", "trace_id=4bf92f3577b34da6a3ce929d0e0e4736"); len(lines) != 1 {
			t.Errorf("the log:\n%s", s.log)
		}
		families, err := r.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range families {
			if f.GetName() == "logoff_time_to_logoff_seconds" {
				found = strings.Contains(fmt.Sprint(f.GetMetric()), `"4bf92f3577b34da6a3ce929d0e0e4736"`)
			}
		}
		if !found {
			t.Error("no exemplar names the trace")
		}
	})
}

// A document for jobs of several traces is of none of them, and a trace context that is none is left out.
func TestRequestForJobsOfSeveralTracesHasNone(t *testing.T) {
	const other = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-00f067aa0ba902b7-01"
	for name, test := range map[string]struct{ first, second, want string }{
		"two of the same": {traced, traced, traced},
		"two":             {traced, other, ""},
		"one and none":    {traced, "", ""},
		"none":            {"00-none", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{})
				ids := s.sim.SignOnMany(7, 2)
				s.publishTraced("logoff.requests.bulk", jobOf(ids[0]), test.first)
				s.publishTraced("logoff.requests.bulk", jobOf(ids[1]), test.second)
				s.start(options{config: func(c *worker.Config) { c.BulkLinger = time.Second }})
				s.await(2)
				requests := s.logoffs()
				if len(requests) != 1 || requests[0].Header.Get("traceparent") != test.want {
					t.Errorf("%d requests, the first with %q", len(requests), requests[0].Header.Get("traceparent"))
				}
			})
		})
	}
}
