package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"logoffworker/worker/intake/ssf/transmitter"
	"logoffworker/worker/stage"
	"logoffworker/worker/webserver/simulator"
)

// A worker makes itself a stream at an issuer, polls it, and works what is revoked there.
func TestWorkerPollsAndWorks(t *testing.T) {
	w := newWorld(t, simulator.Settings{})
	w.sim.AddUser(simulator.User{ID: 8, Login: "joan", Password: "x", Email: "joan@corp.example"})
	w.sim.SignOn(8, simulator.ConsoleWeb)
	var x *transmitter.Transmitter
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { x.ServeHTTP(rw, r) }))
	defer server.Close()
	x = transmitter.New(transmitter.Settings{Issuer: server.URL, Client: "logoff", Secret: "client-canary", Hold: 5 * time.Second})
	people := written(t, "people.csv", "subject,user\njoe@old.example,email:joe@corp.example\n")
	file := written(t, "issuers.yaml", fmt.Sprintf(`issuers:
  - name: idp
    issuer: %s
    subjects: {email: ['map:%s', 'email:{email}']}
    stream: {delivery: poll, client: {token_url: '%s/token', id: logoff, secret: client-canary}}
`, server.URL, people, server.URL))
	setting, verify := "LOGOFF_ISSUERS_FILE="+file, "LOGOFF_NATS_PROVISION=verify"
	w.saysOfPolling("bucket LOGOFF_SIGNALS will be made", setting)
	w.saysOfPolling("bucket LOGOFF_SIGNALS is not there, and no stream is polled until it is: run logoff-worker init", setting, verify)
	command := w.start(setting)
	w.poll("/readyz", http.StatusOK)
	if !stage.Await(t.Context(), time.Minute, func() bool { return len(x.Streams()) == 1 }) {
		t.Fatalf("there is no stream\n%s", w.log.String())
	}
	x.Issue(transmitter.Event{
		Type:    "https://schemas.openid.net/secevent/caep/event-type/session-revoked",
		Subject: map[string]any{"format": "email", "email": "joan@corp.example"},
	})
	if !stage.Await(t.Context(), time.Minute, func() bool { return w.count(w.subjects.ResultStream()) == 1 }) {
		t.Fatalf("there is no result\n%s", w.log.String())
	}
	w.poll("/metrics", http.StatusOK, `logoff_signals_total{issuer="idp",verdict="job"} 1`, `logoff_jobs_settled_total{lane="urgent",status="done"} 1`, `logoff_signal_verify_interval_seconds{issuer="idp"} 300`, `logoff_map_subjects{map="`+people+`"} 1`)
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.ended(command)
	w.saysOfPolling("bucket LOGOFF_SIGNALS is there", setting, verify)
}

// Without an issuers file there is nothing to poll, and nobody to tell.
func TestNothingIsPolledWithoutAnIssuersFile(t *testing.T) {
	alive, stop, err := (&process{}).pollStreams(nil)
	if err != nil {
		t.Fatal(err)
	}
	alive("idp", true)
	stop()
}

// saysOfPolling checks what check says of the bucket of those who poll streams.
func (w *world) saysOfPolling(want string, with ...string) {
	w.t.Helper()
	if _, said := w.answers("check", with...); !strings.Contains(said, want) {
		w.t.Errorf("check does not say %q:\n%s", want, said)
	}
}
