// Package metrics is what operators see: Prometheus instruments, and the probes /livez and /readyz; and the
// [Health] behind them, which collects what is wrong with each part in words, and logs it when it begins, while it
// lasts, and when it is over. The page for people is in statuspage, made from the same numbers.
//
// Other packages say what happened; this one decides what that counts. Every label value exists at
// zero from the start, so that a rate over it is never missing, and no label holds an id, a name or
// a text. It keeps no history, but for the latest few jobs, and changes nothing: all that it serves is read-only.
package metrics

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"logoffworker/jobs"
)

// Build says what runs, for logoff_build_info and logoff_settings_info.
type Build struct {
	Version, Revision, GoVersion string
	// Settings is a hash of what the worker is set to.
	Settings string
}

// The label values of what is no enumeration of package jobs.
var (
	operations = []string{"logoff", "login", "renew", "ping", "logout", "sessions", "user", "token"}
	verdicts   = []string{
		"accepted", "refused", "too_large", "not_found", "undecided", "unauthorized", "login_rejected",
		"forbidden", "throttled", "misconfigured", "unavailable",
	}
	breakerStates = []string{"closed", "half_open", "open"}
	streams       = []string{"results", "dead"}
	natsErrors    = []string{"permission", "slow_consumer", "other"}
)

// Metrics holds every instrument.
type Metrics struct {
	received     map[jobs.Lane]prometheus.Counter
	redelivered  map[jobs.Lane]prometheus.Counter
	settledAgain prometheus.Counter
	settled      map[jobs.Lane]map[jobs.Status]prometheus.Counter
	sessions     map[jobs.Outcome]prometheus.Counter
	users        map[jobs.UserOutcome]prometheus.Counter
	timeToLogoff map[jobs.Lane]prometheus.Observer
	eventToOff   map[jobs.Lane]prometheus.Observer
	revocations  *prometheus.HistogramVec
	issuers      atomic.Pointer[[]string] // that are told apart
	formats      map[jobs.Format]prometheus.Counter
	dead         map[jobs.Status]prometheus.Counter
	handedBack   prometheus.Counter
	lastSuccess  fleeting
	latest       latest

	requests map[string]map[string]prometheus.Counter
	duration map[string]prometheus.Observer
	document prometheus.Observer
	cap      prometheus.Gauge
	retries  map[string]prometheus.Counter
	splits   prometheus.Counter
	clock    fleeting
	slots    map[jobs.Lane]prometheus.Gauge
	answered atomic.Int64 // when the Web Server last answered, in Unix nanoseconds; 0 until then
	breaker  map[string]prometheus.Gauge

	storeFailed map[string]prometheus.Counter
	pending     fleeting
	inHand      fleeting
	again       fleeting
	stranded    fleeting
	lastStored  fleeting
	present     fleeting
	digested    fleeting
	undigested  fleeting
	connected   prometheus.Gauge
	reconnects  prometheus.Counter
	natsErrors  map[string]prometheus.Counter
	standing    standing
}

// New registers every instrument of a worker. It panics where one is registered already.
func New(reg prometheus.Registerer, build Build) *Metrics {
	m := NewIdle(reg, build)
	f := factory{promauto.With(reg)}
	f.gaugeVec("logoff_settings_info", "What the worker is set to, as a hash that workers with the same settings share; always 1.", "hash").
		WithLabelValues(build.Settings).Set(1)
	m.jobInstruments(f)
	m.webServerInstruments(f)
	m.streamInstruments(f)
	m.standing = newStanding(f)
	return m
}

// NewIdle registers the instruments of a program that works no jobs: what runs, and its connection to NATS. Those of
// work would say of it that it cannot reach the Web Server, and that its settings are not those of the workers.
func NewIdle(reg prometheus.Registerer, build Build) *Metrics {
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	f := factory{promauto.With(reg)}
	f.gaugeVec("logoff_build_info", "What runs; always 1.", "version", "revision", "go_version").
		WithLabelValues(build.Version, build.Revision, build.GoVersion).Set(1)
	m := &Metrics{}
	m.connected = f.gauge("logoff_nats_connected", "1 while the connection to NATS is up.")
	m.reconnects = f.counter("logoff_nats_reconnects_total", "Connections to NATS made again.")
	m.natsErrors = counters(f.counterVec("logoff_nats_errors_total", "Errors that NATS reported outside of a call.", "kind"), natsErrors)
	return m
}

