package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A Map is a map file that the issuers file names.
type Map struct {
	Path     string
	Subjects int       // how many it knows
	Modified time.Time // when the file was changed last
}

// NewMaps registers what is told of map files, for which all is asked at each scrape. It panics where it is registered
// already.
func NewMaps(reg prometheus.Registerer, all func() []Map) { reg.MustRegister(mapFiles(all)) }

type mapFiles func() []Map

var (
	mapSubjects = prometheus.NewDesc("logoff_map_subjects", "Subjects that a map file of the issuers file knows.", []string{"map"}, nil)
	mapModified = prometheus.NewDesc("logoff_map_modified_timestamp_seconds", "When a map file of the issuers file was changed last. People who came later are unknown there.", []string{"map"}, nil)
)

// Describe implements [prometheus.Collector].
func (mapFiles) Describe(ch chan<- *prometheus.Desc) { ch <- mapSubjects; ch <- mapModified }

// Collect implements [prometheus.Collector].
func (m mapFiles) Collect(ch chan<- prometheus.Metric) {
	for _, f := range m() {
		ch <- prometheus.MustNewConstMetric(mapSubjects, prometheus.GaugeValue, float64(f.Subjects), f.Path)
		ch <- prometheus.MustNewConstMetric(mapModified, prometheus.GaugeValue, float64(f.Modified.Unix()), f.Path)
	}
}
