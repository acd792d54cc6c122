//go:build oldnats

package bubble

// startServerClock does nothing: servers before 2.11 have no clock of access times.
func startServerClock() {}