func (m *Metrics) jobInstruments(f factory) {
	m.received = counters(f.counterVec("logoff_jobs_received_total", "Jobs taken from the stream, every delivery counted.", "lane"), jobs.Lanes)
	m.redelivered = counters(f.counterVec("logoff_jobs_redelivered_total", "Jobs that came again.", "lane"), jobs.Lanes)
	m.settledAgain = f.counter("logoff_jobs_already_settled_total", "Jobs that came again and had a result.")
	settled := f.counterVec("logoff_jobs_settled_total", "Jobs whose result this worker stored.", "lane", "status")
	m.settled = map[jobs.Lane]map[jobs.Status]prometheus.Counter{}
	for _, lane := range jobs.Lanes {
		m.settled[lane] = counters(settled.MustCurryWith(prometheus.Labels{"lane": string(lane)}), jobs.Statuses)
	}
	m.sessions = counters(f.counterVec("logoff_sessions_total", "Sessions in results that this worker stored.", "outcome"), jobs.Outcomes)
	m.users = counters(f.counterVec("logoff_users_total", "Users in results that this worker stored.", "outcome"), jobs.UserOutcomes)
	m.formats = counters(f.counterVec("logoff_jobs_format_total", "Jobs taken from the stream by what they are written in, every delivery counted.", "format"), jobs.Formats)
	m.timeToLogoff = observers(f.histogramVec("logoff_time_to_logoff_seconds", "Job stored until confirmed, for jobs with a success.",
		[]float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200}, "lane"), jobs.Lanes)
	m.eventToOff = observers(f.histogramVec("logoff_event_to_off_seconds", "From a job's eventTime until all that it names was read back as off, for jobs that tell one.",
		[]float64{1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400}, "lane"), jobs.Lanes)
	m.revocations = f.histogramVec("logoff_revocation_seconds", "From the event of a security system until all that its job names was read back as off, by the name of the issuer or recipe.",
		[]float64{1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400}, "issuer")
	m.Issuers(nil)
	m.dead = counters(f.counterVec("logoff_dead_letters_total", "Dead letters stored.", "reason"), deadReasons())
	m.handedBack = f.counter("logoff_jobs_handed_back_total", "Jobs given back to the stream unsent at a stop.")
	m.lastSuccess = f.fleeting("logoff_last_success_timestamp_seconds", "When a result with a success was last stored; absent until then.")
}

func (m *Metrics) webServerInstruments(f factory) {
	requests := f.counterVec("logoff_webserver_requests_total", "Requests to the Web Server by what the answer means.", "operation", "verdict")
	m.requests = map[string]map[string]prometheus.Counter{}
	for _, operation := range operations {
		m.requests[operation] = counters(requests.MustCurryWith(prometheus.Labels{"operation": operation}), verdicts)
	}
	m.duration = observers(f.histogramVec("logoff_webserver_request_duration_seconds", "Time of a request to the Web Server.",
		[]float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}, "operation"), operations)
	m.document = f.histogramVec("logoff_document_sessions", "Sessions of a document that was sent.",
		[]float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000}).WithLabelValues()
	m.cap = f.gauge("logoff_document_sessions_max", "Sessions that a document may hold at present.")
	m.retries = counters(f.counterVec("logoff_webserver_retries_total", "Documents that are sent again, by the answer that caused it.", "verdict"), verdicts)
	m.splits = f.counter("logoff_document_splits_total", "Documents that were split to find the session at fault.")
	m.clock = f.fleeting("logoff_webserver_clock_difference_seconds", "How far the Web Server's clock is ahead of this machine's, negative where it is behind. Absent until it is known.")
	m.slots = gauges(f.gaugeVec("logoff_slots_in_use", "Documents being sent.", "lane"), jobs.Lanes)
	m.breaker = gauges(f.gaugeVec("logoff_webserver_circuit_breaker", "Circuit breaker towards the Web Server: 1 for its state; open holds requests.", "state"), breakerStates)
	m.Breaker("open")
}

func (m *Metrics) streamInstruments(f factory) {
	m.storeFailed = counters(f.counterVec("logoff_store_errors_total", "Results and dead letters that NATS did not take at a try.", "stream"), streams)
	m.pending = f.fleeting("logoff_queue_pending_jobs", "Jobs that wait in the stream; the same at every worker. Absent while NATS cannot be asked.", "lane")
	m.inHand = f.fleeting("logoff_queue_ack_pending_jobs", "Jobs in some worker's hands; the same at every worker. Absent while NATS cannot be asked.", "lane")
	m.again = f.fleeting("logoff_queue_redelivered_jobs", "Jobs in hand that came again; the same at every worker. Absent while NATS cannot be asked.", "lane")
	m.stranded = f.fleeting("logoff_stranded_jobs", "Jobs that neither wait nor are in hand; anything but 0 is a fault. Absent while NATS cannot be asked.")
	m.lastStored = f.fleeting("logoff_queue_last_sequence", "Sequence of the latest job in the stream, which grows by one with each job that is stored; the same at every worker. Absent while NATS cannot be asked.")
	m.present = f.fleeting("logoff_queue_jobs", "Jobs in the stream, which wait or are in hand; the same at every worker. Absent while NATS cannot be asked.")
	m.digested = f.fleeting("logoff_digest_timestamp_seconds", "When the latest digest of results was stored; the same at every worker. Absent where none is made.")
	m.undigested = f.fleeting("logoff_undigested_results", "Results that no digest covers yet; the same at every worker. Absent where no digests are made.")
}

