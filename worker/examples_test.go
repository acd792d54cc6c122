package worker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
	"logoffworker/worker/webserver/simulator"
)

// An example is a message of jobs/signals/testdata on NATS, and what must become of it.
type example struct {
	id, kind, verdict string
	header            map[string]string
	body              []byte
	job               struct {
		Sessions  []string    `json:"sessions"`
		Users     []jobs.User `json:"users"`
		EventTime time.Time   `json:"eventTime"`
		Reason    string      `json:"reason"`
	}
}

const examplesDir = "../jobs/signals/testdata"

func examples(t *testing.T) (all []example) {
	t.Helper()
	index, err := os.ReadFile(filepath.Join(examplesDir, "index.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(index)), "\n")[1:] {
		column := strings.Split(line, "\t")
		if column[2] != "nats" {
			continue
		}
		e := example{id: column[0], kind: column[1], verdict: column[4]}
		if err := json.Unmarshal([]byte(column[3]), &e.header); err != nil {
			t.Fatal(e.id, err)
		}
		if column[5] != "" {
			if err := json.Unmarshal([]byte(column[5]), &e.job); err != nil {
				t.Fatal(e.id, err)
			}
		}
		if e.body, err = os.ReadFile(filepath.Join(examplesDir, "events", e.id+".body")); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// publishExample stores a message, with its own name as its publisher's, which the two that belong together share.
func (s *site) publishExample(e example) {
	s.t.Helper()
	header := nats.Header{}
	for name, value := range e.header {
		header[name] = []string{value}
	}
	s.publishMsg(s.subjects.Request(jobs.Urgent, strings.TrimRight(e.id, "-12")), header, e.body)
}

// exampleSite is where the examples are worked, at the time at which they are of use, with somebody on for all whom they
// name. Nobody's keys are asked for.
func exampleSite(t *testing.T) (s *site, w *running) {
	until(t, "2026-11-27T11:50:00Z")
	s = newSite(t, simulator.Settings{LatencyFixed: latency})
	for i, u := range []simulator.User{
		{Login: `CORP\jane`},
		{Login: `CORP\jdoe`},
		{Login: `CORP\hijacked`},
		{Email: "jane@corp.example"},
		{Email: "Jane.Doe@CORP.example"},
		{Email: "joe@corp.example"},
		{Email: "jane.doe@example.com"},
		{Email: "user@example.com"},
		{Email: "user+qualifier@example.com"},
		{Email: "foo@example.com"},
		{Email: "victim@example.com"},
		{Email: "again@example.com"},
	} {
		if u.ID = 60 + i; u.Login == "" {
			u.Login = fmt.Sprintf("somebody%d", i)
		}
		s.sim.AddUser(u)
		s.sim.SignOn(u.ID, simulator.ConsoleWeb)
	}
	until(t, "2026-11-27T12:00:00Z")
	w = s.start(options{issuers: keptFresh(t, filepath.Join(examplesDir, "issuers.yaml"), func(_ context.Context, _, address string) (net.Conn, error) {
		t.Errorf("somebody asks %s", address)
		return nil, errors.New("nobody is to be asked")
	})})
	passes(t, 2*time.Second)
	return s, w
}

// What is ignored, invalid or waits causes no request to the Web Server, and none to an address that a token names.
// What waits is invalid after an hour, and not before.
func TestExamplesThatAreNoJobsCauseNoRequest(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s, w := exampleSite(t)
		before := len(s.sim.Journal())
		verdicts, waiting := map[string]jobs.Status{}, 0
		for _, e := range examples(t) {
			switch e.verdict {
			case "ignored":
				if e.id == "again-2" {
					continue
				}
				verdicts[e.id] = jobs.Ignored
			case "invalid":
				verdicts[e.id] = jobs.Invalid
			case "retry":
				verdicts[e.id], waiting = jobs.Invalid, waiting+1
			default:
				continue
			}
			s.publishExample(e)
		}
		if len(verdicts) < 60 || waiting != 2 {
			t.Fatalf("%d examples, of which %d wait", len(verdicts), waiting)
		}
		got := s.awaitFor(len(verdicts), time.Minute)
		if len(got) != len(verdicts)-waiting {
			t.Errorf("%d results within a minute, want %d", len(got), len(verdicts)-waiting)
		}
		if requests := s.sim.Journal()[before:]; len(requests) > 0 {
			t.Errorf("%d requests, first %+v", len(requests), requests[0])
		}
		if early := s.awaitFor(waiting, 58*time.Minute); len(early) > 0 {
			t.Errorf("%+v", early)
		}
		got = append(got, s.awaitFor(waiting, 2*time.Minute)...)
		invalid := 0
		for _, r := range got {
			if r.Status != verdicts[r.Publisher] || r.Error == "" || len(r.Sessions)+len(r.Users) > 0 {
				t.Errorf("%s: %s: %s", r.Publisher, r.Status, r.Error)
			}
			delete(verdicts, r.Publisher)
			if r.Status == jobs.Invalid {
				invalid++
			}
		}
		for id := range verdicts {
			t.Errorf("%s has no result", id)
		}
		if n := s.deadLetters(); n != uint64(invalid) || s.left() != 0 {
			t.Errorf("%d dead letters of %d invalid messages, %d left", n, invalid, s.left())
		}
		for _, r := range s.sim.Journal() {
			if r.Op == "logoff" || strings.HasPrefix(r.Op, "user") {
				t.Errorf("%s %s", r.Op, r.Path)
			}
		}
		if problem := w.problem(string(jobs.Urgent)); problem != "" {
			t.Error(problem)
		}
	})
}

// What is a job names in its result whom the index says, and whose event it answers.
func TestExamplesThatAreJobsAreWorked(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s, _ := exampleSite(t)
		worked := 0
		for _, e := range examples(t) {
			if e.verdict != "job" && e.id != "again-2" {
				continue
			}
			worked++
			s.publishExample(e)
			r := s.await(1)[0]
			if e.id == "again-2" {
				if r.Status != jobs.Ignored || r.Repeats == "" || r.Signal == nil || r.Error != "worked before: "+r.Repeats {
					t.Errorf("again-2: %+v", r)
				}
				continue
			}
			if err := e.differs(r); err != "" {
				t.Errorf("%s: %s\n%+v", e.id, err, r)
			}
		}
		if worked < 37 {
			t.Errorf("%d examples", worked)
		}
	})
}

