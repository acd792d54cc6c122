package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// A progress shows how many are settled, on a terminal only.
type progress struct {
	bar    *progressbar.ProgressBar
	to     io.Writer
	ended  chan struct{}
	ticker sync.WaitGroup
}

// newProgress shows nothing where nobody looks. It shows the time that has passed every second, because nothing else
// may happen for long: many jobs are worked at once, and end at once.
func (t *tool) newProgress(total int) *progress {
	if !isTerminal(t.stderr) || total <= 1 {
		return &progress{}
	}
	p := &progress{to: t.stderr, ended: make(chan struct{})}
	p.bar = progressbar.NewOptions(total,
		progressbar.OptionSetWriter(t.stderr),
		progressbar.OptionSetDescription("settled"),
		progressbar.OptionSetItsString("settled"),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionSetWidth(26),
		progressbar.OptionUseANSICodes(os.Getenv("TERM") != "dumb"),
		progressbar.OptionSetRenderBlankState(true),
	)
	p.ticker.Go(p.tick)
	return p
}

func (p *progress) tick() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-p.ended:
			return
		case <-ticker.C:
			_ = p.bar.RenderBlank()
		}
	}
}

// add says that more are settled.
func (p *progress) add(n int) {
	if p.bar != nil {
		_ = p.bar.Add(n)
	}
}

// end leaves the bar as it stands, and goes to the next line.
func (p *progress) end() {
	if p.bar == nil {
		return
	}
	close(p.ended)
	p.ticker.Wait()
	_ = p.bar.Exit()
	fmt.Fprintln(p.to)
}
