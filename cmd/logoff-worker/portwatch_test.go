package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"logoffworker/metrics"
	"logoffworker/worker/intake"
	"logoffworker/worker/stage"
)

// A key or a certificate that breaks after the start keeps all senders away, and is told within 15 seconds, as is one that
// nears its end.
func TestTLSThatNoLongerWorksIsTold(t *testing.T) {
	later, laterKey := selfSigned(t) // long after the time below
	synctest.Test(t, func(t *testing.T) {
		cert, key := selfSignedFor(t, certificateNotice+10*time.Minute)
		config := "tls_server_config:\n  cert_file: " + cert + "\n  key_file: " + key + "\n"
		file := written(t, "web.yml", config)
		out := &stage.Output{}
		health := metrics.NewHealth(slog.New(slog.NewTextHandler(out, nil)), intake.Part)
		health.Well(intake.Part)
		ctx, cancel := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer cancel()
		go port{variable: receiverAddr, config: file}.watch(ctx, health)
		put := func(file, text string) {
			t.Helper()
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		well := func(what string, want string) {
			t.Helper()
			time.Sleep(portLook)
			synctest.Wait()
			ok, _ := health.Ready()
			if said := health.Verdict().String(); ok != (want == "") || !strings.Contains(said, want) || strings.Contains(said, "canary") || strings.Contains(said, " 0001-") {
				t.Errorf("%s: ready is %v, and it says %s", what, ok, said)
			}
		}
		pem, err := os.ReadFile(key)
		if err != nil {
			t.Fatal(err)
		}
		other, _ := selfSigned(t)
		otherPEM, err := os.ReadFile(other)
		if err != nil {
			t.Fatal(err)
		}
		certPEM, err := os.ReadFile(cert)
		if err != nil {
			t.Fatal(err)
		}
		well("at the start", "")
		put(key, "canary")
		well("a key that is none", "no sender is heard: the web configuration of LOGOFF_RECEIVER_ADDR")
		put(key, string(pem))
		well("the key is back", "")
		put(cert, string(otherPEM))
		well("a certificate of another key", "no sender is heard")
		put(cert, string(certPEM))
		well("the certificate is back", "")
		put(file, "tls_server_config:\n  cert_file: "+later+"\n  key_file: "+laterKey+"\n")
		well("a certificate of later", "has a certificate that is good from 20")
		put(file, config+"  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: "+other+"\n")
		well("an authority of clients", "")
		ended, _ := selfSignedFor(t, -time.Hour)
		endedPEM, err := os.ReadFile(ended)
		if err != nil {
			t.Fatal(err)
		}
		put(cert, string(certPEM)+string(endedPEM))
		well("an authority in the chain has ended, which senders need not know", "")
		put(cert, string(certPEM))
		put(file, "")
		well("no TLS any more", "has TLS now and had none at the start")
		put(file, "x: canary\n")
		well("a wrong file", "is no web configuration")
		put(file, config+"  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: "+key+"\n")
		well("no authority of clients", "no certificate in its client_ca_file")
		put(file, config)
		well("all is back", "")
		if strings.Contains(out.String(), "ends at") {
			t.Errorf("an end is told too early:\n%s", out)
		}
		time.Sleep(10 * time.Minute)
		well("near the end", "")
		if !strings.Contains(out.String(), "the certificate of LOGOFF_RECEIVER_ADDR ends at") {
			t.Errorf("its end is not told:\n%s", out)
		}
		cert, key = selfSignedFor(t, 5*time.Minute)
		put(file, "tls_server_config:\n  cert_file: "+cert+"\n  key_file: "+key+"\n")
		well("another", "")
		time.Sleep(5 * time.Minute)
		well("after the end", "it ended at")
	})
}

// A file that goes away between two looks at it gives no TLS.
func TestCertificateOfNoFileIsTold(t *testing.T) {
	if _, problem := certificate(filepath.Join(t.TempDir(), "web.yml")); problem != "has no TLS that works" {
		t.Errorf("it says %q", problem)
	}
}

// That nothing is wrong with a port does not say that jobs can be stored: the receiver has yet to show that.
func TestPortThatIsWellShowsNoReceiverThatIs(t *testing.T) {
	cert, key := selfSigned(t)
	for name, config := range map[string]string{
		"without TLS": "",
		"with TLS":    written(t, "web.yml", "tls_server_config:\n  cert_file: "+cert+"\n  key_file: "+key+"\n"),
	} {
		t.Run(name, func(t *testing.T) {
			health := metrics.NewHealth(slog.New(slog.DiscardHandler), intake.Part)
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // it looks once
			port{variable: receiverAddr, config: config}.watch(ctx, health)
			if ok, conditions := health.Ready(); ok || len(conditions) != 1 || conditions[0].What != "starting" {
				t.Errorf("ready is %v, with %v", ok, conditions)
			}
		})
	}
}

// A receiver at whose address nobody listens any more is not ready.
func TestAListenerThatEndsIsTold(t *testing.T) {
	health := metrics.NewHealth(slog.New(slog.DiscardHandler), intake.Part)
	health.Well(intake.Part)
	ended := make(chan struct{})
	p := port{variable: receiverAddr, addr: "127.0.0.1:0", server: &http.Server{BaseContext: func(l net.Listener) context.Context {
		l.Close()
		return t.Context()
	}}}
	p.broken = func(err error) { p.ended(health, err); close(ended) }
	stop, err := p.serve(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	<-ended
	if ok, _ := health.Ready(); ok || !strings.Contains(health.Verdict().String(), "no longer listened at LOGOFF_RECEIVER_ADDR") {
		t.Errorf("it says %s", health.Verdict())
	}
	stop()
}
