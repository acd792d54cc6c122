package signals

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the files that tests compare with")

// A fixture is a row of testdata/index.tsv with its message.
type fixture struct {
	id, via, verdict, job, why string
	header                     map[string]string
	body                       []byte
}

func fixtures(t testing.TB) []fixture {
	index, err := os.ReadFile("testdata/index.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var all []fixture
	for _, line := range strings.Split(strings.TrimSpace(string(index)), "\n")[1:] {
		column := strings.Split(line, "\t")
		f := fixture{id: column[0], via: column[2], verdict: column[4], job: column[5], why: column[6]}
		if err := json.Unmarshal([]byte(column[3]), &f.header); err != nil {
			t.Fatal(f.id, err)
		}
		if f.body, err = os.ReadFile("testdata/events/" + f.id + ".body"); err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}

// read calls the method that the receiver, or the worker for NATS, would call.
func (f fixture) read(t testing.TB, r Reader) Answer {
	switch path, _, _ := strings.Cut(strings.TrimPrefix(f.via, "http POST "), "?"); {
	case f.via == "nats", path == "/v1/jobs":
		header := make(map[string][]string)
		for name, value := range f.header {
			header[name] = []string{value}
		}
		return r.Message(header, f.body)
	case strings.HasSuffix(path, "/revoke"):
		return r.Revocation("okta", f.header["Authorization"], f.body)
	case path == "/v1/hooks/okta":
		return r.Hook("okta-hook", f.body)
	case path == "/v1/hooks/splunk":
		return r.Hook("splunk", f.body)
	case f.header["Content-Type"] == "application/x-www-form-urlencoded":
		return r.LogoutToken("keycloak", f.body)
	case path == "/v1/events/idp":
		return r.SET("idp", f.body)
	}
	t.Fatalf("%s: nobody reads %s", f.id, f.via)
	return Answer{}
}

// receivers are rows that the receiver refuses before anything is read: who calls proves nothing.
var receivers = map[string]bool{"push-no-auth": true, "http-job-no-auth": true}

// Each message comes to what the index says. What worked before is remembered here by the ids of jobs as the worker
// does by its results: that a repetition is ignored (again-2) is its rule, and not this package's.
func TestFixtures(t *testing.T) {
	r := fixtureReader(t)
	worked := make(map[string]bool)
	rows := fixtures(t)
	if len(rows) != 119 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, f := range rows {
		t.Run(f.id, func(t *testing.T) {
			a := f.read(t, r)
			got := string(a.Verdict)
			switch {
			case receivers[f.id]:
				return
			case a.Verdict == Job && a.Job.ID != "" && worked[a.Job.ID]:
				got = "ignored"
			case a.Verdict == Invalid && strings.HasPrefix(f.via, "http"):
				got = "refused"
			}
			if got != f.verdict {
				t.Fatalf("%s (%s), not %s: %s", got, a.Why, f.verdict, f.why)
			}
			if got == "job" {
				worked[a.Job.ID] = true
				sameJob(t, f.job, a)
				return
			}
			if got != "ignored" || f.id != "again-2" {
				checkNoJob(t, a)
			}
		})
	}
}

// sameJob compares the members that want has, and those that would make the job another one.
func sameJob(t *testing.T, want string, a Answer) {
	data, err := a.Job.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var wanted, got map[string]any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	for name := range got {
		if _, named := wanted[name]; !named && name != "sessions" && name != "users" && name != "eventTime" && name != "includeNewer" {
			delete(got, name) // notes and the id, of which the index says nothing
		}
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Fatalf("another job: %s", diff)
	}
}

func checkNoJob(t *testing.T, a Answer) {
	if len(a.Job.Users)+len(a.Job.Sessions) > 0 {
		t.Fatalf("%s, with a job: %+v", a.Verdict, a.Job)
	}
	if a.Why == "" || !printable(a.Why) {
		t.Fatalf("unfit to print: %q", a.Why)
	}
}

// What is said of each message is in testdata/said.txt, for people to read; -update writes it.
func TestWhatIsSaidOfEachMessage(t *testing.T) {
	r := fixtureReader(t)
	var said strings.Builder
	for _, f := range fixtures(t) {
		a := f.read(t, r)
		fmt.Fprintf(&said, "%s: %s", f.id, a.Verdict)
		switch {
		case a.Verdict != Job:
			fmt.Fprintf(&said, " %s: %s\n", a.Code, a.Why)
		case a.Signal != nil:
			fmt.Fprintf(&said, " for %q by %q\n", a.Job.Reason, a.Signal.Rule)
		default:
			fmt.Fprintf(&said, " in %s\n", a.Format)
		}
	}
	if *update {
		if err := os.WriteFile("testdata/said.txt", []byte(said.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/said.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(said.String(), "\n")); diff != "" {
		t.Error(diff)
	}
}

// The codes are what the receiver answers with.
func TestRefusalsHaveTheirCodes(t *testing.T) {
	want := map[string]Code{
		"push-aud": InvalidAudience, "push-iss": InvalidIssuer, "push-garbage": InvalidRequest, "logout-sid-only": InvalidRequest, "logout-nonce": InvalidRequest,
		"revoke-aud": Unauthenticated, "revoke-no-auth": Unauthenticated, "key-attacker": InvalidKey, "key-weak": InvalidKey,
		"iss-unknown": InvalidIssuer, "aud-other": InvalidAudience, "subject-other-issuer": AccessDenied, "subject-other-domain": AccessDenied, "kid-unknown": InvalidKey,
	}
	r := fixtureReader(t)
	for _, f := range fixtures(t) {
		if code, asked := want[f.id]; asked {
			if a := f.read(t, r); a.Code != code {
				t.Errorf("%s: %s, not %s: %s", f.id, a.Code, code, a.Why)
			}
			delete(want, f.id)
		}
	}
	if len(want) > 0 {
		t.Error(fmt.Sprint("no such rows: ", want))
	}
}
