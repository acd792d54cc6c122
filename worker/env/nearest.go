package env

import "strings"

// Nearest is the known name that is probably meant by another, from which it is at most so many edits off or which was
// cut short; empty when none is near.
func Nearest(name string, known []string, most int) (meant string) {
	best := most + 1
	for _, candidate := range known {
		d := edits(name, candidate)
		if strings.HasPrefix(candidate, name) {
			d = 1 // it was cut short
		}
		if d < best {
			best, meant = d, candidate
		}
	}
	return meant
}

// edits counts the characters that have to be added, removed or replaced to make b of a.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
