//go:build race

package tokens_test

// hours is fewer under the race detector, which makes everything slower.
const hours = 4
