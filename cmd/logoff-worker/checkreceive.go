package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/metrics"
	"logoffworker/worker/intake"
	"logoffworker/worker/issuers"
	"logoffworker/worker/stream"
)

// checkReceiver says line by line whether a receiver with these settings would work, and whether its NATS user may do
// more than it has to. It stores nothing.
func checkReceiver(ctx context.Context, stdout io.Writer) error {
	s, warnings, err := loadFor(receives)
	if err != nil {
		return err
	}
	r := report{w: stdout}
	r.line("settings", nil, "complete")
	for _, warning := range warnings {
		r.warn("settings", warning)
	}
	r.checkHTTP(ctx, s)
	r.checkReceiverAddr(ctx, s)
	r.checkIssuers(ctx, s)
	r.checkReceiverNATS(ctx, s)
	if r.failed > 0 {
		return fmt.Errorf("%d of the checks failed", r.failed)
	}
	return nil
}

// checkReceiverAddr sees whether the address of a receiver is free, if the settings have one.
func (r *report) checkReceiverAddr(ctx context.Context, s settings) {
	addr := s.Receiver.Addr
	switch err := listenable(ctx, addr); {
	case addr == "":
	case errors.Is(err, syscall.EADDRINUSE):
		r.warn("receiver", "something listens at "+addr+" already; if that is not a receiver with these settings, choose another address")
	default:
		r.line("receiver", listenProblem(receiverAddr, addr, err), addr+" is free")
	}
}

// checkReceiverNATS connects as the receiver, and tries its rights.
func (r *report) checkReceiverNATS(ctx context.Context, s settings) {
	trusted, err := s.openIssuers()
	if err != nil {
		r.line("issuers", err, "")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*checkTime)
	defer cancel()
	c := s.connection()
	c.Options = append(c.Options, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // they are asked for
	silent := slog.New(slog.DiscardHandler)
	health := metrics.NewHealth(silent, stream.PartNATS)
	nc, err := stream.Connect(c, health, metrics.New(prometheus.NewRegistry(), metrics.Build{}), silent)
	if err == nil {
		defer nc.Close()
		err = within(ctx, func(ctx context.Context) error { return awaitConnection(ctx, nc, health) })
	}
	if err != nil {
		r.line("nats", err, "")
		return
	}
	r.line("nats", nil, "connected to "+stream.ShownURLs(nc.ConnectedUrl())+", server "+nc.ConnectedServerVersion())
	r.checkReceiverRights(ctx, &intake.Store{NATS: nc, Subjects: s.streamConfig().Subjects}, trusted.File())
	js, err := s.streamConfig().JetStream(nc)
	if err != nil {
		r.line("polling", err, "")
		return
	}
	r.checkPolling(ctx, s, js)
}

// checkReceiverRights says which rights are missing, and which are too much.
func (r *report) checkReceiverRights(ctx context.Context, store *intake.Store, file *issuers.File) {
	r.checkReach(ctx, store, file)
	if more := store.Excess(); len(more) > 0 {
		r.warn("rights", "this NATS user may do more than a receiver has to, and so may whoever breaks in there: "+strings.Join(more, ", ")+" (deploy/nats/accounts.conf lists what it needs)")
		return
	}
	r.line("rights", nil, "this NATS user may do nothing else of what was tried")
}

// checkReach says for each name in the issuers file whether its jobs can be stored.
func (r *report) checkReach(ctx context.Context, store *intake.Store, file *issuers.File) {
	for _, who := range intake.Names(file) {
		err := store.Reach(ctx, who)
		if err != nil {
			err = fmt.Errorf("jobs of %s cannot be stored: %w", who.Name, err)
		}
		r.line("rights", err, "jobs of "+who.Name+" can be stored")
	}
}

// checkReceiving says the same for a worker that receives itself.
func (r *report) checkReceiving(ctx context.Context, s settings, nc *nats.Conn) {
	if s.Receiver.Addr == "" {
		return
	}
	trusted, _ := s.openIssuers() // what is wrong with it is told
	if trusted == nil {
		return
	}
	store, file := &intake.Store{NATS: nc, Subjects: s.streamConfig().Subjects}, trusted.File()
	names := intake.Names(file)
	if len(names) == 0 {
		r.note("rights", "the issuers file has nobody who may send to "+receiverAddr+": no issuer, no publisher, and no recipe with a path")
		return
	}
	var why *intake.StoreError
	if err := store.Reach(ctx, names[0]); errors.As(err, &why) && why.Kind == intake.NoStream {
		r.warn("rights", "whether what is received can be stored was not tried, since the stream of jobs is not there")
		return
	}
	r.checkReach(ctx, store, file)
}

// checkPolling says whether those who poll streams can agree whose turn it is, without which nothing is polled.
func (r *report) checkPolling(ctx context.Context, s settings, js jetstream.JetStream) {
	if !s.hasStreams() {
		return
	}
	poller := s.poller(js)
	err := poller.Look(ctx)
	switch {
	case errors.Is(err, jetstream.ErrBucketNotFound) && poller.Create:
		r.line("polling", nil, "the bucket "+poller.Bucket+" will be made, in which those who poll streams agree whose turn it is")
		return
	case errors.Is(err, jetstream.ErrBucketNotFound):
		err = fmt.Errorf("the bucket %s is not there, and no stream is polled until it is: run logoff-worker init with %s, as a NATS user who may create it", poller.Bucket, issuersFile)
	case errors.Is(err, intake.ErrNotWritten):
		err = fmt.Errorf("no stream is polled until the bucket can be written, too: %w; deploy/nats/accounts.conf lists the three rights that it takes", err)
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("%w: no stream is polled until it can be read; deploy/nats/accounts.conf lists the three rights that it takes", err)
	}
	r.line("polling", err, "the bucket "+poller.Bucket+" is there and can be written, in which those who poll streams agree whose turn it is")
}
