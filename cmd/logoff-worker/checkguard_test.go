package main

import (
	"strings"
	"testing"

	"logoffworker/worker/webserver/simulator"
)

// check warns where NATS does not keep who publishes a job that is held from approving it: no users, one for all, one
// that may approve, and one that may not say what it may. The users of deploy/nats/accounts.conf are told apart.
func TestCheckSeesWhoMayApprove(t *testing.T) {
	one := func(permissions string) string {
		return `accounts { A { jetstream: enabled, users: [ { user: w, password: p, permissions: { ` + permissions + ` } } ] } }`
	}
	const api = `"$JS.API.>", "logoff.results.>"`
	const asks = api + `, "$SYS.REQ.USER.INFO"`
	for name, test := range map[string]struct {
		configuration, user string
		says                string
	}{
		"no users":                {"", "", "warn  approval   NATS lets in who names no user"},
		"a user for the nameless": {"no_auth_user: w\n" + one(`publish: [ `+asks+` ]`), "", "ok    approval   the worker's NATS user can approve nothing"},
		"one user for all":        {`authorization { user: w, password: p }`, "w", "warn  approval   the worker's NATS user may approve jobs (publish logoff.approved.*.*)"},
		"may approve":             {one(`publish: [ ` + asks + `, "logoff.approved.bulk.*" ]`), "w", "warn  approval   the worker's NATS user may approve jobs (publish logoff.approved.bulk.*)"},
		"may not ask":             {one(`publish: [ ` + api + ` ]`), "w", "warn  approval   NATS does not say what this worker may do"},
		"may not approve":         {one(`publish: [ ` + asks + ` ]`), "w", "ok    approval   the worker's NATS user can approve nothing"},
		"denied":                  {one(`publish: { deny: "logoff.approved.>" }`), "w", "ok    approval   the worker's NATS user can approve nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Settings{})
			s := natsServer(t, "jetstream { store_dir: STORE }\n"+test.configuration)
			with := []string{"LOGOFF_NATS_URL=" + s.ClientURL()}
			if test.user != "" {
				with = append(with, "LOGOFF_NATS_USER="+test.user, "LOGOFF_NATS_PASSWORD=p")
			}
			if _, said := w.answers("check", with...); strings.Contains(said, "approval") {
				t.Errorf("without holding it says\n%s", said)
			}
			_, said := w.answers("check", append(with, "LOGOFF_HOLD_ABOVE_JOB=500")...)
			if !strings.Contains(said, test.says) {
				t.Errorf("it does not say %q:\n%s", test.says, said)
			}
			if strings.Contains(said, "logoffctl doctor") {
				t.Errorf("it sends publishers to what they may not ask:\n%s", said)
			}
		})
	}
}

// check says whether canaries can set out, and which right they lack.
func TestCheckSeesWhetherCanariesSetOut(t *testing.T) {
	for name, test := range map[string]struct{ rights, says string }{
		"may":     {`"$JS.API.>", "$SYS.REQ.USER.INFO", "logoff.requests.urgent.canary"`, "ok    canary     NATS lets canaries set out"},
		"may not": {`"$JS.API.>", "$SYS.REQ.USER.INFO"`, "FAIL  canary     the worker's NATS user may not publish on logoff.requests.urgent.canary"},
		"unknown": {`"$JS.API.>"`, "warn  canary     NATS does not say whether"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Settings{})
			s := natsServer(t, "jetstream { store_dir: STORE }\naccounts { A { jetstream: enabled, users: [ { user: w, password: p, permissions: { publish: [ "+test.rights+" ] } } ] } }")
			with := []string{"LOGOFF_NATS_URL=" + s.ClientURL(), "LOGOFF_NATS_USER=w", "LOGOFF_NATS_PASSWORD=p"}
			if _, said := w.answers("check", with...); strings.Contains(said, "canary  ") {
				t.Errorf("without canaries it says\n%s", said)
			}
			if _, said := w.answers("check", append(with, "LOGOFF_CANARY_EVERY=5m")...); !strings.Contains(said, test.says) {
				t.Errorf("it does not say %q:\n%s", test.says, said)
			}
		})
	}
}
