package worker_test

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/broker"
	"logoffworker/worker/guard"
	"logoffworker/worker/history"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// defaultSeeds is how many simulations a test run has: each way in which the Web Server answers to ended sessions, and
// each in which it treats the others in their document, though not each with each. make simulate has many more.
const defaultSeeds = 3

var (
	seeds   = flag.Int("seeds", defaultSeeds, "simulations to run")
	oneSeed = flag.Uint64("seed", 0, "repeat the simulation of this seed alone")
)

// TestSimulation lets whole deployments live through hours of faults in fake time, one seed each, and
// has the history judged. A seed repeats plan and clock, not the order in which goroutines run: what it
// finds is real, and may need a few tries to show again.
//
// Nine seeds in a row have every answer to sessions that had ended before, with everything that becomes
// of the others in their document, unless all tests are run with one. Every other seed has a stream of results that
// does not see to it by itself that a job has only one.
//
// Clocks cannot be stepped in fake time; a broker that restarts, a lease that runs out while nobody
// looks and a window of duplicates that passes are the parts of that which can be had.
func TestSimulation(t *testing.T) {
	bubble.SkipsUnderRace(t)
	if inner, ok := strings.CutPrefix(bubble.Inside(), "TestSimulation/s"); ok {
		if _, err := fmt.Sscan(inner, oneSeed); err != nil {
			t.Fatal(err)
		}
	}
	first, last := uint64(1), uint64(*seeds)
	if *oneSeed != 0 {
		first, last = *oneSeed, *oneSeed
	}
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprintf("s%d", seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T) { simulate(t, seed) })
		})
	}
}

// A simulation is one deployment with its workers, and the record of it.
type simulation struct {
	*site
	t      *testing.T
	seed   uint64
	random *rand.Rand
	begin  time.Time
	poison []string

	actors    []*actor
	lives     int
	number    int
	sessions  []string // signed on, not yet named by a job
	recent    []string // named by jobs before
	published []history.Published
	held      []int // places in published of jobs that nobody has approved yet
	faults    []history.Fault
	counters  []history.Counters

	mu   sync.Mutex
	acks []history.Ack
}

// An actor is one worker in one process; crash is where it is to die.
type actor struct {
	name string
	r    *running
	line *lifeline

	mu    sync.Mutex
	crash worker.Point
	died  bool
}

func simulate(t *testing.T, seed uint64) {
	s := &simulation{t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 7)), begin: time.Now()}
	bad := map[string]int{}
	for i := range 40 {
		id := fmt.Sprintf("%08X-BAD0-4000-8000-%012X", i, seed)
		s.poison = append(s.poison, id)
		bad[id] = []int{400, 500}[i%2]
	}
	ended, partial := ofRun()
	s.site = newSite(t, simulator.Settings{
		Ended:        cmp.Or(ended, []simulator.Ended{simulator.EndedError, simulator.EndedIgnore, simulator.Ended500}[seed%3]),
		Partial:      cmp.Or(partial, []simulator.Partial{simulator.PartialStop, simulator.PartialAtomic, simulator.PartialApply}[(seed+(seed-1)/3)%3]),
		BadIDs:       bad,
		LatencyFixed: time.Duration(10+s.random.IntN(300)) * time.Millisecond, JournalLimit: 1_000_000,
	})
	if seed%2 == 0 {
		s.changeResults(ofAnEarlierRelease)
	}
	s.connected()
	for range 3 {
		s.hire()
	}
	all := s.everyFault()
	s.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, f := range all {
		s.live(time.Duration(s.random.IntN(100)) * time.Second)
		fault := history.Fault{Name: f.name, From: time.Now(), Effect: 1}
		f.inject()
		if fault.To = time.Now(); f.name != lanePaused { // which is no fault: acts tell of it
			s.faults = append(s.faults, fault)
		}
	}
	s.judge()
}

