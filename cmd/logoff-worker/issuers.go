package main

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"logoffworker/metrics"
	"logoffworker/worker/issuers"
)

// issuersFile is the variable of the file with the security systems that are trusted.
const issuersFile = "LOGOFF_ISSUERS_FILE"

// issuersProblems tells of everything that is wrong with the issuers file.
func (s settings) issuersProblems(p *problems) {
	if s.IssuersFile == "" {
		return
	}
	if _, err := issuers.Open(s.IssuersFile); err != nil {
		for problem := range strings.SplitSeq(err.Error(), "\n") {
			p.check(issuersFile, false, problem)
		}
	}
}

// openIssuers opens the issuers file; nil where there is none.
func (s settings) openIssuers() (*issuers.Issuers, error) {
	if s.IssuersFile == "" {
		return nil, nil
	}
	i, err := issuers.Open(s.IssuersFile)
	if err != nil {
		return nil, fmt.Errorf("%w:\n  %s: %s", errUsage, issuersFile, strings.ReplaceAll(err.Error(), "\n", "\n  "+issuersFile+": "))
	}
	return i, nil
}

// keepIssuers opens the issuers file, if there is one, and keeps it and the issuers' keys fresh until stop.
func (p *process) keepIssuers() (stop func(), err error) {
	if p.issuers, err = p.settings.openIssuers(); p.issuers == nil {
		return func() {}, err
	}
	p.issuers.Health = p.health
	metrics.NewMaps(p.registry, func() (all []metrics.Map) {
		for _, m := range p.issuers.Maps() {
			all = append(all, metrics.Map{Path: m.Path, Subjects: m.Subjects, Modified: m.Modified})
		}
		return all
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { p.issuers.Run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}, nil
}
