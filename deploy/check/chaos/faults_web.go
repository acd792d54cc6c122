package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"logoffworker/worker/stage"
)

// webFaults are the ways in which a Web Server, and the network to it, fail. The effect is counted in logoffs without
// success.
func (w *world) webFaults() []fault {
	set := func(settings map[string]any) func(context.Context) error {
		return func(ctx context.Context) error { return w.web.Ask(ctx, "PUT /settings", settings, nil) }
	}
	toWeb := links{}
	for _, d := range []*deployment{w.solo, w.trio} {
		for _, r := range d.workers {
			toWeb = append(toWeb, r.toWeb)
		}
	}
	faults := append(w.answerFaults(), []fault{
		{name: "web/down", inject: w.webFault(injected, set(map[string]any{"down": 503}))},
		{name: "web/down-reset", inject: w.webFault(injected, set(map[string]any{"down": -1}))},
		{name: "web/token-revoked", inject: w.webFault(tokenDead, func(ctx context.Context) error {
			return w.web.Ask(ctx, "POST /logins/revoke", nil, nil)
		})},
		{name: "web/maintenance", inject: w.webFault(injected, set(map[string]any{"maintenance": true}))},
		{name: "web/cut", inject: w.cutWeb(toWeb)},
		{name: "web/slow", inject: w.slowWeb(toWeb)},
	}...)
	for i := range faults {
		faults[i].web = true
	}
	return faults
}

// answerFaults are wrong answers to logoffs, or none.
func (w *world) answerFaults() (faults []fault) {
	const (
		all = `"rate":1,`
		few = `"withOthers":true,"count":2,`
	)
	redirect := fmt.Sprintf(`"fault":"redirect","url":"http://%s/login?token=%s"`, w.redirectTarget.listener.Addr(), w.canaries["redirect"])
	for _, f := range []struct {
		name string
		is   func(stage.Request) bool
		form string
	}{
		{"web/503", injected, all + `"fault":"status","status":503`},
		{"web/502", injected, all + `"fault":"status","status":502`},
		{"web/504-applied", injected, all + `"fault":"status","status":504,"applied":true`},
		{"web/401", unauthorized, all + `"fault":"status","status":401`},
		{"web/403", injected, all + `"fault":"status","status":403`},
		{"web/429-soon", injected, all + `"fault":"throttle","seconds":1`},
		{"web/429-absurd", injected, all + `"fault":"throttle","seconds":99999999`},
		{"web/hang", injected, all + `"fault":"hang"`},
		{"web/hang-applied", injected, all + `"fault":"hang","applied":true`},
		{"web/reset", injected, all + `"fault":"reset"`},
		{"web/reset-applied", injected, all + `"fault":"reset","applied":true`},
		{"web/page", injected, all + `"fault":"page"`},
		{"web/empty", injected, all + `"fault":"empty"`},
		{"web/cut-off", injected, all + `"fault":"cutoff"`},
		{"web/redirect", injected, all + redirect},
		{"web/slow-body", injected, all + `"fault":"slow"`},
		{"web/endless-body", injected, all + `"fault":"endless"`},
		{"web/gzip-bomb", injected, all + `"fault":"gzipbomb"`},
		{"web/doctype", injected, all + `"fault":"doctype"`},
		{"web/error-body", injected, few + `"fault":"errorbody"`},
		{"web/error-500", injected, few + `"fault":"generic500"`},
	} {
		faults = append(faults, fault{name: f.name, inject: w.webFault(f.is, func(ctx context.Context) error {
			return w.web.Ask(ctx, "POST /faults", "{"+f.form+"}", nil)
		})})
	}
	return faults
}

// webFault lets the Web Server fail for a while.
func (w *world) webFault(is func(stage.Request) bool, inflict func(context.Context) error) func(context.Context, *rand.Rand) (int, string, error) {
	return func(ctx context.Context, random *rand.Rand) (int, string, error) {
		const counts = "logoffs that failed because of it"
		mark, err := w.web.mark(ctx)
		if err != nil {
			return 0, counts, err
		}
		if err := inflict(ctx); err != nil {
			return 0, counts, err
		}
		stage.Pause(ctx, time.Duration(1000+random.IntN(1500))*time.Millisecond)
		failed := 0
		stage.Await(ctx, 8*time.Second, func() bool { failed, err = w.web.failed(ctx, mark, is); return failed > 0 || err != nil })
		if err != nil {
			return 0, counts, err
		}
		if err := w.web.Ask(ctx, "PUT /settings", map[string]any{"down": 0, "maintenance": false}, nil); err != nil {
			return 0, counts, err
		}
		return failed, counts, w.web.heal(ctx)
	}
}

// cutWeb takes the network between the workers and the Web Server away.
func (w *world) cutWeb(toWeb links) func(context.Context, *rand.Rand) (int, string, error) {
	return func(ctx context.Context, random *rand.Rand) (int, string, error) {
		toWeb.cut()
		stage.Pause(ctx, time.Duration(1500+random.IntN(2000))*time.Millisecond)
		return w.solo.unready(ctx, "jobs wait for the Web Server"), notReady, toWeb.mend()
	}
}

// slowWeb makes the network slow.
func (w *world) slowWeb(toWeb links) func(context.Context, *rand.Rand) (int, string, error) {
	return func(ctx context.Context, _ *rand.Rand) (int, string, error) {
		slowest := func() (took time.Duration) {
			for _, link := range toWeb {
				took = max(took, roundTrip(ctx, link))
			}
			return took
		}
		if err := toWeb.each(func(l *link) error { return l.slow(400, 300) }); err != nil {
			return 0, "", err
		}
		took := slowest()
		stage.Pause(ctx, 2*time.Second)
		toWeb.heal(ctx)
		return int(took.Milliseconds() / 50), "a request's time in 50 ms", nil
	}
}

// roundTrip is what a harmless request takes over a link.
func roundTrip(ctx context.Context, l *link) time.Duration {
	begun := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.addr()+"/", nil)
	if err != nil {
		return 0
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	response.Body.Close()
	return time.Since(begun)
}
