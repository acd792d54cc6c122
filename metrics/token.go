package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// The label values of an access token's life.
var (
	tokenStates     = []string{"good", "renewing", "lost", "dead", "unstored"}
	renewalOutcomes = []string{"renewed", "turned_away", "lost", "refused"}
)

// Token holds the instruments of an access token that is renewed. They are there only where one is.
type Token struct {
	state          map[string]prometheus.Gauge
	expires        fleeting
	renewableUntil fleeting
	renewals       map[string]prometheus.Counter
}

// NewToken registers the instruments. It panics where one is registered already.
func NewToken(reg prometheus.Registerer) *Token {
	f := factory{promauto.With(reg)}
	return &Token{
		state:          gauges(f.gaugeVec("logoff_token_state", "State of the pair of access and refresh token: 1 for what it is; alert on lost, dead and unstored.", "state"), tokenStates),
		expires:        f.fleeting("logoff_token_expiry_timestamp_seconds", "When the access token ends; absent while unknown."),
		renewableUntil: f.fleeting("logoff_token_renewable_until_timestamp_seconds", "When a person has to make a new access token; absent while unknown."),
		renewals:       counters(f.counterVec("logoff_token_renewals_total", "Renewals that this worker made, by outcome.", "outcome"), renewalOutcomes),
	}
}

// Pair tells how the stored pair is.
func (t *Token) Pair(state string, expires, renewableUntil time.Time) {
	t.become(state)
	t.expires.setTime(expires)
	t.renewableUntil.setTime(renewableUntil)
}

// Unstored tells of a renewed pair that is in this worker's memory alone.
func (t *Token) Unstored() { t.become("unstored") }

func (t *Token) become(state string) {
	for name, gauge := range t.state {
		gauge.Set(oneIf(name == state))
	}
}

// Renewed counts a renewal by its outcome: renewed, turned_away, lost or refused.
func (t *Token) Renewed(outcome string) {
	if c := t.renewals[outcome]; c != nil {
		c.Inc()
	}
}
