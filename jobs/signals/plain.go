package signals

import (
	"strings"

	"logoffworker/jobs"
)

// plain reads a job of this project, as nearly all messages are, at no more than its decoding costs. What has a member
// specversion is none, because no job has one.
func (r Reader) plain(header map[string][]string, body []byte) (a Answer, ok bool) {
	for name, values := range header {
		switch {
		case strings.EqualFold(name, "ce-specversion"):
			return Answer{}, false
		case strings.EqualFold(name, "Content-Type") && len(values) > 0 && !isPlainType(values[0]):
			return Answer{}, false
		}
	}
	job, err := jobs.Decode(body, r.Rules)
	if err != nil {
		return Answer{}, false
	}
	return Answer{Verdict: Job, Job: job, Format: jobs.FormatOf(body)}, true
}

func isPlainType(contentType string) bool {
	switch contentType {
	case "", "application/json", "application/xml", "text/xml":
		return true
	}
	return false
}
