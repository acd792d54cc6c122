package issuers

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
)

// examples are those of jobs/signals, with the issuers file that their verdicts assume.
const examples = "../../jobs/signals/testdata/"

// noon is when they are read.
var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// A message goes where the file says that its address leads.
func receive(t *testing.T, file *File, r signals.Reader, via string, header map[string]string, body []byte) signals.Answer {
	t.Helper()
	path, _, _ := strings.Cut(strings.TrimPrefix(via, "http POST "), "?")
	if via == "nats" || path == jobsPath {
		headers := map[string][]string{}
		for name, value := range header {
			headers[name] = []string{value}
		}
		return r.Message(headers, body)
	}
	for _, hook := range file.Hooks {
		if hook.Path == path {
			return r.Hook(hook.Recipe, body)
		}
	}
	for _, issuer := range file.Issuers {
		switch {
		case issuer.RevokePath == path:
			return r.Revocation(issuer.Name, header["Authorization"], body)
		case issuer.PushPath == path && strings.HasPrefix(header["Content-Type"], "application/x-www-form-urlencoded"):
			return r.LogoutToken(issuer.Name, body)
		case issuer.PushPath == path:
			return r.SET(issuer.Name, body)
		}
	}
	t.Fatalf("the file leads nowhere from %s", path)
	return signals.Answer{}
}

// By the file of the examples each of them comes to the verdict and the job that their index has, but for what is
// another's to know: who calls (push-no-auth, http-job-no-auth), and what was worked before (again-2).
func TestTheExamplesFileGivesEachExampleItsVerdict(t *testing.T) {
	i, err := Open(examples + "issuers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	i.Dial = func(context.Context, string, string) (net.Conn, error) {
		t.Error("a message has had something asked for")
		return nil, errors.New("nobody is asked")
	}
	index, err := os.ReadFile(examples + "index.tsv")
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSpace(string(index)), "\n")[1:]
	if len(rows) != 119 {
		t.Fatalf("%d examples", len(rows))
	}
	elsewhere := map[string]bool{"push-no-auth": true, "http-job-no-auth": true, "again-2": true}
	for _, row := range rows {
		column := strings.Split(row, "\t")
		id, via, verdict, job := column[0], column[2], column[4], column[5]
		if elsewhere[id] {
			continue
		}
		t.Run(id, func(t *testing.T) {
			var header map[string]string
			if err := json.Unmarshal([]byte(column[3]), &header); err != nil {
				t.Fatal(err)
			}
			body, err := os.ReadFile(examples + "events/" + id + ".body")
			if err != nil {
				t.Fatal(err)
			}
			a := receive(t, i.File(), i.Reader(jobs.Rules{}, noon), via, header, body)
			got := string(a.Verdict)
			if a.Verdict == signals.Invalid && via != "nats" {
				got = "refused"
			}
			if got != verdict {
				t.Fatalf("%s (%s), not %s", got, a.Why, verdict)
			}
			if verdict == "job" {
				compare(t, job, a.Job)
			}
		})
	}
}

// compare compares what of a job decides whose sessions end.
func compare(t *testing.T, want string, got jobs.Job) {
	t.Helper()
	wanted, err := jobs.Decode([]byte(want), jobs.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	got.ID, got.Reason, got.RequestedBy, got.Labels = "", wanted.Reason, "", nil
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Fatalf("another job (-want +got):\n%s", diff)
	}
}
