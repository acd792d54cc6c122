package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/metrics"
	"logoffworker/worker"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver"
)

// clockOff is how far the Web Server's clock may be off before check says so.
const clockOff = 30 * time.Second

// checkTime bounds each question that check asks.
const checkTime = 8 * time.Second

// check says line by line whether a worker with these settings would work. It changes nothing,
// except that it logs in to the Web Server and out again where it has a user name, and that a proof,
// where it is asked for, ends one of its own sessions. A pair of tokens is not renewed.
func check(ctx context.Context, stdout io.Writer, prove proving) error {
	s, warnings, err := load()
	if err != nil {
		return err
	}
	r := report{w: stdout}
	r.line("settings", nil, "complete")
	for _, warning := range warnings {
		r.warn("settings", warning)
	}
	r.checkReceiverAddr(ctx, s)
	access := ""
	if running := r.checkLocal(ctx, s); running || s.NATS.URL != embedded {
		access = r.checkNATS(ctx, s)
	}
	r.checkSync(ctx, s)
	r.checkDigests(s)
	r.checkIssuers(ctx, s)
	if prove.asked {
		r.proveWebServer(ctx, s, access, prove.user)
	} else {
		r.checkWebServer(ctx, s, access)
	}
	if r.failed > 0 {
		return fmt.Errorf("%d of the checks failed", r.failed)
	}
	return nil
}

// A report prints one line for each thing that was looked at.
type report struct {
	w      io.Writer
	failed int
}

func (r *report) line(what string, err error, ok string) {
	if err != nil {
		r.failed++
		fmt.Fprintf(r.w, "FAIL  %-10s %v\n", what, err)
		return
	}
	fmt.Fprintf(r.w, "ok    %-10s %s\n", what, ok)
}

func (r *report) warn(what, words string) {
	fmt.Fprintf(r.w, "warn  %-10s %s\n", what, words)
}

func (r *report) note(what, words string) {
	fmt.Fprintf(r.w, "note  %-10s %s\n", what, words)
}

// checkProxy says through which proxy the Web Server is reached, without its user. What is no URL Go passes over in
// silence.
func (r *report) checkProxy(s settings) {
	base, _ := url.Parse(s.Webserver.URL) // of which a client was made
	name := base.Scheme + "_proxy"
	if _, err := url.Parse("http://" + cmp.Or(os.Getenv(strings.ToUpper(name)), os.Getenv(name))); err != nil {
		r.warn("webserver", strings.ToUpper(name)+" is no URL, and is passed over: the Web Server is reached without a proxy until it is mended")
	}
	if proxy, _ := http.ProxyFromEnvironment(&http.Request{URL: base}); proxy != nil {
		r.note("webserver", "is reached through the proxy "+proxy.Scheme+"://"+proxy.Host+", as HTTPS_PROXY says; NO_PROXY exempts hosts")
	}
}

// checkNATS returns the access token that is stored in NATS, if one is.
func (r *report) checkNATS(ctx context.Context, s settings) (access string) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	c := s.connection()
	if s.NATS.URL == embedded {
		c.URL = "nats://" + s.NATS.Listen
	}
	silent := slog.New(slog.DiscardHandler)
	health := metrics.NewHealth(silent, worker.Parts...)
	nc, err := stream.Connect(c, health, metrics.New(prometheus.NewRegistry(), metrics.Build{}), silent)
	if err != nil {
		r.line("nats", err, "")
		return ""
	}
	defer nc.Close()
	if err := awaitConnection(ctx, nc, health); err != nil {
		r.line("nats", err, "")
		return ""
	}
	r.line("nats", nil, "connected to "+stream.ShownURLs(nc.ConnectedUrl())+", server "+nc.ConnectedServerVersion())
	js, err := s.streamConfig().JetStream(nc)
	if err != nil {
		r.line("streams", err, "")
		return ""
	}
	r.checkStreams(ctx, s, js)
	r.checkHolding(s)
	r.checkReceiving(ctx, s, nc)
	r.checkPolling(ctx, s, js)
	r.checkApprovers(ctx, s, nc)
	r.checkCanary(ctx, s, nc)
	return r.checkPair(ctx, s, js)
}

