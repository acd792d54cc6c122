// Package notice tells operators how the Web Server is, and what is left of the budgets: it makes conditions of the
// worker's health, and numbers, of what the gate and the client say.
//
// A [Board] hears every change of the gate ([Board.BreakerMoved], [Board.LimitMoved], [Board.BudgetSpent],
// [Board.Uncounted]) and looks itself, every few seconds, at what changes without a word ([Board.Watch]). Each condition says what happens by
// itself, and what a person can do.
//
// It decides nothing, and knows no job.
package notice

import (
	"context"
	"fmt"
	"strings"
	"time"

	"logoffworker/metrics"
	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
)

// PartBudget is the part of a worker's health that tells of budgets and limits. That of the Web Server is
// [webserver.Part].
const PartBudget = "budget"

// A Board tells operators.
type Board struct {
	Health  *metrics.Health
	Metrics *metrics.Metrics
}

// BreakerMoved tells how the Web Server is. It is called with the gate locked.
func (b Board) BreakerMoved(to gate.Change) {
	b.Metrics.Breaker(string(to.To))
	switch {
	case to.To == gate.Closed:
		b.Health.Well(webserver.Part)
	case to.To == gate.Open && to.Why != nil:
		kind := to.Why.Verdict.String()
		do, command := remedy(to.Why, to.Scope)
		b.Health.Only(webserver.Part, kind)
		b.Health.Begin(metrics.Condition{
			Part: webserver.Part, Kind: kind, Until: to.Until, Grave: to.Why.NeedsPerson(),
			What:     "jobs wait for the Web Server: " + to.Why.Error(),
			ByItself: byItself(to.Why), ToDo: do, Command: command,
		})
	}
}

// byItself says what happens if nobody does anything.
func byItself(why *webserver.Error) string {
	const kept = "; until then the jobs stay in the stream, and none is lost"
	switch {
	case why.Verdict == webserver.LoginRejected:
		return "the login is tried again once an hour, because more tries may lock the account, and at once when the secret changes" + kept
	case why.Verdict == webserver.Throttled:
		return "the worker goes on when the Web Server allows it" + kept
	case why.NeedsPerson():
		return "the worker tries one request from time to time, and goes on when it is taken" + kept
	}
	return "the worker tries one request at a time, and goes on as soon as one is answered" + kept
}

// proveCommand sees what the worker sees, and ends a session of the account's own.
const proveCommand = metrics.CheckCommand + " --prove"

// remedy says what a person can do about what holds the jobs, and with which command they see what is wrong.
func remedy(why *webserver.Error, scope gate.Scope) (do, command string) {
	const atOnce = "; SIGHUP has it tried at once"
	switch {
	case scope == gate.LogoffsOnly && (why.Page || why.Blocked()):
		return "something in front of the Web Server refuses DELETE; let DELETE <webservice>/Sessions through: look at WebDAV and request filtering of IIS, the load balancer and the firewall" + atOnce, proveCommand
	case scope == gate.LogoffsOnly && why.Verdict == webserver.Forbidden:
		return "give the account the right to add, delete and modify users" + atOnce, proveCommand
	case scope == gate.LogoffsOnly && why.Verdict == webserver.Unauthorized:
		return "the token is taken for other calls, so look at what the account may do, and at what stands in front of the Web Server" + atOnce, proveCommand
	case why.Verdict == webserver.LoginRejected:
		return "put the right password in its place, or unlock the account" + atOnce, "" // a check would be one more try
	case why.Verdict == webserver.Unauthorized:
		return "put a new token in its place, which is used at once", metrics.CheckCommand
	case why.Verdict == webserver.Forbidden:
		return "let the worker's address and account through, at the Web Server and at what stands in front of it" + atOnce, metrics.CheckCommand
	case why.Verdict == webserver.Misconfigured:
		return "compare LOGOFF_WEBSERVER_URL, the certificate and what stands in front of the Web Server with what is said here" + atOnce, metrics.CheckCommand
	case why.Verdict == webserver.Throttled:
		return "if it comes often, set LOGOFF_WRITES_PER_HOUR or LOGOFF_REQUESTS_PER_SECOND to what the Web Server allows", ""
	}
	return "if it lasts, look at the Web Server, and at what stands in front of it", metrics.CheckCommand
}

