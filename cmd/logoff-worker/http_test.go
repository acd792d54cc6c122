package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"logoffworker/worker/stage"
)

// hashed is "open sesame" by bcrypt.
const hashed = "$2a$04$H/Ti6GTJL0qxxFSmagIzF.30R5rt0pAQvB7otKcklgBJuQBfY5dRi"

// serving is the HTTP port with these settings, which says what it serves to whom.
func serving(t *testing.T, s settings) (get func(scheme, path, password string) (int, string)) {
	t.Helper()
	var err error
	if s.HTTPAddr, err = stage.FreeAddress(); err != nil {
		t.Fatal(err)
	}
	words := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "served") })
	stop, err := serveHTTP(s, words, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // it is its own authority
	}}
	return func(scheme, path, password string) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://"+s.HTTPAddr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			request.SetBasicAuth("prometheus", password)
		}
		response, err := client.Do(request)
		if err != nil {
			return 0, err.Error()
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
}

// written is a file of this content.
func written(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// With a web configuration nobody sees anything who has no TLS and no password.
func TestHTTPPortIsProtectedAsAsked(t *testing.T) {
	cert, key := selfSigned(t)
	config := written(t, "web.yml", "tls_server_config:\n  cert_file: "+cert+"\n  key_file: "+key+"\nbasic_auth_users:\n  prometheus: "+hashed+"\n")
	get := serving(t, settings{HTTPConfigFile: config})
	for _, test := range []struct {
		scheme, password string
		status           int
	}{{"https", "open sesame", 200}, {"https", "", 401}, {"https", "wrong", 401}, {"http", "open sesame", 400}} {
		if status, body := get(test.scheme, "/metrics", test.password); status != test.status || (status == 200) != (body == "served") {
			t.Errorf("%s with the password %q: %d, %s", test.scheme, test.password, status, body)
		}
	}
}

func TestProfilesAreServedOnlyWhenAsked(t *testing.T) {
	if _, body := serving(t, settings{})("http", "/debug/pprof/", ""); body != "served" {
		t.Errorf("without being asked: %s", body)
	}
	get := serving(t, settings{HTTPPprof: true})
	if status, body := get("http", "/debug/pprof/goroutine?debug=1", ""); status != http.StatusOK || !strings.Contains(body, "goroutine profile") {
		t.Errorf("%d, %s", status, body)
	}
	if _, body := get("http", "/metrics", ""); body != "served" {
		t.Errorf("everything else: %s", body)
	}
}

// An address at which another program listens is an error at the start that names the variable, and nothing is served.
func TestPortInUseIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	log := &stage.Output{}
	_, err = serveHTTP(settings{HTTPAddr: taken.Addr().String()}, http.NotFoundHandler(), slog.New(slog.NewTextHandler(log, nil)))
	if err == nil || !strings.Contains(err.Error(), "LOGOFF_HTTP_ADDR: another program listens at "+taken.Addr().String()) || log.String() != "" {
		t.Errorf("%v, and in the log %q", err, log)
	}
}

// A request that has begun is finished at a stop, where there is patience for it; elsewhere it is broken off.
func TestRequestThatHasBegunIsFinished(t *testing.T) {
	for patience, want := range map[time.Duration]string{time.Minute: "stored", 0: ""} {
		begun, stopped := make(chan struct{}), make(chan struct{})
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(begun)
			select {
			case <-stopped:
				fmt.Fprint(w, "stored")
			case <-r.Context().Done():
			}
		})}
		server.RegisterOnShutdown(func() { close(stopped) })
		addr, err := stage.FreeAddress()
		if err != nil {
			t.Fatal(err)
		}
		stop, err := port{addr: addr, server: server, patience: patience}.serve(slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		answer := make(chan string)
		go func() {
			defer close(answer)
			response, err := http.Get("http://" + addr)
			if err != nil {
				return
			}
			defer response.Body.Close()
			body, _ := io.ReadAll(response.Body)
			answer <- string(body)
		}()
		<-begun
		stop()
		if got := <-answer; got != want {
			t.Errorf("with a patience of %v the answer is %q, want %q", patience, got, want)
		}
	}
}

// What is wrong with a web configuration is said at the start, without what stands in it.
func TestWrongWebConfigurationIsRefused(t *testing.T) {
	cert, key := selfSigned(t)
	for name, test := range map[string]struct{ content, want string }{
		"users are no table": {"basic_auth_users: prometheus-secret\n", "a value"},
		"password in clear":  {"basic_auth_users:\n  prometheus: prometheus-secret\n", "bcrypt"},
		"unknown field":      {"tls_config:\n  cert_file: prometheus-secret\n", "tls_config"},
		"no key":             {"tls_server_config:\n  cert_file: cert.pem\n", "key"},
		"no authority":       {"tls_server_config:\n  cert_file: " + cert + "\n  key_file: " + key + "\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n", "exporter-toolkit: open "},
		"missing files":      {"tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n", "cert.pem"},
	} {
		words := said(t, "LOGOFF_HTTP_CONFIG_FILE="+written(t, "web.yml", test.content))
		if !strings.Contains(words, "LOGOFF_HTTP_CONFIG_FILE: ") || !strings.Contains(words, test.want) || strings.Contains(words, "secret") {
			t.Errorf("%s: %s", name, words)
		}
	}
	if words := said(t, "LOGOFF_HTTP_CONFIG_FILE="+filepath.Join(t.TempDir(), "none.yml")); !strings.Contains(words, "LOGOFF_HTTP_CONFIG_FILE: cannot be read") {
		t.Errorf("a file that is not there: %s", words)
	}
}
