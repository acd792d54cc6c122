package worker

import (
	"strings"
	"testing"

	"logoffworker/jobs"
)

// What the list of its owner shows as off leaves a document that met no verdict, unless nothing is to be read back.
// What is on, is in no list, or is nobody's is sent again.
func TestSessionsThatAreOffLeaveTheirDocument(t *testing.T) {
	for readBack, want := range map[bool]string{true: "on gone refused nobodys", false: "off on gone refused nobodys"} {
		w, _ := listsOf(t, func(w *Worker) { w.Config.ReadBack = readBack }, map[int64][]listRow{1: {{id: "on"}, {id: "off", off: true}}})
		q := newQueue(true)
		s := &sender{w: w, lane: jobs.Urgent, queue: q, reader: &reader{w: w}}
		d := jobNaming("off", "on", "gone", "refused", "nobodys", "rest")
		for i, owner := range []int64{1, 1, 1, 2} {
			d.targets[i].UserID = owner
		}
		kept := s.withoutEnded(queued(q, d)[:5], "w-1")
		if got := strings.Join(kept.ids(), " "); got != want {
			t.Errorf("read back %t: %s are sent again, want %s", readBack, got, want)
		}
		if off := d.sessions[0]; readBack && (off.Outcome != jobs.AlreadyLoggedOff || off.RequestID != "w-1" || d.left != 5) || !readBack && d.left != 6 {
			t.Errorf("read back %t: %+v, %d are left", readBack, off, d.left)
		}
	}
}
