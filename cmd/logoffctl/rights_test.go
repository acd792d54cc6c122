package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker/fleet"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/stream"
)

// guarded is a world whose NATS has the users of deploy/nats/accounts.conf, each with its rights and no more.
type guarded struct {
	world
	url string
}

func guardedWorld(t *testing.T) *guarded {
	t.Helper()
	for _, name := range []string{"ADMIN", "WORKER", "SOAR", "HR", "RECEIVER", "READER", "OPERATOR", "APPROVER"} {
		t.Setenv("LOGOFF_"+name+"_PASSWORD", `"canary"`)
	}
	options, err := server.ProcessConfigFile(filepath.Join("..", "..", "deploy", "nats", "accounts.conf"))
	if err != nil {
		t.Fatal(err)
	}
	both := *options.Users[slices.IndexFunc(options.Users, func(u *server.User) bool { return u.Username == "operator" })]
	both.Username, both.Permissions = "both", &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: append([]string{"logoff.approved.*.jane"}, both.Permissions.Publish.Allow...)},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX_operator.>"}},
	}
	half := both // an operator who may pause one lane
	half.Username, half.Permissions = "half", &server.Permissions{
		Publish: &server.SubjectPermission{Allow: slices.Concat(
			slices.DeleteFunc(slices.Clone(both.Permissions.Publish.Allow), func(s string) bool { return strings.Contains(s, ".PAUSE.") }),
			[]string{"$JS.API.CONSUMER.PAUSE.LOGOFF_REQUESTS.urgent"},
		)},
		Subscribe: both.Permissions.Subscribe,
	}
	blind := both // an approver who may read nothing but what is held
	blind.Username, blind.Permissions = "blind", &server.Permissions{
		Publish: &server.SubjectPermission{Allow: []string{
			"$JS.API.STREAM.INFO.LOGOFF_DEAD", "$JS.API.STREAM.MSG.GET.LOGOFF_DEAD", "$JS.API.STREAM.MSG.DELETE.LOGOFF_DEAD",
			"logoff.approved.*.blind", "logoff.audit.act.*.blind", "$SYS.REQ.USER.INFO",
		}},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX_blind.>"}},
	}
	options.Users = append(options.Users, &both, &half, &blind) // the first is an operator who may approve as well
	options.Port, options.JetStream, options.StoreDir, options.NoSigs = server.RANDOM_PORT, true, t.TempDir(), true
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the server did not start")
	}
	g := &guarded{url: s.ClientURL(), world: world{subjects: jobs.Subjects{Prefix: "logoff"}}}
	admin := g.as(t, "admin", "_INBOX")
	if err := stream.DefaultConfig().ProvisionStreams(context.Background(), admin); err != nil {
		t.Fatal(err)
	}
	return g
}

// as is JetStream as a user sees it.
func (g *guarded) as(t *testing.T, user, inbox string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(g.url, nats.UserInfo(user, "canary"), nats.CustomInboxPrefix(inbox))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// run runs the tool as a user, who says nothing of an inbox.
func (g *guarded) run(t *testing.T, user string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.Command("logoffctl", args...)
	cmd.Dir = t.TempDir() // for the file of what is not done
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = append(cmd.Environ(), "LOGOFF_NATS_URL="+g.url, "LOGOFF_NATS_USER="+user, "LOGOFF_NATS_PASSWORD=canary")
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if strings.Contains(errs.String()+out.String(), "canary") {
		t.Errorf("a password is told: %s%s", out.String(), errs.String())
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// An operator's rights are enough to store jobs under its own name, to wait, to watch and to find.
func TestTheRightsOfAnOperatorAreEnough(t *testing.T) {
	g := guardedWorld(t)
	code, out, told := g.run(t, "operator", "submit", "jane", "--id", "case-1", "--wait", "--timeout", "300ms")
	if code != codeLate || !strings.Contains(out, "stored, urgent: 1 person") {
		t.Fatalf("submit ended with %d: %s%s", code, out, told)
	}
	g.js = g.as(t, "admin", "_INBOX")
	if err := g.settleBy(g.as(t, "worker", "_INBOX_logoff"), jobs.Done); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"submit", "jane", "--id", "case-1", "--wait"}, "case-1  done"},
		{[]string{"watch", "case-1"}, " operator "},
		{[]string{"watch", "1"}, "case-1"},
		{[]string{"find", "case-1"}, "case-1"},
		{[]string{"submit", "tim", "--json"}, `"subject":"logoff.requests.urgent.operator"`},
		{[]string{"__complete", "watch", ""}, "case-1"},
	} {
		code, out, told := g.run(t, "operator", c.args...)
		if code != 0 || !strings.Contains(out, c.want) {
			t.Errorf("%v ended with %d, and not with %q: %s%s", c.args, code, c.want, out, told)
		}
	}
}

