package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"logoffworker/jobs"
)

// replayLabel is the label of a replayed job that names the job whose letter it was by its key. Its result repeats it,
// by which a letter that was replayed is known long after.
const replayLabel = "replayOf"

// A pace is how many a second.
type pace float64

// Set implements pflag.Value.
func (p *pace) Set(text string) error {
	n, per, _ := strings.Cut(text, "/")
	rate, err := strconv.ParseFloat(n, 64)
	seconds, known := map[string]float64{"": 1, "s": 1, "m": 60, "h": 3600}[per]
	if err != nil || !known || rate <= 0 || rate > 1e6 {
		return fmt.Errorf("%q is no rate such as 50/s or 600/m", text)
	}
	*p = pace(rate / seconds)
	return nil
}

// Type implements pflag.Value.
func (*pace) Type() string { return "rate" }

// String implements pflag.Value.
func (p *pace) String() string { return strconv.FormatFloat(float64(*p), 'g', 6, 64) + "/s" }

// interval is how long after one the next may be.
func (p pace) interval() time.Duration { return time.Duration(float64(time.Second) / float64(p)) }

// together is how many are written down as one act: about ten seconds' worth, so that nothing is published long after it
// was looked whether it had been.
func (p pace) together() int { return min(max(int(float64(p)*10), 1), 500) }

func (t *tool) replayCommand() *cobra.Command {
	var c choice
	var a acting
	rate := pace(50)
	cmd := &cobra.Command{
		Use:   "replay [JOB...]",
		Short: "publish again what was not done",
		Long: `Replay publishes what dead letters hold as new jobs on their lanes, under your name, and takes
the letters off the list. Stopped half-way and begun again it goes on: no letter is published
twice, as long as results are kept. Letters of invalid jobs are not replayed, and those that are
held are approved or denied.`,
		Example: `  logoffctl dead replay --reason partial --why "the Web Server is back" --dry-run
  logoffctl dead replay 88102 --why "agreed with jane" --yes
  logoffctl dead replay --reason failed --older 1h --rate 600/m --yes`,
	}
	c.addFlags(t, cmd)
	a.acts(cmd)
	cmd.Flags().Var(&rate, "rate", "how many to publish a second, or 600/m a minute")
	return t.verb(cmd, func(ctx context.Context, args []string) error { return t.replay(ctx, c, a, rate, args) })
}

func (t *tool) replay(ctx context.Context, c choice, a acting, rate pace, args []string) error {
	here, all, err := t.chosen(ctx, c, args, "replay")
	if err != nil || len(all) == 0 {
		return err
	}
	defer here.close()
	who, err := here.actor(ctx, a, func(name string) string { return here.subjects.Request(all[0].lane, name) })
	if err != nil {
		return err
	}
	subjects := map[string]bool{}
	for _, l := range all {
		subjects[here.subjects.Request(l.lane, who)] = true
	}
	q := question{
		What:   fmt.Sprintf("%s, %s, to %s", count(len(all), "job", "jobs"), size(whole(all)), strings.Join(slices.Sorted(maps.Keys(subjects)), " and ")),
		Answer: strconv.Itoa(len(all)), Danger: isDanger(all),
	}
	if going, err := t.confirm(ctx, a.changing, q); err != nil || !going {
		return err
	}
	return t.replayAll(ctx, here.replayer(who), all, a.why, rate)
}

// replayer replays letters under a name.
func (s *site) replayer(who string) *republisher {
	r := &republisher{
		site: s, verb: jobs.ActReplay, who: who,
		message: func(l letter) (*nats.Msg, error) { return s.replayed(l, who) },
		mark: func(_ nats.Header, data []byte) string {
			return cmp.Or(replayOf(data), fmt.Sprintf("%x", sha256.Sum256(data)))
		},
		origin: func(subject string) (jobs.Lane, string) {
			lane, publisher, _ := s.subjects.Origin(subject)
			return lane, publisher
		},
		by: func(result jobs.Result, l letter) string {
			if result.Labels[replayLabel] != l.key() {
				return ""
			}
			return result.Publisher
		},
		isKnown: func(msg *nats.Msg) bool { return replayOf(msg.Data) != "" },
	}
	// Anybody may set a label, so that only who wrote down that they replay the letter counts.
	r.places = func(l letter) (subjects []string) {
		for _, act := range r.acts.by(r.verb, l.key()) {
			subjects = append(subjects, s.subjects.Request(l.lane, act.Who))
		}
		return subjects
	}
	r.counts = func(l letter, who string) bool {
		return slices.ContainsFunc(r.acts.by(r.verb, l.key()), func(act pastAct) bool { return act.Who == who })
	}
	return r
}

