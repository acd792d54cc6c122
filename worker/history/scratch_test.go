package history

import (
	"fmt"
	"testing"
	"time"
	"encoding/base64"

	"logoffworker/jobs"
)

func TestScratch(t *testing.T) {
	for name, f := range map[string]func(*History){
		"empty canary":      func(h *History) { h.Run.Canaries["none"] = "" },
		"basic auth":        func(h *History) { h.Outputs["log-logoff"] = []byte(base64.StdEncoding.EncodeToString([]byte("admin:" + canary))) },
		"longer base64":     func(h *History) { h.Outputs["log-logoff"] = []byte(base64.StdEncoding.EncodeToString([]byte(canary + "z\nmore"))) },
		"left by nobody":    func(h *History) { h.Left = []Stored{{Deployment: "other", Sequence: 999}} },
		"done but isn't":    func(h *History) { change(h, rejectedResult, func(r *jobs.Result) { r.Status = jobs.Done }); h.Dead = h.Dead[1:] },
		"wrong job id":      func(h *History) { h.Published[0].JobID = "other" },
		"letter reason":     func(h *History) { h.Dead[0].Header["Logoff-Reason"] = []string{"failed"} },
		"requests unsorted": func(h *History) { h.Requests[0], h.Requests[42] = h.Requests[42], h.Requests[0] },
		"secret in I6":      func(h *History) { change(h, 0, func(r *jobs.Result) { r.Sessions[0].Outcome = jobs.Undecided; r.Sessions[0].ServerText = canary; r.Conclude() }) },
		"no success":        func(h *History) { for i := range h.Requests { h.Requests[i].Success = false } },
		"fault between samples": func(h *History) {
			h.Samples = append(h.Samples, Sample{Time: at(101), Deployment: "logoff", Backlog: 9}, Sample{Time: at(110), Deployment: "logoff", Backlog: 9}, Sample{Time: at(135), Deployment: "logoff", Backlog: 9})
			h.Faults = append(h.Faults, Fault{From: at(112), To: at(130), WebServer: true})
		},
	} {
		h := good()
		f(h)
		fmt.Printf("%s: %v\n", name, h.Check(DefaultLimits()))
	}
}

func BenchmarkLong(b *testing.B) {
	m := &maker{sequence: map[string]uint64{}, h: &History{Run: Run{Canaries: map[string]string{"a": "canary-7f3a55c1", "b": "canary-aa3a55c1", "c": "canary-cc3a55c1"}}}}
	for i := range 250_000 {
		lane := jobs.Bulk
		if i%4 == 0 {
			lane = jobs.Urgent
		}
		m.done("logoff", lane, float64(i)/100, id(4*i), id(4*i+1), id(4*i+2))
	}
	for i := range 50_000 {
		var q []string
		for k := range 60 {
			q = append(q, id(4*(5*i+k%5)+k/5%3))
		}
		_ = q
	}
	for i := range 240 {
		m.h.Faults = append(m.h.Faults, Fault{From: at(float64(10 * i)), To: at(float64(10*i + 5))})
	}
	for b.Loop() {
		start := time.Now()
		if violations := m.h.Check(Limits{Settle: time.Hour, Document: 200, Repeats: 1, Requests: 3, Urgent: time.Hour, Calm: time.Second, Healthy: 30 * time.Second}); len(violations) > 0 {
			b.Fatal(violations[0])
		}
		_ = start
	}
}
