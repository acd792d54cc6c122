package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"logoffworker/jobs"
)

// heldHeader of an approved job is the subject of the result that says it is held.
const heldHeader = "Logoff-Held"

func (t *tool) approveCommand() *cobra.Command {
	var a acting
	cmd := &cobra.Command{
		Use:   "approve JOB...",
		Short: "let jobs go on that are held",
		Long: `Approve stores a job that is held once more, as it is, and under your name. Whoever published it
cannot approve it. The worker works it only if it is what was held.`,
		Example: `  logoffctl approve 91207 --why "reorganisation, agreed with HR" --dry-run
  logoffctl approve 91207 --why "reorganisation, agreed with HR" --yes`,
		Args: cobra.MinimumNArgs(1),
	}
	a.acts(cmd)
	t.completesArgs(cmd, heldKeys)
	return t.verb(cmd, func(ctx context.Context, args []string) error { return t.approve(ctx, a, args) })
}

func (t *tool) denyCommand() *cobra.Command {
	var a acting
	cmd := &cobra.Command{
		Use:   "deny JOB...",
		Short: "close jobs that are held; nothing of them is done",
		Long: `Deny takes jobs that are held off the list. Nothing of them is done. Their results stay, and so
does who denied them and why.`,
		Example: `  logoffctl deny 91207 --why "the wrong list" --dry-run
  logoffctl deny 91207 --why "the wrong list" --yes`,
		Args: cobra.MinimumNArgs(1),
	}
	a.acts(cmd)
	t.completesArgs(cmd, heldKeys)
	return t.verb(cmd, func(ctx context.Context, args []string) error {
		here, all, err := t.heldLetters(ctx, args)
		if err != nil {
			return err
		}
		defer here.close()
		for _, l := range all {
			t.say("%s", l.held())
		}
		n := whole(all)
		q := question{
			What:   fmt.Sprintf("%s, %s: nothing of it is done", count(len(all), "job", "jobs"), size(n)),
			Answer: strconv.Itoa(len(n.Users) + len(n.Sessions)), Danger: isDanger(all),
		}
		return t.takeOff(ctx, here, all, a, jobs.ActDeny, q)
	})
}

// heldKeys offers the keys of jobs that are held.
func heldKeys(t *tool, begun string) []string {
	return t.offered(begun, func(here *site) string { return here.subjects.DeadStream() }, func(here *site, r record) string {
		if l, err := here.letterOf(r); err == nil && l.Reason == jobs.Held {
			return l.key()
		}
		return ""
	})
}

// heldLetters are those of jobs that are held, each of which is named.
func (t *tool) heldLetters(ctx context.Context, args []string) (*site, []letter, error) {
	c := choice{reasons: []string{string(jobs.Held)}}
	if err := c.read(args); err != nil {
		return nil, nil, err
	}
	here, err := t.connect()
	if err != nil {
		return nil, nil, err
	}
	all, err := t.letters(ctx, here, c)
	if err == nil && len(all) == 0 {
		err = notSo("none of these jobs is held")
	}
	if err != nil {
		here.close()
		return nil, nil, err
	}
	return here, all, nil
}

// held says what is held.
func (l letter) held() string {
	return fmt.Sprintf("%s  %s, from %s, %s ago: %s%s", l.JobID, l.lane, orDash(l.publisher), lasting(time.Since(l.died)), size(l.job), because(l.Error))
}

func (t *tool) approve(ctx context.Context, a acting, args []string) error {
	here, all, err := t.heldLetters(ctx, args)
	if err != nil {
		return err
	}
	defer here.close()
	who, err := here.actor(ctx, a, func(name string) string { return here.subjects.Approved(all[0].lane, name) })
	if err != nil {
		return err
	}
	for _, l := range all {
		if l.publisher == who {
			return badUsage("%s was published by %s, so that somebody else has to approve it; nothing was changed", l.JobID, who)
		}
		t.say("%s", l.held())
	}
	n := whole(all)
	q := question{
		What:   fmt.Sprintf("you are %s (publish right %s): %s, %s", who, here.subjects.Approved("*", who), count(len(all), "job", "jobs"), size(n)),
		Answer: strconv.Itoa(len(n.Users) + len(n.Sessions)), Danger: true,
	}
	if going, err := t.confirm(ctx, a.changing, q); err != nil || !going {
		return err
	}
	r := here.approver(who)
	r.blind = func(err error) {
		t.say("whether this was approved before cannot be found out; what was approved in the last two minutes is not stored twice, and is worked once in any case: %v", err)
	}
	return t.approveAll(ctx, r, all, a.why)
}

// approver approves what letters hold, under a name. A result that says invalid is of an approval that the worker refused.
func (s *site) approver(who string) *republisher {
	r := &republisher{
		site: s, verb: jobs.ActApprove, who: who,
		message: func(l letter) (*nats.Msg, error) { return s.approved(l, who), nil },
		mark: func(header nats.Header, data []byte) string {
			return fmt.Sprintf("%s %x", header.Get(heldHeader), sha256.Sum256(data))
		},
		places: func(l letter) []string { return []string{s.subjects.Approved(l.lane, "*")} },
		origin: func(subject string) (jobs.Lane, string) {
			lane, approver, _ := s.subjects.Approver(subject)
			return lane, approver
		},
		by: func(result jobs.Result, l letter) string {
			if result.Approves != l.Result || result.Status == jobs.Invalid {
				return ""
			}
			return result.ApprovedBy
		},
		// Any program may approve that has the right, and write no act. The worker refuses a publisher's own approval.
		counts: func(l letter, who string) bool { return who != "" && who != l.publisher },
	}
	r.may = func(ctx context.Context, l letter) error {
		if r.isBlind {
			return nil
		}
		_, found, err := s.last(ctx, s.subjects.ResultStream(), l.Result)
		if err == nil && !found {
			err = letterError{notSo("%s cannot be approved any more: its result has aged out of %s, to which a worker compares it; what it holds can be published as a new job. Take it off the list with: %s",
				l.JobID, s.subjects.ResultStream(), s.command("deny", l.key()))}
		}
		return err
	}
	return r
}

// approved is the message of a job that is approved: what was held, byte for byte.
func (s *site) approved(l letter, who string) *nats.Msg {
	msg := nats.NewMsg(s.subjects.Approved(l.lane, who))
	msg.Data = l.Payload
	carried(l, msg)
	msg.Header.Set(nats.MsgIdHdr, "approved-"+l.key())
	msg.Header.Set(heldHeader, l.Result)
	return msg
}

func (t *tool) approveAll(ctx context.Context, r *republisher, all []letter, why string) error {
	if err := r.prepare(ctx, all, why); err != nil {
		return err
	}
	var left verdict
	for _, l := range all {
		sequence, err := r.publish(ctx, l)
		if own := (letterError{}); errors.As(err, &own) {
			t.say("%v", err)
			left.add(ctx, err)
			if err = nil; sequence == 0 {
				continue
			}
		}
		switch {
		case err != nil && errors.Is(err, context.Canceled):
			return interrupted("interrupted: the same command again goes on")
		case err != nil:
			return err
		case t.json:
			err = t.object(replayedLetter{l.key(), l.JobID, sequence})
		case sequence == 0:
			err = t.print("%s was approved before: %s", l.JobID, t.command("show", l.key()))
		default:
			err = t.print("approved; stored as %s %d: %s", r.subjects.RequestStream(), sequence, t.command("watch", strconv.FormatUint(sequence, 10)))
		}
		if err != nil {
			return err
		}
	}
	return left.err()
}
