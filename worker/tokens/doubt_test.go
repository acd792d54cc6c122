package tokens_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"logoffworker/worker/tokens"
	"logoffworker/worker/webserver/simulator"
)

// untilRenewal lets time pass until just before the first renewal of a new chain can come.
func untilRenewal() { passes(19 * time.Minute) }

func TestLostAnswerIsAnAlarmAndNoSecondTry(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{})
		old := f.give(simulator.AccessGrant{})
		a, b := f.start("a", nil), f.start("b", nil)
		untilRenewal()
		f.sim.Configure(func(s *simulator.Settings) { s.Renewal = simulator.RenewalLost })
		passes(5 * time.Minute)
		f.sim.Configure(func(s *simulator.Settings) { s.Renewal = simulator.Renewal200 })
		passes(20 * time.Hour)
		if n := len(f.presented()); n != 1 {
			t.Errorf("the pair was presented %d times", n)
		}
		f.intact()
		for _, r := range []*replica{a, b} {
			says(t, r.problem(), "no known outcome", "got no answer", "make a new access token and put it into the pair file")
			if r.metric("logoff_token_state", "lost") != 1 {
				t.Errorf("%s does not count it as lost", r.name)
			}
			if token, err := r.keeper.Token(); err != nil || token != "Bearer "+old.Access {
				t.Errorf("the old access token is not used on: %v", err)
			}
		}
		if a.metric("logoff_token_renewals_total", "lost")+b.metric("logoff_token_renewals_total", "lost") != 1 {
			t.Error("the lost renewal is not counted once")
		}
		says(t, f.log.String(), "level=ERROR")
		f.noSecrets(a.problem())

		// A new pair heals it, and the old file does not bring the old pair back.
		file := f.give(simulator.AccessGrant{})
		passes(time.Hour)
		if a.problem() != "" || b.problem() != "" || f.sim.Chains()[1].Renewals < 2 {
			t.Errorf("%q, %q, %+v", a.problem(), b.problem(), f.sim.Chains()[1])
		}
		f.write(f.pair, `{"accessToken":"`+old.Access+`","refreshToken":"`+old.Refresh+`"}`)
		c := f.start("c", nil)
		passes(time.Hour)
		if c.problem() != "" || f.sim.Chains()[1].Renewals < 4 {
			t.Errorf("%q, %+v, new pair of chain %d", c.problem(), f.sim.Chains()[1], file.Chain)
		}
		says(t, f.log.String(), "the pair file holds a pair that another has replaced since")
		f.intact()
	})
}

// A replica that died in a renewal, and is started again under its name, knows no more of the outcome than
// any other.
func TestReplicaThatIsStartedAgainPresentsNothing(t *testing.T) {
	for point, presented := range map[tokens.Point]int{tokens.AfterIntent: 0, tokens.AfterCall: 1} {
		t.Run(string(point), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				f := newFleet(t, simulator.Settings{})
				f.give(simulator.AccessGrant{})
				f.start("a", nil)
				f.kill(point)
				a := f.start("a", nil)
				passes(3 * time.Hour)
				says(t, a.problem(), "no known outcome", "worker a", "make a new access token")
				if n := len(f.presented()); n != presented {
					t.Errorf("the pair was presented %d times", n)
				}
				f.intact()
			})
		})
	}
}

// A refusal for good, and one for now.
func TestRefusedRenewals(t *testing.T) {
	for name, test := range map[string]struct {
		settings func(*simulator.Settings)
		dead     bool
	}{
		"403": {func(s *simulator.Settings) { s.Renewal = simulator.Renewal403 }, true},
		"450": {func(s *simulator.Settings) { s.Renewal = simulator.Renewal450 }, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				f := newFleet(t, simulator.Settings{})
				f.give(simulator.AccessGrant{})
				a, b := f.start("a", nil), f.start("b", nil)
				f.sim.Configure(test.settings)
				passes(3 * time.Hour)
				if n := len(f.presented()); n != 1 {
					t.Errorf("the pair was presented %d times", n)
				}
				for _, r := range []*replica{a, b} {
					says(t, r.problem(), "refuses to renew the access token", "make a new access token")
				}
				f.sim.Configure(func(s *simulator.Settings) { s.Renewal = simulator.Renewal200 })
				f.give(simulator.AccessGrant{})
				passes(30 * time.Minute)
				if a.problem() != "" || b.problem() != "" {
					t.Errorf("%q, %q", a.problem(), b.problem())
				}
				f.intact()
			})
		})
	}
}

// What is turned away is tried again, by one replica at a time, and ends well.
func TestRenewalThatIsTurnedAwayIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{})
		f.give(simulator.AccessGrant{})
		replicas := []*replica{f.start("a", nil), f.start("b", nil), f.start("c", nil)}
		for range 6 {
			f.sim.FailNextOn("refresh", simulator.Status(http.StatusTooManyRequests))
		}
		passes(25 * time.Minute)
		told := 0
		for _, r := range replicas {
			if strings.Contains(r.problem(), "could not") {
				told++
			}
		}
		if told != len(replicas) {
			t.Errorf("%d replicas tell of it\n%s", told, f.log)
		}
		passes(30 * time.Minute)
		presented := f.presented()
		if c := f.sim.Chains()[0]; c.Renewals < 1 || len(presented) != 6+c.Renewals {
			t.Errorf("%d calls, %+v", len(presented), c)
		}
		for i := 1; i < 6 && i < len(presented); i++ {
			if gap := presented[i].Time.Sub(presented[i-1].Time); gap < 10*time.Second {
				t.Errorf("try %d came after %v", i+1, gap)
			}
		}
		for _, r := range replicas {
			if p := r.problem(); p != "" {
				t.Errorf("%s says %q", r.name, p)
			}
		}
		f.intact()
	})
}