// connected sees to it that every acknowledgement is reported to us, also by a broker that was started
// anew and by consumers that were made anew.
func (s *simulation) connected() {
	_, err := s.nc.Subscribe("$JS.EVENT.METRIC.CONSUMER.ACK.>", func(msg *nats.Msg) {
		var sample struct {
			Time     time.Time `json:"timestamp"`
			Consumer jobs.Lane `json:"consumer"`
			Sequence uint64    `json:"stream_seq"`
		}
		if json.Unmarshal(msg.Data, &sample) == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.acks = append(s.acks, history.Ack{Deployment: "logoff", Lane: sample.Consumer, Sequence: sample.Sequence, Time: sample.Time})
		}
	})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, lane := range jobs.Lanes {
		consumer, err := s.js.Consumer(s.t.Context(), s.subjects.RequestStream(), string(lane))
		if err != nil {
			continue // deleted, and not yet made anew
		}
		config := consumer.CachedInfo().Config
		config.SampleFrequency = "100"
		if _, err := s.js.UpdateConsumer(s.t.Context(), s.subjects.RequestStream(), config); err != nil {
			s.t.Fatal(err)
		}
	}
}

// hire starts a worker.
func (s *simulation) hire() *actor {
	s.lives++
	a := &actor{name: fmt.Sprintf("w%d", s.lives)}
	a.line = &lifeline{toNATS: s.dialNATS, toWeb: s.dial}
	a.r = s.start(options{
		connect: []nats.Option{nats.InProcessServer(a.line)},
		reached: a.reached,
		config: func(c *worker.Config) {
			c.Name = a.name
			c.BatchMaxSessions = 20 + s.random.IntN(80)
			c.HoldAboveJob = mostUnheld
		},
		client: func(c *webserver.Config) {
			c.DialContext = a.line.dial
			c.Timeout = 60 * time.Second
			c.MaxRetryAfter = time.Minute
			observe := c.Observe
			c.Observe = func(call webserver.Call) {
				observe(call)
				if call.Op == "login" || call.Op == "renew" {
					a.reached(worker.MidLogin)
				}
			}
		},
	})
	s.actors = append(s.actors, a)
	return a
}

// dialNATS connects to the broker that there is now.
func (s *simulation) dialNATS() (net.Conn, error) {
	s.mu.Lock()
	b := s.broker
	s.mu.Unlock()
	return b.Dial()
}

// reached lets the worker die where it is to.
func (a *actor) reached(p worker.Point) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.crash == p && !a.died {
		a.died = true
		a.line.cut()
	}
}

func (a *actor) dead() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.died
}

func (a *actor) arm(p worker.Point) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.crash = p
}

// kill ends a worker as kill -9 would.
func (a *actor) kill() {
	a.mu.Lock()
	a.died = true
	a.line.cut()
	a.mu.Unlock()
}

// bury waits for what is left of a worker that died: it can do nothing any more.
func (s *simulation) bury(a *actor) {
	a.r.stop()
	for i, other := range s.actors {
		if other == a {
			s.actors = append(s.actors[:i], s.actors[i+1:]...)
			return
		}
	}
}

func (s *simulation) anyone() *actor { return s.actors[s.random.IntN(len(s.actors))] }

// live lets time pass while jobs are published.
func (s *simulation) live(d time.Duration) {
	const parts = 4
	for range parts {
		for range s.random.IntN(6) {
			s.publishOne()
		}
		s.approveHeld()
		passes(s.t, d/parts+time.Second)
	}
}

