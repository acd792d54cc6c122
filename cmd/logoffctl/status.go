package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/metrics/statuspage"
	"logoffworker/worker/fleet"
)

const (
	// redrawEvery is how often --watch looks again.
	redrawEvery = 2 * time.Second
	// mostTimed is how many of the latest results the times are taken from.
	mostTimed = 5000
)

func (t *tool) statusCommand() *cobra.Command {
	var watches bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "is it well, and if not, why",
		Long: `Status asks every worker how it is, and NATS what waits. The first line says whether it is well,
and if not, why, what happens by itself and what a person has to do.

Exit codes: 0 it is well; 1 it is not; 3 no worker answers, or NATS cannot be reached.`,
		Example: `  logoffctl status
  logoffctl status --watch
  logoffctl status --json`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&watches, "watch", false, "look again every two seconds")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "how long to watch (default: for ever)")
	return t.verb(cmd, func(ctx context.Context, _ []string) error {
		here, err := t.connect()
		if err != nil {
			return err
		}
		defer here.close()
		if !watches {
			return t.status(ctx, here)
		}
		if timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, timeout, errLate)
			defer cancel()
		}
		return t.watchStatus(ctx, here)
	})
}

// watchStatus looks again and again, and ends with the last look.
func (t *tool) watchStatus(ctx context.Context, here *site) (last error) {
	for {
		if isTerminal(t.stdout) && !t.json {
			fmt.Fprint(t.stdout, "\x1b[H\x1b[2J")
		}
		err := t.status(ctx, here)
		if ctx.Err() == nil || last == nil {
			last = err
		}
		if words := wordsOf(ctx, err); words != "" && ctx.Err() == nil {
			t.say("%s", words)
		}
		if !pause(ctx, redrawEvery) {
			if errors.Is(context.Cause(ctx), errLate) {
				return last
			}
			return interrupted("")
		}
	}
}

// A standing is how a deployment is, as --json prints it.
type standing struct {
	State       metrics.State     `json:"state"`
	Headline    string            `json:"headline"`
	Since       time.Time         `json:"since,omitzero"`
	ByItself    string            `json:"byItself,omitempty"`
	ToDo        string            `json:"toDo,omitempty"`
	Command     string            `json:"command,omitempty"`
	Lanes       []laneStanding    `json:"lanes"`
	Workers     []workerStanding  `json:"workers"`
	Budget      map[string]quota  `json:"budget,omitempty"`
	Token       *statuspage.Token `json:"token,omitempty"`
	DeadLetters map[string]uint64 `json:"deadLetters"`
	Held        []string          `json:"held,omitempty"` // keys
}

// A quota is how many requests of a kind may be made within an hour, and how many were.
type quota struct {
	Limit float64 `json:"limit"`
	Left  float64 `json:"left"`
}

// A laneStanding is how a lane is.
type laneStanding struct {
	Lane        jobs.Lane `json:"lane"`
	Waiting     int       `json:"waiting"`
	InHand      int       `json:"inHand"`
	Oldest      time.Time `json:"oldest,omitzero"` // when it was stored that has no result
	P50MS       int64     `json:"p50Ms,omitzero"`
	P99MS       int64     `json:"p99Ms,omitzero"`
	PausedUntil time.Time `json:"pausedUntil,omitzero"`
	Why         string    `json:"why,omitempty"` // it is paused, and Who paused it
	Who         string    `json:"who,omitempty"`
}

// A workerStanding is what a worker says of itself.
type workerStanding struct {
	Worker   string           `json:"worker"`
	Version  string           `json:"version"`
	Started  time.Time        `json:"started"`
	State    metrics.State    `json:"state"`
	Headline string           `json:"headline"`
	Since    time.Time        `json:"since,omitzero"`
	InFlight float64          `json:"inFlight"`
	Slots    int              `json:"slots"`
	Budget   map[string]quota `json:"budget,omitempty"`
	statuspage.Report
}

