//go:build !race

package tokens_test

// hours is how long whole workers live in a test of theirs.
const hours = 24
