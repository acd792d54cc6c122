package monitoring

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker"
)

const (
	root = "../../.."
	room = root + "/deploy/monitoring/"
)

// A metric is what is known of a family in the registry.
type metric struct {
	kind   string
	labels []string
	values map[string][]string // of each label, where they are known
	absent bool                // it says of itself that it may be absent
	is     string              // announced, where no worker has it yet
}

// counts reports whether the metric only grows, so that its rate is of interest and not its value.
func (m metric) counts() bool { return m.kind == "counter" || m.kind == "histogram" }

// target are the labels that Prometheus gives to what it scrapes.
var target = []string{"job", "instance"}

// foreign are metrics that are not ours, and that expressions may look at.
var foreign = map[string]metric{
	"up":                            {kind: "gauge"},
	"ALERTS":                        {kind: "gauge", labels: []string{"alertname", "alertstate", "severity"}},
	"process_cpu_seconds_total":     {kind: "counter"},
	"process_resident_memory_bytes": {kind: "gauge"},
	"process_start_time_seconds":    {kind: "gauge"},
}

// listed is a line of the lists of metrics that README.md shows.
var listed = regexp.MustCompile(`^(\w+)(?:\{([\w,]+)\})?\s+(gauge|counter|histogram)\b(.*)`)

// registry has the metrics of the lists in metrics/testdata, which a test there makes from the registry, with the
// values of labels that exist from the start. Those in testdata/announced.txt are taken for granted until a worker has
// them.
func registry(t *testing.T) map[string]metric {
	t.Helper()
	all := map[string]metric{}
	for _, file := range []string{root + "/metrics/testdata/metrics.txt", root + "/metrics/testdata/token.txt", root + "/metrics/testdata/canary.txt", root + "/metrics/testdata/streams.txt", root + "/metrics/testdata/receiver.txt", "testdata/announced.txt"} {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) && file == "testdata/announced.txt" {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			found := listed.FindStringSubmatch(line)
			if found == nil {
				t.Fatalf("%s: this is no metric: %s", file, line)
			}
			if _, has := all[found[1]]; has {
				continue
			}
			m := metric{kind: found[3], absent: strings.Contains(found[4], "bsent"), values: map[string][]string{}}
			if found[2] != "" {
				m.labels = strings.Split(found[2], ",")
			}
			if file == "testdata/announced.txt" {
				m.is = "announced"
			}
			all[found[1]] = m
		}
	}
	addValues(t, all)
	if len(all) < 30 {
		t.Fatalf("there are %d metrics", len(all))
	}
	return all
}

// addValues adds the values of labels that exist from the start.
func addValues(t *testing.T, all map[string]metric) {
	t.Helper()
	reg := prometheus.NewRegistry()
	metrics.New(reg, metrics.Build{})
	metrics.NewToken(reg)
	metrics.NewCanary(reg, time.Minute)
	metrics.NewStreams(reg)
	metrics.NewReceiver(reg)
	reg.MustRegister(metrics.NewHealth(slog.New(slog.DiscardHandler), worker.Parts...))
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		m, ours := all[family.GetName()]
		if !ours || family.GetName() == "logoff_build_info" {
			continue
		}
		for _, series := range family.GetMetric() {
			for _, label := range series.GetLabel() {
				m.values[label.GetName()] = append(m.values[label.GetName()], label.GetValue())
			}
		}
	}
	for _, m := range all {
		if slices.Contains(m.labels, "lane") {
			for _, lane := range jobs.Lanes {
				m.values["lane"] = append(m.values["lane"], string(lane))
			}
		}
	}
}

// family is the metric that a series belongs to, and the labels of the series. A histogram has three kinds of series.
func family(all map[string]metric, series string) (name string, m metric, labels []string, has bool) {
	if m, has = all[series]; has {
		return series, m, m.labels, m.kind != "histogram"
	}
	if m, has = foreign[series]; has {
		return series, m, m.labels, true
	}
	name, suffix := series, ""
	for _, of := range []string{"_bucket", "_sum", "_count"} {
		if before, cut := strings.CutSuffix(series, of); cut {
			name, suffix = before, of
		}
	}
	m, has = all[name]
	labels = m.labels
	if suffix == "_bucket" {
		labels = append(slices.Clone(labels), "le")
	}
	return name, m, labels, has && m.kind == "histogram"
}
