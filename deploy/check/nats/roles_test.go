package nats_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
	"logoffworker/worker/fleet"
	"logoffworker/worker/intake"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

var subjects = stream.DefaultConfig().Subjects

// A site is a deployment on a server with the shipped users.
type site struct {
	*testing.T
	broker

	mu    sync.Mutex
	heard []string // subjects that were published to
}

func newSite(t *testing.T, w way) *site {
	s := &site{T: t, broker: w.start(t)}
	_, err := connect(t, s.server, s.user(listener)).Subscribe(">", func(m *nats.Msg) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.heard = append(s.heard, m.Subject)
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// inbox is where a role hears answers.
func inbox(role string) string {
	switch role {
	case "admin":
		return "_INBOX"
	case "worker":
		return "_INBOX_logoff"
	}
	return "_INBOX_" + role
}

// as connects as one of the roles.
func (s *site) as(role string) *nats.Conn {
	s.Helper()
	return connect(s.T, s.server, s.user(role), nats.CustomInboxPrefix(inbox(role)))
}

// check ends the test at an error.
func (s *site) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// stream is a stream as a role sees it.
func (s *site) stream(js jetstream.JetStream, name string) jetstream.Stream {
	s.Helper()
	handle, err := js.Stream(s.Context(), name)
	s.check(err)
	return handle
}

// get reads a message as the nats command does, which asks the stream and not a copy of it.
func (s *site) get(nc *nats.Conn, name string, sequence uint64) []byte {
	s.Helper()
	request, err := json.Marshal(map[string]uint64{"seq": sequence})
	s.check(err)
	reply, err := nc.Request("$JS.API.STREAM.MSG.GET."+name, request, time.Minute)
	s.check(err)
	var answer struct{ Message struct{ Data []byte } }
	s.check(json.Unmarshal(reply.Data, &answer))
	return answer.Message.Data
}

// unused are rights that no duty here uses.
var unused = []string{
	"$JS.ACK.*.*.", // acknowledgements as servers of later versions may spell them
	"worker $JS.API.STREAM.MSG.GET.LOGOFF_RESULTS", // where somebody has turned the stream's allow_direct off
}

// usesItsRights does a role's duty, and checks that it takes every right of the role.
func (s *site) usesItsRights(role string, duty func(nc *nats.Conn, js jetstream.JetStream)) {
	s.Helper()
	synctest.Wait()
	s.mu.Lock()
	s.heard = nil
	s.mu.Unlock()
	nc := s.as(role)
	duty(nc, jetStream(s.T, nc))
	synctest.Wait()
	if err := nc.LastError(); err != nil {
		s.Errorf("%s: %v", role, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, right := range s.rights[role].Publish {
		exempt := slices.ContainsFunc(unused, func(u string) bool { return strings.HasPrefix(right, u) || role+" "+right == u })
		used := slices.ContainsFunc(s.heard, func(subject string) bool { return server.SubjectMatchesFilter(subject, right) })
		if used == exempt {
			s.Errorf("%s publishes to %s: %t", role, right, used)
		}
	}
}

// Each role can do all that it is for, and has no right that it does not need for it.
func TestEachRoleDoesItsDuty(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			bubble.Run(t, 5*time.Minute, func(t *testing.T) {
				s := newSite(t, w)
				s.provisions()
				live := s.as("reader")
				results, err := live.SubscribeSync("logoff.results.>")
				s.check(err)
				dead, err := live.SubscribeSync("logoff.dead.>")
				s.check(err)
				s.works()
				for _, sub := range []*nats.Subscription{results, dead} {
					if _, err := sub.NextMsg(time.Second); err != nil {
						t.Errorf("the reader hears nothing on %s: %v", sub.Subject, err)
					}
				}
				s.usesItsRights("reader", s.readsAll)
				s.usesItsRights("receiver", s.receives)
				s.usesItsRights("approver", s.approves)
				s.usesItsRights("operator", s.operates)
				s.usesItsRights("admin", s.removesWhatHasNoLane)
			})
		})
	}
}

// provisions is what `logoff-worker init` does, and the making of consumers for a reader.
func (s *site) provisions() {
	s.Helper()
	js := jetStream(s.T, s.as("admin"))
	config := stream.DefaultConfig()
	config.Counts = true
	s.check(config.ProvisionStreams(s.Context(), js))
	for _, name := range []string{subjects.ResultStream(), subjects.DeadStream()} {
		_, err := js.CreateConsumer(s.Context(), name, jetstream.ConsumerConfig{Durable: "reader", AckPolicy: jetstream.AckExplicitPolicy})
		s.check(err)
	}
}

// removesWhatHasNoLane has NATS deliver a dead letter to a subject of jobs, as whoever may read dead letters can. It keeps
// its own subject, so that no lane has it, and is removed as README.md says.
func (s *site) removesWhatHasNoLane(nc *nats.Conn, js jetstream.JetStream) {
	s.Helper()
	letter, copied, jobsBefore := subjects.Dead(jobs.Partial), "no_lane", messages(s.T, js, subjects.RequestStream())
	answered := func(ask, to string) {
		s.Helper()
		s.check(nc.PublishMsg(&nats.Msg{Subject: ask, Reply: to}))
		s.check(nc.Flush())
		synctest.Wait()
	}
	consumer := func(stream string, deliver jetstream.DeliverPolicy) jetstream.Consumer {
		s.Helper()
		c, err := js.CreateConsumer(s.Context(), stream, jetstream.ConsumerConfig{Durable: copied, FilterSubject: letter, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: deliver})
		s.check(err)
		return c
	}
	answered("$JS.API.INFO", letter)
	consumer(subjects.DeadStream(), jetstream.DeliverLastPolicy)
	answered("$JS.API.CONSUMER.MSG.NEXT.LOGOFF_DEAD."+copied, "logoff.requests.urgent.hr")
	msg, err := consumer(subjects.RequestStream(), jetstream.DeliverAllPolicy).Next()
	s.check(err)
	s.check(msg.DoubleAck(s.Context()))
	if left := messages(s.T, js, subjects.RequestStream()); left != jobsBefore {
		s.Errorf("%d messages are in the stream of jobs, before %d", left, jobsBefore)
	}
	for _, name := range []string{subjects.DeadStream(), subjects.RequestStream()} {
		s.check(js.DeleteConsumer(s.Context(), name, copied))
	}
}

// works has two messages published, and worked by a worker that is stopped while the Web Server is down, and started
// again when it is up.
func (s *site) works() {
	sim, client := webServer(s.T)
	sim.Configure(func(settings *simulator.Settings) { settings.Down = 503 })
	for publisher, job := range map[string]string{"soar": `{"sessions":["` + sim.SignOnMany(7, 1)[0] + `"]}`, "hr": "no job"} {
		s.usesItsRights(publisher, func(_ *nats.Conn, js jetstream.JetStream) {
			_, err := js.Publish(s.Context(), s.rights[publisher].Publish[0], []byte(job))
			s.check(err)
		})
	}
	s.usesItsRights("worker", func(nc *nats.Conn, js jetstream.JetStream) {
		if who := stream.AskIdentity(s.Context(), nc); !who.Known || len(who.Approvals(subjects)) > 0 {
			s.Errorf("NATS says that a worker is %+v", who)
		}
		s.keepsAndCounts(js)
		s.runs(client)
		sim.Configure(func(settings *simulator.Settings) { settings.Down = 0 })
		s.runs(client)
		s.tellsOthers()
	})
}

// keepsAndCounts does what a worker does with acts, digests, counters and the results of events.
func (s *site) keepsAndCounts(js jetstream.JetStream) {
	s.Helper()
	ctx := s.Context()
	act, digest := subjects.LaneAct(jobs.Bulk, "operator"), subjects.Digests()
	_, err := jetStream(s.T, s.as("operator")).Publish(ctx, act, []byte("{}"))
	s.check(err)
	_, err = js.Publish(ctx, digest, []byte("{}"))
	s.check(err)
	audit := s.stream(js, subjects.AuditStream())
	latest, err := audit.GetLastMsgForSubject(ctx, subjects.LaneActs(jobs.Bulk))
	s.check(err)
	if latest.Subject != act {
		s.Errorf("the latest act is %s", latest.Subject)
	}
	_, err = audit.GetMsg(ctx, 1)
	s.check(err)

	one := nats.NewMsg(subjects.Count("writes"))
	one.Header.Set("Nats-Incr", "1")
	_, err = js.PublishMsg(ctx, one)
	s.check(err)
	counts := s.stream(js, subjects.CountStream())
	_, err = counts.GetLastMsgForSubject(ctx, one.Subject)
	s.check(err)
	_, err = counts.GetMsg(ctx, 1)
	s.check(err)
	_, err = s.stream(js, subjects.ResultStream()).GetMsg(ctx, 1)
	if !errors.Is(err, jetstream.ErrMsgNotFound) {
		s.Errorf("the first result is there: %v", err)
	}
	_, err = s.stream(js, subjects.ResultStream()).GetLastMsgForSubject(ctx, subjects.Result("set-of-an-event", "*"))
	if !errors.Is(err, jetstream.ErrMsgNotFound) {
		s.Errorf("it cannot be looked up whether an event was worked before: %v", err)
	}
}

// member is a worker that tells others how it is.
func (s *site) member() *fleet.Member {
	s.Helper()
	nc := s.as("worker")
	m, err := fleet.Join(fleet.Config{NATS: nc, Subjects: subjects, Worker: "w", Status: func() []byte { return []byte("well") }})
	s.check(err)
	s.check(nc.Flush())
	s.check(nc.LastError())
	return m
}

// tellsOthers has two workers tell each other, and an operator, how they are.
func (s *site) tellsOthers() {
	s.Helper()
	one, two := s.member(), s.member()
	defer one.Leave()
	defer two.Leave()
	if answers := one.Ask(s.Context()); len(answers) != 2 {
		s.Errorf("%d workers answer", len(answers))
	}
	s.asksWorkers(s.as("operator"))
}

// asksWorkers asks as the nats command does, and as the operator's tool will.
func (s *site) asksWorkers(nc *nats.Conn) {
	s.Helper()
	var one micro.Ping
	for _, ask := range []func() string{
		func() string { return "$SRV.PING" },
		func() string { return "$SRV.INFO.logoff-worker" },
		func() string { return "$SRV.STATS.logoff-worker." + one.ID },
		func() string { return "logoff.fleet.status" },
	} {
		reply, err := nc.Request(ask(), nil, time.Minute)
		s.check(err)
		if one.ID == "" {
			s.check(json.Unmarshal(reply.Data, &one))
		}
	}
}

// runs lets a worker run for a while.
func (s *site) runs(client *webserver.Client) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 10*time.Second)
	defer cancel()
	if said := work(ctx, s.T, s.server, client, stream.DefaultConfig(), s.user("worker")); strings.Contains(strings.ToLower(said), "permission") {
		s.Errorf("the worker says\n%s", said)
	}
}

