package gate

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// ErrAlone is the error of a Count that has nobody to count with: the budgets are then those of this worker alone.
var ErrAlone = errors.New("each worker counts for itself")

const (
	// askAgain is how long, about, to wait until it is asked again whether the fleet's budget has room, and uncounted
	// how long after it could not be asked.
	askAgain  = 5 * time.Second
	uncounted = time.Second
	// brief is how long counting may come to nothing before somebody is told, as while a leader is elected.
	brief = 5 * time.Second
	// countTime is how long it may take to count a request.
	countTime = 8 * time.Second
)

// A fleet counts the requests of all workers, of one kind. Whoever wants to make one asks first whether there is room,
// because a right that was taken in vain is not given back, and then takes the right. Workers ask at times that they
// do not share, so that what comes free is seldom taken by two at once.
type fleet struct {
	kind   Kind
	limit  int64
	count  func(context.Context, Kind, int64) (int64, error)
	others func(Kind) int64
	failed func(Kind, error)

	turn  chan struct{} // holds one while somebody counts
	told  int64         // of the others' requests, how many are counted
	full  int64         // how many requests there were when there was last seen to be no room,
	until time.Time     // which is believed until then

	mu     sync.Mutex
	broken time.Time // since when every try to count comes to nothing; zero while they do not
	said   bool      // that they do
}

func newFleet(c Config, kind Kind, limit int) *fleet {
	return &fleet{
		kind: kind, limit: int64(limit), count: c.Count, others: c.Others, failed: c.Uncounted,
		turn: make(chan struct{}, 1),
	}
}

// take takes the right to one request while the fleet makes at most so many, or says how long to wait until it is
// worth another try.
func (f *fleet) take(ctx context.Context, most int64) (wait time.Duration) {
	if f.limit == 0 || f.count == nil {
		return 0
	}
	inTime, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	if !f.begin(inTime) {
		return uncounted
	}
	defer f.end()
	wait, err := f.reserve(inTime, most)
	switch {
	case ctx.Err() != nil: // whoever asked has gone, which says nothing of the counting
		return uncounted
	case f.fails(err):
		return uncounted
	}
	return wait
}

// begin waits until nobody else of this worker counts, and reports whether it could before ctx ended.
func (f *fleet) begin(ctx context.Context) bool {
	select {
	case f.turn <- struct{}{}:
		return true
	default:
	}
	select {
	case f.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (f *fleet) end() { <-f.turn }

// reserve does what take says, while nobody else of this worker does.
func (f *fleet) reserve(ctx context.Context, most int64) (wait time.Duration, err error) {
	if err := f.countOthers(ctx); err != nil {
		return 0, err
	}
	if wait := time.Until(f.until); wait > 0 && f.full >= most {
		return wait, nil
	}
	for _, n := range []int64{0, 1} {
		within, err := f.count(ctx, f.kind, n)
		if err != nil {
			return 0, err
		}
		if within-n >= most {
			return f.isFull(within), nil
		}
	}
	return 0, nil
}

// isFull notes that there was no room, and says when to ask again.
func (f *fleet) isFull(within int64) (wait time.Duration) {
	wait = askAgain/2 + rand.N(askAgain)
	f.full, f.until = within, time.Now().Add(wait)
	return wait
}

// countOthers counts what others have asked since it last did.
func (f *fleet) countOthers(ctx context.Context) error {
	if f.others == nil {
		return nil
	}
	all := f.others(f.kind)
	if all == f.told {
		return nil
	}
	if _, err := f.count(ctx, f.kind, all-f.told); err != nil {
		return err
	}
	f.told = all
	return nil
}

// made is how many requests the fleet has made within the hour.
func (f *fleet) made(ctx context.Context) (within int64, err error) {
	if f.count == nil {
		return 0, ErrAlone
	}
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	if !f.begin(ctx) {
		return 0, ctx.Err()
	}
	defer f.end()
	if err := f.countOthers(ctx); err != nil {
		return 0, err
	}
	return f.count(ctx, f.kind, 0)
}

// fails reports whether a try to count came to nothing, and tells when all of them have for a while, and when they do
// no more.
func (f *fleet) fails(err error) bool {
	if errors.Is(err, ErrAlone) {
		err = nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil:
		f.broken = time.Time{}
	case f.broken.IsZero():
		f.broken = time.Now()
	}
	say := err != nil && time.Since(f.broken) >= brief
	if (say || f.said && err == nil) && f.failed != nil {
		f.failed(f.kind, err)
	}
	f.said = say
	return err != nil
}
