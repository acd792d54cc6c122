package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"logoffworker/worker/env"
	"logoffworker/worker/evidence"
)

// seedFile is the variable of the file with the key that signs digests of results.
const seedFile = "LOGOFF_AUDIT_SEED_FILE"

// signingKey reads the key that signs digests of results. Its errors repeat nothing of the file.
func (s settings) signingKey() (nkeys.KeyPair, error) {
	seed, err := env.ReadSecret(s.Audit.SeedFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", seedFile, err)
	}
	key, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		return nil, errors.New(seedFile + ": holds no NKey seed, as `nsc generate nkey --user` makes one: a line that begins with SU")
	}
	return key, nil
}

// publicSigner is the public half of that key.
func (s settings) publicSigner() (string, error) {
	key, err := s.signingKey()
	if err != nil {
		return "", err
	}
	defer key.Wipe()
	return key.PublicKey()
}

func (s settings) auditProblems(p *problems) {
	if s.Audit.SeedFile == "" {
		return
	}
	if _, err := s.publicSigner(); err != nil {
		*p = append(*p, err)
	}
}

// signResults has digests of the results made, if there is a key for them, until stop.
func (p *process) signResults(nc *nats.Conn) (stop func(), err error) {
	s := p.settings
	if s.Audit.SeedFile == "" {
		return func() {}, nil
	}
	config := s.workerConfig()
	js, err := config.Stream.JetStream(nc)
	if err != nil {
		return nil, err
	}
	signer := &evidence.Signer{
		NATS: nc, JS: js, Subjects: config.Stream.Subjects, Worker: config.Name, Key: s.signingKey,
		Health: p.health, Metrics: p.metrics, Log: p.log,
	}
	ctx, cancel := context.WithCancel(context.Background())
	var signing sync.WaitGroup
	signing.Go(func() { signer.Run(ctx) })
	return func() {
		cancel()
		signing.Wait()
	}, nil
}

// checkDigests says who signs the results.
func (r *report) checkDigests(s settings) {
	if s.Audit.SeedFile == "" {
		r.note("digests", "results are not signed, so that nobody notices what is changed afterwards: "+seedFile+" is not set")
		return
	}
	public, err := s.publicSigner()
	r.line("digests", err, "results are signed with "+public+"; give this key to whoever runs logoffctl audit verify --trust")
}
