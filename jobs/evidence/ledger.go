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
	// Aged is when the oldest result that is there was stored, if others have aged out: jobs from before it may have
	// lost their results that way.
	Aged time.Time

	jobs []entry // with a result
	held map[string]bool
}

// An entry is a job with a result.
type entry struct {
	sequence uint64
	stored   int64
	result   uint64 // its sequence
}

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
// that must have one. Jobs that wait are among them.
func (l *Ledger) Without(last uint64) (begin uint64, without []uint64) {
	l.sort()
	begin = l.begin()
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

// begin is the sequence of the first job that must have a result.
func (l *Ledger) begin() uint64 {
	if l.Aged.IsZero() {
		return 1
	}
	for _, e := range l.jobs {
		if !time.Unix(0, e.stored).Before(l.Aged) {
			return e.sequence
		}
	}
	if n := len(l.jobs); n > 0 {
		return l.jobs[n-1].sequence + 1
	}
	return 1
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
