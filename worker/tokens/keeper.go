// Package tokens keeps an access token and its refresh token for a fleet of workers.
//
// The Web Server renews them as a pair: both values change, and whoever presents an old pair again
// ends the whole chain, whereupon a person has to make a new one. So the pair lives in one key of a
// NATS bucket, encrypted, and a [Keeper] in each replica watches over it. One replica renews: it
// stores under compare-and-set that it is going to, presents the pair once, and stores the new pair
// before anybody uses it.
//
// It guarantees that
//   - no pair is presented again of which somebody else, or a replica that died, may have got the
//     successor: a renewal whose outcome nobody knows is an alarm for a person, and never repeated;
//   - a pair is presented only right after a harmless call showed that the Web Server is well, so that
//     an outage leaves no renewal without an answer;
//   - no token is stored, logged or shown in clear.
//
// It looks into the bucket every 15 seconds, and at once when a token is refused, rather than to watch
// it: the client asks for a token only after a refusal, and a look cannot fall silent as a watch does
// whose bucket was deleted.
//
// What NATS loses, the replicas remember: the latest record that any of them has seen is stored again, and
// for 30 seconds nothing is presented, so that whoever remembers a later one comes first. A pair that no
// replica which still runs has seen (it is up to 15 seconds old, or all are down) is lost with the bucket.
//
// A worker's client gets the access token as its Config.Token, and does not know where it comes from. A token
// that is given in the settings, or that a login makes, is the client's own business. Making and revoking access
// tokens is left to the Web Server's people.
package tokens

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	randv2 "math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/metrics"
	"logoffworker/worker/webserver"
)

// Part is the part of a worker's health that a [Keeper] speaks for.
const Part = "token"

// Config is what a [Keeper] needs.
type Config struct {
	// Name is this worker's name.
	Name string
	// Bucket is the NATS bucket that the fleet shares. Create makes it when it is missing, with so many
	// Replicas.
	Bucket   string
	Create   bool
	Replicas int
	// Key encrypts what is stored; the fleet shares it.
	Key Key
	// PairFile is where an operator puts a pair, see [ReadPair]. It begins the chain of renewals. One
	// that was never seen before takes the place of the stored pair, also while the worker runs.
	PairFile string

	NATS *nats.Conn
	// API is the prefix of JetStream's API; empty means the JetStream of the server that is reached.
	API string
	// WebServer says where the Web Server is. Its credentials are not used.
	WebServer webserver.Config

	Metrics *metrics.Token
	Health  *metrics.Health // with Part among its parts
	Log     *slog.Logger
	// Reached, if set, is told of each [Point], and may never return.
	Reached func(Point)
}

// A Keeper keeps the pair at one worker.
type Keeper struct {
	c        Config
	instance string // tells this process from the one before it
	store    store
	first    chan struct{} // closed when there is an access token

	mu      sync.Mutex
	access  string        // to be used; empty until there is one
	given   string        // what Token last returned
	refused string        // what the Web Server last refused,
	since   time.Time     // when
	kicks   int           // how often Token wanted a newer one
	served  int           // the kicks that a whole round has been made for
	hope    bool          // a renewal is under way somewhere
	changed chan struct{} // closed at every change
	kicked  chan struct{}

	// All below belongs to Run.
	known      bool   // record is what is stored, or was
	record     record // empty until known
	revision   uint64
	born       time.Time // when the bucket was made that record is from
	jitter     float64
	resting    time.Time // no renewal by this replica before
	failures   int       // in a row, of calls before a renewal
	trouble    error     // why the last renewal here did not come about
	watched    string    // the intent of somebody else that is waited for
	watchedFor time.Time // since
	oldFile    bool      // the pair file is known to hold an earlier pair
	warned     time.Time // of the end of renewing
}

