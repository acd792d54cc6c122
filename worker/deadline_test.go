package worker

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestEarlierTimeIsTheOneThatIsSet(t *testing.T) {
	one, two := time.Unix(1, 0), time.Unix(2, 0)
	for _, test := range []struct{ a, b, want time.Time }{
		{one, two, one}, {two, one, one}, {one, time.Time{}, one}, {time.Time{}, one, one}, {time.Time{}, time.Time{}, time.Time{}},
	} {
		if got := earlier(test.a, test.b); !got.Equal(test.want) {
			t.Errorf("of %v and %v it is %v", test.a, test.b, got)
		}
	}
}

func TestTimeThatIsNotSetNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		for at, want := range map[time.Time]bool{{}: false, now.Add(-1): true, now: true, now.Add(1): false} {
			if overdue(at) != want {
				t.Errorf("%v is overdue at %v: %t", at, now, !want)
			}
		}
	})
}
