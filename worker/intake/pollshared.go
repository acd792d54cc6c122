package intake

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/metrics"
)

// maxNotice is the most bytes of a notice, whose larger part is the transmitter's name for a stream.
const maxNotice = 4 << 10

// A notice is what pollers tell each other of a stream. Whoever may write it must not choose what is asked, and with
// which credentials, nor what is believed: so it says which of our streams it is, and, by another sum, that something is
// new about it. What that is, each poller asks the transmitter itself.
type notice struct {
	ID  string `json:"id,omitzero"`
	Sum string `json:"sum"` // of what was learnt
}

// notice is what others are told of what is known.
func (n known) notice() notice {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", []string{fmt.Sprintf("%q", n.learned.Audience), n.learned.KeysURL, n.PollURL, n.Verification}))
	return notice{n.ID, fmt.Sprintf("%x", sum[:8])}
}

func (k *keeper) noticeKey() string { return "stream." + key(k.name) }

// share tells the other pollers what stream is looked after here, and whether something is new about it.
func (k *keeper) share(ctx context.Context) error {
	text, err := json.Marshal(k.stands().notice())
	if err == nil && len(text) > maxNotice {
		err = fmt.Errorf("the transmitter's name for the stream is too long: %d bytes", len(text))
	}
	if err == nil {
		err = k.p.shared.put(ctx, k.noticeKey(), text)
	}
	k.p.tellShared(ctx, k.name, err)
	return err
}

// recall hears what another poller tells, and has the stream looked at where something is new.
func (k *keeper) recall(ctx context.Context) {
	if k.stream.Unmanaged {
		return
	}
	entry, err := k.p.shared.get(ctx, k.noticeKey())
	if err != nil || entry == nil {
		k.p.tellShared(ctx, k.name, err)
		return
	}
	told, err := readNotice(entry)
	if err != nil {
		k.p.tellShared(ctx, k.name, err)
		return
	}
	k.mu.Lock()
	before := k.told
	k.told = told
	k.mu.Unlock()
	if told != before {
		k.lookAgain()
	}
}

func readNotice(entry jetstream.KeyValueEntry) (told notice, err error) {
	if len(entry.Value()) > maxNotice {
		return told, fmt.Errorf("%s has more than %d bytes", entry.Key(), maxNotice)
	}
	if json.Unmarshal(entry.Value(), &told) != nil {
		return notice{}, fmt.Errorf("%s is not what pollers write there", entry.Key())
	}
	return told, nil
}

// readSign is when an issuer was heard of, as another poller tells it.
func readSign(entry jetstream.KeyValueEntry) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, string(entry.Value()[:min(len(entry.Value()), len(time.RFC3339))]))
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("%s is not the time that pollers write there", entry.Key())
	case at.After(time.Now().Add(clocks)):
		return time.Time{}, errors.New("the time at " + entry.Key() + " is yet to come; the clocks of the machines differ, or somebody else writes there")
	}
	return at, nil
}

// tellShared tells what pollers could not tell each other. It ends by itself.
func (p *Poller) tellShared(ctx context.Context, issuer string, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	p.Health.Begin(metrics.Condition{
		Part: SignalsPart, Kind: "shared " + issuer, Harmless: true, Quiet: 2 * manageLeast, Implied: !p.Store.NATS.IsConnected(), // that is told as it is
		What:     fmt.Sprintf("what pollers tell each other of %s cannot be read or written: %v", issuer, err),
		ByItself: "each of them asks the transmitter every hour all the same; until that is mended they may learn late of a change, and know of no sign of life that came to another",
		ToDo:     "see that the bucket " + p.Bucket + " is well, that this NATS user has its rights, and that nobody else writes there", Command: metrics.CheckCommand,
	})
}
