package worker

// separate returns the items of which something is true, and the others, both in their order.
func separate[T any](items []T, is func(T) bool) (those, others []T) {
	for _, item := range items {
		if is(item) {
			those = append(those, item)
		} else {
			others = append(others, item)
		}
	}
	return those, others
}
