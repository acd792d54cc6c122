package main

import (
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"regexp"

	"github.com/prometheus/exporter-toolkit/web"

	"logoffworker/metrics"
)

// serveHTTP serves probes, metrics and the status page, with TLS and users if the settings say so. An address that
// is taken is an error now, not a line in the log later.
func serveHTTP(s settings, handler http.Handler, log *slog.Logger) (stop func(), err error) {
	listener, err := net.Listen("tcp", s.HTTPAddr)
	if err != nil {
		return nil, listenProblem("LOGOFF_HTTP_ADDR", s.HTTPAddr, err)
	}
	if s.HTTPPprof {
		handler = withProfiles(handler)
	}
	server := metrics.Server(handler)
	serve := server.Serve
	where := slog.String("url", "http://"+listener.Addr().String()+"/")
	if s.HTTPConfigFile != "" {
		serve = func(l net.Listener) error {
			return web.Serve(l, server, &web.FlagConfig{WebConfigFile: &s.HTTPConfigFile}, log)
		}
		where = slog.String("address", listener.Addr().String())
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("The status page, metrics and probes are no longer served.", "error", err)
		}
	}()
	log.Info("The status page, metrics and probes are served.", where)
	return func() {
		_ = server.Close() // whoever still reads a probe gets no answer, as from any program that ended
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
