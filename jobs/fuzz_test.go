package jobs

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func seed(f *testing.F, pattern string, add func(data []byte)) {
	files, err := filepath.Glob(filepath.Join("testdata", filepath.FromSlash(pattern)))
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds in %s: %v", pattern, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		add(data)
	}
}

func FuzzDecodeJSON(f *testing.F) {
	fuzzDecode(f, "*.json", "invalid/*.json")
}

func FuzzDecodeXML(f *testing.F) {
	fuzzDecode(f, "*.xml", "invalid/*.xml")
}

func fuzzDecode(f *testing.F, patterns ...string) {
	for _, pattern := range patterns {
		seed(f, pattern, func(data []byte) {
			f.Add(data, false, 0)
			f.Add(data, true, 6000)
		})
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		f.Fatal(err)
	}
	for _, row := range toleranceRow.FindAllStringSubmatch(tolerances(f, string(readme)), -1) {
		f.Add(written(row[1]), false, 0)
	}
	f.Fuzz(func(t *testing.T, data []byte, loose bool, maxBytes int) {
		rules := Rules{LooseIDs: loose, MaxBytes: max(0, maxBytes)}
		given := bytes.Clone(data)
		job, err := Decode(data, rules)
		if !bytes.Equal(given, data) {
			t.Fatal("the message was changed")
		}
		if err != nil {
			checkRefused(t, job, err)
			return
		}
		checkAccepted(t, job, rules)
	})
}

func checkRefused(t *testing.T, job Job, err error) {
	var invalid *InvalidError
	switch {
	case !errors.As(err, &invalid):
		t.Fatalf("%v is no InvalidError", err)
	case invalid.Reason == "" || !printable(err.Error()) || len(err.Error()) > maxPlace+maxReason+10:
		t.Fatalf("unfit to print: %q", err)
	case job.ID != "" && LegalID(job.ID) != nil:
		t.Fatalf("the id %q is not legal", job.ID)
	}
	if diff := cmp.Diff(Job{ID: job.ID}, job); diff != "" {
		t.Fatalf("an invalid job has more than an id: %s", diff)
	}
}

// checkAccepted holds an accepted job against rules that are written down a second time.
func checkAccepted(t *testing.T, job Job, rules Rules) {
	spellings, usable := map[string]bool{}, 0
	for _, s := range job.Sessions {
		spelling := s.Spelled()
		if s.Wrong() == "" {
			usable++
		} else {
			spelling = "wrong:" + s.Entry.JSON
		}
		switch {
		case spellings[spelling], len(s.Spelled()) > 128:
			t.Fatalf("the session %q is there twice, or too long", spelling)
		case s.Wrong() != "" && (s.ID != "" || s.UserID != 0):
			t.Fatalf("the session %q of %d is wrong: %s", s.ID, s.UserID, s.Wrong())
		case s.Wrong() == "" && (!fits(s.ID, rules.LooseIDs) || s.UserID < 0 || !strings.Contains(strings.ToUpper(s.Spelled()), strings.TrimPrefix(strings.ToUpper(s.ID), "EMC"))):
			t.Fatalf("accepted the session %q of %d, spelled %q", s.ID, s.UserID, s.Spelled())
		}
		spellings[spelling] = true
	}
	for _, u := range job.Users {
		if u.Wrong() == "" {
			usable++
		} else if u.ID != 0 || u.Name+u.Email != "" {
			t.Fatalf("the user %v is wrong: %s", u, u.Wrong())
		}
	}
	if usable == 0 || len(job.Sessions) > MaxSessions || len(job.Users) > MaxUsers || job.ID != "" && LegalID(job.ID) != nil {
		t.Fatalf("accepted %d sessions and %d users as %q", len(job.Sessions), len(job.Users), job.ID)
	}
	for _, remark := range job.Remarks {
		if !printable(remark) {
			t.Fatalf("unfit to print: %q", remark)
		}
	}
	data, err := job.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Decode(data, rules)
	if diff := cmp.Diff(job, again, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Job{}, "Remarks"), kept); err != nil || diff != "" {
		t.Fatalf("%s: %v\n%s", data, err, diff)
	}
	checkStorable(t, job, rules)
}

