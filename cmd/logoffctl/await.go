package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"logoffworker/jobs"
)

// errLate ends a wait.
var errLate = errors.New("the results did not come in time")

// await waits for the results of what is stored, and says what became of it.
func (t *tool) await(ctx context.Context, here *site, s *sending) error {
	if err := here.recallSwallowed(ctx, s.orders, s.subject); err != nil {
		return err
	}
	s.bar = t.newProgress(s.total())
	err := s.collect(ctx, here)
	s.bar.end()
	left := s.unsettled()
	if err == nil && left > 0 {
		err = errLate
	}
	if told := t.report(s); told != nil {
		return told
	}
	switch {
	case err == nil:
		return t.verdictOf(s)
	case errors.Is(err, errLate):
		t.say("%s no result after %v; none is lost, and waiting goes on with%s", have(left), s.timeout, t.goOn(s))
		return late("")
	case ctx.Err() != nil:
		t.say("%s no result yet; none is lost, and waiting goes on with%s", have(left), t.goOn(s))
		return interrupted("interrupted")
	}
	return err
}

func have(n int) string {
	if n == 1 {
		return "1 job has"
	}
	return number(n) + " jobs have"
}

// unsettled is how many orders have no result.
func (s *sending) unsettled() (n int) {
	for _, o := range s.orders {
		if o.result == nil {
			n++
		}
	}
	return n
}

// collect takes the results as they come.
func (s *sending) collect(ctx context.Context, here *site) error {
	waited, cancel := context.WithTimeoutCause(ctx, s.timeout, errLate)
	defer cancel()
	open := map[uint64]*order{} // by sequence
	for _, o := range s.orders {
		if o.result == nil {
			open[o.sequence] = o
		} else {
			s.bar.add(len(o.targets))
		}
	}
	if len(open) == 0 {
		return nil
	}
	return here.follow(waited, place{Stream: here.subjects.ResultStream(), From: s.from, Subject: here.subjects.Results()}, func(r record) bool {
		o := open[r.jobSequence()]
		if o == nil || r.Subject != here.subjects.Result(o.job.ID, r.key()) {
			return true
		}
		result, err := r.result()
		if err != nil {
			return true // it is no worker's
		}
		o.result, o.stored, o.key = &result, r.Data, r.key()
		s.bar.add(len(o.targets))
		delete(open, o.sequence)
		return len(open) > 0
	})
}

// verdictOf is the exit code of a submission of which every job has a result.
func (t *tool) verdictOf(s *sending) error {
	waits := false
	for _, o := range s.orders {
		switch {
		case o.held():
			waits = true
		case !o.result.Status.Success():
			return notSo("")
		}
	}
	if waits {
		return isHeld("")
	}
	return nil
}

// report says what became of the jobs that have a result, and writes down what is not done.
func (t *tool) report(s *sending) error {
	for _, o := range s.orders {
		if err := t.reportJob(s, o); err != nil {
			return err
		}
	}
	f := s.findings()
	if !t.json && s.total() > mostUrgent {
		if err := t.table(f.rows()); err != nil {
			return err
		}
	}
	for _, o := range s.orders {
		if o.held() {
			t.say("%s is held: %s", o.job.ID, t.command("approve", o.key))
		}
	}
	if len(f.left) == 0 {
		return nil
	}
	return t.writeDown(s, f)
}

// reportJob says what became of one job, of a submission of few.
func (t *tool) reportJob(s *sending, o *order) error {
	switch {
	case o.result == nil:
		return nil
	case t.json:
		return t.object(o.stored)
	case len(s.orders) > mostUrgent:
		return nil
	}
	r := *o.result
	return t.print("%s  %s in %s: %s", o.job.ID, t.colour(t.stdout, toneOf(r.Status), string(r.Status)), took(r.TimeToLogoffMS), summary(r))
}

// toneOf is how good a status is.
func toneOf(s jobs.Status) tone {
	switch {
	case s.Success():
		return good
	case s == jobs.Held || s == jobs.Partial:
		return warn
	}
	return bad
}

// A finding is an outcome, and those who had it.
type finding struct {
	outcome string
	n       int
	good    bool
	who     []target
}

// findings are what became of people and sessions, and what is left to do.
type findings struct {
	people, sessions []*finding
	left             []target
	leftJobs         []jobs.Job // of JSON lines
	leftPeople       int
}

// findings sorts the targets of a submission by what became of them.
func (s *sending) findings() findings {
	var f findings
	known := map[string]*finding{}
	note := func(list *[]*finding, words string, success bool, t target) {
		kind := words
		if t.isPerson() {
			kind = "person " + words
		}
		if known[kind] == nil {
			known[kind] = &finding{outcome: words, good: success}
			*list = append(*list, known[kind])
		}
		known[kind].n++
		if !success {
			known[kind].who = append(known[kind].who, t)
		}
	}
	for _, o := range s.orders {
		outcomes := o.outcomes()
		unfinished := false
		for _, t := range o.targets {
			list := &f.sessions
			if t.isPerson() {
				list = &f.people
			}
			told := outcomes[t.key()]
			note(list, told.words, told.success, t)
			if o.result != nil && !o.held() && !told.success {
				f.left, unfinished = append(f.left, t), true
				if t.isPerson() {
					f.leftPeople++
				}
			}
		}
		if unfinished && s.list.form == formJobs {
			f.leftJobs = append(f.leftJobs, o.job.Unfinished(*o.result, time.Now()))
		}
	}
	for _, list := range [][]*finding{f.people, f.sessions} {
		slices.SortStableFunc(list, func(a, b *finding) int {
			if a.good != b.good {
				if a.good {
					return -1
				}
				return 1
			}
			return b.n - a.n
		})
	}
	return f
}

// told is what a result says of one target.
type told struct {
	words   string
	success bool
}

// outcomes are what the order's result says of each of its targets, by key.
func (o *order) outcomes() map[string]told {
	all := map[string]told{}
	whole := told{"no result yet", false}
	switch {
	case o.result == nil:
	case o.held():
		whole.words = "held for approval"
	default:
		whole.words = "not in the result"
		for _, session := range o.result.Sessions {
			if !session.Found {
				all[sessionKey(session.ID)] = told{words(sessionWords, session.Outcome), session.Outcome.Success()}
			}
		}
		for _, u := range o.result.Users {
			all[userKey(u.ID, u.Name, u.Email)] = told{words(userWords, u.Outcome), u.Outcome.Success()}
		}
	}
	for _, t := range o.targets {
		if _, known := all[t.key()]; !known {
			all[t.key()] = whole
		}
	}
	return all
}

// rows are the table of what became of people and sessions.
func (f findings) rows() [][]string {
	var rows [][]string
	for _, part := range []struct {
		head string
		list []*finding
	}{{"PEOPLE", f.people}, {"SESSIONS", f.sessions}} {
		if len(part.list) == 0 {
			continue
		}
		rows = append(rows, []string{part.head, "OUTCOME"})
		for _, found := range part.list {
			row := []string{fmt.Sprintf("%*s", len(part.head), number(found.n)), found.outcome}
			if len(found.who) > 0 {
				row = append(row, aFew(found.who))
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// aFew names a few of those who had an outcome.
func aFew(who []target) string {
	const most = 3
	var texts []string
	for _, t := range who[:min(most, len(who))] {
		text := t.text
		if t.line > 0 {
			text += fmt.Sprintf(" (line %d)", t.line)
		}
		texts = append(texts, text)
	}
	words := strings.Join(texts, ", ")
	if more := len(who) - most; more > 0 {
		words += ", … " + number(more) + " more"
	}
	return words
}
