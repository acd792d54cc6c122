package worker

import (
	"context"
	"math"
	"time"

	"logoffworker/jobs"
)

// A spacing keeps documents that are not full apart.
//
// Without it, every slot would soon be busy with a document of one job, all begun at about the same time, and the
// next job would wait for a whole request. With documents that begin evenly, as far from each other as a request's
// time divided by the slots, a slot is always about to be free, and no job waits longer than that for the beginning
// of its request. So a document is held back exactly when it would leave the next job without a slot, and then
// either until it is so far from the one before it, or half of the time until the next slot is expected to be free:
// the first keeps documents apart that are, the second draws those apart that began together. While another slot is
// free, nothing is held back: a lone job leaves at once.
//
// Bulk documents are always held back, because each costs the Web Server, NATS and us about the same, however much is
// in it; and each from when its first job came, because that one waits longest. One that comes alone, a quarter longer
// than that after the last document, leaves at once. Of a steady 500 jobs a second, 0.81 of six slots make 0.6 of the
// documents that eight slots would be kept busy with, and a job takes a tenth longer at most.
//
// What else comes while a document is held back stays in the stream, and goes along with it.
type spacing struct {
	// always holds documents back while other slots are free, too, each from when its first job came.
	always bool
	// share is the part of the lane's slots that documents which are not full keep busy.
	share float64
	// most bounds the wait, because how long a request takes is an estimate.
	most time.Duration
}

// spacingOf is that of a lane.
func (c Config) spacingOf(lane jobs.Lane) spacing {
	if lane == jobs.Urgent {
		return spacing{share: 1, most: time.Second}
	}
	return spacing{always: true, share: 0.81, most: c.BulkLinger}
}

// hold is how long a document that is not full is still held back. took is how long a request takes, sent how long ago
// the last document left, and came how long ago the first job of this one came.
func (s spacing) hold(r room, took, sent, came time.Duration) time.Duration {
	apart := time.Duration(float64(took) / (s.share * float64(r.all)))
	switch {
	case r.free <= 1:
		apart = max(apart, (took-r.eldest)/2)
	case !s.always:
		return 0
	}
	apart = min(apart, s.most)
	if s.always {
		return max(0, min(apart-came, apart*5/4-sent))
	}
	return max(0, apart-sent)
}

// space waits for a slot, and longer where a document that is not full is to be held back. What came into the stream
// meanwhile can go along with what is in hand. It returns false when ctx ended first.
func (l *lane) space(ctx context.Context) bool {
	for begun := time.Now(); ctx.Err() == nil; {
		room, freed := l.w.slots.look(l.name)
		wait := time.Duration(math.MaxInt64) // for a slot
		if room.free > 0 {
			wait = l.held(room)
		}
		if wait == 0 {
			all, _ := l.queue.length()
			l.more = l.more || all > 0 && time.Since(begun) > time.Millisecond
			return true
		}
		select {
		case <-time.After(wait):
		case <-freed:
		case <-ctx.Done():
		}
	}
	return false
}

// held is how long the next document is still held back, which has one of the slots that are free.
func (l *lane) held(r room) time.Duration {
	all, _ := l.queue.length()
	if l.more || l.room() <= 0 || l.spacing.always && all == 0 {
		return 0
	}
	return l.spacing.hold(r, time.Duration(l.sender.took.Load()), time.Since(l.sent), time.Since(l.came))
}
