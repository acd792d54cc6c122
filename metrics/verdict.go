package metrics

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A State is how a worker is, or a part of it.
type State string

// The states, the worse later.
const (
	StateWell     State = "well"
	StateStarting State = "starting" // nothing is known yet
	StateTrouble  State = "trouble"  // it waits, and mends itself
	StateBroken   State = "broken"   // a person has to act
)

// A Verdict says how a worker is: in one sentence since when, what happens by itself, what a person has to do and the
// command for it, all of the worst that is wrong; and of each part everything. The status page, /readyz and the log
// have their words from it.
type Verdict struct {
	State                   State
	Headline                string // a whole sentence
	Since                   time.Time
	ByItself, ToDo, Command string
	Parts                   []PartVerdict
}

// A PartVerdict is how one part is. Its conditions are those that are on, the harmless ones too, the oldest first.
type PartVerdict struct {
	Part       string
	State      State
	Conditions []Condition
}

// wellWords is the headline when nothing is wrong.
const wellWords = "All is well: jobs are taken, sent and settled."

// Verdict says how the worker is. Parts that it is asked without are not in it, nor is what comes through them.
func (h *Health) Verdict(without ...string) Verdict {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := Verdict{State: StateWell, Headline: h.well}
	var unknown []string
	for _, part := range h.parts {
		if slices.Contains(without, part) {
			continue
		}
		p := h.partVerdict(part, without)
		v.Parts = append(v.Parts, p)
		if p.State == StateStarting {
			unknown = append(unknown, part)
		}
		v.Since = later(v.Since, h.wellSince(part))
	}
	for _, part := range h.remarked() {
		if !slices.Contains(without, part) {
			v.Parts = append(v.Parts, h.partVerdict(part, without))
		}
	}
	if worst, is := v.worst(); is {
		v.State, v.Headline, v.Since = worst.state(), Sentence(worst.What), worst.Since
		v.ByItself, v.ToDo, v.Command = worst.ByItself, worst.ToDo, worst.Command
	} else if len(unknown) > 0 {
		v.State, v.Since = StateStarting, h.starting[unknown[0]]
		v.Headline = "The worker starts: nothing is known yet of " + strings.Join(unknown, ", ") + "."
	}
	return v
}

// remarked are the parts that have harmless conditions alone, such as the jobs: they are not among those of the worker.
func (h *Health) remarked() (parts []string) {
	for id, t := range h.troubles {
		if t.on && !slices.Contains(h.parts, id.part) && !slices.Contains(parts, id.part) {
			parts = append(parts, id.part)
		}
	}
	slices.Sort(parts)
	return parts
}

func (h *Health) partVerdict(part string, without []string) PartVerdict {
	p := PartVerdict{Part: part, State: StateWell}
	if _, is := h.starting[part]; is {
		p.State = StateStarting
	}
	for _, c := range h.of(part) {
		if slices.Contains(without, c.Through) {
			continue
		}
		p.Conditions = append(p.Conditions, c)
		if !c.Harmless && p.State != StateBroken {
			p.State = c.state()
		}
	}
	return p
}

// wellSince is since when nothing is wrong with a part, if nothing is.
func (h *Health) wellSince(part string) time.Time {
	since := h.shown[part]
	for id, t := range h.troubles {
		if id.part == part && !t.Harmless {
			since = later(since, t.ended)
		}
	}
	return since
}

// worst is what a person should read first: what does not mend itself, and otherwise the first part on a job's way,
// but what follows from something else last.
func (v Verdict) worst() (worst Condition, is bool) {
	for _, p := range v.Parts {
		for _, c := range p.Conditions {
			if !c.Harmless && (!is || c.weight() > worst.weight()) {
				worst, is = c, true
			}
		}
	}
	return worst, is
}

func (c Condition) weight() int {
	switch {
	case c.Implied, c.Through != "":
		return 0
	case c.Grave:
		return 2
	}
	return 1
}

func (c Condition) state() State {
	if c.Grave {
		return StateBroken
	}
	return StateTrouble
}

// String is what /readyz says: ready, or the headline and then each condition on a line.
func (v Verdict) String() string {
	if v.State == StateWell {
		return "ready\n"
	}
	var words strings.Builder
	fmt.Fprintln(&words, "not ready:", v.Headline)
	for _, p := range v.Parts {
		if p.State == StateStarting && v.State != StateStarting {
			fmt.Fprintln(&words, p.Part+": nothing is known of it yet")
		}
		for _, c := range p.Conditions {
			if !c.Harmless {
				fmt.Fprintln(&words, c)
			}
		}
	}
	return words.String()
}

// Sentence makes a whole sentence of what a condition says; of nothing, nothing.
func Sentence(words string) string {
	if words == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(words)
	words = string(unicode.ToUpper(first)) + words[size:]
	if strings.HasSuffix(words, ".") || strings.HasSuffix(words, "!") || strings.HasSuffix(words, "?") {
		return words
	}
	return words + "."
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