// replayOf is the key of the job that a message replays; empty where it says none, as where its notes leave no room for
// a label.
func replayOf(data []byte) string {
	job, _ := jobs.Decode(data, jobs.Rules{LooseIDs: true})
	return job.Labels[replayLabel]
}

// chosen are the letters that may be replayed or dropped of those that are meant.
func (t *tool) chosen(ctx context.Context, c choice, args []string, verb string) (*site, []letter, error) {
	if err := c.read(args); err != nil {
		return nil, nil, err
	}
	if c.isAll() {
		return nil, nil, badUsage("which letters are meant? Name jobs, or say --reason, --publisher or --older. They are listed by: %s", t.command("dead", "ls"))
	}
	here, err := t.connect()
	if err != nil {
		return nil, nil, err
	}
	all, err := t.letters(ctx, here, c)
	if err == nil && len(all) == 0 {
		if err = notSo(""); len(c.names) == 0 {
			t.say("no dead letter is meant")
			err = nil
		}
	}
	var meant []letter
	for _, l := range all {
		advice := ""
		switch {
		case l.Reason == jobs.Held:
			advice = "it is held, to be approved or denied: " + t.command("approve", l.key())
		case verb == "replay" && l.Reason == jobs.Invalid:
			advice = "it is invalid, and would be again: " + t.command("show", l.key())
		case verb == "replay" && l.broken != nil:
			advice = fmt.Sprintf("what it holds cannot be read: %v", l.broken)
		default:
			meant = append(meant, l)
			continue
		}
		if len(c.names) > 0 && err == nil {
			err = badUsage("nothing was changed: %s is not %s: %s", l.JobID, map[string]string{"replay": "replayed", "drop": "dropped"}[verb], advice)
		}
		t.say("%s is left alone: %s", l.JobID, advice)
	}
	if err != nil || len(meant) == 0 {
		here.close()
		return nil, nil, err
	}
	return here, meant, nil
}

// replayed is the job that a letter is replayed as.
func (s *site) replayed(l letter, who string) (*nats.Msg, error) {
	job := l.job
	job.Labels = maps.Clone(job.Labels)
	if job.Labels == nil {
		job.Labels = map[string]string{}
	}
	job.Labels[replayLabel] = l.key()
	data, err := job.Encode()
	if err != nil {
		return nil, fmt.Errorf("job %s: %w", l.JobID, err)
	}
	msg := nats.NewMsg(s.subjects.Request(l.lane, who))
	msg.Data = data
	carried(l, msg)
	msg.Header.Set(nats.MsgIdHdr, "replay-"+l.key())
	return msg, nil
}

