package worker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"logoffworker/worker"
	"logoffworker/worker/webserver/simulator"
)

// linesWith are the lines of the log that hold all these words.
func (s *site) linesWith(words ...string) (lines []string) {
next:
	for line := range strings.Lines(s.log.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func TestEveryFinishedJobHasALine(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		ids := s.sim.SignOnMany(7, 4)
		s.sim.Configure(func(settings *simulator.Settings) { settings.BadIDs = map[string]int{ids[3]: 400} })
		s.start(options{})
		s.publish("logoff.requests.bulk.idp", `{"id":"one","sessions":["`+ids[0]+`","`+ids[1]+`"]}`)
		s.publish("logoff.requests", `{"id":"two","sessions":["`+ids[2]+`","`+ids[3]+`"]}`, `{"id":"three","sessions":[]}`)
		passes(t, time.Minute)
		for _, words := range [][]string{
			{"level=INFO", "job=one", "publisher=idp", "lane=bulk", "status=accepted", "sessions.accepted=2", "time_to_logoff="},
			{"level=INFO", "job=two", "lane=urgent", "status=partial", "sessions.accepted=1", "sessions.rejected=1", `error="1 of 2 sessions not ended: 1 rejected (400`},
			{"level=INFO", "job=three", "status=invalid", "error="},
		} {
			if n := len(s.linesWith(append(words, "job: it is finished")...)); n != 1 {
				t.Errorf("%d lines with %q:\n%s", n, words, s.log)
			}
		}
	})
}

// A flood has some lines of its own and the number of the others, and what is not done is not lost in it.
func TestFloodOfJobsIsSampled(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		s.publish("logoff.requests.bulk", oneEach(s.sim.SignOnMany(7, 3000))...)
		s.publish("logoff.requests.bulk", "no job")
		began := time.Now()
		r := s.start(options{})
		s.await(3001)
		took := time.Since(began)
		passes(t, 10*time.Second)
		lines, more := s.linesWith("job: it is finished"), s.linesWith("job: more jobs were finished")
		if most := int(took/time.Second+2) * 10; len(lines) > most || len(lines) < 10 {
			t.Errorf("%d lines in %v", len(lines), took)
		}
		if n := len(s.linesWith("job: it is finished", "status=invalid")); n != 1 {
			t.Errorf("%d lines of the job that was not done", n)
		}
		counted := 0
		for _, line := range more {
			var n int
			_, after, _ := strings.Cut(line, "jobs=")
			if _, err := fmt.Sscan(after, &n); err != nil || !strings.Contains(line, fmt.Sprintf("accepted=%d", n)) {
				t.Errorf("%v: %s", err, line)
			}
			counted += n
		}
		if counted+len(lines) != 3001 {
			t.Errorf("%d lines and %d others make not 3001", len(lines), counted)
		}
		r.stop()
	})
}

// What is known of one job's way can be found by its id.
func TestWayOfOneJobIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		ids := s.sim.SignOnMany(7, 3)
		s.publish("logoff.requests", `{"id":"one","sessions":["`+ids[0]+`"]}`, `{"id":"two","sessions":["`+ids[1]+`","`+ids[2]+`"]}`, "no job")
		s.start(options{})
		passes(t, time.Minute)
		var way []string
		for _, line := range s.linesWith("job=one") {
			_, line, _ = strings.Cut(line, "level=")
			way = append(way, strings.TrimSpace(line))
		}
		want := []string{
			`DEBUG msg="job: it was taken from the stream" job=one sequence=1 lane=urgent publisher="" deliveries=1 sessions=1 users=0`,
			`DEBUG msg="job: its sessions were sent" job=one sequence=1 request=w-1 sessions=1 others=2 verdict=accepted`,
			`DEBUG msg="job: its result is stored" job=one sequence=1`,
			`INFO msg="job: it is finished" job=one publisher="" lane=urgent status=accepted sessions.accepted=1 time_to_logoff=120ms`,
			`DEBUG msg="job: it is acknowledged" job=one sequence=1`,
		}
		if strings.Join(way, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(way, "\n"), strings.Join(want, "\n"))
		}
	})
}

// A dead letter tells why the job was not done, and how much of it.
func TestDeadLetterTellsTheFirstCause(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		ids := s.sim.SignOnMany(7, 71)
		s.sim.Configure(func(settings *simulator.Settings) { settings.BadIDs = map[string]int{ids[3]: 404, ids[70]: 400} })
		s.start(options{config: func(c *worker.Config) { c.ProtectedSessions = ids[5:6] }})
		s.publish("logoff.requests", jobOf(ids[:70]...), jobOf(ids[70]))
		s.await(2)
		passes(t, time.Second)
		for sequence, words := range map[uint64]string{
			1: "2 of 70 sessions not ended: 1 rejected (404",
			2: "1 of 1 sessions not ended: 1 rejected (400",
		} {
			if letter := s.deadLetter(sequence); !strings.HasPrefix(letter.Error, words) {
				t.Errorf("dead letter %d of %s: %q", sequence, letter.Reason, letter.Error)
			}
		}
	})
}
