//go:build race

package worker_test

// defaultSeeds is how many simulations a test run has; the race detector makes each several times
// slower.
const defaultSeeds = 2

// sampled is how many rows of a large table stand for one that is played. What races shows in a few; whether each
// row holds, the plain run shows.
const sampled = 6
