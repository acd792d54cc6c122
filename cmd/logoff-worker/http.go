package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"regexp"
	"time"

	"github.com/prometheus/exporter-toolkit/web"

	"logoffworker/metrics"
)

// serveHTTP serves probes, metrics and the status page, with TLS and users if the settings say so.
func serveHTTP(s settings, handler http.Handler, log *slog.Logger) (stop func(), err error) {
	if s.HTTPPprof {
		handler = withProfiles(handler)
	}
	// Whoever still reads a probe at the end gets no answer, as from any program that ended.
	return port{variable: "LOGOFF_HTTP_ADDR", addr: s.HTTPAddr, config: s.HTTPConfigFile, server: metrics.Server(handler), what: "The status page, metrics and probes are"}.serve(log)
}

// A port is an address at which something is served.
type port struct {
	variable, addr string
	config         string // the file that protects it; empty for none
	server         *http.Server
	what           string        // is served, as a sentence begins
	patience       time.Duration // how long requests that have begun may take at the end
	broken         func(error)   // hears that it is served no longer, without having been stopped; it may be nil
}

// serve serves until it is stopped. An address that is taken is an error now, not a line in the log later.
func (p port) serve(log *slog.Logger) (stop func(), err error) {
	listener, err := net.Listen("tcp", p.addr)
	if err != nil {
		return nil, listenProblem(p.variable, p.addr, err)
	}
	serve := p.server.Serve
	where := slog.String("url", "http://"+listener.Addr().String()+"/")
	if p.config != "" {
		serve = func(l net.Listener) error {
			return web.Serve(l, p.server, &web.FlagConfig{WebConfigFile: &p.config}, log)
		}
		where = slog.String("address", listener.Addr().String())
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error(p.what+" no longer served.", "error", err)
			if p.broken != nil {
				p.broken(err)
			}
		}
	}()
	log.Info(p.what+" served.", where)
	return func() {
		if p.patience > 0 {
			ctx, cancel := context.WithTimeout(context.Background(), p.patience)
			defer cancel()
			_ = p.server.Shutdown(ctx) // what takes longer is broken off
		}
		_ = p.server.Close()
		<-served
	}, nil
}

// withProfiles adds the profiles of the Go runtime under /debug/pprof/.
func withProfiles(handler http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// quoted is what a message of the YAML library shows of a file.
var quoted = regexp.MustCompile("`[^`]*`")

// httpConfigProblem says what is wrong with the file that says how the HTTP port is protected; empty when nothing is.
// What the file holds may be a secret, and is not shown.
func httpConfigProblem(file string) string {
	err := web.Validate(file)
	var path *fs.PathError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &path) && path.Path == file:
		return "cannot be read: " + path.Err.Error()
	}
	return "is no web configuration of Prometheus' exporter-toolkit: " + quoted.ReplaceAllString(err.Error(), "a value")
}