// publishOne publishes one job of the mixture.
func (s *simulation) publishOne() {
	switch kind := s.random.IntN(100); {
	case kind < 4:
		s.publishBytes([]string{"", "{", `{"sessions":["x"]}`, "\xff", `{"sessions":[]}`}[s.random.IntN(5)])
	case kind < 12:
		s.publishJob(append(s.fresh(s.random.IntN(3)), s.poison[s.random.IntN(len(s.poison))]), 0)
	case kind < 20:
		s.publishJob(s.fresh(1), time.Duration(1+s.random.IntN(600))*time.Second)
	case kind < 30 && len(s.recent) > 0:
		s.publishJob([]string{s.recent[s.random.IntN(len(s.recent))]}, 0)
	case kind < 33:
		s.publishJob(s.fresh(300), 0)
	case kind < 39:
		s.publishPerson(kind < 36)
	case kind < 41:
		s.publishHeld(s.fresh(mostUnheld + 1 + s.random.IntN(20)))
	case kind < 44:
		s.publishOdd(s.fresh(1 + s.random.IntN(4)))
	default:
		s.publishJob(s.fresh(1+s.random.IntN(20)), 0)
	}
}

// mostUnheld is what one job may name without approval.
const mostUnheld = 320

// publishHeld publishes a job that names more than one may.
func (s *simulation) publishHeld(ids []string) {
	data := []byte(jobOf(ids...))
	s.publishMessage(history.Published{Sessions: ids, Held: true, Payload: data}, data)
	s.held = append(s.held, len(s.published)-1)
}

// approveHeld approves, rightly or wrongly, those jobs that are known to be held; some later, some never.
func (s *simulation) approveHeld() {
	for i, at := range s.held {
		held := s.published[at]
		if s.random.IntN(3) > 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
		defer cancel()
		results, err := s.js.Stream(ctx, s.subjects.ResultStream())
		if err != nil {
			return
		}
		msg, err := results.GetLastMsgForSubject(ctx, s.subjects.Result(held.JobID, "*"))
		if err != nil {
			continue // it waits
		}
		s.held = append(s.held[:i:i], s.held[i+1:]...)
		s.publishApproved(held, msg.Subject, s.random.IntN(4) == 0)
		return
	}
}

// publishApproved publishes a job that was held as somebody who approves it does, or something else in its place.
func (s *simulation) publishApproved(held history.Published, result string, wrong bool) {
	p := history.Published{Deployment: "logoff", JobID: held.JobID, Lane: held.Lane, Sessions: held.Sessions, Approves: result, Sent: time.Now(), State: history.StateUnknown}
	data := held.Payload
	if wrong {
		data = []byte(jobOf(held.Sessions[1:]...))
		p.Sessions, p.Malformed, p.Payload = nil, true, data
	}
	_, key, _ := s.subjects.ResultOf(result)
	p.Subject = s.subjects.Approved(held.Lane, "jane")
	msg := &nats.Msg{Subject: p.Subject, Data: data, Header: nats.Header{guard.Header: {result}, nats.MsgIdHdr: {"approved-" + key}}}
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
	defer cancel()
	act, err := jobs.Act{Verb: jobs.ActApprove, Who: "jane", At: p.Sent, Jobs: []string{key}}.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.js.Publish(ctx, s.subjects.Act(jobs.ActApprove, "jane"), act); err != nil {
		return // what cannot be written down is not done
	}
	if ack, err := s.js.PublishMsg(ctx, msg); err == nil {
		p.State, p.Sequence, p.Confirmed = history.StateStored, ack.Sequence, time.Now()
	}
	s.published = append(s.published, p)
}

