package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
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

// A worker is known at an address however it is written; anything else that listens there is in the way.
func TestCheckTellsAWorkerFromAnotherProgram(t *testing.T) {
	for name, test := range map[string]struct{ serves, says string }{
		"a worker":        {"logoff_build_info 1", "ok    http       a worker answers at "},
		"another program": {"go_goroutines 1", "FAIL  http       LOGOFF_HTTP_ADDR: another program listens at "},
	} {
		t.Run(name, func(t *testing.T) {
			page := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, test.serves) }))
			listener, err := net.Listen("tcp", "0.0.0.0:0")
			if err != nil {
				t.Fatal(err)
			}
			page.Listener = listener
			page.Start()
			defer page.Close()
			port := listener.Addr().(*net.TCPAddr).Port
			for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0", ""} {
				var out strings.Builder
				r := report{w: &out}
				r.checkHTTP(t.Context(), settings{HTTPAddr: fmt.Sprintf("%s:%d", host, port)})
				if !strings.HasPrefix(out.String(), test.says) {
					t.Errorf("at host %q it says %q, want %q", host, out.String(), test.says)
				}
			}
		})
	}
}

// Whoever may publish to the embedded broker is said where nothing keeps anybody from it.
func TestCheckSaysThatTheBrokerAsksForNothing(t *testing.T) {
	for name, change := range map[string]func(*settings){
		"":           func(*settings) {},
		"user":       func(s *settings) { s.NATS.User = "worker" },
		"token":      func(s *settings) { s.NATS.Token = "canary" },
		"token file": func(s *settings) { s.NATS.TokenFile = "token" },
		"nkey file":  func(s *settings) { s.NATS.NkeyFile = "nkey" },
	} {
		var out strings.Builder
		var with settings
		with.HTTPAddr, with.NATS.URL, with.NATS.Listen, with.NATS.StoreDir = "127.0.0.1:0", embedded, "127.0.0.1:0", t.TempDir()
		change(&with)
		r := report{w: &out}
		r.checkLocal(t.Context(), with)
		if warned := strings.Contains(out.String(), "asks for no credentials"); warned != (name == "") {
			t.Errorf("with a %s it says %q", name, out.String())
		}
	}
}