// receives stores a job of each that a receiver may publish as.
func (s *site) receives(nc *nats.Conn, _ jetstream.JetStream) {
	store := &intake.Store{NATS: nc, Subjects: subjects}
	for _, subject := range s.rights["receiver"].Publish {
		lane, publisher, err := subjects.Origin(subject)
		s.check(err)
		s.check(store.Ask(s.Context(), publisher, lane))
		_, err = store.Put(s.Context(), publisher, lane, signals.Answer{Job: jobs.Job{Users: []jobs.User{{ID: 7}}}})
		s.check(err)
	}
}

// A receiver finds out what its user may not do and has to, and what it may do and need not.
func TestReceiverFindsOutItsRights(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			s := &site{T: t, broker: w.start(t)}
			s.check(stream.DefaultConfig().ProvisionStreams(t.Context(), jetStream(t, s.as("admin"))))
			store := &intake.Store{NATS: s.as("receiver"), Subjects: subjects}
			for _, name := range []string{"keycloak", "siem"} {
				s.check(store.Reach(t.Context(), intake.Name{Name: name, Lanes: jobs.Lanes}))
			}
			var why *intake.StoreError
			if err := store.Reach(t.Context(), intake.Name{Name: "soar", Lanes: jobs.Lanes}); !errors.As(err, &why) || why.Kind != intake.Forbidden {
				t.Errorf("as soar: %v", err)
			}
			if more := store.Excess(); len(more) > 0 {
				t.Errorf("the receiver may %s", strings.Join(more, ", "))
			}
			for role, right := range map[string]string{"worker": "publish on logoff.results.logoff-check.logoff-check", "reader": "subscribe to logoff.results.*.*", "operator": "publish on $JS.API.STREAM.NAMES"} {
				if more := (&intake.Store{NATS: s.as(role), Subjects: subjects}).Excess(); !slices.Contains(more, right) {
					t.Errorf("%s may %q, and no %s is seen", role, more, right)
				}
			}
			for name, n := range map[string]uint64{subjects.RequestStream(): 0, subjects.ResultStream(): 0, subjects.DeadStream(): 0} {
				if got := messages(t, jetStream(t, s.as("admin")), name); got != n {
					t.Errorf("%d messages are in %s after it was tried", got, name)
				}
			}
		})
	}
}

