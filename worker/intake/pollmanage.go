package intake

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"logoffworker/metrics"
	"logoffworker/worker/gate"
	"logoffworker/worker/intake/ssf"
	"logoffworker/worker/issuers"
)

const (
	// manageEvery is how often a stream is compared with what is wanted, manageLeast how soon at the earliest; followLeast
	// is how soon those look again who do not look after it, since they refuse what the stream's new audience has.
	manageEvery = time.Hour
	manageLeast = time.Minute
	followLeast = 5 * time.Second
	// maxLeast is the longest time between two verification events that a transmitter may ask for.
	maxLeast = 24 * time.Hour
)

// manageWaits are those after an attempt that failed.
var manageWaits = gate.Backoff{Min: 5 * time.Second, Max: 5 * time.Minute}

// known is what this poller has learnt of a stream from its transmitter.
type known struct {
	at      time.Time // zero if nothing was
	ID      string
	PollURL string
	// Verification is where verification events are asked for, and Least the least time between two.
	Verification string
	Least        time.Duration
	learned      issuers.Learned
}

func (k *keeper) stands() known {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known
}

// learn takes what the transmitter says of the stream.
func (k *keeper) learn(m ssf.Metadata, s ssf.Stream) {
	now := known{
		at: time.Now(), ID: s.ID, PollURL: s.Delivery.URL, Verification: m.Verification,
		Least:   time.Duration(min(max(0, s.MinVerification), maxLeast.Seconds()) * float64(time.Second)),
		learned: issuers.Learned{Audience: s.Audience, KeysURL: m.JWKS},
	}
	if k.stream.Delivery == "push" {
		now.PollURL = ""
	}
	k.mu.Lock()
	k.known = now
	if now.Verification != "" && !k.memory.askable {
		k.memory.askable, k.memory.since = true, now.at
	}
	k.mu.Unlock()
	k.p.Issuers.Learn(k.name, now.learned)
	k.tellUnknown()
}

// tellUnknown tells that nothing can be verified, since neither the transmitter nor the issuers file says by what.
func (k *keeper) tellUnknown() {
	if k.stream.Unmanaged || k.stands().at.IsZero() {
		return // while the transmitter cannot be asked, that is told
	}
	lacking := k.p.Issuers.Lacking(k.name)
	k.tell(len(lacking) > 0, metrics.Condition{
		Kind: "unknown", Grave: true,
		What:     fmt.Sprintf("events of %s cannot be verified: %s", k.name, strings.Join(lacking, "; ")),
		ByItself: "events are left with the transmitter, and senders of pushes are told to come again; the transmitter is asked again every hour",
		ToDo:     "give audience and keys of the issuer in the issuers file, or have the transmitter tell them",
	})
}

// manage compares the stream with what is wanted, now and again, until ctx ends.
func (k *keeper) manage(ctx context.Context) {
	k.repeat(ctx, k.compare, manageLeast, func(err error) metrics.Condition {
		return metrics.Condition{
			What:     fmt.Sprintf("the stream of %s cannot be looked after: %v", k.name, err),
			ByItself: "what the stream is set to stays as it is, and it is polled where that is possible; it is tried again within minutes",
			ToDo:     "see that the transmitter is up, that the issuers file has the right credentials, and that they have the right to manage streams",
		}
	})
}

// follow learns of the stream what there is to know, now and again, until ctx ends: another looks after it, and what is
// pushed may come here.
func (k *keeper) follow(ctx context.Context) {
	k.repeat(ctx, k.look, followLeast, func(err error) metrics.Condition {
		return metrics.Condition{
			Harmless: len(k.p.Issuers.Lacking(k.name)) == 0,
			What:     fmt.Sprintf("what the transmitter of %s says of its stream cannot be read: %v", k.name, err),
			ByItself: "what is known of it stays in force, and it is tried again within minutes; what cannot be verified without it waits",
			ToDo:     "see that the transmitter is up, and that the issuers file has the right credentials",
		}
	})
}

