package worker

import (
	"context"
	"strings"
	"time"

	"logoffworker/metrics"
	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
)

// watchWebServer asks the Web Server how it is when no job does: at the start, while it is down with
// nothing to send, and when nothing was sent for so long that the token would die.
func (w *Worker) watchWebServer(ctx context.Context) {
	for {
		pass, err := w.gate.EnterIdle(ctx, w.Config.KeepAlive)
		if err != nil {
			return
		}
		switch answer := w.ping(); {
		case answer == nil || isOldVersion(answer):
			pass.Succeeded()
			w.lookAround()
		case answer.Verdict == webserver.Throttled && answer.Op == "ping":
			pass.Cancel()
			pause(ctx, min(max(answer.RetryAfter, w.Config.Backoff.Max), time.Minute))
		case answer.Verdict == webserver.NotFound:
			answer.Verdict = webserver.Misconfigured
			fallthrough
		default:
			if wait := pass.Failed(answer, gate.Everything); wait > 0 {
				pause(ctx, wait)
			}
		}
	}
}

// secretInterval is how often it is looked whether a secret that was refused has been changed.
const secretInterval = 2 * time.Second

// watchSecret has a changed password or token tried at once while the one before is refused.
func (w *Worker) watchSecret(ctx context.Context) {
	for pause(ctx, secretInterval) {
		held := w.gate.Held()
		if held == nil || held.Verdict != webserver.LoginRejected && held.Verdict != webserver.Unauthorized || !w.Server.SecretChanged() {
			continue
		}
		w.Log.Info("The secret of the Web Server's account has changed; it is tried now.")
		w.Server.TryLoginAgain()
		_ = w.Server.Renew(w.finish, held) // what comes of it, the next call shows
		w.gate.TryNow()
	}
}

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
			Grave: waitingMendsNothing(to.Why.Verdict),
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

// waitingMendsNothing reports whether a person has to do something about a verdict.
func waitingMendsNothing(v webserver.Verdict) bool {
	switch v {
	case webserver.Forbidden, webserver.LoginRejected, webserver.Unauthorized, webserver.Misconfigured:
		return true
	}
	return false
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
