//go:build !race

package worker_test

// defaultSeeds is how many simulations a test run has.
const defaultSeeds = 20
