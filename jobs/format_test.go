package jobs_test

import (
	"testing"

	"logoffworker/jobs"
)

// What a message is written in shows in its first character, whatever stands before that.
func TestFormatShowsInTheFirstCharacter(t *testing.T) {
	for text, want := range map[string]jobs.Format{
		`{"sessions":[]}`:              jobs.JSON,
		"<Api_LogoffUsersRequest/>":    jobs.XML,
		"\ufeff \r\n\t<?xml?>":         jobs.XML,
		"\ufeff{}":                     jobs.JSON,
		"":                             jobs.JSON,
		"no job":                       jobs.JSON,
		"\ufeff\ufeff<and no document": jobs.JSON,
	} {
		if got := jobs.FormatOf([]byte(text)); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}
