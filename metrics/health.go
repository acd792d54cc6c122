package metrics

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Health collects why the worker is not ready, in words that an operator can act on, and logs each trouble
// when it begins, in growing steps while it lasts, and when it ends. The worker is ready when no part has a
// condition. Health is a [prometheus.Collector] of logoff_problem.
type Health struct {
	log *slog.Logger

	mu       sync.Mutex
	parts    []string
	starting map[string]time.Time // parts of which nothing is known yet, since when
	shown    map[string]time.Time // when the others began to be known
	troubles map[identity]*trouble
	told     bool // that all is well, or what is wrong
	well     string
}

// A Condition is one thing that is wrong with a part of the worker. Part and Kind say which; the words may
// change while it lasts.
type Condition struct {
	Part string
	// Kind is a short word that does not change with the details, such as paused or refused.
	Kind string
	// What says what is wrong, as a sentence that needs neither the part nor a full stop.
	What string
	// ByItself says what happens if nobody does anything, ToDo what a person does about it, and Command what to
	// paste for that; empty where there is nothing to say.
	ByItself, ToDo, Command string
	// Through is the part whose trouble causes it, if it is another's: whoever asks without that part is not told of it.
	Through string
	// Since is when it began; [Health.Begin] fills it in.
	Since time.Time
	// Until is when it ends, or is tried again, by itself; zero where that is not known.
	Until time.Time
	// Grave means that waiting does not mend it: it is logged as an error, not as a warning.
	Grave bool
	// Harmless means that it is logged and no more: the worker is ready all the same.
	Harmless bool
	// Implied means that another condition causes it and tells of it: the worker is not ready, and nothing is logged.
	Implied bool
	// Quiet, if set, ends it when it was not begun again for so long.
	Quiet time.Duration
}

// String is the condition on one line.
func (c Condition) String() string {
	words := c.Part + ": " + c.What + " (since " + c.Since.UTC().Format(time.RFC3339)
	if !c.Until.IsZero() {
		words += ", until " + c.Until.UTC().Format(time.RFC3339)
	}
	words += ")"
	if c.ByItself != "" {
		words += "; by itself: " + c.ByItself
	}
	if do := c.remedy(); do != "" {
		words += "; what to do: " + do
	}
	return words
}

// remedy is what a person does, with the command to paste.
func (c Condition) remedy() string {
	switch {
	case c.Command == "":
		return c.ToDo
	case c.ToDo == "":
		return "`" + c.Command + "`"
	}
	return c.ToDo + ": `" + c.Command + "`"
}

// An identity tells whether a condition is new: its words may hold ports and request ids.
type identity struct{ part, kind string }

const starting = "starting"

// CheckCommand is what a person pastes as a [Condition]'s command to see what the worker sees.
const CheckCommand = "logoff-worker check"

// NewHealth returns the health of these parts, each of which has yet to show that it is well.
func NewHealth(log *slog.Logger, parts ...string) *Health {
	h := &Health{
		well: wellWords, log: log, parts: slices.Clone(parts),
		starting: map[string]time.Time{}, shown: map[string]time.Time{}, troubles: map[identity]*trouble{},
	}
	for _, part := range parts {
		h.starting[part] = time.Now()
	}
	return h
}

// WellMeans is what is said, as a sentence, while nothing is wrong with a program that works no jobs. It is called before
// anything else is.
func (h *Health) WellMeans(words string) { h.well = words }

// Begin says that a condition is on; it may be said again and again, with other words each time, and logs
// what is to be logged. It reports whether the condition was off before.
func (h *Health) Begin(c Condition) (isNew bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !c.Harmless {
		h.known(c.Part)
		h.told = true
	}
	id := identity{c.Part, c.Kind}
	t := h.troubles[id]
	if t == nil || t.forgotten() {
		t = &trouble{}
		h.troubles[id] = t
	}
	isNew = !t.on
	t.begin(h.log, c)
	if c.Quiet > 0 && t.quiet == nil {
		t.quiet = time.AfterFunc(c.Quiet, func() { h.quieten(t) })
	}
	return isNew
}

