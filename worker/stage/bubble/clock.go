//go:build !oldnats

package bubble

import "github.com/nats-io/nats-server/v2/server/ats"

// startServerClock has the server's clock of access times tick outside of the bubble.
func startServerClock() { ats.Register() }
