// Package intake lets jobs in that do not come on NATS: it receives them over HTTP, and polls streams of Shared Signals.
//
// What comes is verified and made into a job, stored in the stream of jobs, and answered only then: a sender hears of
// success once JetStream has acknowledged the job, and otherwise keeps what it has. The room stores jobs and nothing else;
// it knows no Web Server.
package intake

import (
	"context"

	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
)

// A Store stores jobs.
type Store struct {
	NATS     *nats.Conn
	Subjects jobs.Subjects
}

// Put stores the job of an answer as its publisher's, with its signal as a header, and returns its id once JetStream has
// acknowledged it. An error means that it may not be stored.
func (s *Store) Put(ctx context.Context, publisher string, lane jobs.Lane, a signals.Answer) (id string, err error) {
	panic("intake")
}
