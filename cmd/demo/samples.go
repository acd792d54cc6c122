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

// submit publishes the sample jobs and returns how many there are.
func (d *demo) submit(ctx context.Context, out io.Writer) (int, error) {
	samples, err := d.samples()
	if err != nil {
		return 0, err
	}
	fmt.Fprintln(out, "Jobs submitted:")
	for _, s := range samples {
		msg := nats.NewMsg(d.config.Subjects.Request(s.lane, "demo"))
		msg.Data = s.data
		if _, err := d.js.PublishMsg(ctx, msg); err != nil {
			return 0, fmt.Errorf("submit %s: %w", s.what, err)
		}
		fmt.Fprintf(out, "  %-7s %s\n", s.lane, s.what)
	}
	return len(samples), nil
}

// samples are one job of each kind that a newcomer wants to see.
func (d *demo) samples() ([]sample, error) {
	alive := d.activeIDs()
	ended := alive[0]
	d.sim.SignOff(ended)
	single, bulk := alive[1:2], alive[2:len(alive)/2]
	samples := []sample{
		{"one session of a taken-over account", jobs.Urgent, nil},
		{fmt.Sprintf("an offboarding list of %d sessions", len(bulk)), jobs.Bulk, nil},
		{"a message that is no job", jobs.Urgent, []byte(`{"sessions": "not a list"}`)},
		{"a session that had already ended", jobs.Urgent, nil},
		{`everything of ` + simulator.Example.Login, jobs.Urgent, nil},
	}
	for i, job := range []jobs.Job{
		0: {ID: "taken-over-account", Reason: "credential compromise", Sessions: named(single)},
		1: {ID: "offboarding-list", Reason: "offboarding", Sessions: named(bulk)},
		3: {ID: "already-ended", Sessions: named([]string{ended})},
		4: {ID: "person", Reason: "credential compromise", Users: []jobs.User{{Name: simulator.Example.Login}}},
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

func named(ids []string) []jobs.Session {
	sessions := make([]jobs.Session, len(ids))
	for i, id := range ids {
		sessions[i].ID = id
	}
	return sessions
}

// activeIDs are the people's sessions, without the worker's own and those that a sample ends by the person.
func (d *demo) activeIDs() (ids []string) {
	for _, s := range d.sim.Sessions() {
		if s.Active() && s.UserID != d.service && s.UserID != simulator.Example.ID {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

func (d *demo) someoneActive() string {
	if ids := d.activeIDs(); len(ids) > 0 {
		return ids[len(ids)-1]
	}
	return "..."
}
