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
