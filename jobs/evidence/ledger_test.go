package evidence

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestEachJobHasOneResult by the keys of the results, unless it may have aged out.
func TestEachJobHasOneResult(t *testing.T) {
	made := noon
	for _, test := range []struct {
		name    string
		keys    []int // sequences of jobs, in the order of their results; a job is stored one second after the one before
		aged    int   // the first job that was stored since results cannot have aged out; 0 if none ages out
		waits   int   // the first job that waits
		last    uint64
		begin   uint64
		without []uint64
		doubled int
	}{
		{"none", nil, 0, 0, 0, 1, nil, 0},
		{"none has one", nil, 0, 0, 3, 1, []uint64{1, 2, 3}, 0},
		{"each has one", []int{2, 1, 3}, 0, 0, 3, 1, nil, 0},
		{"one in the middle has none", []int{1, 3}, 0, 0, 3, 1, []uint64{2}, 0},
		{"the last have none", []int{1, 2}, 0, 0, 4, 1, []uint64{3, 4}, 0},
		{"one has two", []int{1, 2, 2, 3}, 0, 0, 3, 1, nil, 1},
		{"the first aged out", []int{4, 7, 5, 8}, 5, 0, 8, 5, []uint64{6}, 0},
		{"all but a late one aged out", []int{4}, 9, 0, 8, 9, nil, 0},
		{"all aged out", nil, 9, 0, 8, 9, nil, 0},
		{"all aged out but that of one that waits", nil, 5, 6, 8, 6, []uint64{6, 7, 8}, 0},
		{"one waits for longer than results are kept", []int{4, 7}, 5, 2, 8, 7, []uint64{8}, 0},
		{"the results of the first are gone, and no job is so old", []int{3}, -5, 0, 3, 1, []uint64{1, 2}, 0},
		{"results are more than was asked for", []int{1, 2, 3, 4}, 0, 0, 2, 1, nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			stored := func(job int) time.Time { return made.Add(time.Duration(job) * time.Second) }
			l := &Ledger{Made: made}
			if test.aged != 0 {
				l.Aged = stored(test.aged)
			}
			if test.waits > 0 {
				l.Waits(uint64(test.waits), stored(test.waits))
			}
			for i, job := range test.keys {
				add(t, l, uint64(i+1), job, stored(job))
			}
			add(t, l, 99, 1, made.Add(-time.Hour)) // of an earlier stream
			begin, without := l.Without(test.last)
			if begin != test.begin || !slices.Equal(without, test.without) || len(l.Doubled()) != test.doubled {
				t.Errorf("from %d without %v, doubled %v", begin, without, l.Doubled())
			}
		})
	}
}

func add(t *testing.T, l *Ledger, result uint64, job int, stored time.Time) {
	t.Helper()
	if err := l.Add(Record{Sequence: result, Subject: fmt.Sprintf("logoff.results.x.%d-%d", job, stored.UnixNano())}); err != nil {
		t.Fatal(err)
	}
}

func TestASubjectWithoutAKeyIsRefused(t *testing.T) {
	for _, subject := range []string{"", "logoff.results.a.", "logoff.results.a.1", "logoff.results.a.0-5", "logoff.results.a.x-5", "logoff.results.a.5-x"} {
		if err := (&Ledger{}).Add(Record{Sequence: 7, Subject: subject}); err == nil {
			t.Errorf("%q is taken", subject)
		}
	}
}

// TestWhatIsApprovedIsNotHeld, in whatever order the results come.
func TestWhatIsApprovedIsNotHeld(t *testing.T) {
	var l Ledger
	l.Hold("logoff.results.x.1-1")
	l.Hold("logoff.results.x.2-2")
	l.Release("logoff.results.x.1-1")
	l.Release("3-3")
	l.Hold("logoff.results.x.3-3")
	if l.Held() != 1 {
		t.Errorf("%d are held", l.Held())
	}
}
