package intake

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"logoffworker/jobs/signals"
	"logoffworker/metrics"
)

// Part is the part of a worker's health that tells of what is received.
const Part = "receiver"

const (
	// unstoredQuiet is how long after the last job that could not be stored the receiver counts as well again. It is short,
	// since whoever asks /readyz whether to send would otherwise never find out.
	unstoredQuiet = time.Minute
	// refusedQuiet is how long the same refusal is not told of again.
	refusedQuiet = 10 * time.Minute
)

// notStored tells that senders are sent away with their jobs. What asking shows, too, lasts until asking shows no more.
func (rc *Receiver) notStored(publisher string, err error) {
	var why *StoreError
	if errors.As(err, &why) && why.Kind != Full && why.Kind != Refused {
		rc.unreachable(publisher, err)
		return
	}
	rc.Health.Begin(metrics.Condition{
		Part: Part, Kind: "unstored", Quiet: unstoredQuiet,
		What:     "jobs and events that come in are not stored: " + err.Error(),
		ByItself: "senders are told to come again with them, and the receiver goes on with the first that is stored",
		ToDo:     "make room in the stream of jobs, or find out why it does not take them", Command: rc.Command,
	})
}

func (rc *Receiver) stored() { rc.Health.End(Part, "unstored") }

// refused tells of the first event of an issuer that is refused for a reason; its sender is told of each. What proves
// nothing is told apart, so that it hides no other.
func (rc *Receiver) refused(s sender, a signals.Answer, kept bool) {
	if s.author && a.Issuer == "" {
		return // its author reads the answer
	}
	name := s.whose(a)
	c := metrics.Condition{
		Part: Part, Kind: "refused " + name + " " + string(a.Code), Harmless: true, Quiet: refusedQuiet,
		What: fmt.Sprintf("an event of %s was refused (%s), and nobody's sessions end for it: %s", name, a.Code, a.Why),
		ToDo: "see what it says with `logoff-worker explain`, and whether the issuers file should name whom it means",
	}
	switch {
	case name == "":
		c.Kind = "unbelieved " + s.publisher + " " + string(a.Code)
		c.What = fmt.Sprintf("what somebody sent to the address of %s was refused (%s), and nothing proves who it is of: %s", s.publisher, a.Code, a.Why)
		c.ToDo = "if it is of " + s.publisher + ", see with `logoff-worker explain` what it lacks; else nothing"
	case kept:
		c.ToDo, c.Command = "see its dead letter, and whether the issuers file should name whom it means", "logoffctl dead ls"
	}
	rc.Health.Begin(c)
}

// unproven is the answer to a sender who has not proved to be who there has to be; its code is 0 where it has.
func (rc *Receiver) unproven(p proof, kind, who string, refusal func() answer) answer {
	switch p {
	case shown:
		return answer{}
	case unknown:
		rc.Health.Begin(metrics.Condition{
			Part: Part, Kind: "secret " + kind, Grave: true, Quiet: unstoredQuiet,
			What:     "a secret by which " + who + " is known cannot be read",
			ByItself: "senders are told to come again; the file is read at every request",
			ToDo:     "mend the file that the issuers file names", Command: rc.Command,
		})
		return problem(http.StatusServiceUnavailable, "who sends this cannot be proved now; come again").after(fullWait)
	}
	rc.Health.Begin(metrics.Condition{
		Part: Part, Kind: "unproven " + kind, Harmless: true, Quiet: refusedQuiet,
		What: who + " did not prove it: a request was refused",
		ToDo: "if that is a sender of yours, give it the secret that the issuers file has; else nothing",
	})
	return refusal()
}

// crowded tells that more came at once than is taken, and is the answer to who found no place.
func (rc *Receiver) crowded(e endpoint) answer {
	rc.Health.Begin(metrics.Condition{
		Part: Part, Kind: "crowded", Harmless: true, Quiet: unstoredQuiet,
		What: fmt.Sprintf("more than %d requests came at once, and some were told to come again", atOnce),
	})
	return e.say(http.StatusServiceUnavailable, "too many requests at once; come again").after(crowdedWait)
}

// askEvery is how often it is asked whether the stream takes the jobs of everybody in the issuers file.
const askEvery = 15 * time.Second

// Run asks again and again whether jobs could be stored, which it tells of, until ctx ends.
func (rc *Receiver) Run(ctx context.Context) {
	every := time.NewTicker(askEvery)
	defer every.Stop()
	for {
		rc.ask(ctx)
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

// ask asks for each name in the issuers file, and tells of the first that could not be stored.
func (rc *Receiver) ask(ctx context.Context) {
	for _, who := range Names(rc.file()) {
		if err := rc.Store.Reach(ctx, who); err != nil {
			if ctx.Err() == nil {
				rc.unreachable(who.Name, err)
			}
			return
		}
	}
	rc.Health.End(Part, "unreachable")
}

// unreachable tells that nothing could be stored for somebody.
func (rc *Receiver) unreachable(name string, err error) {
	rc.Health.Begin(metrics.Condition{
		Part: Part, Kind: "unreachable", Implied: !rc.Store.NATS.IsConnected(), // that is told as it is
		What:     "jobs of " + name + " could not be stored: " + err.Error(),
		ByItself: "senders are told to come again, and the stream is asked for again every few seconds",
		ToDo:     "see whether the stream of jobs is there, and whether this NATS user may publish as each of the issuers file", Command: rc.Command,
	})
}
