package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"logoffworker/jobs"
	"logoffworker/worker/history"
	"logoffworker/worker/stage"
)

// A replica is one worker of a deployment, in one process after the other.
type replica struct {
	d             *deployment
	index         int
	port          int
	crash         string // file that names the point to die at
	toNATS, toWeb *link

	attacked sync.Mutex // by one fault at a time

	mu      sync.Mutex
	life    int // counts processes
	process *stage.Process
}

func (d *deployment) newReplica(i int) (r *replica, err error) {
	ports, err := stage.FreePorts(1)
	if err != nil {
		return nil, err
	}
	r = &replica{d: d, index: i, port: ports[0], crash: filepath.Join(d.world.dir, fmt.Sprintf("%s-%d.crash", d.subjects.Prefix, i))}
	if r.toNATS, err = newLink(r.name()+"-nats", d.nodes[i%len(d.nodes)].Port); err != nil {
		return nil, err
	}
	d.toNATS = append(d.toNATS, r.toNATS)
	r.toWeb, err = newLink(r.name()+"-web", d.world.web.Port)
	return r, err
}

// name is that of the present process; each has its own, so that results tell which stored them.
func (r *replica) name() string {
	return fmt.Sprintf("%s-w%d-%d", r.d.subjects.Prefix, r.index, r.life)
}

// natsURL leads through the faulty network. In a cluster a worker knows the other servers too.
func (r *replica) natsURL() string {
	user := "nats://worker:" + r.d.world.canaries["nats"] + "@"
	urls := []string{user + r.toNATS.addr()}
	for i, n := range r.d.nodes {
		if i != r.index%len(r.d.nodes) {
			urls = append(urls, fmt.Sprintf("%s127.0.0.1:%d", user, n.Port))
		}
	}
	return strings.Join(urls, ",")
}

func (r *replica) start() (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.life++
	w := r.d.world
	environment := append(os.Environ(),
		"LOGOFF_NATS_URL="+r.natsURL(),
		"LOGOFF_PREFIX="+r.d.subjects.Prefix,
		fmt.Sprintf("LOGOFF_NATS_REPLICAS=%d", len(r.d.nodes)),
		"LOGOFF_WEBSERVER_URL=http://"+r.toWeb.addr()+"/commandcenter/api",
		"LOGOFF_WEBSERVER_TIMEOUT=1500ms",
		"LOGOFF_WEBSERVER_MAX_RETRY_AFTER=3s",
		"LOGOFF_BATCH_MAX_SESSIONS=64",
		fmt.Sprintf("LOGOFF_HOLD_ABOVE_JOB=%d", mostUnheld),
		"LOGOFF_SHUTDOWN_TIMEOUT=10s",
		"LOGOFF_AUDIT_SEED_FILE="+w.seedFile(),
		"LOGOFF_WORKER_NAME="+r.name(),
		fmt.Sprintf("LOGOFF_HTTP_ADDR=127.0.0.1:%d", r.port),
		"LOGOFF_LOG_LEVEL=debug",
		"CRASH_POINT_FILE="+r.crash)
	if r.d.token != nil {
		environment = append(environment, r.d.token.environment()...)
	} else {
		environment = append(environment, "LOGOFF_WEBSERVER_USERNAME=admin", "LOGOFF_WEBSERVER_PASSWORD="+w.canaries["web"])
	}
	if err := os.WriteFile(r.crash, nil, 0o600); err != nil {
		return err
	}
	r.process, err = stage.Launch(r.name(), r.d.log, environment, w.program("logoff-worker"))
	return err
}

// arm makes the present process die when it next reaches a crash point; without a name it does not die.
func (r *replica) arm(point string) error {
	if err := os.WriteFile(r.crash, []byte(point), 0o600); err != nil {
		return err
	}
	r.process.Signal(syscall.SIGUSR1)
	return nil
}

// page is what the worker serves at a path; nothing when it does not answer.
func (r *replica) page(ctx context.Context, path string) []byte {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", r.port, path), nil)
	if err != nil {
		return nil
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil
	}
	return body
}

func labelsOf(m *dto.Metric) map[string]string {
	labels := map[string]string{}
	for _, pair := range m.GetLabel() {
		labels[pair.GetName()] = pair.GetValue()
	}
	return labels
}

// look records what the worker serves now: metrics, readiness and status page.
func (r *replica) look(ctx context.Context, final bool) {
	r.mu.Lock()
	name := r.name()
	r.mu.Unlock()
	metrics := r.page(ctx, "/metrics")
	if metrics == nil {
		return
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(metrics))
	if err != nil {
		return
	}
	sample := history.Sample{Time: time.Now(), Process: name}
	counters := history.Counters{Worker: name, Final: final, Settled: map[string]int{}, Outcome: map[jobs.Outcome]int{}, Dead: map[jobs.Status]int{}}
	for family, values := range families {
		for _, m := range values.GetMetric() {
			label := labelsOf(m)
			value := int(m.GetCounter().GetValue() + m.GetGauge().GetValue())
			switch family {
			case "process_resident_memory_bytes":
				sample.RSS = value
			case "go_goroutines":
				sample.Goroutines = value
			case "logoff_jobs_settled_total":
				counters.Settled[label["lane"]+"/"+label["status"]] = value
			case "logoff_sessions_total":
				counters.Outcome[jobs.Outcome(label["outcome"])] = value
			case "logoff_dead_letters_total":
				counters.Dead[jobs.Status(label["reason"])] = value
			}
		}
	}
	w := r.d.world
	ready, page := r.page(ctx, "/readyz"), r.page(ctx, "/")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.samples = append(w.samples, sample)
	w.counters[name] = counters
	w.outputs["metrics-"+name] = metrics
	w.outputs["page-"+strconv.Itoa(r.index)] = append(w.outputs["page-"+strconv.Itoa(r.index)], page...)
	w.outputs["readyz-"+strconv.Itoa(r.index)] = append(w.outputs["readyz-"+strconv.Itoa(r.index)], ready...)
}
