package metrics

import (
	"time"

	"logoffworker/jobs"
)

// standing is what JetStream holds, and what it may hold, as every worker sees it alike; and what a worker may still
// ask of the Web Server.
type standing struct {
	oldest       fleeting
	pausedUntil  fleeting
	deadLetters  fleeting
	streamBytes  fleeting
	streamLimit  fleeting
	storage      fleeting
	storageLimit fleeting
	budgetLeft   fleeting
	budgetLimit  fleeting
}

func newStanding(f factory) standing {
	const same = "; the same at every worker. Absent while NATS cannot be asked."
	return standing{
		oldest: f.fleeting("logoff_queue_oldest_job_timestamp_seconds", "When the oldest job was stored that has no result yet, whether it waits or is in hand; the same at every worker. "+
			"Absent where there is none, and while NATS cannot be asked.", "lane"),
		pausedUntil:  f.fleeting("logoff_lane_paused_until_timestamp_seconds", "Until when somebody has paused the lane; the same at every worker. Absent unless it is paused.", "lane"),
		deadLetters:  f.fleeting("logoff_dead_letters_present", "Dead letters in their stream"+same, "reason"),
		streamBytes:  f.fleeting("logoff_stream_bytes", "Bytes that a stream holds"+same, "stream"),
		streamLimit:  f.fleeting("logoff_stream_limit_bytes", "Bytes that a stream may hold; the same at every worker. Absent where it has no limit.", "stream"),
		storage:      f.fleeting("logoff_nats_storage_bytes", "Bytes that the account at NATS has stored"+same),
		storageLimit: f.fleeting("logoff_nats_storage_limit_bytes", "Bytes that the account at NATS may store; the same at every worker. Absent where it has no limit of its own."),
		budgetLeft:   f.fleeting("logoff_budget_left_requests", "Requests to the Web Server that all workers together may still make within the hour: the same at each, which counts for itself only with NATS before 2.12. Absent without a budget, and while unknown.", "kind"),
		budgetLimit:  f.fleeting("logoff_budget_limit_requests", "Requests to the Web Server that all workers together may make within an hour. Absent without a budget, and while unknown what is left.", "kind"),
	}
}

// unknown tells that NATS cannot be asked.
func (s standing) unknown() {
	for _, g := range []fleeting{s.oldest, s.pausedUntil, s.deadLetters, s.streamBytes, s.streamLimit, s.storage, s.storageLimit} {
		g.Reset()
	}
}

// OldestJob tells when the oldest job of a lane was stored that has no result; zero where there is none, or that is
// not known.
func (m *Metrics) OldestJob(lane jobs.Lane, stored time.Time) {
	m.standing.oldest.setTime(stored, string(lane))
}

// PausedUntil tells until when a lane is paused; zero where it is not.
func (m *Metrics) PausedUntil(lane jobs.Lane, until time.Time) {
	m.standing.pausedUntil.setTime(until, string(lane))
}

// DeadLetters tells how many dead letters there are, by reason. Others' reasons do not count.
func (m *Metrics) DeadLetters(present map[jobs.Status]uint64) {
	for _, reason := range deadReasons() {
		m.standing.deadLetters.set(float64(present[reason]), string(reason))
	}
}

// Stream tells what a stream (requests, results or dead) holds, and what it may hold; that is no limit unless it is
// more than 0.
func (m *Metrics) Stream(stream string, bytes uint64, limit int64) {
	m.standing.streamBytes.set(float64(bytes), stream)
	m.standing.streamLimit.setLimit(limit, stream)
}

// Storage tells the same of the account at NATS.
func (m *Metrics) Storage(bytes uint64, limit int64) {
	m.standing.storage.set(float64(bytes))
	m.standing.storageLimit.setLimit(limit)
}

// Budget tells how many requests of a kind (reads or writes) are left of an hour's; a limit of 0 is none, or one of
// which that is not known.
func (m *Metrics) Budget(kind string, left, limit int) {
	if m.standing.budgetLimit.setLimit(int64(limit), kind); limit <= 0 {
		m.standing.budgetLeft.DeleteLabelValues(kind)
		return
	}
	m.standing.budgetLeft.set(float64(left), kind)
}
