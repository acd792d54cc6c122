package history

import (
	"slices"
	"testing"

	"logoffworker/jobs"
)

// heldAndApproved is a history of one job that was held and approved at once, and of another that was held.
func heldAndApproved() *maker {
	m := &maker{sequence: map[string]uint64{}, h: &History{Run: Run{Begin: epoch, Healed: at(1), End: at(60)}, Outputs: map[string][]byte{}}}
	m.held("logoff", 1, id(1), id(2))
	m.done("logoff", jobs.Urgent, 2, id(1), id(2))
	m.held("logoff", 3, id(3), id(4))
	m.count()
	return m
}

// A job that is held asks for nothing: until it is approved, or another job names them, its sessions are not sent.
func TestHeldJobAsksForNothing(t *testing.T) {
	for name, test := range map[string]struct {
		rule string
		harm func(*maker)
	}{
		"nothing": {"", func(*maker) {}},
		"another job names it": {"", func(m *maker) {
			m.done("logoff", jobs.Bulk, 4, id(3))
			m.h.Counters = nil
			m.count()
		}},
		"sent though held":       {"I5", func(m *maker) { m.send(4, false, id(3)) }},
		"sent before approval":   {"I5", func(m *maker) { m.send(1.5, false, id(1)) }},
		"worked though too much": {"I5", func(m *maker) { m.h.Published[1].Held = true }},
		"held though not":        {"I5", func(m *maker) { m.h.Published[2].Held = false }},
		"ignored": {"I4", func(m *maker) {
			m.result(m.publish("logoff", jobs.Bulk, 5, id(5)), 5.1, jobs.Result{Status: jobs.Ignored, Error: "worked before"})
		}},
		"letter not as it came": {"I1", func(m *maker) { m.h.Published[2].Payload = []byte("{}") }},
		"approval lost": {"I1", func(m *maker) {
			m.h.Results = slices.Delete(m.h.Results, 1, 2)
		}},
	} {
		m := heldAndApproved()
		test.harm(m)
		found := m.h.Check(DefaultLimits())
		has := slices.ContainsFunc(found, func(v Violation) bool { return v.Rule == test.rule })
		if test.rule == "" && len(found) > 0 || test.rule != "" && !has {
			t.Errorf("%s: want %q, got %v", name, test.rule, found)
		}
	}
}
