package jobs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// A time is read in every form that means one time, and in no other.
func TestTimesAreReadWhereTheyMeanOneTime(t *testing.T) {
	ten := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2026-11-23T10:00:00Z": ten, "2026-11-23T11:00:00+01": ten, "2026-11-23T11:00:00+0100": ten, "2026-11-23T11:00:00+01:00": ten,
		"2026-11-23T05:30:00-0430": ten, "2026-11-23T05:00:00-05": ten, "20261123T100000Z": ten, "2026-11-23 10:00 UTC": ten,
		"2026-11-23T10:00:00,5Z": ten.Add(time.Second / 2), "2026-11-23T10:00:00 GMT": ten,
		"Mon, 23 Nov 2026 10:00:00 GMT": ten, "1 Dec 2026 09:00 +0000": time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC),
		"1795428000": ten, "1795428000000000": ten, "1795428000000000000": ten, "1.795428e9": ten, "/Date(1795428000250)/": ten.Add(time.Second / 4),
		"999999999": {}, "4200000000": {}, "1e30": {}, "1e999": {}, "2026-11-23T10:00:00": {}, "2026-13-23T10:00:00Z": {},
		"23 Foo 2026 10:00:00 GMT": {}, "2026-11-23T10:00:00 CET": {}, "yesterday": {},
	} {
		got, err := readTime(text)
		if (err != nil) != want.IsZero() || !got.Equal(want) {
			t.Errorf("%s is read as %v (%v), want %v", text, got, err, want)
		}
	}
}

// An entry names one session and its owner, or is kept as it came.
func TestEntriesOfSessionsSayWhatIsWrong(t *testing.T) {
	for entry, want := range map[string]struct {
		id    string
		owner int64
		says  string // the problem of the entry, or of the owner alone
	}{
		`{"id":"` + guid + `"}`: {id: guid},
		`{"sessionId":"` + guid + `","user":{"userId":7,"name":"x"}}`: {id: guid, owner: 7},
		`{"sessionId":"` + guid + `","userId":7,"user":{}}`:           {id: guid, owner: 7},
		`{"sessionId":"` + guid + `","userId":7,"user":{"userId":7}}`: {id: guid, owner: 7},
		`{"sessionId":"` + guid + `","userId":7,"user":{"userId":8}}`: {id: guid, says: "two owners are named, 7 and 8"},
		`{"sessionId":"` + guid + `","userId":7,"user":3}`:            {id: guid, owner: 7, says: "no object with a userId"},
		`{"sessionId":"` + guid + `","user":{"userId":"x"}}`:          {id: guid, says: "no whole number"},
		`{"sessionId":"` + guid + `","userId":"x","user":{}}`:         {id: guid, says: "no whole number"},
		`{"id":"` + guid + `","userId":42.0}`:                         {id: guid, owner: 42},
		`{"id":"` + guid + `","userId":42.5}`:                         {id: guid, says: "no whole number"},
		`{"id":"` + guid + `","userId":1e300}`:                        {id: guid, says: "no whole number"},
		`{"id":"` + guid + `","userId":-1}`:                           {id: guid, says: "negative"},
		`{"id":"` + guid + `","sessionId":"` + guid + `"}`:            {says: "one of id and sessionId"},
		`{"id":4711}`:      {says: "a session ID is a string"},
		`{"sessionId":{}}`: {says: "a session ID is a string"},
		`{"id":"` + guid + `","user":{"userId":1}}`:   {says: "goes with a sessionId"},
		`{"id":"` + guid + `","other":1}`:             {says: `unknown member "other"`},
		`{"id":"` + guid + `","id":"` + guid + `"}`:   {says: "a session is a string, or an object"},
		`["` + guid + `"]`:                            {says: "a list found"},
		`{}`:                                          {},
		`{"sessionId":"` + guid + `","userName":"x"}`: {id: guid},
	} {
		s, err := readSession(jsontext.Value(entry))
		if s.ID != want.id || s.UserID != want.owner || (err != nil) != (want.says != "") || err != nil && !strings.Contains(err.Error(), want.says) {
			t.Errorf("%s: %+v, %v", entry, s, err)
		}
		if wrong := want.says != "" && want.id == ""; wrong != (s.Wrong() != "") || wrong && s.Entry.JSON != entry {
			t.Errorf("%s is kept as %+v", entry, s.Entry)
		}
	}
}

// An entry names one user in one way.
func TestEntriesOfUsersSayWhatIsWrong(t *testing.T) {
	for entry, want := range map[string]struct {
		user User
		says string
	}{
		`"a@x"`: {user: User{Email: "a@x"}}, `"a"`: {user: User{Name: "a"}}, `7`: {user: User{ID: 7}}, `{"userId":7}`: {user: User{ID: 7}},
		`{"userId":7,"userName":"x"}`: {user: User{ID: 7}}, `{"userName":"x"}`: {says: "for show"},
		`{"id":7,"userId":7}`: {says: "exactly one"}, `{"id":7,"x":1}`: {says: `unknown member "x"`}, `{"id":"x"}`: {says: "no whole number"},
		`null`: {says: "null found"}, `[]`: {says: "a list found"}, `true`: {says: "a boolean found"},
	} {
		u := readUser(jsontext.Value(entry))
		if wrong := u.Wrong(); (wrong != "") != (want.says != "") || !strings.Contains(wrong, want.says) {
			t.Errorf("%s: %q", entry, wrong)
		}
		if u.Entry == nil && u != want.user {
			t.Errorf("%s: %+v", entry, u)
		}
	}
}

