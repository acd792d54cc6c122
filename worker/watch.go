package worker

import (
	"context"
	"log/slog"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/webserver"
)

// queueInterval is how often the streams are looked at for the metrics.
const queueInterval = 15 * time.Second

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
	switch {
	case state == "open":
		w.Health.Well(PartWebServer)
		w.Log.Info("Web Server: it answers; jobs go on", "silent_for", age.Round(time.Millisecond).String())
	case state == "closed" && w.Health.Problem(PartWebServer, "jobs wait for the Web Server: "+why.Error()):
		level := slog.LevelWarn
		switch why.Verdict {
		case webserver.Forbidden, webserver.LoginRejected, webserver.Unauthorized, webserver.Misconfigured:
			level = slog.LevelError // waiting does not mend it
		}
		w.Log.Log(context.Background(), level, "Web Server: jobs wait", "error", why, "next_try_in", time.Until(w.door.until).Round(time.Millisecond).String())
	}
}

// watchQueue keeps the gauges of what waits, and rescues jobs that are stranded, unless an operator
// owns the consumers. Because counts are not taken at one instant, only what two looks agree on counts.
func (w *Worker) watchQueue(ctx context.Context, p plan) {
	var stranded int
	var suspect castaway
	for {
		if now, ok := w.lookAtQueue(ctx, p); ok {
			w.Metrics.Stranded(min(stranded, now))
			stranded = now
			suspect = w.look(ctx, p, suspect, now)
		}
		if !pause(ctx, queueInterval) {
			return
		}
	}
}

// look looks for a stranded job where the counts say that there may be some, and rescues what was found
// at the look before too.
func (w *Worker) look(ctx context.Context, p plan, suspect castaway, stranded int) castaway {
	if stranded == 0 || w.Config.Provision != ProvisionCreate {
		return castaway{}
	}
	found := w.castaway(ctx, p)
	if found == suspect && found.sequence > 0 {
		w.rescue(ctx, p, found)
		return castaway{}
	}
	return found
}

func (w *Worker) lookAtQueue(ctx context.Context, p plan) (stranded int, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	known := 0
	for _, lane := range jobs.Lanes {
		consumer, err := w.js.Consumer(ctx, p.requests.Name, p.consumers[lane].Durable)
		if err != nil {
			return 0, false // the lane's own pull tells of it
		}
		info := consumer.CachedInfo()
		w.Metrics.Queue(lane, int(info.NumPending), info.NumAckPending, info.NumRedelivered)
		known += int(info.NumPending) + info.NumAckPending
	}
	stream, err := w.js.Stream(ctx, p.requests.Name)
	if err != nil {
		return 0, false
	}
	return max(0, int(stream.CachedInfo().State.Msgs)-known), true
}
