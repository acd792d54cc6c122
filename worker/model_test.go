package worker

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"logoffworker/jobs"
	"logoffworker/worker/webserver"
)

// The models check the state machines of one job and one batch, without NATS and without a Web Server,
// against every order of events that chance can think of.

// A modelled job is what must be true of one, whatever the code makes of it.
type modelledJob struct {
	d       *delivery
	decided []int // outcomes that each session has got
	back    int   // sessions given back
	over    int   // times that the job was told to be complete
}

// An oracle is a Web Server as the model has it: what it says to a document follows from what is in it,
// or from chance.
type oracle struct {
	refused   map[string]bool // sessions that are refused
	undecided map[string]bool // sessions about which there is never a verdict
	limit     int             // sessions of a document
	sent      []document
}

func (o *oracle) answer(doc document) *webserver.Error {
	o.sent = append(o.sent, doc)
	if len(doc) > o.limit {
		return &webserver.Error{Verdict: webserver.TooLarge}
	}
	for _, s := range doc {
		switch {
		case o.refused[s.key]:
			return &webserver.Error{Verdict: webserver.Refused}
		case o.undecided[s.key]:
			return &webserver.Error{Verdict: webserver.Undecided}
		}
	}
	return nil
}

// A modelledBatch is a lane's queue with the jobs that are in it.
type modelledBatch struct {
	t     *rapid.T
	queue *queue
	jobs  map[*delivery]*modelledJob
	order []*delivery
}

func (b *modelledBatch) add(names []string, notAfter time.Time) {
	d := &delivery{left: len(names), sessions: make([]jobs.SessionResult, len(names))}
	d.job.NotAfter = notAfter
	for _, name := range names {
		d.job.Sessions = append(d.job.Sessions, jobs.Session{ID: name})
	}
	b.jobs[d] = &modelledJob{d: d, decided: make([]int, len(names))}
	b.order = append(b.order, d)
	d.targets = d.job.Sessions
	b.queue.add(d, 0, 8)
}

func (b *modelledBatch) decide(doc document, leaves func(asker) bool, outcome jobs.Outcome) (kept document) {
	gone, kept := b.queue.leave(doc, leaves)
	for _, a := range gone {
		j := b.jobs[a.d]
		j.decided[a.i]++
		if a.d.set(a.i, jobs.SessionResult{Outcome: outcome}, time.Time{}) {
			j.over++
		}
	}
	return kept
}

func (b *modelledBatch) giveBack(docs []document) {
	gone, _ := b.queue.leave(slices.Concat(docs...), whoever)
	for _, a := range gone {
		j := b.jobs[a.d]
		j.decided[a.i]++
		j.back++
		if a.d.giveBack() {
			j.over++
		}
	}
}

// unique checks that no session is in line twice, however it is spelled.
func (b *modelledBatch) unique() {
	seen := map[string]bool{}
	for _, s := range append(slices.Clone(b.queue.waiting), b.queue.large...) {
		if seen[s.key] {
			b.t.Fatalf("session %s is in line twice", s.key)
		}
		seen[s.key] = true
		if b.queue.known[s.key] != s {
			b.t.Fatalf("session %s is in line and not known", s.key)
		}
	}
}

// end checks every job: each of its sessions was decided or given back once, and it was complete once.
func (b *modelledBatch) end() {
	for d, j := range b.jobs {
		for i, n := range j.decided {
			if n != 1 {
				b.t.Fatalf("session %d of %v was decided %d times", i, d.job.Sessions, n)
			}
		}
		if j.over != 1 || d.left != 0 {
			b.t.Fatalf("job %v was complete %d times, %d sessions are left", d.job.Sessions, j.over, d.left)
		}
		if (j.back > 0) != d.returned {
			b.t.Fatalf("job %v: %d sessions were given back, returned is %t", d.job.Sessions, j.back, d.returned)
		}
		for i, s := range d.sessions {
			if !d.returned && s.ID != d.job.Sessions[i].ID {
				b.t.Fatalf("session %s has the result of %s", d.job.Sessions[i].ID, s.ID)
			}
		}
	}
	if len(b.queue.known) != 0 {
		b.t.Fatalf("%d sessions are still known", len(b.queue.known))
	}
}

