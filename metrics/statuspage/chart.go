package statuspage

import (
	"fmt"
	"math"
	"strings"
	"time"

	"logoffworker/jobs"
)

// The charts are drawn in a box of these measures, which is stretched to where it is shown.
const (
	chartWidth  = 240.0
	chartHeight = 100.0
)

// A chart is the last hour of something, as the template draws it.
type chart struct {
	Name, Now, Unit string
	Top             string // what the upper edge stands for
	Left            string // what the left edge stands for
	Bands           []band // when it was not well
	Lines           []line
}

// A band is a time in which it was not well.
type band struct {
	Tone     tone
	X, Width string
}

// A line is in pieces where values are missing.
type line struct {
	Class, Key    string
	Pieces, Areas []string // points of polylines, and of what is below them
	Filled        bool
}

// A series is what a line is drawn of: its value at each sample.
type series struct {
	class, key string
	filled     bool
	at         func(i int) float64
}

// draw makes a chart of series; top says what the upper edge stands for.
func (p past) draw(c chart, top func(float64) string, all ...series) chart {
	highest := 0.0
	values := make([][]float64, len(all))
	for n, s := range all {
		for i := range p {
			v := s.at(i)
			values[n] = append(values[n], v)
			if !math.IsNaN(v) {
				highest = max(highest, v)
			}
		}
	}
	edge := round(highest)
	c.Top, c.Left, c.Bands = top(edge), lasting(p.axis())+" ago", p.bands()
	for n, s := range all {
		l := line{Class: s.class, Key: s.key, Filled: s.filled}
		for _, piece := range p.pieces(values[n], edge) {
			l.Pieces = append(l.Pieces, strings.Join(piece, " "))
			first, _, _ := strings.Cut(piece[0], ",")
			last, _, _ := strings.Cut(piece[len(piece)-1], ",")
			l.Areas = append(l.Areas, fmt.Sprintf("%s,100 %s %s,100", first, strings.Join(piece, " "), last))
		}
		c.Lines = append(c.Lines, l)
	}
	return c
}

// pieces are the points of a line, cut where a value is missing.
func (p past) pieces(values []float64, edge float64) (all [][]string) {
	var piece []string
	for i, v := range values {
		if math.IsNaN(v) {
			if len(piece) > 0 {
				all = append(all, piece)
			}
			piece = nil
			continue
		}
		piece = append(piece, fmt.Sprintf("%s,%.1f", p.x(p[i].at), chartHeight-v/edge*chartHeight))
	}
	if len(piece) > 0 {
		all = append(all, piece)
	}
	return all
}

// x is where a time is in a chart, whose right edge is now.
func (p past) x(at time.Time) string { return fmt.Sprintf("%.1f", p.place(at)) }

func (p past) place(at time.Time) float64 {
	return max(0, chartWidth*(1-p.now().at.Sub(at).Seconds()/p.axis().Seconds()))
}

// axis is the time that a chart's width stands for: the hour, or less for a worker that has just begun.
func (p past) axis() time.Duration {
	for _, axis := range []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute} {
		if p.span() <= axis {
			return axis
		}
	}
	return remembered
}

// bands are the times in which it was not well, or paused.
func (p past) bands() (all []band) {
	for i := 1; i < len(p); i++ {
		t := p[i-1].tone
		if t == well {
			continue
		}
		from := p[i-1].at
		for i < len(p) && p[i].tone == t {
			i++
		}
		end := p[min(i, len(p)-1)].at
		all = append(all, band{t, p.x(from), fmt.Sprintf("%.1f", max(0.5, p.place(end)-p.place(from)))})
	}
	return all
}

// round is the next round number, which the upper edge of a chart stands for.
func round(highest float64) float64 {
	if highest <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(highest)))
	for _, step := range []float64{1, 1.5, 2, 3, 4, 5, 6, 8, 10} {
		if step*power >= highest {
			return step * power
		}
	}
	return 10 * power
}

// charts are the three that the page shows.
func (p past) charts() []chart {
	return []chart{p.timeChart(), p.waitingChart(), p.jobsChart()}
}

// timeChart is how long 99 % of the jobs took at most, of those that had a success within a minute.
func (p past) timeChart() chart {
	c := chart{Name: "Time to logoff, 99 %", Unit: "no job yet"}
	for _, span := range []time.Duration{5 * time.Minute, remembered} {
		if seconds, more := p.slowest(len(p)-1, jobs.Urgent, span); !math.IsNaN(seconds) {
			c.Now, c.Unit = took(seconds), "urgent"
			if span == remembered {
				c.Unit = "urgent, last hour"
			}
			if more {
				c.Now = "> " + c.Now
			}
			break
		}
	}
	lane := func(lane jobs.Lane, class string) series {
		return series{class: class, key: string(lane), at: func(i int) float64 {
			seconds, _ := p.slowest(i, lane, window)
			return seconds
		}}
	}
	return p.draw(c, took, lane(jobs.Bulk, "c2"), lane(jobs.Urgent, "c1"))
}

// slowest is within how many seconds 99 % of a lane's jobs were done that were done within a span up to the i-th sample.
func (p past) slowest(i int, lane jobs.Lane, span time.Duration) (seconds float64, more bool) {
	return p[i].times[lane].since(p.before(i, span).times[lane]).quantile(0.99)
}

func (p past) waitingChart() chart {
	waiting := func(i int) float64 { return p[i].allWaiting() }
	c := chart{Name: "Jobs waiting", Now: count(waiting(len(p) - 1))}
	return p.draw(c, count, series{class: "c2", key: "in both lanes", filled: true, at: waiting})
}

func (p past) jobsChart() chart {
	settled := func(i int) float64 { return p.rate(i, func(s sample) float64 { return s.left }) }
	stored := func(i int) float64 { return p.rate(i, func(s sample) float64 { return s.stored }) }
	c := chart{Name: "Jobs a second", Now: rate(settled(len(p) - 1)), Unit: "settled"}
	return p.draw(c, rate, series{class: "c3", key: "stored", at: stored}, series{class: "c1", key: "settled", filled: true, at: settled})
}

// rate is how many a second, in words.
func rate(perSecond float64) string {
	switch {
	case math.IsNaN(perSecond):
		return "–"
	case perSecond == 0 || perSecond >= 10:
		return count(perSecond)
	case perSecond < 0.1:
		return "< 0.1"
	}
	return fmt.Sprintf("%.1f", perSecond)
}
