package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// The golden list is what README.md shows of the metrics of streams.
func TestListOfStreamMetricsIsGolden(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	NewStreams(reg).Heard("idp", time.Minute, 5*time.Minute)
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	var list strings.Builder
	for _, family := range ours(t, reg) {
		fmt.Fprintf(&list, "%-58s %-9s %s\n", family.GetName()+"{issuer}", strings.ToLower(family.GetType().String()), family.GetHelp())
	}
	golden(t, "testdata/streams.txt", list.String())
}

// An age is told by whoever looks after the stream, and by nobody else.
func TestTheAgeOfAStreamIsThereWhileItIsLookedAfter(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := NewStreams(reg)
	count := func() int {
		n, err := testutil.GatherAndCount(reg)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	s.Heard("idp", -time.Second, 0)
	if age := testutil.ToFloat64(s.age.WithLabelValues("idp")); age != 0 || count() != 1 {
		t.Errorf("a stream that is not asked has %d series, and the age %v", count(), age)
	}
	s.Heard("idp", 90*time.Second, 5*time.Minute)
	if age, every := testutil.ToFloat64(s.age.WithLabelValues("idp")), testutil.ToFloat64(s.interval.WithLabelValues("idp")); age != 90 || every != 300 {
		t.Errorf("it is %v seconds old, and asked every %v seconds", age, every)
	}
	s.Left("idp")
	if count() != 0 {
		t.Errorf("%d series are left", count())
	}
}