// status looks once, and says how it is.
func (t *tool) status(ctx context.Context, here *site) error {
	s, err := t.stand(ctx, here)
	if err != nil {
		return err
	}
	if t.json {
		err = t.object(s)
	} else {
		err = t.tellStanding(s)
	}
	if err == nil && s.State != metrics.StateWell {
		err = notSo("")
	}
	return err
}

// stand finds out how a deployment is.
func (t *tool) stand(ctx context.Context, here *site) (*standing, error) {
	s := &standing{DeadLetters: map[string]uint64{}, Budget: map[string]quota{}}
	if err := here.lanesStand(ctx, s); err != nil {
		return nil, err
	}
	if err := here.deadStand(ctx, s); err != nil {
		return nil, err
	}
	answers, err := fleet.Ask(ctx, here.nc, here.subjects)
	switch {
	case errors.Is(err, nats.ErrNoResponders), err == nil && len(answers) == 0, errors.Is(err, context.DeadlineExceeded) && here.denial() == nil:
		t.tellQueue(s)
		return nil, unclear("no worker answers: none runs, or none may hear the question; no job is lost, each stays in the stream")
	case err != nil:
		return nil, here.explain("ask the workers", err)
	}
	for _, data := range answers {
		var w workerStanding
		if json.Unmarshal(data, &w) == nil && w.Worker != "" {
			s.Workers = append(s.Workers, w)
		}
	}
	if len(s.Workers) == 0 {
		return nil, unclear("what the workers answer cannot be read: they may be of another version")
	}
	s.judge()
	return s, nil
}

// tellQueue says what waits where nobody answers.
func (t *tool) tellQueue(s *standing) {
	for _, lane := range s.Lanes {
		t.say("%s: %s, %s in hand", lane.Lane, count(lane.Waiting, "job waits", "jobs wait"), number(lane.InHand))
	}
}

// gravity orders states, the worst last.
var gravity = map[metrics.State]int{metrics.StateWell: 0, metrics.StateStarting: 1, metrics.StateTrouble: 2, metrics.StateBroken: 3}

// judge takes the word of the worker that is worst, and of those the one that has been for longest.
func (s *standing) judge() {
	slices.SortFunc(s.Workers, func(a, b workerStanding) int { return cmp.Compare(a.Worker, b.Worker) })
	worst := s.Workers[0]
	for _, w := range s.Workers {
		if by := gravity[w.State] - gravity[worst.State]; by > 0 || by == 0 && w.Since.Before(worst.Since) {
			worst = w
		}
		if w.Token != nil {
			s.Token = w.Token
		}
		for kind, q := range w.Budget {
			if known, is := s.Budget[kind]; !is || q.Left < known.Left {
				s.Budget[kind] = q
			}
		}
	}
	s.State, s.Headline, s.Since = worst.State, worst.Headline, worst.Since
	for _, trouble := range worst.Trouble {
		if metrics.Sentence(trouble.What) == worst.Headline {
			s.ByItself, s.ToDo, s.Command = trouble.ByItself, trouble.ToDo, trouble.Command
		}
	}
}

// lanesStand finds out how the lanes are.
func (s *site) lanesStand(ctx context.Context, to *standing) error {
	times, err := s.times(ctx)
	if err != nil {
		return err
	}
	for _, lane := range jobs.Lanes {
		info, err := s.lane(ctx, lane)
		if err != nil {
			return err
		}
		l := laneStanding{Lane: lane, Waiting: int(info.NumPending), InHand: info.NumAckPending}
		l.P50MS, l.P99MS = quantile(times[lane], 0.5), quantile(times[lane], 0.99)
		if info.Paused {
			l.PausedUntil = time.Now().Add(info.PauseRemaining).UTC().Truncate(time.Second)
			if act, found := s.lastLaneAct(ctx, lane); found && act.Verb == jobs.ActPause {
				l.Who, l.Why = act.Who, act.Why
			}
		}
		if l.Waiting+l.InHand > 0 {
			if l.Oldest, err = s.oldest(ctx, lane); err != nil {
				return err
			}
		}
		to.Lanes = append(to.Lanes, l)
	}
	return nil
}

