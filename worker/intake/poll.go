package intake

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker/env"
	"logoffworker/worker/gate"
	"logoffworker/worker/intake/ssf"
	"logoffworker/worker/issuers"
)

// SignalsPart is the part of a worker's health that tells of streams of Shared Signals.
const SignalsPart = "signals"

// A Poller looks after the streams of Shared Signals that the issuers file has, those that are pushed too, and polls
// those that are polled. Of several pollers of a deployment one does so for each issuer, by a lease in NATS; where its
// holder dies, another takes over within seconds. Fill the fields.
//
// A token is acknowledged once JetStream has acknowledged its job. One that is invalid is refused to the transmitter with
// its reason, and is stored with it, so that it gets a result and a dead letter, and is never read as a job. One whose key
// is not known yet is neither, and comes again.
type Poller struct {
	Issuers *issuers.Issuers
	Store   *Store
	Rules   jobs.Rules
	// JS reaches JetStream, in which there is the Bucket that pollers share ([PollBucket]). It is made where Create says so
	// and it is missing, with so many Replicas.
	JS       jetstream.JetStream
	Bucket   string
	Create   bool
	Replicas int
	Events   *metrics.Receiver
	Metrics  *metrics.Streams
	Health   *metrics.Health
	Log      *slog.Logger
	// DialContext reaches transmitters instead of the network, unless it is nil.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)

	once   sync.Once
	shared *bucket
	signs  signs
	named  atomic.Pointer[issuers.File] // whose names the metrics know
}

const (
	// fileLook is how often it is looked whether the issuers file has other streams.
	fileLook = 5 * time.Second
	// aliveLook is how often signs of life are looked at, and told to other pollers.
	aliveLook = 15 * time.Second
)

func (p *Poller) begin() {
	p.once.Do(func() {
		p.shared = &bucket{js: p.JS, name: p.Bucket, create: p.Create, replicas: p.Replicas}
		p.signs.heard = map[sign]time.Time{}
	})
}

// Provision finds the bucket that pollers share, or creates it where that is wanted.
func (p *Poller) Provision(ctx context.Context) error {
	p.begin()
	_, err := p.shared.open(ctx)
	return err
}

// Look finds the bucket that pollers share, reads from it, and tries whether it could be written, as a poller would. It
// creates and stores nothing: without a bucket the error is jetstream.ErrBucketNotFound, without the right to write an
// [ErrNotWritten].
func (p *Poller) Look(ctx context.Context) error {
	there := bucket{js: p.JS, name: p.Bucket}
	if _, err := there.get(ctx, lookKey); err != nil {
		return err
	}
	return there.mayPut(ctx)
}

// Alive says that a token of an issuer has come that was verified, by whichever way, and whether it says that the stream
// has changed. It returns at once.
func (p *Poller) Alive(issuer string, updated bool) {
	p.begin()
	p.signs.hear(sign{aliveSign, issuer})
	if updated {
		p.signs.hear(sign{updatedSign, issuer})
	}
}

// Run looks after the streams until ctx ends. What has begun is finished first, and leases are given back.
func (p *Poller) Run(ctx context.Context) {
	p.begin()
	var doing sync.WaitGroup
	defer doing.Wait()
	doing.Go(func() { p.tellSigns(ctx) })
	kept := map[string]*keeping{}
	for {
		p.keep(ctx, kept)
		if !gate.Pause(ctx, fileLook) {
			break
		}
	}
	for _, is := range kept {
		is.end()
	}
	for _, is := range kept {
		is.ended.Wait()
	}
}

// A keeping is a keeper at work.
type keeping struct {
	sum   env.Sum // of its stream
	end   context.CancelFunc
	ended sync.WaitGroup
	memory
}

// A memory is what of an issuer's stream stays known while it is begun anew, for the one keeper that there is at a time.
type memory struct {
	verify  time.Duration        // what the file says of verification events, and
	since   time.Time            // since when they are asked for, by this poller or by another
	askable bool                 // where they are asked for was known at that time
	waiting map[string]time.Time // tokens that wait for their key, and since when
}

// keep begins with the streams that the issuers file has now, and ends those that it has no longer, or has otherwise.
func (p *Poller) keep(ctx context.Context, kept map[string]*keeping) {
	file := p.Issuers.File()
	wanted := map[string]issuers.Issuer{}
	for _, issuer := range file.Issuers {
		if issuer.Stream != nil {
			wanted[issuer.Name] = issuer
		}
	}
	over := map[string]*keeping{}
	for name, is := range kept {
		if w, still := wanted[name]; !still || w.Stream.Sum != is.sum {
			is.end()
			over[name] = is
			delete(kept, name)
		}
	}
	for _, is := range over {
		is.ended.Wait()
	}
	if p.named.Swap(file) != file {
		p.Events.Issuers(plain(Names(file)))
	}
	for name, issuer := range wanted {
		if kept[name] == nil {
			kept[name] = p.start(ctx, issuer, urlOf(file, name), over[name])
		}
	}
}

func urlOf(file *issuers.File, name string) string {
	for _, issuer := range file.Policy.Issuers {
		if issuer.Name == name {
			return issuer.URL
		}
	}
	return ""
}

