package intake

import (
	"context"
	"time"
)

// AtOnce is how many requests are taken at a time.
const AtOnce = atOnce

// ReadAt has messages read at a time.
func (rc *Receiver) ReadAt(clock func() time.Time) { rc.clock = clock }

// Ask asks once whether jobs could be stored.
func (rc *Receiver) Ask(ctx context.Context) { rc.ask(ctx) }

// Enter takes the place of a request.
func (rc *Receiver) Enter() (leave func(), ok bool) { return rc.enter() }

// Begun is how many requests have begun.
func (rc *Receiver) Begun() int { return len(rc.slots) }