// publishOdd publishes a job that names sessions in a way of its own, and beside them what is no session.
func (s *simulation) publishOdd(ids []string) {
	for i, id := range ids {
		ids[i] = []string{id + " ", "{" + id + "}", "\n" + id}[i%3]
	}
	wrong := fmt.Sprintf("wrong-%d", s.number)
	ids = append(ids, wrong)
	data, err := json.Marshal(map[string]any{"sessions": ids, "labels": map[string]int{"case": s.number}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.publishMessage(history.Published{Sessions: ids, Wrong: []string{wrong}}, data)
}

func (s *simulation) fresh(n int) []string {
	if len(s.sessions) < n {
		s.sessions = append(s.sessions, s.sim.SignOnMany(7, 1000)...)
	}
	ids := s.sessions[:n:n]
	s.sessions = s.sessions[n:]
	return ids
}

func (s *simulation) publishJob(ids []string, patience time.Duration) {
	p := history.Published{Sessions: ids}
	job := map[string]any{"sessions": ids}
	if patience > 0 {
		p.NotAfter = time.Now().Add(patience)
		job["notAfter"] = p.NotAfter.UTC().Format(time.RFC3339Nano)
	}
	data, err := json.Marshal(job)
	if err != nil {
		s.t.Fatal(err)
	}
	s.recent = append(s.recent, ids[0])
	s.publishMessage(p, data)
}

// publishPerson publishes a job that names somebody new, or else all of his sessions with him as their owner.
func (s *simulation) publishPerson(byID bool) {
	user := s.sim.AddUser(simulator.User{Login: fmt.Sprintf("person-%d", s.number), Display: "Somebody"})
	ids := s.sim.SignOnMany(user, 1+s.random.IntN(5))
	if byID {
		s.publishMessage(history.Published{Users: []int64{int64(user)}, On: ids}, fmt.Appendf(nil, `{"users":[{"id":%d}]}`, user))
		return
	}
	var owned []string
	for _, id := range ids {
		owned = append(owned, fmt.Sprintf(`{"id":%q,"userId":%d}`, id, user))
	}
	s.publishMessage(history.Published{Sessions: ids}, []byte(`{"sessions":[`+strings.Join(owned, ",")+`]}`))
}

func (s *simulation) publishBytes(data string) {
	s.publishMessage(history.Published{Malformed: true, Payload: []byte(data)}, []byte(data))
}

// publishMessage publishes once: what it does not hear is stored is unknown.
func (s *simulation) publishMessage(p history.Published, data []byte) {
	s.number++
	p.Deployment, p.JobID, p.Sent, p.State = "logoff", fmt.Sprintf("job-%d", s.number), time.Now(), history.StateUnknown
	p.Lane = jobs.Lanes[s.random.IntN(len(jobs.Lanes))]
	p.Subject = s.subjects.Request(p.Lane, "")
	msg := nats.NewMsg(p.Subject)
	msg.Data = data
	msg.Header.Set(nats.MsgIdHdr, p.JobID)
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
	defer cancel()
	if ack, err := s.js.PublishMsg(ctx, msg); err == nil {
		p.State, p.Sequence, p.Confirmed = history.StateStored, ack.Sequence, time.Now()
	}
	s.published = append(s.published, p)
}

// A simulated fault lasts until inject returns.
type simulated struct {
	name   string
	inject func()
}

// minutes is a time of n minutes at most.
func (s *simulation) minutes(n int) time.Duration {
	return time.Duration(1+s.random.IntN(n)) * time.Minute
}

// everyFault returns every fault once.
func (s *simulation) everyFault() []simulated {
	down := func(status int, d time.Duration) func() {
		return func() {
			s.sim.Configure(func(settings *simulator.Settings) { settings.Down = status })
			s.live(d)
			s.sim.Configure(func(settings *simulator.Settings) { settings.Down = 0 })
		}
	}
	failing := func(d time.Duration, faults ...simulator.Fault) func() {
		return func() {
			s.sim.FailAtRate(1, faults...)
			s.live(d)
			s.sim.ClearFaults()
		}
	}
	faults := []simulated{
		{"outage of hours", down(503, s.minutes(75))},
		{"connections reset", down(simulator.DownReset, s.minutes(20))},
		{"hang", failing(s.minutes(10), simulator.Hang(false), simulator.Hang(true))},
		{"reset", failing(s.minutes(10), simulator.Reset(false), simulator.Reset(true))},
		{"no success", failing(s.minutes(10), simulator.Page(), simulator.Empty(), simulator.CutOff(), simulator.Doctype(), simulator.Redirect("http://login.example/"))},
		{"hostile bodies", failing(s.minutes(5), simulator.SlowBody(), simulator.EndlessBody(), simulator.GzipBomb())},
		{"gateway errors after the effect", failing(s.minutes(10), simulator.Status(502).Applied(), simulator.Status(504).Applied())},
		{"retry soon", failing(s.minutes(3), simulator.Throttle(2))},
		{"retry at a date in the past", failing(s.minutes(3), simulator.ThrottleUntil(s.begin.Add(-time.Hour)))},
		{"retry in the far future", failing(s.minutes(3), simulator.ThrottleUntil(s.begin.AddDate(20, 0, 0)), simulator.Throttle(99_999_999))},
		{"forbidden", failing(s.minutes(30), simulator.Status(403))},
		{"token dead at every try", failing(s.minutes(10), simulator.Status(401))},
		{"some documents fail", s.someFail},
		{"tokens revoked", func() { s.sim.RevokeTokens(); s.live(time.Second) }},
		{"idle until the token dies", func() { passes(s.t, 35*time.Minute) }},
		{"calls longer than a lease", s.slow},
		{"frozen worker", s.freeze},
		{"killed worker", func() { s.die(s.anyone(), "") }},
		{"all workers gone for hours", s.allGone},
		{"stopped worker", s.dismiss},
		{"broker restarts", func() { s.restartBroker(0) }},
		{"broker away", func() { s.restartBroker(s.minutes(5)) }},
		{"consumers deleted", s.deleteConsumers},
		{"results full", s.resultsFull},
	}
	if bubble.HasNATS(11) {
		faults = append(faults, simulated{lanePaused, s.pauseLane})
	}
	for _, p := range worker.Points {
		faults = append(faults, simulated{"crash " + string(p), func() { s.die(s.anyone(), p) }})
	}
	return faults
}

// someFail lets documents of several sessions fail as a whole now and then.
func (s *simulation) someFail() {
	s.sim.FailNext(simulator.Generic500().WithOthers(), simulator.ErrorBody().WithOthers(), simulator.Status(400).WithOthers(), simulator.Status(413).WithOthers())
	for range 6 {
		s.publishJob(s.fresh(2+s.random.IntN(60)), 0)
	}
	s.live(time.Minute)
	s.sim.ClearFaults()
}

// slow makes each call last longer than a lease.
func (s *simulation) slow() {
	var was time.Duration
	s.sim.Configure(func(settings *simulator.Settings) { was, settings.LatencyFixed = settings.LatencyFixed, 45*time.Second })
	s.live(5 * time.Minute)
	s.sim.Configure(func(settings *simulator.Settings) { settings.LatencyFixed = was })
	passes(s.t, time.Minute)
}

// freeze stops all traffic of a worker for longer than its leases, and longer than the window in which
// NATS knows duplicates by their ids. Then it goes on as if nothing had been.
func (s *simulation) freeze() {
	a := s.anyone()
	for range 10 {
		s.publishJob(s.fresh(5), 0)
	}
	a.line.freeze()
	s.live(time.Duration(1+s.random.IntN(5)) * time.Minute)
	a.line.thaw()
	s.live(time.Minute)
}

// die kills a worker, at a point if one is named, and starts another a little later.
func (s *simulation) die(a *actor, p worker.Point) {
	if p == "" {
		a.kill()
	}
	a.arm(p)
	for range 30 {
		if a.dead() {
			break
		}
		s.lead(a, p)
		passes(s.t, 2*time.Second)
	}
	if !a.dead() {
		s.t.Errorf("no worker came to the point %s", p)
		a.kill()
	}
	s.bury(a)
	s.live(time.Duration(s.random.IntN(60)) * time.Second)
	s.hire()
}

// lead brings about what leads a worker to a point.
func (s *simulation) lead(a *actor, p worker.Point) {
	for range 5 {
		s.publishJob(s.fresh(1+s.random.IntN(3)), 0)
	}
	switch p {
	case worker.MidLogin:
		s.sim.RevokeTokens()
	case worker.MidSplit, worker.BeforeDeadLetter:
		for i := range 4 {
			s.publishJob(append(s.fresh(2), s.poison[2*i]), 0)
		}
	case worker.MidDrain:
		s.sim.Configure(func(settings *simulator.Settings) { settings.Down = 503 })
		for range 30 {
			s.publishJob(s.fresh(2), 0)
		}
		passes(s.t, 10*time.Second)
		a.r.cancel()
		passes(s.t, time.Second)
		s.sim.Configure(func(settings *simulator.Settings) { settings.Down = 0 })
	}
}

// allGone leaves the deployment without a worker, in the middle of the work.
func (s *simulation) allGone() {
	for i := range 20 {
		s.publishJob(s.fresh(1+i), 0)
	}
	for len(s.actors) > 0 {
		a := s.actors[0]
		a.kill()
		s.bury(a)
	}
	s.live(s.minutes(90))
	for range 3 {
		s.hire()
	}
}

// dismiss stops a worker as an operator does, and starts another.
func (s *simulation) dismiss() {
	a := s.anyone()
	s.count(a)
	s.bury(a)
	s.live(10 * time.Second)
	s.hire()
}

// restartBroker takes the broker away for a time.
func (s *simulation) restartBroker(away time.Duration) {
	s.nc.Close()
	s.broker.Shutdown()
	passes(s.t, away)
	b, err := broker.Start(broker.Options{StoreDir: s.store})
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.broker = b
	s.mu.Unlock()
	s.t.Cleanup(b.Shutdown)
	if s.nc, err = b.Connect(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.nc.Close)
	if s.js, err = jetstream.New(s.nc); err != nil {
		s.t.Fatal(err)
	}
	s.connected()
	s.live(time.Minute)
}

const lanePaused = "a lane is paused"

// pauseLane pauses a lane for a while, perhaps with a consumer that is made anew meanwhile.
func (s *simulation) pauseLane() {
	lane := jobs.Lanes[s.random.IntN(len(jobs.Lanes))]
	s.pause(lane, time.Now().Add(s.minutes(20)))
	s.live(time.Minute)
	if s.random.IntN(2) == 0 {
		_ = s.js.DeleteConsumer(s.t.Context(), s.subjects.RequestStream(), string(lane))
	}
	s.live(time.Minute)
	s.act(lane, jobs.ActResume, time.Time{})
	_, _ = s.js.ResumeConsumer(s.t.Context(), s.subjects.RequestStream(), string(lane)) // or nobody has made it anew yet
	s.live(time.Minute)
	s.connected()
}

// deleteConsumers deletes both; workers make them anew.
func (s *simulation) deleteConsumers() {
	for _, lane := range jobs.Lanes {
		_ = s.js.DeleteConsumer(s.t.Context(), s.subjects.RequestStream(), string(lane))
	}
	s.live(2 * time.Minute)
	s.connected()
}

// resultsFull lets the stream of results take nothing for a while.
func (s *simulation) resultsFull() {
	s.limitResults(max(1, int64(s.site.count(s.subjects.ResultStream()))))
	s.live(5 * time.Minute)
	s.limitResults(-1)
	s.live(time.Minute)
}

// count keeps what a worker's counters say, at a time when it has nothing more to store.
func (s *simulation) count(a *actor) {
	families, err := a.r.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	c := history.Counters{Worker: a.name, Settled: map[string]int{}, Outcome: map[jobs.Outcome]int{}}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			label := map[string]string{}
			for _, pair := range m.GetLabel() {
				label[pair.GetName()] = pair.GetValue()
			}
			switch family.GetName() {
			case "logoff_jobs_settled_total":
				c.Settled[label["lane"]+"/"+label["status"]] = int(m.GetCounter().GetValue())
			case "logoff_sessions_total":
				c.Outcome[jobs.Outcome(label["outcome"])] = int(m.GetCounter().GetValue())
			}
		}
	}
	s.counters = append(s.counters, c)
}

