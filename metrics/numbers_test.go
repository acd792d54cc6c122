package metrics

import dto "github.com/prometheus/client_model/go"

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

func (n numbers) histogram(name, label, value string) *dto.Histogram {
	for _, metric := range n[name].GetMetric() {
		if labelOf(metric, label) == value {
			return metric.GetHistogram()
		}
	}
	return nil
}

func labelOf(metric *dto.Metric, name string) string {
	for _, label := range metric.GetLabel() {
		if label.GetName() == name {
			return label.GetValue()
		}
	}
	return ""
}
