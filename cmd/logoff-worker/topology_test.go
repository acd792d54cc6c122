package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/worker/stage"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver/simulator"
)

// natsServer starts a NATS server with a configuration, in which STORE is a directory of its own.
func natsServer(t *testing.T, configuration string) *server.Server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "nats.conf")
	text := strings.ReplaceAll(configuration, "STORE", `"`+t.TempDir()+`"`)
	if err := os.WriteFile(file, []byte("listen: \"127.0.0.1:-1\"\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := stage.StartNATS(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

// jetStream is a publisher's view of a server.
func jetStream(t *testing.T, url string, options ...nats.Option) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// hubAndLeaf are two servers with a JetStream each, of which the second is a leaf node of the first.
func hubAndLeaf(t *testing.T) (hub, leaf *server.Server) {
	t.Helper()
	meet, err := stage.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	hub = natsServer(t, `server_name: hub, jetstream { store_dir: STORE, domain: hub }, leafnodes { listen: "`+meet+`" }`)
	leaf = natsServer(t, `server_name: leaf, jetstream { store_dir: STORE, domain: leaf }, leafnodes { remotes [ { url: "nats://`+meet+`" } ] }`)
	if !stage.Await(t.Context(), time.Minute, func() bool { return hub.NumLeafNodes() > 0 }) {
		t.Fatal("the leaf node does not reach its hub")
	}
	return hub, leaf
}

// answers runs a command to its end, and returns its exit code and all that it says.
func (w *world) answers(command string, with ...string) (code int, said string) {
	w.t.Helper()
	program := w.command([]string{command}, with...)
	var out bytes.Buffer
	program.Stdout, program.Stderr = &out, &out
	err := program.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	return program.ProcessState.ExitCode(), out.String()
}

// streams are the names of those that a JetStream has.
func streams(t *testing.T, js jetstream.JetStream) string {
	t.Helper()
	var names []string
	lister := js.StreamNames(t.Context())
	for name := range lister.Name() {
		names = append(names, name)
	}
	if err := lister.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

// works checks that a worker with these settings does a job that stands in w.js.
func (w *world) works(with ...string) {
	w.t.Helper()
	command := w.start(with...)
	w.poll("/readyz", http.StatusOK)
	w.publish(w.sim.SignOnMany(7, 3))
	if got := w.results(3); len(got) != 3 {
		w.t.Errorf("%d of 3 jobs have a result\n%s", len(got), w.log.String())
	}
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		w.t.Fatal(err)
	}
	w.ended(command)
}

// A worker at a leaf node makes no streams there unless it is told to, and says in which domain it is.
func TestLeafNodesOwnJetStreamIsNotUsedQuietly(t *testing.T) {
	w := newWorld(t, simulator.Settings{})
	hub, leaf := hubAndLeaf(t)
	at := "LOGOFF_NATS_URL=" + leaf.ClientURL()
	for _, command := range []string{"init", "check"} {
		if code, said := w.answers(command, at); code != 1 || !strings.Contains(said, `domain "leaf"`) || !strings.Contains(said, "LOGOFF_NATS_DOMAIN") {
			t.Errorf("%s ends with %d and says\n%s", command, code, said)
		}
	}
	w.start(at)
	if page := w.poll("/readyz", http.StatusServiceUnavailable, "LOGOFF_NATS_DOMAIN"); !strings.Contains(page, `domain "leaf"`) {
		t.Errorf("it says %s", page)
	}
	if made := streams(t, jetStream(t, leaf.ClientURL())) + streams(t, jetStream(t, hub.ClientURL())); made != "" {
		t.Errorf("it made %s", made)
	}
}

// Jobs, results, dead letters and the pair are where the domain is, and nothing at the leaf node.
func TestWorkerAtALeafNodeUsesTheDomainItIsTold(t *testing.T) {
	for _, with := range []string{"LOGOFF_NATS_DOMAIN=hub", "LOGOFF_NATS_API_PREFIX=$JS.hub.API"} {
		t.Run(with, func(t *testing.T) {
			w := newWorld(t, simulator.Settings{})
			hub, leaf := hubAndLeaf(t)
			w.js = jetStream(t, hub.ClientURL())
			dir := t.TempDir()
			pair, key := filepath.Join(dir, "pair.json"), filepath.Join(dir, "key")
			if err := errors.Join(writePair(pair, w.sim), os.WriteFile(key, []byte(strings.Repeat("0f", 32)), 0o600)); err != nil {
				t.Fatal(err)
			}
			settings := []string{
				"LOGOFF_NATS_URL=" + leaf.ClientURL(), with, "LOGOFF_WEBSERVER_USERNAME=", "LOGOFF_WEBSERVER_PASSWORD=",
				"LOGOFF_WEBSERVER_PAIR_FILE=" + pair, "LOGOFF_WEBSERVER_PAIR_KEY_FILE=" + key,
			}
			if code, said := w.answers("check", settings...); code != 0 || !strings.Contains(said, `domain "hub"`) {
				t.Errorf("check ends with %d and says\n%s", code, said)
			}
			w.works(settings...)
			if code, said := w.answers("check", settings...); code != 0 || !strings.Contains(said, "the stored pair was renewed 0 times") {
				t.Errorf("check ends with %d and says\n%s", code, said)
			}
			if made := streams(t, jetStream(t, leaf.ClientURL())); made != "" {
				t.Errorf("it made %s at the leaf node", made)
			}
			// The stream of acts is made beside the work, and may not be there yet.
			if made := strings.Replace(streams(t, w.js), "LOGOFF_AUDIT ", "", 1); made != "KV_LOGOFF_TOKENS LOGOFF_DEAD LOGOFF_REQUESTS LOGOFF_RESULTS" {
				t.Errorf("the hub has %s", made)
			}
			if !strings.Contains(w.log.String(), `"domain":"hub"`) {
				t.Errorf("the log does not name the domain:\n%s", w.log.String())
			}
		})
	}
}

// Streams that an earlier worker made at the leaf node would take what is meant for those of the domain, and
// answer in their place.
func TestStreamsAtTheLeafNodeAreNamed(t *testing.T) {
	w := newWorld(t, simulator.Settings{})
	hub, leaf := hubAndLeaf(t)
	local := jetStream(t, leaf.ClientURL())
	made := stream.Config{Subjects: w.subjects, Provision: stream.ProvisionCreate, Replicas: 1, API: "$JS.leaf.API"}
	if err := made.ProvisionStreams(t.Context(), local); err != nil {
		t.Fatal(err)
	}
	with := []string{"LOGOFF_NATS_URL=" + leaf.ClientURL(), "LOGOFF_NATS_DOMAIN=hub"}
	for _, command := range []string{"init", "check"} {
		if code, said := w.answers(command, with...); code != 1 || !strings.Contains(said, "LOGOFF_REQUESTS") || !strings.Contains(said, `domain "leaf"`) {
			t.Errorf("%s ends with %d and says\n%s", command, code, said)
		}
	}
	for name := range strings.FieldsSeq(streams(t, local)) {
		if err := local.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	w.js = jetStream(t, hub.ClientURL())
	w.works(with...)
}

// A domain that there is not is said to be that.
func TestDomainThatDoesNotAnswerIsNamed(t *testing.T) {
	w := newWorld(t, simulator.Settings{})
	for _, with := range []string{"LOGOFF_NATS_DOMAIN=nowhere", "LOGOFF_NATS_API_PREFIX=JS.nowhere"} {
		for _, command := range []string{"init", "check"} {
			if code, said := w.answers(command, with); code != 1 || !strings.Contains(said, "nowhere") || !strings.Contains(said, "LOGOFF_NATS_DOMAIN") {
				t.Errorf("%s: %s ends with %d and says\n%s", with, command, code, said)
			}
		}
	}
}

// A worker of one account works with the JetStream of another, over subjects that are imported.
func TestWorkerUsesTheJetStreamOfAnotherAccount(t *testing.T) {
	w := newWorld(t, simulator.Settings{})
	s := natsServer(t, `
jetstream { store_dir: STORE }
accounts {
  QUEUE { jetstream: enabled, users: [ { user: queue, password: p } ]
    exports: [ { service: "$JS.API.>", response_type: stream }, { service: "$JS.ACK.>" }, { service: "logoff.>" } ] }
  WORKERS { users: [ { user: worker, password: p } ]
    imports: [ { service: { account: QUEUE, subject: "$JS.API.>" }, to: "queue.api.>" }, { service: { account: QUEUE, subject: "$JS.ACK.>" } }, { service: { account: QUEUE, subject: "logoff.>" } } ] }
}`)
	w.js = jetStream(t, s.ClientURL(), nats.UserInfo("queue", "p"))
	w.works("LOGOFF_NATS_URL="+s.ClientURL(), "LOGOFF_NATS_USER=worker", "LOGOFF_NATS_PASSWORD=p", "LOGOFF_NATS_API_PREFIX=queue.api")
}

// What an account does not allow is foreseen by check, and said by init, with the setting that mends it.
func TestLimitsOfTheAccountAreForeseen(t *testing.T) {
	const account = `jetstream { store_dir: STORE, max_file_store: 1GB }, accounts { A { users: [ { user: w, password: p } ], jetstream { LIMITS } } }`
	for _, test := range []struct {
		name, limits string
		with         []string
		says         []string // nothing, where all is well
	}{
		{"max_bytes are required", "max_bytes_required: true", nil, []string{"LOGOFF_NATS_MAX_BYTES"}},
		{"max_bytes are given", "max_bytes_required: true, max_file: 100MB", []string{"LOGOFF_NATS_MAX_BYTES=20MiB"}, nil},
		{"too many max_bytes", "max_file: 100MB", []string{"LOGOFF_NATS_MAX_BYTES=40MiB"}, []string{"LOGOFF_NATS_MAX_BYTES", "storage"}},
		{"max_bytes above those of a stream", "disk_max_stream_bytes: 10MB", []string{"LOGOFF_NATS_MAX_BYTES=20MiB"}, []string{"LOGOFF_NATS_MAX_BYTES"}},
		{"two streams", "max_streams: 2", nil, []string{"streams"}},
		{"one consumer", "max_consumers: 1", nil, []string{"consumers"}},
		{"fewer jobs in hand", "max_ack_pending: 5000", nil, nil},
		{"copies without a cluster", "", []string{"LOGOFF_NATS_REPLICAS=3"}, []string{"LOGOFF_NATS_REPLICAS", "cluster"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, simulator.Settings{})
			limits := test.limits
			if limits == "" {
				limits = "max_streams: 100"
			}
			s := natsServer(t, strings.ReplaceAll(account, "LIMITS", limits))
			with := append([]string{"LOGOFF_NATS_URL=" + s.ClientURL(), "LOGOFF_NATS_USER=w", "LOGOFF_NATS_PASSWORD=p"}, test.with...)
			for _, command := range []string{"check", "init"} {
				code, said := w.answers(command, with...)
				if (code == 0) != (test.says == nil) {
					t.Errorf("%s ends with %d and says\n%s", command, code, said)
				}
				for _, words := range test.says {
					if !strings.Contains(said, words) {
						t.Errorf("%s does not say %q:\n%s", command, words, said)
					}
				}
			}
			if test.says == nil {
				w.js = jetStream(t, s.ClientURL(), nats.UserInfo("w", "p"))
				w.works(with...)
			}
		})
	}
}

// A worker with the rights of deploy/nats makes no streams. check and the worker say who does, and by which command, and
// that is all that it takes.
func TestStreamsAreMadeByWhoMay(t *testing.T) {
	w := newWorld(t, simulator.Settings{})
	accounts := regexp.MustCompile(`\$LOGOFF_\w+_PASSWORD`).ReplaceAllString(read(t, root+"/deploy/nats/accounts.conf"), "p")
	s := natsServer(t, "jetstream { store_dir: STORE }\n"+accounts)
	as := func(user string) []string {
		return []string{"LOGOFF_NATS_URL=" + s.ClientURL(), "LOGOFF_NATS_USER=" + user, "LOGOFF_NATS_PASSWORD=p"}
	}
	remedy := []string{"LOGOFF_NATS_PROVISION=verify", "logoff-worker init"}
	code, said := w.answers("check", as("worker")...)
	if code != 1 || !containsAll(said, append(remedy, "$JS.API.STREAM.CREATE.LOGOFF_REQUESTS, which this NATS user does not have", "FAIL  streams    stream LOGOFF_REQUESTS: nats: API error: code=404")) {
		t.Errorf("check ends with %d and says\n%s", code, said)
	}
	if strings.Contains(said, "the worker creates it") || strings.Contains(said, "deadline") {
		t.Errorf("check says what will not be, or what nobody can act on:\n%s", said)
	}
	worker := w.start(as("worker")...)
	w.poll("/readyz", http.StatusServiceUnavailable, append(remedy, "may not make or change streams")...)
	if code, said := w.answers("init", append(as("admin"), "LOGOFF_NATS_INBOX_PREFIX=_INBOX", "LOGOFF_WEBSERVER_URL=")...); code != 0 {
		t.Fatalf("init ends with %d and says\n%s", code, said)
	}
	if err := worker.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.ended(worker)
	if strings.Contains(w.log.String(), "the permissions that deploy/nats/accounts.conf lists") {
		t.Errorf("the worker has these, and is told to be given them:\n%s", w.log.String())
	}
	if code, said := w.answers("check", append(as("worker"), "LOGOFF_NATS_PROVISION=verify")...); code != 0 || !strings.Contains(said, "ok    streams") {
		t.Errorf("check ends with %d and says\n%s", code, said)
	}
}

// The stream that has our subjects is named, and nothing is begun beside it.
func TestStreamThatOverlapsIsNamed(t *testing.T) {
	for _, subject := range []string{"logoff.>", "logoff.results.*.*", "logoff.*.urgent", "logoff.dead.failed"} {
		t.Run(subject, func(t *testing.T) {
			w := newWorld(t, simulator.Settings{})
			if _, err := w.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVERYTHING", Subjects: []string{subject}}); err != nil {
				t.Fatal(err)
			}
			for _, command := range []string{"check", "init"} {
				if code, said := w.answers(command); code != 1 || !strings.Contains(said, "EVERYTHING") {
					t.Errorf("%s ends with %d and says\n%s", command, code, said)
				}
			}
		})
	}
}

// check says what a worker would make, before it does.
func TestCheckSaysWhatWillBeMade(t *testing.T) {
	w := newWorld(t, simulator.Settings{})
	code, said := w.answers("check", "LOGOFF_NATS_MAX_BYTES=1G")
	for _, words := range []string{"LOGOFF_REQUESTS", "LOGOFF_RESULTS", "LOGOFF_DEAD", "1 GiB", "30 days", "90 days", "creates it"} {
		if code != 0 || !strings.Contains(said, words) {
			t.Errorf("it ends with %d and does not say %q:\n%s", code, words, said)
		}
	}
	if made := streams(t, w.js); made != "" {
		t.Errorf("check made %s", made)
	}
}

// A server that speaks TLS from the first byte is reached when it is said that it does.
func TestTLSHandshakeFirst(t *testing.T) {
	w := newWorld(t, simulator.Settings{})
	certificate, key := selfSigned(t)
	s := natsServer(t, fmt.Sprintf(`jetstream { store_dir: STORE }, tls { cert_file: %q, key_file: %q, handshake_first: true }`, certificate, key))
	url := fmt.Sprintf("127.0.0.1:%d", s.Addr().(*net.TCPAddr).Port)
	w.js = jetStream(t, "tls://"+url, nats.RootCAs(certificate), nats.TLSHandshakeFirst())
	w.works("LOGOFF_NATS_URL="+url, "LOGOFF_NATS_CA_FILE="+certificate, "LOGOFF_NATS_TLS_FIRST=true")
}

// selfSigned makes a certificate of 127.0.0.1, which is its own authority.
func selfSigned(t *testing.T) (certificate, key string) { return selfSignedFor(t, time.Hour) }

// selfSignedFor is one that ends after some time.
func selfSignedFor(t *testing.T, lasts time.Duration) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "nats"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lasts), IsCA: true, BasicConstraintsValid: true,
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certificate, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "PRIVATE KEY", Bytes: bytes}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}