// repeat does something about the stream again and again until ctx ends, with at least so much time between, and tells
// when it goes wrong twice.
func (k *keeper) repeat(ctx context.Context, do func(context.Context) (again time.Duration, err error), least time.Duration, trouble func(error) metrics.Condition) {
	if k.stream.Unmanaged {
		return
	}
	for failures := 0; ; {
		select {
		case <-k.again: // which this is
		default:
		}
		wait, err := do(ctx)
		if ctx.Err() != nil {
			return
		}
		if failures++; err == nil {
			failures = 0
		} else {
			wait = max(manageWaits.After(failures), after(err))
		}
		c := metrics.Condition{}
		if err != nil {
			c = trouble(err)
		}
		c.Kind, c.Command = "unmanaged", metrics.CheckCommand
		k.tell(failures > 1, c)
		if !k.rest(ctx, wait, least) {
			return
		}
	}
}

// rest waits, or until the stream is to be looked at again, though at least so long.
func (k *keeper) rest(ctx context.Context, wait, least time.Duration) bool {
	least = min(wait, least)
	if !gate.Pause(ctx, least) {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-k.again:
	case <-time.After(wait - least):
	}
	return true
}

// lookAgain has the stream compared once more, soon.
func (k *keeper) lookAgain() {
	select {
	case k.again <- struct{}{}:
	default:
	}
}

// after is how long a transmitter asks to wait.
func after(err error) time.Duration {
	var e *ssf.Error
	if errors.As(err, &e) {
		return e.After
	}
	return 0
}

