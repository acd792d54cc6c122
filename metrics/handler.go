package metrics

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler serves /metrics, /livez, /readyz, and a page for people at everything else. Nothing it serves changes
// anything.
func Handler(reg prometheus.Gatherer, health *Health, page http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		EnableOpenMetrics:   true,
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
	}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		plain(w, http.StatusOK, "ok\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { readyz(w, r, health) })
	mux.Handle("GET /", page)
	return secured(mux)
}

// readyz says whether the worker is ready, without the parts that are excluded: a rollout must not wait for the Web
// Server.
func readyz(w http.ResponseWriter, r *http.Request, health *Health) {
	var without []string
	for _, parts := range r.URL.Query()["exclude"] {
		without = append(without, strings.Split(parts, ",")...)
	}
	parts := health.Parts()
	for _, part := range without {
		if !slices.Contains(parts, part) {
			plain(w, http.StatusBadRequest, fmt.Sprintf("There is no part %q to exclude; the parts are %s.\n", part, strings.Join(parts, ", ")))
			return
		}
	}
	verdict := health.Verdict(without...)
	if verdict.State == StateWell {
		plain(w, http.StatusOK, verdict.String())
		return
	}
	plain(w, http.StatusServiceUnavailable, verdict.String())
}

func plain(w http.ResponseWriter, status int, words string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(words)) // who went away needs no answer
}

// policy lets a page have styles, scripts, pictures and a stream from where it is itself, each a file of its own, and
// nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// secured keeps a browser from doing more with a page than showing it.
func secured(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}

// Server returns an HTTP server for h that slow or greedy clients cannot hold up.
func Server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10,
	}
}