// deadReasons are the statuses that leave a dead letter.
func deadReasons() (reasons []jobs.Status) {
	for _, status := range jobs.Statuses {
		if !status.Success() {
			reasons = append(reasons, status)
		}
	}
	return reasons
}

// ClockDifference is how far the Web Server's clock is ahead.
func (m *Metrics) ClockDifference(ahead time.Duration) { m.clock.set(ahead.Seconds()) }

// Received counts jobs taken from the stream.
func (m *Metrics) Received(lane jobs.Lane, n int) { m.received[lane].Add(float64(n)) }

// Written counts a job by what it is written in.
func (m *Metrics) Written(format jobs.Format) {
	if c := m.formats[format]; c != nil {
		c.Inc()
	}
}

// otherIssuer stands for issuers that are not told apart.
const otherIssuer = "other"

// Issuers says which issuers of events are told apart: those of the issuers file, and no other that a message names.
func (m *Metrics) Issuers(names []string) {
	names = append([]string{otherIssuer}, names...)
	for _, name := range names {
		m.revocations.WithLabelValues(name)
	}
	m.issuers.Store(&names)
}

// Redelivered counts those among them that had been delivered before.
func (m *Metrics) Redelivered(lane jobs.Lane, n int) { m.redelivered[lane].Add(float64(n)) }

// AlreadySettled counts jobs that turned out to have a result.
func (m *Metrics) AlreadySettled(n int) { m.settledAgain.Add(float64(n)) }

// A Settlement is what the results say that a worker stored together.
type Settlement struct {
	jobs     map[laneStatus]int
	sessions map[jobs.Outcome]int
	users    map[jobs.UserOutcome]int
	took     []laneTime // of jobs with a success
	events   []laneTime // since the eventTime of jobs of which all is known to be off
	revoked  []issuerTime
	latest   map[bool]*recent
}

type laneStatus struct {
	lane   jobs.Lane
	status jobs.Status
}

type laneTime struct {
	lane  jobs.Lane
	took  time.Duration
	trace jobs.Trace
}

// An issuerTime is how long it was from an issuer's event until all is known to be off.
type issuerTime struct {
	issuer string
	laneTime
}

// A SettledJob is what a result says of one job.
type SettledJob struct {
	ID        string
	Publisher string
	Lane      jobs.Lane
	Status    jobs.Status
	Sessions  []jobs.SessionResult
	Users     []jobs.UserResult
	Stored    time.Time     // in the stream
	Took      time.Duration // from the job being stored to its last answer
	EventTime time.Time     // when that happened which the job answers; zero where it does not say
	Issuer    string        // whose event it answers; empty where it answers none
	Trace     jobs.Trace    // an exemplar of how long it took names it
}

// Add adds one job's result.
func (s *Settlement) Add(job SettledJob) {
	if s.jobs == nil {
		s.jobs, s.sessions, s.users = map[laneStatus]int{}, map[jobs.Outcome]int{}, map[jobs.UserOutcome]int{}
		s.latest = map[bool]*recent{true: {}, false: {}}
	}
	s.jobs[laneStatus{job.Lane, job.Status}]++
	s.latest[job.Status.Success()].add(job.finished())
	success := false
	for i := range job.Sessions {
		s.sessions[job.Sessions[i].Outcome]++
		success = success || job.Sessions[i].Outcome.Success()
	}
	for i := range job.Users {
		s.users[job.Users[i].Outcome]++
	}
	if success {
		s.took = append(s.took, laneTime{job.Lane, job.Took, job.Trace})
	}
	if job.Status == jobs.Done && !job.EventTime.IsZero() {
		since := laneTime{job.Lane, job.Stored.Add(job.Took).Sub(job.EventTime), job.Trace}
		s.events = append(s.events, since)
		if job.Issuer != "" {
			s.revoked = append(s.revoked, issuerTime{job.Issuer, since})
		}
	}
}

// Settled counts jobs whose results this worker stored.
func (m *Metrics) Settled(s *Settlement) {
	m.latest.add(s.latest)
	for key, n := range s.jobs {
		if c := m.settled[key.lane][key.status]; c != nil {
			c.Add(float64(n))
		}
	}
	addAll(m.sessions, s.sessions)
	addAll(m.users, s.users)
	for _, t := range s.events {
		observe(m.eventToOff[t.lane], max(0, t.took.Seconds()), t.trace)
	}
	for _, t := range s.revoked {
		issuer := otherIssuer
		if slices.Contains(*m.issuers.Load(), t.issuer) {
			issuer = t.issuer
		}
		observe(m.revocations.WithLabelValues(issuer), max(0, t.took.Seconds()), t.trace)
	}
	for _, t := range s.took {
		observe(m.timeToLogoff[t.lane], max(0, t.took.Seconds()), t.trace)
	}
	if len(s.took) > 0 {
		m.lastSuccess.setTime(time.Now())
	}
}

