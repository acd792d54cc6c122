package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
	"logoffworker/worker/canary"
	"logoffworker/worker/roster"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver"
)

// checkProtected says whether what the settings protect would be: each user exists and can be listed, and each session
// ID is one. Without a server, as far as that can be seen.
func (r *report) checkProtected(ctx context.Context, s settings, server *webserver.Client) {
	c := s.workerConfig()
	if len(c.ProtectedSessions)+len(c.ProtectedUsers) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime+time.Duration(len(c.ProtectedUsers))*time.Second)
	defer cancel()
	faults, doubts := roster.CheckProtection(ctx, server, c.Roster())
	for _, fault := range faults {
		r.line("protected", fault, "")
	}
	for _, doubt := range doubts {
		r.warn("protected", doubt)
	}
	switch {
	case server == nil && len(c.ProtectedUsers) > 0:
		r.warn("protected", "whether there are the protected users was not looked up, since the Web Server does not answer as it should")
	case len(faults) == 0:
		r.line("protected", nil, fmt.Sprintf("%d users and %d sessions are left alone", len(c.ProtectedUsers), len(c.ProtectedSessions)))
	}
}

// checkOwn says whether the worker would know the session of a token that it is given.
func (r *report) checkOwn(ctx context.Context, server *webserver.Client) {
	if server.LogsIn() {
		return // the worker's login makes another session, which is found as this one
	}
	const remedy = "; a job that names it ends it, and with it everything stops: put it into LOGOFF_PROTECTED_SESSIONS, or let the worker log in with LOGOFF_WEBSERVER_USERNAME"
	var found bool
	err := within(ctx, func(ctx context.Context) (err error) {
		found, err = roster.OwnSession(ctx, server)
		return err
	})
	switch {
	case err != nil:
		r.warn("own", fmt.Sprintf("which session belongs to the token was not found out: %v%s", err, remedy))
	case !found:
		r.warn("own", "no session that the Web Server lists belongs to the token, so that it may have none"+remedy+" if it has")
	default:
		r.line("own", nil, "the session of the token is known, and left alone")
	}
}

// checkHolding says from when on jobs are held.
func (r *report) checkHolding(s settings) {
	switch job, hour := s.HoldAbove.Job, s.HoldAbove.Hour; {
	case job == 0 && hour == 0:
		r.note("held", "no job is held, however many people it names: LOGOFF_HOLD_ABOVE_JOB and LOGOFF_HOLD_ABOVE_HOUR are off")
	case hour == 0:
		r.line("held", nil, fmt.Sprintf("a job that names more than %d sessions and people is held; a publisher may name as many as it likes in several (LOGOFF_HOLD_ABOVE_HOUR is off)", job))
	case job == 0:
		r.line("held", nil, fmt.Sprintf("jobs are held with which a publisher names more than %d sessions and people within an hour", hour))
	default:
		r.line("held", nil, fmt.Sprintf("a job that names more than %d sessions and people is held, and those with which a publisher names more than %d within an hour", job, hour))
	}
}

// checkApprovers says whether NATS keeps those who publish jobs from approving them, as far as a worker sees: what it
// may do itself. Without holding there is nothing to approve.
func (r *report) checkApprovers(ctx context.Context, s settings, nc *nats.Conn) {
	if s.HoldAbove.Job == 0 && s.HoldAbove.Hour == 0 {
		return
	}
	const remedy = "give each role a user with rights of its own (deploy/nats/accounts.conf)"
	who := stream.AskIdentity(ctx, nc)
	may := who.Approvals(jobs.Subjects{Prefix: s.Prefix})
	switch {
	case s.NATS.URL == embedded:
		r.warn("approval", "the embedded broker has one user for all, so that whoever publishes a job that is held can approve it under another name; if that matters, use a NATS server of your own and "+remedy)
	case !nc.AuthRequired() && len(may) > 0:
		r.warn("approval", "NATS lets in who names no user, so that whoever publishes a job that is held can approve it under another name; "+remedy)
	case !who.Known:
		r.warn("approval", "NATS does not say what this worker may do, and so not whether a job that is held can be approved by whoever published it; let the worker's user publish on $SYS.REQ.USER.INFO, and have a system account (deploy/nats/accounts.conf)")
	case len(may) > 0:
		r.warn("approval", fmt.Sprintf("the worker's NATS user may approve jobs (publish %s), which no worker needs: whoever uses it to publish a job that is held can approve it under another name; %s", strings.Join(may, ", "), remedy))
	default:
		r.line("approval", nil, "the worker's NATS user can approve nothing; what other users may, NATS does not tell: compare their rights with deploy/nats/accounts.conf")
	}
}

// checkCanary says whether NATS lets canaries set out, for which a worker needs a right more.
func (r *report) checkCanary(ctx context.Context, s settings, nc *nats.Conn) {
	if s.CanaryEvery == 0 {
		return
	}
	subject := jobs.Subjects{Prefix: s.Prefix}.Request(jobs.Urgent, canary.Publisher)
	who := stream.AskIdentity(ctx, nc)
	switch {
	case !who.Known && s.NATS.URL != embedded:
		r.warn("canary", "NATS does not say whether this worker may publish on "+subject+", without which no canary sets out")
	case !who.May(subject):
		r.line("canary", fmt.Errorf("the worker's NATS user may not publish on %s, so that no canary sets out: give it that right, which deploy/nats/accounts.conf has after #-, or set LOGOFF_CANARY_EVERY=0", subject), "")
	default:
		r.line("canary", nil, "NATS lets canaries set out, on "+subject)
	}
}
