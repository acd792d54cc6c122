package monitoring

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/prometheus/promql/parser"

	"logoffworker/worker/stage"
	"logoffworker/worker/webserver/simulator"
)

// installed returns one of Prometheus' programs.
func installed(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed; Debian's package prometheus has it, and make monitoring-check asks for it", program)
	}
	return path
}

func TestPromtoolTakesTheRules(t *testing.T) {
	promtool := installed(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "rules.yaml"}, {"test", "rules", "tests.yaml", "tests-long.yaml"}} {
		command := exec.CommandContext(t.Context(), promtool, args...)
		command.Dir = room
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// A Prometheus scrapes a worker, which ends somebody's sessions meanwhile, and evaluates every rule and every query of
// the dashboard without an error. What a worker always has is found by each of them: a name or a boundary of a bucket
// that is written otherwise than the worker writes it would find nothing, and nobody would notice.
func TestPrometheusScrapesAWorker(t *testing.T) {
	program := installed(t, "prometheus")
	w := startWorker(t)
	t.Run("check metrics", w.checkMetrics)
	p := startPrometheus(t, program, w.http)
	w.logOff(t)
	p.awaitValue(t, `lane:logoff_bad:ratio_rate5m{job="logoff",lane="urgent"}`, "0")
	p.rulesAreWell(t)
	s := survey(t)
	for _, e := range expressions(t) {
		if _, err := p.ask(t.Context(), e.text); err != nil {
			t.Errorf("%s: %v\n%s", e.where, err, e.text)
		}
		s.findsSomething(t, p, e)
	}
	if active, err := p.ask(t.Context(), `ALERTS{alertstate="firing",severity="page"}`); err != nil || len(active) > 0 {
		t.Errorf("a worker that is well pages: %v, %v", active, err)
	}
}

// findsSomething wants each selector of an expression to find a series, unless its metric may be absent.
func (s *surveyor) findsSomething(t *testing.T, p *prometheusServer, e expression) {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(e.text)
	if err != nil {
		t.Fatal(err)
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		selector, is := node.(*parser.VectorSelector)
		if !is {
			return nil
		}
		name, m, _, _ := family(s.registry, selector.Name)
		if m.absent || m.is == "announced" || strings.HasPrefix(name, "logoff_token_") || strings.HasPrefix(name, "logoff_canary_") || strings.HasPrefix(name, "logoff_signal_") || strings.HasPrefix(name, "lane:") || name == "ALERTS" {
			return nil // and the pair of tokens, the canary and streams of issuers, which this worker does not have
		}
		bare := *selector
		bare.OriginalOffset, bare.Offset = 0, 0
		if found, err := p.ask(t.Context(), bare.String()); err != nil || len(found) == 0 {
			t.Errorf("%s: %s finds nothing: %v", e.where, bare.String(), err)
		}
		return nil
	})
}

// A running is a worker with the embedded broker, on a simulated Web Server.
type running struct {
	http, nats string
	out        *stage.Output
}

func startWorker(t *testing.T) *running {
	t.Helper()
	sim := simulator.New(simulator.Settings{}, 1)
	sim.AddUser(simulator.User{ID: 1, Login: "admin", Password: "secret", Administrator: true})
	sim.SignOnEverywhere(sim.AddUser(simulator.Example), 1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: sim, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	ports, err := stage.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "logoff-worker")
	if err := stage.Build(t.Context(), "logoff-worker", binary); err != nil {
		t.Fatal(err)
	}
	w := &running{http: fmt.Sprintf("127.0.0.1:%d", ports[0]), nats: fmt.Sprintf("127.0.0.1:%d", ports[1]), out: &stage.Output{}}
	launch(t, "worker", w.out, append(os.Environ(),
		"LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_STORE_DIR="+filepath.Join(dir, "store"), "LOGOFF_NATS_LISTEN="+w.nats, "LOGOFF_HTTP_ADDR="+w.http,
		"LOGOFF_WEBSERVER_URL=http://"+listener.Addr().String()+"/commandcenter/api", "LOGOFF_WEBSERVER_USERNAME=admin", "LOGOFF_WEBSERVER_PASSWORD=secret",
	), binary)
	w.await(t, "/readyz")
	return w
}

