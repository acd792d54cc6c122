package guard

import (
	"context"
	"fmt"
)

// nameless stands for all publishers whose subjects do not name them.
const nameless = "-"

// judgeHour judges the jobs of one publisher by what was counted of all workers' within the hour. Those that fit are
// let through in their order; what is held is not counted, as far as it is known before that there is no room, so that
// it does not keep later jobs from passing.
func (g *Guard) judgeHour(ctx context.Context, publisher string, all []Job, of []int, verdicts []Verdict) {
	what := "publisher." + nameless
	if publisher != "" {
		what = "publisher." + publisher
	}
	room := int64(g.config.AboveHour)
	if g.isOver(publisher) {
		within, err := g.count(ctx, what, 0)
		if err != nil {
			unknown(of, verdicts, err)
			return
		}
		room -= within
	}
	fit := g.holdRest(all, of, room, verdicts)
	if len(fit) == 0 {
		return // it is known to be over, or a job is larger than an hour
	}
	var sum int64
	for _, i := range fit {
		sum += int64(all[i].size())
	}
	within, err := g.count(ctx, what, sum)
	if err != nil {
		unknown(fit, verdicts, err)
		return
	}
	passed := g.holdRest(all, fit, int64(g.config.AboveHour)-(within-sum), verdicts)
	g.setOver(publisher, len(passed) < len(of))
}

// holdRest holds those jobs for which there is no room, and returns the others.
func (g *Guard) holdRest(all []Job, of []int, room int64, verdicts []Verdict) (fit []int) {
	for _, i := range of {
		if size := int64(all[i].size()); size <= room {
			room -= size
			fit = append(fit, i)
			continue
		}
		verdicts[i] = all[i].held(fmt.Sprintf("which with those before it are more than the %s that one publisher may name within an hour", thousands(g.config.AboveHour)))
	}
	return fit
}

// unknown says of jobs that they could not be counted.
func unknown(of []int, verdicts []Verdict, err error) {
	for _, i := range of {
		verdicts[i] = Verdict{Unknown: fmt.Errorf("how many sessions and people their publishers have named within the hour is not known: %w", err)}
	}
}

func (g *Guard) isOver(publisher string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.over[publisher]
}

func (g *Guard) setOver(publisher string, over bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if over {
		g.over[publisher] = true
	} else {
		delete(g.over, publisher)
	}
}
