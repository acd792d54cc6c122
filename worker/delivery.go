package worker

import (
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
	"logoffworker/worker/guard"
)

// A delivery is a job in hand: pulled, not yet acknowledged, its lease kept.
//
// It goes through hands one after the other: intake, then whoever decides about its sessions, and, once
// nothing of it is left to decide, the reader and the settler. Who may write what stands beside the fields.
type delivery struct {
	// What came. Intake writes it, before anybody else knows the job.
	msg        *nats.Msg
	sequence   uint64    // in the stream
	requested  time.Time // when it was stored there
	deliveries int
	received   time.Time
	lane       jobs.Lane
	publisher  string
	trace      jobs.Trace
	lists      int64  // of protected users' sessions that had been asked for by then
	key        string // of its result
	job        jobs.Job
	invalid    string   // why it is no job
	ignored    string   // why it is an event for which nothing is to be done
	repeats    string   // the subject of the result of the same event, for which it is ignored
	keys       *keyWait // whose keys it waits for, before anything of it is known; nil if it does not
	signal     *jobs.Signal
	format     jobs.Format
	users      []*user        // whom the job names; what is in them, see there
	verdict    *guard.Verdict // nil where nobody judged it

	// What becomes of it. Whoever decides about one of its sessions writes it, with the lock held; once left
	// is 0, only the reader does, until it hands the job to the settler.
	mu        sync.Mutex
	targets   []jobs.Session       // those that the job names, then those that were found through its users
	sessions  []jobs.SessionResult // what became of each
	places    map[string]int       // of the targets, by ID in capitals; made when it is needed
	completed time.Time
	left      int       // sessions, and look-ups of users, that have neither an outcome nor been given back
	returned  bool      // something was given back undone, so the job is handed back
	lease     time.Time // when it runs out
	lapsed    bool      // the lease has run out once, so that somebody else may have the job
	steps     steps     // what was done for it
	request   string    // the last that was made for it

	rounds int // of ending what is on of its users; the reader alone writes it

	// How it is settled. The settler alone writes it, and intake where a result was found.
	status jobs.Status  // of its result
	result *jobs.Result // unless it is a success
	tried  bool         // the result was published, whatever came of it
	stored bool         // the result is in the stream
	kept   bool         // so is the dead letter

	// What it weighs. The leases write it, with their own lock held.
	weight int
	parked bool // something of it cannot be stored
}

// header is the value of a message's header, however the publisher writes its name.
func (d *delivery) header(name string) string {
	for key, values := range d.msg.Header {
		if strings.EqualFold(key, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// found reports whether the i-th session was found through a user, so that the Web Server has told whose it is.
func (d *delivery) found(i int) bool { return i >= len(d.job.Sessions) }

// conclude writes down in r what became of a job in the hands of a worker.
func (d *delivery) conclude(r *jobs.Result, worker string) {
	clear(r.Counts)
	*r = jobs.Result{
		Version:        jobs.ResultVersion,
		JobID:          d.job.ID,
		Lane:           d.lane,
		Publisher:      d.publisher,
		Sessions:       d.sessions,
		Counts:         r.Counts,
		RequestedAt:    d.requested,
		ReceivedAt:     d.received,
		CompletedAt:    d.completed,
		TimeToLogoffMS: max(0, d.took().Milliseconds()),
		Error:          d.job.Remark(),
		EventTime:      d.job.EventTime,
		Worker:         worker,
		Deliveries:     d.deliveries,
		Reason:         d.job.Reason,
		RequestedBy:    d.job.RequestedBy,
		Labels:         d.job.Labels,
		Traceparent:    d.trace,
		Signal:         d.signal,
		Repeats:        d.repeats,
	}
	switch {
	case d.invalid != "":
		r.Status, r.Error = jobs.Invalid, d.invalid
	case d.ignored != "":
		r.Status, r.Error = jobs.Ignored, d.ignored
	}
	r.Users = d.userResults()
	if d.verdict != nil {
		d.verdict.Mark(r)
	}
	r.Conclude()
	d.steps.tell(r)
}

// isNoJob reports whether nothing of it is to be worked, whatever the guard would say.
func (d *delivery) isNoJob() bool { return d.invalid != "" || d.ignored != "" }

// payload is what may be published again to the same end: the message, or the job that was made of one in a form that
// may come to something else later, because keys and rules change.
func (d *delivery) payload() (data []byte, contentType string) {
	if d.format != jobs.JSON && d.format != jobs.XML && !d.isNoJob() {
		if data, err := d.job.Encode(); err == nil {
			return data, "application/json"
		}
	}
	return d.msg.Data, d.header("Content-Type")
}

// issuer is whose event the job answers; empty where it answers none.
func (d *delivery) issuer() string {
	if d.signal == nil {
		return ""
	}
	return d.signal.Issuer
}

func (d *delivery) userResults() (results []jobs.UserResult) {
	for _, u := range d.users {
		results = append(results, u.result())
	}
	return results
}

// took is how long it was from the job being stored to the last answer.
func (d *delivery) took() time.Duration { return d.completed.Sub(d.requested) }

// settledAs notes the result that is in the stream.
func (d *delivery) settledAs(stored *jobs.Result) {
	d.result, d.status, d.stored = stored, stored.Status, true
}

// set notes what became of the i-th session of a job, and reports whether it was the last.
func (d *delivery) set(i int, outcome jobs.SessionResult, now time.Time) (complete bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.targets[i]
	outcome.ID, outcome.UserID, outcome.Found = s.Spelled(), s.UserID, d.found(i)
	d.sessions[i] = outcome
	d.completed = now
	d.left--
	return d.left == 0
}

// owner is that of the i-th session; 0 when nobody has told.
func (d *delivery) owner(i int) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.targets[i].UserID
}

// giveBack notes that a session of the job is not sent by us, and reports whether it was the last
// to be decided.
func (d *delivery) giveBack() (complete bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.returned = true
	d.left--
	return d.left == 0
}