// names draws the sessions of a job: from a small pool, so that jobs share some, in either case.
func names(t *rapid.T) []string {
	pool := rapid.SliceOfNDistinct(rapid.IntRange(0, 40), 1, 12, rapid.ID[int]).Draw(t, "sessions")
	var all []string
	for _, n := range pool {
		name := fmt.Sprintf("s%02d", n)
		if rapid.Bool().Draw(t, "upper") {
			name = strings.ToUpper(name)
		}
		all = append(all, name)
	}
	return all
}

// Every session of every job in a batch gets exactly one outcome, each with an answer to stand on, or
// is given back.
func TestModelOfABatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &modelledBatch{t: t, queue: newQueue(true), jobs: map[*delivery]*modelledJob{}}
		o := &oracle{refused: map[string]bool{}, undecided: map[string]bool{}, limit: rapid.IntRange(1, 50).Draw(t, "limit")}
		for n := range 41 {
			switch rapid.IntRange(0, 9).Draw(t, "kind") {
			case 0:
				o.refused[fmt.Sprintf("S%02d", n)] = true
			case 1:
				o.undecided[fmt.Sprintf("S%02d", n)] = true
			}
		}
		for range rapid.IntRange(1, 8).Draw(t, "jobs") {
			b.add(names(t), time.Time{})
			b.unique()
		}
		for len(b.queue.waiting)+len(b.queue.large) > 0 {
			doc := b.queue.cut(rapid.IntRange(1, 30).Draw(t, "cut"), math.MaxInt)
			b.unique()
			b.work(o, doc, rapid.IntRange(1, 4).Draw(t, "tries"))
			if rapid.IntRange(0, 9).Draw(t, "more") == 0 {
				b.add(names(t), time.Time{})
				b.unique()
			}
		}
		b.end()
	})
}

// work sends a document as a lane does, with a stop or a deadline in between by chance.
func (b *modelledBatch) work(o *oracle, doc document, tries int) {
	for s := newSplitting(doc, tries); s.more(); {
		part := s.next()
		if rapid.IntRange(0, 60).Draw(b.t, "stop") == 0 {
			b.giveBack(append(s.rest, part))
			return
		}
		if rapid.IntRange(0, 30).Draw(b.t, "late") == 0 {
			part = b.late(part)
		}
		if rapid.IntRange(0, 30).Draw(b.t, "asked again") == 0 {
			b.add(names(b.t), time.Time{})
		}
		var answer *webserver.Error
		if len(part) > 0 {
			answer = o.answer(part)
		}
		b.follow(o, s.answered(part, reply{problem: answer, scope: itself}), part, answer)
	}
}

// late lets the time of one job run out while its document waits.
func (b *modelledBatch) late(doc document) document {
	for _, d := range b.order {
		if d.left > 0 {
			d.job.NotAfter = time.Unix(1, 0)
			break
		}
	}
	return b.decide(doc, late, jobs.Expired)
}

// follow checks that a step has an answer to stand on, and takes it.
func (b *modelledBatch) follow(o *oracle, what step, doc document, answer *webserver.Error) {
	switch what {
	case accepted:
		for _, s := range doc {
			if o.refused[s.key] || o.undecided[s.key] || len(doc) > o.limit {
				b.t.Fatalf("session %s is accepted", s.key)
			}
		}
		b.decide(doc, whoever, jobs.Accepted)
	case failed:
		if len(doc) != 1 || !o.refused[doc[0].key] && !o.undecided[doc[0].key] {
			b.t.Fatalf("%d sessions failed, the first is %s", len(doc), doc[0].key)
		}
		b.decide(doc, whoever, reply{problem: answer}.failure().Outcome)
	case divided:
		if len(doc) < 2 {
			b.t.Fatal("a session was divided")
		}
	case again:
		if len(doc) != 1 || !o.undecided[doc[0].key] {
			b.t.Fatal("something with a verdict is sent again")
		}
	case nothing:
		if len(doc) != 0 {
			b.t.Fatalf("%d sessions were passed over", len(doc))
		}
	}
}

