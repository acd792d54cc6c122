package history

import (
	"slices"
	"testing"
	"time"

	"logoffworker/jobs"
)

// act is what an operator wrote down.
func (m *maker) act(t float64, a jobs.Act) {
	data, err := a.Encode()
	if err != nil {
		panic(err)
	}
	m.h.Acts = append(m.h.Acts, Stored{Deployment: "logoff", Subject: "logoff.audit.act." + string(a.Verb) + "." + a.Who, Time: at(t), Data: data})
}

// operated is a history of a lane that was paused while the other went on, of a job that was held and approved, of one
// that was held and denied, and of a dead letter that was published again.
func operated() *maker {
	m := &maker{sequence: map[string]uint64{}, h: &History{Run: Run{Begin: epoch, Healed: at(1), End: at(60), Poison: []string{id(666)}}, Outputs: map[string][]byte{}}}
	m.done("logoff", jobs.Bulk, 1, id(1))
	m.act(2, jobs.Act{Verb: jobs.ActPause, Who: "jane", Lane: jobs.Bulk, Until: at(3602)})
	m.done("logoff", jobs.Bulk, 3.5, id(2)) // sent at 3.6: the pause was not heard of
	m.done("logoff", jobs.Urgent, 8, id(3))
	m.act(12, jobs.Act{Verb: jobs.ActResume, Who: "jane", Lane: jobs.Bulk})
	m.done("logoff", jobs.Bulk, 13, id(4))

	m.held("logoff", 20, id(5), id(6))
	held := m.h.Results[len(m.h.Results)-1].Subject
	m.dealt(21, jobs.ActApprove)
	m.done("logoff", jobs.Urgent, 22.5, id(5), id(6)) // a job that is held waits for a person, not for the worker
	m.last(func(p *Published, r *jobs.Result) { p.Approves, r.Approves, r.ApprovedBy = held, held, "jane" })

	m.held("logoff", 24, id(7), id(8))
	m.dealt(25, jobs.ActDeny)

	m.rejected("logoff", 30, id(9), id(666))
	key := m.dealt(31, jobs.ActReplay)
	m.rejected("logoff", 32, id(10), id(666))
	m.last(func(p *Published, r *jobs.Result) { p.Replays, r.Labels = key, map[string]string{replayLabel: key} })
	m.count()
	return m
}

// dealt takes the latest dead letter off the list, as an act says before, and returns its key.
func (m *maker) dealt(t float64, verb jobs.Verb) (key string) {
	letter, err := jobs.DecodeDeadLetter(m.h.Dead[len(m.h.Dead)-1].Header, m.h.Dead[len(m.h.Dead)-1].Data)
	if err != nil {
		panic(err)
	}
	_, key, _ = jobs.Subjects{Prefix: "logoff"}.ResultOf(letter.Result)
	m.act(t, jobs.Act{Verb: verb, Who: "jane", Jobs: []string{key}})
	m.h.Dead = m.h.Dead[:len(m.h.Dead)-1]
	return key
}

// last changes the latest job and its result; its publisher does not know its sequence.
func (m *maker) last(f func(*Published, *jobs.Result)) {
	p := &m.h.Published[len(m.h.Published)-1]
	p.Sequence = 0
	change(m.h, len(m.h.Results)-1, func(r *jobs.Result) { f(p, r) })
}

// backOnList has the operator publish the latest job's letter once more, which was back on the list.
func (m *maker) backOnList(state State) {
	p := m.h.Published[len(m.h.Published)-1]
	if p.State, p.Sent = state, at(40); state == StateUnknown {
		p.Confirmed = time.Time{}
	}
	m.h.Published = append(m.h.Published, p)
}

// twice has the latest result a second time, of another message.
func (m *maker) twice(i int) {
	s := m.h.Results[i]
	r, err := jobs.DecodeResult(s.Data)
	if err != nil {
		panic(err)
	}
	s.Subject = jobs.Subjects{Prefix: "logoff"}.Result(r.JobID, jobs.Key(99, r.RequestedAt))
	m.h.Results = append(m.h.Results, s)
	m.h.Counters = nil
}