// End says that a condition is off. One that was not on is no mistake; the part counts as well then, unless
// something else is wrong with it.
func (h *Health) End(part, kind string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known(part)
	if t := h.troubles[identity{part, kind}]; t != nil {
		h.end(t)
	}
	h.tellWell()
}

// Set says whether a condition is on.
func (h *Health) Set(on bool, c Condition) {
	if on {
		h.Begin(c)
	} else {
		h.End(c.Part, c.Kind)
	}
}

// Well says that nothing is wrong with a part: all its conditions are off.
func (h *Health) Well(part string) { h.Only(part) }

// Only says that no conditions of a part but those of these kinds can be on: the others end.
func (h *Health) Only(part string, kinds ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known(part)
	for id, t := range h.troubles {
		if id.part == part && !slices.Contains(kinds, id.kind) {
			h.end(t)
		}
	}
	h.tellWell()
}

// tellWell logs once that every part has shown that it is well, unless something was wrong before: the end of that
// is told.
func (h *Health) tellWell() {
	if !h.told && len(h.starting) == 0 {
		h.told = true
		h.log.Info(h.well)
	}
}

// Parts are the parts of the worker, in the order of a job's way. Those that have remarks alone are not among them.
func (h *Health) Parts() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.parts)
}

// Ready reports whether all is well, and otherwise what is not, in the order of the parts.
func (h *Health) Ready() (bool, []Condition) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var conditions []Condition
	for _, part := range h.parts {
		if since, is := h.starting[part]; is {
			conditions = append(conditions, Condition{Part: part, Kind: starting, What: starting, Since: since})
		}
		conditions = append(conditions, slices.DeleteFunc(h.of(part), func(c Condition) bool { return c.Harmless })...)
	}
	return len(conditions) == 0, conditions
}

// of are a part's conditions, the harmless ones too, the oldest first.
func (h *Health) of(part string) (conditions []Condition) {
	for id, t := range h.troubles {
		if id.part == part && t.on {
			conditions = append(conditions, t.Condition)
		}
	}
	slices.SortFunc(conditions, func(a, b Condition) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Kind, b.Kind))
	})
	return conditions
}

// known notes that something is known of a part. One that was not named at the start is a part all the same.
func (h *Health) known(part string) {
	delete(h.starting, part)
	if h.shown[part].IsZero() {
		h.shown[part] = time.Now()
	}
	if !slices.Contains(h.parts, part) {
		h.parts = append(h.parts, part)
	}
}

func (h *Health) end(t *trouble) {
	if !t.on {
		return
	}
	if wait := t.end(h.log); wait > 0 {
		t.calm = time.AfterFunc(wait, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			t.settle(h.log)
		})
	}
}

// quieten ends a trouble that was not begun again for as long as it says.
func (h *Health) quieten(t *trouble) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch left := t.Quiet - time.Since(t.latest); {
	case left > 0 && t.on:
		t.quiet.Reset(left)
		return
	case t.on:
		h.end(t)
	}
	t.quiet = nil
}

var problemDesc = prometheus.NewDesc("logoff_problem", "1 while something is wrong with a part, so that the worker is not ready; /readyz says what.", []string{"part"}, nil)

// Describe implements [prometheus.Collector].
func (h *Health) Describe(descs chan<- *prometheus.Desc) { descs <- problemDesc }

// Collect implements [prometheus.Collector].
func (h *Health) Collect(all chan<- prometheus.Metric) {
	_, conditions := h.Ready()
	h.mu.Lock()
	parts := slices.Clone(h.parts)
	h.mu.Unlock()
	for _, part := range parts {
		wrong := slices.ContainsFunc(conditions, func(c Condition) bool { return c.Part == part })
		all <- prometheus.MustNewConstMetric(problemDesc, prometheus.GaugeValue, oneIf(wrong), part)
	}
}
