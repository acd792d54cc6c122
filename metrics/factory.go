package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// A factory makes instruments that are registered.
type factory struct{ promauto.Factory }

func (f factory) counter(name, help string) prometheus.Counter {
	return f.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func (f factory) counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	return f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func (f factory) gauge(name, help string) prometheus.Gauge {
	return f.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

func (f factory) gaugeVec(name, help string, labels ...string) *prometheus.GaugeVec {
	return f.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
}

// A fleeting gauge is absent while it has no value: 0 would be one, and an old one would be believed.
type fleeting struct{ *prometheus.GaugeVec }

func (f factory) fleeting(name, help string, labels ...string) fleeting {
	return fleeting{f.gaugeVec(name, help, labels...)}
}

// Reset makes the gauge absent; one that was never made is.
func (g fleeting) Reset() {
	if g.GaugeVec != nil {
		g.GaugeVec.Reset()
	}
}

func (g fleeting) set(value float64, labels ...string) { g.WithLabelValues(labels...).Set(value) }

// setTime sets the gauge to a time; one that is not known leaves it absent.
func (g fleeting) setTime(t time.Time, labels ...string) {
	if t.IsZero() {
		g.DeleteLabelValues(labels...)
		return
	}
	g.set(float64(t.UnixMilli())/1000, labels...)
}

// setLimit sets the gauge to a limit; none leaves it absent.
func (g fleeting) setLimit(limit int64, labels ...string) {
	if limit <= 0 {
		g.DeleteLabelValues(labels...)
		return
	}
	g.set(float64(limit), labels...)
}

// histogramVec makes classic buckets and native ones; a scraper takes what it understands.
func (f factory) histogramVec(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return f.NewHistogramVec(prometheus.HistogramOpts{
		Name:                            name,
		Help:                            help,
		Buckets:                         buckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  160,
		NativeHistogramMinResetDuration: time.Hour,
	}, labels)
}

// counters looks every label value up once, which also makes it exist at zero.
func counters[V ~string](vec *prometheus.CounterVec, values []V) map[V]prometheus.Counter {
	all := make(map[V]prometheus.Counter, len(values))
	for _, v := range values {
		all[v] = vec.WithLabelValues(string(v))
	}
	return all
}

// gauges does the same for gauges.
func gauges[V ~string](vec *prometheus.GaugeVec, values []V) map[V]prometheus.Gauge {
	all := make(map[V]prometheus.Gauge, len(values))
	for _, v := range values {
		all[v] = vec.WithLabelValues(string(v))
	}
	return all
}

// observers does the same for histograms.
func observers[V ~string](vec *prometheus.HistogramVec, values []V) map[V]prometheus.Observer {
	all := make(map[V]prometheus.Observer, len(values))
	for _, v := range values {
		all[v] = vec.WithLabelValues(string(v))
	}
	return all
}
