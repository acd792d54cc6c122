package statuspage

import (
	"fmt"
	"net/http"

	"logoffworker/metrics"
)

// A tone is the colour of something: how it is, seen from across the room.
type tone string

const (
	well   tone = "well"
	off    tone = "off"  // nothing is known yet, or somebody has paused it
	wait   tone = "wait" // it waits, and mends itself
	ill    tone = "ill"  // a person has to act
	silent tone = "silent"
)

// colours are those of the icons, which look the same in light and dark.
var colours = map[tone]string{well: "#1f8a55", off: "#5566a8", wait: "#c27a00", ill: "#c2332b", silent: "#8a938d"}

// severity orders the tones.
var severity = map[tone]int{well: 0, off: 1, wait: 2, ill: 3}

func (t tone) ill() bool { return t == wait || t == ill }

// known is a tone that somebody told, if there is such a one.
func (t tone) known() tone {
	if _, is := severity[t]; is {
		return t
	}
	return off
}

// worse is the worse of two.
func worse(a, b tone) tone {
	if severity[b] > severity[a] {
		return b
	}
	return a
}

// of is the tone of a condition.
func of(c metrics.Condition) tone {
	switch {
	case c.Harmless:
		return well
	case c.Kind == paused:
		return off
	case c.Grave:
		return ill
	}
	return wait
}

// paused is the kind of condition in which somebody has paused a lane, on purpose.
const paused = "paused"

// toneOf is the tone of all.
func toneOf(v metrics.Verdict) tone {
	if v.State == metrics.StateStarting {
		return off
	}
	all := well
	for _, p := range v.Parts {
		all = worse(all, toneOfPart(p))
	}
	return all
}

func toneOfPart(p metrics.PartVerdict) tone {
	part := well
	if p.State == metrics.StateStarting {
		part = off
	}
	for _, c := range p.Conditions {
		part = worse(part, of(c))
	}
	return part
}

// marks are the shapes of the tones, for who cannot tell their colours apart.
var marks = map[tone]string{
	well:   `<circle cx="8" cy="8" r="7"/><path d="M4.7 8.4l2.2 2.2 4.4-5"/>`,
	off:    `<circle cx="8" cy="8" r="7"/><path d="M6.2 5.3v5.4M9.8 5.3v5.4"/>`,
	wait:   `<path d="M8 1.6l6.6 12H1.4z"/><path d="M8 6.2v3.4M8 11.7v.1"/>`,
	ill:    `<rect x="1" y="1" width="14" height="14" rx="3"/><path d="M5.3 5.3l5.4 5.4M10.7 5.3l-5.4 5.4"/>`,
	silent: `<circle cx="8" cy="8" r="7"/><path d="M6 6a2 2 0 1 1 2 2.4v.8M8 11.7v.1"/>`,
}

func serveIcon(w http.ResponseWriter, t tone, colour string) {
	w.Header().Set("Content-Type", "image/svg+xml")
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-1 -1 18 18" fill="none" stroke="%s" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round">%s</svg>`, colour, marks[t])
}
