package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"logoffworker/jobs"
)

const (
	// longestPause is how long a lane may be paused at once.
	longestPause = 31 * 24 * time.Hour
	// handBackWait is how long to wait until workers have handed back what they had in hand.
	handBackWait = 5 * time.Second
	// bothLanes is the word for all lanes.
	bothLanes = "all"
)

func (t *tool) pauseCommand() *cobra.Command {
	var a acting
	var lasts span
	cmd := &cobra.Command{
		Use:   "pause urgent|bulk|all",
		Short: "have no worker take jobs of a lane",
		Long: `Pause has NATS hand out no jobs of a lane until a time. Workers hand back what they have not
sent. Nothing is lost: the jobs stay in the stream. It survives restarts of workers and of NATS,
and resume ends it earlier.`,
		Example: `  logoffctl pause bulk --for 3h --why "CommServe maintenance, CHG-4471"
  logoffctl pause all --for 30m --why "restore test" --dry-run`,
		Args: cobra.ExactArgs(1), ValidArgs: pausable(),
	}
	a.acts(cmd)
	cmd.Flags().Var(&lasts, "for", "for how long, such as 30m, 3h or 2d; a month at most")
	return t.verb(cmd, func(ctx context.Context, args []string) error { return t.pause(ctx, args[0], lasts, a) })
}

func (t *tool) resumeCommand() *cobra.Command {
	var a acting
	cmd := &cobra.Command{
		Use:   "resume urgent|bulk|all",
		Short: "let a lane go on that is paused",
		Long: `Resume ends the pause of a lane, whoever made it. Workers take its jobs again within two
seconds.`,
		Example: `  logoffctl resume bulk
  logoffctl resume all --why "maintenance is over"`,
		Args: cobra.ExactArgs(1), ValidArgs: pausable(),
	}
	a.acts(cmd)
	return t.verb(cmd, func(ctx context.Context, args []string) error { return t.resume(ctx, args[0], a) })
}

func pausable() (all []string) { return append(lanes(nil, ""), bothLanes) }

// lanesOf are the lanes that a word means.
func lanesOf(word string) ([]jobs.Lane, error) {
	switch {
	case word == bothLanes:
		return jobs.Lanes, nil
	case slices.Contains(jobs.Lanes, jobs.Lane(word)):
		return []jobs.Lane{jobs.Lane(word)}, nil
	}
	return nil, badUsage("%s is no lane: there are %s", word, strings.Join(pausable(), ", "))
}

func (t *tool) pause(ctx context.Context, word string, lasts span, a acting) error {
	lanes, err := lanesOf(word)
	switch {
	case err != nil:
		return err
	case lasts <= 0:
		return badUsage("--for says for how long, such as --for 3h")
	case time.Duration(lasts) > longestPause:
		return badUsage("--for %s is longer than a month (31d)", lasts.String())
	case a.why == "":
		return badUsage("--why says why, for whoever finds the lane paused")
	}
	here, err := t.connect()
	if err != nil {
		return err
	}
	defer here.close()
	p, err := here.pausing(ctx, lanes, a)
	if err != nil {
		return err
	}
	until := time.Now().Add(time.Duration(lasts)).Truncate(time.Second)
	q := question{
		What:   fmt.Sprintf("pause %s until %s, as %s: %s", word, ending(until), p.who, p.waiting()),
		Answer: word, Danger: word != string(jobs.Bulk),
	}
	if going, err := t.confirm(ctx, a.changing, q); err != nil || !going {
		return err
	}
	for i, lane := range lanes {
		if err := p.set(ctx, jobs.Act{Verb: jobs.ActPause, Who: p.who, Why: a.why, Lane: lane, Until: until.UTC()}); err != nil {
			return t.changedInPart(lanes[:i], "paused", err)
		}
	}
	return t.tellPaused(ctx, p, word, until)
}

