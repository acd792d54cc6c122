package evidence

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/jobs/evidence"
	"logoffworker/metrics"
	"logoffworker/worker/broker"
	"logoffworker/worker/stage"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/stream"
)

// A site is a broker with the streams of a deployment.
type site struct {
	t        *testing.T
	broker   *broker.Broker
	store    string
	nc       *nats.Conn
	js       jetstream.JetStream
	subjects jobs.Subjects
	log      *stage.Output
	health   *metrics.Health
	seed     []byte
	stops    []func()
}

func inSite(t *testing.T, test func(s *site)) {
	bubble.Run(t, 5*time.Minute, func(t *testing.T) {
		bubble.NeedsNATS(t, 11)
		s := &site{t: t, store: t.TempDir(), subjects: jobs.Subjects{Prefix: "logoff"}, log: &stage.Output{}}
		s.startBroker()
		t.Cleanup(func() { s.stopSigners(); s.nc.Close(); s.broker.Shutdown() })
		key, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		if s.seed, err = key.Seed(); err != nil {
			t.Fatal(err)
		}
		if err := stream.DefaultConfig().ProvisionStreams(t.Context(), s.js); err != nil {
			t.Fatal(err)
		}
		test(s)
	})
}

func (s *site) startBroker() {
	s.t.Helper()
	var err error
	if s.broker, err = broker.Start(broker.Options{StoreDir: s.store}); err != nil {
		s.t.Fatal(err)
	}
	s.nc, s.js = s.connect()
}

func (s *site) connect() (*nats.Conn, jetstream.JetStream) {
	s.t.Helper()
	nc, err := s.broker.Connect()
	if err != nil {
		s.t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		s.t.Fatal(err)
	}
	return nc, js
}

// sign starts a signer.
func (s *site) sign(worker string) *prometheus.Registry {
	signer, registry := s.signer(worker)
	ctx, cancel := context.WithCancel(s.t.Context())
	var running sync.WaitGroup
	running.Go(func() { signer.Run(ctx) })
	s.stops = append(s.stops, func() { cancel(); running.Wait() })
	return registry
}

// signer is one that does not run.
func (s *site) signer(worker string) (*Signer, *prometheus.Registry) {
	nc, js := s.connect()
	s.t.Cleanup(nc.Close)
	registry := prometheus.NewRegistry()
	log := slog.New(slog.NewTextHandler(s.log, nil))
	s.health = metrics.NewHealth(log, Part)
	signer := &Signer{
		NATS: nc, JS: js, Subjects: s.subjects, Worker: worker, Health: s.health,
		Metrics: metrics.New(registry, metrics.Build{}), Log: log,
		Key: func() (nkeys.KeyPair, error) { return nkeys.FromSeed(append([]byte(nil), s.seed...)) },
	}
	return signer, registry
}

func (s *site) stopSigners() {
	for _, stop := range s.stops {
		stop()
	}
	s.stops = nil
}

// publish stores results.
func (s *site) publish(n int) {
	s.t.Helper()
	for range n {
		key := jobs.Key(uint64(time.Now().UnixNano()), time.Now())
		if _, err := s.js.PublishAsync(s.subjects.Result("job", key), []byte(`{"jobId":"job"}`), jetstream.WithMsgID("")); err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(time.Microsecond)
	}
	<-s.js.PublishAsyncComplete()
}

func (s *site) read(name, subject string, from uint64) iter.Seq2[*jetstream.RawStreamMsg, error] {
	return func(yield func(*jetstream.RawStreamMsg, error) bool) {
		found, err := s.js.Stream(s.t.Context(), name)
		if err != nil {
			yield(nil, err)
			return
		}
		for ; ; from++ {
			msg, err := found.GetMsg(s.t.Context(), from, jetstream.WithGetMsgSubject(subject))
			if errors.Is(err, jetstream.ErrMsgNotFound) || !yield(msg, err) || err != nil {
				return
			}
			from = msg.Sequence
		}
	}
}

