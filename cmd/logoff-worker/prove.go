package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
)

// A proving is what check is asked to prove; the zero value is nothing.
type proving struct {
	asked bool
	user  int64 // whose sessions are to be read; 0 is nobody's
}

// setUser takes a userId from the command line.
func (p *proving) setUser(id string) (err error) {
	p.user, err = strconv.ParseInt(id, 10, 64)
	if err != nil || p.user < 1 {
		return errors.New("a userId is a whole number above 0")
	}
	return nil
}

// problem says what is wrong with asking for it together with a command.
func (p proving) problem(command string) error {
	switch {
	case p.asked && command != "check":
		return errors.New("--prove goes with check only")
	case p.user != 0 && !p.asked:
		return errors.New("--prove-user goes with check --prove only")
	}
	return nil
}

// A proof ends a session for once, so that it is seen and not believed: the account logs in twice, and
// its first login ends the second one's session.
type proof struct {
	report        *report
	settings      settings
	first, second *webserver.Client
	user          int64 // see proving

	id       string // of the second login's session, as soon as it is known
	accepted bool   // the Web Server said yes to the logoff
}

// proveWebServer is checkWebServer with a proof. One login serves both, since a wrong password that is
// tried twice may lock the account.
func (r *report) proveWebServer(ctx context.Context, s settings, access string, user int64) {
	if s.Webserver.Username == "" {
		r.checkWebServer(ctx, s, access)
		r.line("prove", errors.New("nothing was proved: with a token there is no second login whose session could be ended; prove once with LOGOFF_WEBSERVER_USERNAME and its password, from here and with the same URL, and what is left to see with the first job is what the token itself may do"), "")
		return
	}
	first, err := s.client(nil, nil)
	second, again := s.client(nil, nil)
	if err := cmp.Or(err, again); err != nil {
		r.line("webserver", err, "")
		return
	}
	p := &proof{report: r, settings: s, first: first, second: second, user: user}
	p.run(ctx)
}

// run goes as far as each step allows the next, and leaves no session behind.
func (p *proof) run(ctx context.Context) {
	defer p.leave(ctx)
	if !p.enter(ctx) {
		return
	}
	p.report.checkProtected(ctx, p.settings, p.first)
	if !p.see(ctx) {
		return
	}
	if p.end(ctx) {
		p.watch(ctx)
	}
	p.others(ctx)
}

// line reports a step and whether it went well. The server's own words may repeat the session ID.
func (p *proof) line(err error, ok string) bool {
	if err != nil && p.id != "" {
		err = errors.New(strings.ReplaceAll(err.Error(), p.id, short(p.id)))
	}
	p.report.line("prove", err, ok)
	return err == nil
}

// short is enough of a session ID to find it in the Web Server's list.
func short(id string) string { return fmt.Sprintf("%.8s…", id) }

// enter logs in for the first time.
func (p *proof) enter(ctx context.Context) bool {
	err := p.taken(ctx, p.first)
	p.report.line("webserver", err, "answers, and takes the credentials")
	if err != nil {
		p.report.warn("prove", "not tried, since the Web Server does not answer as it should")
	} else if ahead, _ := p.first.ClockDifference(); ahead.Abs() > clockOff {
		p.report.checkClock(p.first)
	}
	return err == nil
}

// taken is nil when the Web Server takes the client's token; it logs in first where there is none.
func (p *proof) taken(ctx context.Context, client *webserver.Client) error {
	err := client.Ping(ctx)
	var e *webserver.Error
	if errors.As(err, &e) && e.Verdict == webserver.NotFound && !e.Page { // a version without WhoAmI
		_, err = client.Sessions(ctx, p.first.Self())
	}
	return err
}

// see logs in for the second time, and finds that session in the lists of both.
func (p *proof) see(ctx context.Context) bool {
	err := p.find(ctx)
	if !p.line(err, "logged in a second time, as session "+short(p.id)) {
		return false
	}
	return p.line(p.compare(ctx), "the first login's list shows both sessions")
}

// find asks for the second login's own session: nobody else's is to be ended.
func (p *proof) find(ctx context.Context) error {
	if p.first.Self() == 0 {
		return errors.New("the login does not say the account's userId (aliasName), without which its sessions cannot be listed")
	}
	if err := p.taken(ctx, p.second); err != nil {
		return fmt.Errorf("the second login: %w", err)
	}
	list, err := p.second.Sessions(ctx, p.first.Self())
	p.id = own(list)
	if err == nil && p.id == "" {
		err = errors.New("the list marks no session as the second login's own (isCurrentSession), so that none can be ended safely")
	}
	return err
}

// own is the ID of the session with whose token a list was read.
func own(list webserver.Listing) string {
	for _, row := range list.Sessions {
		if row.Own {
			return row.ID
		}
	}
	return ""
}

func (p *proof) compare(ctx context.Context) error {
	list, err := p.first.Sessions(ctx, p.first.Self())
	row, found := list.Find(p.id)
	mine := own(list)
	var e *webserver.Error
	switch {
	case errors.As(err, &e) && e.Verdict == webserver.Unauthorized:
		return fmt.Errorf("the first login's token is refused since the second login, perhaps because an account may have only one session here: %w", err)
	case err != nil:
		return err
	case strings.EqualFold(mine, p.id):
		return fmt.Errorf("the list marks session %s as the own session of both logins, so nothing was ended: something in between answers from a cache, or both logins share a session", short(p.id))
	case !found || !row.LogoutTime.IsZero():
		return fmt.Errorf("the first login's list does not show session %s as on, which the second login's does: there may be several Web Servers behind the address that do not know each other's sessions", short(p.id))
	case mine == "":
		return errors.New("the first login's list does not show its own session")
	}
	return nil
}