// One bad session among n costs at most 1 + 2·log₂ n requests; any number of them at most two for each
// session and one more.
func TestModelOfTheCostOfSplitting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 600).Draw(t, "sessions")
		bad := rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 1, min(n, 20), rapid.ID[int]).Draw(t, "bad")
		o := &oracle{refused: map[string]bool{}, limit: math.MaxInt}
		var doc document
		for i := range n {
			doc = append(doc, &session{key: fmt.Sprint(i)})
		}
		for _, i := range bad {
			o.refused[fmt.Sprint(i)] = true
		}
		outcomes := map[string]step{}
		for s := newSplitting(doc, 3); s.more(); {
			part := s.next()
			if what := s.answered(part, reply{problem: o.answer(part), scope: itself}); what == accepted || what == failed {
				for _, session := range part {
					outcomes[session.key] = what
				}
			}
		}
		for _, s := range doc {
			if want := map[bool]step{true: failed, false: accepted}[o.refused[s.key]]; outcomes[s.key] != want {
				t.Fatalf("session %s is %d, want %d", s.key, outcomes[s.key], want)
			}
		}
		most := 2*n + 1
		if len(bad) == 1 {
			most = int(1 + 2*math.Ceil(math.Log2(float64(n))))
		}
		if len(o.sent) > most {
			t.Fatalf("%d requests for %d bad sessions of %d, at most %d are allowed", len(o.sent), len(bad), n, most)
		}
	})
}

// A job that is in hand is in hand once, and is never taken for ours once its lease has run out,
// however often the lease is extended afterwards.
func TestModelOfALease(t *testing.T) {
	const ackWait = 30 * time.Second
	rapid.Check(t, func(t *rapid.T) {
		l := newLeases()
		now := time.Unix(1000, 0)
		held, runsOut, lost := map[string]*delivery{}, map[string]time.Time{}, map[string]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"deliver": func(t *rapid.T) {
				key := rapid.SampledFrom([]string{"1-1", "2-1", "3-1"}).Draw(t, "key")
				d := &delivery{key: key, lane: rapid.SampledFrom(jobs.Lanes).Draw(t, "lane"), lease: now.Add(ackWait)}
				if l.takeOn(d) != (held[key] == nil) {
					t.Fatalf("%s was taken in hand, and was so before: %t", key, held[key] != nil)
				}
				if held[key] == nil {
					held[key], runsOut[key], lost[key] = d, d.lease, false
				}
			},
			"pass": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds")) * time.Second)
				for key := range held {
					lost[key] = lost[key] || !now.Before(runsOut[key])
				}
			},
			"extend": func(*rapid.T) {
				for key, d := range held {
					d.renew(now, ackWait)
					runsOut[key] = now.Add(ackWait)
				}
			},
			"park": func(*rapid.T) {
				l.park(l.all())
			},
			"release": func(t *rapid.T) {
				key := rapid.SampledFrom([]string{"1-1", "2-1", "3-1"}).Draw(t, "key")
				if d := held[key]; d != nil {
					l.release(d)
					delete(held, key)
				}
			},
			"": func(t *rapid.T) {
				lanes := 0
				for _, lane := range jobs.Lanes {
					worked, parked := l.lane(lane)
					lanes += worked + parked
				}
				if l.count() != len(held) || lanes != len(held) || len(l.all()) != len(held) {
					t.Fatalf("%d jobs in hand, %d by lane, want %d", l.count(), lanes, len(held))
				}
				for key, d := range held {
					if d.leased(now) == lost[key] {
						t.Fatalf("%s: leased is %t, and it ran out: %t", key, d.leased(now), lost[key])
					}
				}
			},
		})
	})
}