// start begins to look after a stream; before is how it was looked after until now, nil if it was not.
func (p *Poller) start(ctx context.Context, issuer issuers.Issuer, url string, before *keeping) *keeping {
	ctx, end := context.WithCancel(ctx)
	is := &keeping{sum: issuer.Stream.Sum, end: end, memory: memory{verify: issuer.Stream.Verify, since: time.Now(), waiting: map[string]time.Time{}}}
	if before != nil {
		is.waiting = before.waiting
		if before.verify == is.verify {
			is.since, is.askable = before.since, before.askable
		}
	}
	k := &keeper{p: p, name: issuer.Name, url: url, stream: issuer.Stream, pushBearer: issuer.PushBearer, again: make(chan struct{}, 1), memory: &is.memory}
	k.lease = lease{bucket: p.shared, key: "lease." + key(k.name), holder: rand.Text()}
	is.ended.Go(func() { k.run(ctx) })
	return is
}

// A keeper looks after one issuer's stream, while it holds the lease.
type keeper struct {
	p          *Poller
	name, url  string // the issuer's
	stream     *issuers.Stream
	pushBearer issuers.Secret
	client     *ssf.Client
	lease      lease
	again      chan struct{} // holds one: the stream is to be looked at now
	memory     *memory
	given      string // what the transmitter was last told to prove pushes with; manage's own

	mu    sync.Mutex
	known known
	told  notice // what another poller told last
}

// run takes the lease and looks after the stream, again and again, until ctx ends.
func (k *keeper) run(ctx context.Context) {
	defer k.wellAll()
	for {
		err := k.connect()
		k.tell(err != nil, metrics.Condition{
			Kind: "file", Grave: true, What: fmt.Sprintf("nothing of %s is polled or looked after: %v", k.name, err),
			ByItself: "it is tried again every few seconds", ToDo: "mend what the issuers file says of the stream",
		})
		if err == nil {
			break
		}
		if !gate.Pause(ctx, fileLook) {
			return
		}
	}
	defer k.client.CloseIdle()
	for k.acquire(ctx) {
		k.p.Log.Info("The stream of an issuer is looked after here.", "issuer", k.name)
		k.serve(ctx)
	}
}

// connect makes the client.
func (k *keeper) connect() error {
	s := k.stream
	var roots *x509.CertPool
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return err
		}
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s holds no certificate", s.CAFile)
		}
	}
	client, err := ssf.New(ssf.Config{
		Issuer: k.url, Bearer: s.Bearer, TokenURL: s.TokenURL, ClientID: s.ClientID, ClientSecret: s.ClientSecret, Scopes: s.Scopes,
		RootCAs: roots, DialContext: k.p.DialContext,
	})
	k.client = client
	return err
}

// acquire waits for the lease; false when ctx has ended. Meanwhile the stream is known here, too, and nothing of it is
// changed.
func (k *keeper) acquire(ctx context.Context) bool {
	following, stop := context.WithCancel(ctx)
	var doing sync.WaitGroup
	defer doing.Wait()
	defer stop()
	for first := true; ctx.Err() == nil; first = false {
		held, err := k.lease.try(ctx)
		k.tellLease(ctx, err)
		if err == nil {
			k.recall(ctx)
		} else {
			k.mu.Lock()
			k.memory.since = time.Now() // nobody may ask for verification events
			k.mu.Unlock()
		}
		if held {
			return true
		}
		if first {
			doing.Go(func() { k.follow(following) })
		}
		k.tellUnknown()
		if !gate.Pause(ctx, leaseRenew) {
			break
		}
	}
	return false
}

// serve does all that there is to do, until ctx ends or the lease is lost.
func (k *keeper) serve(ctx context.Context) {
	held, lost := context.WithCancel(ctx)
	var renewing, doing sync.WaitGroup
	ended, end := context.WithCancel(context.WithoutCancel(ctx))
	renewing.Go(func() { k.renew(ended, lost) })
	doing.Go(func() { k.manage(held) })
	doing.Go(func() { k.watch(held) })
	if k.stream.Delivery != "push" {
		doing.Go(func() { k.poll(held) })
	}
	doing.Wait()
	end()
	renewing.Wait()
	lost()
	k.wellAll()
	k.p.Metrics.Left(k.name)
	k.lease.release(ctx)
}

// renew keeps the lease until ctx ends, and says when it is lost.
func (k *keeper) renew(ctx context.Context, lost func()) {
	for latest := time.Now(); gate.Pause(ctx, leaseRenew); {
		held, err := k.lease.try(ctx)
		k.tellLease(ctx, err)
		switch {
		case held:
			latest = time.Now()
		case err == nil, time.Since(latest) > leaseTime:
			if ctx.Err() == nil {
				k.p.Log.Info("The stream of an issuer is looked after by another.", "issuer", k.name)
				lost()
			}
			return
		}
	}
}

// tell sets a condition of this issuer.
func (k *keeper) tell(on bool, c metrics.Condition) {
	c.Part, c.Kind = SignalsPart, c.Kind+" "+k.name
	k.p.Health.Set(on, c)
}

// tellLease tells that nobody may look after the stream.
func (k *keeper) tellLease(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	k.tell(err != nil, metrics.Condition{
		Kind: "lease", Implied: !k.p.Store.NATS.IsConnected(), // that is told as it is
		What:     fmt.Sprintf("whose turn it is to look after the stream of %s cannot be agreed on in NATS: %v", k.name, err),
		ByItself: "it is tried again every few seconds", ToDo: "make the bucket, and see that this NATS user has its rights", Command: "logoff-worker init",
	})
}

// kinds are those of the conditions of a stream that its holder tells of.
var kinds = []string{"file", "lease", "unmanaged", "unknown", "undelivered", "subjects", "status", "silent", "unreachable", "unstored"}

// wellAll ends all conditions of this issuer: whoever holds the lease next tells of them.
func (k *keeper) wellAll() {
	for _, kind := range kinds {
		k.p.Health.End(SignalsPart, kind+" "+k.name)
	}
}