// judge lets everything heal and drain, and has the history judged.
func (s *simulation) judge() {
	healed := time.Now()
	for range 120 {
		passes(s.t, 2*time.Second)
		if s.left() == 0 {
			break
		}
	}
	passes(s.t, 40*time.Second) // for acknowledgements that were lost: a lease
	for _, a := range s.actors {
		s.count(a)
		s.counters[len(s.counters)-1].Final = true
	}
	h := s.history(healed)
	limits := history.DefaultLimits()
	limits.Settle += time.Minute + 30*time.Second // the longest that the Web Server may ask for, and a lease
	limits.Urgent, limits.Repeats, limits.Requests = 0, 0.25, 30
	violations := h.Check(limits)
	f := h.Figures(limits)
	s.t.Logf("seed %d (%s, %s): %v, %d jobs, %d results, %d requests, %.1f %% repeated, %d acknowledgements, %d lives, %.2f requests a success", s.seed, s.switches.Ended, s.switches.Partial,
		time.Since(s.begin).Round(time.Minute), f.Published, len(h.Results), f.Requests, 100*f.Repeats, len(h.Acks), s.lives, f.RequestRatio)
	if len(violations) == 0 {
		return
	}
	for _, v := range violations {
		s.t.Errorf("violated: %v", v)
	}
	for _, fault := range s.faults {
		s.t.Logf("%v to %v: %s", fault.From.Sub(s.begin), fault.To.Sub(s.begin), fault.Name)
	}
	s.t.Logf("repeat with: go test ./worker -run '^TestSimulation' -args -seed %d", s.seed)
}

