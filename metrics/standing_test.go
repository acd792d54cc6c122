package metrics

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"logoffworker/jobs"
)

// samples are those of some metrics, as they are scraped, without what all names begin with.
func samples(reg prometheus.Gatherer, names ...string) string {
	page := ask(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}), "GET", "/metrics").Body.String()
	var all []string
	for line := range strings.Lines(page) {
		if slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(line, name) }) {
			all = append(all, strings.TrimPrefix(strings.TrimSpace(line), "logoff_"))
		}
	}
	return strings.Join(all, "\n")
}

// What is kept, and what may be kept, is there while it is known; a limit only where there is one.
func TestWhatStandsIsThereWhileItIsKnown(t *testing.T) {
	m, reg := newMetrics(t)
	names := []string{
		"logoff_queue_oldest_job_timestamp_seconds", "logoff_lane_paused_until_timestamp_seconds", "logoff_dead_letters_present", "logoff_stream_bytes",
		"logoff_stream_limit_bytes", "logoff_nats_storage_bytes", "logoff_nats_storage_limit_bytes", "logoff_budget_left_requests", "logoff_budget_limit_requests",
	}
	is := func(want ...string) {
		t.Helper()
		if got := samples(reg, names...); got != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
	}
	is()
	at := time.Date(2026, 11, 28, 20, 0, 0, 5e8, time.UTC)
	m.OldestJob(jobs.Urgent, at)
	m.OldestJob(jobs.Bulk, time.Time{})
	m.PausedUntil(jobs.Bulk, at)
	m.DeadLetters(map[jobs.Status]uint64{jobs.Failed: 3, "other": 1})
	m.Stream("requests", 7, -1)
	m.Stream("dead", 8, 9)
	m.Storage(15, 20)
	m.Budget("reads", 4, 5)
	m.Budget("writes", 0, 0)
	budget := []string{`budget_left_requests{kind="reads"} 4`, `budget_limit_requests{kind="reads"} 5`}
	is(append(budget,
		`dead_letters_present{reason="expired"} 0`, `dead_letters_present{reason="failed"} 3`, `dead_letters_present{reason="held"} 0`, `dead_letters_present{reason="invalid"} 0`, `dead_letters_present{reason="partial"} 0`,
		`lane_paused_until_timestamp_seconds{lane="bulk"} 1.7958960005e+09`,
		`nats_storage_bytes 15`, `nats_storage_limit_bytes 20`,
		`queue_oldest_job_timestamp_seconds{lane="urgent"} 1.7958960005e+09`,
		`stream_bytes{stream="dead"} 8`, `stream_bytes{stream="requests"} 7`, `stream_limit_bytes{stream="dead"} 9`)...)
	m.OldestJob(jobs.Urgent, time.Time{})
	m.PausedUntil(jobs.Bulk, time.Time{})
	m.Stream("dead", 8, 0)
	m.Storage(16, -1)
	is(append(budget,
		`dead_letters_present{reason="expired"} 0`, `dead_letters_present{reason="failed"} 3`, `dead_letters_present{reason="held"} 0`, `dead_letters_present{reason="invalid"} 0`, `dead_letters_present{reason="partial"} 0`,
		`nats_storage_bytes 16`, `stream_bytes{stream="dead"} 8`, `stream_bytes{stream="requests"} 7`)...)
	m.QueueUnknown()
	is(budget...) // which is nobody else's
}

// How long it was from an event counts for jobs that tell of one, and of which all is known to be off.
func TestEventToOffIsOfWhatIsKnownToBeOff(t *testing.T) {
	m, reg := newMetrics(t)
	event := time.Date(2026, 11, 28, 20, 0, 0, 0, time.UTC)
	var settled Settlement
	for _, job := range []SettledJob{
		{Status: jobs.Done, EventTime: event, Stored: event, Took: 90 * time.Second},
		{Status: jobs.Done, EventTime: event, Stored: event, Took: -time.Second}, // a clock that is ahead
		{Status: jobs.Done, Stored: event},
		{Status: jobs.AcceptedJob, EventTime: event, Stored: event, Took: time.Hour},
		{Status: jobs.Partial, EventTime: event, Stored: event, Took: time.Hour},
	} {
		job.Lane = jobs.Urgent
		settled.Add(job)
	}
	m.Settled(&settled)
	got := samples(reg, "logoff_event_to_off_seconds")
	for _, want := range []string{`event_to_off_seconds_sum{lane="urgent"} 90`, `event_to_off_seconds_count{lane="urgent"} 2`, `event_to_off_seconds_bucket{lane="urgent",le="60"} 1`, `event_to_off_seconds_count{lane="bulk"} 0`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

// How long revocations take is told by who asked for them. A name that the issuers file does not have is no label.
func TestRevocationsAreToldByIssuer(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := New(reg, Build{})
	m.Issuers([]string{"idp", "okta-hook"})
	now := time.Now()
	var settled Settlement
	for _, job := range []SettledJob{
		{Status: jobs.Done, Issuer: "idp"},
		{Status: jobs.Done, Issuer: "anybody"},
		{Status: jobs.Done, Issuer: "anybody else"},
		{Status: jobs.Done},
		{Status: jobs.AcceptedJob, Issuer: "idp"},
		{Status: jobs.Ignored, Issuer: "idp"},
		{Status: jobs.Failed, Issuer: "idp"},
	} {
		job.Lane, job.Stored, job.EventTime, job.Took = jobs.Urgent, now, now.Add(-time.Minute), 30*time.Second
		settled.Add(job)
	}
	settled.Add(SettledJob{Lane: jobs.Urgent, Status: jobs.Done, Issuer: "idp", Stored: now, Took: time.Second}) // it tells no eventTime
	m.Settled(&settled)
	got := samples(reg, "logoff_revocation_seconds")
	for _, want := range []string{`seconds_sum{issuer="idp"} 90`, `seconds_count{issuer="idp"} 1`, `seconds_count{issuer="other"} 2`, `seconds_count{issuer="okta-hook"} 0`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if strings.Contains(got, "anybody") {
		t.Errorf("whoever a message names is a label:\n%s", got)
	}
}

// Users and formats are counted, and what is set is told by its hash.
func TestUsersFormatsAndSettingsAreTold(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := New(reg, Build{Settings: "abc123"})
	var settled Settlement
	settled.Add(SettledJob{Lane: jobs.Urgent, Status: jobs.Partial, Users: []jobs.UserResult{{Outcome: jobs.UserOff}, {Outcome: jobs.UserOff}, {Outcome: jobs.UserUnknown}, {Outcome: "later"}}})
	m.Settled(&settled)
	m.Written(jobs.XML)
	m.Written("from the future")
	got := samples(reg, "logoff_users_total", "logoff_jobs_format_total", "logoff_settings_info")
	for _, want := range []string{`users_total{outcome="off"} 2`, `users_total{outcome="unknown"} 1`, `users_total{outcome="protected"} 0`, `jobs_format_total{format="xml"} 1`, `jobs_format_total{format="json"} 0`, `settings_info{hash="abc123"} 1`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if strings.Contains(got, "later") {
		t.Errorf("an outcome that nobody knows is a label:\n%s", got)
	}
}
