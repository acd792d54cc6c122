package history

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
)

var epoch = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return epoch.Add(time.Duration(seconds * float64(time.Second))) }

const canary = "canary-7f3a55c1"

// A maker makes a history in which every promise is kept.
type maker struct {
	h        *History
	sequence map[string]uint64
	request  int
}

func id(n int) string { return fmt.Sprintf("%08X-0000-4000-8000-000000000000", n) }

// good is a history of some dozens of jobs of all kinds, in two deployments.
func good() *History {
	m := &maker{sequence: map[string]uint64{}, h: &History{
		Run: Run{
			Versions: map[string]string{"go": "1"}, Begin: epoch, Healed: at(100), End: at(130), Poison: []string{id(666)},
			Canaries: map[string]string{"web": canary},
		},
		Outputs: map[string][]byte{"log-logoff": []byte("a line\n")},
		Faults:  []Fault{{Name: "web/503", From: at(60), To: at(90), WebServer: true, Effect: 1}},
	}}
	for i := range 20 {
		m.done("logoff", jobs.Bulk, float64(i), id(i))
		m.done("trio", jobs.Urgent, float64(i), id(100+i), id(200+i))
	}
	m.rejected("logoff", 30, id(300), id(666))
	m.malformed("logoff", 31)
	m.expired("logoff", 32, id(301))
	m.unknown("trio", 33, id(302))
	m.redelivered("trio", 34, id(303))
	m.again("logoff", 35, id(0))
	m.trimmed("logoff", 36, id(304), id(666))
	m.count()
	m.h.Queues = []Queue{{Deployment: "logoff", Lane: jobs.Bulk}, {Deployment: "logoff", Lane: jobs.Urgent}}
	for i := range 10 {
		m.h.Samples = append(m.h.Samples,
			Sample{Time: at(float64(10 * i)), Process: "w", RSS: 40 << 20, Goroutines: 30},
			Sample{Time: at(float64(10 * i)), Deployment: "logoff", Backlog: 3})
	}
	m.h.Samples = append(m.h.Samples, Sample{Time: at(5), Deployment: "logoff"}, Sample{Time: at(100), Deployment: "logoff"})
	slices.SortFunc(m.h.Samples, func(a, b Sample) int { return a.Time.Compare(b.Time) })
	return m.h
}

func (m *maker) publish(deployment string, lane jobs.Lane, t float64, sessions ...string) *Published {
	m.sequence[deployment]++
	m.h.Published = append(m.h.Published, Published{
		Deployment: deployment, Lane: lane, Subject: deployment + ".requests." + string(lane), JobID: strings.ReplaceAll(fmt.Sprintf("job-%v", t), ".", "_"), Sessions: sessions,
		State: StateStored, Sequence: m.sequence[deployment], Sent: at(t), Confirmed: at(t + 0.01),
	})
	return &m.h.Published[len(m.h.Published)-1]
}

func (m *maker) send(t float64, success bool, sessions ...string) string {
	m.request++
	r := Request{Number: m.request, Time: at(t), RequestID: fmt.Sprintf("w-%d", m.request), Sessions: sessions, Status: 400, Answered: true, Success: success}
	if success {
		r.Status, r.Applied = 200, sessions
	}
	m.h.Requests = append(m.h.Requests, r)
	return r.RequestID
}

func (m *maker) result(p *Published, t float64, r jobs.Result) {
	r.Version, r.JobID, r.Lane, r.Worker, r.Deliveries = 1, p.JobID, p.Lane, "w", max(1, r.Deliveries)
	r.RequestedAt, r.ReceivedAt, r.CompletedAt = p.Sent, at(t), at(t)
	r.Conclude()
	data, err := r.Append(nil, 0)
	if err != nil {
		panic(err)
	}
	subjects := jobs.Subjects{Prefix: p.Deployment}
	subject := subjects.Result(p.JobID, jobs.Key(p.Sequence, p.Sent))
	m.h.Results = append(m.h.Results, Stored{Deployment: p.Deployment, Subject: subject, Sequence: uint64(len(m.h.Results) + 1), Time: at(t + 0.01), Data: data})
	m.h.Acks = append(m.h.Acks, Ack{Deployment: p.Deployment, Lane: p.Lane, Sequence: p.Sequence, Time: at(t + 0.02)})
	if !r.Status.Success() {
		m.letter(p, r, subject, t)
	}
}