// lastLaneAct is what somebody did last with a lane, as far as that may be seen.
func (s *site) lastLaneAct(ctx context.Context, lane jobs.Lane) (jobs.Act, bool) {
	r, found, err := s.last(ctx, s.subjects.AuditStream(), s.subjects.LaneActs(lane))
	if err != nil || !found {
		s.forgive()
		return jobs.Act{}, false
	}
	act, err := jobs.DecodeAct(r.Data)
	return act, err == nil
}

// oldest is when the oldest job of a lane was stored that has no result.
func (s *site) oldest(ctx context.Context, lane jobs.Lane) (oldest time.Time, err error) {
	for _, subject := range s.subjects.Lane(lane) {
		r, found, err := s.leader(ctx, s.subjects.RequestStream(), ask{Seq: 1, Next: subject})
		if err != nil {
			return oldest, s.explain("look for the oldest job", err)
		}
		if found && (oldest.IsZero() || r.Time.Before(oldest)) {
			oldest = r.Time.UTC()
		}
	}
	return oldest, nil
}

// times are how long the jobs of the last hour took, of those that had a success, of the latest [mostTimed] results.
func (s *site) times(ctx context.Context) (map[jobs.Lane][]int64, error) {
	results, err := s.stream(ctx, s.subjects.ResultStream())
	if err != nil {
		return nil, err
	}
	times := map[jobs.Lane][]int64{}
	at := place{Stream: s.subjects.ResultStream(), From: 1}
	if last := results.CachedInfo().State.LastSeq; last > mostTimed {
		at.From = last - mostTimed
	}
	hourAgo := time.Now().Add(-time.Hour)
	if at.From == 1 {
		at.Since = hourAgo
	}
	_, err = s.read(ctx, at, func(r record) bool {
		if result, err := r.result(); err == nil && r.Time.After(hourAgo) && (result.Status == jobs.Done || result.Status == jobs.AcceptedJob) {
			times[result.Lane] = append(times[result.Lane], result.TimeToLogoffMS)
		}
		return true
	})
	return times, err
}

// quantile is the time within which a share of jobs was done; 0 where there was none.
func quantile(times []int64, share float64) int64 {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[int(math.Ceil(share*float64(len(times))))-1]
}

// deadStand finds out which dead letters there are.
func (s *site) deadStand(ctx context.Context, to *standing) error {
	dead, err := s.stream(ctx, s.subjects.DeadStream())
	if err != nil {
		return err
	}
	info, err := dead.Info(ctx, jetstream.WithSubjectFilter(s.subjects.DeadLetters()))
	if err != nil {
		return s.explain("count the dead letters", err)
	}
	for subject, n := range info.State.Subjects {
		to.DeadLetters[strings.TrimPrefix(subject, s.subjects.Dead(""))] = n
	}
	if to.DeadLetters[string(jobs.Held)] == 0 {
		return nil
	}
	_, err = s.read(ctx, place{Stream: s.subjects.DeadStream(), Subject: s.subjects.Dead(jobs.Held)}, func(r record) bool {
		if l, err := s.letterOf(r); err == nil {
			to.Held = append(to.Held, l.key())
		}
		return len(to.Held) < mostOffered
	})
	return err
}

// tellStanding prints how it is: why first, then the lanes, the workers and the limits.
func (t *tool) tellStanding(s *standing) error {
	tones := map[metrics.State]tone{metrics.StateWell: good, metrics.StateBroken: bad}
	word := "not well"
	switch s.State {
	case metrics.StateWell:
		word = "well"
	case metrics.StateStarting:
		word = "starting"
	}
	first := t.colour(t.stdout, cmp.Or(tones[s.State], warn), word) + ": " + strings.TrimPrefix(s.Headline, "All is well: ")
	if !s.Since.IsZero() {
		first += fmt.Sprintf(" Since %s, for %s.", s.Since.Local().Format("15:04:05"), lasting(time.Since(s.Since)))
	}
	if err := t.print("%s", first); err != nil {
		return err
	}
	for _, l := range s.Lanes {
		if rests := l.rests(); rests != "" {
			if err := t.print("  but %s is %s", l.Lane, rests); err != nil {
				return err
			}
		}
	}
	for _, line := range []struct{ words, text string }{{"by itself: ", s.ByItself}, {"to do: ", s.ToDo}, {"command: ", s.Command}} {
		if line.text == "" {
			continue
		}
		if err := t.print("  %s%s", line.words, line.text); err != nil {
			return err
		}
	}
	for _, rows := range [][][]string{s.laneRows(), s.workerRows(), t.limitRows(s)} {
		if len(rows) < 2 {
			continue
		}
		if err := t.print(""); err != nil {
			return err
		}
		if err := t.table(rows); err != nil {
			return err
		}
	}
	return nil
}

