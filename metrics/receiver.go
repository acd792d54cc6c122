package metrics

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// The label values of what is received. Endpoint "none" is a path that there is not.
var (
	signalVerdicts = []string{"job", "ignored", "invalid", "retry"}
	endpoints      = []string{"jobs", "push", "logout", "revoke", "hook", "none"}
	answerCodes    = []int{200, 202, 204, 400, 401, 403, 404, 405, 413, 500, 503}
)

// Receiver holds the instruments of a receiver of jobs and events over HTTP, or of a poller. They are there only where
// one is.
type Receiver struct {
	signals  *prometheus.CounterVec
	requests map[string]map[int]prometheus.Counter
	duration map[string]prometheus.Observer

	mu    sync.Mutex
	known map[string]bool // issuers that have a place
}

// NewReceiver registers the instruments. It panics where they are registered already.
func NewReceiver(reg prometheus.Registerer) *Receiver {
	f := factory{promauto.With(reg)}
	r := &Receiver{
		signals:  f.counterVec("logoff_signals_total", "Events received over HTTP or polled, by whose they are in the issuers file and what was made of them; job: it is stored.", "issuer", "verdict"),
		requests: map[string]map[int]prometheus.Counter{}, known: map[string]bool{},
	}
	requests := f.counterVec("logoff_receiver_requests_total", "Requests to the receiver, by what was asked and the status of the answer.", "endpoint", "code")
	for _, endpoint := range endpoints {
		r.requests[endpoint] = map[int]prometheus.Counter{}
		for _, code := range answerCodes {
			r.requests[endpoint][code] = requests.WithLabelValues(endpoint, strconv.Itoa(code))
		}
	}
	r.duration = observers(f.histogramVec("logoff_receiver_request_duration_seconds", "Time until the receiver answered, with the storing of the job.",
		[]float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}, "endpoint"), endpoints)
	return r
}

// Issuers tells whose events there may be: those counters begin, and those of others end.
func (r *Receiver) Issuers(names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range r.known {
		if !slices.Contains(names, name) {
			r.signals.DeletePartialMatch(prometheus.Labels{"issuer": name})
			delete(r.known, name)
		}
	}
	for _, name := range names {
		r.known[name] = true
		for _, verdict := range signalVerdicts {
			r.signals.WithLabelValues(name, verdict)
		}
	}
}

// Signal counts an event of an issuer by what was made of it: job, ignored, invalid or retry.
func (r *Receiver) Signal(issuer, verdict string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[issuer] && slices.Contains(signalVerdicts, verdict) {
		r.signals.WithLabelValues(issuer, verdict).Inc()
	}
}

// Answered counts a request that was answered with a status after some time.
func (r *Receiver) Answered(endpoint string, code int, took time.Duration) {
	if c := r.requests[endpoint][code]; c != nil {
		c.Inc()
	}
	if o := r.duration[endpoint]; o != nil {
		o.Observe(took.Seconds())
	}
}
