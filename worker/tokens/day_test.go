package tokens_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/tokens"
	"logoffworker/worker/webserver/simulator"
)

// period checks that the renewals of one chain came one in each period: at two thirds of 30 minutes
// and up to a twelfth more.
func (f *fleet) period(requests []simulator.Request, longest time.Duration) {
	f.t.Helper()
	for i := 1; i < len(requests); i++ {
		if gap := requests[i].Time.Sub(requests[i-1].Time); gap < 20*time.Minute-time.Second || gap > longest {
			f.t.Errorf("renewal %d came %v after the one before", i+1, gap)
		}
	}
}

// atWork fails the test if a replica's calls failed.
func (f *fleet) atWork(least int) {
	f.t.Helper()
	for _, r := range f.replicas {
		r.mu.Lock()
		if r.pings < least || len(r.failed) > 0 {
			f.t.Errorf("%s: %d of %d calls failed: %v", r.name, len(r.failed), r.pings, r.failed)
		}
		r.mu.Unlock()
	}
}

func TestFleetRenewsOncePerPeriodForADay(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{LatencyFixed: 20 * time.Millisecond})
		f.give(simulator.AccessGrant{})
		for i := range 3 {
			f.start(fmt.Sprint("w", i), nil).work(time.Minute)
		}
		passes(24 * time.Hour)
		f.intact()
		presented := f.presented()
		if n := f.sim.Chains()[0].Renewals; n < 63 || n > 72 || len(presented) != n {
			t.Errorf("%d renewals, %d requests for one", n, len(presented))
		}
		f.period(presented, 22*time.Minute+31*time.Second)
		f.atWork(1400)
		renewed := 0.0
		for _, r := range f.replicas {
			renewed += r.metric("logoff_token_renewals_total", "renewed")
			if p := r.problem(); p != "" || r.metric("logoff_token_state", "good") != 1 {
				t.Errorf("%s says %q", r.name, p)
			}
		}
		if int(renewed) != len(presented) {
			t.Errorf("%v renewals counted, %d made", renewed, len(presented))
		}
		t.Logf("%d renewals; %d requests in all", len(presented), len(f.sim.Journal()))
	})
}

// Replicas die at every point of a renewal for a day and are started again. No old pair is ever
// presented, and where nobody can know the outcome, a person is called and mends it.
func TestFleetOutlivesDeathsAtTheWorstMoments(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{LatencyFixed: 20 * time.Millisecond})
		f.give(simulator.AccessGrant{})
		began := time.Now()
		for i := range 3 {
			f.start(fmt.Sprint("w", i), nil).work(time.Minute)
		}
		deaths, alarms := 0, 0
		for time.Since(began) < 24*time.Hour {
			point := tokens.Points[deaths%len(tokens.Points)]
			passes(45 * time.Minute)
			chain := f.sim.Chains()[len(f.sim.Chains())-1]
			dead := f.kill(point)
			deaths++
			passes(10 * time.Second)
			r := f.start(fmt.Sprintf("%s-%d", dead.name[:2], deaths), nil)
			r.work(time.Minute)
			passes(3 * time.Minute)
			doubt := point == tokens.AfterIntent || point == tokens.AfterCall
			if now := f.sim.Chains()[chain.ID-1]; doubt && now.Renewals-chain.Renewals > 1 || point == tokens.AfterIntent && now.Renewals != chain.Renewals {
				t.Errorf("%s: %d renewals after %d", point, now.Renewals, chain.Renewals)
			}
			for _, r := range f.replicas[len(f.replicas)-1:] {
				if p := r.problem(); doubt {
					says(t, p, "no known outcome", dead.name, "make a new access token")
				} else if p != "" {
					t.Errorf("%s: %q", point, p)
				}
			}
			if doubt {
				alarms++
				asked := len(f.presented())
				passes(3 * time.Hour)
				if n := len(f.presented()); n != asked {
					t.Errorf("%s: the pair in doubt was presented %d times", point, n-asked)
				}
				f.give(simulator.AccessGrant{})
				passes(time.Minute)
				if p := r.problem(); p != "" {
					t.Errorf("a new pair does not heal it: %q", p)
				}
			}
		}
		f.intact()
		if deaths < 8 || alarms < 4 {
			t.Errorf("%d deaths, %d alarms", deaths, alarms)
		}
		renewals := 0
		for _, c := range f.sim.Chains() {
			renewals += c.Renewals
		}
		t.Logf("%d deaths, %d alarms, %d chains, %d renewals", deaths, alarms, len(f.sim.Chains()), renewals)
	})
}

// Three whole workers share a token for a day, with jobs coming all the time and one of them dying in a renewal every
// three hours; where the run is not long, for a part of a day, and one dies every hour. Every session is read back as
// ended, and no old pair is presented.
func TestJobsAreDoneWithASharedTokenForADay(t *testing.T) {
	hours, between := time.Duration(4), 45*time.Minute // one of them dies at each point of a renewal
	if bubble.Long() {
		hours, between = 24, 150*time.Minute
	}
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{LatencyFixed: 20 * time.Millisecond})
		user := f.sim.AddUser(simulator.User{Login: "jane", Display: "Jane"})
		f.give(simulator.AccessGrant{})
		for i := range 3 {
			f.start(fmt.Sprint("w", i), nil).employ()
		}
		passes(time.Minute)
		js, subjects := f.js(), jobs.Subjects{Prefix: "logoff"}
		published := 0
		live := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); passes(2 * time.Minute) {
				job := fmt.Appendf(nil, `{"sessions":[{"id":%q,"userId":%d}]}`, f.sim.SignOnMany(user, 1)[0], user)
				if _, err := js.Publish(t.Context(), subjects.Request(jobs.Urgent, ""), job); err != nil {
					t.Fatal(err)
				}
				published++
			}
		}
		deaths := 0
		for begin := time.Now(); time.Since(begin) < hours*time.Hour; deaths++ {
			live(between)
			point := tokens.Points[deaths%len(tokens.Points)]
			dead := f.kill(point)
			f.start(fmt.Sprintf("%s-%d", dead.name[:2], deaths), nil).employ()
			live(10 * time.Minute)
			if point == tokens.AfterIntent || point == tokens.AfterCall {
				f.give(simulator.AccessGrant{})
			}
		}
		live(10 * time.Minute)
		f.intact()
		renewals := 0
		for _, c := range f.sim.Chains() {
			renewals += c.Renewals
		}
		if n := len(f.presented()); n != renewals || renewals < int(hours)*5/3 || renewals > int(hours)*10/3+2 {
			t.Errorf("%d renewals, %d requests for one", renewals, n)
		}
		done := 0
		results, err := js.OrderedConsumer(t.Context(), subjects.ResultStream(), jetstream.OrderedConsumerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		for range published {
			msg, err := results.Next(jetstream.FetchMaxWait(time.Second))
			if err != nil {
				t.Fatalf("%d of %d results: %v", done, published, err)
			}
			result, err := jobs.DecodeResult(msg.Data())
			if err != nil || result.Status != jobs.Done || result.Counts[jobs.LoggedOff] != 1 {
				t.Errorf("%v: %s", err, msg.Data())
			}
			done++
		}
		if info, err := js.Stream(t.Context(), subjects.RequestStream()); err != nil || info.CachedInfo().State.Msgs != 0 {
			t.Errorf("jobs are left: %v, %v", info, err)
		}
		t.Logf("%d jobs done, %d deaths, %d renewals of %d access tokens", done, deaths, renewals, len(f.sim.Chains()))
	})
}
