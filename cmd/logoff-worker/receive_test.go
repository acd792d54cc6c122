package main

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"logoffworker/worker/stage"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver/simulator"
)

const trustedText = "publishers:\n  - {name: siem, bearer: canary-bearer}\n"

// post posts a job as siem, and returns the status; 0 while nobody answers.
func post(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/jobs", strings.NewReader(`{"id":"case-17","users":[{"id":7}]}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer canary-bearer")
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

// receiving starts the program with arguments and a receiver's address, and returns that.
func (w *world) receiving(args []string, extra ...string) (addr string, stop func()) {
	w.t.Helper()
	addr, err := stage.FreeAddress()
	if err != nil {
		w.t.Fatal(err)
	}
	command := w.startAs(args, append(extra, "LOGOFF_RECEIVER_ADDR="+addr, "LOGOFF_ISSUERS_FILE="+written(w.t, "issuers.yaml", trustedText))...)
	return addr, func() {
		w.t.Helper()
		if err := command.Process.Signal(syscall.SIGTERM); err != nil {
			w.t.Fatal(err)
		}
		w.ended(command)
		if log := w.log.String(); strings.Contains(log, "canary") {
			w.t.Errorf("a secret is in the log:\n%s", log)
		}
	}
}

// A receiver stores jobs, needs no Web Server, says what it lacks, and ends when it is told to.
func TestReceiverStoresAndWorksNothing(t *testing.T) {
	w := newWorld(t, simulator.Settings{})
	addr, stop := w.receiving([]string{"receive"}, "LOGOFF_WEBSERVER_URL=", "LOGOFF_WEBSERVER_USERNAME=", "LOGOFF_WEBSERVER_PASSWORD=")
	w.poll("/readyz", http.StatusServiceUnavailable, "receiver: jobs of siem could not be stored: no stream takes jobs")
	if code, body := post(t, http.DefaultClient, "http://"+addr); code != http.StatusServiceUnavailable {
		t.Errorf("without a stream: %d %s", code, body)
	}
	if err := stream.DefaultConfig().ProvisionStreams(t.Context(), w.js); err != nil {
		t.Fatal(err)
	}
	w.poll("/readyz", http.StatusOK)
	w.poll("/", http.StatusOK, "All is well: what comes in is stored.")
	w.poll("/metrics", http.StatusOK, `logoff_receiver_requests_total{code="503",endpoint="jobs"} 1`, `logoff_signals_total{issuer="siem",verdict="job"} 0`)
	if scraped := w.poll("/metrics", http.StatusOK, "logoff_nats_connected 1", "logoff_build_info{", `logoff_problem{part="nats"} 0`); strings.Contains(scraped, "webserver") || strings.Contains(scraped, "settings_info") {
		t.Errorf("it has metrics of a worker, by which alerts would tell that the Web Server is down:\n%s", scraped)
	}
	if code, body := post(t, http.DefaultClient, "http://"+addr); code != http.StatusAccepted || !strings.Contains(body, `"jobId":"case-17"`) {
		t.Errorf("%d %s", code, body)
	}
	if n := w.count(w.subjects.RequestStream()); n != 1 {
		t.Errorf("%d jobs are stored", n)
	}
	stop()
	if requests := w.sim.Journal(); len(requests) > 0 {
		t.Errorf("the Web Server was asked %d times", len(requests))
	}
}

// A worker with a receiver's address receives jobs with TLS, and works them.
func TestWorkerReceivesAndWorks(t *testing.T) {
	w := newWorld(t, simulator.Settings{})
	w.sim.SignOn(7, simulator.ConsoleWeb)
	cert, key := selfSigned(t)
	web := written(t, "web.yml", "tls_server_config:\n  cert_file: "+cert+"\n  key_file: "+key+"\n")
	addr, stop := w.receiving(nil, "LOGOFF_RECEIVER_CONFIG_FILE="+web)
	w.poll("/readyz", http.StatusOK)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // it is its own authority
	if code, body := post(t, client, "https://"+addr); code != http.StatusAccepted {
		t.Errorf("%d %s", code, body)
	}
	if code, _ := post(t, http.DefaultClient, "http://"+addr); code == http.StatusAccepted {
		t.Error("a job is taken without TLS")
	}
	if !stage.Await(t.Context(), time.Minute, func() bool { return w.count(w.subjects.ResultStream()) == 1 }) {
		t.Errorf("the job has no result:\n%s", w.log.String())
	}
	if !stage.Await(t.Context(), time.Minute, func() bool {
		return strings.Contains(w.log.String(), "the certificate of LOGOFF_RECEIVER_ADDR ends at")
	}) {
		t.Errorf("nobody looks at the certificate:\n%s", w.log.String())
	}
	stop()
}