// New returns a Keeper, or what is wrong with c. It starts nothing.
func New(c Config) (*Keeper, error) {
	if !LegalBucket(c.Bucket) {
		return nil, fmt.Errorf("the bucket's name %q holds other characters than letters, digits, - and _", c.Bucket)
	}
	js, err := jetstream.NewWithAPIPrefix(c.NATS, cmp.Or(c.API, jetstream.DefaultAPIPrefix), jetstream.WithDefaultTimeout(storeTimeout))
	if err != nil {
		return nil, fmt.Errorf("use JetStream: %w", err)
	}
	k := &Keeper{
		c: c, instance: rand.Text(), first: make(chan struct{}), changed: make(chan struct{}), kicked: make(chan struct{}, 1),
		store: store{Bucket: Bucket{JS: js, Name: c.Bucket, Create: c.Create, Replicas: c.Replicas}, key: c.Key},
	}
	client, err := k.client("x")
	if err != nil {
		return nil, err
	}
	client.CloseIdle()
	return k, nil
}

// client returns a client for one renewal. It has a token of its own, since the worker's client may
// itself be waiting for ours.
func (k *Keeper) client(access string) (*webserver.Client, error) {
	c := k.c.WebServer
	c.Username, c.Password = "", nil
	c.Token = func() (string, error) { return "Bearer " + access, nil }
	return webserver.New(c)
}

// First is closed when there is an access token.
func (k *Keeper) First() <-chan struct{} { return k.first }

const (
	// lookInterval is how often the bucket and the pair file are looked at.
	lookInterval = 15 * time.Second
	// retryInterval is that after a failure, waitInterval that while somebody else renews.
	retryInterval = 2 * time.Second
	waitInterval  = 500 * time.Millisecond
)

// Run keeps the pair until ctx ends. A renewal that has begun by then is finished first. Whatever
// goes wrong is said in health and log, and tried again.
func (k *Keeper) Run(ctx context.Context) {
	for ctx.Err() == nil {
		kicks := k.wanted()
		err := k.look(ctx)
		if due, may := k.due(); err == nil && may && time.Until(due) <= 0 {
			k.renew(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		k.tell(err)
		k.roundEnded(kicks)
		k.rest(ctx, err)
	}
}

// rest waits for the next round.
func (k *Keeper) rest(ctx context.Context, err error) {
	wait := lookInterval
	switch {
	case err != nil:
		wait = retryInterval
	case k.record.State == renewing:
		wait = waitInterval
	default:
		if due, may := k.due(); may {
			wait = min(wait, max(time.Until(due), waitInterval))
		}
	}
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	case <-k.kicked:
	}
}

// due is when this replica is to renew the pair, if it may.
func (k *Keeper) due() (at time.Time, may bool) {
	r := k.record
	if r.State != good {
		return at, false
	}
	if !k.isRefused(r.Pair.Access) || !r.mayRenewEarly(time.Now()) {
		at = r.due(k.jitter)
	}
	return latest(at, r.NotBefore, r.Remade.Add(restAfterLoss), k.resting), true
}

// refusedAgain is how long a new access token that is refused does not cause a renewal: a Web Server
// that refuses whatever it hands out would have the pair renewed without end.
const refusedAgain = 5 * time.Minute

// mayRenewEarly reports whether a refused access token is reason enough to renew now. By whatever clock
// it was issued, one of the future counts as old.
func (r record) mayRenewEarly(now time.Time) bool {
	age := now.Sub(r.Issued)
	return r.Renewals == 0 || age < 0 || age >= refusedAgain
}

func latest(times ...time.Time) (last time.Time) {
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// adopt takes what is stored into use.
func (k *Keeper) adopt(r record, revision uint64) {
	if r.Pair.Access != k.record.Pair.Access {
		k.jitter = randv2.Float64()
		k.failures, k.resting, k.trouble = 0, time.Time{}, nil
	}
	k.known, k.record, k.revision = true, r, revision
	k.use(r.Pair.Access)
	k.c.Metrics.Pair(string(r.State), r.Pair.Expires, r.Pair.RenewableUntil)
}