// readsAll reads the two results and the dead letter, in each way that there is.
func (s *site) readsAll(nc *nats.Conn, js jetstream.JetStream) {
	results, dead := s.stream(js, subjects.ResultStream()), s.stream(js, subjects.DeadStream())
	statuses := map[string]int{}
	for sequence := range uint64(2) {
		msg, err := results.GetMsg(s.Context(), sequence+1)
		s.check(err)
		statuses[msg.Header.Get("Logoff-Status")]++
		_, err = results.GetLastMsgForSubject(s.Context(), msg.Subject)
		s.check(err)
		if got := s.get(nc, subjects.ResultStream(), sequence+1); string(got) != string(msg.Data) {
			s.Errorf("the result is %s, and %s", msg.Data, got)
		}
	}
	if statuses[string(jobs.AcceptedJob)] != 1 || statuses[string(jobs.Invalid)] != 1 {
		s.Errorf("the results are %v", statuses)
	}
	s.readsActs(nc, js)
	letter, err := dead.GetMsg(s.Context(), 1)
	s.check(err)
	if string(letter.Data) != "no job" {
		s.Errorf("the dead letter is %s", letter.Data)
	}
	for name, n := range map[string]int{subjects.ResultStream(): 2, subjects.DeadStream(): 1} {
		consumer, err := js.Consumer(s.Context(), name, "reader")
		s.check(err)
		batch, err := consumer.FetchNoWait(10)
		s.check(err)
		for msg := range batch.Messages() {
			s.check(msg.DoubleAck(s.Context()))
			n--
		}
		if n != 0 {
			s.Errorf("the consumer of %s brings %d messages too few", name, n)
		}
	}
}

