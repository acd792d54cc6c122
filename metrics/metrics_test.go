package metrics

import (
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"logoffworker/jobs"
)

var update = flag.Bool("update", false, "write the golden list of metrics anew")

var discard = slog.New(slog.DiscardHandler)

func newMetrics(t *testing.T) (*Metrics, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	return New(reg, Build{Version: "test", Revision: "abc", GoVersion: "go"}), reg
}

// ours are the families that this package defines.
func ours(t *testing.T, reg prometheus.Gatherer) (families []*dto.MetricFamily) {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range all {
		if strings.HasPrefix(family.GetName(), "logoff_") {
			families = append(families, family)
		}
	}
	return families
}

func TestNamesFollowTheRules(t *testing.T) {
	_, reg := newMetrics(t)
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
	for _, family := range ours(t, reg) {
		if family.GetHelp() == "" {
			t.Errorf("%s has no help", family.GetName())
		}
	}
}

// The golden list is what README.md shows: name, type, labels and meaning of every metric.
func TestListOfMetricsIsGolden(t *testing.T) {
	m, reg := newMetrics(t)
	reg.MustRegister(NewHealth(discard, "webserver"))
	m.Queue(jobs.Urgent, 0, 0, 0)
	m.Stranded(0)
	m.OldestJob(jobs.Urgent, time.Now())
	m.PausedUntil(jobs.Urgent, time.Now())
	m.DeadLetters(nil)
	m.Stream("requests", 1, 1)
	m.Storage(1, 1)
	m.Budget("reads", 1, 1)
	m.Stored(0, 0)
	m.lastSuccess.setTime(time.Now())
	m.ClockDifference(0)
	m.Digested(time.Now(), 0)
	var list strings.Builder
	for _, family := range ours(t, reg) {
		var labels []string
		for _, label := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, label.GetName())
		}
		name := family.GetName()
		if len(labels) > 0 {
			name += "{" + strings.Join(labels, ",") + "}"
		}
		fmt.Fprintf(&list, "%-58s %-9s %s\n", name, strings.ToLower(family.GetType().String()), family.GetHelp())
	}
	golden(t, "testdata/metrics.txt", list.String())
}

// golden compares a list of metrics with a file, which -update writes.
func golden(t *testing.T, path, list string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(list), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != list {
		t.Errorf("the metrics are not those of %s; after a change on purpose, run the test with -update. They are:\n%s", path, list)
	}
}

func TestEveryLabelValueExistsAtZero(t *testing.T) {
	_, reg := newMetrics(t)
	want := map[string]int{
		"logoff_jobs_received_total":                len(jobs.Lanes),
		"logoff_jobs_settled_total":                 len(jobs.Lanes) * len(jobs.Statuses),
		"logoff_sessions_total":                     len(jobs.Outcomes),
		"logoff_users_total":                        len(jobs.UserOutcomes),
		"logoff_jobs_format_total":                  len(jobs.Formats),
		"logoff_time_to_logoff_seconds":             len(jobs.Lanes),
		"logoff_event_to_off_seconds":               len(jobs.Lanes),
		"logoff_revocation_seconds":                 1,                      // of no issuer of the file
		"logoff_dead_letters_total":                 len(jobs.Statuses) - 3, // not done, accepted or ignored
		"logoff_webserver_requests_total":           len(operations) * len(verdicts),
		"logoff_webserver_request_duration_seconds": len(operations),
		"logoff_webserver_circuit_breaker":          len(breakerStates),
		"logoff_store_errors_total":                 len(streams),
		"logoff_nats_errors_total":                  len(natsErrors),
	}
	for _, family := range ours(t, reg) {
		if n, listed := want[family.GetName()]; listed && len(family.GetMetric()) != n {
			t.Errorf("%s has %d label values, want %d", family.GetName(), len(family.GetMetric()), n)
		}
		delete(want, family.GetName())
	}
	for name := range want {
		t.Errorf("%s does not exist before it counts", name)
	}
}

func sessions(outcome jobs.Outcome, n int) []jobs.SessionResult {
	return slices.Repeat([]jobs.SessionResult{{Outcome: outcome}}, n)
}