// A publisher may store jobs on its own subject, of which it need not say which it is; to wait it lacks the right, and
// hears which.
func TestTheRightsOfAPublisherAreEnoughToStore(t *testing.T) {
	g := guardedWorld(t)
	code, out, told := g.run(t, "soar", "submit", "jane", "--json")
	if code != 0 || !strings.Contains(out, `"subject":"logoff.requests.urgent.soar"`) {
		t.Errorf("submit ended with %d: %s%s", code, out, told)
	}
	code, _, told = g.run(t, "soar", "submit", "jane", "--id", "case-1")
	if code != 0 || !strings.Contains(told, "cannot be found out") {
		t.Errorf("submit of a name ended with %d: %s", code, told)
	}
	code, _, told = g.run(t, "soar", "submit", "jane", "--wait")
	if code != codeUnclear || !strings.Contains(told, "a NATS right is missing") || !strings.Contains(told, "LOGOFF_RESULTS") {
		t.Errorf("submit --wait ended with %d: %s", code, told)
	}
	code, _, told = g.run(t, "soar", "submit", "jane", "--lane", "bulk")
	if code != codeUnclear || !strings.Contains(told, "logoff.requests.bulk.soar") {
		t.Errorf("submit on another lane ended with %d: %s", code, told)
	}
	if code, _, told = g.run(t, "reader", "find", "jane"); code != codeNotSo {
		t.Errorf("find of a reader ended with %d: %s", code, told)
	}
}

// An operator's rights are enough to see how it is, to replay and drop what is dead, and to pause and resume a lane; not
// to approve. An approver's are enough to approve and deny, under its own name.
func TestTheRightsOfOperatorAndApproverAreEnoughForTheirActs(t *testing.T) {
	bubble.SkipsUnderRace(t)
	g := guardedWorld(t)
	g.js, g.publisher = g.as(t, "worker", "_INBOX_logoff"), g.as(t, "hr", "_INBOX_hr")
	for _, status := range []jobs.Status{jobs.Partial, jobs.Failed, jobs.Held} {
		if err := g.kill(2, status, jobs.Bulk, "hr"); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		user string
		args []string
		code int
		want string
	}{
		{"operator", []string{"dead", "ls"}, 0, "partial-1"},
		{"operator", []string{"show", "partial-1"}, 0, "dead letter"},
		{"operator", []string{"dead", "replay", "partial-1", "--yes"}, 0, "stored 1 job"},
		{"operator", []string{"dead", "replay", "--reason", "partial", "--yes"}, 0, "stored 1 job"},
		{"operator", []string{"show", "7"}, 0, "logoff.requests.bulk.operator"},
		{"operator", []string{"dead", "drop", "--reason", "failed", "--yes"}, 0, "dropped: 2 letters"},
		{"operator", []string{"pause", "bulk", "--for", "1h", "--why", "x"}, 0, "bulk is paused"},
		{"operator", []string{"resume", "bulk"}, 0, "bulk goes on"},
		{"operator", []string{"status"}, codeUnclear, "no worker answers"},
		{"operator", []string{"approve", "held-1", "--yes"}, codeUnclear, "a NATS right is missing"},
		{"reader", []string{"dead", "drop", "held-1", "--yes"}, codeUsage, "it is held"},
		{"reader", []string{"pause", "bulk", "--for", "1h", "--why", "x"}, codeUnclear, "a NATS right is missing"},
		{"approver", []string{"approve", "held-1", "--yes"}, 0, "approved; stored as LOGOFF_REQUESTS"},
		{"approver", []string{"deny", "held-2", "--yes"}, 0, "denied: 1 letter is off the list"},
	} {
		code, out, told := g.run(t, c.user, c.args...)
		if code != c.code || !strings.Contains(out+told, c.want) {
			t.Errorf("%v of %s ended with %d, and not with %q: %s%s", c.args, c.user, code, c.want, out, told)
		}
	}
	if left, err := g.has(g.subjects.DeadStream()); err != nil || left != 0 {
		t.Errorf("%d letters are left, %v", left, err)
	}
}

// A pause that NATS refuses in part is told as what it is: workers hold the lane for the act that is written down.
func TestPauseThatIsRefusedInPartSaysWhatIsPaused(t *testing.T) {
	bubble.NeedsNATS(t, 11)
	g := guardedWorld(t)
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"pause", "all", "--for", "1h", "--why", "x", "--yes"}, []string{"urgent is paused", "a NATS right is missing", "workers hold the bulk lane", "take it back with: logoffctl resume bulk --inbox-prefix _INBOX_operator\n"}},
		{[]string{"resume", "all"}, []string{"urgent is on again", "a NATS right is missing", "the consumer may be paused all the same"}},
	} {
		code, out, told := g.run(t, "half", append(c.args, "--inbox-prefix", "_INBOX_operator")...)
		if code != codeUnclear || out != "" {
			t.Errorf("%v ended with %d: %s", c.args, code, out)
		}
		for _, words := range c.want {
			if !strings.Contains(told, words) {
				t.Errorf("%v does not say %q: %s", c.args, words, told)
			}
		}
	}
}

