package metrics

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Page is what the status page shows besides the numbers.
type Page struct {
	Version  string
	Worker   string
	Started  time.Time
	Settings []Setting
}

// A Setting is one effective setting; a secret arrives here as set or not set.
type Setting struct {
	Name, Value string
}

//go:embed status.html
var statusHTML string

var statusTemplate = template.Must(template.New("status").Parse(statusHTML))

// statusPage answers "is it well, and if not, why?" from the numbers that /metrics shows.
type statusPage struct {
	reg    prometheus.Gatherer
	health *Health
	page   Page
}

// view is what the template gets.
type view struct {
	Page
	Ready      bool
	Conditions []Condition
	Up         time.Duration
	Breaker    string
	NATS       string
	Stranded   float64
	Lanes      []laneView
	Tables     []table
}

type laneView struct {
	Name               string
	Waiting, InHand    string
	Slots              float64
	Median, NinetyNine string
}

type table struct {
	Title string
	Rows  []row
}

type row struct {
	Name  string
	Count float64
}

func (s statusPage) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	families, err := s.reg.Gather()
	if err != nil {
		plain(w, http.StatusInternalServerError, "the numbers cannot be gathered: "+err.Error()+"\n")
		return
	}
	var page bytes.Buffer
	if err := statusTemplate.Execute(&page, s.view(gathered(families))); err != nil {
		plain(w, http.StatusInternalServerError, "the page cannot be made: "+err.Error()+"\n")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(page.Bytes())
}

func (s statusPage) view(n numbers) view {
	v := view{Page: s.page, Up: time.Since(s.page.Started).Round(time.Second), NATS: "down", Breaker: "unknown"}
	v.Ready, v.Conditions = s.health.Ready()
	if n.value("logoff_nats_connected", "", "") == 1 {
		v.NATS = "connected"
	}
	for _, state := range breakerStates {
		if n.value("logoff_webserver_circuit_breaker", "state", state) == 1 {
			v.Breaker = state
		}
	}
	v.Stranded = n.value("logoff_stranded_jobs", "", "")
	for _, lane := range []string{"urgent", "bulk"} {
		times := n.histogram("logoff_time_to_logoff_seconds", "lane", lane)
		v.Lanes = append(v.Lanes, laneView{
			Name:       lane,
			Waiting:    n.known("logoff_queue_pending_jobs", "lane", lane),
			InHand:     n.known("logoff_queue_ack_pending_jobs", "lane", lane),
			Slots:      n.value("logoff_slots_in_use", "lane", lane),
			Median:     quantile(times, 0.5),
			NinetyNine: quantile(times, 0.99),
		})
	}
	v.Tables = []table{
		n.table("Jobs by status", "logoff_jobs_settled_total", "status"),
		n.table("Sessions by outcome", "logoff_sessions_total", "outcome"),
		n.table("Dead letters", "logoff_dead_letters_total", "reason"),
		n.table("Requests by verdict", "logoff_webserver_requests_total", "verdict"),
	}
	return v
}

// numbers are the gathered metrics by name.
type numbers map[string]*dto.MetricFamily

func gathered(families []*dto.MetricFamily) numbers {
	n := numbers{}
	for _, family := range families {
		n[family.GetName()] = family
	}
	return n
}

// value is a counter's or gauge's value, summed over all other labels.
func (n numbers) value(name, label, value string) (sum float64) {
	for _, metric := range n[name].GetMetric() {
		if label == "" || labelOf(metric, label) == value {
			sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	return sum
}

// known is a gauge's value, in words because it may be absent.
func (n numbers) known(name, label, value string) string {
	for _, metric := range n[name].GetMetric() {
		if labelOf(metric, label) == value {
			return strconv.FormatFloat(metric.GetGauge().GetValue(), 'f', -1, 64)
		}
	}
	return "unknown"
}

func (n numbers) histogram(name, label, value string) *dto.Histogram {
	for _, metric := range n[name].GetMetric() {
		if labelOf(metric, label) == value {
			return metric.GetHistogram()
		}
	}
	return nil
}

// table lists a counter by one label, values that are zero left out.
func (n numbers) table(title, name, label string) table {
	t := table{Title: title}
	seen := map[string]bool{}
	for _, metric := range n[name].GetMetric() {
		value := labelOf(metric, label)
		if sum := n.value(name, label, value); sum > 0 && !seen[value] {
			t.Rows = append(t.Rows, row{strings.ReplaceAll(value, "_", " "), sum})
		}
		seen[value] = true
	}
	return t
}

func labelOf(metric *dto.Metric, name string) string {
	for _, label := range metric.GetLabel() {
		if label.GetName() == name {
			return label.GetValue()
		}
	}
	return ""
}

// quantile estimates a quantile from the classic buckets, as Prometheus does: by a straight line
// within the bucket it falls into.
func quantile(h *dto.Histogram, q float64) string {
	if h.GetSampleCount() == 0 {
		return "none yet"
	}
	rank := q * float64(h.GetSampleCount())
	lower, below := 0.0, 0.0
	for _, bucket := range h.GetBucket() {
		upper, count := bucket.GetUpperBound(), float64(bucket.GetCumulativeCount())
		if count >= rank && !math.IsInf(upper, 1) {
			return seconds(lower + (upper-lower)*(rank-below)/(count-below))
		}
		if !math.IsInf(upper, 1) {
			lower, below = upper, count
		}
	}
	return "over " + seconds(lower)
}

func seconds(s float64) string {
	if s < 1 {
		return fmt.Sprintf("%.0f ms", s*1000)
	}
	return fmt.Sprintf("%.1f s", s)
}
