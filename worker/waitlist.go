package worker

import "sync"

// A waitlist holds what waits until somebody comes back to it, all together: sessions that may be protected, jobs that
// the guard cannot judge now, results that cannot be stored. One goroutine comes back for all, as long as anything waits.
type waitlist[T any] struct {
	mu      sync.Mutex
	items   []T
	awaited bool // somebody comes back
}

// add has something wait, and begin called if nobody comes back to it yet.
func (w *waitlist[T]) add(items []T, begin func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.items = append(w.items, items...)
	if len(items) > 0 && !w.awaited {
		w.awaited = true
		begin()
	}
}

// any reports whether something waits that nobody has taken out.
func (w *waitlist[T]) any() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.items) > 0
}

// take takes out all that waits.
func (w *waitlist[T]) take() []T {
	w.mu.Lock()
	defer w.mu.Unlock()
	items := w.items
	w.items = nil
	return items
}

// restore puts back what is to wait on, before what has come meanwhile, and reports whether anything waits. If not,
// nobody comes back any more, and over is called, unless it is nil, before somebody else may begin.
func (w *waitlist[T]) restore(items []T, over func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.items = append(items, w.items...)
	w.awaited = len(w.items) > 0
	if !w.awaited && over != nil {
		over()
	}
	return w.awaited
}

// unlessAwaited calls do while nobody is to come back to anything.
func (w *waitlist[T]) unlessAwaited(do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.awaited {
		do()
	}
}

// isAwaited reports whether somebody comes back to something.
func (w *waitlist[T]) isAwaited() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.awaited
}
