package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"logoffworker/jobs"
)

// A letter is a dead letter as it is stored.
type letter struct {
	jobs.DeadLetter
	at        uint64    // its sequence in the stream of dead letters
	died      time.Time // when it was stored there
	lane      jobs.Lane
	publisher string
	job       jobs.Job // what it has left to do
	broken    error    // why that cannot be read
}

// key is that of the letter's job.
func (l letter) key() string { return jobs.Key(l.Sequence, l.Stored) }

// names are those that mean the letter's job.
func (l letter) names() []jobName { return namesOf(l.JobID, l.key()) }

// letterOf reads a dead letter.
func (s *site) letterOf(r record) (letter, error) {
	dead, err := jobs.DecodeDeadLetter(r.Header, r.Data)
	if err != nil {
		return letter{}, fmt.Errorf("message %d of %s: %w", r.Sequence, s.subjects.DeadStream(), err)
	}
	l := letter{DeadLetter: dead, at: r.Sequence, died: r.Time}
	l.lane, l.publisher, _ = s.subjects.Origin(dead.Subject) // a lane is told all the same
	if dead.Reason != jobs.Invalid {
		l.job, l.broken = jobs.Decode(dead.Payload, jobs.Rules{LooseIDs: true})
	}
	return l, nil
}

// A choice is which letters are meant.
type choice struct {
	names     []jobName
	reasons   []string
	publisher string
	older     span
}

func (c *choice) addFlags(t *tool, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&c.reasons, "reason", nil, "only letters with this reason")
	flags.StringVar(&c.publisher, "publisher", "", "only letters of jobs of this publisher")
	flags.Var(&c.older, "older", "only letters that are older, such as 7d")
	t.completes(cmd, "reason", reasons)
	t.completesArgs(cmd, deadKeys)
}

func (c *choice) read(args []string) error {
	for _, arg := range args {
		name := jobName(arg)
		if err := name.check(); err != nil {
			return err
		}
		c.names = append(c.names, name)
	}
	for _, reason := range c.reasons {
		if s := jobs.Status(reason); !slices.Contains(jobs.Statuses, s) || s.Success() {
			return badUsage("--reason %s: there are %s", reason, strings.Join(reasons(nil, ""), ", "))
		}
	}
	return nil
}

// isAll reports whether nothing says which letters are meant.
func (c *choice) isAll() bool {
	return len(c.names) == 0 && len(c.reasons) == 0 && c.publisher == "" && c.older == 0
}

func (c *choice) wants(l letter) bool {
	return (len(c.names) == 0 || slices.ContainsFunc(l.names(), func(n jobName) bool { return slices.Contains(c.names, n) })) &&
		(len(c.reasons) == 0 || slices.Contains(c.reasons, string(l.Reason))) &&
		(c.publisher == "" || c.publisher == l.publisher) &&
		(c.older == 0 || time.Since(l.died) > time.Duration(c.older))
}

// letters are those that are meant, the oldest first. One that cannot be read is told, and passed over.
// So is one that is named and not there, of which the exit code tells, too. What is all digits is a sequence, and no id:
// whoever stores a job chooses that.
func (t *tool) letters(ctx context.Context, here *site, c choice) (all []letter, err error) {
	there, ids := map[jobName]bool{}, map[jobName]string{}
	_, err = here.read(ctx, place{Stream: here.subjects.DeadStream(), Subject: here.subjects.DeadLetters()}, func(r record) bool {
		l, err := here.letterOf(r)
		switch {
		case err != nil:
			t.say("passed over: %v", err)
		case c.wants(l):
			all = append(all, l)
			for _, name := range l.names() {
				there[name] = true
			}
		default:
			ids[jobName(l.JobID)] = l.key()
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	for _, name := range c.names {
		if there[name] {
			continue
		}
		t.unfound = true
		t.say("%s has no dead letter here, or no more%s", name, likeID(name, ids[name]))
	}
	return all, nil
}

// likeID says how a job is named whose id looks like another name, if there is one with that key.
func likeID(name jobName, key string) string {
	if key == "" || name.key() == "" && !name.isSequence() {
		return ""
	}
	return fmt.Sprintf("; the job whose id is %s is named by its key, %s", name, key)
}

// whole are all people and sessions of letters.
func whole(letters []letter) (all jobs.Job) {
	for _, l := range letters {
		all.Users = append(all.Users, l.job.Users...)
		all.Sessions = append(all.Sessions, l.job.Sessions...)
	}
	return all
}

// isDanger reports whether doing something with letters has to be asked for.
func isDanger(letters []letter) bool {
	all := whole(letters)
	return len(letters) > 1 || len(all.Users)+len(all.Sessions) > mostUnasked ||
		slices.ContainsFunc(letters, func(l letter) bool { return l.lane == jobs.Urgent })
}

// stillThere reports whether nobody has dealt with a letter meanwhile.
func (s *site) stillThere(ctx context.Context, l letter) (bool, error) {
	r, found, err := s.leader(ctx, s.subjects.DeadStream(), ask{Seq: l.at})
	if err != nil {
		return false, s.explain("look at a dead letter", err)
	}
	if !found {
		return false, nil
	}
	same, err := s.letterOf(r)
	return err == nil && same.key() == l.key(), nil // a stream that was made anew counts from the start
}

// remove takes a letter off the list, and reports whether it was there: somebody else may have done it.
func (s *site) remove(ctx context.Context, l letter) (removed bool, err error) {
	if there, err := s.stillThere(ctx, l); err != nil || !there {
		return false, err
	}
	dead, err := s.stream(ctx, s.subjects.DeadStream())
	if err != nil {
		return false, err
	}
	if err = dead.DeleteMsg(ctx, l.at); err == nil {
		return true, nil
	}
	if there, look := s.stillThere(ctx, l); look == nil && !there {
		return false, nil
	}
	return false, s.explain("take a dead letter off the list", err)
}