// check has the chain checked.
func (s *site) check() evidence.Report {
	s.t.Helper()
	found, err := s.js.Stream(s.t.Context(), s.subjects.ResultStream())
	if err != nil {
		s.t.Fatal(err)
	}
	info := found.CachedInfo()
	terms := evidence.Terms{Now: time.Now(), First: info.State.FirstSeq, Made: info.Created, Kept: info.Config.MaxAge}
	report, err := evidence.Check(terms, func(yield func([]byte, error) bool) {
		for msg, err := range s.read(s.subjects.AuditStream(), s.subjects.Digests(), 1) {
			if err != nil || !yield(msg.Data, nil) {
				yield(nil, err)
				return
			}
		}
	}, func(from uint64) iter.Seq2[evidence.Record, error] {
		return func(yield func(evidence.Record, error) bool) {
			for msg, err := range s.read(s.subjects.ResultStream(), ">", from) {
				if err != nil || !yield(evidence.Record{Sequence: msg.Sequence, Subject: msg.Subject, Payload: msg.Data}, nil) {
					return
				}
			}
		}
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return report
}

// want checks the chain and what it comes to.
func (s *site) want(digests, results, later int) evidence.Report {
	s.t.Helper()
	report := s.check()
	if len(report.Findings) > 0 || len(report.Remarks) > 0 {
		s.t.Errorf("findings %v, remarks %q", report.Findings, report.Remarks)
	}
	if report.Digests != digests || report.Results != results || report.Later != later {
		s.t.Errorf("%d digests of %d results, %d later; want %d, %d, %d\n%s", report.Digests, report.Results, report.Later, digests, results, later, s.log.String())
	}
	return report
}

// TestSeveralWorkersMakeOneChain of one digest a minute, without an election.
func TestSeveralWorkersMakeOneChain(t *testing.T) {
	inSite(t, func(s *site) {
		for i := range 3 {
			s.sign(fmt.Sprint("worker-", i))
		}
		for range 10 {
			s.publish(100)
			time.Sleep(3 * time.Minute)
		}
		report := s.want(10, 1000, 0)
		if n := strings.Count(s.log.String(), report.LastHash.String()); n != 1 || strings.Count(s.log.String(), "root=") != 10 {
			s.t.Errorf("the log has the latest digest %d times:\n%s", n, s.log.String())
		}
	})
}

// TestOfTwoThatSignTheSameOneIsStored: the other takes it up from there.
func TestOfTwoThatSignTheSameOneIsStored(t *testing.T) {
	inSite(t, func(s *site) {
		s.publish(10)
		time.Sleep(time.Minute)
		for i, want := range []bool{true, false} {
			signer, _ := s.signer(fmt.Sprint("worker-", i))
			present, err := signer.present(s.t.Context())
			if err != nil {
				s.t.Fatal(err)
			}
			digest, err := signer.read(s.t.Context(), 1, present.TimeStamp)
			if err != nil {
				s.t.Fatal(err)
			}
			if stored, err := signer.store(s.t.Context(), head{}, digest, present); stored != want || err != nil {
				s.t.Errorf("stored: %v, %v", stored, err)
			}
		}
		s.want(1, 10, 0)
	})
}

// TestNoResultsNoDigest: nothing is written while there is nothing to cover.
func TestNoResultsNoDigest(t *testing.T) {
	inSite(t, func(s *site) {
		s.sign("worker-1")
		time.Sleep(time.Hour)
		s.want(0, 0, 0)
		s.publish(1)
		time.Sleep(time.Hour)
		s.want(1, 1, 0)
	})
}

// TestTheLatestSecondsAreLeftOut of a digest, because what is not on the disk yet may come to nothing.
func TestTheLatestSecondsAreLeftOut(t *testing.T) {
	inSite(t, func(s *site) {
		s.publish(10)
		time.Sleep(settled)
		s.publish(7)
		s.sign("worker-1")
		time.Sleep(begin + time.Second)
		s.want(1, 10, 7)
		time.Sleep(2 * time.Minute)
		s.want(2, 17, 0)
	})
}

// TestAfterALongOutageSeveralDigestsCoverAll, at once.
func TestAfterALongOutageSeveralDigestsCoverAll(t *testing.T) {
	inSite(t, func(s *site) {
		s.publish(2*evidence.MaxRecords + 100)
		time.Sleep(time.Minute)
		registry := s.sign("worker-1")
		s.sign("worker-2")
		time.Sleep(5 * time.Second)
		s.want(3, 2*evidence.MaxRecords+100, 0)
		families, err := registry.Gather()
		if err != nil {
			s.t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "logoff_undigested_results" && f.GetMetric()[0].GetGauge().GetValue() > 2*evidence.MaxRecords+100 {
				s.t.Errorf("%v", f)
			}
		}
	})
}

// TestAnOutageOfNATSLeavesNothingOut.
func TestAnOutageOfNATSLeavesNothingOut(t *testing.T) {
	inSite(t, func(s *site) {
		s.sign("worker-1")
		s.publish(100)
		time.Sleep(3 * time.Minute)
		s.stopSigners()
		s.nc.Close()
		s.broker.Shutdown()
		s.startBroker()
		s.publish(50)
		s.sign("worker-2")
		time.Sleep(3 * time.Minute)
		s.want(2, 150, 0)
	})
}

// TestADigestSaysWhatWasGoneBefore: a result that was deleted before is no finding, one that is deleted after is.
func TestADigestSaysWhatWasGoneBefore(t *testing.T) {
	inSite(t, func(s *site) {
		s.publish(100)
		results, err := s.js.Stream(s.t.Context(), s.subjects.ResultStream())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, sequence := range []uint64{1, 50, 100} {
			if err := results.DeleteMsg(s.t.Context(), sequence); err != nil {
				s.t.Fatal(err)
			}
		}
		s.sign("worker-1")
		time.Sleep(3 * time.Minute)
		s.want(1, 97, 0)
		if err := results.SecureDeleteMsg(s.t.Context(), 60); err != nil {
			s.t.Fatal(err)
		}
		if f := s.check().Findings; len(f) != 1 || f[0].Kind != evidence.Dropped || f[0].Sequence != 60 {
			s.t.Errorf("findings: %v", f)
		}
	})
}

// TestAStreamMadeAnewBeginsAnew, and is a finding.
func TestAStreamMadeAnewBeginsAnew(t *testing.T) {
	inSite(t, func(s *site) {
		s.sign("worker-1")
		s.publish(100)
		time.Sleep(3 * time.Minute)
		if err := s.js.DeleteStream(s.t.Context(), s.subjects.ResultStream()); err != nil {
			s.t.Fatal(err)
		}
		if err := stream.DefaultConfig().ProvisionStreams(s.t.Context(), s.js); err != nil {
			s.t.Fatal(err)
		}
		s.publish(150)
		time.Sleep(3 * time.Minute)
		report := s.check()
		if f := report.Findings; len(f) != 1 || f[0].Kind != evidence.Renewed || report.Results != 150 {
			s.t.Errorf("findings %v, %d results", f, report.Results)
		}
	})
}

// TestWhatKeepsDigestsFromBeingMadeIsTold, and that it is over.
func TestWhatKeepsDigestsFromBeingMadeIsTold(t *testing.T) {
	inSite(t, func(s *site) {
		if err := s.js.DeleteStream(s.t.Context(), s.subjects.AuditStream()); err != nil {
			s.t.Fatal(err)
		}
		s.publish(10)
		s.sign("worker-1")
		time.Sleep(3 * time.Minute)
		if ready, _ := s.health.Ready(); !ready || !strings.Contains(s.log.String(), "no digest of the results can be made: read the latest digest: no server answers for the stream: it is missing") {
			s.t.Errorf("ready: %v\n%s", ready, s.log.String())
		}
		if err := stream.DefaultConfig().ProvisionStreams(s.t.Context(), s.js); err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		s.want(1, 10, 0)
	})
}
