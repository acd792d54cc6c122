// Package simulator is a Commvault Web Server to test against: faithful where the real one is known,
// slightly hostile where it is not. It is a reading of the API of its own and shares no type with
// any client, so that a misreading shows.
//
// What it simulates: the three base paths; login, renewal and logout of QSDK tokens with idle
// time-out and lock-out; access tokens with rotation, the death of the chain on reuse, and renewals
// that are refused, mangled, slow or lost; WhoAmI; the session list with its history and its cap;
// users by ID, name and filter, in the old calls and in V4; DELETE /Sessions in XML and JSON, with
// effects that show late, console windows that stay on and proxies that drop the document; the right
// to manage other people; companies whose users nobody else sees; proxies that answer with old lists; clocks
// that differ; rate limits and hourly quotas; IIS headers, carriage returns in JSON,
// answers in XML or JSON by Accept. [Settings] switches what the sources leave open or have seen
// fail, a [Fault] replaces the answer to one request, a [Comeback] signs someone on in the middle of
// the work, and a journal keeps every request with its exact bytes.
//
// What it does not: changing users over the API, listing and revoking access tokens over the API, the
// age of the cached view of users, two-factor and SAML logins, TLS.
//
// Sources: Commvault's pages "REST API - DELETE Sessions", "GET Session Details", "POST Login", "GET
// User", "GET User Properties" and "Access Tokens for REST APIs"; saved answers of real servers in public Postman collections (v11
// SP8 to SP11); and the code of public clients, cvpysdk first. Whatever is a guess says so.
//
// Time is read and waited for with package time alone, so all of it runs in a testing/synctest
// bubble; [Server.Pipe] is the network for that.
package simulator

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// A Server is one simulated Web Server with everything it knows. It is safe for concurrent use.
type Server struct {
	seed uint64
	gate gate
	made time.Time

	mu       sync.Mutex
	settings Settings
	random   *rand.Rand
	users    map[int]*user
	logins   map[string]*user // by login name, lower case
	sessions sessionTable
	tokens   map[string]*token
	chains   []*chain          // in the order in which they were made
	chainOf  map[string]*chain // by each access and refresh token there ever was
	events   []event           // to come, in the order of time
	journal  journal
	faults   faultQueue
	limiter  limiter
	cache    map[string]cachedList
	refusals int // 401 answers so far, for the rotation of their bodies
	cuts     int // answers cut off so far, for the rotation of the ways to cut
}

// New makes a Server without any user. The seed decides IDs, tokens and the faults of
// [Server.FailAtRate]. It panics if the settings are not valid.
func New(settings Settings, seed uint64) *Server {
	s := &Server{
		seed:    seed,
		made:    time.Now(),
		cache:   map[string]cachedList{},
		random:  rand.New(rand.NewPCG(seed, 0x5EED)),
		users:   map[int]*user{},
		logins:  map[string]*user{},
		tokens:  map[string]*token{},
		chainOf: map[string]*chain{},
	}
	s.sessions.byID = map[string]*session{}
	if err := s.set(settings); err != nil {
		panic("simulator: " + err.Error())
	}
	return s
}

// Seed is what [New] was given.
func (s *Server) Seed() uint64 { return s.seed }

// String names the Server and its seed.
func (s *Server) String() string { return fmt.Sprintf("simulated Web Server, seed %d", s.seed) }

// Configure changes the settings between two requests. It panics if the outcome is not valid.
func (s *Server) Configure(change func(*Settings)) {
	if err := s.configure(func(settings *Settings) error { change(settings); return nil }); err != nil {
		panic("simulator: " + err.Error())
	}
}

func (s *Server) configure(change func(*Settings) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	settings := s.settings.clone()
	if err := change(&settings); err != nil {
		return err
	}
	return s.set(settings)
}

func (s *Server) set(settings Settings) error {
	if err := settings.complete(); err != nil {
		return err
	}
	s.settings = settings
	s.journal.limit = settings.JournalLimit
	s.gate.widen(settings.Concurrency)
	return nil
}

// ServeHTTP answers one request to the Web Server: what stands in front of it first, then its own
// queue and latency, then a queued fault if there is one, then the API. It is a panic with
// [http.ErrAbortHandler] when the request ends before the answer, so that nothing is answered.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := s.arrive(w, r)
	if a, stopped := s.front(x); stopped {
		s.failed(x, "front")
		x.wait(x.settings.LatencyFixed)
		x.write(a)
		return
	}
	if !s.gate.enter(r.Context()) {
		panic(http.ErrAbortHandler)
	}
	defer s.gate.leave()
	x.wait(x.settings.LatencyFixed + time.Duration(len(x.entry.Sessions))*x.settings.LatencyPerSession + s.tail(x.settings))

	fault, failing := s.nextFault(x.entry.Op, len(x.entry.Sessions))
	if failing {
		s.failed(x, fault.String())
	}
	switch {
	case failing && !fault.applied:
		fault.inflict(x)
	case failing:
		s.process(x)
		fault.inflict(x)
	default:
		s.answer(x)
	}
}

// tail is what a request takes longer than usual, by chance.
func (s *Server) tail(settings Settings) time.Duration {
	if settings.LatencyTailRate == 0 {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.random.Float64() < settings.LatencyTailRate {
		return settings.LatencyTail
	}
	return 0
}

// failed notes the fault that takes the place of an answer.
func (s *Server) failed(x *exchange, fault string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x.entry.Fault = fault
}

// answer processes a request and says what came of it, or fails in the way that is set for requests
// that took effect.
func (s *Server) answer(x *exchange) {
	a := s.process(x)
	switch {
	case x.route.op == opLogoff && a.success && x.settings.AfterEffect != AfterEffectAnswer:
		x.settings.AfterEffect.fault().inflict(x)
	case x.route.op == opRefresh:
		x.sendRenewal(a)
	default:
		s.keep(x, a)
		x.write(a)
	}
}

// process does what a request asks for. It holds the lock, so that nothing else happens meanwhile.
func (s *Server) process(x *exchange) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catchUp(time.Now())
	if x.route.handle == nil {
		return x.noRoute
	}
	if x.switchedOff() {
		return noEndpoint()
	}
	return x.route.handle(s, x)
}

// wait lets d pass. When the request ends first, so does the handler.
func (x *exchange) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-x.request.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// A gate lets a number of requests in at once, in the order in which they came.
type gate struct {
	mu      sync.Mutex
	limit   int
	inside  int
	waiting []chan struct{}
}

// enter waits for a place; false if ctx ended first.
func (g *gate) enter(ctx context.Context) bool {
	g.mu.Lock()
	if g.limit == 0 || g.inside < g.limit {
		g.inside++
		g.mu.Unlock()
		return true
	}
	place := make(chan struct{})
	g.waiting = append(g.waiting, place)
	g.mu.Unlock()
	select {
	case <-place:
		return true
	case <-ctx.Done():
		g.giveUp(place)
		return false
	}
}

// giveUp takes a request out of the queue, or hands on the place that it got too late.
func (g *gate) giveUp(place chan struct{}) {
	g.mu.Lock()
	for i, waiting := range g.waiting {
		if waiting == place {
			g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
			g.mu.Unlock()
			return
		}
	}
	g.mu.Unlock()
	g.leave()
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.admit()
}

// widen sets the limit anew; 0 is none.
func (g *gate) widen(limit int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit = limit
	g.admit()
}

func (g *gate) admit() {
	for len(g.waiting) > 0 && (g.limit == 0 || g.inside < g.limit) {
		close(g.waiting[0])
		g.waiting = g.waiting[1:]
		g.inside++
	}
}