// replayAll replays letters at a pace.
func (t *tool) replayAll(ctx context.Context, r *republisher, all []letter, why string, rate pace) error {
	bar := t.newProgress(len(all))
	stored, before := 0, 0
	var left verdict
	next := time.Now()
	err := func() error {
		for some := range slices.Chunk(all, rate.together()) {
			if !pause(ctx, time.Until(next)) { // before the act, which is not to be old when it is done
				return context.Cause(ctx)
			}
			if err := r.prepare(ctx, some, why); err != nil {
				return err
			}
			for _, l := range some {
				if !pause(ctx, time.Until(next)) {
					return context.Cause(ctx)
				}
				next = time.Now().Add(rate.interval())
				sequence, err := r.publish(ctx, l)
				if sequence != 0 {
					stored++
				}
				switch own := (letterError{}); {
				case errors.As(err, &own):
					t.say("%v", err)
					left.add(ctx, err)
				case err != nil:
					return err
				case sequence == 0:
					before++
				}
				bar.add(1)
				if t.json && (sequence != 0 || err == nil) {
					if err := t.object(replayedLetter{l.key(), l.JobID, sequence}); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}()
	bar.end()
	words := "stored " + count(stored, "job", "jobs")
	if before > 0 {
		words += "; " + count(before, "was dealt with before", "were dealt with before")
	}
	if err != nil {
		words = fmt.Sprintf("%s; %s on the list, and the same command again goes on", words, count(len(all)-stored-before, "letter is still", "letters are still"))
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return interrupted("interrupted: %s", words)
		}
		t.say("%s", words)
		return err
	}
	words += "; their letters are taken off the list"
	if n := len(all) - stored - before; n > 0 {
		words += ", and " + count(n, "letter stays", "letters stay") + " on it"
	}
	if !t.json {
		if err := t.print("%s", words); err != nil {
			return err
		}
	}
	return left.err()
}

// replayedLetter is what --json prints of a letter that was replayed. Sequence is that of the new job, 0 where somebody
// stored it before.
type replayedLetter struct {
	Key      string `json:"key"`
	JobID    string `json:"jobId"`
	Sequence uint64 `json:"sequence"`
}

func (t *tool) dropCommand() *cobra.Command {
	var c choice
	var a acting
	cmd := &cobra.Command{
		Use:   "drop [JOB...]",
		Short: "take letters off the list without doing what they hold",
		Long: `Drop takes dead letters off the list. What they hold is not done. The results stay, and so does
who dropped them and why.`,
		Example: `  logoffctl dead drop 88102 --why "left the company" --dry-run
  logoffctl dead drop --reason invalid --older 7d --why "told the publisher" --yes`,
	}
	c.addFlags(t, cmd)
	a.acts(cmd)
	return t.verb(cmd, func(ctx context.Context, args []string) error {
		here, all, err := t.chosen(ctx, c, args, "drop")
		if err != nil || len(all) == 0 {
			return err
		}
		defer here.close()
		words := size(whole(all))
		if words != "" {
			words = ", " + words
		}
		q := question{
			What:   fmt.Sprintf("%s%s: what was not done of them stays so", count(len(all), "letter", "letters"), words),
			Answer: strconv.Itoa(len(all)), Danger: isDanger(all),
		}
		return t.takeOff(ctx, here, all, a, jobs.ActDrop, q)
	})
}

// takeOff takes letters off the list, after it is written down.
func (t *tool) takeOff(ctx context.Context, here *site, all []letter, a acting, verb jobs.Verb, q question) error {
	who, err := here.actor(ctx, a, func(name string) string { return here.subjects.Act(verb, name) })
	if err != nil {
		return err
	}
	if going, err := t.confirm(ctx, a.changing, q); err != nil || !going {
		return err
	}
	r := here.replayer(who)
	if verb == jobs.ActDeny {
		r = here.approver(who)
	}
	done, notDone := 0, verdict{}
	for some := range slices.Chunk(all, pace(50).together()) {
		act := jobs.Act{Verb: verb, Who: who, Why: a.why}
		for _, l := range some {
			act.Jobs = append(act.Jobs, l.key())
		}
		if err := here.writeAct(ctx, act); err != nil {
			return err
		}
		var off []letter
		for _, l := range some {
			removed, err := here.remove(ctx, l)
			if err != nil {
				return err
			}
			if removed {
				off = append(off, l)
			} else {
				notDone.notSo++
				t.say("%s: somebody else has dealt with its letter meanwhile: %s", l.JobID, t.command("show", l.key()))
			}
		}
		closed := t.closed(ctx, r, off, verb, &notDone)
		done += len(closed)
		for _, l := range closed {
			if t.json {
				if err := t.object(l.listed()); err != nil {
					return err
				}
			}
		}
	}
	if !t.json && (done > 0 || notDone == verdict{}) {
		if err := t.print("%s: %s off the list; the results stay", map[jobs.Verb]string{jobs.ActDrop: "dropped", jobs.ActDeny: "denied"}[verb], count(done, "letter is", "letters are")); err != nil {
			return err
		}
	}
	return notDone.err()
}

// closed are those of the letters that were taken off the list of which nothing is done. It tells of the others: somebody
// had approved or replayed them before, may be about to, or it cannot be found out. It is looked for after they are
// off: nobody publishes a letter that they see is not there.
func (t *tool) closed(ctx context.Context, r *republisher, off []letter, verb jobs.Verb, notDone *verdict) (closed []letter) {
	err := r.look(ctx, off)
	for i, l := range off {
		who := ""
		if err == nil {
			who, err = r.publishedBy(ctx, l)
		}
		if err != nil {
			t.say("%s off the list; whether %s before cannot be found out: %v", count(len(off)-i, "letter is", "letters are"),
				map[jobs.Verb]string{jobs.ActApprove: "a job was approved", jobs.ActReplay: "one was replayed"}[r.verb], err)
			notDone.unclear += len(off) - i
			r.forgive()
			return closed
		}
		if who != "" {
			notDone.notSo++
			t.say("%s: %s had stored it again already, and it is worked: %s", l.JobID, who, t.command("show", l.key()))
			continue
		}
		if who = r.begun(l, verb); who != "" {
			notDone.unclear++
			t.say("%s: its letter is off the list, but %s began to %s it less than a minute before, and may still do so; whether it is done shows in a minute: %s", l.JobID, who, r.verb, t.command("show", l.key()))
			continue
		}
		closed = append(closed, l)
	}
	return closed
}
