package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"logoffworker/jobs"
)

// An acting is what the command line says of an act.
type acting struct {
	changing
	as string
}

// acts gives a verb the flags of an act.
func (a *acting) acts(cmd *cobra.Command) {
	a.changes(cmd)
	cmd.Flags().StringVar(&a.why, "why", "", "reason, which is written down with the act")
	cmd.Flags().StringVar(&a.as, "as", "", "who does it (default: the one that NATS lets you be)")
}

// actor is who does something that is written on a subject with their name at its end.
func (s *site) actor(ctx context.Context, a acting, subject func(name string) string) (string, error) {
	name := a.as
	if name == "" {
		name = s.whoAmI(ctx).name(subject)
	}
	if err := jobs.LegalID(name); err != nil {
		return "", badUsage("who does it is not known, and an act is written down with that: name yourself with --as (%w)", err)
	}
	return name, nil
}

// writeAct writes down what is about to be done. What cannot be written down is not done.
func (s *site) writeAct(ctx context.Context, act jobs.Act) error {
	subject := s.subjects.Act(act.Verb, act.Who)
	if act.Lane != "" {
		subject = s.subjects.LaneAct(act.Lane, act.Who)
	}
	act.At = time.Now().UTC()
	data, err := act.Encode()
	if err != nil {
		return err
	}
	_, err = s.js.Publish(ctx, subject, data, jetstream.WithExpectStream(s.subjects.AuditStream()))
	if errors.Is(err, jetstream.ErrNoStreamResponse) && s.denial() == nil {
		return unclear("write down the act: nothing was done, because the stream %s is not there; logoff-worker init makes it", s.subjects.AuditStream())
	}
	return s.explain("write down the act (nothing was done)", err)
}

// A pastAct is an act, and when it was stored.
type pastAct struct {
	jobs.Act
	stored time.Time
}

// acts are what was done to jobs, as far as it has been read.
type acts struct {
	next uint64
	of   map[string][]pastAct // by the key of the job
}

// update reads the acts on jobs that came since the last time.
func (a *acts) update(ctx context.Context, s *site) error {
	if a.of == nil {
		a.of = map[string][]pastAct{}
	}
	at := place{Stream: s.subjects.AuditStream(), Subject: s.subjects.Act("*", "*"), From: a.next}
	next, err := s.read(ctx, at, func(r record) bool {
		act, err := jobs.DecodeAct(r.Data)
		if err != nil {
			return true // a newer version has verbs that this one does not know
		}
		for _, key := range act.Jobs {
			a.of[key] = append(a.of[key], pastAct{act, r.Time})
		}
		return true
	})
	a.next = next
	return err
}

// by are the acts of a verb on a job.
func (a *acts) by(verb jobs.Verb, key string) (all []pastAct) {
	for _, act := range a.of[key] {
		if act.Verb == verb {
			all = append(all, act)
		}
	}
	return all
}

// lasting is a duration as people say it: 42s, 4m12s, 6h4m, 6d 4h.
func lasting(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	days := d / (24 * time.Hour)
	return fmt.Sprintf("%dd %dh", days, (d-days*24*time.Hour)/time.Hour)
}