// readsActs reads what was done, and who it is itself.
func (s *site) readsActs(nc *nats.Conn, js jetstream.JetStream) {
	s.Helper()
	audit := s.stream(js, subjects.AuditStream())
	act, err := audit.GetLastMsgForSubject(s.Context(), subjects.LaneActs(jobs.Bulk))
	s.check(err)
	_, err = audit.GetMsg(s.Context(), act.Sequence)
	s.check(err)
	_, err = nc.Request("$SYS.REQ.USER.INFO", nil, time.Second)
	s.check(err)
}

// approves looks at a dead letter, writes down that it is approved, publishes it and takes the letter away.
func (s *site) approves(nc *nats.Conn, js jetstream.JetStream) {
	ctx := s.Context()
	dead := s.stream(js, subjects.DeadStream())
	letter, err := dead.GetMsg(ctx, 1)
	s.check(err)
	for _, verb := range []jobs.Verb{jobs.ActApprove, jobs.ActDeny} {
		_, err = js.Publish(ctx, subjects.Act(verb, "approver"), []byte("{}"))
		s.check(err)
	}
	ack, err := js.Publish(ctx, subjects.Approved(jobs.Urgent, "approver"), letter.Data)
	s.check(err)
	if job := s.get(nc, subjects.RequestStream(), ack.Sequence); string(job) != string(letter.Data) {
		s.Errorf("%s was approved as %s", letter.Data, job)
	}
	for _, name := range []string{subjects.ResultStream(), subjects.AuditStream()} {
		reply, err := nc.Request("$JS.API.DIRECT.GET."+name, []byte(`{"seq":1,"batch":10,"next_by_subj":">"}`), time.Minute)
		s.check(err)
		if len(reply.Data) == 0 {
			s.Errorf("the approver reads nothing from %s", name)
		}
	}
	if err := dead.DeleteMsg(ctx, 99); err == nil { // the operator needs that which is there
		s.Errorf("a letter is taken away that is not there")
	}
	_, err = nc.Request("$SYS.REQ.USER.INFO", nil, time.Second)
	s.check(err)
}