func (s *simulation) history(healed time.Time) *history.History {
	h := &history.History{
		Run:       history.Run{Seed: s.seed, Begin: s.begin, End: time.Now(), Healed: healed, Poison: s.poison, Ended: string(s.switches.Ended), Canaries: map[string]string{"web": servicePassword}},
		Published: s.published, Faults: s.faults, Counters: s.counters, Outputs: map[string][]byte{"log": []byte(s.log.String())},
		Results: s.dump(s.subjects.ResultStream()), Dead: s.dump(s.subjects.DeadStream()), Left: s.dump(s.subjects.RequestStream()),
		Acts: slices.DeleteFunc(s.dump(s.subjects.AuditStream()), func(m history.Stored) bool { return m.Subject == s.subjects.Digests() }),
	}
	s.mu.Lock()
	h.Acks = s.acks
	s.mu.Unlock()
	for _, a := range s.actors {
		h.Outputs["pages-"+a.name] = []byte(a.r.pages())
	}
	for _, lane := range jobs.Lanes {
		info := s.consumer(lane)
		h.Queues = append(h.Queues, history.Queue{Deployment: "logoff", Lane: lane, Pending: int(info.NumPending), AckPending: info.NumAckPending})
	}
	for _, r := range s.logoffs() {
		h.Requests = append(h.Requests, history.Request{
			Number: r.Number, Time: r.Time, RequestID: r.Header.Get("X-Request-Id"), Sessions: r.Sessions, Applied: r.Applied,
			Status: r.Status, Answered: r.Answered, Success: r.Success,
		})
	}
	return h
}

// dump reads all that a stream holds.
func (s *simulation) dump(stream string) (all []history.Stored) {
	handle, err := s.js.Stream(s.t.Context(), stream)
	if err != nil {
		s.t.Fatal(err)
	}
	state := handle.CachedInfo().State
	for sequence := state.FirstSeq; state.Msgs > 0 && sequence <= state.LastSeq; sequence++ {
		if msg, err := handle.GetMsg(s.t.Context(), sequence); err == nil {
			all = append(all, history.Stored{Deployment: "logoff", Subject: msg.Subject, Sequence: sequence, Time: msg.Time, Header: msg.Header, Data: msg.Data})
		}
	}
	return all
}
