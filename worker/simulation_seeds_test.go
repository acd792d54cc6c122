//go:build !race

package worker_test

// defaultSeeds is how many simulations a test run has: one of each way in which the Web Server answers to ended
// sessions and to the others in their document.
const defaultSeeds = 9

// sampled is how many rows of a large table stand for one that is played: all of them.
const sampled = 1
