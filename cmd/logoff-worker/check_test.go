package main

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"logoffworker/worker/stage"
)

// check tells a broker that writes through from one that does not, and says so when it cannot see.
func TestCheckSeesHowNATSStores(t *testing.T) {
	for _, test := range []struct {
		name   string
		always bool
		says   string
	}{
		{"always", true, "ok    sync"},
		{"default", false, "warn  sync       NATS acknowledges jobs and results before they are on the disk"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := stage.StartNATS(&server.Options{
				Host: "127.0.0.1", Port: -1, HTTPHost: "127.0.0.1", HTTPPort: -1,
				JetStream: true, StoreDir: t.TempDir(), SyncAlways: test.always,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Shutdown()
			var out strings.Builder
			r := report{w: &out}
			var with settings
			with.NATS.URL, with.NATS.MonitorURL = s.ClientURL(), "http://"+s.MonitorAddr().String()
			r.checkSync(t.Context(), with)
			if !strings.Contains(out.String(), test.says) || r.failed != 0 {
				t.Errorf("it says %q, want %q", out.String(), test.says)
			}
		})
	}
	for name, change := range map[string]func(*settings){
		"the embedded broker writes": func(s *settings) { s.NATS.URL = embedded },
		"LOGOFF_NATS_MONITOR_URL":    func(s *settings) { s.NATS.URL = "nats://nats.example:4222" },
		"does not tell":              func(s *settings) { s.NATS.MonitorURL = "http://127.0.0.1:1" },
	} {
		var out strings.Builder
		var with settings
		change(&with)
		r := report{w: &out}
		r.checkSync(t.Context(), with)
		if !strings.Contains(out.String(), name) {
			t.Errorf("it says %q, want %q", out.String(), name)
		}
	}
}
