package worker

import "context"

// A Reload replaces settings of a worker that runs.
type Reload struct {
	// ProtectedSessions and ProtectedUsers take the place of those of the [Config].
	ProtectedSessions, ProtectedUsers []string
	// ProtectedPlaces says where those stand that are not in the variables, by what is written there.
	ProtectedPlaces map[string]string
	// Try has what is held for the Web Server tried at once, a rejected login too.
	Try bool
}

// takeReloads takes up new settings until ctx ends. Jobs in hand are not touched: what was decided about
// their sessions stands.
func (w *Worker) takeReloads(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-w.Reloads:
			w.roster.Protect(r.ProtectedSessions, r.ProtectedUsers, r.ProtectedPlaces)
			if r.Try {
				w.server.TryNow()
				w.roster.TryNow()
			}
		}
	}
}
