package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker/intake"
	"logoffworker/worker/intake/ssf/transmitter"
	"logoffworker/worker/issuers"
	"logoffworker/worker/webserver/simulator"
)

// suspect is whom the identity provider tells of.
var suspect = simulator.User{ID: 43, Login: `CORP\joe`, Display: "Joe Roe", Email: "joe@corp.example", CompanyID: 1, Company: "Corp"}

const sessionRevoked = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"

// trust is an issuers file for the identity provider.
const trust = `issuers:
  - name: idp
    issuer: %s
    events: {session-revoked: {}}
    subjects: {email: 'email:{email}', domains: [corp.example]}
    stream: {delivery: poll}
`

// startProvider starts a simulated identity provider, and has its stream of signed events made and polled.
func (d *demo) startProvider(ctx context.Context, nc *nats.Conn, registry *prometheus.Registry, log *slog.Logger) (*issuers.Issuers, error) {
	d.provider = transmitter.New(transmitter.Settings{Issuer: "http://" + d.options.provider + "/", Hold: 30 * time.Second})
	if err := d.serve("provider", &d.options.provider, d.provider); err != nil {
		return nil, err
	}
	issuer := "http://" + d.options.provider + "/" // with the port that the system chose
	d.provider.Configure(func(s *transmitter.Settings) { s.Issuer = issuer })
	trusted, err := d.openTrust(issuer)
	if err != nil {
		return nil, err
	}
	trusted.Health = d.health
	poller := &intake.Poller{
		Issuers: trusted, Store: &intake.Store{NATS: nc, Subjects: d.config.Stream.Subjects},
		JS: d.js, Bucket: intake.PollBucket(d.config.Stream.Subjects), Create: true, Replicas: 1,
		Events: metrics.NewReceiver(registry), Metrics: metrics.NewStreams(registry), Health: d.health, Log: log,
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { trusted.Run(ctx) })
	running.Go(func() { poller.Run(ctx) })
	d.stops = append(d.stops, func() { cancel(); running.Wait() })
	return trusted, nil
}

// openTrust opens an issuers file that trusts an issuer.
func (d *demo) openTrust(issuer string) (*issuers.Issuers, error) {
	dir, err := os.MkdirTemp("", "logoff-demo-")
	if err != nil {
		return nil, err
	}
	d.stops = append(d.stops, func() { _ = os.RemoveAll(dir) })
	file := filepath.Join(dir, "issuers.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, trust, issuer), 0o600); err != nil {
		return nil, err
	}
	return issuers.Open(file)
}

// revoke has the provider tell that the suspect's sessions are revoked.
func (d *demo) revoke() {
	d.provider.Issue(transmitter.Event{
		Type: sessionRevoked, Subject: map[string]any{"format": "email", "email": suspect.Email},
		Members: map[string]any{
			"event_timestamp": time.Now().Unix(), "initiating_entity": "policy",
			"reason_admin": map[string]any{"en": "signed on from two continents within an hour"},
		},
	})
}

// signalled says of a result which event it answers.
func signalled(r jobs.Result) string {
	if r.Signal == nil {
		return ""
	}
	ended := time.Duration(r.EventToEndedMS) * time.Millisecond
	return fmt.Sprintf(" The issuer %s said so in a signed event, which the worker polled; rule: %s. From the event to the end: %v.", r.Signal.Issuer, r.Signal.Rule, ended)
}
