package worker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
)

// What is pulled is worked once: not what is no job, what is in hand, what is settled, or what has nothing to send.
func TestOnlyWhatIsToBeSentIsReceived(t *testing.T) {
	const guid, protected = "CF1C660B-396F-44B7-86DA-5608CEC97453", "CF1C660B-396F-44B7-86DA-5608CEC97454"
	withItsStreams(t, func(w *Worker) { w.Config.ProtectedSessions = []string{protected} }, func(t *testing.T, w withStreams) {
		js, l := w.jetStream(t), w.newLane(jobs.Urgent)
		for i, data := range []string{
			jobWith(guid), jobWith(protected), "no job", jobWith(protected, guid), `{"users":[{"id":7}]}`, jobWith("wrong!", guid), jobWith(guid),
		} {
			subject := "logoff.requests"
			if i == 3 {
				subject += ".urgent.idp"
			}
			if _, err := js.Publish(t.Context(), subject, []byte(data)); err != nil {
				t.Fatal(err)
			}
		}
		msgs, err := l.pulls.Pull(20, time.Second)
		if err != nil || len(msgs) != 7 {
			t.Fatal(len(msgs), err)
		}
		settled := l.newDelivery(msgs[6], time.Now(), time.Now())
		settled.job.ID = jobs.Key(settled.sequence, settled.requested)
		var r jobs.Result
		settled.targets, settled.sessions = []jobs.Session{{ID: guid}}, []jobs.SessionResult{{ID: guid, Outcome: jobs.Accepted}}
		settled.conclude(&r, "other")
		stored, err := r.Append(nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), w.settler.resultSubject(settled), stored); err != nil {
			t.Fatal(err)
		}
		pulled := time.Now().Add(-time.Second)
		work := l.receive(msgs[:6], pulled)
		l.latest = 1000 // the server was killed, and brings back what had left
		work = append(work, l.receive(append(msgs, nats.NewMsg("no.job")), pulled)...)
		w.settler.running.Wait()
		var seen []string
		for _, d := range work {
			seen = append(seen, fmt.Sprintf("%d:%d", d.sequence, d.left))
			if !d.lease.Equal(pulled.Add(w.streams.AckWait())) || (d.publisher == "idp") != (d.sequence == 4) {
				t.Errorf("%d of %q: the lease ends at %v", d.sequence, d.publisher, d.lease)
			}
		}
		if got := strings.Join(seen, " "); got != "1:1 4:1 5:1 6:1" {
			t.Errorf("to be sent: %s", got)
		}
		if n := w.leases.count(); n != 4 || w.leases.weightOf(jobs.Urgent) != 6 {
			t.Errorf("%d jobs in hand, of %d sessions", n, w.leases.weightOf(jobs.Urgent))
		}
		if !strings.Contains(w.lines.String(), "that JetStream did not send as jobs") || strings.Contains(w.lines.String(), "jobs came again") {
			t.Errorf("it says %s", w.lines)
		}
	})
}

func jobWith(ids ...string) string { return `{"sessions":["` + strings.Join(ids, `","`) + `"]}` }

// Jobs that somebody took and did not settle are told; those that are settled, or came for the first time, are not.
func TestJobsThatCameAgainUnsettledAreTold(t *testing.T) {
	for _, test := range []struct {
		jobs []*delivery
		says string
	}{
		{nil, ""},
		{[]*delivery{{deliveries: 1}, {deliveries: 2, stored: true}}, ""},
		{[]*delivery{{deliveries: 1}, {deliveries: 2}, {deliveries: 3}}, "2 jobs came again"},
	} {
		w := newTold()
		(&lane{w: w.Worker, name: jobs.Urgent}).tellUnsettled(test.jobs)
		if !strings.Contains(w.lines.String(), test.says) || (w.lines.Len() == 0) != (test.says == "") {
			t.Errorf("%d jobs: it says %q", len(test.jobs), w.lines)
		}
	}
}
