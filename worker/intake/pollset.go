package intake

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
	"logoffworker/metrics"
	"logoffworker/worker/gate"
	"logoffworker/worker/intake/ssf"
)

const (
	pollMax = 100 // tokens at a time, beside those that wait for their key
	pollCap = 1000
	// pollEvery is how often a transmitter is polled that does not hold a poll open, where the issuers file does not say.
	pollEvery = 5 * time.Second
	// unreachableAfter is how long polls may fail until that is told.
	unreachableAfter = 30 * time.Second
	// keyPatience is how long a token waits for its key.
	keyPatience = time.Hour
	// lastWait is how long the last acknowledgement may take at a stop.
	lastWait = 5 * time.Second
	// maxWaiting is of how many tokens it is remembered since when they wait.
	maxWaiting = 10_000
)

// pollWaits are those after a poll that failed.
var pollWaits = gate.Backoff{Min: time.Second, Max: time.Minute}

// A settled is what the next poll says of tokens that came.
type settled struct {
	ack     []string
	refused map[string]ssf.Refusal
	before  map[string]bool // what the poll before said
	waiting map[string]time.Time
	max     int
	held    bool // the latest poll had no answer, perhaps because it was held open for long
}

// poll polls the stream until ctx ends, and then acknowledges what is still to be.
func (k *keeper) poll(ctx context.Context) {
	s := &settled{before: map[string]bool{}, waiting: k.memory.waiting, refused: map[string]ssf.Refusal{}, max: pollMax}
	var failing time.Time
	for failures := 0; ctx.Err() == nil; {
		begun := time.Now()
		more, err := k.pollOnce(ctx, s)
		if ctx.Err() != nil {
			break
		}
		k.tellPolled(err, &failing)
		wait := k.every() - time.Since(begun)
		switch {
		case err != nil:
			failures++
			wait = max(pollWaits.After(failures), after(err))
		case more:
			failures, wait = 0, 0
		default:
			failures = 0
		}
		if wait > 0 && !gate.Pause(ctx, wait) {
			break
		}
	}
	k.pollLast(ctx, s)
}

func (k *keeper) every() time.Duration {
	if k.stream.Every > 0 {
		return k.stream.Every
	}
	return pollEvery
}

var errNoAddress = errors.New("the transmitter names no address to poll, and neither does the issuers file")

// pollURL is where to poll; empty where that is not known.
func (k *keeper) pollURL() string {
	if url := k.stands().PollURL; url != "" {
		return url
	}
	return k.stream.PollURL
}

// pollOnce polls once. more means that the next poll is not to wait.
func (k *keeper) pollOnce(ctx context.Context, s *settled) (more bool, err error) {
	address := k.pollURL()
	if address == "" {
		return false, errNoAddress
	}
	begun := time.Now()
	polled, err := k.client.Poll(ctx, address, ssf.PollRequest{Max: min(s.max+len(s.waiting), pollCap), Immediately: s.held, Ack: s.ack, Refused: s.refused})
	var e *ssf.Error
	switch {
	case errors.As(err, &e) && e.TooLarge && s.max > 1:
		s.max = max(1, s.max/2)
		return true, nil
	case errors.As(err, &e) && e.Timeout && time.Since(begun) > time.Minute && !s.held:
		s.held = true    // the next is not to be held open, which shows whether the transmitter lives
		return true, nil // what it was to acknowledge is said again
	case errors.As(err, &e) && e.Status == http.StatusNotFound:
		k.lookAgain()
		return false, err
	case err != nil:
		return false, err
	}
	s.confirmed()
	err = k.take(ctx, s, polled.Tokens)
	return s.progress() && err == nil, err
}

// confirmed is after a poll that was answered: what it said has arrived.
func (s *settled) confirmed() {
	s.max, s.held = pollMax, false
	clear(s.before)
	for _, jti := range s.ack {
		s.before[jti] = true
	}
	for jti := range s.refused {
		s.before[jti] = true
	}
	s.ack = nil
	clear(s.refused)
}

// progress reports whether there is something to say that the poll before has not said, so that a transmitter that does
// not hear it is not asked without end.
func (s *settled) progress() bool {
	for _, jti := range s.ack {
		if !s.before[jti] {
			return true
		}
	}
	for jti := range s.refused {
		if !s.before[jti] {
			return true
		}
	}
	return false
}

// take stores what tokens are worth, and notes what is to be said of each. An error is of one that could not be stored.
func (k *keeper) take(ctx context.Context, s *settled, tokens []ssf.Token) (failed error) {
	for _, t := range tokens {
		if ctx.Err() != nil {
			return failed // those that are left come again
		}
		read := k.p.Issuers.KeysReadAt(k.name)
		a := k.p.Issuers.Reader(k.p.Store.bounded(k.p.Rules), time.Now()).SET(k.name, []byte(t.Text))
		if a.KeysRead && s.overdue(t.JTI, read) {
			a.Verdict, a.Code, a.Why = signals.Invalid, signals.InvalidKey, fmt.Sprintf("its key is not in the issuer's key set, which was read for %v", keyPatience)
		}
		if err := k.settleToken(ctx, s, t, a); err != nil {
			failed = err
		}
	}
	k.tellStored(failed)
	return failed
}

