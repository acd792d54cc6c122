package statuspage

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// What an hour remembered and a page rendered cost: the first four times a minute, the second every two seconds while
// somebody watches.
func BenchmarkPage(b *testing.B) {
	reg := prometheus.NewRegistry()
	m, health := metrics.New(reg, metrics.Build{}), metrics.NewHealth(slog.New(slog.DiscardHandler), parts...)
	page := New(Config{Registry: reg, Health: health, Metrics: m, Subjects: jobs.Subjects{Prefix: "logoff"}})
	now, err := page.read()
	if err != nil {
		b.Fatal(err)
	}
	for i := range most {
		now.at = time.Now().Add(time.Duration(i-most) * sampleEvery)
		page.history.add(now)
	}
	b.Run("sample", func(b *testing.B) {
		for b.Loop() {
			if _, err := page.read(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("render", func(b *testing.B) {
		for b.Loop() {
			page.latest = rendered{}
			if _, err := page.render(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
