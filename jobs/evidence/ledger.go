package evidence

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Ledger tells whether each job that was stored has exactly one result. It knows the jobs from the keys of the
// results: the sequence of each in the stream of jobs, and when it was stored.
type Ledger struct {
	// Made is when the stream of jobs was made. Jobs of a stream before it are not asked for.
	Made time.Time
	// Aged is since when results cannot have aged out (see [AgedBefore]): jobs that were stored before it may have lost
	// theirs that way.
	Aged time.Time

	jobs  []entry // with a result
	waits entry   // the first that waits
	held  map[string]bool
}

// AgedBefore is when results were stored, at the latest, that may have aged out by now; zero where they are kept for
// ever.
func AgedBefore(now time.Time, kept time.Duration) time.Time {
	if kept <= 0 {
		return time.Time{}
	}
	return now.Add(apart - kept)
}

// An entry is a job with a result, or one that waits.
type entry struct {
	sequence uint64
	stored   int64
	result   uint64 // its sequence
}

// before reports whether the job was stored before a time.
func (e entry) before(t time.Time) bool { return time.Unix(0, e.stored).Before(t) }

// Add takes in a result. One with a subject that no worker makes is an error.
func (l *Ledger) Add(r Record) error {
	first, second, _ := strings.Cut(keyOf(r.Subject), "-")
	sequence, err1 := strconv.ParseUint(first, 10, 64)
	stored, err2 := strconv.ParseInt(second, 10, 64)
	if err := cmp.Or(err1, err2); err != nil || sequence == 0 {
		return fmt.Errorf("result %d has the subject %q, in which no job's key stands", r.Sequence, r.Subject)
	}
	if time.Unix(0, stored).Before(l.Made) {
		return nil
	}
	l.jobs = append(l.jobs, entry{sequence, stored, r.Sequence})
	return nil
}

// Waits notes the first job that waits: all after it were stored later.
func (l *Ledger) Waits(sequence uint64, stored time.Time) {
	l.waits = entry{sequence: sequence, stored: stored.UnixNano()}
}

// Hold notes that a job is held, by the subject of its result or its last token, the key.
func (l *Ledger) Hold(subject string) { l.note(subject, true) }

// Release notes that a job that was held was approved or denied.
func (l *Ledger) Release(subject string) { l.note(subject, false) }

func (l *Ledger) note(subject string, held bool) {
	if l.held == nil {
		l.held = map[string]bool{}
	}
	key := keyOf(subject)
	before, known := l.held[key]
	l.held[key] = held && (!known || before)
}

func keyOf(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }

// Held is how many jobs are held.
func (l *Ledger) Held() (n int) {
	for _, held := range l.held {
		if held {
			n++
		}
	}
	return n
}

// Without returns the sequences of jobs up to the last that was stored which have no result, and begin, the first
// that must have one: the first of which is known that no result of it can have aged out. When a job was stored that
// has no result, and does not wait, is not known. Jobs that wait are among those without.
func (l *Ledger) Without(last uint64) (begin uint64, without []uint64) {
	l.sort()
	begin = l.begin(last)
	next := begin
	for _, e := range l.jobs {
		for ; next < e.sequence && next <= last; next++ {
			without = append(without, next)
		}
		next = max(next, e.sequence+1)
	}
	for ; next <= last; next++ {
		without = append(without, next)
	}
	return begin, without
}

func (l *Ledger) sort() {
	slices.SortFunc(l.jobs, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.sequence, b.sequence), cmp.Compare(a.result, b.result))
	})
}

// begin is the sequence of the first job that must have a result; one after the last if none must.
func (l *Ledger) begin(last uint64) uint64 {
	if !l.Made.Before(l.Aged) {
		return 1
	}
	begin := last + 1
	if l.waits.sequence > 0 && !l.waits.before(l.Aged) {
		begin = min(begin, l.waits.sequence)
	}
	for _, e := range l.jobs {
		if !e.before(l.Aged) {
			return min(begin, e.sequence)
		}
	}
	return begin
}

// Doubled finds the jobs that have more than one result.
func (l *Ledger) Doubled() (all []Finding) {
	l.sort()
	for i := 1; i < len(l.jobs); i++ {
		if a, b := l.jobs[i-1], l.jobs[i]; a.sequence == b.sequence {
			all = append(all, Finding{Kind: Doubled, Sequence: b.sequence, Text: fmt.Sprintf("job %d has two results, %d and %d", b.sequence, a.result, b.result)})
		}
	}
	return all
}

// Jobs is how many jobs have a result.
func (l *Ledger) Jobs() int { return len(l.jobs) }

// LostJob is the finding that a job has no result and does not wait.
func LostJob(sequence uint64) Finding {
	return Finding{Kind: Lost, Sequence: sequence, Text: fmt.Sprintf("job %d has no result, and does not wait: it was lost", sequence)}
}
