package main

import (
	"cmp"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker/intake"
	"logoffworker/worker/issuers"
	"logoffworker/worker/stream"
)

// A role is what a command does with the settings.
type role int

const (
	works    role = iota // works jobs, and lets them in where the settings say so
	receives             // lets jobs in alone, and knows no Web Server
	creates              // makes streams and buckets alone, and knows no Web Server either
)

const (
	// receiverInbox starts the subjects of answers to a receiver that works no jobs, so that its NATS user needs no right
	// to hear what workers are answered.
	receiverInbox = "_INBOX_receiver"
	// receiverPatience is how long requests that have begun may take at a stop: to arrive, and to be stored.
	receiverPatience = 10 * time.Second
)

// asReceiver are the settings without what a receiver does not read.
func (s settings) asReceiver() settings {
	var none settings
	s.Webserver, s.Audit, s.CanaryEvery = none.Webserver, none.Audit, 0
	s.ProtectedSessions, s.ProtectedUsers, s.ProtectedSessionsFile, s.ProtectedUsersFile = nil, nil, "", ""
	s.NATS.Provision = string(stream.ProvisionVerify) // its NATS user may create nothing
	s.NATS.InboxPrefix = cmp.Or(s.NATS.InboxPrefix, receiverInbox)
	return s
}

// asCreator are the settings without what init does not read. That there is a pair of tokens stays known: it needs a
// bucket.
func (s settings) asCreator() settings {
	pair, key := s.Webserver.PairFile, s.Webserver.PairKeyFile
	var none settings
	s.Webserver, s.Receiver, s.Audit, s.CanaryEvery, s.HTTPConfigFile = none.Webserver, none.Receiver, none.Audit, 0, ""
	s.Webserver.PairFile, s.Webserver.PairKeyFile = pair, key
	s.ProtectedSessions, s.ProtectedUsers, s.ProtectedSessionsFile, s.ProtectedUsersFile = nil, nil, "", ""
	return s
}

const receiverAddr = "LOGOFF_RECEIVER_ADDR"

func (s settings) receiverProblems(p *problems, r role) {
	addr := s.Receiver.Addr
	given := addr != ""
	p.check(receiverAddr, !given || isHostPort(addr), "must be host:port, with a number for the port")
	p.check(receiverAddr, addr != s.HTTPAddr || strings.HasSuffix(addr, ":0"), "the same address as LOGOFF_HTTP_ADDR; choose another")
	p.check(receiverAddr, s.NATS.URL != embedded || addr != s.NATS.Listen || strings.HasSuffix(addr, ":0"), "the same address as LOGOFF_NATS_LISTEN; choose another")
	p.check(receiverAddr, r != receives || given || s.polls(), "required, since no stream of the issuers file is polled: the address at which jobs and events are received, such as :8443")
	p.check(issuersFile, s.IssuersFile != "" || !given && r != receives, "required for receiving: it says who may send, and what")
	p.check("LOGOFF_RECEIVER_CONFIG_FILE", given || s.Receiver.ConfigFile == "", "given without LOGOFF_RECEIVER_ADDR")
	problem := httpConfigProblem(s.Receiver.ConfigFile)
	p.check("LOGOFF_RECEIVER_CONFIG_FILE", problem == "", problem)
	p.check("LOGOFF_NATS_URL", r != receives || s.NATS.URL != embedded, "a receiver starts no broker; give it the NATS servers of the workers, or receive at the worker that has the broker: set LOGOFF_RECEIVER_ADDR there")
}

// polls reports whether the issuers file has a stream that is polled.
func (s settings) polls() bool {
	trusted, _ := s.openIssuers() // what is wrong with it is told
	return trusted != nil && slices.ContainsFunc(trusted.File().Issuers, func(i issuers.Issuer) bool {
		return i.Stream != nil && i.Stream.Delivery != "push"
	})
}

// receiverWarnings tell of a receiver whose senders' secrets cross the network in the open.
func (s settings) receiverWarnings() []string {
	host, _, err := net.SplitHostPort(s.Receiver.Addr)
	if err != nil || loopback(host) || hasTLS(s.Receiver.ConfigFile) {
		return nil
	}
	return []string{receiverAddr + ": other machines reach it without TLS, and send their secrets in the open, unless a proxy before it has TLS; LOGOFF_RECEIVER_CONFIG_FILE gives it TLS"}
}

// receive receives jobs and events over HTTP, if the settings have an address for it, until it is stopped. Requests that
// have begun are finished then. alive hears whose events came; the command shows a person what the receiver sees.
func (p *process) receive(nc *nats.Conn, alive func(issuer string, updated bool), command string) (stop func(), err error) {
	s := p.settings
	if s.Receiver.Addr == "" {
		return func() {}, nil
	}
	rc := &intake.Receiver{
		Issuers: p.issuers, Store: &intake.Store{NATS: nc, Subjects: s.streamConfig().Subjects},
		Rules:   jobs.Rules{LooseIDs: s.LooseSession.IDs},
		Metrics: p.events(), Health: p.health, Log: p.log, Alive: alive, Command: command,
	}
	at := port{
		variable: receiverAddr, addr: s.Receiver.Addr, config: s.Receiver.ConfigFile, server: rc.Server(),
		what: "Jobs and events are", patience: receiverPatience,
	}
	at.broken = func(err error) { at.ended(p.health, err) }
	stopServing, err := at.serve(p.log)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var asking sync.WaitGroup
	asking.Go(func() { rc.Run(ctx) })
	asking.Go(func() { at.watch(ctx, p.health) })
	return func() {
		stopServing()
		cancel()
		asking.Wait()
	}, nil
}

// runReceiver receives until ctx ends, and works nothing.
func runReceiver(ctx context.Context, stderr io.Writer) error {
	s, log, err := loadSettings(receives, stderr)
	if err != nil {
		return err
	}
	manager, err := managedBySystemd()
	if err != nil {
		log.Warn(err.Error())
	}
	parts := []string{stream.PartNATS, issuers.Part}
	if s.Receiver.Addr != "" {
		parts = append(parts, intake.Part)
	}
	p := newProcess(receives, s, log, parts...)
	p.health.WellMeans("All is well: what comes in is stored.")
	log.Info("The receiver starts.", "version", version(), "revision", revision())
	stopIssuers, err := p.keepIssuers()
	if err != nil {
		return err
	}
	defer stopIssuers()
	stopHTTP, err := serveHTTP(s, metrics.Handler(p.registry, p.health, wordsOf(p.health)), log)
	if err != nil {
		return err
	}
	defer stopHTTP()
	nc, stopNATS, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer stopNATS()
	alive, stopPolling, err := p.pollStreams(nc)
	if err != nil {
		return err
	}
	defer stopPolling()
	stopReceiving, err := p.receive(nc, alive, metrics.CheckCommand+" --receive")
	if err != nil {
		return err
	}
	defer stopReceiving()
	watched, endWatch := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer endWatch()
	watching.Go(func() { manager.watch(watched, p.health) })
	<-ctx.Done()
	log.Info("The receiver stops: requests that have begun are finished, and no other is taken.")
	return nil
}

// wordsOf is the page of a program that has no status page: how it is, in words.
func wordsOf(health *metrics.Health) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		verdict := health.Verdict()
		lines := []string{verdict.Headline}
		for _, part := range verdict.Parts {
			for _, condition := range part.Conditions {
				lines = append(lines, condition.String())
			}
		}
		_, _ = io.WriteString(w, strings.Join(slices.Compact(lines), "\n")+"\n") // who went away needs no answer
	})
}
