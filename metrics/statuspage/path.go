package statuspage

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// A hop is a step on the way of a job: publishers, stream, workers, Web Server, results.
type hop struct {
	Name, Big, Small string
	Tone             tone
	Link             tone // of what leads to it
}

// The parts of a worker's health by the hop that they are about. What is nowhere is about the workers.
var (
	streamParts = []string{"nats", "streams", string(jobs.Urgent), string(jobs.Bulk)}
	serverParts = []string{"webserver", "token"}
	resultParts = []string{"results"}
	namedParts  = slices.Concat(streamParts, serverParts, resultParts)
)

// about is how a hop is, and what is wrong with it, by the parts that are about it.
func (v *view) about(names []string) (worst tone, conditions []metrics.Condition) {
	worst = well
	for _, p := range v.now.verdict.Parts {
		if p.State == metrics.StateStarting && slices.Contains(names, p.Part) {
			worst = worse(worst, off)
		}
		for _, c := range p.Conditions {
			if !c.Harmless && slices.Contains(names, v.partOf(c)) {
				worst = worse(worst, of(c))
				conditions = append(conditions, c)
			}
		}
	}
	return worst, conditions
}

// partOf is the part that a condition is about on a job's way: of the streams, those of results and dead letters are
// at its end.
func (v *view) partOf(c metrics.Condition) string {
	subjects := v.config.Subjects
	if strings.HasSuffix(c.Kind, " "+subjects.ResultStream()) || strings.HasSuffix(c.Kind, " "+subjects.DeadStream()) {
		return "results"
	}
	return c.Part
}

// path is the way of a job, with the broken link in colour.
func (v *view) path() []hop {
	hops := []hop{v.publishers(), v.stream(), v.workers(), v.server(), v.results()}
	for i := 1; i < len(hops); i++ {
		hops[i].Link = well
		if hops[i].Tone != well {
			hops[i].Link = hops[i].Tone
		}
	}
	return hops
}

func (v *view) publishers() hop {
	h := hop{Name: "Publishers", Tone: well, Big: "not known", Small: "how many jobs they store"}
	stored := v.past.grown(func(s sample) float64 { return s.stored })
	if math.IsNaN(stored) {
		return h
	}
	h.Big, h.Small = counted(stored, "job", "jobs"), "stored in the "+v.Span
	for i := len(v.past) - 1; i > 0; i-- {
		if v.past[i].stored > v.past[i-1].stored {
			h.Small += "; the latest at " + v.past[i].at.UTC().Format("15:04")
			break
		}
	}
	return h
}

func (v *view) stream() hop {
	h := hop{Name: "Stream"}
	var conditions []metrics.Condition
	h.Tone, conditions = v.about(streamParts)
	waiting := v.now.allWaiting()
	h.Big = count(waiting) + " waiting"
	switch {
	case math.IsNaN(waiting):
		h.Big = "not known"
	case waiting > 0 && h.Tone == well:
		h.Small = v.lanes() + v.oldest("; ")
	}
	if len(conditions) > 0 {
		h.Small = headlines(conditions)
	} else if h.Small == "" {
		h.Small = counted(v.now.numbers.value("logoff_queue_ack_pending_jobs"), "job", "jobs") + " in hand"
	}
	return h
}

// lanes tells how many jobs wait in each.
func (v *view) lanes() string {
	return fmt.Sprintf("%s urgent, %s bulk", count(v.now.waiting[jobs.Urgent]), count(v.now.waiting[jobs.Bulk]))
}

// oldest tells, after a separator, how long the oldest job has been waiting; empty when that is not known.
func (v *view) oldest(separator string) string {
	oldest := math.Inf(1)
	for _, lane := range jobs.Lanes {
		if at, known := v.now.numbers.sum("logoff_queue_oldest_job_timestamp_seconds", label{"lane", string(lane)}); known {
			oldest = min(oldest, at)
		}
	}
	if math.IsInf(oldest, 1) {
		return ""
	}
	return separator + "the oldest for " + lasting(v.now.at.Sub(time.UnixMilli(int64(oldest*1000))))
}

func (v *view) workers() hop {
	h := hop{Name: "Workers", Tone: well}
	var others []string
	for _, p := range v.now.verdict.Parts {
		if !slices.Contains(namedParts, p.Part) {
			others = append(others, p.Part)
		}
	}
	var conditions []metrics.Condition
	h.Tone, conditions = v.about(others)
	answering := 0
	for _, s := range v.Fleet {
		if s.answers(v.now.at) {
			answering++
		}
	}
	h.Big = counted(float64(answering), "worker", "workers")
	if answering < len(v.Fleet) {
		h.Big, h.Tone = fmt.Sprintf("%d of %d", answering, len(v.Fleet)), worse(h.Tone, wait)
		h.Small = fmt.Sprintf("%d no longer answer", len(v.Fleet)-answering)
	}
	switch stranded := v.now.numbers.known("logoff_stranded_jobs"); {
	case len(conditions) > 0:
		h.Small = headlines(conditions)
	case h.Small == "" && stranded > 0:
		h.Small, h.Tone = counted(stranded, "job", "jobs")+" stranded", ill
	case h.Small == "":
		h.Small = counted(v.now.numbers.value("logoff_slots_in_use"), "request", "requests") + " in flight here"
	}
	return h
}

func (v *view) server() hop {
	h := hop{Name: "Web Server"}
	var conditions []metrics.Condition
	h.Tone, conditions = v.about(serverParts)
	if len(conditions) > 0 {
		c := conditions[0]
		h.Big, h.Small = spoken(c.Kind), "since "+clock(c.Since, v.now.at)
		if left := c.Until.Sub(v.now.at); left > 0 {
			h.Small += "; tried again at " + clock(c.Until, v.now.at)
		}
		return h
	}
	first := v.past.first()
	median, _ := v.now.requests.since(first.requests).quantile(0.5)
	h.Big = took(median)
	if math.IsNaN(median) {
		h.Big, h.Small = "no request", "to end sessions in the "+v.Span
		return h
	}
	h.Small = "median of " + counted(v.now.accepted-first.accepted+v.now.refused-first.refused, "request", "requests")
	if refused := v.now.refused - first.refused; refused > 0 {
		h.Small += ", " + count(refused) + " not accepted"
	} else {
		h.Small += ", all accepted"
	}
	return h
}

func (v *view) results() hop {
	h := hop{Name: "Results"}
	var conditions []metrics.Condition
	h.Tone, conditions = v.about(resultParts)
	h.Big = "not known"
	if settled := v.past.grown(func(s sample) float64 { return s.left }); !math.IsNaN(settled) {
		h.Big = count(settled) + " stored"
	}
	dead, known := v.now.numbers.sum("logoff_dead_letters_present")
	switch {
	case len(conditions) > 0:
		h.Small = headlines(conditions)
	case dead > 0:
		h.Tone, h.Small = worse(h.Tone, wait), counted(dead, "dead letter waits", "dead letters wait")+" for a person"
	case known:
		h.Small = "no dead letters"
	default:
		h.Small = "in the " + v.Span
	}
	return h
}

// headlines are what a hop's conditions say, shortly.
func headlines(conditions []metrics.Condition) string {
	var kinds []string
	for _, c := range conditions {
		if c.Part == string(jobs.Urgent) || c.Part == string(jobs.Bulk) {
			kinds = append(kinds, c.Part+": "+spoken(c.Kind))
		} else {
			kinds = append(kinds, spoken(c.Kind))
		}
	}
	return shortened(strings.Join(kinds, "; "), 120)
}
