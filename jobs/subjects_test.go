package jobs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSubjectsAndStreams(t *testing.T) {
	s := Subjects{Prefix: "acme.logoff"}
	got := []string{
		s.Request(Bulk, ""), s.Request(Urgent, "soar"), s.Result("job", "7-8"), s.Results(),
		s.Dead(Failed), s.DeadLetters(), s.RequestStream(), s.ResultStream(), s.DeadStream(),
	}
	want := []string{
		"acme.logoff.requests.bulk", "acme.logoff.requests.urgent.soar", "acme.logoff.results.job.7-8", "acme.logoff.results.*.*",
		"acme.logoff.dead.failed", "acme.logoff.dead.*", "ACME_LOGOFF_REQUESTS", "ACME_LOGOFF_RESULTS", "ACME_LOGOFF_DEAD",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{
		"acme.logoff.requests", "acme.logoff.requests.urgent", "acme.logoff.requests.urgent.*", "acme.logoff.approved.urgent.*",
		"acme.logoff.requests.bulk", "acme.logoff.requests.bulk.*", "acme.logoff.approved.bulk.*",
	}, s.Requests()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(s.Requests()[4:], s.Lane(Bulk)); diff != "" {
		t.Error(diff)
	}
}

func TestOriginReadsLaneAndPublisher(t *testing.T) {
	s := Subjects{Prefix: "logoff"}
	for subject, want := range map[string]string{
		"":                          `||"" is not a subject of jobs`,
		"logoff.requests":           "urgent||",
		"logoff.requests.urgent":    "urgent||",
		"logoff.requests.bulk":      "bulk||",
		"logoff.requests.bulk.soar": "bulk|soar|",
		"logoff.approved.bulk.jane": "bulk||",
		"logoff.approved.bulk.":     `||"logoff.approved.bulk." is not a subject of jobs`,
		"logoff.requests.urgent.":   `urgent||the subject "logoff.requests.urgent." does not name a publisher: the id is empty`,
		"logoff.requests.bulk.a.b":  `bulk||the subject "logoff.requests.bulk.a.b" does not name a publisher: the id "a.b" contains '.'; an id has graphic characters only, and no space, dot, asterisk or >`,
		"logoff.approved.slow.jane": `||"logoff.approved.slow.jane" is not a subject of jobs`,
		".approved.bulk.jane":       `||".approved.bulk.jane" is not a subject of jobs`,
		"logoffbulk.jane":           `||"logoffbulk.jane" is not a subject of jobs`,
		".urgent":                   `||".urgent" is not a subject of jobs`,
		"logoff.requests.slow":      `||"logoff.requests.slow" is not a subject of jobs`,
		"logoff.requests.bulky":     `||"logoff.requests.bulky" is not a subject of jobs`,
		"logoff.requestsurgent":     `||"logoff.requestsurgent" is not a subject of jobs`,
		"other.requests.urgent":     `||"other.requests.urgent" is not a subject of jobs`,
		"logoff.requests.urgent." + strings.Repeat("p", 65): `urgent||the subject "logoff.requests.urgent.` + strings.Repeat("p", 41) + `"… does not name a publisher: the id "` + strings.Repeat("p", 64) + `"… has more than 64 characters`,
	} {
		lane, publisher, err := s.Origin(subject)
		message := ""
		if err != nil {
			message = err.Error()
		}
		if got := fmt.Sprintf("%s|%s|%s", lane, publisher, message); got != want {
			t.Errorf("%s:\n got %s\nwant %s", subject, got, want)
		}
	}
}

func TestResultOfReadsIDAndKey(t *testing.T) {
	s := Subjects{Prefix: "acme.logoff"}
	for subject, want := range map[string]bool{
		s.Result("job", "7-8"): true, s.Results(): false, s.Result("job", ""): false, s.Result("", "7-8"): false, s.Result("a b", "7-8"): false,
		"logoff.results.job.7-8": false, s.Result("job", "7-8.9"): false, s.Dead(Failed): false, "": false, "acme.logoff.results.job": false,
		".results.job.7-8": false, "acme.logoffjob.7-8": false,
	} {
		if id, key, ok := s.ResultOf(subject); ok != want || ok && (id != "job" || key != "7-8") {
			t.Errorf("%q: %q, %q, %t", subject, id, key, ok)
		}
	}
}

func TestPrefixMustBeLegalForNATS(t *testing.T) {
	for prefix, want := range map[string]bool{
		"logoff": true, "acme.logoff": true, "a-b_c": true, "_inbox": true, "a.$x": true,
		"": false, ".": false, "a.": false, ".a": false, "a..b": false, "a b": false, "a.*": false, "a.>": false, "*": false,
		"$SYS": false, "$JS.API": false, "_INBOX": false, "_INBOX.a": false, "a/b": false, `a\b`: false, "a\x00": false,
		strings.Repeat("a.", 100) + "a": false,
	} {
		if err := (Subjects{Prefix: prefix}).Validate(); (err == nil) != want {
			t.Errorf("%q: %v", prefix, err)
		} else if err != nil && !printable(err.Error()) {
			t.Errorf("%q is refused with %q", prefix, err)
		}
	}
}
