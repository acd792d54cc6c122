//go:build race

package worker_test

// defaultSeeds is how many simulations a test run has; the race detector makes each several times
// slower.
const defaultSeeds = 2
