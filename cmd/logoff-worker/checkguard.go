package main

import (
	"context"
	"fmt"
	"time"

	"logoffworker/worker/roster"
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
		r.warn("protected", "whether LOGOFF_PROTECTED_USERS names users was not looked up, since the Web Server does not answer as it should")
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
