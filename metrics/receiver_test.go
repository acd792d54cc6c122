package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// The golden list is what README.md shows of a receiver's metrics.
func TestListOfReceiverMetricsIsGolden(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	NewReceiver(reg).Issuers([]string{"idp"})
	changed := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	NewMaps(reg, func() []Map { return []Map{{"maps/okta.csv", 3, changed}} })
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	var list strings.Builder
	for _, family := range ours(t, reg) {
		name := family.GetName()
		var labels []string
		for _, label := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, label.GetName())
		}
		fmt.Fprintf(&list, "%-58s %-9s %s\n", name+"{"+strings.Join(labels, ",")+"}", strings.ToLower(family.GetType().String()), family.GetHelp())
	}
	golden(t, "testdata/receiver.txt", list.String())
	want := `
# HELP logoff_map_modified_timestamp_seconds When a map file of the issuers file was changed last. People who came later are unknown there.
# TYPE logoff_map_modified_timestamp_seconds gauge
logoff_map_modified_timestamp_seconds{map="maps/okta.csv"} 1.7672256e+09
# HELP logoff_map_subjects Subjects that a map file of the issuers file knows.
# TYPE logoff_map_subjects gauge
logoff_map_subjects{map="maps/okta.csv"} 3
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "logoff_map_subjects", "logoff_map_modified_timestamp_seconds"); err != nil {
		t.Error(err)
	}
}

// Every issuer of the file is there at zero, one that left the file is not, and nobody else ever is.
func TestSignalsAreCountedForIssuersOfTheFileAlone(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	r := NewReceiver(reg)
	r.Issuers([]string{"idp", "okta"})
	r.Signal("okta", "job")
	r.Signal("somebody", "job")
	r.Signal("okta", "of another kind")
	r.Issuers([]string{"okta"})
	r.Signal("idp", "job")
	want := `
# HELP logoff_signals_total Events received over HTTP or polled, by whose they are in the issuers file and what was made of them; job: it is stored.
# TYPE logoff_signals_total counter
logoff_signals_total{issuer="okta",verdict="ignored"} 0
logoff_signals_total{issuer="okta",verdict="invalid"} 0
logoff_signals_total{issuer="okta",verdict="job"} 1
logoff_signals_total{issuer="okta",verdict="retry"} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "logoff_signals_total"); err != nil {
		t.Error(err)
	}
}

// Each request counts once, by what was asked and how it was answered.
func TestRequestsAreCountedByAnswer(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	r := NewReceiver(reg)
	r.Answered("jobs", 202, time.Second)
	r.Answered("jobs", 999, time.Second)
	r.Answered("/v1/hooks/secret", 200, time.Second)
	if n := testutil.ToFloat64(r.requests["jobs"][202]); n != 1 {
		t.Errorf("%v requests are counted", n)
	}
	if n, err := testutil.GatherAndCount(reg, "logoff_receiver_requests_total"); err != nil || n != len(endpoints)*len(answerCodes) {
		t.Errorf("there are %d counters, %v", n, err)
	}
}