// What operators do is written down, done once, and heeded.
func TestActsOfOperatorsAreHeeded(t *testing.T) {
	const approved, replayed = 6, 9 // results
	for name, test := range map[string]struct {
		rule string
		harm func(*maker)
	}{
		"nothing":                          {"", func(*maker) {}},
		"sent two seconds after the pause": {"I11", func(m *maker) { m.h.Requests[1].Time = at(4.1) }},
		"sent before it was resumed":       {"I11", func(m *maker) { m.h.Requests[1].Time = at(11.9) }},
		"sent though never resumed":        {"I11", func(m *maker) { m.h.Acts = slices.Delete(m.h.Acts, 1, 2) }},
		"sent after the pause was over":    {"", func(m *maker) { m.h.Requests[1].Time = at(12.1) }},
		"sent when its time was over": {"", func(m *maker) {
			m.h.Acts[0].Data, _ = jobs.Act{Verb: jobs.ActPause, Who: "jane", Lane: jobs.Bulk, Until: at(4)}.Encode()
			m.h.Requests[1].Time = at(11)
		}},
		"a network that is slow": {"", func(m *maker) {
			m.h.Faults = []Fault{{Name: "web/slow", From: at(3), To: at(5), WebServer: true, Effect: 1}}
			m.h.Requests[1].Time = at(6)
		}},
		"a Web Server that is down": {"I11", func(m *maker) {
			m.h.Faults = []Fault{{Name: "web/503", From: at(3), To: at(12), WebServer: true, Effect: 1}}
			m.h.Requests[1].Time = at(9.5)
		}},
		"NATS was not there": {"", func(m *maker) {
			m.h.Faults = []Fault{{Name: "nats/cut", From: at(2), To: at(6), Effect: 1}}
			m.h.Requests[1].Time = at(9)
		}},
		"NATS was there again": {"I11", func(m *maker) {
			m.h.Faults = []Fault{{Name: "nats/cut", From: at(2), To: at(3), Effect: 1}}
			m.h.Requests[1].Time = at(11)
		}},
		"the other lane named it, too": {"", func(m *maker) {
			m.h.Requests[1].Time = at(9)
			m.h.Published[2].Sessions = append(m.h.Published[2].Sessions, id(2))
			m.h.Requests[2].Sessions = append(m.h.Requests[2].Sessions, id(2))
			m.h.Requests[2].Applied = m.h.Requests[2].Sessions
			change(m.h, 2, func(r *jobs.Result) {
				r.Sessions = append(r.Sessions, jobs.SessionResult{ID: id(2), Outcome: jobs.Accepted, RequestID: m.h.Requests[2].RequestID})
				r.Conclude()
			})
			m.count()
		}},
		"an urgent job waits while its lane is paused": {"", func(m *maker) {
			m.act(7.5, jobs.Act{Verb: jobs.ActPause, Who: "jane", Lane: jobs.Urgent, Until: at(3602)})
			m.act(12, jobs.Act{Verb: jobs.ActResume, Who: "jane", Lane: jobs.Urgent})
			m.h.Requests[2].Time = at(13)
		}},
		"an urgent job waits while bulk is paused": {"I8", func(m *maker) { m.h.Requests[2].Time = at(13) }},
		"approved without an act": {"I12", func(m *maker) {
			m.h.Acts[2].Data, _ = jobs.Act{Verb: jobs.ActDeny, Who: "jane", Jobs: m.acted(2)}.Encode()
		}},
		"approved before the act": {"I12", func(m *maker) { m.h.Acts[2].Time = at(23) }},
		"approved by somebody else": {"I12", func(m *maker) {
			m.h.Acts[2].Data, _ = jobs.Act{Verb: jobs.ActApprove, Who: "tim", Jobs: m.acted(2)}.Encode()
		}},
		"an act of nonsense":              {"I12", func(m *maker) { m.h.Acts[0].Data = []byte("{") }},
		"approved twice":                  {"I2", func(m *maker) { m.twice(approved - 1) }},
		"published again twice":           {"I2", func(m *maker) { m.twice(replayed - 1) }},
		"the approved job is lost":        {"I1", func(m *maker) { m.h.Results = slices.Delete(m.h.Results, approved-1, approved) }},
		"the one published again is lost": {"I1", func(m *maker) { m.h.Results = slices.Delete(m.h.Results, replayed-1, replayed) }},
		"a letter came again and was published again, which was done": {"", func(m *maker) { m.backOnList(StateStored) }},
		"nobody knows whether that was done":                          {"", func(m *maker) { m.backOnList(StateUnknown) }},
		"only the second call was seen to have done it": {"", func(m *maker) {
			m.backOnList(StateStored)
			m.h.Published[len(m.h.Published)-2].State = StateUnknown
		}},
		"a job of two calls is lost": {"I1", func(m *maker) {
			m.backOnList(StateStored)
			m.h.Results = slices.Delete(m.h.Results, replayed-1, replayed)
		}},
		"a job of a call that is not known to have stored it is lost": {"I1", func(m *maker) {
			m.backOnList(StateUnknown)
			m.h.Results = slices.Delete(m.h.Results, replayed-1, replayed)
		}},
		"two calls stored it twice": {"I2", func(m *maker) {
			m.backOnList(StateStored)
			m.twice(replayed - 1)
		}},
		"what is held came again and was approved again": {"", func(m *maker) {
			i := slices.IndexFunc(m.h.Published, func(p Published) bool { return p.Approves != "" })
			m.h.Published = append(m.h.Published, m.h.Published[i])
		}},
		"a letter is gone without an act": {"I1", func(m *maker) { m.h.Acts = slices.Delete(m.h.Acts, 3, 4) }},
		"denied and sent":                 {"I5", func(m *maker) { m.send(26, false, id(7)) }},
	} {
		m := operated()
		test.harm(m)
		found := m.h.Check(DefaultLimits())
		has := slices.ContainsFunc(found, func(v Violation) bool { return v.Rule == test.rule })
		if test.rule == "" && len(found) > 0 || test.rule != "" && !has {
			t.Errorf("%s: want %q, got %v", name, test.rule, found)
		}
	}
}

// acted are the jobs of the i-th act.
func (m *maker) acted(i int) []string {
	a, err := jobs.DecodeAct(m.h.Acts[i].Data)
	if err != nil {
		panic(err)
	}
	return a.Jobs
}

// While a lane rests, its jobs need not flow.
func TestPausedLaneNeedNotFlow(t *testing.T) {
	for _, paused := range []bool{false, true} {
		h := good()
		m := &maker{h: h}
		h.Faults, h.Results = nil, slices.DeleteFunc(h.Results, func(s Stored) bool { return s.Deployment == "logoff" })
		for i := range 20 {
			h.Samples = append(h.Samples, Sample{Time: at(float64(101 + 5*i)), Deployment: "logoff", Backlog: 9})
		}
		if paused {
			m.act(5, jobs.Act{Verb: jobs.ActPause, Who: "jane", Lane: jobs.Bulk, Until: at(400)})
		}
		flows := !slices.ContainsFunc(h.Check(DefaultLimits()), func(v Violation) bool { return v.Rule == "L2" && v.Job == "logoff" })
		if flows != paused {
			t.Errorf("paused is %t, and that it flows is %t", paused, flows)
		}
	}
}