// operates looks around, asks the workers, pauses a lane, publishes a dead letter again and drops it.
func (s *site) operates(nc *nats.Conn, js jetstream.JetStream) {
	ctx := s.Context()
	defer s.member().Leave()
	s.asksWorkers(nc)
	_, err := js.AccountInfo(ctx)
	s.check(err)
	names, list := js.StreamNames(ctx), js.ListStreams(ctx)
	if n, m := count(names.Name()), count(list.Info()); n != 5 || m != 5 || names.Err() != nil || list.Err() != nil {
		s.Errorf("%d and %d streams, %v, %v", n, m, names.Err(), list.Err())
	}
	requests, results, dead := s.stream(js, subjects.RequestStream()), s.stream(js, subjects.ResultStream()), s.stream(js, subjects.DeadStream())
	lanes, consumers := requests.ConsumerNames(ctx), requests.ListConsumers(ctx)
	if n, m := count(lanes.Name()), count(consumers.Info()); n != 2 || m != 2 || lanes.Err() != nil || consumers.Err() != nil {
		s.Errorf("%d and %d consumers, %v, %v", n, m, lanes.Err(), consumers.Err())
	}
	result, err := results.GetMsg(ctx, 1)
	s.check(err)
	_, err = results.GetLastMsgForSubject(ctx, result.Subject)
	s.check(err)
	s.get(nc, subjects.ResultStream(), 1)
	s.readsActs(nc, js)
	for _, subject := range []string{subjects.Act(jobs.ActDrop, "operator"), subjects.LaneAct(jobs.Bulk, "operator")} {
		_, err = js.Publish(ctx, subject, []byte("{}"))
		s.check(err)
	}

	for _, lane := range jobs.Lanes {
		consumer, err := js.Consumer(ctx, subjects.RequestStream(), string(lane))
		s.check(err)
		_, err = js.PauseConsumer(ctx, subjects.RequestStream(), string(lane), time.Now().Add(time.Hour))
		s.check(err)
		if info, err := consumer.Info(ctx); err != nil || !info.Paused {
			s.Errorf("the consumer of %s is not paused: %v", lane, err)
		}
		_, err = js.ResumeConsumer(ctx, subjects.RequestStream(), string(lane))
		s.check(err)

		letter, err := dead.GetMsg(ctx, 1)
		s.check(err)
		ack, err := js.Publish(ctx, subjects.Request(lane, "operator"), letter.Data, jetstream.WithMsgID("again-1-"+string(lane)))
		s.check(err)
		if job := s.get(nc, subjects.RequestStream(), ack.Sequence); string(job) != string(letter.Data) {
			s.Errorf("%s was published again as %s", letter.Data, job)
		}
	}
	s.check(dead.SecureDeleteMsg(ctx, 1))
	if info, err := dead.Info(ctx); err != nil || info.State.Msgs != 0 {
		s.Errorf("%+v, %v", info.State, err)
	}
}

// count is how many things come from a channel.
func count[T any](from <-chan T) (n int) {
	for range from {
		n++
	}
	return n
}

// A step is one that a role may not take.
type step struct {
	role, verb string
	subjects   []string
}

