//go:build race

package bubble

// oneIn is of how many tests in bubbles one is run: the race detector makes each several times slower, and what
// races shows in some of them. Which ones follows from their names.
const oneIn = 39
