package nats_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/worker/stage"
	"logoffworker/worker/stream"
)

// shipped is where the files are that these tests are about.
const shipped = "../../nats"

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(shipped, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// configuration reads a shipped configuration as a NATS server does. The password of each user is the user's name.
func configuration(t *testing.T, name string) *server.Options {
	t.Helper()
	for _, variable := range regexp.MustCompile(`\$(LOGOFF_(\w+)_PASSWORD)`).FindAllStringSubmatch(read(t, "accounts.conf")+read(t, name), -1) {
		t.Setenv(variable[1], `"`+strings.ToLower(variable[2])+`"`)
	}
	options, err := server.ProcessConfigFile(filepath.Join(shipped, name))
	if err != nil {
		t.Fatal(err)
	}
	return options
}

// start starts a server that keeps nothing beyond the test, and listens nowhere.
func start(t *testing.T, options *server.Options) *server.Server {
	t.Helper()
	options.StoreDir, options.DontListen, options.HTTPPort = t.TempDir(), true, 0
	s, err := stage.StartNATS(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

// connect connects to a server within the process.
func connect(t *testing.T, s *server.Server, options ...nats.Option) *nats.Conn {
	t.Helper()
	quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}) // LastError tells of what is refused
	nc, err := nats.Connect("", append(options, nats.InProcessServer(s), quiet)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func jetStream(t *testing.T, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := stream.DefaultConfig().JetStream(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}