// settleToken does what is to be done about a token.
func (k *keeper) settleToken(ctx context.Context, s *settled, t ssf.Token, a signals.Answer) error {
	if a.Verdict == signals.Job || a.Verdict == signals.Ignored {
		k.p.Alive(k.name, a.StreamUpdated != "")
	}
	switch a.Verdict {
	case signals.Job:
		if _, err := k.p.Store.Put(ctx, k.name, jobs.Urgent, a); err != nil {
			return err
		}
		s.ack = append(s.ack, t.JTI)
	case signals.Ignored:
		if a.StreamUpdated != "" {
			k.lookAgain()
		}
		s.ack = append(s.ack, t.JTI)
	case signals.Retry:
		k.p.Issuers.Want(k.name)
		s.wait(t.JTI)
		k.p.Events.Signal(k.name, string(a.Verdict))
		return nil
	default:
		if err := k.p.Store.keepToken(ctx, k.name, jobs.Urgent, t.Text, a); err != nil {
			return err
		}
		s.refused[t.JTI] = ssf.Refusal{Err: string(refusalCode(a.Code)), Description: a.Why}
		k.tellRefused(a)
	}
	delete(s.waiting, t.JTI)
	k.p.Events.Signal(k.name, string(a.Verdict))
	return nil
}

// refusalCode is a code that RFC 8935 has.
func refusalCode(code signals.Code) signals.Code {
	switch code {
	case signals.InvalidKey, signals.InvalidIssuer, signals.InvalidAudience, signals.Unauthenticated, signals.AccessDenied:
		return code
	}
	return signals.InvalidRequest
}

// wait remembers since when a token waits for its key.
func (s *settled) wait(jti string) {
	if len(s.waiting) >= maxWaiting {
		clear(s.waiting)
	}
	if _, is := s.waiting[jti]; !is {
		s.waiting[jti] = time.Now()
	}
}

// overdue reports whether a token has waited long enough for a key that the key set, which was read at a time, has not.
func (s *settled) overdue(jti string, read time.Time) bool {
	since, is := s.waiting[jti]
	return is && read.Sub(since) >= keyPatience
}

// pollLast acknowledges what was stored and not said yet.
func (k *keeper) pollLast(ctx context.Context, s *settled) {
	if address := k.pollURL(); address != "" && len(s.ack)+len(s.refused) > 0 {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWait)
		defer cancel()
		_, _ = k.client.Poll(ctx, address, ssf.PollRequest{Immediately: true, Ack: s.ack, Refused: s.refused}) // else they come again
	}
}

// tellPolled tells of polls that fail for some time.
func (k *keeper) tellPolled(err error, failing *time.Time) {
	var stored *StoreError
	if err == nil || errors.As(err, &stored) {
		*failing = time.Time{}
		k.tell(false, metrics.Condition{Kind: "unreachable"})
		return
	}
	if failing.IsZero() {
		*failing = time.Now()
	}
	if time.Since(*failing) >= unreachableAfter {
		k.tell(true, metrics.Condition{
			Kind: "unreachable", What: fmt.Sprintf("the stream of %s cannot be polled: %v", k.name, err),
			ByItself: "it is tried again within a minute; the transmitter keeps the events meanwhile, though not for ever",
			ToDo:     "see that the transmitter is up, and that the issuers file has the right credentials", Command: metrics.CheckCommand,
		})
	}
}

// tellStored tells of tokens that are left with the transmitter because they could not be stored.
func (k *keeper) tellStored(err error) {
	k.tell(err != nil, metrics.Condition{
		Kind: "unstored", Implied: !k.p.Store.NATS.IsConnected(), // that is told as it is
		What:     fmt.Sprintf("events of %s that were polled cannot be stored: %v", k.name, err),
		ByItself: "they are left with the transmitter, and polled again within a minute",
		ToDo:     "look at the stream of jobs, and at the rights of this NATS user", Command: metrics.CheckCommand,
	})
}

// tellRefused tells of the first event that is refused for a reason.
func (k *keeper) tellRefused(a signals.Answer) {
	k.p.Health.Begin(metrics.Condition{
		Part: SignalsPart, Kind: "refused " + k.name, Harmless: true, Quiet: refusedQuiet,
		What: fmt.Sprintf("an event of %s was refused (%s), and nobody's sessions end for it: %s", k.name, a.Code, a.Why),
		ToDo: "see its dead letter", Command: "logoffctl dead ls",
	})
}