// ending is when something ends, as people read it.
func ending(at time.Time) string {
	at = at.Local()
	if time.Until(at) < 20*time.Hour {
		return at.Format("15:04:05")
	}
	return at.Format("2006-01-02 15:04")
}

// A pausing is a change of lanes.
type pausing struct {
	*site
	who   string
	as    string // who that is, as far as the command line says
	lanes []jobs.Lane
	found map[jobs.Lane]*jetstream.ConsumerInfo // before the change
}

func (s *site) pausing(ctx context.Context, lanes []jobs.Lane, a acting) (*pausing, error) {
	if !s.pauses() {
		return nil, unclear("the NATS server has version %s, and a consumer can be paused since 2.11; nothing was changed", s.nc.ConnectedServerVersion())
	}
	p := &pausing{site: s, lanes: lanes, as: a.as}
	var err error
	if p.who, err = s.actor(ctx, a, func(name string) string { return s.subjects.LaneAct(lanes[0], name) }); err != nil {
		return nil, err
	}
	p.found, err = p.look(ctx)
	return p, err
}

// pauses reports whether the server is new enough.
func (s *site) pauses() bool {
	parts := strings.SplitN(s.nc.ConnectedServerVersion(), ".", 3)
	if len(parts) < 2 {
		return true // which the request itself will tell
	}
	major, err := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	return err != nil || err2 != nil || major > 2 || major == 2 && minor >= 11
}

// look looks at the consumers of the lanes.
func (p *pausing) look(ctx context.Context) (map[jobs.Lane]*jetstream.ConsumerInfo, error) {
	all := map[jobs.Lane]*jetstream.ConsumerInfo{}
	for _, lane := range p.lanes {
		info, err := p.lane(ctx, lane)
		if err != nil {
			return nil, err
		}
		all[lane] = info
	}
	return all, nil
}

// lane looks at the consumer of a lane.
func (s *site) lane(ctx context.Context, lane jobs.Lane) (*jetstream.ConsumerInfo, error) {
	consumer, err := s.js.Consumer(ctx, s.subjects.RequestStream(), string(lane))
	if err != nil {
		return nil, s.explain(fmt.Sprintf("look at the %s lane", lane), err)
	}
	return consumer.CachedInfo(), nil
}

// waiting says how many jobs of the lanes wait.
func (p *pausing) waiting() string { return waits(sum(p.found)) }

func waits(n load) string {
	return fmt.Sprintf("%s, %s in hand", count(n.waiting, "job waits", "jobs wait"), number(n.inHand))
}

// A load is how many jobs there are.
type load struct{ waiting, inHand int }

func sum(found map[jobs.Lane]*jetstream.ConsumerInfo) (n load) {
	for _, info := range found {
		n.waiting += int(info.NumPending)
		n.inHand += info.NumAckPending
	}
	return n
}

// set writes an act down, and does it.
func (p *pausing) set(ctx context.Context, act jobs.Act) error {
	if err := p.writeAct(ctx, act); err != nil {
		return err
	}
	until := act.Until
	if act.Verb == jobs.ActResume {
		until = time.Unix(0, 0).UTC() // which has passed
	}
	answer, err := p.js.PauseConsumer(ctx, p.subjects.RequestStream(), string(act.Lane), until)
	if err == nil && answer.Paused == (act.Verb == jobs.ActPause) {
		return nil
	}
	doing := fmt.Sprintf("%s %s", act.Verb, act.Lane)
	if err == nil {
		err = unclear("%s: NATS took it, and says that the lane is paused: %t", doing, answer.Paused)
	} else {
		err = p.explain(doing, err)
	}
	what := fmt.Sprintf("the act is written down, and workers hold the %s lane for it", act.Lane)
	resume := []string{"resume", string(act.Lane)}
	if p.as != "" {
		resume = append(resume, "--as", p.as)
	}
	mend := "take it back with: " + p.command(resume...)
	if act.Verb == jobs.ActResume {
		what = "the act is written down, and the consumer may be paused all the same, so that no job is handed out"
		mend = "the same command again, with the right, ends that"
	}
	return fmt.Errorf("%w; %s: %s", err, what, mend)
}