var steps = []step{
	{"admin", "publish", []string{"logoff.requests", "logoff.requests.urgent.soar", "logoff.results.a.b", "logoff.dead.failed", "$JS.ACK.LOGOFF_REQUESTS.urgent.1.1.1.1.1"}},
	{"admin", "subscribe", []string{">", "logoff.>", "_INBOX_soar.>", "_INBOX_logoff.>"}},

	{"worker", "publish", []string{
		"logoff.requests", "logoff.requests.urgent.soar", "logoff.approved.urgent.worker", "logoff.audit.act.pause.worker", "logoff.audit.lane.bulk.operator",
		"$JS.API.STREAM.CREATE.LOGOFF_REQUESTS", "$JS.API.STREAM.UPDATE.LOGOFF_RESULTS", "$JS.API.STREAM.DELETE.LOGOFF_REQUESTS", "$JS.API.STREAM.PURGE.LOGOFF_RESULTS",
		"$JS.API.STREAM.MSG.DELETE.LOGOFF_RESULTS", "$JS.API.STREAM.MSG.DELETE.LOGOFF_REQUESTS", "$JS.API.STREAM.MSG.GET.LOGOFF_DEAD", "$JS.API.STREAM.LIST",
		"$JS.API.CONSUMER.CREATE.LOGOFF_REQUESTS.urgent", "$JS.API.CONSUMER.DURABLE.CREATE.LOGOFF_REQUESTS.urgent", "$JS.API.CONSUMER.DELETE.LOGOFF_REQUESTS.urgent", "$JS.API.CONSUMER.PAUSE.LOGOFF_REQUESTS.urgent",
		"$JS.API.CONSUMER.MSG.NEXT.LOGOFF_RESULTS.reader", "$JS.ACK.LOGOFF_RESULTS.reader.1.1.1.1.1", "$JS.ACK.x.y.LOGOFF_RESULTS.reader.1.1.1.1.1",
		"$KV.LOGOFF_TOKENS.pair", "_INBOX_soar.x", "_INBOX_reader.x", "_INBOX.x", "$SRV.PING", "$SRV.INFO.logoff-worker", "logoff.fleet.stop",
	}},
	{"worker", "subscribe", []string{"$SRV.>", "$SRV.*", "$SRV.PING.>", "$SRV.PING.other", "logoff.fleet.>", ">", "logoff.>", "logoff.requests.>", "logoff.results.>", "_INBOX.>", "_INBOX_soar.>", "$JS.>"}},

	{"soar", "publish", []string{
		"logoff.requests", "logoff.requests.urgent", "logoff.requests.bulk", "logoff.requests.bulk.soar", "logoff.requests.urgent.hr", "logoff.requests.bulk.hr", "logoff.requests.urgent.soar.more",
		"logoff.results.a.b", "logoff.dead.failed", "logoff.approved.urgent.soar", "logoff.approved.urgent.approver",
		"$JS.API.INFO", "$JS.API.STREAM.INFO.LOGOFF_REQUESTS", "$JS.API.STREAM.DELETE.LOGOFF_REQUESTS", "$JS.API.STREAM.PURGE.LOGOFF_REQUESTS", "$JS.API.STREAM.MSG.GET.LOGOFF_REQUESTS",
		"$JS.API.CONSUMER.CREATE.LOGOFF_RESULTS.mine", "$JS.API.CONSUMER.MSG.NEXT.LOGOFF_REQUESTS.urgent", "$JS.API.CONSUMER.MSG.NEXT.LOGOFF_RESULTS.reader",
		"$JS.API.DIRECT.GET.LOGOFF_RESULTS.logoff.results.a.b", "$JS.ACK.LOGOFF_REQUESTS.urgent.1.1.1.1.1", "_INBOX_hr.x",
		"logoff.fleet.status", "$SRV.PING",
	}},
	{"soar", "subscribe", []string{">", "logoff.>", "logoff.requests.urgent.soar", "logoff.results.>", "logoff.dead.>", "_INBOX.>", "_INBOX_hr.>", "_INBOX_logoff.>"}},

	{"hr", "publish", []string{"logoff.requests.urgent.hr", "logoff.requests.bulk.soar", "logoff.requests.urgent.soar", "logoff.results.a.b", "$JS.API.STREAM.DELETE.LOGOFF_REQUESTS"}},
	{"hr", "subscribe", []string{"_INBOX_soar.>", "_INBOX.>", "logoff.results.>"}},

	{"receiver", "publish", []string{
		"logoff.requests", "logoff.requests.urgent", "logoff.requests.bulk", "logoff.requests.urgent.soar", "logoff.requests.bulk.keycloak", "logoff.requests.urgent.receiver", "logoff.requests.urgent.keycloak.more",
		"logoff.results.a.b", "logoff.dead.failed", "logoff.approved.urgent.receiver", "logoff.approved.urgent.keycloak", "logoff.audit.act.pause.receiver", "logoff.audit.digest", "logoff.counts.writes",
		"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.INFO.LOGOFF_REQUESTS", "$JS.API.STREAM.CREATE.LOGOFF_REQUESTS", "$JS.API.STREAM.UPDATE.LOGOFF_REQUESTS", "$JS.API.STREAM.DELETE.LOGOFF_REQUESTS",
		"$JS.API.STREAM.PURGE.LOGOFF_REQUESTS", "$JS.API.STREAM.MSG.GET.LOGOFF_REQUESTS", "$JS.API.STREAM.MSG.GET.LOGOFF_RESULTS", "$JS.API.STREAM.MSG.DELETE.LOGOFF_DEAD", "$JS.API.DIRECT.GET.LOGOFF_RESULTS.logoff.results.a.b",
		"$JS.API.CONSUMER.CREATE.LOGOFF_REQUESTS.mine", "$JS.API.CONSUMER.PAUSE.LOGOFF_REQUESTS.urgent", "$JS.API.CONSUMER.MSG.NEXT.LOGOFF_REQUESTS.urgent", "$JS.ACK.LOGOFF_REQUESTS.urgent.1.1.1.1.1",
		"$KV.LOGOFF_TOKENS.pair", "_INBOX_logoff.x", "_INBOX_soar.x", "_INBOX.x", "logoff.fleet.status", "$SRV.PING", "$SYS.REQ.USER.INFO",
	}},
	{"receiver", "subscribe", []string{">", "logoff.>", "logoff.requests.>", "logoff.requests.urgent.keycloak", "logoff.results.>", "logoff.dead.>", "_INBOX.>", "_INBOX_logoff.>", "_INBOX_soar.>", "$JS.>"}},

	{"reader", "publish", []string{
		"logoff.requests", "logoff.requests.urgent.reader", "logoff.results.a.b", "logoff.dead.failed", "logoff.approved.urgent.reader",
		"$JS.API.STREAM.DELETE.LOGOFF_RESULTS", "$JS.API.STREAM.UPDATE.LOGOFF_RESULTS", "$JS.API.STREAM.PURGE.LOGOFF_DEAD", "$JS.API.STREAM.MSG.DELETE.LOGOFF_DEAD", "$JS.API.STREAM.MSG.DELETE.LOGOFF_RESULTS",
		"$JS.API.STREAM.INFO.LOGOFF_REQUESTS", "$JS.API.STREAM.MSG.GET.LOGOFF_REQUESTS",
		"$JS.API.CONSUMER.CREATE.LOGOFF_RESULTS.mine", "$JS.API.CONSUMER.DURABLE.CREATE.LOGOFF_DEAD.mine", "$JS.API.CONSUMER.DELETE.LOGOFF_RESULTS.reader",
		"$JS.API.CONSUMER.MSG.NEXT.LOGOFF_REQUESTS.urgent", "$JS.ACK.LOGOFF_REQUESTS.urgent.1.1.1.1.1", "$JS.ACK.x.y.LOGOFF_REQUESTS.urgent.1.1.1.1.1", "_INBOX_soar.x",
		"logoff.fleet.status", "$SRV.PING",
	}},
	{"reader", "subscribe", []string{"logoff.fleet.status", ">", "logoff.>", "logoff.requests.>", "_INBOX.>", "_INBOX_operator.>"}},

	{"operator", "publish", []string{
		"logoff.results.a.b", "logoff.dead.failed", "logoff.requests", "logoff.requests.urgent", "logoff.requests.urgent.soar", "logoff.approved.urgent.operator", "logoff.approved.urgent.approver",
		"$JS.API.STREAM.CREATE.LOGOFF_OTHER", "$JS.API.STREAM.UPDATE.LOGOFF_REQUESTS", "$JS.API.STREAM.DELETE.LOGOFF_DEAD", "$JS.API.STREAM.PURGE.LOGOFF_DEAD",
		"$JS.API.STREAM.MSG.DELETE.LOGOFF_RESULTS", "$JS.API.STREAM.MSG.DELETE.LOGOFF_REQUESTS",
		"$JS.API.CONSUMER.CREATE.LOGOFF_REQUESTS.mine", "$JS.API.CONSUMER.DELETE.LOGOFF_REQUESTS.urgent", "$JS.API.CONSUMER.PAUSE.LOGOFF_RESULTS.reader",
		"$JS.API.CONSUMER.MSG.NEXT.LOGOFF_REQUESTS.urgent", "$JS.ACK.LOGOFF_REQUESTS.urgent.1.1.1.1.1", "_INBOX_logoff.x",
		"$SRV.PING.other", "logoff.fleet.stop",
		"logoff.audit.act.drop.jane", "logoff.audit.lane.bulk.approver", "logoff.audit.digest", "logoff.counts.writes",
	}},
	{"operator", "subscribe", []string{"logoff.fleet.status", "$SRV.PING", ">", "logoff.>", "logoff.requests.>", "_INBOX.>", "_INBOX_logoff.>"}},

	{"approver", "publish", []string{
		"logoff.approved.urgent.soar", "logoff.approved.urgent", "logoff.requests.urgent.approver", "logoff.results.a.b", "logoff.dead.held",
		"$JS.API.STREAM.MSG.DELETE.LOGOFF_RESULTS", "$JS.API.STREAM.MSG.DELETE.LOGOFF_REQUESTS", "$JS.API.STREAM.MSG.DELETE.LOGOFF_AUDIT", "$JS.API.STREAM.DELETE.LOGOFF_DEAD",
		"$JS.API.STREAM.INFO.LOGOFF_REQUESTS", "$JS.API.STREAM.INFO.LOGOFF_RESULTS", "$JS.API.STREAM.INFO.LOGOFF_AUDIT", "$JS.API.STREAM.PURGE.LOGOFF_REQUESTS", "$JS.API.CONSUMER.PAUSE.LOGOFF_REQUESTS.bulk",
		"$JS.API.CONSUMER.CREATE.LOGOFF_REQUESTS.mine", "$JS.API.CONSUMER.MSG.NEXT.LOGOFF_REQUESTS.urgent", "$JS.ACK.LOGOFF_REQUESTS.urgent.1.1.1.1.1", "$JS.API.DIRECT.GET.LOGOFF_COUNTS",
		"logoff.audit.act.drop.approver", "logoff.audit.act.approve.operator", "logoff.audit.lane.bulk.approver",
	}},
	{"approver", "subscribe", []string{">", "logoff.>", "_INBOX.>", "_INBOX_operator.>"}},
}

