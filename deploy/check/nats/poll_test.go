package nats_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/metrics"
	"logoffworker/worker/intake"
	"logoffworker/worker/intake/ssf/transmitter"
	"logoffworker/worker/issuers"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/stage/pipe"
)

// withRightsToPoll are passwords, with the rights of whoever has a stream in the issuers file.
var withRightsToPoll = rightsToPoll("")

// rightsToPoll are the same without one of the rights; empty leaves out none.
func rightsToPoll(without string) way {
	return way{"passwords, with rights to poll", func(t *testing.T) broker { return brokerToPoll(t, without) }}
}

func brokerToPoll(t *testing.T, without string) broker {
	options := configuration(t, "nats-server.conf")
	for _, u := range options.Users {
		for _, right := range fewNeed(t)[u.Username] {
			if right != without && strings.Contains(right, "LOGOFF_SIGNALS") || strings.Contains(right, ".keycloak") {
				u.Permissions.Publish.Allow = append(u.Permissions.Publish.Allow, right)
			}
		}
	}
	b := broker{rights: users(options), user: func(name string) nats.Option { return nats.UserInfo(name, name) }}
	options.Users = append(options.Users, &server.User{Username: listener, Password: listener, Account: options.Users[0].Account})
	b.server = start(t, options)
	return b
}

// Who may read the bucket of pollers and not write it is told so, and who may do both stores nothing by being asked.
func TestLookingAtTheBucketTriesEachRight(t *testing.T) {
	for without, fails := range map[string]bool{"": false, "$KV.LOGOFF_SIGNALS.>": true} {
		t.Run("without "+without, func(t *testing.T) {
			bubble.Run(t, time.Minute, func(t *testing.T) {
				s := newSite(t, rightsToPoll(without))
				s.provisions()
				maker := intake.Poller{JS: jetStream(t, s.as("admin")), Bucket: intake.PollBucket(subjects), Create: true}
				s.check(maker.Provision(t.Context()))
				for _, role := range []string{"receiver", "worker"} {
					p := intake.Poller{JS: jetStream(t, s.as(role)), Bucket: intake.PollBucket(subjects)}
					if err := p.Look(t.Context()); errors.Is(err, intake.ErrNotWritten) != fails || !fails && err != nil {
						t.Errorf("%s: %v", role, err)
					}
				}
				if n := s.stream(jetStream(t, s.as("admin")), "KV_LOGOFF_SIGNALS").CachedInfo().State.LastSeq; n != 0 {
					t.Errorf("%d values were stored", n)
				}
			})
		})
	}
}

func TestPollersNeedNoOtherRights(t *testing.T) {
	bubble.Run(t, 5*time.Minute, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC))) // tokens of the year 2000 are refused
		s := newSite(t, withRightsToPoll)
		s.provisions()
		const url = "http://127.0.0.1/realms/staff"
		x := transmitter.New(transmitter.Settings{Issuer: url, Hold: 20 * time.Second})
		dial, stop := pipe.Serve(x)
		defer stop()
		file := filepath.Join(t.TempDir(), "issuers.yaml")
		text := fmt.Sprintf("issuers: [{name: keycloak, issuer: '%s', subjects: {email: 'email:{email}'}, stream: {delivery: poll}}]", url)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		poller := func(role string) *intake.Poller {
			nc := s.as(role)
			trusted, err := issuers.Open(file)
			s.check(err)
			trusted.Dial = dial
			reg := prometheus.NewRegistry()
			return &intake.Poller{
				Issuers: trusted, Store: &intake.Store{NATS: nc, Subjects: subjects}, JS: jetStream(t, nc), Bucket: intake.PollBucket(subjects),
				Events: metrics.NewReceiver(reg), Metrics: metrics.NewStreams(reg), Health: metrics.NewHealth(slog.New(slog.DiscardHandler)), Log: slog.New(slog.DiscardHandler), DialContext: dial,
			}
		}
		maker := poller("admin")
		maker.Create = true
		s.check(maker.Provision(t.Context()))
		event := transmitter.Event{Type: "https://schemas.openid.net/secevent/caep/event-type/session-revoked", Subject: map[string]any{"format": "email", "email": "jane@corp.example"}}
		for _, role := range []string{"receiver", "worker"} {
			p := poller(role)
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { p.Issuers.Run(ctx) })
			running.Go(func() { p.Run(ctx) })
			time.Sleep(time.Minute)
			x.Issue(event)
			time.Sleep(time.Minute)
			cancel()
			running.Wait()
			if x.Pending() > 0 {
				t.Errorf("%d events wait with %s", x.Pending(), role)
			}
			if err := p.Store.NATS.LastError(); err != nil {
				t.Errorf("%s: %v", role, err)
			}
			if _, conditions := p.Health.Ready(); len(conditions) > 0 {
				t.Errorf("%s: %v", role, conditions)
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, right := range fewNeed(t)["receiver"] {
			if !slices.ContainsFunc(s.heard, func(subject string) bool { return server.SubjectMatchesFilter(subject, right) }) {
				t.Errorf("nothing needs the right %s", right)
			}
		}
	})
}