// differs says where a result is not that of the example's job; nothing if it is.
func (e example) differs(r jobs.Result) string {
	var sessions []string
	for _, session := range r.Sessions {
		if !session.Found {
			sessions = append(sessions, session.ID)
		}
	}
	var users []jobs.User
	for _, u := range r.Users {
		users = append(users, jobs.User{ID: u.ID, Name: u.Name, Email: u.Email})
		if !u.Outcome.Success() {
			return fmt.Sprintf("%+v", u)
		}
	}
	signed := e.header["Content-Type"] == "application/secevent+jwt"
	switch {
	case r.Status == jobs.Invalid || r.Status == jobs.Ignored || len(e.job.Users) > 0 && r.Status != jobs.Done:
		return "its status is " + string(r.Status)
	case !slices.Equal(sessions, e.job.Sessions):
		return "other sessions"
	case !slices.Equal(users, e.job.Users):
		return "other people"
	case !r.EventTime.Equal(e.job.EventTime):
		return "another time"
	case e.job.Reason != "" && r.Reason != e.job.Reason:
		return "another reason"
	case signed && (r.Signal == nil || r.Signal.Token != strings.TrimSpace(string(e.body)) || r.Signal.Issuer == "" || r.Signal.Rule == "" || !jobs.IsSignalID(r.JobID)):
		return "it is not told whose event it is"
	case len(e.job.Users) == 0 && r.Signal != nil:
		return "it answers nobody's event"
	case !r.EventTime.IsZero() && r.EventToEndedMS < time.Minute.Milliseconds():
		return "it is not told how long it took"
	}
	return ""
}