// No role can do what is another's.
func TestNoRoleCanDoMore(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			s := &site{T: t, broker: w.start(t)}
			roles := map[string]bool{}
			for _, step := range steps {
				roles[step.role] = true
				for _, subject := range step.subjects {
					nc := s.as(step.role)
					publishes := step.verb == "publish" && tried(t, nc, subject)
					subscribes := step.verb == "subscribe" && heard(t, nc, subject)
					if publishes || subscribes {
						t.Errorf("%s may %s to %s", step.role, step.verb, subject)
					}
					nc.Close()
				}
			}
			for role := range s.rights {
				if !roles[role] {
					t.Errorf("nothing is tried as %s", role)
				}
			}
		})
	}
}

// tried publishes, and reports whether the server let it. The server refuses before it answers the flush.
func tried(t *testing.T, nc *nats.Conn, subject string) bool {
	t.Helper()
	if err := errors.Join(nc.Publish(subject, nil), nc.Flush()); err != nil {
		t.Fatal(err)
	}
	return !errors.Is(nc.LastError(), nats.ErrPermissionViolation)
}

// heard is the same for a subscription.
func heard(t *testing.T, nc *nats.Conn, subject string) bool {
	t.Helper()
	_, err := nc.SubscribeSync(subject)
	if err := errors.Join(err, nc.Flush()); err != nil {
		t.Fatal(err)
	}
	return !errors.Is(nc.LastError(), nats.ErrPermissionViolation)
}
