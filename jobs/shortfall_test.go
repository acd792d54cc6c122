package jobs

import (
	"slices"
	"strings"
	"testing"
)

func TestShortfallTellsCountsAndFirstCauses(t *testing.T) {
	ended := slices.Repeat([]SessionResult{{Outcome: LoggedOff}}, 68)
	rejected := SessionResult{Outcome: Rejected, ServerText: "404 Not Found: Invalid session"}
	for _, test := range []struct {
		name string
		r    Result
		want string
	}{
		{"all done", Result{Sessions: ended}, ""},
		{
			"the first cause of each kind",
			Result{Sessions: append(slices.Clone(ended), rejected, SessionResult{Outcome: Undecided})},
			"2 of 70 sessions not ended: 1 undecided, 1 rejected (404 Not Found: Invalid session)",
		},
		{
			"the first of several causes",
			Result{Sessions: []SessionResult{{Outcome: Rejected}, rejected, {Outcome: Rejected, ServerText: "another"}}},
			"3 of 3 sessions not ended: 3 rejected (404 Not Found: Invalid session)",
		},
		{
			"users",
			Result{Users: []UserResult{{Outcome: UserOff}, {Outcome: UserUnknown, Error: "nobody of that name"}, {Outcome: UserStillActive}}},
			"2 of 3 users not known to be off: 1 unknown (nobody of that name), 1 still active",
		},
		{
			"both, and words of its own",
			Result{Sessions: []SessionResult{{Outcome: StillActive}}, Users: []UserResult{{Outcome: UserProtected}}, Error: "a label was left out"},
			"1 of 1 sessions not ended: 1 still active; 1 of 1 users not known to be off: 1 protected; a label was left out",
		},
		{"held", Result{Status: Held, Users: []UserResult{{Outcome: UserHeld}}, Sessions: []SessionResult{{Outcome: HeldSession}}, Error: "more than one"}, "more than one"},
		{"invalid", Result{Status: Invalid, Error: "no JSON"}, "no JSON"},
		{
			"a hostile text",
			Result{Sessions: []SessionResult{{Outcome: Rejected, ServerText: "a\nb" + strings.Repeat("x", 400)}}},
			`1 of 1 sessions not ended: 1 rejected (a\nb`,
		},
	} {
		test.r.Conclude()
		got := test.r.Shortfall()
		hostile := test.name == "a hostile text"
		if !hostile && got != test.want || !strings.HasPrefix(got, test.want) || len(got) > 250 {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// A result whose details were left out keeps the counts.
func TestShortfallOfTrimmedResult(t *testing.T) {
	r := Result{Counts: map[Outcome]int{LoggedOff: 5, Undecided: 2}, Trimmed: true}
	if got := r.Shortfall(); got != "2 of 7 sessions not ended: 2 undecided" {
		t.Error(got)
	}
}
