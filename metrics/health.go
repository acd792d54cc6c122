package metrics

import (
	"sync"
	"time"
)

// Health collects why the worker is not ready, in words that an operator can act on. It is ready
// when none of its parts has a problem.
type Health struct {
	mu       sync.Mutex
	parts    []string
	problems map[string]Condition
}

// A Condition is one part's problem.
type Condition struct {
	Part    string
	Problem string
	Since   time.Time // when the part stopped being well
}

// NewHealth returns the health of these parts, each of which has yet to show that it is well.
func NewHealth(parts ...string) *Health {
	h := &Health{parts: parts, problems: map[string]Condition{}}
	for _, part := range parts {
		h.Problem(part, "starting")
	}
	return h
}

// Problem says what is wrong with a part. It reports whether these words are new, so that a caller
// can log a problem once.
func (h *Health) Problem(part, words string) (isNew bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, known := h.problems[part]
	if !known {
		c = Condition{Part: part, Since: time.Now()}
	}
	isNew = c.Problem != words
	c.Problem = words
	h.problems[part] = c
	return isNew
}

// Well says that nothing is wrong with a part.
func (h *Health) Well(part string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.problems, part)
}

// Ready reports whether all is well, and otherwise what is not, in the order of the parts.
func (h *Health) Ready() (bool, []Condition) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var conditions []Condition
	for _, part := range h.parts {
		if c, wrong := h.problems[part]; wrong {
			conditions = append(conditions, c)
		}
	}
	return len(conditions) == 0, conditions
}
