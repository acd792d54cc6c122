package nats_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker/stage"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver"
)

// on starts a server with an example.
func on(t *testing.T, example string) *server.Server {
	t.Helper()
	return start(t, configuration(t, "examples/"+example))
}

// only is the only message of a stream, once it is there.
func only(t *testing.T, js jetstream.JetStream, name string) *jetstream.RawStreamMsg {
	t.Helper()
	var msg *jetstream.RawStreamMsg
	if !stage.Await(t.Context(), time.Minute, func() bool {
		handle, err := js.Stream(t.Context(), name)
		if err != nil || handle.CachedInfo().State.Msgs != 1 {
			return false
		}
		msg, err = handle.GetMsg(t.Context(), handle.CachedInfo().State.LastSeq)
		return err == nil
	}) {
		t.Fatalf("%s has not one message", name)
	}
	return msg
}

// whileWorking calls do while a worker runs, and returns what the worker has logged.
func whileWorking(t *testing.T, s *server.Server, client *webserver.Client, config stream.Config, do func()) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	log := make(chan string, 1)
	go func() { log <- work(ctx, t, s, client, config, nats.UserInfo("worker", "worker")) }()
	do()
	cancel()
	return <-log
}

// A worker at a leaf node works a job that was published at the leaf node, in the streams of the hub.
func TestLeafNodeReachesTheHub(t *testing.T) {
	ports, err := stage.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	options := configuration(t, "examples/hub.conf")
	options.LeafNode.Host, options.LeafNode.Port = "127.0.0.1", ports[0]
	hub := start(t, options)
	t.Setenv("LOGOFF_HUB", fmt.Sprintf(`"nats-leaf://leaf:leaf@127.0.0.1:%d"`, ports[0]))
	leafOptions := configuration(t, "examples/leaf.conf")
	for _, u := range leafOptions.Users {
		want := users(configuration(t, "nats-server.conf"))[u.Username]
		if u.Username == "worker" {
			for i, subject := range want.Publish {
				want.Publish[i] = strings.Replace(subject, "$JS.API.", "$JS.hub.API.", 1)
			}
			want.Publish = slices.Sorted(slices.Values(append(want.Publish, "$JS.API.INFO", "$JS.API.STREAM.NAMES")))
		}
		if diff := cmp.Diff(want, ofServer(u.Permissions)); diff != "" {
			t.Errorf("the rights of %s at the hub (-) and at the leaf node (+) differ:\n%s", u.Username, diff)
		}
	}
	leaf := start(t, leafOptions)

	admin := connect(t, hub, nats.UserInfo("admin", "admin"))
	atHub := stream.DefaultConfig()
	atHub.API = "$JS.hub.API"
	js := jetStream(t, admin)
	if err := atHub.ProvisionStreams(t.Context(), js); err != nil {
		t.Fatal(err)
	}
	if !stage.Await(t.Context(), time.Minute, func() bool { return hub.NumLeafNodes() > 0 && leaf.NumLeafNodes() > 0 }) {
		t.Fatal("the leaf node does not reach its hub")
	}
	sim, client := webServer(t)
	soar := jetStream(t, connect(t, leaf, nats.UserInfo("soar", "soar"), nats.CustomInboxPrefix(inbox("soar"))))
	said := whileWorking(t, leaf, client, atHub, func() {
		if !stage.Await(t.Context(), time.Minute, func() bool { // until the hub's interest in jobs has come here
			_, err := soar.Publish(t.Context(), "logoff.requests.urgent.soar", []byte(`{"sessions":["`+sim.SignOnMany(7, 1)[0]+`"]}`), jetstream.WithMsgID("job"))
			return err == nil
		}) {
			t.Error("the job is not stored")
		}
		if msg := only(t, js, subjects.ResultStream()); msg.Header.Get("Logoff-Status") != string(jobs.AcceptedJob) {
			t.Errorf("the result is %s", msg.Data)
		}
		if !stage.Await(t.Context(), time.Minute, func() bool { return messages(t, js, subjects.RequestStream()) == 0 }) {
			t.Error("the job is not acknowledged")
		}
	})
	if strings.Contains(strings.ToLower(said), "permission") {
		t.Errorf("the worker says\n%s", said)
	}
}

// In an account that demands limits, the settings that its example names are what it takes.
func TestAccountWithLimits(t *testing.T) {
	nc := connect(t, on(t, "limits.conf"), nats.UserInfo("worker", "worker"))
	js := jetStream(t, nc)
	config := stream.DefaultConfig()
	if err := config.ProvisionStreams(t.Context(), js); err == nil || !strings.Contains(err.Error(), "LOGOFF_NATS_MAX_BYTES") {
		t.Errorf("without a limit: %v", err)
	}
	config.MaxBytes = 1 << 30
	if _, err := config.Foresee(t.Context(), js); err == nil || !strings.Contains(err.Error(), "LOGOFF_NATS_MAX_BYTES") {
		t.Errorf("with too large a limit: %v", err)
	}
	config.MaxBytes = 256 << 20
	if _, err := config.Foresee(t.Context(), js); err != nil {
		t.Errorf("with the limit of the example: %v", err)
	}
	if err := config.ProvisionStreams(t.Context(), js); err != nil {
		t.Errorf("with the limit of the example: %v", err)
	}
}

