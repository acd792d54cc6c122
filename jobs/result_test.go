package jobs

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSampleResultsAreWrittenAsTheyAreRead(t *testing.T) {
	for name, status := range map[string]Status{
		"result-done.json": Done, "result-accepted.json": AcceptedJob, "result-partial.json": Partial, "result-invalid.json": Invalid,
		"result-signal.json": Done, "result-held.json": Held, "result-ignored.json": Ignored,
	} {
		want := sample(t, name)
		result, err := DecodeResult(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := result.Append(nil, 0)
		if err != nil || string(got) != compact(t, want) {
			t.Errorf("%s became %s (%v)", name, got, err)
		}
		again := result
		if again.Conclude(); again.Status != status || cmp.Diff(result.Counts, again.Counts) != "" {
			t.Errorf("%s is concluded as %s %v", name, again.Status, again.Counts)
		}
		if took := result.CompletedAt.Sub(result.RequestedAt).Milliseconds(); took != result.TimeToLogoffMS {
			t.Errorf("%s took %d ms and says %d", name, took, result.TimeToLogoffMS)
		}
	}
}

func TestStatusFollowsFromTheOutcomes(t *testing.T) {
	for _, c := range []struct {
		outcomes []Outcome
		users    []UserOutcome
		want     Status
	}{
		{[]Outcome{LoggedOff, AlreadyLoggedOff, NotFound}, nil, Done},
		{[]Outcome{Accepted}, nil, AcceptedJob},
		{[]Outcome{LoggedOff, Accepted, AlreadyLoggedOff, NotFound}, nil, AcceptedJob},
		{[]Outcome{Accepted}, []UserOutcome{UserOff}, AcceptedJob},
		{[]Outcome{Accepted}, []UserOutcome{UserUndecided}, Partial},
		{[]Outcome{LoggedOff}, []UserOutcome{UserUnknown}, Partial},
		{[]Outcome{Accepted, Expired}, nil, Partial},
		{[]Outcome{Accepted, StillActive}, nil, Partial},
		{[]Outcome{Expired, Expired}, nil, ExpiredJob},
		{[]Outcome{Expired}, []UserOutcome{UserUnknown}, Failed},
		{[]Outcome{Expired, Undecided}, nil, Failed},
		{[]Outcome{StillActive}, nil, Failed},
		{[]Outcome{Undecided}, nil, Failed},
		{[]Outcome{Rejected}, nil, Failed},
		{[]Outcome{Protected}, nil, Failed},
		{[]Outcome{"from the future"}, nil, Failed},
		{[]Outcome{""}, nil, Failed},
		{nil, []UserOutcome{UserUnknown}, Failed},
		{nil, nil, Done},
		{nil, []UserOutcome{UserOff, UserNothingOn}, Done},
		{nil, []UserOutcome{UserOff, UserUnknown}, Partial},
		{nil, []UserOutcome{UserStillActive}, Failed},
		{nil, []UserOutcome{UserProtected}, Failed},
		{nil, []UserOutcome{UserExpired}, ExpiredJob},
		{[]Outcome{Expired}, []UserOutcome{UserExpired}, ExpiredJob},
		{[]Outcome{Undecided}, []UserOutcome{UserExpired}, Failed},
		{nil, []UserOutcome{"from the future"}, Failed},
	} {
		r := Result{Status: Done}
		left := 0
		for _, o := range c.users {
			r.Users = append(r.Users, UserResult{Outcome: o})
			if !o.Success() {
				left++
			}
		}
		for _, o := range c.outcomes {
			r.Sessions = append(r.Sessions, SessionResult{Outcome: o})
		}
		if r.Conclude(); r.Status != c.want {
			t.Errorf("%v: %s", c, r.Status)
		}
		if r.UsersLeft != left {
			t.Errorf("%v: %d users left", c, r.UsersLeft)
		}
		total := 0
		for _, n := range r.Counts {
			total += n
		}
		if total != len(c.outcomes) {
			t.Errorf("%v: counts %v", c, r.Counts)
		}
	}
	r := Result{Status: Invalid}
	if r.Conclude(); r.Status != Invalid {
		t.Errorf("an invalid job became %s", r.Status)
	}
}

// A status leaves no dead letter only if nothing is left to do, which nobody can say of one that is not known.
func TestWhatIsDoneAcceptedOrIgnoredIsASuccess(t *testing.T) {
	for _, status := range append(slices.Clone(Statuses), "", "from the future") {
		if want := status == Done || status == AcceptedJob || status == Ignored; status.Success() != want {
			t.Errorf("%s: %t", status, !want)
		}
	}
}

// largeResult is the result of a job that only just passes under its own size limit.
func largeResult(t *testing.T) (r Result, maxBytes int) {
	job := Job{ID: strings.Repeat("é", 64), Reason: strings.Repeat("\x01\"\\\n€", 50), Labels: map[string]string{"": "", "\x02": "\t"}}
	for i := range 300 {
		job.Sessions = append(job.Sessions, Session{ID: fmt.Sprintf(`"\<&>%d`, i), UserID: int64(i%2) << 62})
	}
	for maxBytes = 5000; job.checkSize(maxBytes) != nil; maxBytes++ {
		if maxBytes > 1<<20 {
			t.Fatal("the job fits under no limit")
		}
	}
	now := time.Date(2026, 11, 23, 10, 0, 1, 123456789, time.FixedZone("", 3600))
	r = Result{
		Version: 1, JobID: job.ID, Lane: Urgent, Publisher: strings.Repeat(`\`, 64), UsersLeft: MaxUsers, Error: strings.Repeat("\"\x01\xff", 1000),
		RequestedAt: now, ReceivedAt: now, CompletedAt: now, EventTime: now, TimeToLogoffMS: -1 << 62, Worker: strings.Repeat("w", 253), Deliveries: 1 << 62,
		Reason: job.Reason, Labels: job.Labels, Repeats: strings.Repeat("r", 330),
		Signal: Signal{
			Issuer: strings.Repeat(`\`, 64), Event: strings.Repeat(`"`, 300), Rule: strings.Repeat("\x01", 300), ID: strings.Repeat(`\`, 300), Token: strings.Repeat("t", maxToken),
		}.Fitting(),
	}
	for i, s := range job.Sessions {
		r.Sessions = append(r.Sessions, SessionResult{
			ID: s.ID, UserID: s.UserID, Outcome: AlreadyLoggedOff, RequestID: "0c6849a6", Attempts: i + 1, ServerText: strings.Repeat("\xff", 100),
		})
	}
	r.Conclude()
	return r, maxBytes
}

func TestLargeResultLosesDetailsAndNothingElse(t *testing.T) {
	r, maxBytes := largeResult(t)
	data, err := r.Append(nil, maxBytes)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeResult(data)
	if err != nil {
		t.Fatal(err)
	}
	if got.Signal.Token != "" || got.Signal.ID != r.Signal.ID {
		t.Errorf("%+v", got.Signal)
	}
	if len(data) > maxBytes || !got.Trimmed || len(got.Sessions) != len(r.Sessions) {
		t.Errorf("%d bytes of %d, trimmed %t, %d sessions", len(data), maxBytes, got.Trimmed, len(got.Sessions))
	}
	for i, s := range got.Sessions {
		if want := (SessionResult{ID: r.Sessions[i].ID, UserID: r.Sessions[i].UserID, Outcome: AlreadyLoggedOff}); s != want {
			t.Errorf("session %d is %v", i, s)
		}
	}
	if r.Trimmed || r.Signal.Token == "" || r.Sessions[0].RequestID == "" || r.Sessions[0].ServerText != strings.Repeat("\xff", 100) {
		t.Error("the caller's result was changed")
	}
}

func TestLongServerTextsAreShortenedFirst(t *testing.T) {
	r := Result{Version: 1, JobID: "job", Status: Failed, Sessions: []SessionResult{
		{ID: emc, Outcome: Rejected, RequestID: "r", Attempts: 3, ServerText: strings.Repeat("text ", 1000)},
	}}
	data, err := r.Append(nil, 2000)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeResult(data)
	want := strings.Repeat("text ", 15) + "te…"
	if err != nil || got.Trimmed || got.Sessions[0].ServerText != want || got.Sessions[0].RequestID != "r" {
		t.Errorf("%v %v", got, err)
	}
	if data, err := r.Append(nil, 100); err == nil {
		t.Errorf("%d bytes fit into 100", len(data))
	}
}

func TestBareSessionHasRoomForEveryOutcome(t *testing.T) {
	for _, o := range Outcomes {
		if len(o) > len(AlreadyLoggedOff) {
			t.Errorf("%s is longer than the one that sizes are reckoned with", o)
		}
	}
}

func TestResultOfANewerWorkerIsRead(t *testing.T) {
	r, err := DecodeResult([]byte(`{"version":2,"jobId":"j","status":"paused","sessions":[{"id":"x","outcome":"asleep","mood":1}],"new":{"a":[1]}}`))
	if err != nil || r.Status != "paused" || r.Sessions[0].Outcome != "asleep" || r.Sessions[0].Outcome.Success() {
		t.Errorf("%v %v", r, err)
	}
}

func TestDamagedResultIsRefused(t *testing.T) {
	for data, want := range map[string]string{
		``:                              "decode a result: at byte 1: the message ends too early",
		`{"version":1`:                  "decode a result: at byte 13: the message ends too early",
		`[]`:                            "decode a result: a list found, an object expected",
		`{}`:                            "decode a result: the version is 0, not 1 or more",
		`{"version":1}`:                 "decode a result: the status is missing",
		`{"version":1,"status":"done"}`: "decode a result: jobId: the id is empty",
		`{"version":1,"status":"done","jobId":"a.b"}`:        `decode a result: jobId: the id "a.b" contains '.'; an id has graphic characters only, and no space, dot, asterisk or >`,
		`{"version":1,"status":"done","status":"failed"}`:    "decode a result: at /status: the member is there twice",
		`{"version":1,"status":"done","counts":{"done":""}}`: "decode a result: at /counts/done: a string found, a whole number expected",
	} {
		if _, err := DecodeResult([]byte(data)); fmt.Sprint(err) != want {
			t.Errorf("%s: %v", data, err)
		}
	}
}

// Counts are those of the sessions, however often they are made; an empty map is filled.
func TestCountsAreNotAddedUp(t *testing.T) {
	counts := map[Outcome]int{}
	r := Result{Counts: counts, Sessions: []SessionResult{{Outcome: LoggedOff}, {Outcome: LoggedOff}, {Outcome: Rejected}}}
	r.Conclude()
	if want := map[Outcome]int{LoggedOff: 2, Rejected: 1}; !maps.Equal(counts, want) {
		t.Errorf("%v", counts)
	}
	again := r
	again.Conclude()
	if want := map[Outcome]int{LoggedOff: 2, Rejected: 1}; !maps.Equal(again.Counts, want) || !maps.Equal(counts, want) {
		t.Errorf("%v, %v", again.Counts, counts)
	}
}

// Steps are the first that a result does without where it has no room, and it says how many there were.
func TestStepsAreTheFirstToGo(t *testing.T) {
	r := Result{Version: 1, JobID: "j", Status: Done, StepsLeft: 2, Sessions: []SessionResult{{ID: "x", Outcome: Rejected, RequestID: "r", ServerText: strings.Repeat("t", 200)}}}
	for range 10 {
		r.Steps = append(r.Steps, Step{What: "sent", Verdict: strings.Repeat("v", 50)})
	}
	data, err := r.Append(nil, 1000)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeResult(data)
	if err != nil || len(got.Steps) > 0 || got.StepsLeft != 12 || got.Trimmed || len(got.Sessions[0].ServerText) != 200 || len(r.Steps) != 10 {
		t.Errorf("%v: %s", err, data)
	}
}

func TestTokenIsTheFirstToGo(t *testing.T) {
	r := Result{
		Version: 1, JobID: "j", Status: Done, Steps: []Step{{What: "sent"}},
		Signal: &Signal{Issuer: "idp", Event: "e", Rule: "r", ID: "1", Token: strings.Repeat("t", maxToken)},
	}
	for maxBytes, kept := range map[int]bool{maxToken: false, maxToken + 2000: true, 0: true} {
		data, err := r.Append(nil, maxBytes)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeResult(data)
		if err != nil || len(got.Steps) != 1 || got.Trimmed || got.Signal.ID != "1" || (got.Signal.Token != "") != kept {
			t.Errorf("in %d bytes: %v\n%s", maxBytes, err, data)
		}
	}
	if len(r.Signal.Token) != maxToken {
		t.Error("the caller's result was changed")
	}
}

func TestTimeFromEventToEndIsToldWhereNothingIsLeft(t *testing.T) {
	for outcome, want := range map[Outcome]int64{LoggedOff: 90_000, Accepted: 90_000, Rejected: 0} {
		r := Result{EventTime: stored, CompletedAt: stored.Add(90 * time.Second), Sessions: []SessionResult{{Outcome: outcome}}}
		if r.Conclude(); r.EventToEndedMS != want {
			t.Errorf("%s: %d", outcome, r.EventToEndedMS)
		}
	}
	ahead := Result{EventTime: stored.Add(time.Minute), CompletedAt: stored}
	never := Result{CompletedAt: stored}
	ignored := Result{Status: Ignored, EventTime: stored, CompletedAt: stored.Add(time.Minute)}
	for _, r := range []*Result{&ahead, &never, &ignored} {
		if r.Conclude(); r.EventToEndedMS != 0 {
			t.Errorf("%+v", r)
		}
	}
}
