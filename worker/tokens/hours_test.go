//go:build !race

package tokens_test

// hours is how long whole workers live in a test of theirs: one of them dies at each point of a renewal.
const hours = 10
