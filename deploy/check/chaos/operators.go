package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/history"
	"logoffworker/worker/stage"
)

const (
	// mostUnheld is how many sessions and people one job may name without approval: more than the load's jobs have.
	mostUnheld = 120
	// actPatience is how long an operator tries to do something.
	actPatience = 90 * time.Second
)

// An operator acts on one deployment while faults happen: pauses lanes and lets them go on, approves and denies jobs
// that are held, and publishes dead letters again. That is done with logoffctl, which now and then is killed half-way
// and called again.
type operator struct {
	d      *deployment
	random *rand.Rand    // of the acts one after the other, but for pauses
	log    *stage.Output // what logoffctl says
	read   uint64        // dead letters up to this sequence were looked at
	held   []letter
	failed []letter

	pausing sync.Mutex // one lane rests at a time
	resting *rand.Rand // of the pauses
}

// A letter is a dead letter of which something can be done.
type letter struct {
	jobs.DeadLetter
	key  string // of its job
	lane jobs.Lane
	job  jobs.Job // that it holds
}

func (d *deployment) newOperator() *operator {
	seed := uint64(200 + len(d.nodes))
	return &operator{d: d, log: &stage.Output{}, random: rand.New(rand.NewPCG(d.world.seed, seed)), resting: rand.New(rand.NewPCG(d.world.seed, seed+1))}
}

// run acts until ctx ends, and finishes what was begun.
func (o *operator) run(ctx context.Context) error {
	finish := context.WithoutCancel(ctx)
	for stage.Pause(ctx, time.Duration(200+o.random.IntN(1500))*time.Millisecond) {
		if err := o.d.load.hold(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		o.readLetters(finish)
		switch o.random.IntN(4) {
		case 0:
			o.pause(ctx, time.Duration(3000+o.random.IntN(7000))*time.Millisecond)
		case 1:
			if l, some := take(o.random, &o.failed); some {
				o.replay(finish, l)
			}
		case 2, 3:
			if l, some := take(o.random, &o.held); some {
				o.decide(finish, l)
			}
		}
	}
	return nil
}

// take takes one of them, if there is one.
func take(random *rand.Rand, all *[]letter) (l letter, some bool) {
	n := len(*all)
	if n == 0 {
		return l, false
	}
	i := random.IntN(n)
	l = (*all)[i]
	(*all)[i] = (*all)[n-1]
	*all = (*all)[:n-1]
	return l, true
}

// pause has a lane rest for a while. While ctx ends, the lane goes on at once.
func (o *operator) pause(ctx context.Context, d time.Duration) {
	o.pausing.Lock()
	defer o.pausing.Unlock()
	lane := string(jobs.Lanes[o.resting.IntN(len(jobs.Lanes))])
	o.rest(ctx, lane, d)
}

func (o *operator) rest(ctx context.Context, lane string, d time.Duration) {
	finish := context.WithoutCancel(ctx)
	if o.does(finish, o.resting, "pause", lane, "--for", "30m") {
		stage.Pause(ctx, d)
	}
	o.does(finish, o.resting, "resume", lane)
}

// restBulk has the bulk lane rest while there are no faults, so that what is sent for it is judged, and urgent jobs are
// seen not to feel it.
func (o *operator) restBulk(ctx context.Context, d time.Duration) {
	o.pausing.Lock()
	defer o.pausing.Unlock()
	o.rest(ctx, string(jobs.Bulk), d)
}

// decide approves most jobs that are held, and denies the others.
func (o *operator) decide(ctx context.Context, l letter) {
	if o.random.IntN(4) == 0 {
		o.does(ctx, o.random, "deny", l.key)
		return
	}
	o.publishes(ctx, l, history.Published{Subject: o.d.subjects.Approved(l.lane, operatorName), Approves: l.Result}, "approve", l.key)
}

// replay publishes again what was not done.
func (o *operator) replay(ctx context.Context, l letter) {
	o.publishes(ctx, l, history.Published{Subject: o.d.subjects.Request(l.lane, operatorName), Replays: l.key}, "dead", "replay", l.key)
}

// publishes has logoffctl publish what a letter holds. That it may be stored is written down before.
func (o *operator) publishes(ctx context.Context, l letter, p history.Published, args ...string) {
	p.Deployment, p.JobID, p.Lane, p.State, p.Sent = o.d.subjects.Prefix, l.JobID, l.lane, history.StateUnknown, time.Now()
	for _, s := range l.job.Sessions {
		p.Sessions = append(p.Sessions, s.Spelled())
	}
	m := &message{Published: p}
	load := o.d.load
	load.mu.Lock()
	load.published = append(load.published, m)
	load.mu.Unlock()
	if o.does(ctx, o.random, args...) {
		load.mu.Lock()
		m.State, m.Confirmed = history.StateStored, time.Now()
		load.mu.Unlock()
	}
}

// operatorName is under what name operators act.
const operatorName = "jane"

// does calls logoffctl until it says that it is done, or that what is meant is not there any more, because it was done
// by a call that was killed. Every third call is killed at some moment.
func (o *operator) does(ctx context.Context, random *rand.Rand, args ...string) bool {
	var servers []string
	for _, n := range o.d.nodes {
		servers = append(servers, strings.Replace(n.URL(), "://", "://admin:"+stage.AdminPassword+"@", 1))
	}
	args = append(args, "--as", operatorName, "--why", "chaos", "--yes", "--server", strings.Join(servers, ","), "--prefix", o.d.subjects.Prefix, "--inbox-prefix", "_INBOX")
	for end := time.Now().Add(actPatience); time.Now().Before(end); stage.Pause(ctx, 200*time.Millisecond) {
		patience := 15 * time.Second
		if random.IntN(3) == 0 {
			patience = time.Duration(random.IntN(250)) * time.Millisecond
		}
		calling, cancel := context.WithTimeout(ctx, patience)
		text, err := exec.CommandContext(calling, o.d.world.program("logoffctl"), args...).CombinedOutput()
		cancel()
		_, _ = o.log.Write(fmt.Appendf(nil, "logoffctl %s: %v: %s\n", strings.Join(args[:2], " "), err, text))
		var exit *exec.ExitError
		if err == nil || errors.As(err, &exit) && exit.ExitCode() == 1 {
			return true
		}
	}
	return false
}

// readLetters reads the dead letters that came since it last did. Those of jobs with a deadline or a user are left alone.
func (o *operator) readLetters(ctx context.Context) {
	dead, err := o.d.js.Stream(ctx, o.d.subjects.DeadStream())
	if err != nil {
		return
	}
	for last := dead.CachedInfo().State.LastSeq; o.read < last; o.read++ {
		msg, err := dead.GetMsg(ctx, o.read+1)
		if err != nil {
			return
		}
		decoded, err := jobs.DecodeDeadLetter(msg.Header, msg.Data)
		if err != nil || decoded.Reason == jobs.Invalid {
			continue
		}
		l := letter{DeadLetter: decoded}
		_, l.key, _ = o.d.subjects.ResultOf(decoded.Result)
		l.lane, _, _ = o.d.subjects.Origin(decoded.Subject)
		if l.job, err = jobs.Decode(decoded.Payload, jobs.Rules{}); err != nil || len(l.job.Users) > 0 || !l.job.NotAfter.IsZero() {
			continue
		}
		if decoded.Reason == jobs.Held {
			o.held = append(o.held, l)
		} else {
			o.failed = append(o.failed, l)
		}
	}
}