func (m *maker) letter(p *Published, r jobs.Result, subject string, t float64) {
	payload := p.Payload
	if !p.Malformed && !p.Held {
		job := jobs.Job{ID: p.JobID}
		for _, session := range p.Sessions {
			job.Sessions = append(job.Sessions, jobs.Session{ID: session})
		}
		payload, _ = job.Unfinished(r, at(t)).Encode()
	}
	letter := jobs.DeadLetter{Reason: r.Status, JobID: p.JobID, Subject: p.Subject, Result: subject, Sequence: p.Sequence, Stored: p.Sent, Payload: payload}
	m.h.Dead = append(m.h.Dead, Stored{Deployment: p.Deployment, Sequence: uint64(len(m.h.Dead) + 1), Time: at(t), Subject: "dead", Header: nats.Header(letter.Header()), Data: payload})
}

// held is an urgent job that was held.
func (m *maker) held(deployment string, t float64, sessions ...string) {
	p := m.publish(deployment, jobs.Urgent, t, sessions...)
	p.Held, p.Payload = true, []byte(`{"sessions":["`+strings.Join(sessions, `","`)+`"]}`)
	r := jobs.Result{Status: jobs.Held, Error: "too many"}
	for _, s := range sessions {
		r.Sessions = append(r.Sessions, jobs.SessionResult{ID: s, Outcome: jobs.HeldSession})
	}
	m.result(p, t+0.1, r)
}

func (m *maker) done(deployment string, lane jobs.Lane, t float64, sessions ...string) {
	p := m.publish(deployment, lane, t, sessions...)
	request := m.send(t+0.1, true, sessions...)
	var r jobs.Result
	for _, s := range sessions {
		r.Sessions = append(r.Sessions, jobs.SessionResult{ID: s, Outcome: jobs.Accepted, RequestID: request})
	}
	m.result(p, t+0.2, r)
}

func (m *maker) rejected(deployment string, t float64, ok, bad string) {
	p := m.publish(deployment, jobs.Bulk, t, ok, bad)
	m.send(t+0.1, false, ok, bad)
	first := m.send(t+0.2, true, ok)
	second := m.send(t+0.3, false, bad)
	m.result(p, t+0.4, jobs.Result{Sessions: []jobs.SessionResult{
		{ID: ok, Outcome: jobs.Accepted, RequestID: first},
		{ID: bad, Outcome: jobs.Rejected, RequestID: second},
	}})
}

func (m *maker) malformed(deployment string, t float64) {
	p := m.publish(deployment, jobs.Bulk, t)
	p.Malformed, p.Payload = true, []byte("{")
	m.result(p, t+0.1, jobs.Result{Status: jobs.Invalid, Error: "no JSON"})
}

func (m *maker) expired(deployment string, t float64, session string) {
	p := m.publish(deployment, jobs.Urgent, t, session)
	p.NotAfter = at(t + 1)
	m.result(p, t+1, jobs.Result{Sessions: []jobs.SessionResult{{ID: session, Outcome: jobs.Expired}}})
}

// unknown is a job that is stored without its publisher's knowledge, and one that is not.
func (m *maker) unknown(deployment string, t float64, session string) {
	m.done(deployment, jobs.Bulk, t, session)
	p := &m.h.Published[len(m.h.Published)-1]
	p.State, p.Sequence, p.Confirmed = StateUnknown, 0, time.Time{}
	m.h.Published = append(m.h.Published, Published{
		Deployment: deployment, Lane: jobs.Bulk, JobID: "never", Sessions: []string{session}, State: StateUnknown, Sent: at(t),
	})
}