// end sends the logoff, once. It reports whether that may have taken effect.
func (p *proof) end(ctx context.Context) bool {
	err := p.first.Logoff(ctx, webserver.Origin{}, []string{p.id})
	p.accepted = err == nil
	var e *webserver.Error
	sent := errors.As(err, &e) && e.Sent
	p.line(diagnosed(err), "DELETE Sessions with session "+short(p.id)+" was accepted")
	return p.accepted || sent
}

// diagnosed adds what is known here and not to the client: GET was answered a moment ago, and the
// session was on.
func diagnosed(err error) error {
	var e *webserver.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Status {
	case http.StatusMethodNotAllowed, http.StatusNotFound, http.StatusNotImplemented:
		return fmt.Errorf("logoff: %s: GET is answered here and DELETE is not; WebDAV, a request filter or a proxy probably blocks the method", e.Words())
	}
	switch e.Verdict {
	case webserver.Undecided, webserver.Refused:
		return fmt.Errorf("logoff: %s: the session was on, so this is about the request: perhaps a proxy or a firewall drops the body of DELETE; the log of the Web Server's web service tells more", e.Words())
	}
	return err
}

// The answers of a session that has not ended.
var (
	errOn    = errors.New("the session is still on in the list")
	errTaken = errors.New("its token is still taken")
)

// waits are those between the looks, because a logoff may show late.
var waits = []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}

// watch looks until the session has ended in the list and its token is refused.
func (p *proof) watch(ctx context.Context) {
	begun := time.Now()
	var on, taken error
	for i := 0; ; i++ {
		on, taken = p.on(ctx), p.alive(ctx)
		if on == nil && taken == nil || i == len(waits) {
			break
		}
		gate.Pause(ctx, waits[i]) // told to stop, the next look says so
	}
	took := time.Since(begun).Round(time.Second)
	p.line(p.listProblem(on, taken, took), fmt.Sprintf("session %s is logged out in the list, after %v", short(p.id), took))
	if on == nil && errors.Is(taken, errTaken) {
		taken = fmt.Errorf("session %s is logged out in the list, yet %w after %v: whoever holds it goes on; a cache or another Web Server behind the address may answer for it", short(p.id), taken, took)
	}
	p.line(taken, "its token is refused")
}

// listProblem says what may be behind a session that stays on.
func (p *proof) listProblem(on, taken error, took time.Duration) error {
	switch {
	case !errors.Is(on, errOn):
		return on
	case taken == nil:
		return fmt.Errorf("the token of session %s is refused, yet %w after %v: reading it back, a worker would call it still_active", short(p.id), on, took)
	case p.accepted && errors.Is(taken, errTaken):
		return fmt.Errorf("the Web Server accepted the request, yet %w after %v: something between here and the Web Server (a proxy, a load balancer, a web application firewall) probably drops the body of DELETE requests, so that an empty document arrives; let LOGOFF_WEBSERVER_URL point past it, or let it pass the body", on, took)
	}
	return fmt.Errorf("%w after %v", on, took)
}

// on is nil when the list shows that the session has ended, errOn when it is still on.
func (p *proof) on(ctx context.Context) error {
	list, err := p.first.Sessions(ctx, p.first.Self())
	if err != nil {
		return err
	}
	switch row, found := list.Find(p.id); {
	case found && row.LogoutTime.IsZero():
		return errOn
	case !found && !list.Complete:
		return errors.New("the session is not in the list, which may be cut")
	}
	return nil
}

// alive is nil when the session's token is refused, errTaken when it is still taken.
func (p *proof) alive(ctx context.Context) error {
	err := p.taken(ctx, p.second)
	var e *webserver.Error
	switch {
	case errors.As(err, &e) && e.Verdict == webserver.Unauthorized:
		return nil
	case err == nil:
		return errTaken
	}
	return fmt.Errorf("whether its token is refused is not known: %w", err)
}

// others tells what the proof says about other people's sessions. Reading them needs the right that
// ending them is taken to need.
func (p *proof) others(ctx context.Context) {
	if p.user == 0 {
		p.report.warn("prove", `only the account's own sessions were tried; those of others need the right "Add, Delete and Modify a User", and --prove-user ID sees whether that user's can be read`)
		return
	}
	list, err := p.first.Sessions(ctx, p.user)
	switch {
	case p.user == p.first.Self():
		err = fmt.Errorf("user %d is the account itself, which shows nothing about other people's sessions", p.user)
	case err == nil && len(list.Sessions) == 0:
		err = fmt.Errorf(`user %d has no session in the list: name somebody who was logged in lately; if he was, the account lacks the right "Add, Delete and Modify a User"`, p.user)
	}
	p.line(err, fmt.Sprintf("sessions of user %d can be read, which takes the right to manage users", p.user))
}

// leave logs both out, even after the program was told to stop.
func (p *proof) leave(ctx context.Context) {
	for _, client := range []*webserver.Client{p.second, p.first} {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTime)
		if err := client.Logout(ctx); err != nil {
			p.report.warn("prove", "a session of the proof was not logged out; it ends by its idle time-out: "+err.Error())
		}
		cancel()
		client.CloseIdle()
	}
}
