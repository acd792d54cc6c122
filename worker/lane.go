package worker

import (
	"context"
	"math"
	"time"

	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
	"logoffworker/worker/gate"
	"logoffworker/worker/stream"
)

// A lane takes the jobs of one lane from the stream and sends them off in documents. It pulls only
// when a slot is free, and no more than one document's worth, so that what waits, waits in the
// stream, where it is safe and any replica can have it. Only the first jobs of a bulk document are
// in hand while it is held back.
type lane struct {
	w       *Worker
	name    jobs.Lane
	spacing spacing
	pulls   *stream.Puller
	queue   *queue
	sender  *sender
	more    bool      // the stream had more at the last look
	sent    time.Time // when the last document left
	came    time.Time // when the first job of the next one came, or could not go along with the last one
	latest  uint64    // place in the stream of the newest job that came
	each    int       // sessions of a job on average in the last pull, one at least
	broken  int       // pulls in a row that failed

	// unjudged are jobs of which the guard cannot tell now whether they may be worked: all together, so that they are
	// counted together.
	unjudged waitlist[*delivery]
	// away are messages that wait for keys, by their keys.
	away map[string]away
}

func (w *Worker) newLane(name jobs.Lane) *lane {
	queue := newQueue(!w.Config.LooseIDs)
	s := &sender{w: w, lane: name, queue: queue}
	s.reader = &reader{w: w, lane: name, queue: queue, sender: s}
	return &lane{
		w:       w,
		name:    name,
		each:    1,
		spacing: w.Config.spacingOf(name),
		pulls:   w.streams.Puller(name),
		queue:   queue,
		sender:  s,
		away:    map[string]away{},
	}
}

// run works the lane whenever it goes on, until the worker stops.
func (l *lane) run() {
	going := l.w.going[l.name]
	for ctx := going.await(); ctx != nil; ctx = going.await() {
		l.work(ctx)
	}
}

// work works the lane until ctx ends; then it hands back what was not sent. Documents that are on
// their way are waited for elsewhere.
func (l *lane) work(ctx context.Context) {
	for ctx.Err() == nil {
		if !l.space(ctx) {
			continue
		}
		if all, _ := l.queue.length(); all == 0 && (!l.awaitJobs(ctx) || l.spacing.always) {
			continue // what came is held back
		}
		free := l.takeSlot(ctx)
		if free == nil {
			continue
		}
		l.fill(ctx)
		doc := l.queue.cut(l.w.cap.sessions(), l.w.Config.BatchMaxBytes)
		if len(doc) == 0 { // what was found through users is sent by those who found it
			free()
			continue
		}
		l.sent = time.Now()
		l.came = l.sent // of what is left over
		l.w.sends.Go(func() { l.sender.send(doc, free) })
	}
	l.queueUp(l.pulls.Drain(), time.Now()) // what was pulled and not looked at
	l.sender.handBack(l.queue.cut(math.MaxInt, math.MaxInt))
}

// awaitJobs waits for jobs. It returns false when there is nothing to send.
func (l *lane) awaitJobs(ctx context.Context) bool {
	if l.room() <= 0 {
		gate.Pause(ctx, l.w.Config.Backoff.Min) // until results are stored
		return false
	}
	begun := time.Now()
	n, err := l.pull(stream.PullWait) // a stop waits for its end
	if err == nil && l.broken > 0 {
		l.broken = 0
		l.w.streams.PullsAgain(l.name)
	}
	switch {
	case ctx.Err() != nil:
	case err != nil && n == 0:
		l.repair(ctx, err) // otherwise what came leaves first
	case n == 0 && time.Since(begun) < stream.PullWait/2:
		gate.Pause(ctx, l.w.Config.Backoff.Min) // the server had enough requests of others and did not wait
	}
	l.came = time.Now()
	all, _ := l.queue.length()
	return all > 0
}

