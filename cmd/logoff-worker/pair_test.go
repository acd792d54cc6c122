package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"logoffworker/worker/webserver/simulator"
)

// Two workers with one pair do their jobs before and after its renewal, which one of them makes.
func TestWorkersShareAPairOfTokens(t *testing.T) {
	w := newWorld(t, simulator.Settings{})
	dir := t.TempDir()
	pair, key := filepath.Join(dir, "pair.json"), filepath.Join(dir, "key")
	if err := writePair(pair, w.sim); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, []byte(strings.Repeat("0f", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	given, err := os.ReadFile(pair)
	if err != nil {
		t.Fatal(err)
	}
	other, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	with := []string{"LOGOFF_WEBSERVER_USERNAME=", "LOGOFF_WEBSERVER_PASSWORD=", "LOGOFF_WEBSERVER_PAIR_FILE=" + pair, "LOGOFF_WEBSERVER_PAIR_KEY_FILE=" + key}
	first := w.start(with...)
	second := w.start(append(with, "LOGOFF_HTTP_ADDR="+other)...)
	pages := w.poll("/readyz", http.StatusOK)
	ids := w.sim.SignOnMany(7, 20)
	w.publish(ids[:10])
	before := w.results(10)
	w.sim.RevokeTokens() // the access token is dead, its refresh token is not
	w.publish(ids[10:])
	after := w.results(10)
	pages += w.poll("/metrics", http.StatusOK, `logoff_token_state{state="good"} 1`) + w.poll("/", http.StatusOK, "PAIR_FILE")
	for _, process := range []*os.Process{first.Process, second.Process} {
		if err := process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	w.ended(first)
	w.ended(second)
	if chain := w.sim.Chains()[0]; len(before) != 10 || len(after) != 10 || chain.Renewals != 1 || chain.Reused != 0 {
		t.Errorf("%d results before and %d after the renewal, %+v\n%s", len(before), len(after), chain, w.log.String())
	}
	for _, secret := range secretsOf(string(given), w.sim) {
		if strings.Contains(pages, secret) || strings.Contains(w.log.String(), secret) {
			t.Errorf("a token is shown:\n%s", w.log.String())
		}
	}
}

// secretsOf are the tokens of a pair file, and those that requests came with.
func secretsOf(file string, sim *simulator.Server) (secrets []string) {
	for part := range strings.SplitSeq(file, `"`) {
		if len(part) >= 64 {
			secrets = append(secrets, part)
		}
	}
	for _, r := range sim.Journal() {
		if token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); bearer {
			secrets = append(secrets, token)
		}
	}
	return secrets
}
