package statuspage

import (
	"math"
	"time"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

const (
	// remembered is how far back the page looks.
	remembered = time.Hour
	// sampleEvery is how often it notes how things are; most is how many notes that makes.
	sampleEvery = 15 * time.Second
	most        = int(remembered/sampleEvery) + 1
	// window is over how much the charts' rates and times are taken.
	window = time.Minute
)

// A sample is how things were at a moment. What is not known is not a number.
type sample struct {
	at       time.Time
	tone     tone
	waiting  map[jobs.Lane]float64
	stored   float64 // jobs that were ever stored in the stream
	left     float64 // jobs that have left it
	times    map[jobs.Lane]buckets
	requests buckets // to end sessions
	accepted float64 // of them
	refused  float64
	outcomes map[string]float64 // of sessions
	settled  map[string]float64 // jobs of this worker by status
}

// A reading is how things are now.
type reading struct {
	sample
	numbers numbers
	verdict metrics.Verdict
}

// read reads how things are.
func (p *Page) read() (reading, error) {
	families, err := p.config.Registry.Gather()
	if err != nil {
		return reading{}, err
	}
	n := gathered(families)
	verdict := p.config.Health.Verdict()
	s := sample{
		at: time.Now(), tone: toneOf(verdict),
		waiting: map[jobs.Lane]float64{}, times: map[jobs.Lane]buckets{},
		stored:   n.known("logoff_queue_last_sequence"),
		requests: n.buckets("logoff_webserver_request_duration_seconds", label{"operation", "logoff"}),
		accepted: n.value("logoff_webserver_requests_total", label{"operation", "logoff"}, label{"verdict", "accepted"}),
		outcomes: n.by("logoff_sessions_total", "outcome"),
		settled:  n.by("logoff_jobs_settled_total", "status"),
	}
	s.left = s.stored - n.known("logoff_queue_jobs")
	s.refused = n.value("logoff_webserver_requests_total", label{"operation", "logoff"}) - s.accepted
	for _, lane := range jobs.Lanes {
		s.waiting[lane] = n.known("logoff_queue_pending_jobs", label{"lane", string(lane)})
		s.times[lane] = n.buckets("logoff_time_to_logoff_seconds", label{"lane", string(lane)})
	}
	return reading{s, n, verdict}, nil
}

// allWaiting are the jobs that wait in both lanes.
func (s sample) allWaiting() float64 { return s.waiting[jobs.Urgent] + s.waiting[jobs.Bulk] }

// A history is the last hour, the oldest sample first.
type history struct{ samples []sample }

func (h *history) add(now reading) {
	if len(h.samples) == most {
		copy(h.samples, h.samples[1:])
		h.samples = h.samples[:most-1]
	}
	h.samples = append(h.samples, now.sample)
}

// with is the history that ends with how things are now, as far as it is remembered.
func (h *history) with(now reading) past {
	all := make(past, 0, len(h.samples)+1)
	for _, s := range h.samples {
		if now.at.Sub(s.at) <= remembered {
			all = append(all, s)
		}
	}
	return append(all, now.sample)
}

// A past is a history, with now at its end.
type past []sample

func (p past) first() sample { return p[0] }
func (p past) now() sample   { return p[len(p)-1] }

// span is how long it is.
func (p past) span() time.Duration { return p.now().at.Sub(p.first().at) }

// before is the latest sample that is as old as d at least, seen from the i-th; the first if there is none.
func (p past) before(i int, d time.Duration) sample {
	for j := i; j > 0; j-- {
		if p[i].at.Sub(p[j].at) >= d {
			return p[j]
		}
	}
	return p[0]
}

// grown is by how much something grew; not a number unless it is known at both ends. A stream that was made anew
// counts from there.
func (p past) grown(of func(sample) float64) float64 {
	total, last := math.NaN(), math.NaN()
	for _, s := range p {
		v := of(s)
		if math.IsNaN(v) {
			continue
		}
		if math.IsNaN(last) {
			total = 0
		} else {
			total += max(0, v-last)
		}
		last = v
	}
	return total
}

// rate is how much something grew in a second, within the window that ends with the i-th sample.
func (p past) rate(i int, of func(sample) float64) float64 {
	from := p[i]
	for j := i - 1; j >= 0 && p[i].at.Sub(p[j].at) <= window; j-- {
		if !math.IsNaN(of(p[j])) {
			from = p[j]
		}
	}
	took := p[i].at.Sub(from.at).Seconds()
	grown := of(p[i]) - of(from)
	if took <= 0 || grown < 0 {
		return math.NaN()
	}
	return grown / took
}

// settled are this worker's jobs by status, outcomes its sessions by outcome.
func (p past) settled() map[string]float64 { return grownBy(p.first().settled, p.now().settled) }

func (p past) outcomes() map[string]float64 { return grownBy(p.first().outcomes, p.now().outcomes) }

func grownBy(from, to map[string]float64) map[string]float64 {
	grown := map[string]float64{}
	for name, v := range to {
		if more := v - from[name]; more > 0 {
			grown[name] = more
		}
	}
	return grown
}

// lastTrouble is the latest time in which it was not well and that is over: when it began, and ended.
func (p past) lastTrouble() (began, ended time.Time) {
	for i := len(p) - 1; i > 0; i-- {
		if p[i-1].tone.ill() && !p[i].tone.ill() {
			ended = p[i].at
			for ; i > 0 && p[i-1].tone.ill(); i-- {
				began = p[i-1].at
			}
			return began, ended
		}
	}
	return began, ended
}
