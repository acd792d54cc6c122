package worker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker/webserver"
)

// jobLines is how many jobs have a line of their own within a second: so many of those that succeed, and as many of
// the others.
const jobLines = 10

// summaryAfter is how long the others are gathered for one line about all of them.
const summaryAfter = 5 * time.Second

// A jobLog tells of every finished job in a line, and in a flood of some, with a line about how many there
// were beside them.
type jobLog struct {
	log *slog.Logger

	mu      sync.Mutex
	second  time.Time           // when the current one began
	lines   map[bool]int        // in it, of successes and others
	skipped map[jobs.Status]int // since the last summary
	summary *time.Timer         // while something was skipped
}

func newJobLog(log *slog.Logger) *jobLog {
	return &jobLog{log: log, skipped: map[jobs.Status]int{}}
}

// finished tells of a job whose result this worker stored. Nothing is formatted for one that has no line.
func (l *jobLog) finished(d *delivery) {
	if !l.log.Enabled(context.Background(), slog.LevelInfo) || !l.admits(d.status) {
		return
	}
	facts := d.named(
		"publisher", d.publisher, "lane", d.lane, "status", d.status, "sessions", counted(d),
		"time_to_logoff", d.took().Round(time.Millisecond).String(),
	)
	if !d.status.Success() {
		facts = append(facts, "error", d.result.Shortfall())
	}
	if d.ignored != "" {
		facts = append(facts, "why", d.ignored)
	}
	l.log.Info("job: it is finished", facts...)
}

// admits reports whether a job of this status has a line of its own, and counts it otherwise.
func (l *jobLog) admits(status jobs.Status) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.second) >= time.Second {
		l.second, l.lines = now, map[bool]int{}
	}
	if success := status.Success(); l.lines[success] < jobLines {
		l.lines[success]++
		return true
	}
	l.skipped[status]++
	if l.summary == nil {
		l.summary = time.AfterFunc(summaryAfter, l.summarize)
	}
	return false
}

// summarize tells how many jobs had no line of their own since it last did.
func (l *jobLog) summarize() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.summary == nil {
		return
	}
	l.summary.Stop()
	l.summary = nil
	total, facts := 0, []any(nil)
	for _, status := range jobs.Statuses {
		if n := l.skipped[status]; n > 0 {
			total += n
			facts = append(facts, string(status), n)
		}
	}
	clear(l.skipped)
	l.log.Info("job: more jobs were finished than have a line of their own", append([]any{"jobs", total}, facts...)...)
}

// counted are a job's sessions by outcome.
func counted(d *delivery) slog.Value {
	counts := map[jobs.Outcome]int{}
	for _, s := range d.sessions {
		counts[s.Outcome]++
	}
	var facts []slog.Attr
	for _, outcome := range jobs.Outcomes {
		if n := counts[outcome]; n > 0 {
			facts = append(facts, slog.Int(string(outcome), n))
		}
	}
	return slog.GroupValue(facts...)
}

// harmless tells of something odd about jobs that does not keep the worker from going on.
func harmless(health *metrics.Health, kind, words string) {
	health.Begin(metrics.Condition{Part: "jobs", Kind: kind, What: words, Harmless: true, Quiet: badJobsMemory})
}

// taken tells of a job that was taken from the stream.
func (l *jobLog) taken(d *delivery) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.step(d, "it was taken from the stream", "lane", d.lane, "publisher", d.publisher, "deliveries", d.deliveries, "sessions", len(d.targets), "users", len(d.users))
	}
}

// step tells of a step on a job's way, for those who look into a single one. Facts cost something even
// where nothing is logged.
func (l *jobLog) step(d *delivery, what string, facts ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("job: "+what, d.named(append([]any{"sequence", d.sequence}, facts...)...)...)
	}
}

// named are facts about a job, with what it is called by.
func (d *delivery) named(facts ...any) []any {
	name := []any{"job", d.job.ID}
	if d.trace != "" {
		name = append(name, "trace_id", d.trace.ID())
	}
	return append(name, facts...)
}

// logRequest tells of a request, and what came of it, to the way of each job that it was made for.
func (s *sender) logRequest(doc document, request string, problem *webserver.Error) {
	if !s.w.Log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	verdict := webserver.Accepted.String()
	if problem != nil {
		verdict = problem.Verdict.String()
	}
	for d, sessions := range s.queue.askers(doc) {
		s.w.jobLog.step(d, "its sessions were sent", "request", request, "sessions", sessions, "others", len(doc)-sessions, "verdict", verdict)
	}
}