// launch starts a program that ends with the test.
func launch(t *testing.T, name string, out *stage.Output, environment []string, command ...string) *stage.Process {
	t.Helper()
	p, err := stage.Launch(name, out, environment, command...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(20 * time.Second) })
	return p
}

// await waits until the worker answers a path with success, and returns what it says.
func (w *running) await(t *testing.T, path string) (body string) {
	t.Helper()
	var err error
	if !stage.Await(t.Context(), time.Minute, func() bool {
		body, err = get(t.Context(), "http://"+w.http+path)
		return err == nil
	}) {
		t.Fatalf("%s: %v\n%s", path, err, w.out)
	}
	return body
}

func get(ctx context.Context, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}

// checkMetrics has promtool find fault with what the worker serves.
func (w *running) checkMetrics(t *testing.T) {
	promtool := installed(t, "promtool")
	command := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	command.Stdin = strings.NewReader(w.await(t, "/metrics"))
	if out, err := command.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// logOff publishes urgent jobs, one after the other, so that the counters grow between scrapes.
func (w *running) logOff(t *testing.T) {
	t.Helper()
	nc, err := nats.Connect(w.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for range 5 {
		if _, err := nc.Request("logoff.requests", []byte(`{"users":[{"name":"CORP\\jane"}]}`), 5*time.Second); err != nil {
			t.Fatal(err)
		}
		stage.Pause(t.Context(), time.Second)
	}
}

// A prometheusServer is one that scrapes the worker.
type prometheusServer struct{ url string }

// startPrometheus starts one that scrapes every second, and evaluates the rules as often.
func startPrometheus(t *testing.T, program, worker string) *prometheusServer {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	for file, text := range map[string]string{
		config: fmt.Sprintf("global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\nrule_files: [rules.yaml]\n"+
			"scrape_configs: [{job_name: logoff, static_configs: [{targets: [%q]}]}]\n", worker),
		filepath.Join(dir, "rules.yaml"): regexp.MustCompile(`interval: \d+s`).ReplaceAllString(read(t, "rules.yaml"), "interval: 1s"),
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address, err := stage.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	out := &stage.Output{}
	launch(t, "prometheus", out, os.Environ(), program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	p := &prometheusServer{"http://" + address}
	if !stage.Await(t.Context(), time.Minute, func() bool {
		found, err := p.ask(t.Context(), `logoff_build_info{job="logoff"}`)
		return err == nil && len(found) == 1
	}) {
		t.Fatalf("Prometheus does not scrape the worker:\n%s", out)
	}
	return p
}

// A sample is one that Prometheus answers with.
type sample struct {
	Metric map[string]string
	Value  [2]any
}

// ask asks for the value of an expression.
func (p *prometheusServer) ask(ctx context.Context, expr string) ([]sample, error) {
	text, err := get(ctx, p.url+"/api/v1/query?query="+url.QueryEscape(expr))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			ResultType string
			Result     json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return nil, err
	}
	if answer.Data.ResultType == "scalar" {
		return []sample{{}}, nil
	}
	var samples []sample
	return samples, json.Unmarshal(answer.Data.Result, &samples)
}

// awaitValue waits until an expression has one value.
func (p *prometheusServer) awaitValue(t *testing.T, expr, want string) {
	t.Helper()
	var found []sample
	var err error
	if !stage.Await(t.Context(), time.Minute, func() bool {
		found, err = p.ask(t.Context(), expr)
		return err == nil && len(found) == 1 && found[0].Value[1] == want
	}) {
		t.Errorf("%s is %v, want %s: %v", expr, found, want, err)
	}
}

// rulesAreWell wants every rule to have been evaluated without an error.
func (p *prometheusServer) rulesAreWell(t *testing.T) {
	t.Helper()
	text, err := get(t.Context(), p.url+"/api/v1/rules")
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, group := range answer.Data.Groups {
		for _, r := range group.Rules {
			names = append(names, r.Name)
			if r.Health != "ok" {
				t.Errorf("%s: %s, %s", r.Name, r.Health, r.LastError)
			}
		}
	}
	for _, r := range rules(t) {
		if !slices.Contains(names, r.name()) {
			t.Errorf("Prometheus does not evaluate %s", r.name())
		}
	}
	t.Logf("%d rules are evaluated", len(names))
}
