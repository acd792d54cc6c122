package worker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"logoffworker/metrics"
	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
)

// breakerMoved tells operators how the Web Server is. It is called with the gate locked.
func (w *Worker) breakerMoved(to gate.Change) {
	w.Metrics.Breaker(string(to.To))
	switch {
	case to.To == gate.Closed:
		w.Health.Well(PartWebServer)
	case to.To == gate.Open && to.Why != nil:
		kind := to.Why.Verdict.String()
		w.Health.Only(PartWebServer, kind)
		w.Health.Begin(metrics.Condition{
			Part: PartWebServer, Kind: kind, Until: to.Until,
			What:  "jobs wait for the Web Server: " + to.Why.Error(),
			ToDo:  remedy(to.Why, to.Scope),
			Grave: to.Why.NeedsPerson(),
		})
	}
}

// remedy says what a person can do about what holds the jobs; empty where waiting is all.
func remedy(why *webserver.Error, scope gate.Scope) string {
	const atOnce = "; SIGHUP has it tried at once"
	switch {
	case scope == gate.LogoffsOnly && why.Page, scope == gate.LogoffsOnly && blocked(why):
		return "something in front of the Web Server refuses DELETE; let DELETE <webservice>/Sessions through: look at WebDAV and request filtering of IIS, the load balancer and the firewall" + atOnce
	case scope == gate.LogoffsOnly && why.Verdict == webserver.Forbidden:
		return "give the account the right to add, delete and modify users" + atOnce
	case scope == gate.LogoffsOnly && why.Verdict == webserver.Unauthorized:
		return "the token is taken for other calls, so look at what the account may do, and at what stands in front of the Web Server" + atOnce
	case why.Verdict == webserver.LoginRejected:
		return "put the right password in its place, or unlock the account" + atOnce
	case why.Verdict == webserver.Unauthorized:
		return "put a new token in its place, which is used at once"
	case why.Verdict == webserver.Misconfigured:
		return "compare LOGOFF_WEBSERVER_URL, the certificate and what stands in front of the Web Server with what is said here" + atOnce
	}
	return ""
}

// limitMoved tells operators that the Web Server allows no more requests of a kind for a while. It is called
// with the gate locked.
func (w *Worker) limitMoved(kind gate.Kind, to gate.Change) {
	switch {
	case to.To == gate.Closed:
		w.Health.End(PartBudget, kind.String()+"_limited")
	case to.To == gate.Open && max(to.Age, time.Until(to.Until)) >= gate.Long:
		w.Health.Begin(metrics.Condition{
			Part: PartBudget, Kind: kind.String() + "_limited", Until: to.Until,
			Quiet: max(0, time.Until(to.Until)) + gate.Long, // nobody may be left who tries whether it is over
			What:  "the Web Server allows no more " + kind.String() + " for now: " + to.Why.Error(),
			ToDo:  "if this comes often, set LOGOFF_" + strings.ToUpper(kind.String()) + "_PER_HOUR to what the Web Server allows this worker",
		})
	}
}

// budgetSpent tells operators that requests of a kind wait long for the budget of the settings.
func (w *Worker) budgetSpent(kind gate.Kind, who gate.Rank, wait time.Duration) {
	if wait == 0 {
		w.Health.End(PartBudget, kind.String()+"_used_up")
		return
	}
	w.Health.Begin(metrics.Condition{
		Part: PartBudget, Kind: kind.String() + "_used_up", Until: time.Now().Add(wait),
		What: "the budget of " + kind.String() + " is used up, and " + who.String() + " requests wait",
		ToDo: "raise LOGOFF_" + strings.ToUpper(kind.String()) + "_PER_HOUR if the Web Server allows more",
	})
}

// clockInterval is how often the clocks are compared.
const clockInterval = 10 * time.Second

// clockOff is how far the Web Server's clock may be off before somebody is told.
const clockOff = 30 * time.Second

// watchClock tells how far the Web Server's clock is off.
func (w *Worker) watchClock(ctx context.Context) {
	for {
		if ahead, known := w.Server.ClockDifference(); known {
			w.clockIs(ahead)
		}
		if !gate.Pause(ctx, clockInterval) {
			return
		}
	}
}

func (w *Worker) clockIs(ahead time.Duration) {
	w.Metrics.ClockDifference(ahead)
	for way, off := range map[string]time.Duration{"ahead": ahead, "behind": -ahead} {
		if off <= clockOff {
			w.Health.End(PartWebServer, "clock_"+way)
			continue
		}
		w.Health.Begin(metrics.Condition{
			Part: PartWebServer, Kind: "clock_" + way, Harmless: true,
			What: fmt.Sprintf("the Web Server's clock is %v %s; it is allowed for where an eventTime is compared with the time of a login", off.Round(time.Second), way),
			ToDo: "synchronize the clocks of the Web Server and of this machine",
		})
	}
}
