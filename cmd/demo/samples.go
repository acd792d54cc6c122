package main

import (
	"context"
	"fmt"
	"io"

	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
	"logoffworker/worker/webserver/simulator"
)

// A sample is a job that the demo submits.
type sample struct {
	what string
	lane jobs.Lane
	data []byte
}

// submit publishes sample jobs.
func (d *demo) submit(ctx context.Context, out io.Writer, samples ...sample) error {
	for _, s := range samples {
		msg := nats.NewMsg(d.config.Stream.Subjects.Request(s.lane, "demo"))
		msg.Data = s.data
		if _, err := d.js.PublishMsg(ctx, msg); err != nil {
			return fmt.Errorf("submit %s: %w", s.what, err)
		}
		fmt.Fprintf(out, "  %-7s %s\n", s.lane, s.what)
	}
	return nil
}

// samples are one job of each kind that a newcomer wants to see, the one that fails last: it is submitted when the others have
// their results, because a document in which it is with others is refused as a whole, and tried again in parts.
func (d *demo) samples() ([]sample, error) {
	alive := d.active()
	ended, single, owned, bulk := alive[0], alive[1], alive[2], alive[3:len(alive)/2]
	d.sim.SignOff(ended.ID)
	samples := []sample{
		{"one session of a taken-over account", jobs.Urgent, nil},
		{"another one, with its owner", jobs.Urgent, nil},
		{"everything of " + simulator.Example.Login, jobs.Urgent, nil},
		{fmt.Sprintf("an offboarding list of %d sessions", len(bulk)), jobs.Bulk, nil},
		{"a message that is no job", jobs.Urgent, []byte(`{"sessions": 4711}`)},
		{"a session that had ended before, without its owner: the one that fails", jobs.Urgent, nil},
	}
	for i, job := range []jobs.Job{
		0: {ID: "taken-over-account", Reason: "credential compromise", Sessions: named(single)},
		1: {ID: "with-its-owner", Reason: "credential compromise", Sessions: []jobs.Session{{ID: owned.ID, UserID: int64(owned.UserID)}}},
		2: {ID: "person", Reason: "credential compromise", Users: []jobs.User{{Name: simulator.Example.Login}}},
		3: {ID: "offboarding-list", Reason: "offboarding", Sessions: named(bulk...)},
		5: {ID: "already-ended", Sessions: named(ended)},
	} {
		if len(job.Sessions)+len(job.Users) == 0 {
			continue
		}
		data, err := job.Encode()
		if err != nil {
			return nil, err
		}
		samples[i].data = data
	}
	return samples, nil
}

func named(sessions ...simulator.Session) []jobs.Session {
	named := make([]jobs.Session, len(sessions))
	for i, s := range sessions {
		named[i].ID = s.ID
	}
	return named
}

// active are the people's sessions, without the worker's own and those that a sample ends by the person.
func (d *demo) active() (sessions []simulator.Session) {
	for _, s := range d.sim.Sessions() {
		if s.Active() && s.UserID != d.service && s.UserID != simulator.Example.ID && s.UserID != suspect.ID {
			sessions = append(sessions, s)
		}
	}
	return sessions
}

func (d *demo) someoneActive() string {
	if sessions := d.active(); len(sessions) > 0 {
		return sessions[len(sessions)-1].ID
	}
	return "..."
}
