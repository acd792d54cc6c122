package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/metrics"
	"logoffworker/worker"
)

// checkTime bounds each question that check asks.
const checkTime = 8 * time.Second

// check says line by line whether a worker with these settings would work. It changes nothing,
// except that it logs in to the Web Server and out again where it has a user name.
func check(ctx context.Context, stdout io.Writer) error {
	s, warnings, err := load()
	if err != nil {
		return err
	}
	r := report{w: stdout}
	r.line("settings", nil, "complete")
	for _, warning := range warnings {
		r.warn("settings", warning)
	}
	r.checkNATS(ctx, s)
	r.checkWebServer(ctx, s)
	if r.failed > 0 {
		return fmt.Errorf("%d of the checks failed", r.failed)
	}
	return nil
}

// A report prints one line for each thing that was looked at.
type report struct {
	w      io.Writer
	failed int
}

func (r *report) line(what string, err error, ok string) {
	if err != nil {
		r.failed++
		fmt.Fprintf(r.w, "FAIL  %-10s %v\n", what, err)
		return
	}
	fmt.Fprintf(r.w, "ok    %-10s %s\n", what, ok)
}

func (r *report) warn(what, words string) {
	fmt.Fprintf(r.w, "warn  %-10s %s\n", what, words)
}

func (r *report) checkNATS(ctx context.Context, s settings) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	c := s.connection()
	if s.NATS.URL == embedded {
		c.URL = "nats://" + s.NATS.Listen
		if s.NATS.User == "" && s.NATS.Token == "" && s.NATS.TokenFile == "" && s.NATS.NkeyFile == "" {
			r.warn("nats", "the embedded broker asks for no credentials: every program on this machine may publish jobs; set LOGOFF_NATS_USER and its password")
		}
	}
	silent := slog.New(slog.DiscardHandler)
	health := metrics.NewHealth(worker.Parts...)
	nc, err := worker.Connect(c, health, metrics.New(prometheus.NewRegistry(), metrics.Build{}), silent)
	if err != nil {
		r.line("nats", err, "")
		return
	}
	defer nc.Close()
	if err := awaitConnection(ctx, nc, health); err != nil {
		if s.NATS.URL == embedded {
			r.warn("nats", "the embedded broker is not running; it starts with the worker, and its streams with it")
			return
		}
		r.line("nats", err, "")
		return
	}
	r.line("nats", nil, "connected to "+nc.ConnectedUrlRedacted()+", server "+nc.ConnectedServerVersion())
	r.checkStreams(ctx, s, nc)
}

func (r *report) checkStreams(ctx context.Context, s settings, nc *nats.Conn) {
	js, err := jetstream.New(nc)
	if err == nil {
		config := s.workerConfig()
		err = worker.ProvisionStreams(ctx, js, config.Subjects, worker.ProvisionVerify, config.Replicas)
	}
	missing := errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrConsumerNotFound)
	if missing && s.NATS.Provision == string(worker.ProvisionCreate) {
		r.warn("streams", err.Error()+"; the worker creates it when it starts")
		return
	}
	if missing {
		err = fmt.Errorf("%w; create it with `logoff-worker init` (LOGOFF_NATS_PROVISION=create)", err)
	}
	r.line("streams", err, "streams and consumers are as the worker needs them")
}

func (r *report) checkWebServer(ctx context.Context, s settings) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	server, err := s.client(nil)
	if err != nil {
		r.line("webserver", err, "")
		return
	}
	defer server.CloseIdle()
	r.line("webserver", server.Ping(ctx), "answers, and takes the credentials; whether they may end sessions shows with the first job")
	if err := server.Logout(ctx); err != nil {
		r.warn("webserver", "the check's own session was not logged out: "+err.Error())
	}
}
