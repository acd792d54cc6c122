//go:build !race

package worker_test

// defaultSeeds is how many simulations a test run has.
const defaultSeeds = 20

// sampled is how many rows of a large table stand for one that is played: all of them.
const sampled = 1
