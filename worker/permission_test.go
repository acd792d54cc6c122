package worker_test

import (
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/metrics"
	"logoffworker/worker"
	"logoffworker/worker/stage"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver/simulator"
)

// shippedPermissions are the subjects that deploy/nats/accounts.conf lets a worker publish to.
func shippedPermissions(t *testing.T) (subjects []string) {
	t.Helper()
	accounts, err := os.ReadFile("../deploy/nats/accounts.conf")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(accounts), "user: worker\n")
	list, _, _ = strings.Cut(list, "subscribe:")
	for _, line := range regexp.MustCompile(`(?m)^ +"(.+)"$`).FindAllStringSubmatch(list, -1) {
		subjects = append(subjects, line[1])
	}
	if len(subjects) < 10 {
		t.Fatalf("accounts.conf lists %d permissions", len(subjects))
	}
	return subjects
}

// A worker needs the permissions that are shipped, and no more; when one is taken away, it says so.
func TestShippedPermissionsAreEnough(t *testing.T) {
	for _, test := range []struct{ name, without, says string }{
		{"all", "", ""},
		{"no acks", "$JS.ACK.", "permission"},
		{"no results", "logoff.results.>", "permission"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var allowed []string
				for _, subject := range shippedPermissions(t) {
					if test.without == "" || !strings.HasPrefix(subject, test.without) {
						allowed = append(allowed, subject)
					}
				}
				s := newSite(t, simulator.Settings{})
				s.broker.Shutdown() // this test brings its own, with users
				broker, err := stage.StartNATS(&server.Options{
					JetStream: true, StoreDir: t.TempDir(), DontListen: true,
					Users: []*server.User{
						{Username: "admin", Password: "a"},
						{Username: "worker", Password: "w", Permissions: &server.Permissions{
							Publish:   &server.SubjectPermission{Allow: allowed},
							Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX_logoff.>"}},
						}},
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { broker.Shutdown(); broker.WaitForShutdown() })
				admin, err := nats.Connect("", nats.InProcessServer(broker), nats.UserInfo("admin", "a"))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(admin.Close)
				if s.js, err = jetstream.New(admin); err != nil {
					t.Fatal(err)
				}
				if err := stream.DefaultConfig().ProvisionStreams(t.Context(), s.js); err != nil {
					t.Fatal(err)
				}

				m := metrics.New(prometheus.NewRegistry(), metrics.Build{})
				log := slog.New(slog.NewTextHandler(s.log, nil))
				health := metrics.NewHealth(log, worker.Parts...)
				nc, err := stream.Connect(stream.Connection{
					User:        "worker",
					Password:    func() (string, error) { return "w", nil },
					InboxPrefix: "_INBOX_logoff",
					Options:     []nats.Option{nats.InProcessServer(broker)},
				}, health, m, log)
				if err != nil {
					t.Fatal(err)
				}
				s.run(nc, health, m, log, options{config: func(c *worker.Config) { c.Stream.Provision = stream.ProvisionVerify }})
				passes(t, time.Second)
				s.publish("logoff.requests", jobOf(s.sim.SignOnMany(7, 1)...))
				s.publish("logoff.requests", "no job")
				passes(t, time.Minute)
				said := s.log.String()
				if test.says == "" {
					if strings.Contains(strings.ToLower(said), "permission") || s.left() != 0 || s.deadLetters() != 1 {
						t.Errorf("%d jobs left, %d dead letters, log:\n%s", s.left(), s.deadLetters(), said)
					}
					return
				}
				_, conditions := health.Ready()
				if !strings.Contains(strings.ToLower(said), test.says) || len(conditions) == 0 {
					t.Errorf("conditions %v, log:\n%s", conditions, said)
				}
				if s.left() == 0 {
					t.Error("a job left the stream without the right to let it")
				}
			})
		})
	}
}
