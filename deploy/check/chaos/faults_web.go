package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"logoffworker/worker/stage"
)

// webFaults are the ways in which a Web Server, and the way to it, fail. The effect is counted in
// logoffs without success.
func (w *world) webFaults() []fault {
	queued := func(form string) func(context.Context) error {
		return func(ctx context.Context) error { return w.web.Ask(ctx, http.MethodPost, "/faults", form, nil) }
	}
	all := func(kind string) func(context.Context) error { return queued(`{"rate":1,` + kind + `}`) }
	down := func(status int) func(context.Context) error {
		return func(ctx context.Context) error {
			return w.web.Ask(ctx, http.MethodPut, "/settings", map[string]int{"down": status}, nil)
		}
	}
	toWeb := links{}
	for _, d := range []*deployment{w.solo, w.trio} {
		for _, r := range d.workers {
			toWeb = append(toWeb, r.toWeb)
		}
	}
	redirect := fmt.Sprintf(`"fault":"redirect","url":"http://%s/login?token=%s"`, w.redirectTarget.listener.Addr(), w.canaries["redirect"])
	few := `{"withOthers":true,"count":2,`
	faults := []fault{
		{name: "web/503", inject: w.webFault(injected, all(`"fault":"status","status":503`))},
		{name: "web/502", inject: w.webFault(injected, all(`"fault":"status","status":502`))},
		{name: "web/504-applied", inject: w.webFault(injected, all(`"fault":"status","status":504,"applied":true`))},
		{name: "web/401", inject: w.webFault(unauthorized, all(`"fault":"status","status":401`))},
		{name: "web/403", inject: w.webFault(injected, all(`"fault":"status","status":403`))},
		{name: "web/429-soon", inject: w.webFault(injected, all(`"fault":"throttle","seconds":1`))},
		{name: "web/429-absurd", inject: w.webFault(injected, all(`"fault":"throttle","seconds":99999999`))},
		{name: "web/hang", inject: w.webFault(injected, all(`"fault":"hang"`))},
		{name: "web/hang-applied", inject: w.webFault(injected, all(`"fault":"hang","applied":true`))},
		{name: "web/reset", inject: w.webFault(injected, all(`"fault":"reset"`))},
		{name: "web/reset-applied", inject: w.webFault(injected, all(`"fault":"reset","applied":true`))},
		{name: "web/page", inject: w.webFault(injected, all(`"fault":"page"`))},
		{name: "web/empty", inject: w.webFault(injected, all(`"fault":"empty"`))},
		{name: "web/cut-off", inject: w.webFault(injected, all(`"fault":"cutoff"`))},
		{name: "web/redirect", inject: w.webFault(injected, all(redirect))},
		{name: "web/slow-body", inject: w.webFault(injected, all(`"fault":"slow"`))},
		{name: "web/endless-body", inject: w.webFault(injected, all(`"fault":"endless"`))},
		{name: "web/gzip-bomb", inject: w.webFault(injected, all(`"fault":"gzipbomb"`))},
		{name: "web/doctype", inject: w.webFault(injected, all(`"fault":"doctype"`))},
		{name: "web/error-body", inject: w.webFault(injected, queued(few+`"fault":"errorbody"}`))},
		{name: "web/error-500", inject: w.webFault(injected, queued(few+`"fault":"generic500"}`))},
		{name: "web/down", inject: w.webFault(injected, down(503))},
		{name: "web/down-reset", inject: w.webFault(injected, down(-1))},
		{name: "web/token-revoked", inject: w.webFault(tokenDead, func(ctx context.Context) error {
			return w.web.Ask(ctx, http.MethodPost, "/logins/revoke", nil, nil)
		})},
		{name: "web/maintenance", inject: w.webFault(injected, func(ctx context.Context) error {
			return w.web.Ask(ctx, http.MethodPut, "/settings", map[string]bool{"maintenance": true}, nil)
		})},
		{name: "web/cut", inject: w.cutWeb(toWeb)},
		{name: "web/slow", inject: w.slowWeb(toWeb)},
	}
	for i := range faults {
		faults[i].web = true
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
		if err := w.web.Ask(ctx, http.MethodPut, "/settings", map[string]any{"down": 0, "maintenance": false}, nil); err != nil {
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
