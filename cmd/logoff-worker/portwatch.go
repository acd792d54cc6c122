package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"

	"logoffworker/metrics"
	"logoffworker/worker/intake"
)

const (
	// portLook is how often it is looked whether the receiver's TLS still works. Its files are read at each connection.
	portLook = 15 * time.Second
	// certificateNotice is how long before its end a certificate is told of.
	certificateNotice = 14 * 24 * time.Hour
)

// watch tells what keeps every sender from being heard, until ctx ends: connections that fail for it are in no log line,
// because strangers cause such, too.
func (p port) watch(ctx context.Context, health *metrics.Health) {
	if p.config == "" {
		return // there are no files to look at
	}
	every := time.NewTicker(portLook)
	defer every.Stop()
	told := map[string]bool{}
	set := func(on bool, c metrics.Condition) {
		if on || told[c.Kind] { // what was never wrong here does not show that jobs can be stored
			health.Set(on, c)
		}
		told[c.Kind] = on
	}
	for began := hasTLS(p.config); ; {
		p.look(set, began)
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

// look looks at the files once. began is whether the port was begun with TLS.
func (p port) look(set func(on bool, c metrics.Condition), began bool) {
	ends, problem := time.Time{}, httpConfigProblem(p.config)
	switch {
	case problem != "":
	case hasTLS(p.config) != began:
		problem = "has TLS now and had none at the start, or the other way round; that is taken on at a start only"
	case began:
		ends, problem = certificate(p.config)
	}
	set(problem != "", metrics.Condition{
		Part: intake.Part, Kind: "tls", Grave: true,
		What:     "no sender is heard: the web configuration of " + p.variable + " " + problem,
		ByItself: fmt.Sprintf("its files are read again at each connection, and looked at every %v", portLook),
		ToDo:     "put back the file, or the certificate and the key that belong together", Command: metrics.CheckCommand,
	})
	left := time.Until(ends)
	at := ends.UTC().Format(time.RFC3339)
	set(!ends.IsZero() && left <= 0, metrics.Condition{
		Part: intake.Part, Kind: "certificate", Grave: true,
		What: "senders do not believe the certificate of " + p.variable + ": it ended at " + at, ToDo: "replace it and its key; no restart is needed",
	})
	set(left > 0 && left < certificateNotice, metrics.Condition{
		Part: intake.Part, Kind: "certificate ends", Harmless: true,
		What: "the certificate of " + p.variable + " ends at " + at + ", and no sender is heard after that", ToDo: "replace it and its key; no restart is needed",
	})
}

// ended tells that nobody listens any more.
func (p port) ended(health *metrics.Health, err error) {
	health.Begin(metrics.Condition{
		Part: intake.Part, Kind: "listening", Grave: true,
		What: "no sender is heard: it is no longer listened at " + p.variable + ": " + err.Error(), ToDo: "restart the program",
	})
}

// certificate is when the own certificate of a web configuration ends, or what is wrong with its TLS that its validation
// passes over.
func certificate(file string) (ends time.Time, problem string) {
	var pair *tls.Certificate
	config, err := web.ConfigToTLSConfig(tlsOf(file))
	if err == nil {
		pair, err = config.GetCertificate(nil)
	}
	if err != nil {
		return ends, "has no TLS that works"
	}
	if config.ClientCAs.Equal(x509.NewCertPool()) {
		return ends, "has no certificate in its client_ca_file, so that no client's is believed"
	}
	own := pair.Leaf // those behind it may have ended: senders know others
	if time.Now().Before(own.NotBefore) {
		return ends, "has a certificate that is good from " + own.NotBefore.UTC().Format(time.RFC3339) + " on only"
	}
	return own.NotAfter, ""
}

// hasTLS reports whether a web configuration gives TLS. One that says only which versions of it are taken does not.
func hasTLS(file string) bool { return tlsOf(file).IsEnabled() }

// tlsOf is what a web configuration says of TLS. What is wrong with the file, [httpConfigProblem] tells.
func tlsOf(file string) *web.TLSConfig {
	var config web.Config
	text, _ := os.ReadFile(file)
	_ = yaml.Unmarshal(text, &config)
	config.TLSConfig.SetDirectory(filepath.Dir(file))
	return &config.TLSConfig
}