// redelivered is a job that was sent by a worker that died, and again by another.
func (m *maker) redelivered(deployment string, t float64, session string) {
	p := m.publish(deployment, jobs.Bulk, t, session)
	m.send(t+0.1, true, session)
	request := m.send(t+0.5, true, session)
	m.result(p, t+0.6, jobs.Result{Deliveries: 2, Sessions: []jobs.SessionResult{{ID: session, Outcome: jobs.Accepted, RequestID: request}}})
}

// again is a job that names a session of an earlier one, spelled otherwise.
func (m *maker) again(deployment string, t float64, session string) {
	m.done(deployment, jobs.Urgent, t, strings.ToLower(session))
}

// trimmed is a job whose result had no room for details.
func (m *maker) trimmed(deployment string, t float64, ok, bad string) {
	p := m.publish(deployment, jobs.Bulk, t, ok, bad)
	m.send(t+0.1, true, ok)
	m.send(t+0.2, false, bad)
	m.result(p, t+0.3, jobs.Result{Trimmed: true, Sessions: []jobs.SessionResult{{ID: ok, Outcome: jobs.Accepted}, {ID: bad, Outcome: jobs.Rejected}}})
}

// resent adds a job whose session was ended by a request that nobody heard of, and was refused with a
// status when it was sent again.
func resent(h *History, ended string, status int, outcome jobs.Outcome) (first, second *Request) {
	m := &maker{h: h, sequence: map[string]uint64{"trio": 500}, request: 500}
	h.Run.Ended = ended
	p := m.publish("trio", jobs.Bulk, 40, id(400))
	m.send(40.1, true, id(400))
	request := m.send(40.5, false, id(400))
	m.result(p, 40.6, jobs.Result{Deliveries: 2, Sessions: []jobs.SessionResult{{ID: id(400), Outcome: outcome, RequestID: request}}})
	m.count()
	last := len(h.Requests) - 1
	first, second = &h.Requests[last-1], &h.Requests[last]
	first.Answered, second.Status = false, status
	return first, second
}

// count makes the worker's counters agree with the results.
func (m *maker) count() {
	n := Counters{Worker: "w", Final: true, Settled: map[string]int{}, Outcome: map[jobs.Outcome]int{}, Dead: map[jobs.Status]int{}}
	for _, s := range m.h.Results {
		r, err := jobs.DecodeResult(s.Data)
		if err != nil {
			panic(err)
		}
		n.Settled[string(r.Lane)+"/"+string(r.Status)]++
		for outcome, count := range r.Counts {
			n.Outcome[outcome] += count
		}
		if !r.Status.Success() {
			n.Dead[r.Status]++
		}
	}
	m.h.Counters = []Counters{n}
}

// change rewrites the i-th result.
func change(h *History, i int, f func(*jobs.Result)) {
	r, err := jobs.DecodeResult(h.Results[i].Data)
	if err != nil {
		panic(err)
	}
	f(&r)
	if h.Results[i].Data, err = r.Append(nil, 0); err != nil {
		panic(err)
	}
}

func TestKeptPromisesAreNoViolations(t *testing.T) {
	if violations := good().Check(DefaultLimits()); len(violations) > 0 {
		t.Errorf("%v", violations)
	}
}

// Places of some messages in the good history.
const (
	rejectedResult  = 40
	malformedResult = 41
	expiredResult   = 42
	unknownResult   = 43
	aloneRequest    = 42
	trimmedRequest  = 47
)

