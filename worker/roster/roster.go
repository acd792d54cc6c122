// Package roster knows what the Web Server says of users and sessions: who a user is whom a job names, which
// sessions somebody has, and whom and what the settings protect.
//
// [Roster.WhoIs] looks a user up. [Roster.Lists] lists the sessions of users, and says of an empty list
// whether it can be believed: the Web Server shows one for want of a right, too. [Roster.Know] finds out who
// is protected and which sessions are theirs, [Roster.SeekOwn] which session is the worker's own, and
// [Roster.Protects] then tells what is left alone.
//
// It guarantees that
//   - a list says that nothing is on only if it says itself that it is whole, or if something of somebody
//     else of the same company was listed just before and just after;
//   - what protects a user is known before a session that only a job has told of is let go, or else whoever
//     asks is told that it is not known;
//   - every request of a Roster goes through the gate, and what keeps protected users known takes no more than a
//     quarter of the budget of reads.
//
// It ends no session, and knows no job but for the names that jobs use for users and sessions.
package roster

import (
	"context"
	"time"

	"logoffworker/metrics"
	"logoffworker/worker/access"
	"logoffworker/worker/gate"
)

// PartProtected is the part of a worker's health that tells of protected users and sessions.
const PartProtected = "protected"

// Config says what is protected, and what limits the requests.
type Config struct {
	// ProtectedSessions and ProtectedUsers are left alone; a user is meant by userId, name or e-mail address.
	ProtectedSessions, ProtectedUsers []string
	// ProtectedPlaces says where those stand that are not in the variables, by what is written there.
	ProtectedPlaces map[string]string
	// LooseIDs admits session IDs that are no GUIDs.
	LooseIDs bool
	// ReadsPerHour and RequestsPerSecond are the budgets of the gate; 0 is no limit.
	ReadsPerHour, RequestsPerSecond int
	// Backoff spaces what is asked again.
	Backoff gate.Backoff
}

// A Roster asks one Web Server. Its methods may be called concurrently.
type Roster struct {
	config    Config
	server    *access.Server
	health    *metrics.Health
	stopping  context.Context
	guard     *guard
	directory directory
	companies companies
}

// New returns a roster that has asked nothing yet. What of the settings protects nothing is said in health.
// Whatever waits ends with stopping.
func New(c Config, server *access.Server, health *metrics.Health, stopping context.Context) *Roster {
	r := &Roster{config: c, server: server, health: health, stopping: stopping, guard: newGuard(c)}
	if len(r.guard.wrong) > 0 || r.guard.count() == 0 {
		r.tellSettings()
	}
	return r
}

// Watch keeps what is known of protected users, and of the worker's own session, up to date until ctx ends.
func (r *Roster) Watch(ctx context.Context) {
	for {
		if r.guard.count() > 0 {
			r.refresh()
		}
		r.LookAround() // the first token may have been ours
		wait := max(listAgain, 2*r.listSpacing())
		if rest, troubled := r.guard.rest(time.Now()); troubled {
			wait = max(rest, time.Second)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		case <-r.guard.refreshes:
		}
	}
}

// Protect protects others than before. Users that are new have to be looked up, and until then nobody is
// known not to be one of them.
func (r *Roster) Protect(sessions, users []string, places map[string]string) {
	r.guard.protect(sessions, users, places)
	r.tellSettings()
	select {
	case r.guard.refreshes <- struct{}{}:
	default: // somebody will look
	}
}

// TryNow has what could not be found out tried at once.
func (r *Roster) TryNow() { r.guard.tryNow() }