// receiverEnvironment is what a receiver at a NATS server has to be told, and some more.
func receiverEnvironment(t *testing.T, url string, more ...string) {
	t.Helper()
	for _, assignment := range append([]string{"LOGOFF_NATS_URL=" + url, "LOGOFF_HTTP_ADDR=127.0.0.1:0"}, more...) {
		variable, value, _ := strings.Cut(assignment, "=")
		t.Setenv(variable, value)
	}
}

// issuersWith is an issuers file with two issuers, of which one has a stream: this, with what may follow it.
func issuersWith(t *testing.T, stream string) (file string) {
	t.Helper()
	return written(t, "issuers.yaml", trustedText+`issuers:
  - {name: kc, issuer: 'https://kc.example', audience: us, keys: {url: 'https://kc.example/keys'}, subjects: {email: 'email:{email}'}}
  - {name: idp, issuer: 'https://idp.example', subjects: {email: 'email:{email}'}, stream: `+stream+"}\n")
}

// What is missing for receiving, or does not go with it, is said; what only a worker needs is not asked for.
func TestSettingsOfAReceiver(t *testing.T) {
	trusted := "LOGOFF_ISSUERS_FILE=" + written(t, "issuers.yaml", trustedText)
	polled, pushed := "LOGOFF_ISSUERS_FILE="+issuersWith(t, "{delivery: poll}"), "LOGOFF_ISSUERS_FILE="+issuersWith(t, "{delivery: push, push_url: 'https://logoff.example/v1/events/idp', bearer: canary-stream}, push: {path: /v1/events/idp, bearer: canary-push}")
	cert, key := selfSigned(t)
	const web = "tls_server_config:\n  min_version: TLS13\n"
	withTLS := "LOGOFF_RECEIVER_CONFIG_FILE=" + written(t, "web.yml", web+"  cert_file: "+cert+"\n  key_file: "+key+"\n")
	for name, test := range map[string]struct {
		role  role
		given []string
		words string // empty: nothing is said
	}{
		"a receiver alone":            {receives, []string{"LOGOFF_RECEIVER_ADDR=127.0.0.1:8443", trusted, "LOGOFF_WEBSERVER_URL=", "LOGOFF_WEBSERVER_TOKEN="}, ""},
		"without an address":          {receives, []string{trusted}, "LOGOFF_RECEIVER_ADDR: required"},
		"without the issuers file":    {receives, []string{"LOGOFF_RECEIVER_ADDR=127.0.0.1:8443"}, "LOGOFF_ISSUERS_FILE: required"},
		"with a broker of its own":    {receives, []string{"LOGOFF_RECEIVER_ADDR=127.0.0.1:8443", trusted, "LOGOFF_NATS_URL=embedded"}, "LOGOFF_NATS_URL: a receiver starts no broker"},
		"a file of the Web Server":    {receives, []string{"LOGOFF_RECEIVER_ADDR=127.0.0.1:8443", trusted, "LOGOFF_WEBSERVER_TOKEN_FILE=/nowhere"}, ""},
		"a worker without":            {works, nil, ""},
		"a worker with":               {works, []string{"LOGOFF_RECEIVER_ADDR=127.0.0.1:8443", trusted}, ""},
		"a worker, no issuers file":   {works, []string{"LOGOFF_RECEIVER_ADDR=127.0.0.1:8443"}, "LOGOFF_ISSUERS_FILE: required"},
		"the address of the probes":   {works, []string{"LOGOFF_RECEIVER_ADDR=127.0.0.1:9464", trusted}, "LOGOFF_RECEIVER_ADDR: the same address as LOGOFF_HTTP_ADDR"},
		"no address":                  {works, []string{"LOGOFF_RECEIVER_ADDR=8443", trusted}, "LOGOFF_RECEIVER_ADDR: must be host:port"},
		"TLS for nothing":             {works, []string{"LOGOFF_RECEIVER_CONFIG_FILE=" + written(t, "web.yml", "")}, "LOGOFF_RECEIVER_CONFIG_FILE: given without"},
		"a wrong web configuration":   {works, []string{"LOGOFF_RECEIVER_ADDR=127.0.0.1:8443", trusted, "LOGOFF_RECEIVER_CONFIG_FILE=" + written(t, "web.yml", "x: y\n")}, "LOGOFF_RECEIVER_CONFIG_FILE: is no web configuration"},
		"in the open":                 {works, []string{"LOGOFF_RECEIVER_ADDR=:8443", trusted}, "other machines reach it without TLS"},
		"in the open, with users":     {works, []string{"LOGOFF_RECEIVER_ADDR=:8443", trusted, "LOGOFF_RECEIVER_CONFIG_FILE=" + written(t, "web.yml", "basic_auth_users:\n  prometheus: "+hashed+"\n")}, "other machines reach it without TLS"},
		"in the open, a version":      {works, []string{"LOGOFF_RECEIVER_ADDR=:8443", trusted, "LOGOFF_RECEIVER_CONFIG_FILE=" + written(t, "web.yml", web)}, "other machines reach it without TLS"},
		"with TLS":                    {works, []string{"LOGOFF_RECEIVER_ADDR=:8443", trusted, withTLS}, ""},
		"any port, as the probes":     {works, []string{"LOGOFF_RECEIVER_ADDR=127.0.0.1:0", trusted, "LOGOFF_HTTP_ADDR=127.0.0.1:0"}, ""},
		"any port, as the broker":     {works, []string{"LOGOFF_RECEIVER_ADDR=127.0.0.1:0", trusted, "LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_LISTEN=127.0.0.1:0"}, ""},
		"the address of the broker":   {works, []string{"LOGOFF_RECEIVER_ADDR=127.0.0.1:4222", trusted, "LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_LISTEN=127.0.0.1:4222"}, "LOGOFF_RECEIVER_ADDR: the same address as LOGOFF_NATS_LISTEN"},
		"the port of another's NATS":  {works, []string{"LOGOFF_RECEIVER_ADDR=127.0.0.1:4222", trusted, "LOGOFF_NATS_LISTEN=127.0.0.1:4222"}, ""},
		"it polls and has no address": {receives, []string{polled}, ""},
		"no address to push to":       {receives, []string{pushed}, "LOGOFF_RECEIVER_ADDR: required"},
		"a worker that polls":         {works, []string{polled}, ""},
		"a receiver that is pushed":   {receives, []string{"LOGOFF_RECEIVER_ADDR=127.0.0.1:8443", pushed}, ""},
		"neither is given":            {receives, nil, "LOGOFF_ISSUERS_FILE: required"},
		"a port beside the broker's":  {works, []string{"LOGOFF_RECEIVER_ADDR=127.0.0.1:8443", trusted, "LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_LISTEN=127.0.0.1:4222"}, ""},
		"this machine's IPv6 address": {works, []string{"LOGOFF_RECEIVER_ADDR=[::1]:8443", trusted}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, assignment := range append(append([]string{}, complete...), test.given...) {
				variable, value, _ := strings.Cut(assignment, "=")
				t.Setenv(variable, value)
			}
			_, told, err := loadFor(test.role)
			if err != nil {
				told = append(told, err.Error())
			}
			if said := strings.Join(told, "\n"); (said == "") != (test.words == "") || !strings.Contains(said, test.words) {
				t.Errorf("it says %q, want %q", said, test.words)
			}
		})
	}
}

