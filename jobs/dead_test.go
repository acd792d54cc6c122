package jobs

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var stored = time.Date(2026, 11, 23, 10, 0, 1, 250_000_000, time.UTC)

func TestDeadLetterIsReadAsItWasWritten(t *testing.T) {
	letter := DeadLetter{
		Reason: Invalid, JobID: "01JDCASE7K2Q5", Error: "at /sessions/0: null found", Subject: "logoff.requests.urgent.soar",
		Result: "logoff.results.01JDCASE7K2Q5.7-8", Sequence: 7, Stored: stored, ContentType: "application/json", MessageID: "m", Payload: []byte("\x00{"),
		Trace:  "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		Signal: &Signal{Issuer: "idp", Event: "https://schemas.openid.net/secevent/caep/event-type/session-revoked", Token: strings.Repeat("t", 8000)},
	}
	want := map[string][]string{
		"Logoff-Reason":     {"invalid"},
		"Logoff-Job-Id":     {"01JDCASE7K2Q5"},
		"Logoff-Error":      {"at /sessions/0: null found"},
		"Logoff-Subject":    {"logoff.requests.urgent.soar"},
		"Logoff-Result":     {"logoff.results.01JDCASE7K2Q5.7-8"},
		"Logoff-Sequence":   {"7"},
		"Logoff-Stored":     {"2026-11-23T10:00:01.25Z"},
		"Content-Type":      {"application/json"},
		"Logoff-Message-Id": {"m"},
		"traceparent":       {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
		"Logoff-Signal":     {`{"issuer":"idp","event":"https://schemas.openid.net/secevent/caep/event-type/session-revoked","token":"` + letter.Signal.Token + `"}`},
	}
	if diff := cmp.Diff(want, letter.Header()); diff != "" {
		t.Error(diff)
	}
	got, err := DecodeDeadLetter(letter.Header(), letter.Payload)
	if diff := cmp.Diff(letter, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestTimeOfADeadLetterIsInUTC(t *testing.T) {
	header := DeadLetter{Stored: stored.In(time.FixedZone("", 3600))}.Header()
	if got := header["Logoff-Stored"][0]; got != "2026-11-23T10:00:01.25Z" {
		t.Error(got)
	}
}

func TestHeaderOfADeadLetterIsSafe(t *testing.T) {
	header := DeadLetter{
		Reason: Failed, JobID: "j", Subject: "s", Error: "a\r\nNats-Rollup: all\x00" + strings.Repeat("é\xff", 600),
		ContentType: " text/\u202eplain ", MessageID: "",
	}.Header()
	if _, there := header["Logoff-Message-Id"]; there {
		t.Error("an empty value is there")
	}
	for name, values := range header {
		if len(values) != 1 || len(values[0]) > 512 || !printable(values[0]) || strings.TrimSpace(values[0]) != values[0] {
			t.Errorf("%s: %q", name, values)
		}
	}
	if got := header["Logoff-Error"][0]; !strings.HasPrefix(got, `a\r\nNats-Rollup: all\x00é\xffé`) || !strings.HasSuffix(got, "…") {
		t.Error(got)
	}
}

func TestNoDeadLetterIsOfASuccess(t *testing.T) {
	for _, status := range Statuses {
		header := DeadLetter{Reason: status, JobID: "j", Subject: "s", Stored: stored}.Header()
		if _, err := DecodeDeadLetter(header, nil); (err != nil) != status.Success() {
			t.Errorf("%s: %v", status, err)
		}
	}
}

func TestDamagedDeadLetterIsRefused(t *testing.T) {
	for name, value := range map[string]string{
		"Logoff-Reason": "done", "Logoff-Job-Id": "a.b", "Logoff-Subject": "", "Logoff-Sequence": "-1", "Logoff-Stored": "yesterday",
	} {
		header := DeadLetter{Reason: Failed, JobID: "j", Subject: "s", Stored: stored}.Header()
		if _, err := DecodeDeadLetter(header, nil); err != nil {
			t.Fatal(err)
		}
		header[name] = []string{value}
		if _, err := DecodeDeadLetter(header, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s %q: %v", name, value, err)
		}
		delete(header, name)
		if _, err := DecodeDeadLetter(header, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestSignalThatCannotBeReadCostsNoDeadLetter(t *testing.T) {
	header := DeadLetter{Reason: Failed, JobID: "j", Subject: "s", Stored: stored}.Header()
	header[SignalHeader] = []string{"{"}
	if d, err := DecodeDeadLetter(header, nil); err != nil || d.Signal != nil {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestUnfinishedJobHoldsWhatWasNotDone(t *testing.T) {
	const third, fourth, fifth, sixth = "1" + guid, "2" + guid, "3" + guid, "4" + guid
	job := Job{
		Sessions: []Session{{ID: emc}, {ID: guid, UserID: 42}, {ID: third}, {ID: fourth, UserID: 7}},
		Users:    []User{{ID: 42}}, Reason: "r", RequestedBy: "b", Labels: map[string]string{"l": "v"}, EventTime: stored, NotAfter: stored,
	}
	result := Result{JobID: "settled", Sessions: []SessionResult{
		{ID: emc, Outcome: Accepted},
		{ID: guid, UserID: 42, Outcome: Rejected},
		{ID: third, Outcome: "from the future"},
		{ID: fifth, UserID: 9, Outcome: StillActive},               // one more than the job names
		{ID: sixth, UserID: 42, Outcome: StillActive, Found: true}, // one of its user, who is left instead
		{ID: "4" + sixth, UserID: 9, Outcome: LoggedOff},
	}}
	want := Job{
		ID: "settled", Sessions: []Session{{ID: guid, UserID: 42}, {ID: third}, {ID: fourth, UserID: 7}, {ID: fifth, UserID: 9}},
		Reason: "r", RequestedBy: "b", Labels: job.Labels, EventTime: stored,
	}
	if diff := cmp.Diff(want, job.Unfinished(result, stored)); diff != "" {
		t.Error(diff)
	}
	result.UsersLeft = 1
	want.Users, want.NotAfter = job.Users, stored
	if diff := cmp.Diff(want, job.Unfinished(result, stored.Add(-1))); diff != "" {
		t.Error(diff)
	}
}

// Of a job's users those are left who are not off, each by the name that the job gives.
func TestUnfinishedJobHoldsTheUsersWhoAreLeft(t *testing.T) {
	job := Job{Users: []User{{ID: 1}, {ID: 2}, {Name: "a"}, {Name: "b"}, {Email: "a@x"}, {Email: "b@x"}, {ID: 3}}}
	result := Result{JobID: "j", UsersLeft: 4, Users: []UserResult{
		{ID: 1, Outcome: UserOff},
		{Name: "a", Outcome: UserOff},
		{Email: "a@x", Outcome: UserNothingOn},
		{ID: 2, Outcome: UserStillActive},
		{Name: "b", Outcome: UserUndecided},
		{Email: "b@x", Outcome: UserUnknown},
	}}
	want := []User{{ID: 2}, {Name: "b"}, {Email: "b@x"}, {ID: 3}}
	if diff := cmp.Diff(want, job.Unfinished(result, stored).Users); diff != "" {
		t.Error(diff)
	}
}

func TestUnfinishedJobIsAValidJob(t *testing.T) {
	job, err := Decode(sample(t, "job.json"), Rules{})
	if err != nil {
		t.Fatal(err)
	}
	for _, left := range []int{0, 3} {
		result := Result{JobID: job.ID, UsersLeft: left, Sessions: []SessionResult{{ID: emc, Outcome: LoggedOff}, {ID: guid, UserID: 42, Outcome: Undecided}}}
		want := job.Unfinished(result, stored)
		data, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(data, Rules{})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	}
}
