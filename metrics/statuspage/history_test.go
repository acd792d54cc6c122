package statuspage

import (
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// The page remembers an hour, however long the worker runs.
func TestHistoryIsAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.isWell()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.page.Run(ctx) }()
		s.settle(metrics.SettledJob{Lane: jobs.Urgent, Status: jobs.Done, Took: time.Second}, jobs.LoggedOff, 5)
		time.Sleep(30 * time.Minute)
		s.settle(metrics.SettledJob{Lane: jobs.Bulk, Status: jobs.AcceptedJob, Took: time.Second}, jobs.Accepted, 15)
		holds(t, s.whole(), "last 30 min", "15")
		time.Sleep(45 * time.Minute)
		page := s.whole()
		holds(t, page, "Sessions", "last hour: 15", "0 %", "accepted, not read back", "15", "100 %")
		if strings.Contains(page, "logged off, read back") {
			t.Error("what was more than an hour ago counts")
		}
		time.Sleep(20 * time.Minute)
		cancel()
		<-done
		if n := len(s.page.history.samples); n > most || n < most-2 || cap(s.page.history.samples) > 4*most {
			t.Errorf("%d samples, room for %d", n, cap(s.page.history.samples))
		}
	})
}

// pastOf is a past with a sample each minute, of these values of what was stored; now is the last.
func pastOf(stored ...float64) (p past) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for i, v := range stored {
		p = append(p, sample{at: now.Add(time.Duration(i-len(stored)+1) * time.Minute), tone: well, stored: v})
	}
	return p
}

func storedOf(s sample) float64 { return s.stored }

// What was not known for a while is not taken for 0, and a stream that is made anew counts on.
func TestGrowthIsOfWhatIsKnown(t *testing.T) {
	nan := math.NaN()
	for _, test := range []struct {
		stored []float64
		want   float64
	}{{[]float64{100, 110, 110}, 10}, {[]float64{100, nan, 130}, 30}, {[]float64{nan, 100, 130, nan}, 30}, {[]float64{100, 130, 0, 5}, 35}, {[]float64{7}, 0}} {
		if got := pastOf(test.stored...).grown(storedOf); got != test.want {
			t.Errorf("%v grew by %v, want %v", test.stored, got, test.want)
		}
	}
	if got := pastOf(nan, nan).grown(storedOf); !math.IsNaN(got) {
		t.Errorf("what is not known grew by %v", got)
	}
	if got := pastOf(0, 60, 180).rate(2, storedOf); got != 2 {
		t.Errorf("%v a second", got)
	}
}

func TestQuantileOfBuckets(t *testing.T) {
	b := buckets{upper: []float64{1, 2, 4}, below: []float64{0, 10, 10}, count: 10}
	if got, more := b.quantile(0.5); got != 1.5 || more {
		t.Errorf("the median is %v, %t", got, more)
	}
	b.count = 11
	if got, more := b.quantile(0.99); got != 4 || !more {
		t.Errorf("beyond the buckets: %v, %t", got, more)
	}
	if got, _ := (buckets{}).quantile(0.5); !math.IsNaN(got) {
		t.Errorf("of nothing: %v", got)
	}
	if got, _ := b.since(b).quantile(0.5); !math.IsNaN(got) {
		t.Errorf("since now: %v", got)
	}
}

// A line has a hole where nothing is known, and the time in which it was not well is behind it.
func TestChartHasHolesAndBands(t *testing.T) {
	p := pastOf(1, 2, math.NaN(), 4, 5)
	p[2].tone, p[3].tone = ill, ill
	c := p.draw(chart{}, count, series{at: func(i int) float64 { return p[i].stored }})
	if got := c.Lines[0].Pieces; len(got) != 2 || got[0] != "48.0,80.0 96.0,60.0" || got[1] != "192.0,20.0 240.0,0.0" {
		t.Errorf("the line is %q", got)
	}
	if len(c.Bands) != 1 || c.Bands[0] != (band{ill, "144.0", "96.0"}) || c.Top != "5" {
		t.Errorf("%+v", c)
	}
}

func TestEndOfTroubleIsTold(t *testing.T) {
	p := pastOf(make([]float64, 20)...)
	if _, ended := p.lastTrouble(); !ended.IsZero() {
		t.Errorf("trouble that was not ended at %v", ended)
	}
	for i := 10; i < 15; i++ {
		p[i].tone = wait
	}
	if began, ended := p.lastTrouble(); ended.Sub(began) != 5*time.Minute || p.now().at.Sub(ended) != 4*time.Minute {
		t.Errorf("from %v to %v", began, ended)
	}
	strip, words := p.strip()
	if len(strip) != 60 || strip[59].Tone != well || strip[54].Tone != wait || strip[0].Tone != "" || !strings.Contains(words, "5 of 60") {
		t.Errorf("%s: %v", words, strip)
	}
}

func TestWordsOfNumbers(t *testing.T) {
	for got, want := range map[string]string{
		count(1234567): "1,234,567", count(999): "999", count(math.NaN()): "–", count(-1234): "-1,234", counted(1, "job", "jobs"): "1 job", counted(0, "job", "jobs"): "0 jobs",
		lasting(59 * time.Second): "59 s", lasting(90 * time.Second): "1 min", lasting(125 * time.Minute): "2 h 5 min", lasting(52 * time.Hour): "2 d 4 h", lasting(-time.Second): "0 s",
		took(0.0456): "46 ms", took(1.234): "1.23 s", took(75): "1 min", took(math.NaN()): "none",
		share(1, 3): "33.3 %", share(1, 10000): "< 0.1 %", share(9999, 10000): "> 99.9 %", share(5, 5): "100 %", share(0, 5): "0 %",
		size(999): "999 bytes", size(1_500_000): "1.5 MB", size(17e9): "17.0 GB", size(170e9): "170 GB",
		shortened("äöü", 2): "äö…", shortened("äö", 2): "äö", metrics.Sentence("über uns"): "Über uns.", metrics.Sentence(""): "", rate(0.05): "< 0.1", rate(3.25): "3.2", rate(0): "0",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for highest, want := range map[float64]float64{0: 1, 0.3: 0.3, 0.31: 0.4, 7: 8, 11: 15, 1600: 2000} {
		if got := round(highest); math.Abs(got-want) > 1e-9 {
			t.Errorf("above %v is %v, want %v", highest, got, want)
		}
	}
}
