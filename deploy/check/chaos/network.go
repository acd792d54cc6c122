package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"logoffworker/worker/stage"
)

// A link is the faulty network between two programs.
type link struct {
	proxy *toxiproxy.Proxy
}

// newLink listens on a port of its own and passes all on to upstream.
func newLink(name string, upstream int) (*link, error) {
	address, err := stage.FreeAddress()
	if err != nil {
		return nil, err
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, name, address, fmt.Sprintf("127.0.0.1:%d", upstream))
	if err := proxy.Start(); err != nil {
		return nil, fmt.Errorf("network %s: %w", name, err)
	}
	return &link{proxy: proxy}, nil
}

// addr is where the one side connects to reach the other. It stays the same when the link was cut.
func (l *link) addr() string { return l.proxy.Listen }

// cut ends all connections and takes no new ones.
func (l *link) cut() { l.proxy.Stop() }

// mend takes connections again.
func (l *link) mend() error { return l.proxy.Start() }

// The ways a link can be bad. A stream is upstream (what the worker sends) or downstream.
func (l *link) blackHole(stream string) error { return l.toxic("timeout", stream, `"timeout":0`) }

func (l *link) slow(ms, jitter int) error {
	return l.toxic("latency", "downstream", fmt.Sprintf(`"latency":%d,"jitter":%d`, ms, jitter))
}

func (l *link) toxic(kind, stream, attributes string) error {
	_, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(
		`{"name":%q,"type":%q,"stream":%q,"toxicity":1,"attributes":{%s}}`, kind+stream, kind, stream, attributes)))
	return err
}

// heal makes the link good again.
func (l *link) heal(ctx context.Context) { l.proxy.Toxics.ResetToxics(ctx) }

// links are several of them, treated alike.
type links []*link

func (all links) cut() {
	for _, l := range all {
		l.cut()
	}
}

func (all links) mend() error {
	for _, l := range all {
		if err := l.mend(); err != nil {
			return err
		}
	}
	return nil
}

func (all links) each(do func(*link) error) error {
	for _, l := range all {
		if err := do(l); err != nil {
			return err
		}
	}
	return nil
}

func (all links) heal(ctx context.Context) {
	for _, l := range all {
		l.heal(ctx)
	}
}