// checkStreams says which JetStream is used, what the account allows there, and what a worker would create or fail
// at. It creates nothing.
func (r *report) checkStreams(ctx context.Context, s settings, js jetstream.JetStream) {
	config := s.workerConfig().Streams()
	creates := config.Provision == stream.ProvisionCreate
	refused, may := config.MayMake(stream.AskIdentity(ctx, js.Conn()))
	if creates && !may {
		creates, config.Provision = false, stream.ProvisionVerify
		r.warn("streams", "LOGOFF_NATS_PROVISION=create takes the right to publish on "+refused+", which this NATS user does not have: "+stream.MakesForOthers+": `logoff-worker init`")
	}
	looking, cancel := context.WithTimeout(ctx, checkTime/2) // a question that NATS does not let through has no answer
	defer cancel()
	forecast, problems := config.Foresee(looking, js)
	if forecast.Account != "" {
		r.line("jetstream", nil, inDomain(forecast.Domain)+"; "+forecast.Account)
	}
	if forecast.Lacks != "" {
		r.warn("jetstream", forecast.Lacks)
	}
	if creates {
		for _, what := range forecast.Creates {
			r.warn("streams", what+"; the worker creates it when it starts")
		}
	}
	if problems != nil {
		for problem := range strings.SplitSeq(problems.Error(), "\n") {
			r.line("streams", errors.New(problem), "")
		}
		return
	}
	config.Provision = stream.ProvisionVerify
	err := config.ProvisionStreams(ctx, js)
	missing := errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrConsumerNotFound)
	switch {
	case missing && creates && len(forecast.Creates) > 0:
		return // it is said
	case missing && creates:
		r.warn("streams", err.Error()+"; the worker creates it when it starts")
		return
	case missing:
		err = fmt.Errorf("%w; create it with `logoff-worker init` (LOGOFF_NATS_PROVISION=create), as a NATS user who may", err)
	}
	r.line("streams", err, "streams and consumers are as the worker needs them")
}

func inDomain(domain string) string {
	if domain == "" {
		return "without a domain"
	}
	return fmt.Sprintf("domain %q", domain)
}

// checkSync warns when a power cut may lose what NATS has acknowledged. Only the server's monitoring
// address tells.
func (r *report) checkSync(ctx context.Context, s settings) {
	const remedy = "set sync_interval: always in its jetstream block, on every server"
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	switch disk, err := stream.AskDisk(ctx, s.NATS.MonitorURL); {
	case s.NATS.URL == embedded:
		r.line("sync", nil, "the embedded broker writes every message through to the disk")
	case s.NATS.MonitorURL == "":
		r.warn("sync", "whether NATS writes every message through to the disk is not known here; by default it does so every two minutes, and a power cut loses what it acknowledged since: "+remedy+" (LOGOFF_NATS_MONITOR_URL lets this check look)")
	case err != nil:
		r.warn("sync", "the monitoring address of NATS does not tell how it stores: "+err.Error())
	case !disk.Always:
		r.warn("sync", "NATS acknowledges jobs and results before they are on the disk: a power cut may lose them; "+remedy)
	default:
		r.line("sync", nil, "NATS writes every message through to the disk")
	}
}

// checkClock says how far the Web Server's clock is off, where an answer has told its time.
func (r *report) checkClock(server *webserver.Client) {
	ahead, known := server.ClockDifference()
	switch {
	case !known:
		r.warn("clock", "the Web Server's answers tell no time: it is not known whether its clock agrees with this machine's")
	case ahead.Abs() > clockOff:
		r.warn("clock", fmt.Sprintf("the Web Server's clock is off by %v; the worker allows for it, but synchronize the clocks of the Web Server and of this machine", ahead.Round(time.Second)))
	default:
		r.line("clock", nil, "the Web Server's clock agrees with this machine's to "+clockOff.String())
	}
}

// checkWebServer asks with the access token that is stored in NATS, if there is one.
func (r *report) checkWebServer(ctx context.Context, s settings, access string) {
	var token func() (string, error)
	if access != "" {
		token = func() (string, error) { return "Bearer " + access, nil }
	}
	server, err := s.client(token, nil)
	if err != nil {
		r.line("webserver", err, "")
		return
	}
	defer server.CloseIdle()
	r.checkProxy(s)
	if s.Webserver.Username != "" {
		r.note("webserver", "logs in now: if the Web Server rejects that, it counts towards the lock-out of the account")
	}
	err = within(ctx, server.Ping)
	var refused *webserver.Error
	if s.hasPair() && errors.As(err, &refused) && refused.Verdict == webserver.Unauthorized {
		r.warn("webserver", "answers, and refuses the access token, which has probably expired: the worker renews it when it starts; this check does not")
		r.checkProtected(ctx, s, nil)
		return
	}
	r.line("webserver", err, "answers, and takes the credentials; whether they may end sessions shows with `check --prove`, or with the first job")
	if err == nil {
		r.checkClock(server)
		r.checkOwn(ctx, server)
		r.checkProtected(ctx, s, server)
	} else {
		r.checkProtected(ctx, s, nil)
	}
	if err := within(ctx, server.Logout); err != nil {
		r.warn("webserver", "the check's own session was not logged out: "+err.Error())
	}
}

// within asks a question in the time that it has.
func within(ctx context.Context, question func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	return question(ctx)
}