// addAll adds what was counted to the counters that there are.
func addAll[L comparable](to map[L]prometheus.Counter, counted map[L]int) {
	for label, n := range counted {
		if c := to[label]; c != nil {
			c.Add(float64(n))
		}
	}
}

// observe observes a value, with an exemplar where it is of a trace.
func observe(o prometheus.Observer, value float64, trace jobs.Trace) {
	exemplars, can := o.(prometheus.ExemplarObserver)
	if trace == "" || !can {
		o.Observe(value)
		return
	}
	exemplars.ObserveWithExemplar(value, prometheus.Labels{"trace_id": trace.ID()})
}

// DeadLettered counts a stored dead letter.
func (m *Metrics) DeadLettered(reason jobs.Status) {
	if c := m.dead[reason]; c != nil {
		c.Inc()
	}
}

// HandedBack counts jobs given back at a stop.
func (m *Metrics) HandedBack(n int) { m.handedBack.Add(float64(n)) }

// Called counts a request to the Web Server. An operation or verdict that is not known is not
// counted: it would be a label value of somebody else's making.
func (m *Metrics) Called(operation, verdict string, sessions int, took time.Duration) {
	if c := m.requests[operation][verdict]; c != nil {
		c.Inc()
		m.duration[operation].Observe(took.Seconds())
	}
	if operation == "logoff" {
		m.document.Observe(float64(sessions))
	}
	if verdict != "unavailable" {
		m.answered.Store(time.Now().UnixNano())
	}
}

// LastAnswer is when the Web Server last answered a request of this worker; zero until then.
func (m *Metrics) LastAnswer() time.Time {
	if at := m.answered.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// Retried counts a document that is sent again.
func (m *Metrics) Retried(verdict string) {
	if c := m.retries[verdict]; c != nil {
		c.Inc()
	}
}

// Split counts a document that was split.
func (m *Metrics) Split() { m.splits.Inc() }

// Slots adds to the documents being sent.
func (m *Metrics) Slots(lane jobs.Lane, delta int) { m.slots[lane].Add(float64(delta)) }

// Breaker tells the state of the circuit breaker: closed lets requests through, open holds them, half_open tries.
func (m *Metrics) Breaker(state string) {
	for name, gauge := range m.breaker {
		gauge.Set(oneIf(name == state))
	}
}

// DocumentCap tells how many sessions a document may hold.
func (m *Metrics) DocumentCap(sessions int) { m.cap.Set(float64(sessions)) }

// StoreFailed counts a message that a stream, results or dead, did not take.
func (m *Metrics) StoreFailed(stream string) {
	if c := m.storeFailed[stream]; c != nil {
		c.Inc()
	}
}

// Queue tells what waits, what is in hand, and what of that came again.
func (m *Metrics) Queue(lane jobs.Lane, pending, ackPending, redelivered int) {
	m.pending.set(float64(pending), string(lane))
	m.inHand.set(float64(ackPending), string(lane))
	m.again.set(float64(redelivered), string(lane))
}

// QueueUnknown tells that NATS cannot be asked what it holds.
func (m *Metrics) QueueUnknown() {
	m.standing.unknown()
	for _, g := range []fleeting{m.pending, m.inHand, m.again, m.stranded, m.lastStored, m.present} {
		g.Reset()
	}
}

// Stored tells the sequence of the latest job in the stream, and how many jobs are there.
func (m *Metrics) Stored(last, present uint64) {
	m.lastStored.set(float64(last))
	m.present.set(float64(present))
}

// Stranded tells how many jobs nobody will ever get.
func (m *Metrics) Stranded(n int) { m.stranded.set(float64(n)) }

// Digested tells when the latest digest of results was stored, and how many results are later.
func (m *Metrics) Digested(at time.Time, later uint64) {
	m.digested.setTime(at)
	m.undigested.set(float64(later))
}

// NATSConnected tells whether the connection is up.
func (m *Metrics) NATSConnected(up bool) {
	m.connected.Set(oneIf(up))
	if !up {
		m.QueueUnknown()
	}
}

// NATSReconnected counts a connection that was made again.
func (m *Metrics) NATSReconnected() { m.reconnects.Inc() }

// NATSError counts an error of a kind: permission, slow_consumer or other.
func (m *Metrics) NATSError(kind string) {
	if c := m.natsErrors[kind]; c != nil {
		c.Inc()
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
