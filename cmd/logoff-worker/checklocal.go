package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"logoffworker/worker/broker"
)

// localProblem says of an embedded broker that did not start which variable is at fault, and what to do.
func localProblem(s settings, err error) error {
	var field *broker.FieldError
	if !errors.As(err, &field) {
		return err
	}
	if field.Field == "Listen" {
		return listenProblem("LOGOFF_NATS_LISTEN", s.NATS.Listen, field.Err)
	}
	return storeProblem(s.NATS.StoreDir, field.Err)
}

// storeProblem says why the embedded broker cannot have its store, and what to do.
func storeProblem(dir string, err error) error {
	const variable = "LOGOFF_NATS_STORE_DIR"
	var inUse *broker.InUse
	switch {
	case err == nil:
		return nil
	case errors.As(err, &inUse):
		return fmt.Errorf("%s: %w; stop that one first, or give this one a store of its own", variable, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%s: %w; free space on the disk of %q", variable, err, dir)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s: %w; %q has to be on a disk that can be written", variable, err, dir)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%s: %w; this user has to own %q and all that is in it", variable, err, dir)
	}
	return fmt.Errorf("%s: %w; it has to be a directory that this user can read and write", variable, err)
}

// listenProblem says why an address cannot be listened at, and what to do.
func listenProblem(variable, address string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: another program listens at %s already, perhaps another worker; stop it, or choose another address", variable, address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: %s is no address of this machine; choose one that is", variable, address)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%s: this user may not listen at %s; choose a port from 1024 on", variable, address)
	}
	return fmt.Errorf("%s: nothing can listen at %s: %w", variable, address, err)
}

// checkLocal looks at what a worker with these settings needs of this machine. It reports whether a
// worker that has these settings is running, whose embedded broker can be asked then.
func (r *report) checkLocal(ctx context.Context, s settings) (running bool) {
	r.checkHTTP(ctx, s)
	if s.NATS.URL != embedded {
		return false
	}
	if s.NATS.User == "" && s.NATS.Token == "" && s.NATS.TokenFile == "" && s.NATS.NkeyFile == "" {
		r.warn("nats", "the embedded broker asks for no credentials: every program on this machine may publish jobs; set LOGOFF_NATS_USER and its password")
	}
	err := broker.Inspect(s.NATS.StoreDir)
	var inUse *broker.InUse
	if errors.As(err, &inUse) && inUse.Holder.Listen == s.NATS.Listen {
		r.line("store", nil, fmt.Sprintf("%s is in use by a worker with this address: %v", s.NATS.StoreDir, inUse.Holder))
		return true
	}
	r.line("store", storeProblem(s.NATS.StoreDir, err), s.NATS.StoreDir+" can be read and written, and nobody else has it")
	if err := listenable(ctx, s.NATS.Listen); err != nil {
		r.line("nats", listenProblem("LOGOFF_NATS_LISTEN", s.NATS.Listen, err), "")
		return false
	}
	r.warn("nats", "the embedded broker is not running; it starts with the worker, and its streams with it")
	return false
}

// checkHTTP sees whether the address of the probes is free, or a worker already answers there.
func (r *report) checkHTTP(ctx context.Context, s settings) {
	err := listenable(ctx, s.HTTPAddr)
	switch {
	case !errors.Is(err, syscall.EADDRINUSE):
	case s.HTTPConfigFile != "": // it may want a password or a certificate that is not ours to know
		r.warn("http", "something listens at "+s.HTTPAddr+" already; if that is not a worker with these settings, choose another address")
		return
	case isWorker(ctx, s.HTTPAddr):
		r.line("http", nil, "a worker answers at "+s.HTTPAddr+" already; another one on this machine needs another address")
		return
	}
	r.line("http", listenProblem("LOGOFF_HTTP_ADDR", s.HTTPAddr, err), s.HTTPAddr+" is free")
}

func listenable(ctx context.Context, address string) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return listener.Close()
}

// isWorker reports whether what answers at an address is a worker. An address without a host, or with one that means
// every interface, is this machine's to Go.
func isWorker(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // it is on this machine
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return false
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	page, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return strings.Contains(string(page), "logoff_build_info")
}
