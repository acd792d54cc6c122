package statuspage

import (
	"math"

	dto "github.com/prometheus/client_model/go"
)

// numbers are the gathered metrics by name.
type numbers map[string]*dto.MetricFamily

func gathered(families []*dto.MetricFamily) numbers {
	n := numbers{}
	for _, family := range families {
		n[family.GetName()] = family
	}
	return n
}

// A label chooses metrics of a family.
type label struct{ name, value string }

func (l label) of(metric *dto.Metric) bool {
	for _, pair := range metric.GetLabel() {
		if pair.GetName() == l.name {
			return pair.GetValue() == l.value
		}
	}
	return false
}

// sum is the sum of counters and gauges that have the labels, and whether there are any.
func (n numbers) sum(name string, labels ...label) (sum float64, known bool) {
	for _, metric := range n[name].GetMetric() {
		if hasAll(metric, labels) {
			sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
			known = true
		}
	}
	return sum, known
}

// value is a sum that is there, or 0.
func (n numbers) value(name string, labels ...label) float64 {
	sum, _ := n.sum(name, labels...)
	return sum
}

// known is a sum, or not a number where it is not known.
func (n numbers) known(name string, labels ...label) float64 {
	if sum, known := n.sum(name, labels...); known {
		return sum
	}
	return math.NaN()
}

// by are the values of a family by one label; those that are zero are left out.
func (n numbers) by(name, of string) map[string]float64 {
	values := map[string]float64{}
	for _, metric := range n[name].GetMetric() {
		if v := metric.GetCounter().GetValue() + metric.GetGauge().GetValue(); v != 0 {
			for _, pair := range metric.GetLabel() {
				if pair.GetName() == of {
					values[pair.GetValue()] += v
				}
			}
		}
	}
	return values
}

func hasAll(metric *dto.Metric, labels []label) bool {
	for _, l := range labels {
		if !l.of(metric) {
			return false
		}
	}
	return true
}

// buckets are the classic buckets of a histogram.
type buckets struct {
	upper []float64
	below []float64 // how many were at most upper
	count float64
}

func (n numbers) buckets(name string, labels ...label) (b buckets) {
	for _, metric := range n[name].GetMetric() {
		h := metric.GetHistogram()
		if h == nil || !hasAll(metric, labels) {
			continue
		}
		b.count = float64(h.GetSampleCount())
		for _, bucket := range h.GetBucket() {
			if !math.IsInf(bucket.GetUpperBound(), 1) {
				b.upper = append(b.upper, bucket.GetUpperBound())
				b.below = append(b.below, float64(bucket.GetCumulativeCount()))
			}
		}
		return b
	}
	return b
}

// since is what came after an earlier reading.
func (b buckets) since(earlier buckets) buckets {
	if len(earlier.below) != len(b.below) {
		return b
	}
	after := buckets{upper: b.upper, below: make([]float64, len(b.below)), count: b.count - earlier.count}
	for i := range b.below {
		after.below[i] = b.below[i] - earlier.below[i]
	}
	return after
}

// quantile estimates as Prometheus does, by a straight line within the bucket it falls into: at most as many seconds,
// or more than that if it is beyond all buckets. It is not a number where there are none.
func (b buckets) quantile(q float64) (seconds float64, more bool) {
	if b.count <= 0 {
		return math.NaN(), false
	}
	rank, lower, below := q*b.count, 0.0, 0.0
	for i, upper := range b.upper {
		if b.below[i] >= rank {
			return lower + (upper-lower)*(rank-below)/(b.below[i]-below), false
		}
		lower, below = upper, b.below[i]
	}
	return lower, true
}