// rests says until when a lane is paused, by whom and why; it is empty while it is not.
func (l laneStanding) rests() string {
	switch {
	case l.PausedUntil.IsZero():
		return ""
	case l.Who == "":
		return "paused until " + ending(l.PausedUntil)
	}
	return fmt.Sprintf("paused until %s by %s: %s", ending(l.PausedUntil), l.Who, l.Why)
}

func (s *standing) laneRows() [][]string {
	rows := [][]string{{"LANE", "WAITING", "OLDEST", "IN HAND", "P50 1H", "P99 1H", "STATE"}}
	for _, l := range s.Lanes {
		oldest, state := "-", "well"
		if !l.Oldest.IsZero() {
			oldest = lasting(time.Since(l.Oldest))
		}
		switch {
		case l.rests() != "":
			state = l.rests()
		case l.Waiting+l.InHand > 0 && s.State != metrics.StateWell:
			state = "waits"
		}
		rows = append(rows, []string{string(l.Lane), number(l.Waiting), oldest, number(l.InHand), tookOrDash(l.P50MS), tookOrDash(l.P99MS), state})
	}
	return rows
}

func tookOrDash(ms int64) string {
	if ms == 0 {
		return "-"
	}
	return took(ms)
}

func (s *standing) workerRows() [][]string {
	rows := [][]string{{"WORKER", "STATE", "IN FLIGHT", "UP", "VERSION", "SETTINGS"}}
	for _, w := range s.Workers {
		flight := number(int(w.InFlight))
		if w.Slots > 0 {
			flight += " of " + number(w.Slots)
		}
		rows = append(rows, []string{w.Worker, string(w.State), flight, lasting(time.Since(w.Started)), orDash(w.Version), orDash(w.SettingsHash[:min(4, len(w.SettingsHash))])})
	}
	return rows
}

func (t *tool) limitRows(s *standing) [][]string {
	rows := [][]string{{"LIMIT", "USED"}}
	for _, kind := range []struct{ key, words string }{{"writes", "logoffs and logins, hour"}, {"reads", "look-ups, hour"}} {
		if q, is := s.Budget[kind.key]; is {
			rows = append(rows, []string{kind.words, number(int(q.Limit-q.Left)) + " of " + number(int(q.Limit))})
		}
	}
	if s.Token != nil {
		words := s.Token.State
		if left := time.Until(s.Token.Expires); !s.Token.Expires.IsZero() {
			words = lasting(left) + " left"
		}
		if !s.Token.RenewableUntil.IsZero() {
			words += "; a person renews it in " + lasting(time.Until(s.Token.RenewableUntil))
		}
		rows = append(rows, []string{"access token", words})
	}
	total, each := uint64(0), []string{}
	for _, reason := range slices.Sorted(maps.Keys(s.DeadLetters)) {
		if n := s.DeadLetters[reason]; reason != string(jobs.Held) && n > 0 {
			total += n
			each = append(each, reason+" "+strconv.FormatUint(n, 10))
		}
	}
	if total > 0 {
		rows = append(rows, []string{"dead letters", fmt.Sprintf("%s (%s): %s", number(int(total)), strings.Join(each, ", "), t.command("dead", "ls"))})
	}
	if n := len(s.Held); n > 0 {
		rows = append(rows, []string{"held", fmt.Sprintf("%d: %s", s.DeadLetters[string(jobs.Held)], t.command("approve", s.Held[0]))})
	}
	return rows
}