// An approver who may not see whose message has the id of an approval keeps the letter. The others are approved.
func TestApproverWhoSeesNothingKeepsTheLetter(t *testing.T) {
	g := guardedWorld(t)
	g.js, g.publisher = g.as(t, "worker", "_INBOX_logoff"), g.as(t, "hr", "_INBOX_hr")
	if err := g.kill(2, jobs.Held, jobs.Bulk, "hr"); err != nil {
		t.Fatal(err)
	}
	_, out, _ := g.run(t, "operator", "dead", "ls", "held-1", "--json")
	var listed struct {
		Key string `json:"key"`
	}
	if err := json.Unmarshal([]byte(out), &listed); err != nil || listed.Key == "" {
		t.Fatal(err, out)
	}
	if _, err := g.publisher.Publish(t.Context(), g.subjects.Request(jobs.Bulk, "hr"), []byte(`{"users":[{"id":1}]}`), jetstream.WithMsgID("approved-"+listed.Key)); err != nil {
		t.Fatal(err)
	}
	code, out, told := g.run(t, "blind", "approve", "held-1", "held-2", "--yes")
	if code != codeUnclear || !strings.Contains(told, "the letter stays on the list") || strings.Count(out, "approved; stored as") != 1 {
		t.Errorf("it ended with %d: %s%s", code, out, told)
	}
	if left, err := g.has(g.subjects.DeadStream()); err != nil || left != 1 {
		t.Errorf("%d letters are left, %v", left, err)
	}
}

// An approver whose approval was stored, and who died before the letter was off the list, is not told that the job is
// denied. Who may not find out says so.
func TestApproverIsNotToldThatWhatIsApprovedIsDenied(t *testing.T) {
	for user, want := range map[string]struct {
		code  int
		words string
	}{
		"approver": {codeNotSo, "approver had stored it again already"},
		"blind":    {codeUnclear, "1 letter is off the list; whether a job was approved before cannot be found out"},
	} {
		t.Run(user, func(t *testing.T) {
			g := guardedWorld(t)
			g.js, g.publisher = g.as(t, "worker", "_INBOX_logoff"), g.as(t, "hr", "_INBOX_hr")
			if err := g.kill(1, jobs.Held, jobs.Bulk, "hr"); err != nil {
				t.Fatal(err)
			}
			t.Setenv("LOGOFF_NATS_URL", g.url)
			t.Setenv("LOGOFF_NATS_USER", "approver")
			t.Setenv("LOGOFF_NATS_PASSWORD", "canary")
			tool := &tool{stdin: os.Stdin, stdout: io.Discard, stderr: io.Discard}
			here, err := tool.connect()
			if err != nil {
				t.Fatal(err)
			}
			defer here.close()
			all, err := tool.letters(t.Context(), here, choice{})
			if err != nil {
				t.Fatal(err)
			}
			r := here.approver("approver")
			if err := r.prepare(t.Context(), all, ""); err != nil {
				t.Fatal(err)
			}
			if sequence, err := r.store(t.Context(), all[0]); err != nil || sequence == 0 {
				t.Fatal(sequence, err)
			}
			if code, out, told := g.run(t, user, "deny", "held-1", "--yes"); code != want.code || out != "" || !strings.Contains(told, want.words) {
				t.Errorf("it ended with %d: %s%s", code, out, told)
			}
		})
	}
}

// Who may publish a job and approve it is told so by the doctor, where a worker holds jobs; the shipped users may not.
func TestDoctorSeesWhoMayApproveTheirOwnJobs(t *testing.T) {
	g := guardedWorld(t)
	nc, err := nats.Connect(g.url, nats.UserInfo("worker", "canary"), nats.CustomInboxPrefix("_INBOX_logoff"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	member, err := fleet.Join(fleet.Config{NATS: nc, Subjects: g.subjects, Worker: "w", Status: func() []byte {
		return []byte(`{"worker": "w", "settings": [{"name": "LOGOFF_HOLD_ABOVE_JOB", "value": "500"}]}`)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Leave)
	for user, warned := range map[string]bool{"operator": false, "both": true} {
		if code, out, told := g.run(t, user, "doctor", "--inbox-prefix", "_INBOX_operator"); !strings.Contains(out, "1 worker, all") || strings.Contains(out, "warn  approval     you may approve your own jobs under another name: what was published on logoff.requests.urgent.operator, on logoff.approved.urgent.jane") != warned {
			t.Errorf("as %s it ended with %d: %s%s", user, code, out, told)
		}
	}
}
