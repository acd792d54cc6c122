package worker

import "slices"

// separate returns the items of which something is true, and the others, both in their order. Where it is true of none,
// the others are the items themselves: in a flood that is nearly always so, and nothing is copied.
func separate[T any](items []T, is func(T) bool) (those, others []T) {
	first := slices.IndexFunc(items, is)
	if first < 0 {
		return nil, items
	}
	others = slices.Clone(items[:first])
	for _, item := range items[first:] {
		if is(item) {
			those = append(those, item)
		} else {
			others = append(others, item)
		}
	}
	return those, others
}
