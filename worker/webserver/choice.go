package webserver

import "sync/atomic"

// A choice is between two calls for the same, of which a version of the Web Server may know one only.
// What succeeded last is asked first from then on.
type choice struct {
	known atomic.Int32 // 1 or 2 once that call has succeeded
}

// either makes the call that is known to work, or the first, and the other one only if that Error says
// elsewhere. Of two that do, the one that is more than an unknown path is returned.
func (c *choice) either(first, second func(proven bool) *Error) *Error {
	calls := [...]func(bool) *Error{first, second}
	known := c.known.Load()
	i := max(0, known-1)
	e := calls[i](known != 0)
	if e == nil {
		c.known.Store(i + 1)
	}
	if e == nil || !e.elsewhere {
		return e
	}
	other := calls[1-i](false)
	switch {
	case other == nil:
		if e.Verdict == NotFound || e.Verdict == Forbidden { // else it is known, and only this time would not do
			c.known.Store(2 - i)
		}
		return nil
	case other.elsewhere && (other.Verdict == NotFound || e.Verdict != NotFound):
		return e
	}
	return other
}