// Notes for which there is no room are left out, each by itself, and that is said.
func TestNotesWithoutRoomAreLeftOut(t *testing.T) {
	half := strings.Repeat("x", MaxNotes/2)
	job := Job{Reason: half, RequestedBy: half + half, Labels: map[string]string{"a": half, "b": "b", "c": half}}
	job.admitNotes()
	if job.Reason != half || job.RequestedBy != "" || len(job.Labels) != 1 || job.Labels["b"] != "b" {
		t.Errorf("%d bytes of reason, %d of requestedBy, labels %d", len(job.Reason), len(job.RequestedBy), len(job.Labels))
	}
	if len(job.Remarks) != 3 {
		t.Errorf("%q", job.Remarks)
	}
	job = Job{Reason: half + half + "x", Labels: map[string]string{"a": half}}
	if job.admitNotes(); job.Reason != "" || len(job.Labels) != 1 || len(job.Remarks) != 1 {
		t.Errorf("%d bytes of reason, %d labels, %q", len(job.Reason), len(job.Labels), job.Remarks)
	}
}

// A truth that cannot be read is true, and no labels are none.
func TestNotesThatCannotBeRead(t *testing.T) {
	for note, want := range map[string]string{
		`"includeNewer":" True "`: "", `"includeNewer":null`: "", `"includeNewer":"\ufeffFALSE"`: "", `"includeNewer":1`: "/includeNewer",
		`"labels":null`: "", `"labels":7`: "/labels", `"labels":[]`: "/labels", `"labels":{"a":{"b":1}}`: "", `"reason":{"a":1}`: "", `"id":"a.b"`: "/id",
	} {
		job, err := Decode([]byte(`{"users":[{"id":7}],`+note+`}`), Rules{})
		if remark := job.Remark(); err != nil || (remark != "") != (want != "") || !strings.Contains(remark, want) {
			t.Errorf("%s: %q, %v", note, remark, err)
		}
		if newer := strings.Contains(note, "True") || strings.HasSuffix(note, ":1"); job.IncludeNewer != newer {
			t.Errorf("%s: %t", note, job.IncludeNewer)
		}
	}
}

// Remarks beyond the tenth are counted.
func TestRemarksAreFew(t *testing.T) {
	for n, more := range map[int]string{1: "", 10: "", 11: "and 1 more", 30: "and 20 more"} {
		var job Job
		for i := range n {
			job.Remarks = append(job.Remarks, fmt.Sprint("remark ", i))
		}
		if got := job.Remark(); strings.Contains(got, "more") != (more != "") || !strings.HasSuffix(got, more) || len(job.Remarks) != n {
			t.Errorf("%d: %s", n, got)
		}
	}
}

// Of a session that is named again and again with different owners, the owner is left out, and that is said once.
func TestContradictedOwnerIsLeftOut(t *testing.T) {
	for owners, remarks := range map[[4]int64]int{{1, 1, 0, 1}: 0, {0, 1, 1, 0}: 0, {1, 2, 0, 0}: 1, {1, 2, 1, 2}: 1, {0, 1, 2, 3}: 1} {
		var job Job
		for _, owner := range owners {
			job.Sessions = append(job.Sessions, Session{ID: guid, UserID: owner})
		}
		job.mergeSessions()
		want := int64(1)
		if remarks > 0 {
			want = 0
		}
		if len(job.Sessions) != 1 || job.Sessions[0].UserID != want || len(job.Remarks) != remarks {
			t.Errorf("%v: %+v, %q", owners, job.Sessions, job.Remarks)
		}
	}
}

// An entry that is kept stays as it came, and one that is read as it was written keeps nothing.
func TestEntriesAreKeptOnlyWhereTheyDiffer(t *testing.T) {
	kept := wrongEntry(strings.Repeat("é", maxText), jsontext.Value(`"x"`), refused("no"))
	if len(kept.Text) > maxText || !strings.HasSuffix(kept.Text, "…") {
		t.Errorf("%q", kept.Text)
	}
	if s := (Rules{}).admit(Session{ID: guid, Entry: kept}); s.Entry != kept {
		t.Errorf("%+v", s)
	}
	if s := (Rules{}).admit(Session{ID: guid}); s.Entry != nil || s.ID != guid {
		t.Errorf("%+v", s)
	}
	if s := (Rules{}).admit(Session{ID: " " + guid}); s.Entry == nil || s.Entry.Text != " "+guid || s.ID != guid || s.Wrong() != "" {
		t.Errorf("%+v", s)
	}
	if u := (User{Name: "a", Entry: kept}).admit(); u.Entry != kept {
		t.Errorf("%+v", u)
	}
	if u := (User{Name: "a"}).admit(); u.Entry != nil {
		t.Errorf("%+v", u)
	}
	if u := (User{Email: " a@x "}).admit(); u.Entry == nil || u.Entry.Text != " a@x " || u.Email != "a@x" || u.Wrong() != "" {
		t.Errorf("%+v", u)
	}
}
