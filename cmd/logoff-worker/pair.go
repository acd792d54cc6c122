package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/metrics"
	"logoffworker/worker"
	"logoffworker/worker/evidence"
	"logoffworker/worker/intake"
	"logoffworker/worker/issuers"
	"logoffworker/worker/stream"
	"logoffworker/worker/tokens"
	"logoffworker/worker/webserver"
)

// hasPair reports whether the worker shares an access token that renews itself.
func (s settings) hasPair() bool {
	return s.Webserver.PairFile != "" || s.Webserver.PairKeyFile != ""
}

func (s settings) pairProblems(p *problems) {
	v := s.Webserver
	p.check("LOGOFF_WEBSERVER_PAIR_FILE", v.PairFile != "", "required with LOGOFF_WEBSERVER_PAIR_KEY_FILE")
	p.check("LOGOFF_WEBSERVER_PAIR_KEY_FILE", v.PairKeyFile != "", "required with LOGOFF_WEBSERVER_PAIR_FILE: a file with 32 bytes, base64 or hex, as from `openssl rand -base64 32`")
	if v.PairFile != "" {
		_, err := tokens.ReadPair(v.PairFile)
		p.check("LOGOFF_WEBSERVER_PAIR_FILE", err == nil, fmt.Sprint(err))
	}
	if v.PairKeyFile != "" {
		_, err := tokens.ReadKey(v.PairKeyFile)
		p.check("LOGOFF_WEBSERVER_PAIR_KEY_FILE", err == nil, fmt.Sprint(err))
	}
}

// pairSource returns a function that reads the access token of a pair file.
func pairSource(file string) func() (string, error) {
	return func() (string, error) {
		p, err := tokens.ReadPair(file)
		return "Bearer " + p.Access, err
	}
}

// bucket is the bucket of the pair, named as the streams are: LOGOFF_TOKENS for the prefix logoff.
func (s settings) bucketName() string {
	return strings.TrimSuffix(s.streamConfig().Subjects.RequestStream(), "REQUESTS") + "TOKENS"
}

func (s settings) bucket(js jetstream.JetStream) tokens.Bucket {
	return tokens.Bucket{JS: js, Name: s.bucketName(), Create: s.createsBucket(), Replicas: s.NATS.Replicas}
}

func (s settings) createsBucket() bool { return s.NATS.Provision == string(stream.ProvisionCreate) }

// parts are the parts of the worker's health.
func (s settings) parts() (parts []string) {
	if s.hasPair() {
		parts = append(parts, tokens.Part)
	}
	if s.Audit.SeedFile != "" {
		parts = append(parts, evidence.Part)
	}
	if s.IssuersFile != "" {
		parts = append(parts, issuers.Part)
	}
	if s.Receiver.Addr != "" {
		parts = append(parts, intake.Part)
	}
	return append(parts, worker.Parts...) // that of the canary joins them with its first word: until then nothing keeps the worker from being ready
}

// keepPair keeps the pair, if there is one, and returns when its access token is known or ctx ends: a
// worker without a token would take jobs that others could do. The keeping goes on until stop, since the
// worker's last requests need a token, too. observe hears of each request.
func (p *process) keepPair(ctx context.Context, nc *nats.Conn, observe func(webserver.Call)) (token func() (string, error), stop func(), err error) {
	s := p.settings
	if !s.hasPair() {
		return nil, func() {}, nil
	}
	c := tokens.Config{
		Name: s.workerConfig().Name, Bucket: s.bucketName(), Create: s.createsBucket(), Replicas: s.NATS.Replicas,
		PairFile: s.Webserver.PairFile, NATS: nc, API: s.NATS.API(),
		Metrics: metrics.NewToken(p.registry), Health: p.health, Log: p.log,
		Reached: func(point tokens.Point) { p.reached("token-" + string(point)) },
	}
	if c.Key, err = tokens.ReadKey(s.Webserver.PairKeyFile); err != nil {
		return nil, nil, fmt.Errorf("%w: LOGOFF_WEBSERVER_PAIR_KEY_FILE: %w", errUsage, err)
	}
	if c.WebServer, err = s.webserverConfig(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	c.WebServer.Observe = observe
	keeper, err := tokens.New(c)
	if err != nil {
		return nil, nil, err
	}
	keeping, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		keeper.Run(keeping)
	}()
	select {
	case <-keeper.First():
	case <-ctx.Done():
	}
	return keeper.Token, func() {
		cancel()
		<-ended
	}, nil
}

// checkPair says how the stored pair is, and returns its access token. It renews nothing.
func (r *report) checkPair(ctx context.Context, s settings, js jetstream.JetStream) (access string) {
	if !s.hasPair() {
		return ""
	}
	key, err := tokens.ReadKey(s.Webserver.PairKeyFile)
	if err != nil {
		r.line("pair", err, "")
		return ""
	}
	file, err := tokens.ReadPair(s.Webserver.PairFile)
	if err != nil {
		r.line("pair", err, "")
		return ""
	}
	stored, err := s.bucket(js).Inspect(ctx, key, file)
	switch {
	case errors.Is(err, tokens.ErrNothingStored), errors.Is(err, jetstream.ErrBucketNotFound) && s.createsBucket():
		r.line("pair", nil, "key and pair file are good; nothing is stored yet, the worker begins with the pair of the file, "+times(file))
		return ""
	case err != nil:
		r.line("pair", err, "")
		return ""
	case stored.File == tokens.FileNew:
		r.line("pair", nil, "key and pair file are good; the file holds a new pair, which takes the place of the stored one, "+times(file))
		return ""
	case !stored.Usable():
		r.line("pair", fmt.Errorf("the stored pair is %s (%s): make a new access token and put it into the pair file", stored.State, stored.Why), "")
	default:
		r.line("pair", nil, fmt.Sprintf("key and pair file are good; the stored pair was renewed %d times, %s", stored.Renewals, times(stored.Pair)))
	}
	if stored.File == tokens.FileOld {
		r.warn("pair", "the pair file holds a pair that another has replaced since; the stored pair is used")
	}
	if stored.EndsSoon() {
		r.warn("pair", "it can be renewed for not much longer: make a new access token and put it into the pair file")
	}
	return stored.Pair.Access
}

// times says when a pair ends.
func times(p webserver.Pair) string {
	say := func(t time.Time) string {
		if t.IsZero() {
			return "a time that is not known"
		}
		return t.UTC().Format(time.RFC3339)
	}
	return "its access token ends at " + say(p.Expires) + " and can be renewed until " + say(p.RenewableUntil)
}
