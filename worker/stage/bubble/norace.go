//go:build !race

package bubble

// oneIn is of how many tests in bubbles one is run: all of them.
const oneIn = 1
