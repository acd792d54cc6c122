package worker

import (
	"context"
	"time"

	"logoffworker/metrics"
	"logoffworker/worker/webserver"
)

// watchWebServer asks the Web Server how it is when no job does: at the start, while it is down with
// nothing to send, and when nothing was sent for so long that the token would die.
func (w *Worker) watchWebServer(ctx context.Context) {
	for {
		p, err := w.door.enterIdle(ctx, w.Config.KeepAlive)
		if err != nil {
			return
		}
		answer := w.ping()
		if answer != nil && answer.Verdict == webserver.Unauthorized {
			if answer, err = facts(w.Server.Renew(w.finish, answer)); err != nil {
				w.door.leave(p)
				continue
			}
		}
		switch {
		case answer == nil || answer.Verdict == webserver.NotFound && !answer.Page:
			w.door.answer(p)
			w.lookAround()
		case answer.Verdict == webserver.NotFound:
			answer.Verdict = webserver.Misconfigured
			fallthrough
		default:
			if wait := w.door.fail(p, answer); wait > 0 {
				pause(ctx, wait)
			}
		}
	}
}

// doorMoved tells operators how the Web Server is. It is called with the door locked.
func (w *Worker) doorMoved(state string, why *webserver.Error, age time.Duration) {
	w.Metrics.Door(state)
	switch state {
	case "open":
		if w.doorKind == "" {
			w.Log.Info("Web Server: it answers; jobs go on", "silent_for", age.Round(time.Millisecond).String())
		}
		w.Health.End(PartWebServer, w.doorKind)
		w.doorKind = ""
	case "closed":
		kind := why.Verdict.String()
		if w.doorKind != kind {
			w.Health.End(PartWebServer, w.doorKind)
		}
		w.doorKind = kind
		c := metrics.Condition{Part: PartWebServer, Kind: kind, What: "jobs wait for the Web Server: " + why.Error(), Until: w.door.until}
		switch why.Verdict {
		case webserver.Forbidden, webserver.LoginRejected, webserver.Unauthorized, webserver.Misconfigured:
			c.Grave = true // waiting does not mend it
		}
		w.Health.Begin(c)
	}
}
