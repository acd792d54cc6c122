package statuspage

import (
	"fmt"
	"time"
)

// A meter is a limit, and how near it is.
type meter struct {
	Name, Value string
	Filled      string // of 100; empty where there is nothing to fill
	Tone        tone
}

// fills makes a meter of a part of a whole.
func fills(name string, part, whole float64, words func(float64) string) meter {
	full := min(100, 100*part/whole)
	m := meter{Name: name, Value: words(part) + " of " + words(whole), Filled: fmt.Sprintf("%.1f", full), Tone: well}
	switch {
	case full >= 95:
		m.Tone = ill
	case full >= 80:
		m.Tone = wait
	}
	return m
}

// limits are those that this worker knows of.
func (v *view) limits() (all []meter) {
	n := v.now.numbers
	for _, kind := range []struct{ value, name string }{{"writes", "Logoffs and logins, this hour"}, {"reads", "Look-ups and read-backs, this hour"}} {
		if limit, is := n.sum("logoff_budget_limit_requests", label{"kind", kind.value}); is && limit > 0 {
			all = append(all, fills(kind.name, limit-n.value("logoff_budget_left_requests", label{"kind", kind.value}), limit, count))
		}
	}
	if v.config.Slots > 0 {
		slots := fills("Requests in flight", n.value("logoff_slots_in_use"), float64(v.config.Slots), count)
		if slots.Tone == ill {
			slots.Tone = wait // there is nothing wrong with all that may be
		}
		all = append(all, slots)
	}
	for _, stream := range []struct{ value, name string }{{"requests", "Stream of jobs"}, {"results", "Stream of results"}, {"dead", "Stream of dead letters"}} {
		holds, known := n.sum("logoff_stream_bytes", label{"stream", stream.value})
		limit, is := n.sum("logoff_stream_limit_bytes", label{"stream", stream.value})
		switch {
		case is && limit > 0:
			all = append(all, fills(stream.name, holds, limit, size))
		case known:
			all = append(all, meter{Name: stream.name, Value: size(holds) + ", no limit"})
		}
	}
	if limit, is := n.sum("logoff_nats_storage_limit_bytes"); is && limit > 0 {
		all = append(all, fills("Storage of the account at NATS", n.value("logoff_nats_storage_bytes"), limit, size))
	}
	return append(all, v.tokenLimits()...)
}

// tokenLimits are how long the access token and its renewal last.
func (v *view) tokenLimits() (all []meter) {
	for _, end := range []struct{ metric, name string }{
		{"logoff_token_expiry_timestamp_seconds", "Access token"},
		{"logoff_token_renewable_until_timestamp_seconds", "A person must renew it"},
	} {
		at, known := v.now.numbers.sum(end.metric)
		if !known {
			continue
		}
		m := meter{Name: end.name, Value: "ended"}
		if left := time.Unix(int64(at), 0).Sub(v.now.at); left > 0 {
			m.Value = lasting(left) + " left"
		}
		all = append(all, m)
	}
	return all
}