// A watched log does something when it says something.
type watchedLog struct {
	stage.Output
	words string
	do    func()
}

func (l *watchedLog) Write(p []byte) (int, error) {
	if strings.Contains(string(p), l.words) {
		l.do()
	}
	return l.Output.Write(p)
}

// receivesBriefly runs a receiver in this process that is told to stop before it begins, and returns how it ended.
func receivesBriefly(t *testing.T, nats string, log io.Writer, with ...string) error {
	t.Helper()
	receiverEnvironment(t, "nats://"+nats, with...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return runReceiver(ctx, log)
}

// A receiver listens where it has an address, and is not ready there before it has asked whether jobs can be stored; one
// that only polls listens nowhere. A service manager that does not hear is told of, and stops nothing.
func TestReceiverListensWhereItHasAnAddress(t *testing.T) {
	for name, test := range map[string]struct {
		with    []string
		listens bool
	}{
		"an address": {[]string{"LOGOFF_RECEIVER_ADDR=127.0.0.1:0", "LOGOFF_ISSUERS_FILE=" + written(t, "issuers.yaml", trustedText)}, true},
		"a stream":   {[]string{"LOGOFF_ISSUERS_FILE=" + issuersWith(t, "{delivery: poll}")}, false},
		"both":       {[]string{"LOGOFF_RECEIVER_ADDR=127.0.0.1:0", "LOGOFF_ISSUERS_FILE=" + issuersWith(t, "{delivery: poll}")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			web, err := stage.FreeAddress()
			if err != nil {
				t.Fatal(err)
			}
			nats, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			page := make(chan string, 1)
			go func() { // the receiver goes no further while it connects
				said := ""
				defer func() { page <- said }()
				conn, err := nats.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				defer nats.Close()
				response, err := http.Get("http://" + web + "/readyz")
				if err != nil {
					t.Error(err)
					return
				}
				defer response.Body.Close()
				body, err := io.ReadAll(response.Body)
				if err != nil {
					t.Error(err)
				}
				said = string(body)
			}()
			t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
			var log stage.Output
			if err := receivesBriefly(t, nats.Addr().String(), &log, append(test.with, "LOGOFF_HTTP_ADDR="+web)...); err != nil {
				t.Fatal(err)
			}
			if said := log.String(); strings.Contains(said, "Jobs and events are served.") != test.listens || !containsAll(said, []string{"NOTIFY_SOCKET", "The receiver stops"}) || strings.Contains(said, "canary") {
				t.Errorf("it says\n%s", said)
			}
			if said := <-page; strings.Contains(said, "receiver") != test.listens || !strings.Contains(said, "nats") {
				t.Errorf("while it connects /readyz says %q", said)
			}
		})
	}
}

// What keeps a receiver from beginning ends it, in words.
func TestReceiverThatCannotBeginSaysWhy(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	at := taken.Addr().String()
	nobody, err := stage.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		with []string
		says string
		lost bool // the issuers file goes away once its settings are read
	}{
		"settings":                {[]string{"LOGOFF_RECEIVER_ADDR=8443"}, "LOGOFF_RECEIVER_ADDR: must be host:port", false},
		"its address is taken":    {[]string{"LOGOFF_RECEIVER_ADDR=" + at}, "LOGOFF_RECEIVER_ADDR: another program listens at " + at, false},
		"that of probes is taken": {[]string{"LOGOFF_HTTP_ADDR=" + at}, "LOGOFF_HTTP_ADDR: another program listens at " + at, false},
		"no seed":                 {[]string{"LOGOFF_NATS_NKEY_FILE=" + written(t, "seed", "SU")}, "NATS NKey seed: ", false},
		"no issuers file":         {nil, "LOGOFF_ISSUERS_FILE: the file cannot be read", true},
	} {
		t.Run(name, func(t *testing.T) {
			file := written(t, "issuers.yaml", trustedText)
			l := &watchedLog{words: "The receiver starts.", do: func() {
				if !test.lost {
					return
				}
				if err := os.Remove(file); err != nil {
					t.Error(err)
				}
			}}
			err := receivesBriefly(t, nobody, l, append([]string{"LOGOFF_RECEIVER_ADDR=127.0.0.1:0", "LOGOFF_ISSUERS_FILE=" + file}, test.with...)...)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("it ends with %v, want %q\n%s", err, test.says, l)
			}
		})
	}
}