// Each way of breaking a promise is found, under its rule and with its job.
func TestBrokenPromisesAreFound(t *testing.T) {
	for name, test := range map[string]struct {
		rules, job string // all rules that it breaks, and whom the first of them blames
		breaks     func(*History)
	}{
		"a job without a result": {"I1 I9", "job-3 (logoff", func(h *History) { h.Results = slices.Delete(h.Results, 6, 7) }},
		"a job left in the stream": {"I1 L1", "job-3 (logoff", func(h *History) {
			h.Left = []Stored{{Deployment: "logoff", Sequence: 4}}
		}},
		"acknowledged before the result": {"I1", "job-3", func(h *History) { h.Acks[6].Time = at(3) }},
		"acknowledged without a result": {"I1", "logoff", func(h *History) {
			h.Acks = append(h.Acks, Ack{Deployment: "logoff", Sequence: 999, Time: at(1)})
		}},
		"not done and no dead letter":         {"I1 I9", "job-30", func(h *History) { h.Dead = h.Dead[1:] }},
		"a dead letter with too much":         {"I1", "job-30", func(h *History) { h.Dead[0].Data = []byte(`{"sessions":["` + id(300) + `","` + id(666) + `"]}`) }},
		"a dead letter that is no message":    {"I1", "job-31", func(h *History) { h.Dead[1].Data = []byte("x") }},
		"a dead letter that cannot be read":   {"I1 I9", "dead letter 1", func(h *History) { h.Dead[0].Header = nil }},
		"a result that cannot be read":        {"I1 I9", "logoff.results", func(h *History) { h.Results[0].Data = []byte("{") }},
		"two results of one message":          {"I2 I9", "job-0", func(h *History) { h.Results = append(h.Results, h.Results[0]) }},
		"a result of nobody":                  {"I2 I5", "job-0 (logoff", func(h *History) { h.Published = h.Published[1:] }},
		"a result of a refused job":           {"I2", "job-0", func(h *History) { h.Published[0].State = StateRefused }},
		"two dead letters of one result":      {"I2", "job-30", func(h *History) { h.Dead = append(h.Dead, h.Dead[0]) }},
		"a dead letter without a result":      {"I2 I1 I9", "job-30 (logoff, sequence 21)", func(h *History) { h.Results = slices.Delete(h.Results, rejectedResult, rejectedResult+1) }},
		"accepted without an answer":          {"I3", "job-0", func(h *History) { h.Requests[0].Answered = false }},
		"accepted without a success":          {"I3", "job-0", func(h *History) { h.Requests[0].Success = false }},
		"accepted by somebody else's request": {"I3", "job-0", func(h *History) { change(h, 0, func(r *jobs.Result) { r.Sessions[0].RequestID = "w-2" }) }},
		"poison accepted": {"I3 I1 I9", "job-30", func(h *History) {
			change(h, rejectedResult, func(r *jobs.Result) { r.Sessions[1].Outcome = jobs.Accepted })
		}},
		"rejected in company": {"I3", "job-30", func(h *History) { change(h, rejectedResult, func(r *jobs.Result) { r.Sessions[1].RequestID = "w-41" }) }},
		"a good session rejected": {"I3 I1 I6 I9", "job-30", func(h *History) {
			change(h, rejectedResult, func(r *jobs.Result) { r.Sessions[0].Outcome = jobs.Rejected })
		}},
		"a session forgotten": {"I4 I3 I9", "job-0 (trio", func(h *History) { change(h, 1, func(r *jobs.Result) { r.Sessions = r.Sessions[1:] }) }},
		"a session spelled otherwise": {"I4 I3", "job-0 (trio", func(h *History) {
			change(h, 1, func(r *jobs.Result) { r.Sessions[0].ID = strings.ToLower(id(100)) + "x" })
		}},
		"malformed and done":            {"I4 I2 I9", "job-31", func(h *History) { change(h, malformedResult, func(r *jobs.Result) { r.Status = jobs.Done }) }},
		"a good job invalid":            {"I4 I1 I9", "job-0", func(h *History) { change(h, 0, func(r *jobs.Result) { r.Status = jobs.Invalid }) }},
		"sent and never asked for":      {"I5", "request 1", func(h *History) { h.Requests[0].Sessions = append(h.Requests[0].Sessions, id(999)) }},
		"changed on the way":            {"I5 I3", "request 43", func(h *History) { h.Requests[42].Sessions = []string{strings.ToLower(id(666) + "A")} }},
		"sent before it was asked for":  {"I5", "request 1", func(h *History) { h.Requests[0].Time = at(-1) }},
		"sent twice in one document":    {"I5", "request 1", func(h *History) { h.Requests[0].Sessions = []string{id(0), id(0)} }},
		"more than a document may hold": {"I5", "request 1", func(h *History) { h.Requests[0].Sessions = slices.Repeat([]string{id(0)}, 201) }},
		"ended and not asked for":       {"I5", "request 1", func(h *History) { h.Requests[0].Applied = []string{id(7)} }},
		"an outage cost a job": {"I6 I1 I9", "job-0", func(h *History) {
			change(h, 0, func(r *jobs.Result) { r.Sessions[0].Outcome = jobs.Undecided; r.Conclude() })
		}},
		"undecided where ended sessions are taken":            {"I6", "job-40", func(h *History) { resent(h, "ignore", 500, jobs.Undecided) }},
		"undecided where nobody said what ended sessions get": {"I6", "job-40", func(h *History) { resent(h, "", 500, jobs.Undecided) }},
		"undecided where ended sessions are refused":          {"I6", "job-40", func(h *History) { resent(h, "error", 500, jobs.Undecided) }},
		"rejected where ended sessions get no verdict":        {"I3 I6", "job-40", func(h *History) { resent(h, "500", 200, jobs.Rejected) }},
		"rejected where ended sessions are taken":             {"I3 I6", "job-40", func(h *History) { resent(h, "ignore", 200, jobs.Rejected) }},
		"undecided and never ended": {"I6", "job-40", func(h *History) {
			first, _ := resent(h, "500", 500, jobs.Undecided)
			first.Applied, first.Success = nil, false
		}},
		"rejected and never ended": {"I3 I6", "job-40", func(h *History) {
			first, _ := resent(h, "error", 200, jobs.Rejected)
			first.Applied, first.Success = nil, false
		}},
		"undecided and ended later": {"I6", "job-40", func(h *History) {
			first, _ := resent(h, "500", 500, jobs.Undecided)
			first.Time = at(40.7)
		}},
		"rejected and ended later": {"I3 I6", "job-40", func(h *History) {
			first, _ := resent(h, "error", 200, jobs.Rejected)
			first.Time = at(40.7)
		}},
		"undecided and ended by the same request": {"I6", "job-40", func(h *History) {
			first, second := resent(h, "500", 500, jobs.Undecided)
			first.Applied, first.Success, second.Applied = nil, false, second.Sessions
		}},
		"undecided by an outage": {"I6", "job-40", func(h *History) { resent(h, "500", 503, jobs.Undecided) }},
		"undecided without an answer": {"I6", "job-40", func(h *History) {
			_, second := resent(h, "500", 500, jobs.Undecided)
			second.Answered = false
		}},
		"undecided in company": {"I6", "job-40", func(h *History) {
			_, second := resent(h, "500", 500, jobs.Undecided)
			second.Sessions = []string{id(400), id(0)}
		}},
		"expired before its time":        {"I6", "job-32", func(h *History) { h.Published[expiredResult].NotAfter = at(50) }},
		"an urgent job waited":           {"I8", "job-0 (trio", func(h *History) { h.Requests[1].Time = at(2.5) }},
		"counted too much":               {"I9", "w", func(h *History) { h.Counters[0].Settled["bulk/done"]++ }},
		"counted too little":             {"I9", "w", func(h *History) { h.Counters[0].Outcome[jobs.Accepted]-- }},
		"counted a dead letter too many": {"I9", "w", func(h *History) { h.Counters[0].Dead[jobs.Invalid]++ }},
		"a secret in a log":              {"I10", "log-logoff", func(h *History) { h.Outputs["log-logoff"] = []byte("password=" + canary) }},
		"a secret in a result, encoded": {"I10", "result 1", func(h *History) {
			change(h, 0, func(r *jobs.Result) { r.Reason = base64.StdEncoding.EncodeToString([]byte(canary)) })
		}},
		"settled too late":  {"L1 I1", "run", func(h *History) { h.Results[0].Time = at(161) }},
		"jobs left in hand": {"L1", "logoff", func(h *History) { h.Queues[0].AckPending = 1 }},
		"a stranded job": {"L1 I1", "logoff", func(h *History) {
			h.Left = []Stored{{Deployment: "logoff", Sequence: 4}}
		}},
		"nothing settled while all was well": {"L2", "logoff", func(h *History) {
			h.Samples = append(h.Samples, Sample{Time: at(101), Deployment: "logoff", Backlog: 9}, Sample{Time: at(135), Deployment: "logoff", Backlog: 9})
		}},
		"memory grew":     {"L3", "w", func(h *History) { h.Samples = append(h.Samples, Sample{Time: at(120), Process: "w", RSS: 400 << 20}) }},
		"goroutines grew": {"L3", "w", func(h *History) { h.Samples = append(h.Samples, Sample{Time: at(120), Process: "w", Goroutines: 90}) }},
		"left by nobody": {"I1 L1", "sequence 999", func(h *History) {
			h.Left = []Stored{{Deployment: "trio", Sequence: 999}}
		}},
		"left although its publisher does not know": {"I1 I2 L1", "job-33 (trio)", func(h *History) {
			h.Left = []Stored{{Deployment: "trio", Sequence: 21, Header: map[string][]string{"Nats-Msg-Id": {"job-33"}}}}
			h.Results[unknownResult].Deployment = "solo"
			h.Acks = slices.Delete(h.Acks, unknownResult, unknownResult+1)
		}},
		"a result that says another subject": {"I1", "logoff.results.job-0", func(h *History) {
			change(h, 0, func(r *jobs.Result) { r.RequestedAt = at(0.001) })
		}},
		"a result under no key": {"I1 I9", "logoff.results.job-0.x", func(h *History) { h.Results[0].Subject = "logoff.results.job-0.x" }},
		"a dead letter of another reason": {"I1", "job-30 (logoff, sequence 21)", func(h *History) {
			h.Dead[0].Header["Logoff-Reason"] = []string{"failed"}
		}},
		"a dead letter of another job": {"I1", "job-30 (logoff, sequence 21)", func(h *History) {
			h.Dead[0].Header["Logoff-Sequence"] = []string{"22"}
		}},
		"a dead letter that cannot be published again": {"I1", "job-30 (logoff, sequence 21)", func(h *History) { h.Dead[0].Data = []byte("{}") }},
		"done and a dead letter": {"I2 I4", "job-31 (logoff, sequence 22)", func(h *History) {
			change(h, malformedResult, func(r *jobs.Result) { r.Status = jobs.Done })
			h.Counters = nil
		}},
		"accepted and a dead letter": {"I2 I3 I9", "job-30 (logoff, sequence 21)", func(h *History) {
			change(h, rejectedResult, func(r *jobs.Result) { r.Status = jobs.AcceptedJob })
		}},
		"only accepted, and said to be done": {"I3", "job-0 (logoff", func(h *History) {
			change(h, 0, func(r *jobs.Result) { r.Status = jobs.Done })
			h.Counters = nil
		}},
		"results of two messages of a job that was sent once": {"I2", "job-33 (trio)", func(h *History) {
			again := h.Results[unknownResult]
			again.Subject = "trio.results.job-33." + jobs.Key(88, at(33))
			h.Results, h.Counters = append(h.Results, again), nil
		}},
		"done, and a session is not": {"I3 I2", "job-30", func(h *History) {
			change(h, rejectedResult, func(r *jobs.Result) { r.Status = jobs.Done })
			h.Counters = nil
		}},
		"outcomes counted wrongly":                 {"I3", "job-0 (logoff", func(h *History) { change(h, 0, func(r *jobs.Result) { r.Counts[jobs.Accepted]++ }) }},
		"accepted without details, and never sent": {"I3", "job-36", func(h *History) { h.Requests[trimmedRequest].Success = false }},
		"rejected without details, and never alone": {"I3", "job-36", func(h *History) {
			h.Requests[trimmedRequest+1].Sessions = []string{id(304), id(666)}
			h.Requests[aloneRequest].Time = at(37) // too late for it
		}},
		"a result in another job's name": {"I4", "other (logoff, sequence 25)", func(h *History) {
			h.Published[len(h.Published)-1].JobID = "other"
		}},
		"sessions in another order": {"I4", "job-0 (trio", func(h *History) {
			change(h, 1, func(r *jobs.Result) { slices.Reverse(r.Sessions) })
		}},
		"a session of a malformed message was sent": {"I5", "request 1 ", func(h *History) {
			h.Published[malformedResult].Sessions = []string{id(700)}
			h.Requests[0].Sessions = append(h.Requests[0].Sessions, id(700))
		}},
		"protected without need": {"I6 I1", "job-0 (logoff", func(h *History) {
			change(h, 0, func(r *jobs.Result) { r.Sessions[0].Outcome = jobs.Protected; r.Conclude() })
			h.Counters = nil
		}},
		"expired without a deadline": {"I6", "job-32", func(h *History) { h.Published[expiredResult].NotAfter = time.Time{} }},
		"a killed worker counted what it did not store": {"I9", "w", func(h *History) {
			h.Counters[0].Final = false
			h.Counters[0].Outcome[jobs.Rejected]++
		}},
		"a secret in a dead letter's header": {"I10", "dead letter 1 of logoff", func(h *History) { h.Dead[0].Header["Logoff-Error"] = []string{canary} }},
		"a secret in a job that is left": {"I10 I1 L1", "job left 4 of logoff", func(h *History) {
			h.Left = []Stored{{Deployment: "logoff", Sequence: 4, Data: []byte(canary)}}
		}},
		"a secret in the words of the server": {"I10 I1 I6", "result 1", func(h *History) {
			change(h, 0, func(r *jobs.Result) {
				r.Sessions[0].Outcome, r.Sessions[0].ServerText = jobs.Undecided, canary
				r.Conclude()
			})
			h.Counters = nil
		}},
		"a secret that is none": {"I10", "canary empty", func(h *History) { h.Run.Canaries["empty"] = "" }},
		"too few settled while all was well": {"L2", "trio", func(h *History) {
			h.Samples = []Sample{{Time: at(0), Deployment: "trio", Backlog: 9}, {Time: at(31), Deployment: "trio", Backlog: 9}}
			for i := 9; i < len(h.Results); i++ {
				h.Results[i].Time = at(95)
			}
			h.Acks = nil
		}},
		"too many repeats": {"B1", "run", func(h *History) {
			for i := range 20 {
				h.Requests = append(h.Requests, h.Requests[2*i])
			}
		}},
		"too many requests": {"B2", "run", func(h *History) {
			for i := range 200 {
				h.Requests = append(h.Requests, Request{Number: 100 + i, Time: at(95), Sessions: []string{id(0)}, Status: 503, Answered: true})
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := good()
			test.breaks(h)
			violations := h.Check(DefaultLimits())
			if rules := rulesOf(violations); rules != sortedFields(test.rules) {
				t.Errorf("want the rules %s, got %s: %v", test.rules, rules, violations)
			}
			rule, _, _ := strings.Cut(test.rules, " ")
			if !slices.ContainsFunc(violations, func(v Violation) bool { return v.Rule == rule && strings.Contains(v.Job, test.job) }) {
				t.Errorf("want %s for %s, got %v", rule, test.job, violations)
			}
			for _, v := range violations {
				if strings.Contains(v.String(), canary) {
					t.Errorf("the verdict itself holds the secret: %v", v)
				}
			}
		})
	}
}

func rulesOf(violations []Violation) string {
	var rules []string
	for _, v := range violations {
		rules = append(rules, v.Rule)
	}
	return strings.Join(slices.Compact(rules), " ")
}

func sortedFields(text string) string {
	return strings.Join(slices.Sorted(slices.Values(strings.Fields(text))), " ")
}

// What happens in a good run must not look like a broken promise.
func TestGoodRunsAreNotBlamed(t *testing.T) {
	for name, change := range map[string]func(*History){
		"stored twice under one id": func(h *History) { h.Published[0].Retried, h.Published[0].Sequence = true, 77 },
		"a session named twice": func(h *History) {
			h.Published[0].Sessions = slices.Repeat(h.Published[0].Sessions, 2)
		},
		"requests written down in another order": func(h *History) { slices.Reverse(h.Requests) },
		"results written down in another order":  func(h *History) { slices.Reverse(h.Results) },
		"a killed worker stored more than it counted": func(h *History) {
			h.Counters[0].Final = false
			h.Counters[0].Settled["bulk/done"]--
		},
		"nothing settled while the Web Server was down": func(h *History) {
			for _, t := range []float64{101, 110, 131, 135} {
				h.Samples = append(h.Samples, Sample{Time: at(t), Deployment: "logoff", Backlog: 9})
			}
			h.Faults = append(h.Faults, Fault{From: at(111), To: at(129), WebServer: true})
		},
		"an urgent job waited for a fault to heal": func(h *History) {
			h.Requests[1].Time = at(2.5)
			h.Faults = append(h.Faults, Fault{From: at(0), To: at(2)})
		},
		"a fault that had not healed at the end": func(h *History) {
			h.Requests[1].Time = at(2.5)
			h.Faults = append(h.Faults, Fault{From: at(0)})
		},
		"ended before, and no verdict about it":   func(h *History) { resent(h, "500", 500, jobs.Undecided) },
		"ended before, and refused because of it": func(h *History) { resent(h, "error", 200, jobs.Rejected) },
		"ended by a request at the same time, and refused because of it": func(h *History) {
			first, second := resent(h, "error", 200, jobs.Rejected)
			first.Time, second.Time = second.Time, first.Time
		},
		"ended beside one that failed, and no verdict about it": func(h *History) {
			first, _ := resent(h, "500", 500, jobs.Undecided)
			first.Success = false
		},
		"nothing at all": func(h *History) { *h = History{} },
	} {
		t.Run(name, func(t *testing.T) {
			h := good()
			change(h)
			if violations := h.Check(DefaultLimits()); len(violations) > 0 {
				t.Errorf("%v", violations)
			}
		})
	}
}

func TestManyViolationsAreCounted(t *testing.T) {
	h := good()
	for i := range 500 {
		h.Acks = append(h.Acks, Ack{Deployment: "logoff", Sequence: uint64(1000 + i)})
	}
	violations := h.Check(DefaultLimits())
	if len(violations) != mostShown+1 || !strings.Contains(violations[mostShown].Why, "400 more") {
		t.Errorf("%d violations, the last is %v", len(violations), violations[len(violations)-1])
	}
}

func TestFiguresAreThoseOfTheHistory(t *testing.T) {
	f := good().Figures(DefaultLimits())
	if f.Published != 48 || f.Stored != 46 || f.Unknown != 2 || f.Redelivered != 1 || f.MostDeliveries != 2 || f.Results[jobs.AcceptedJob] != 43 || f.DeadLetters != 4 || f.Requests != 49 || f.Successes != 46 ||
		f.Sessions != 65 || f.Repeats != 1./65 || f.Stalls["logoff"] != 11200*time.Millisecond || f.UrgentCalm != 100*time.Millisecond {
		t.Errorf("%+v", f)
	}
}

func BenchmarkCheck(b *testing.B) {
	m := &maker{sequence: map[string]uint64{}, h: &History{Run: Run{Healed: at(1000)}}}
	for i := range 100_000 {
		m.done("logoff", jobs.Bulk, float64(i)/100, id(i))
	}
	b.ReportAllocs()
	for b.Loop() {
		if violations := m.h.Check(Limits{Settle: time.Hour, Document: 200, Repeats: 1, Requests: 3}); len(violations) > 0 {
			b.Fatal(violations[0])
		}
	}
}