// kept is what a wrong entry keeps when it is written and read again: one that came in XML is told otherwise.
var kept = cmp.Transformer("kept", func(e *Entry) Entry {
	switch {
	case e == nil:
		return Entry{}
	case e.Wrong != "":
		return Entry{JSON: e.JSON}
	}
	return *e
})

// checkStorable makes the largest result of a job that its rules let through.
func checkStorable(t *testing.T, job Job, rules Rules) {
	r := Result{
		Version: ResultVersion, JobID: Identify(job.ID, "", Key(1, stored)), Lane: Urgent, Worker: "worker-0", EventTime: job.EventTime,
		Reason: job.Reason, RequestedBy: job.RequestedBy, Labels: job.Labels, UsersLeft: len(job.Users), RequestedAt: stored,
	}
	for _, s := range job.Sessions {
		r.Sessions = append(r.Sessions, SessionResult{ID: s.Spelled(), UserID: s.UserID, Outcome: AlreadyLoggedOff, ServerText: "text", Error: s.Wrong(), Attempts: 1})
	}
	for _, u := range job.Users {
		r.Users = append(r.Users, u.Result(UserStillActive))
	}
	r.Conclude()
	if _, err := r.Append(nil, rules.MaxBytes); err != nil {
		t.Fatal(err)
	}
}

func fits(id string, loose bool) bool {
	if loose {
		for _, r := range id {
			if r < 0x21 || r > 0x7e {
				return false
			}
		}
		return id != "" && len(id) <= 128
	}
	if len(id) == 39 && id[:3] == "EMC" {
		id = id[3:]
	}
	shape := bytes.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'f' || r >= 'A' && r <= 'F' {
			return 'h'
		}
		return r
	}, []byte(id))
	return string(shape) == "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh"
}

func FuzzDecodeResult(f *testing.F) {
	seed(f, "result-*.json", func(data []byte) {
		f.Add(data, 0)
		f.Add(data, 300)
	})
	f.Fuzz(func(t *testing.T, data []byte, maxBytes int) {
		r, err := DecodeResult(data)
		if err != nil {
			if !printable(err.Error()) || r.JobID != "" {
				t.Fatalf("%v, %q", r, err)
			}
			return
		}
		encoded, err := r.Append(nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeResult(encoded)
		if diff := cmp.Diff(r, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("%s: %v\n%s", encoded, err, diff)
		}
		small, err := r.Append(nil, max(1, maxBytes))
		if err == nil && (len(small) > maxBytes || !utf8.Valid(small)) {
			t.Fatalf("%d bytes of %d: %q", len(small), maxBytes, small)
		}
		if r.Conclude(); r.Status == Done && r.UsersLeft != 0 {
			t.Fatal("done without its users")
		}
		for _, s := range r.Sessions {
			if r.Status == Done && !s.Outcome.Success() {
				t.Fatalf("done with %s", s.Outcome)
			}
		}
	})
}

func FuzzDecodeDeadLetter(f *testing.F) {
	seed(f, "invalid/*", func(data []byte) {
		_, err := Decode(data, Rules{})
		f.Add("invalid", "j", err.Error(), "logoff.requests.urgent", "7", "2026-11-23T10:00:01.25Z", string(data), data)
	})
	f.Fuzz(func(t *testing.T, reason, id, text, subject, sequence, when, foreign string, payload []byte) {
		letter, err := DecodeDeadLetter(map[string][]string{
			"Logoff-Reason": {reason}, "Logoff-Job-Id": {id}, "Logoff-Error": {text}, "Logoff-Subject": {subject}, "Logoff-Sequence": {sequence},
			"Logoff-Stored": {when}, "Content-Type": {foreign}, "Logoff-Message-Id": {foreign}, "Logoff-Result": {},
		}, payload)
		if err != nil {
			if !printable(err.Error()) {
				t.Fatalf("unfit to print: %q", err)
			}
			return
		}
		header := letter.Header()
		for name, values := range header {
			if !printable(values[0]) || len(values[0]) > 512 {
				t.Fatalf("%s: %q", name, values)
			}
		}
		again, err := DecodeDeadLetter(header, payload)
		if diff := cmp.Diff(letter, again, cmpopts.EquateApproxTime(0)); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
	})
}
