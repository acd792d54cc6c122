package metrics

import (
	"context"
	"log/slog"
	"time"
)

// A trouble is what the log says about a condition. One line tells when it begins, others in growing steps
// that it lasts, one that it is over. Something that comes and goes would fill the log in that way too; so
// once it has come back, it is told as over only when it has been so for a while. An hour of any trouble is
// some ten lines at most.
type trouble struct {
	Condition
	on     bool
	first  time.Time // when it first came
	latest time.Time // when it was last begun, or begun again
	ended  time.Time
	times  int  // that it was begun, or begun again
	came   int  // how often it came, after it had gone
	told   bool // the last line says that it is on
	step   int
	due    time.Time // no other line before this while it is on
	calm   *time.Timer
	quiet  *time.Timer
}

// steps are the times between the lines about a trouble that is on.
var steps = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 24 * time.Hour}

const (
	// memory is how long after its end a trouble that comes again is the same one.
	memory = 30 * time.Minute
	// mostCalm is the longest that the log waits before it says that something which came and went is over.
	mostCalm = 30 * time.Minute
)

func (t *trouble) forgotten() bool { return !t.on && time.Since(t.ended) > memory }

// begin notes that the trouble is on, with these words, and logs it if it is time to.
func (t *trouble) begin(log *slog.Logger, c Condition) {
	now := time.Now()
	word := "still: "
	if !t.on {
		t.came++
		word = "again: "
		if t.came == 1 {
			t.first, word = now, ""
		}
		t.on, t.Since = true, now
		stop(t.calm)
	}
	c.Since = t.Since
	t.Condition, t.latest = c, now
	t.times++
	if c.Implied || t.told && now.Before(t.due) {
		return
	}
	t.told, t.due = true, now.Add(steps[t.step])
	t.step = min(t.step+1, len(steps)-1)
	t.say(log, t.level(), word, t.facts()...)
}

// end notes that the trouble is off. It returns for how long it has to be off to be told as over, if that
// was not done at once.
func (t *trouble) end(log *slog.Logger) (wait time.Duration) {
	t.on, t.ended = false, time.Now()
	if t.came == 1 {
		t.settle(log)
		return 0
	}
	return min(steps[max(t.step-1, 0)], mostCalm)
}

// settle logs that the trouble is over, unless it has come back, or that was told.
func (t *trouble) settle(log *slog.Logger) {
	if t.on || !t.told {
		return
	}
	t.told = false
	t.say(log, slog.LevelInfo, "no longer: ", "lasted", t.ended.Sub(t.first).Round(time.Millisecond).String(), "times", t.times)
}

func (t *trouble) level() slog.Level {
	if t.Grave {
		return slog.LevelError
	}
	return slog.LevelWarn
}

func (t *trouble) facts() (facts []any) {
	for _, fact := range []struct{ key, words string }{{"by_itself", t.ByItself}, {"to_do", t.ToDo}, {"command", t.Command}} {
		if fact.words != "" {
			facts = append(facts, fact.key, fact.words)
		}
	}
	if !t.Until.IsZero() {
		facts = append(facts, "until", t.Until.UTC().Format(time.RFC3339))
	}
	if t.times > 1 {
		facts = append(facts, "since", t.first.UTC().Format(time.RFC3339), "times", t.times)
	}
	return facts
}

func (t *trouble) say(log *slog.Logger, level slog.Level, word string, facts ...any) {
	log.Log(context.Background(), level, t.Part+": "+word+t.What, append([]any{"kind", t.Kind}, facts...)...)
}

func stop(t *time.Timer) {
	if t != nil {
		t.Stop()
	}
}