// takeSlot waits for a slot for the next document. There is none when ctx ended, or when smaller jobs should be looked
// for once more: sessions of large urgent jobs get only slots that bulk jobs can have, and try for one for a short time.
func (l *lane) takeSlot(ctx context.Context) (free func()) {
	of := l.name
	if l.queue.onlyLarge() {
		l.more = true // smaller ones may overtake, if the stream has any
		if l.name == jobs.Urgent {
			if l.fill(ctx); l.queue.onlyLarge() {
				l.more, of = true, jobs.Bulk
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 20*time.Millisecond)
				defer cancel()
			}
		}
	}
	return l.w.slots.take(ctx, of, l.name)
}

// fill adds to a document that is not full what else is in the stream. It waits for nothing that is
// not there yet, and an error is left to the next pull: what is in hand leaves all the same.
func (l *lane) fill(ctx context.Context) {
	for pulled := 0; l.more && l.room() > 0 && pulled < l.w.cap.sessions() && ctx.Err() == nil; {
		n, err := l.pull(0)
		if err != nil {
			return
		}
		pulled += n // those that turn out to need no sending take up no room
	}
}

// room is how many jobs may be pulled: what is missing in a document, and no more than is to be in
// hand. Without that bound, large jobs, jobs that wait for their results to be stored, and jobs that all
// name the same sessions would gather here.
func (l *lane) room() int {
	_, small := l.queue.length()
	worked, parked := l.w.leases.lane(l.name)
	most := max(maxHeld*l.w.Config.Slots*l.w.Config.BatchMaxSessions, 2*jobs.MaxSessions)
	if l.name == jobs.Urgent {
		most = max(most, maxUrgent)
	}
	return min(l.w.cap.sessions()-small, most-worked, maxParked-parked)
}

const (
	// maxHeld bounds the sessions of a lane in hand, in documents for each slot: one on its way, the others
	// being settled. Two of the largest jobs fit in any case.
	maxHeld = 3
	// maxUrgent lets more large urgent jobs be in hand: behind them in the stream there may be small ones,
	// which go first.
	maxUrgent = 10 * jobs.MaxSessions
	// maxParked bounds those of which something cannot be stored; beyond it, the lane waits.
	maxParked = 10 * jobs.MaxSessions
)

// pull takes what the stream has into the queue and returns how many jobs came: about a document's worth, if they are
// as large as the last ones. Otherwise there is another pull, or some wait here.
func (l *lane) pull(wait time.Duration) (n int, err error) {
	begun := time.Now()
	msgs, err := l.pulls.Pull((l.room()+l.each-1)/l.each, wait)
	l.queueUp(msgs, begun)
	return len(msgs), err
}

// queueUp puts what was pulled since a time into the queue.
func (l *lane) queueUp(msgs []*nats.Msg, pulled time.Time) {
	l.more = false
	if len(msgs) == 0 {
		return
	}
	if meta, err := msgs[len(msgs)-1].Metadata(); err == nil {
		l.more = meta.NumPending > 0
	}
	work, sessions := l.receive(msgs, pulled), 0
	for _, d := range work {
		sessions += len(d.targets)
	}
	l.each = max(1, sessions/max(1, len(work)))
	l.begin(work)
}

// begin puts jobs into the queue, and has their users looked up.
func (l *lane) begin(work []*delivery) {
	var inquiries []*delivery
	for _, d := range work {
		l.queue.add(d, 0, l.w.cap.sessions())
		if len(d.users) > 0 {
			inquiries = append(inquiries, d)
		}
	}
	for _, ds := range apart(inquiries) {
		l.w.readBacks.Go(func() { l.sender.reader.lookUp(ds) })
	}
}

// repair looks for what a pull failed over: the connection, or a stream or consumer that is gone. It tries
// once, whatever comes of it: the next pull is the proof, and a stream that others need must not hold up
// this lane.
func (l *lane) repair(ctx context.Context, err error) {
	l.broken++
	l.w.streams.PullFailed(ctx, l.name, err)
	l.queueUp(l.pulls.Renew(), time.Now())
	if all, _ := l.queue.length(); all > 0 {
		return
	}
	if gate.Pause(ctx, min(l.w.Config.Backoff.Ceiling(l.broken), stream.PullWait)) {
		l.w.streams.Provision(ctx)
	}
}
