package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// The golden list is what README.md shows of a canary's metrics.
func TestListOfCanaryMetricsIsGolden(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	NewCanary(reg, 5*time.Minute).CameBack(time.Second, time.Unix(1000, 0))
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	var list strings.Builder
	for _, family := range ours(t, reg) {
		fmt.Fprintf(&list, "%-58s %-9s %s\n", family.GetName(), strings.ToLower(family.GetType().String()), family.GetHelp())
	}
	golden(t, "testdata/canary.txt", list.String())
}
