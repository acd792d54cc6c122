package intake

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/metrics"
	"logoffworker/worker/issuers"
	"logoffworker/worker/stage"
)

func TestMain(m *testing.M) {
	if stage.ServeNATS(os.Args) {
		return
	}
	os.Exit(m.Run())
}

// examples are the fixtures of jobs/signals, at noon of whose day they are read.
const examples = "../../jobs/signals/testdata"

func noon() time.Time { return time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC) }

// publishers are added to the file of the examples, which has none.
const publishers = `
publishers:
  - name: soar
    bearer: job-secret
  - name: hr
    bearer_file: %s
`

// A receiving is a receiver that listens, and what it writes.
type receiving struct {
	*rig
	rc       *Receiver
	server   *httptest.Server
	out      *stage.Output
	registry *prometheus.Registry
	secret   string // the file with the bearer of hr
}

// receive has a receiver with the issuers file of the examples, and with publishers.
func (r *rig) receive() *receiving {
	r.t.Helper()
	dir := r.t.TempDir()
	text, err := os.ReadFile(filepath.Join(examples, "issuers.yaml"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, name := range []string{"keys", "maps"} {
		there, err := filepath.Abs(filepath.Join(examples, name))
		if err == nil {
			err = os.Symlink(there, filepath.Join(dir, name))
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	secret := filepath.Join(dir, "hr-bearer")
	if err := os.WriteFile(secret, []byte("hr-secret\n"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return r.receiveBy(dir, string(text)+strings.ReplaceAll(publishers, "%s", secret), secret)
}

// receiveBy has a receiver with an issuers file of this text in a directory.
func (r *rig) receiveBy(dir, text, secret string) *receiving {
	r.t.Helper()
	file := filepath.Join(dir, "issuers.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	all, err := issuers.Open(file)
	if err != nil {
		r.t.Fatal(err)
	}
	x := &receiving{rig: r, out: &stage.Output{}, registry: prometheus.NewRegistry(), secret: secret}
	log := slog.New(slog.NewTextHandler(x.out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	health := metrics.NewHealth(log, Part)
	x.registry.MustRegister(health)
	x.rc = &Receiver{Issuers: all, Store: r.store, Metrics: metrics.NewReceiver(x.registry), Health: health, Log: log, clock: noon}
	x.server = httptest.NewUnstartedServer(nil)
	x.server.Config = x.rc.Server()
	x.server.Start()
	r.t.Cleanup(x.server.Close)
	return x
}

// A reply is what a sender hears.
type reply struct {
	code   int
	header http.Header
	body   string
}

// send sends a request.
func (x *receiving) send(method, target string, header map[string]string, body string) reply {
	x.t.Helper()
	request, err := http.NewRequestWithContext(x.t.Context(), method, x.server.URL+target, strings.NewReader(body))
	if err != nil {
		x.t.Fatal(err)
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := x.server.Client().Do(request)
	if err != nil {
		x.t.Fatal(err)
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil {
		x.t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(said)}
}

// post posts a body of a type, with a bearer if there is one.
func (x *receiving) post(target, bearer, kind, body string) reply {
	x.t.Helper()
	header := map[string]string{"Content-Type": kind}
	if bearer != "" {
		header["Authorization"] = "Bearer " + bearer
	}
	return x.send(http.MethodPost, target, header, body)
}

// example is the body of one of the fixtures.
func example(t testing.TB, id string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(examples, "events", id+".body"))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// example are the headers of one of the fixtures.
func (x *receiving) example(id string) (header map[string]string) {
	x.t.Helper()
	index, err := os.ReadFile(examples + "/index.tsv")
	if err != nil {
		x.t.Fatal(err)
	}
	for row := range strings.Lines(string(index)) {
		if column := strings.Split(row, "\t"); column[0] == id {
			if err := json.Unmarshal([]byte(column[3]), &header); err != nil {
				x.t.Fatal(err)
			}
		}
	}
	return header
}

// says reports whether a reply has all these words.
func (r reply) says(words ...string) bool {
	for _, word := range words {
		if !strings.Contains(r.body, word) {
			return false
		}
	}
	return true
}

// metricsText is what /metrics shows.
func (x *receiving) metricsText() string {
	x.t.Helper()
	recorder := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(x.t.Context(), http.MethodGet, "/metrics", nil)
	metrics.Handler(x.registry, x.rc.Health, http.NotFoundHandler()).ServeHTTP(recorder, request)
	var all bytes.Buffer
	if _, err := all.ReadFrom(recorder.Result().Body); err != nil {
		x.t.Fatal(err)
	}
	return all.String()
}

// ready is what /readyz says.
func (x *receiving) ready() string {
	x.t.Helper()
	return x.rc.Health.Verdict().String()
}