// What an account maps to a subject of jobs is acknowledged as one.
func TestMappedSubjectIsAJob(t *testing.T) {
	s := on(t, "mapping.conf")
	js := jetStream(t, connect(t, s, nats.UserInfo("admin", "admin")))
	if err := stream.DefaultConfig().ProvisionStreams(t.Context(), js); err != nil {
		t.Fatal(err)
	}
	idp := connect(t, s, nats.UserInfo("idp", "idp"), nats.CustomInboxPrefix(inbox("idp")))
	if _, err := jetStream(t, idp).Publish(t.Context(), "identity.signed-off", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if msg := only(t, js, subjects.RequestStream()); msg.Subject != "logoff.requests.urgent.idp" {
		t.Errorf("it is stored on %s", msg.Subject)
	}
	for _, subject := range []string{"logoff.requests.urgent.soar", "identity.other"} {
		if tried(t, idp, subject) {
			t.Errorf("idp may publish to %s", subject)
		}
	}
}

// The answers to what a publisher with an account of its own publishes reach that account alone. In the account of
// the worker they go wherever the publisher says, and README.md says so.
func TestAnswersStayInAnAccountOfItsOwn(t *testing.T) {
	for _, test := range []struct {
		example, stores string // whoever may store a result there
		answers         uint64 // that became results
	}{{"own-account.conf", "admin", 0}, {"../nats-server.conf", "worker", 1}} {
		s := on(t, test.example)
		js := jetStream(t, connect(t, s, nats.UserInfo("admin", "admin")))
		if err := stream.DefaultConfig().ProvisionStreams(t.Context(), js); err != nil {
			t.Fatal(err)
		}
		nc := connect(t, s, nats.UserInfo("soar", "soar"), nats.CustomInboxPrefix(inbox("soar")))
		job := &nats.Msg{Subject: "logoff.requests.urgent.soar", Reply: "logoff.results.forged.1", Data: []byte("{}")}
		if err := errors.Join(nc.PublishMsg(job), nc.Flush()); err != nil {
			t.Fatal(err)
		}
		// The answer to this one comes after the answer to that, and the result behind it in the stream.
		if ack, err := jetStream(t, nc).Publish(t.Context(), job.Subject, []byte("{}")); err != nil || ack.Sequence != 2 {
			t.Fatalf("%s: %+v, %v", test.example, ack, err)
		}
		store := connect(t, s, nats.UserInfo(test.stores, test.stores), nats.CustomInboxPrefix(inbox(test.stores)))
		ack, err := jetStream(t, store).Publish(t.Context(), "logoff.results.real.1", []byte("{}"))
		if err != nil || ack.Sequence != test.answers+1 {
			t.Errorf("%s: %+v, %v", test.example, ack, err)
		}
		if test.answers == 0 && tried(t, nc, "logoff.requests.urgent.hr") && messages(t, js, subjects.RequestStream()) != 2 {
			t.Errorf("a publisher of another account can publish under another's name")
		}
	}
}

// A foreign stream feeds the stream of jobs, which a worker accepts as it is.
func TestForeignStreamBecomesJobs(t *testing.T) {
	s := start(t, &server.Options{JetStream: true})
	js := jetStream(t, connect(t, s))
	if err := stream.DefaultConfig().ProvisionStreams(t.Context(), js); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "HR", Subjects: []string{"hr.>"}}); err != nil {
		t.Fatal(err)
	}
	var fed jetstream.StreamConfig
	if err := json.Unmarshal([]byte(read(t, "examples/sources.json")), &fed); err != nil {
		t.Fatal(err)
	}
	if _, err := js.UpdateStream(t.Context(), fed); err != nil {
		t.Fatal(err)
	}
	// A message id that another publisher used a moment ago keeps this job from being stored.
	for _, m := range []struct{ subject, id string }{{"logoff.requests.urgent.soar", "4711"}, {"hr.leavers", "4711"}, {"hr.leavers", "hr-4711"}, {"hr.joiners", "hr-4712"}} {
		if _, err := js.Publish(t.Context(), m.subject, []byte(m.subject), jetstream.WithMsgID(m.id)); err != nil {
			t.Fatal(err)
		}
	}
	_, client := webServer(t)
	whileWorking(t, s, client, stream.DefaultConfig(), func() {
		if !stage.Await(t.Context(), time.Minute, func() bool { return messages(t, js, subjects.DeadStream()) == 2 }) {
			t.Error("the messages are not worked")
		}
	})
	dead, err := js.Stream(t.Context(), subjects.DeadStream())
	if err != nil {
		t.Fatal(err)
	}
	var worked []string
	for sequence := range uint64(2) {
		msg, err := dead.GetMsg(t.Context(), sequence+1)
		if err != nil {
			t.Fatal(err)
		}
		worked = append(worked, msg.Header.Get("Logoff-Subject")+" "+msg.Header.Get("Logoff-Message-Id"))
	}
	slices.Sort(worked)
	if want := []string{"logoff.requests.bulk.hr hr-4711", "logoff.requests.urgent.soar 4711"}; !slices.Equal(worked, want) {
		t.Errorf("worked are %q, want %q", worked, want)
	}
}

// messages is how many a stream has.
func messages(t *testing.T, js jetstream.JetStream, name string) uint64 {
	t.Helper()
	handle, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return handle.CachedInfo().State.Msgs
}