// An outage of the Web Server, in which every call gets a 503, must leave no renewal without a clear
// answer: nothing is presented while a harmless call fails.
func TestOutageOfTheWebServerLeavesNothingInDoubt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{})
		f.give(simulator.AccessGrant{})
		a, b := f.start("a", nil), f.start("b", nil)
		a.work(time.Minute)
		untilRenewal()
		for _, down := range []int{http.StatusServiceUnavailable, simulator.DownReset} {
			f.sim.Configure(func(s *simulator.Settings) { s.Down = down })
			passes(3 * time.Hour)
			says(t, a.problem(), "could not be renewed", "keeps trying")
			f.sim.Configure(func(s *simulator.Settings) { s.Down = 0 })
			passes(15 * time.Minute)
			if a.problem() != "" || b.problem() != "" {
				t.Errorf("%q, %q", a.problem(), b.problem())
			}
		}
		if err := a.call(t.Context()); err != nil {
			t.Error(err)
		}
		if c := f.sim.Chains()[0]; c.Renewals != 2 {
			t.Errorf("%+v", c)
		}
		f.intact()
	})
}

// An access token that is refused before its time is renewed, once for all; but not again and again
// where the Web Server refuses whatever it hands out.
func TestRefusedAccessTokenIsRenewedEarly(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{LatencyFixed: 50 * time.Millisecond})
		f.give(simulator.AccessGrant{})
		replicas := []*replica{f.start("a", nil), f.start("b", nil), f.start("c", nil)}
		a := replicas[0]
		passes(10 * time.Minute)
		for round := range 10 {
			var calls sync.WaitGroup
			begun := time.Now()
			for _, r := range replicas { // all at the same time
				calls.Go(func() {
					if err := r.call(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			calls.Wait()
			if n := len(f.presented()); n != round || time.Since(begun) > 2*time.Second {
				t.Errorf("%d renewals after %d revocations, within %v", n, round, time.Since(begun))
			}
			passes(10 * time.Minute)
			f.sim.RevokeTokens()
		}
		asked := len(f.presented())
		for range 4 * 60 {
			passes(15 * time.Second)
			f.sim.RevokeTokens()
			_ = a.call(t.Context())
		}
		if n := len(f.presented()) - asked; n > 13 {
			t.Errorf("%d renewals in an hour", n)
		}
		f.intact()
	})
}

// A pair from a file that has expired, or whose age is not known, is renewed when it has rested.
func TestExpiredPairOfAFileIsRenewedAtTheStart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{})
		f.give(simulator.AccessGrant{Expiry: time.Now().Add(-time.Hour)})
		a := f.start("a", nil)
		<-a.keeper.First()
		passes(31 * time.Second)
		if err := a.call(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(f.presented()); n != 1 {
			t.Errorf("%d renewals", n)
		}
		f.intact()
	})
}

// Each damaged or shortened answer that holds both tokens is a renewal.
func TestOddAnswersRenew(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{Renewal: simulator.RenewalMangled})
		f.give(simulator.AccessGrant{})
		f.start("a", nil)
		passes(2 * time.Hour)
		f.sim.Configure(func(s *simulator.Settings) { s.Renewal = simulator.RenewalExpiresIn })
		passes(2 * time.Hour)
		f.sim.Configure(func(s *simulator.Settings) { s.RenewalHeader = simulator.RenewalHeaderRefused })
		passes(2 * time.Hour)
		if c := f.sim.Chains()[0]; c.Renewals < 15 || c.Renewals > 18 {
			t.Errorf("%+v", c)
		}
		f.intact()
	})
}

// A stop in the middle of a renewal waits for its answer and stores it.
func TestStopFinishesARenewal(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{RenewalDelay: 20 * time.Second})
		f.give(simulator.AccessGrant{})
		a := f.start("a", nil)
		f.onReach = func(p tokens.Point) {
			if p == tokens.AfterIntent {
				a.cancel()
			}
		}
		<-a.ended
		f.onReach = nil
		b := f.start("b", nil)
		passes(time.Minute)
		if err := b.call(t.Context()); err != nil || b.problem() != "" || f.sim.Chains()[0].Renewals != 1 {
			t.Errorf("%v, %q, %+v", err, b.problem(), f.sim.Chains()[0])
		}
		f.intact()
	})
}

// The time-out of a renewal is an answer that is lost, though it comes later.
func TestRenewalThatTakesTooLongIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{RenewalDelay: 2 * time.Minute})
		f.give(simulator.AccessGrant{})
		a, b := f.start("a", nil), f.start("b", nil)
		passes(6 * time.Hour)
		says(t, a.problem(), "no known outcome")
		says(t, b.problem(), "no known outcome")
		if n := len(f.presented()); n != 1 {
			t.Errorf("the pair was presented %d times", n)
		}
		f.intact()
	})
}

func TestEndOfRenewingIsAnnounced(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{})
		until := time.Now().Add(14*24*time.Hour + 90*time.Minute)
		f.give(simulator.AccessGrant{RenewableUntil: until})
		a := f.start("a", nil)
		passes(time.Hour)
		if strings.Contains(f.log.String(), "not much longer") {
			t.Error("announced too early")
		}
		passes(49 * time.Hour)
		if n := strings.Count(f.log.String(), "not much longer"); n < 2 || n > 3 {
			t.Errorf("announced %d times in two days", n)
		}
		if got := a.metric("logoff_token_renewable_until_timestamp_seconds", ""); got != float64(until.Unix()) {
			t.Errorf("the metric says %v, want %v", got, until.Unix())
		}
	})
}