func TestEventsAreCounted(t *testing.T) {
	m, reg := newMetrics(t)
	m.Received(jobs.Bulk, 3)
	m.Redelivered(jobs.Bulk, 1)
	m.AlreadySettled(1)
	var settled Settlement
	settled.Add(SettledJob{Lane: jobs.Urgent, Status: jobs.Done, Sessions: sessions(jobs.Accepted, 2), Took: 40 * time.Millisecond})
	settled.Add(SettledJob{Lane: jobs.Urgent, Status: jobs.Failed, Sessions: sessions(jobs.Undecided, 1), Took: time.Hour})
	m.Settled(&settled)
	m.DeadLettered(jobs.Failed)
	m.Called("logoff", "accepted", 200, 40*time.Millisecond)
	m.Called("logoff", "a name from outside", 1, time.Second)
	m.Slots(jobs.Urgent, 1)
	m.Breaker("open")
	m.Queue(jobs.Bulk, 5, 2, 1)
	m.Stranded(4)
	m.NATSConnected(true)
	m.StoreFailed("results")
	m.HandedBack(7)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := gathered(families)
	for _, test := range []struct {
		name, label, value string
		want               float64
	}{
		{"logoff_jobs_received_total", "lane", "bulk", 3},
		{"logoff_jobs_redelivered_total", "lane", "bulk", 1},
		{"logoff_jobs_already_settled_total", "", "", 1},
		{"logoff_jobs_settled_total", "status", "done", 1},
		{"logoff_jobs_settled_total", "status", "failed", 1},
		{"logoff_sessions_total", "outcome", "accepted", 2},
		{"logoff_sessions_total", "outcome", "undecided", 1},
		{"logoff_dead_letters_total", "reason", "failed", 1},
		{"logoff_webserver_requests_total", "", "", 1},
		{"logoff_slots_in_use", "lane", "urgent", 1},
		{"logoff_webserver_circuit_breaker", "state", "open", 1},
		{"logoff_webserver_circuit_breaker", "state", "closed", 0},
		{"logoff_queue_pending_jobs", "lane", "bulk", 5},
		{"logoff_queue_ack_pending_jobs", "lane", "bulk", 2},
		{"logoff_stranded_jobs", "", "", 4},
		{"logoff_nats_connected", "", "", 1},
		{"logoff_store_errors_total", "stream", "results", 1},
		{"logoff_jobs_handed_back_total", "", "", 7},
	} {
		if got := n.value(test.name, test.label, test.value); got != test.want {
			t.Errorf("%s{%s=%q} = %v, want %v", test.name, test.label, test.value, got, test.want)
		}
	}
	if got := n.histogram("logoff_time_to_logoff_seconds", "lane", "urgent").GetSampleCount(); got != 1 {
		t.Errorf("time to logoff has %d samples; a job without a success is none", got)
	}
}

// A value that is not known is absent: 0 would be a value, and an old one would be believed.
func TestWhatIsNotKnownIsAbsent(t *testing.T) {
	m, reg := newMetrics(t)
	queue := []string{"logoff_queue_pending_jobs", "logoff_queue_ack_pending_jobs", "logoff_queue_redelivered_jobs", "logoff_stranded_jobs", "logoff_queue_last_sequence", "logoff_queue_jobs"}
	told := func() (n int) {
		t.Helper()
		n, err := testutil.GatherAndCount(reg, append(queue, "logoff_last_success_timestamp_seconds")...)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := told(); n != 0 {
		t.Errorf("%d values at the start", n)
	}
	look := func() {
		m.NATSConnected(true)
		m.Queue(jobs.Urgent, 0, 0, 0)
		m.Queue(jobs.Bulk, 3, 2, 1)
		m.Stranded(0)
		m.Stored(3, 5)
	}
	if look(); told() != 9 {
		t.Errorf("%d values of a queue that is known", told())
	}
	if m.NATSConnected(false); told() != 0 {
		t.Errorf("%d values while NATS is down", told())
	}
	look()
	if m.QueueUnknown(); told() != 0 {
		t.Errorf("%d values of a queue that cannot be asked for", told())
	}
	var settled Settlement
	settled.Add(SettledJob{Lane: jobs.Urgent, Status: jobs.Done, Sessions: sessions(jobs.Accepted, 1), Took: time.Second})
	if m.Settled(&settled); told() != 1 {
		t.Errorf("%d values after a success", told())
	}
}

// A program that works no jobs has no queue that could be unknown: that NATS is away is all that it tells.
func TestProgramWithoutJobsToldThatNATSIsAway(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := NewIdle(reg, Build{})
	m.NATSConnected(true)
	m.NATSConnected(false)
	if got := gathered(ours(t, reg)).value("logoff_nats_connected", "", ""); got != 0 {
		t.Errorf("the connection is %v", got)
	}
}

func ask(h http.Handler, method, path string) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, httptest.NewRequest(method, path, nil))
	return recorder
}

func TestPagesOnlyRead(t *testing.T) {
	_, reg := newMetrics(t)
	page := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	h := Handler(reg, NewHealth(discard), page)
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
		for _, path := range []string{"/", "/metrics", "/livez", "/readyz"} {
			if r := ask(h, method, path); r.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s gives %d", method, path, r.Code)
			}
		}
	}
	if r := ask(h, "GET", "/"); strings.Contains(r.Header().Get("Content-Security-Policy"), "unsafe") || r.Header().Get("Content-Security-Policy") == "" {
		t.Errorf("policy %q", r.Header().Get("Content-Security-Policy"))
	}
}