// changedInPart is the error of a change that came no further than to some lanes, which are told first.
func (t *tool) changedInPart(lanes []jobs.Lane, state string, err error) error {
	for _, lane := range lanes {
		t.say("%s is %s; what comes next is of another lane", lane, state)
	}
	return err
}

// A laneChange is what --json prints of a lane that is paused or goes on.
type laneChange struct {
	Lane       jobs.Lane `json:"lane"`
	Paused     bool      `json:"paused"`
	Until      time.Time `json:"until,omitzero"`
	Waiting    int       `json:"waiting"`
	InHand     int       `json:"inHand"`
	HandedBack int       `json:"handedBack"`
}

// tellPaused waits until workers have handed back what they had in hand, and says how many jobs wait.
func (t *tool) tellPaused(ctx context.Context, p *pausing, word string, until time.Time) error {
	before := sum(p.found)
	now, err := p.handedBack(ctx)
	if err != nil {
		return err
	}
	if t.json {
		for _, lane := range p.lanes {
			was, is := p.found[lane], now[lane]
			change := laneChange{lane, true, until.UTC(), int(is.NumPending) + is.NumAckPending, is.NumAckPending, max(0, was.NumAckPending-is.NumAckPending)}
			if err := t.object(change); err != nil {
				return err
			}
		}
		return nil
	}
	after := sum(now)
	words := fmt.Sprintf("%s %s paused until %s: %s", word, map[bool]string{true: "are", false: "is"}[word == bothLanes], ending(until), count(after.waiting, "job waits", "jobs wait"))
	if word != bothLanes {
		other := jobs.Urgent
		if word == string(jobs.Urgent) {
			other = jobs.Bulk
		}
		words += fmt.Sprintf("; %s jobs go on", other)
	}
	if back := before.inHand - after.inHand; back > 0 {
		words += "; " + count(back, "job in hand was handed back or settled", "jobs in hand were handed back or settled")
	}
	if err := t.print("%s", words); err != nil {
		return err
	}
	if after.inHand > 0 {
		t.say("%s still in hand: what is sent already ends first, and a worker that is gone gives its jobs back within 30 s", count(after.inHand, "job is", "jobs are"))
	}
	return nil
}

// handedBack waits until no job of the lanes is in hand, and for [handBackWait] at most.
func (p *pausing) handedBack(ctx context.Context) (map[jobs.Lane]*jetstream.ConsumerInfo, error) {
	for began := time.Now(); ; {
		now, err := p.look(ctx)
		if err != nil || sum(now).inHand == 0 || time.Since(began) > handBackWait || !pause(ctx, pollEvery) {
			return now, err
		}
	}
}

func (t *tool) resume(ctx context.Context, word string, a acting) error {
	lanes, err := lanesOf(word)
	if err != nil {
		return err
	}
	here, err := t.connect()
	if err != nil {
		return err
	}
	defer here.close()
	p, err := here.pausing(ctx, lanes, a)
	if err != nil {
		return err
	}
	q := question{What: fmt.Sprintf("resume %s, as %s: %s", word, p.who, p.waiting())}
	if going, err := t.confirm(ctx, a.changing, q); err != nil || !going {
		return err
	}
	for i, lane := range lanes {
		if err := p.set(ctx, jobs.Act{Verb: jobs.ActResume, Who: p.who, Why: a.why, Lane: lane}); err != nil {
			return t.changedInPart(lanes[:i], "on again", err)
		}
	}
	for _, lane := range lanes {
		info := p.found[lane]
		if t.json {
			err = t.object(laneChange{Lane: lane, Waiting: int(info.NumPending) + info.NumAckPending, InHand: info.NumAckPending})
		} else {
			err = t.print("%s goes on: %s", lane, count(int(info.NumPending), "job waits", "jobs wait"))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
