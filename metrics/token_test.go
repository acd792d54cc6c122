package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// The golden list is what README.md shows of an access token's metrics.
func TestListOfTokenMetricsIsGolden(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	NewToken(reg).Pair("good", time.Unix(1000, 0), time.Unix(2000, 0))
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	var list strings.Builder
	for _, family := range ours(t, reg) {
		name := family.GetName()
		if labels := family.GetMetric()[0].GetLabel(); len(labels) > 0 {
			name += "{" + labels[0].GetName() + "}"
		}
		fmt.Fprintf(&list, "%-58s %-9s %s\n", name, strings.ToLower(family.GetType().String()), family.GetHelp())
	}
	golden(t, "testdata/token.txt", list.String())
}

func TestTokenTellsItsStateAndItsTimes(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := NewToken(reg)
	m.Pair("good", time.Unix(1000, 500_000_000), time.Time{})
	m.Renewed("renewed")
	m.Renewed("of another kind")
	m.Unstored()
	want := `
# HELP logoff_token_expiry_timestamp_seconds When the access token ends; absent while unknown.
# TYPE logoff_token_expiry_timestamp_seconds gauge
logoff_token_expiry_timestamp_seconds 1000.5
# HELP logoff_token_renewals_total Renewals that this worker made, by outcome.
# TYPE logoff_token_renewals_total counter
logoff_token_renewals_total{outcome="lost"} 0
logoff_token_renewals_total{outcome="refused"} 0
logoff_token_renewals_total{outcome="renewed"} 1
logoff_token_renewals_total{outcome="turned_away"} 0
# HELP logoff_token_state State of the pair of access and refresh token: 1 for what it is; alert on lost, dead and unstored.
# TYPE logoff_token_state gauge
logoff_token_state{state="dead"} 0
logoff_token_state{state="good"} 0
logoff_token_state{state="lost"} 0
logoff_token_state{state="renewing"} 0
logoff_token_state{state="unstored"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	m.Pair("good", time.Time{}, time.Unix(2000, 0))
	want = `
# HELP logoff_token_renewable_until_timestamp_seconds When a person has to make a new access token; absent while unknown.
# TYPE logoff_token_renewable_until_timestamp_seconds gauge
logoff_token_renewable_until_timestamp_seconds 2000
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "logoff_token_expiry_timestamp_seconds", "logoff_token_renewable_until_timestamp_seconds"); err != nil {
		t.Error(err)
	}
}
