package jobs

import (
	"strings"
	"testing"
	"time"
)

func TestJobIsIdentifiedByTheFirstThatItHas(t *testing.T) {
	stored := time.Date(2026, 11, 23, 10, 0, 1, 250, time.UTC)
	for _, c := range []struct{ own, messageID, want string }{
		{"own", "message", "own"},
		{"", "message", "message"},
		{"", "", "7-1795428001000000250"},
		{"", "no.token", "7-1795428001000000250"},
		{"", strings.Repeat("m", MaxIDLength+1), "7-1795428001000000250"},
	} {
		if got := Identify(c.own, c.messageID, Key(7, stored)); got != c.want || LegalID(got) != nil {
			t.Errorf("%v is identified as %q", c, got)
		}
	}
	if Key(7, stored) != Key(7, stored.In(time.FixedZone("", 3600))) {
		t.Error("the key depends on the time zone")
	}
}

func TestLegalIDIsOnePrintableToken(t *testing.T) {
	for id, want := range map[string]bool{
		"01JDCASE7K2Q5": true, "88-1795428001250000000": true, "Fall_ä/€": true, "$x": true,
		"": false, "a.b": false, "*": false, ">": false, "a>": false, "a b": false, "a\tb": false, "a\u00a0b": false,
		"a\x00": false, "a\x7f": false, "\xff": false, "a\u202eb": false, "a\u200bb": false, "\ufeff": false,
	} {
		if err := LegalID(id); (err == nil) != want {
			t.Errorf("%q: %v", id, err)
		} else if err != nil && !printable(err.Error()) {
			t.Errorf("%q is refused with %q", id, err)
		}
	}
}