func statusOf(err error) int {
	var e *ssf.Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// compare finds, makes or changes the stream, learns what the transmitter says of it, and tells of what is not as it is
// wanted. It returns when to compare again.
func (k *keeper) compare(ctx context.Context) (again time.Duration, err error) {
	m, err := k.client.Discover(ctx)
	if err != nil {
		return 0, err
	}
	s, err := k.settle(ctx, m)
	if err != nil {
		return 0, err
	}
	k.learn(m, s)
	shared := k.share(ctx)
	k.tellDelivery(m, s)
	again = manageEvery
	if s.Inactivity > 0 {
		again = min(again, time.Duration(s.Inactivity/2)*time.Second)
	}
	if shared != nil {
		again = 0
	}
	return max(again, manageLeast), k.tellStatus(ctx, m, s.ID)
}

var errNoStream = errors.New("the transmitter has no stream that is ours; whoever looks after it makes one")

// look learns what the transmitter says of the stream, and changes nothing. It returns when to look again.
func (k *keeper) look(ctx context.Context) (again time.Duration, err error) {
	m, err := k.client.Discover(ctx)
	if err != nil {
		return 0, err
	}
	all, err := k.client.Streams(ctx, m)
	if err != nil {
		return 0, err
	}
	s, found := k.ours(all)
	if !found {
		return 0, errNoStream
	}
	k.learn(m, s)
	return manageEvery, nil
}

// wanted is what the stream is to be set to.
func (k *keeper) wanted(m ssf.Metadata) (s ssf.Stream, err error) {
	s = ssf.Stream{Requested: k.stream.Events, Description: "logoff-worker " + k.name, Delivery: ssf.Delivery{Method: m.Named(ssf.Poll)}}
	if k.stream.Delivery != "push" {
		return s, nil
	}
	s.Delivery = ssf.Delivery{Method: m.Named(ssf.Push), URL: k.stream.PushURL}
	if k.pushBearer != nil {
		secret, err := k.pushBearer()
		if err != nil {
			return s, err
		}
		s.Delivery.Authorization = "Bearer " + secret
	}
	return s, nil
}

// settle finds the stream that is ours or makes one, and has it set to what is wanted.
func (k *keeper) settle(ctx context.Context, m ssf.Metadata) (ssf.Stream, error) {
	want, err := k.wanted(m)
	if err != nil {
		return want, err
	}
	all, err := k.client.Streams(ctx, m)
	if err != nil {
		return want, err
	}
	s, found := k.ours(all)
	if !found {
		made, err := k.client.Create(ctx, m, want)
		if err == nil {
			k.p.Log.Info("A stream was made at a transmitter.", "issuer", k.name, "stream", made.ID)
			k.given = want.Delivery.Authorization
			return k.whole(ctx, m, made)
		}
		if statusOf(err) != http.StatusConflict || len(all) != 1 {
			return made, err
		}
		s = all[0] // the one that there may be, whatever it is called
	}
	given := k.given != "" && k.given != want.Delivery.Authorization
	if alike(s, want) && !given {
		k.given = want.Delivery.Authorization
		return s, nil
	}
	k.p.Log.Info("A stream at a transmitter is changed to what is wanted.", "issuer", k.name, "stream", s.ID)
	changed, err := k.client.Update(ctx, m, ssf.Stream{ID: s.ID, Delivery: want.Delivery, Requested: want.Requested})
	if err != nil {
		return changed, err
	}
	changed.ID, k.given = s.ID, want.Delivery.Authorization
	return k.whole(ctx, m, changed)
}

// ours is the stream among some that is this issuer's: known before, to the address that the file says, with our
// description, or else the one that another poller tells of. Nobody else's is ever taken for it: that one has neither a
// description nor another address.
func (k *keeper) ours(all []ssf.Stream) (s ssf.Stream, found bool) {
	k.mu.Lock()
	before, told := k.known.ID, k.told.ID
	k.mu.Unlock()
	address := k.stream.PollURL
	if k.stream.Delivery == "push" {
		address = k.stream.PushURL
	}
	for _, is := range []func(ssf.Stream) bool{
		func(s ssf.Stream) bool { return before != "" && s.ID == before },
		func(s ssf.Stream) bool { return address != "" && s.Delivery.URL == address },
		func(s ssf.Stream) bool { return s.Description == "logoff-worker "+k.name },
		func(s ssf.Stream) bool {
			return told != "" && s.ID == told && s.Description == "" && (address == "" || s.Delivery.URL == "")
		},
	} {
		if i := slices.IndexFunc(all, is); i >= 0 {
			return all[i], true
		}
	}
	return s, false
}

// alike reports whether a stream is set to what is wanted.
func alike(s, want ssf.Stream) bool {
	has, wants := slices.Sorted(slices.Values(s.Requested)), slices.Sorted(slices.Values(want.Requested))
	return slices.Equal(has, wants) && ssf.Method(s.Delivery.Method) == ssf.Method(want.Delivery.Method) &&
		(want.Delivery.URL == "" || s.Delivery.URL == want.Delivery.URL)
}

// whole is a stream as the transmitter has it, which is asked for once more where an answer did not tell all.
func (k *keeper) whole(ctx context.Context, m ssf.Metadata, s ssf.Stream) (ssf.Stream, error) {
	if s.ID != "" && s.Delivery.URL != "" && len(s.Audience) > 0 {
		return s, nil
	}
	all, err := k.client.Streams(ctx, m)
	if err != nil {
		return s, err
	}
	for _, listed := range all {
		if listed.ID == s.ID {
			return listed, nil
		}
	}
	if listed, found := k.ours(all); found {
		return listed, nil
	}
	return s, nil
}

// tellDelivery tells of what does not come although it is wanted.
func (k *keeper) tellDelivery(m ssf.Metadata, s ssf.Stream) {
	var missing []string
	for _, event := range k.stream.Events {
		if s.Delivered != nil && !slices.Contains(s.Delivered, event) {
			missing = append(missing, event)
		}
	}
	k.tell(len(missing) > 0, metrics.Condition{
		Kind: "undelivered", Grave: true,
		What:     fmt.Sprintf("%s does not deliver what the issuers file has rules for: %s", k.name, strings.Join(missing, ", ")),
		ByItself: "nobody's sessions end for those events; the others are worked",
		ToDo:     "have the transmitter allow them to this receiver, or take the rules out of the issuers file",
	})
	k.tell(strings.EqualFold(m.DefaultSubjects, "NONE"), metrics.Condition{
		Kind: "subjects", Harmless: true,
		What:     fmt.Sprintf("%s sends nothing about anybody who was not added to the stream (default_subjects: NONE)", k.name),
		ByItself: "events about all others do not come, and nothing shows that",
		ToDo:     "at the transmitter, see that everybody is added whose sessions are to end, or have it send for all",
	})
}

// tellStatus tells whether the stream delivers at all.
func (k *keeper) tellStatus(ctx context.Context, m ssf.Metadata, id string) error {
	if m.Status == "" {
		return nil
	}
	status, err := k.client.Status(ctx, m, id)
	if err != nil {
		return err
	}
	reason := ""
	if status.Reason != "" {
		reason = ": " + status.Reason
	}
	k.tell(!strings.EqualFold(status.Status, ssf.Enabled), metrics.Condition{
		Kind: "status", Grave: true,
		What:     fmt.Sprintf("the stream of %s is %s, and delivers nothing%s", k.name, status.Status, reason),
		ByItself: "nobody's sessions end for what happens at the issuer; a stream that is paused may keep its events, one that is disabled does not",
		ToDo:     "enable it at the transmitter",
	})
	return nil
}