// LimitMoved tells that the Web Server allows no more requests of a kind for a while. It is called with the gate
// locked.
func (b Board) LimitMoved(kind gate.Kind, to gate.Change) {
	switch {
	case to.To == gate.Closed:
		b.Health.End(PartBudget, kind.String()+"_limited")
	case to.To == gate.Open && max(to.Age, time.Until(to.Until)) >= gate.Long:
		b.Health.Begin(metrics.Condition{
			Part: PartBudget, Kind: kind.String() + "_limited", Until: to.Until, Through: webserver.Part,
			Quiet:    max(0, time.Until(to.Until)) + gate.Long, // nobody may be left who tries whether it is over
			What:     "the Web Server allows no more " + kind.String() + " for now: " + to.Why.Error(),
			ByItself: kind.String() + " go on when the Web Server allows them",
			ToDo:     "if this comes often, set " + perHour(kind) + " to what the Web Server allows",
		})
	}
}

// BudgetSpent tells that requests of a kind wait long for the budget of the settings.
func (b Board) BudgetSpent(kind gate.Kind, who gate.Rank, wait time.Duration) {
	if wait == 0 {
		b.Health.End(PartBudget, kind.String()+"_used_up")
		return
	}
	b.Health.Begin(metrics.Condition{
		Part: PartBudget, Kind: kind.String() + "_used_up", Until: time.Now().Add(wait),
		What:     "the budget of " + kind.String() + " is used up, and " + who.String() + " requests wait",
		ByItself: "requests go on as the hour moves on, the urgent ones first",
		ToDo:     "raise " + perHour(kind) + " if the Web Server allows more",
	})
}

// Uncounted tells that requests of a kind wait because they cannot be counted; nil, that they can again.
func (b Board) Uncounted(kind gate.Kind, why error) {
	if why == nil {
		b.Health.End(PartBudget, kind.String()+"_uncounted")
		return
	}
	b.Health.Begin(metrics.Condition{
		Part: PartBudget, Kind: kind.String() + "_uncounted",
		What:     "NATS does not say how many " + kind.String() + " all workers have made within the hour, and requests wait: " + why.Error(),
		ByItself: "requests go on as soon as it does, and until then none is made that could be one too many",
		ToDo:     "look at NATS, at its stream of counters, and at the worker's rights to it (deploy/nats/accounts.conf lists them)",
	})
}

// perHour is the setting of a budget.
func perHour(kind gate.Kind) string { return "LOGOFF_" + strings.ToUpper(kind.String()) + "_PER_HOUR" }

// lookInterval is how often clocks are compared and budgets looked at.
const lookInterval = 10 * time.Second

// clockOff is how far the Web Server's clock may be off before somebody is told.
const clockOff = 30 * time.Second

// Watch tells how far the Web Server's clock is off, and what is left of the budgets, until ctx ends.
func (b Board) Watch(ctx context.Context, server *webserver.Client, g *gate.Gate) {
	for {
		if ahead, known := server.ClockDifference(); known {
			b.clockIs(ahead)
		}
		for _, kind := range gate.Kinds {
			left, limit, err := g.Left(ctx, kind)
			if err != nil {
				limit = 0 // not known
			}
			b.Metrics.Budget(kind.String(), left, limit)
		}
		if !gate.Pause(ctx, lookInterval) {
			return
		}
	}
}

func (b Board) clockIs(ahead time.Duration) {
	b.Metrics.ClockDifference(ahead)
	for way, off := range map[string]time.Duration{"ahead": ahead, "behind": -ahead} {
		if off <= clockOff {
			b.Health.End(webserver.Part, "clock_"+way)
			continue
		}
		b.Health.Begin(metrics.Condition{
			Part: webserver.Part, Kind: "clock_" + way, Harmless: true,
			What: fmt.Sprintf("the Web Server's clock is %v %s; it is allowed for where an eventTime is compared with the time of a login", off.Round(time.Second), way),
			ToDo: "synchronize the clocks of the Web Server and of this machine",
		})
	}
}
