package worker

import (
	"sync"

	"logoffworker/metrics"
	"logoffworker/worker/webserver"
)

// A documentCap is the most sessions that a document may hold. It shrinks when the Web Server finds
// a document too large, and grows back once documents of the smaller size go through.
type documentCap struct {
	mu      sync.Mutex
	now     int
	most    int
	full    int // documents of the present size that were accepted in a row
	metrics *metrics.Metrics
}

// fullToGrow is how many documents must go through before a larger one is tried.
const fullToGrow = 16

func newDocumentCap(most int, m *metrics.Metrics) *documentCap {
	m.DocumentCap(most)
	return &documentCap{now: most, most: most, metrics: m}
}

func (c *documentCap) sessions() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// learn hears of an answer to a document of n sessions that was no success. A single session that
// is too large says nothing about documents.
func (c *documentCap) learn(n int, answer *webserver.Error) {
	if n < 2 || answer.Verdict != webserver.TooLarge && !answer.Timeout {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.full = 0
	c.resize(min(c.now, n/2))
}

// succeeded hears of a document of n sessions that was accepted.
func (c *documentCap) succeeded(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n < c.now {
		return
	}
	if c.full++; c.full == fullToGrow {
		c.full = 0
		c.resize(min(2*c.now, c.most))
	}
}

func (c *documentCap) resize(n int) {
	c.now = n
	c.metrics.DocumentCap(n)
}
