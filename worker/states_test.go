package worker_test

import (
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/metrics/statuspage"
	"logoffworker/worker"
	"logoffworker/worker/gate"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/stream"
	"logoffworker/worker/tokens"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// An illness is a state that a deployment is put into, and what is said of it.
type illness struct {
	name    string
	before  func(*site)
	options options // of the worker
	put     func(*site, *network)
	after   time.Duration // it is told by then; zero is 20 seconds
	mend    func(*site, *network)

	part, kind string
	state      metrics.State
	headline   string // how it begins
	do         string // of what a person does
	command    string
	rollout    bool // who asks without the Web Server is told that the worker is ready
}

// disease makes what puts the Web Server into a state, and out of it.
func disease(change func(*simulator.Settings)) (put, mend func(*site, *network)) {
	return func(s *site, _ *network) { s.sim.Configure(change) }, func(s *site, _ *network) {
		s.sim.Configure(func(settings *simulator.Settings) { *settings = s.switches })
	}
}

// plagued has every request to the Web Server fail, or those of one kind.
func plagued(op string, fault simulator.Fault) (put, mend func(*site, *network)) {
	return func(s *site, _ *network) {
			for _, o := range []string{"logoff", "session", "user", "userv4", "login", "renew", "whoami", "base"} {
				if op == "" || op == o {
					s.always(o, fault)
				}
			}
		}, func(s *site, _ *network) {
			s.sim.ClearFaults()
		}
}

// ill is an illness of the Web Server, which ends by itself.
func ill(name, kind, headline, do, command string, put, mend func(*site, *network)) illness {
	return illness{
		name: name, put: put, mend: mend, part: worker.PartWebServer, kind: kind, state: metrics.StateTrouble,
		headline: "Jobs wait for the Web Server: " + headline, do: do, command: command, rollout: true,
	}
}

// incurable is one that a person has to mend.
func incurable(i illness) illness {
	i.state = metrics.StateBroken
	return i
}

// edits has a consumer or stream changed, and set back.
func edits(to, back func(*jetstream.ConsumerConfig)) (put, mend func(*site, *network)) {
	return func(s *site, _ *network) { s.editConsumer(to) }, func(s *site, _ *network) { s.editConsumer(back) }
}

func verifying() options {
	return options{config: func(c *worker.Config) { c.Stream.Provision = stream.ProvisionVerify }}
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func provisionAgain(s *site, _ *network) {
	s.must(stream.DefaultConfig().ProvisionStreams(s.t.Context(), s.js))
}

// ofAnEarlierRelease is a stream of results that takes several for one job, unless they say that they are to be the only
// one.
func ofAnEarlierRelease(c *jetstream.StreamConfig) {
	c.MaxMsgsPerSubject, c.DiscardNewPerSubject = -1, false
}

// changeResults changes the limits of the stream of results.
func (s *site) changeResults(change func(*jetstream.StreamConfig)) {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), s.subjects.ResultStream())
	s.must(err)
	config := stream.CachedInfo().Config
	config.MaxAge = 0 // a change of limits makes the server look for old messages, by a clock outside the bubble
	change(&config)
	_, err = s.js.UpdateStream(s.t.Context(), config)
	s.must(err)
}

// illnesses are the states that a worker can be in, beside well and starting.
func illnesses() (all []illness) {
	const look, prove = "logoff-worker check", "logoff-worker check --prove"
	webServer := func(broke bool, name, kind, headline, do, command string, put, mend func(*site, *network)) {
		i := ill(name, kind, headline, do, command, put, mend)
		if broke {
			i = incurable(i)
		}
		all = append(all, i)
	}
	down, up := disease(func(s *simulator.Settings) { s.Down = 503 })
	webServer(false, "the Web Server is down", "unavailable", "", "look at the Web Server", look, down, up)
	down, up = disease(func(s *simulator.Settings) { s.Down = simulator.DownReset })
	webServer(false, "nobody answers", "unavailable", "", "look at the Web Server", look, down, up)
	down, up = disease(func(s *simulator.Settings) { s.Maintenance = true })
	webServer(false, "maintenance", "unavailable", "", "look at the Web Server", look, down, up)
	down, up = plagued("logoff", simulator.Answer(405, "text/html", "<html><title>Not allowed</title></html>"))
	webServer(true, "a front end refuses DELETE", "misconfigured", "logoff: 405", "let DELETE", prove, down, up)
	down, up = plagued("logoff", simulator.Answer(403, "text/html", "<html><title>Blocked</title></html>"))
	webServer(true, "a firewall refuses DELETE", "misconfigured", "logoff: 403", "let DELETE", prove, down, up)
	down, up = plagued("logoff", simulator.Status(403))
	webServer(true, "a right is missing", "forbidden", "logoff: 403", "give the account the right", prove, down, up)
	down, up = plagued("", simulator.Status(403))
	webServer(true, "everything is forbidden", "forbidden", "", "let the worker's address and account through", look, down, up)
	down, up = plagued("", simulator.Answer(404, "text/html", "<html><title>Not found</title></html>"))
	webServer(true, "the address is wrong", "misconfigured", "", "compare LOGOFF_WEBSERVER_URL", look, down, up)
	down, up = plagued("logoff", simulator.Throttle(60))
	all = append(all, illness{
		name: "too many requests", put: down, mend: up, part: worker.PartBudget, kind: "writes_limited", state: metrics.StateTrouble, rollout: true,
		headline: "The Web Server allows no more writes for now", do: "LOGOFF_WRITES_PER_HOUR",
	})
	webServer(true, "the password is wrong", "login_rejected", "", "put the right password in its place", "",
		func(s *site, _ *network) {
			s.sim.ChangeUser(1, func(u *simulator.User) { u.Password = "another" })
			s.always("renew", simulator.Status(401))
			s.sim.RevokeLogins()
		}, nil)
	all = append(all, natsIllnesses()...)
	all = append(all, consumerIllnesses()...)
	return append(all, otherIllnesses()...)
}

func natsIllnesses() []illness {
	const results = "LOGOFF_RESULTS"
	return []illness{
		{
			name: "NATS is away", part: stream.PartNATS, kind: "disconnected", state: metrics.StateTrouble,
			put: func(_ *site, n *network) { n.set(true) }, mend: func(_ *site, n *network) { n.set(false) },
			headline: "No connection to NATS can be made", do: "look at the NATS servers",
		},
		{
			name: "a stream is missing", options: verifying(), part: stream.PartStreams, kind: "missing " + results, state: metrics.StateBroken,
			put: func(s *site, _ *network) { s.must(s.js.DeleteStream(s.t.Context(), results)) }, mend: provisionAgain,
			headline: "The stream LOGOFF_RESULTS is missing", do: "find out who deleted it, because what was in it is gone; make it anew", command: "logoff-worker init",
		},
		{
			name: "a stream was edited", part: stream.PartStreams, kind: "edited " + results, state: metrics.StateBroken,
			put: func(s *site, _ *network) {
				s.changeResults(func(c *jetstream.StreamConfig) { c.DiscardNewPerSubject = false })
			},
			mend: func(s *site, _ *network) {
				s.changeResults(func(c *jetstream.StreamConfig) { c.DiscardNewPerSubject = true })
			},
			headline: "The stream LOGOFF_RESULTS was changed: max messages per subject is 1", do: "set it back",
			command: "nats stream edit LOGOFF_RESULTS --force --max-msgs-per-subject=-1",
		},
		{
			name: "the results are full", part: stream.PartStreams, kind: "full " + results, state: metrics.StateBroken,
			put: func(s *site, _ *network) { s.limitResults(1) }, mend: func(s *site, _ *network) { s.limitResults(-1) },
			headline: "The stream LOGOFF_RESULTS is full", do: "raise or remove its limit", command: "nats stream edit LOGOFF_RESULTS --force --max-msgs=-1 --max-bytes=-1",
		},
		{
			name: "no result can be stored", part: worker.PartResults, kind: "unstored", state: metrics.StateBroken,
			put:     func(s *site, _ *network) { s.changeResults(func(c *jetstream.StreamConfig) { c.MaxMsgSize = 10 }) },
			mend:    func(s *site, _ *network) { s.changeResults(func(c *jetstream.StreamConfig) { c.MaxMsgSize = -1 }) },
			command: "nats stream edit LOGOFF_RESULTS --force --max-msg-size=-1", // which is the cause
		},
		{
			name: "jobs are stranded", options: verifying(), part: stream.PartStreams, kind: "stranded", state: metrics.StateBroken, after: time.Minute,
			before: func(s *site) {
				bubble.NeedsNATS(s.t, 14)
				s.publish("logoff.requests.bulk", jobOf(s.sim.SignOnMany(7, 1)...))
				_, err := s.js.ResetConsumerToSequence(s.t.Context(), s.subjects.RequestStream(), string(jobs.Bulk), 3)
				s.must(err)
			},
			headline: "1 jobs are stranded", do: "have the consumers made anew",
			command: "nats consumer rm LOGOFF_REQUESTS urgent --force; nats consumer rm LOGOFF_REQUESTS bulk --force; logoff-worker init",
		},
	}
}

func consumerIllnesses() []illness {
	const anew = "nats consumer rm LOGOFF_REQUESTS urgent --force"
	misfilter, refilter := edits(func(c *jetstream.ConsumerConfig) { c.FilterSubjects = []string{"logoff.requests.urgent.one"} },
		func(c *jetstream.ConsumerConfig) {
			c.FilterSubjects = jobs.Subjects{Prefix: "logoff"}.Lane(jobs.Urgent)
		})
	edit, back := edits(func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 3 }, func(c *jetstream.ConsumerConfig) { c.MaxDeliver = -1 })
	return []illness{
		{
			name: "a lane is paused", part: stream.PartUrgent, kind: "paused", state: metrics.StateTrouble,
			before: func(s *site) { bubble.NeedsNATS(s.t, 11) },
			put: func(s *site, _ *network) {
				_, err := s.js.PauseConsumer(s.t.Context(), s.subjects.RequestStream(), "urgent", time.Now().Add(48*time.Hour))
				s.must(err)
			},
			mend: func(s *site, _ *network) {
				_, err := s.js.ResumeConsumer(s.t.Context(), s.subjects.RequestStream(), "urgent")
				s.must(err)
			},
			headline: "The consumer urgent is paused, so that no urgent job is taken.", do: "let it go on now", command: "nats consumer resume LOGOFF_REQUESTS urgent --force",
		},
		{
			name: "a consumer is misfiltered", part: stream.PartUrgent, kind: "edited", state: metrics.StateBroken, put: misfilter, mend: refilter,
			headline: "The consumer urgent was changed: filter subjects is [logoff.requests.urgent.one]", do: "have it made anew", command: anew,
		},
		{
			name: "a consumer was edited", part: stream.PartUrgent, kind: "edited", state: metrics.StateBroken, put: edit, mend: back,
			headline: "The consumer urgent was changed: max deliver is 3", do: "have it made anew", command: anew,
		},
		{
			name: "an edited consumer that is an operator's", options: verifying(), part: stream.PartUrgent, kind: "edited", state: metrics.StateBroken, put: edit, mend: back,
			headline: "The consumer urgent was changed", do: "have it made anew", command: anew + " && logoff-worker init",
		},
		{
			name: "a consumer is missing", options: verifying(), part: stream.PartUrgent, kind: "missing", state: metrics.StateBroken,
			put: func(s *site, _ *network) {
				s.must(s.js.DeleteConsumer(s.t.Context(), s.subjects.RequestStream(), "urgent"))
			},
			mend:     provisionAgain,
			headline: "The consumer urgent of LOGOFF_REQUESTS is missing", do: "make it anew", command: "logoff-worker init",
		},
		{
			name: "a lane does not move", part: stream.PartUrgent, kind: "stuck", state: metrics.StateBroken, after: 6 * time.Minute,
			before:   (*site).hold,
			headline: "Urgent jobs wait, and none was taken or settled since", do: "see who has the jobs", command: "nats consumer info LOGOFF_REQUESTS urgent",
		},
	}
}

// hold takes a job as something that is no worker would, before the worker starts, and keeps it.
func (s *site) hold() {
	s.t.Helper()
	consumer, err := s.js.Consumer(s.t.Context(), s.subjects.RequestStream(), "urgent")
	s.must(err)
	msg, err := consumer.Next()
	s.must(err)
	go func() {
		for gate.Pause(s.t.Context(), 10*time.Second) {
			_ = msg.InProgress()
		}
	}()
}

func otherIllnesses() []illness {
	const check = "logoff-worker check"
	protects := func(sessions, users []string) options {
		return options{config: func(c *worker.Config) { c.ProtectedSessions, c.ProtectedUsers = sessions, users }}
	}
	unlist, list := disease(func(s *simulator.Settings) { s.UnlistedUser = 7 })
	quota, none := disease(func(s *simulator.Settings) { s.ReadsPerHour, s.LimitHint = 1, simulator.LimitHintSeconds })
	return []illness{
		{
			name: "a budget is used up", options: options{config: func(c *worker.Config) { c.WritesPerHour = 5 }}, part: worker.PartBudget, kind: "writes_used_up", state: metrics.StateTrouble,
			put: func(s *site, _ *network) {
				for range 10 {
					s.publish("logoff.requests.bulk", jobOf(s.sim.SignOnMany(7, 1)...))
					<-time.After(time.Second)
				}
			},
			headline: "The budget of writes is used up", do: "raise LOGOFF_WRITES_PER_HOUR",
		},
		{
			name: "the Web Server allows no more reads", part: worker.PartBudget, kind: "reads_limited", state: metrics.StateTrouble, rollout: true,
			put: func(s *site, n *network) {
				quota(s, n)
				s.publish("logoff.requests", ofUser(7), ofUser(7), ofUser(7))
			}, mend: none,
			headline: "The Web Server allows no more reads for now", do: "LOGOFF_READS_PER_HOUR",
		},
		{
			name: "a protected session that is none", options: protects([]string{"no session"}, nil), part: worker.PartProtected, kind: "no_session_id", state: metrics.StateBroken,
			headline: "No session is protected by the value 1 of LOGOFF_PROTECTED_SESSIONS", do: "correct it", command: check,
		},
		{
			name: "a protected user who does not exist", options: protects(nil, []string{"nobody"}), part: worker.PartProtected, kind: "nobody", state: metrics.StateBroken,
			headline: `The Web Server knows nobody by "nobody"`, do: "correct it", command: check,
		},
		{
			name: "a protected user whose sessions cannot be listed", options: protects(nil, []string{"7"}), part: worker.PartProtected, kind: "not_listed", state: metrics.StateBroken, after: 3 * time.Minute,
			put: unlist, mend: list,
			headline: "What sessions", do: "give the worker's account the right", command: check,
		},
	}
}

// Whatever state a deployment is put into, the worker is not ready, and says what is wrong, what happens by itself, what a
// person does, and with which command: in the verdict, to the probe and in the log alike.
func TestEveryStateIsToldInTheSameWords(t *testing.T) {
	for _, i := range illnesses() {
		t.Run(i.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
				n := &network{to: s.broker.Dial}
				i.options.connect = []nats.Option{nats.InProcessServer(n)}
				s.publish("logoff.requests", jobOf(s.sim.SignOnMany(7, 1)...)) // so that there is a result
				if i.before != nil {
					i.before(s)
				}
				r := s.start(i.options)
				passes(t, 33*time.Second)
				if i.put != nil {
					if ready := r.readyz(); ready != "ready\n" {
						t.Fatalf("before: %s", ready)
					}
					i.put(s, n)
				}
				s.publish("logoff.requests", jobOf(s.sim.SignOnMany(7, 1)...))
				passes(t, max(i.after, 20*time.Second))
				r.tells(i)
				if i.mend == nil {
					return
				}
				i.mend(s, n)
				passes(t, 15*time.Minute)
				if v := r.health.Verdict(); v.State != metrics.StateWell || r.readyz() != "ready\n" {
					t.Errorf("after: %s", v)
				}
			})
		})
	}
}

// asks is what the worker answers.
func (r *running) asks(path string) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	page := statuspage.New(statuspage.Config{Registry: r.registry, Health: r.health, Metrics: r.metrics, Subjects: r.site.subjects, Version: "test", Worker: "w"})
	metrics.Handler(r.registry, r.health, page).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	return recorder
}

var tags = regexp.MustCompile(`<[^>]*>`)

// tells checks what a worker says of an illness.
func (r *running) tells(i illness) {
	t := r.site.t
	t.Helper()
	v := r.health.Verdict()
	if v.State != i.state || !strings.HasPrefix(v.Headline, i.headline) || !strings.Contains(v.ToDo, i.do) || v.Command != i.command || v.ByItself == "" {
		t.Errorf("the verdict is %s: %s\nby itself: %s\nto do: %s\ncommand: %s\nlog:\n%s", v.State, v.Headline, v.ByItself, v.ToDo, v.Command, strings.Join(r.site.told(), ""))
	}
	if since := time.Since(v.Since); since < 0 || since > 6*time.Minute {
		t.Errorf("since %v", v.Since)
	}
	at := slices.IndexFunc(v.Parts, func(p metrics.PartVerdict) bool { return p.Part == i.part })
	if at < 0 || v.Parts[at].State != i.state || !slices.ContainsFunc(v.Parts[at].Conditions, func(c metrics.Condition) bool { return c.Kind == i.kind }) {
		t.Errorf("the part %s is not %s of %s: %+v", i.part, i.state, i.kind, v.Parts)
	}
	probe := r.asks("/readyz")
	if probe.Code != http.StatusServiceUnavailable {
		t.Errorf("the probe says %d", probe.Code)
	}
	page := html.UnescapeString(tags.ReplaceAllString(r.asks("/").Body.String(), ""))
	for _, words := range []string{v.Headline, v.ByItself, v.ToDo, v.Command} {
		if !strings.Contains(probe.Body.String(), words) {
			t.Errorf("the probe does not say %q:\n%s", words, probe.Body)
		}
		if words = strings.ReplaceAll(words, "`", ""); words != "" && !strings.Contains(page, words[1:]) { // the first letter is large there
			t.Errorf("the page does not say %q", words)
		}
	}
	for _, words := range []string{v.ByItself, v.ToDo, v.Command} { // what is wrong is there in the words with which it began
		if !strings.Contains(r.site.log.String(), strings.ReplaceAll(words, `"`, `\"`)) {
			t.Errorf("the log does not say %q", words)
		}
	}
	if without := r.asks("/readyz?exclude=" + worker.PartWebServer); (without.Code == http.StatusOK) != i.rollout {
		t.Errorf("without the Web Server the probe says %d %s", without.Code, without.Body)
	}
}

// Before anything is known, the worker starts; and where the Web Server is down from the start, a rollout goes on, with
// protected users too.
func TestStartIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{Down: 503})
		r := s.start(protecting(`CORP\bob`))
		if v := r.health.Verdict(); v.State != metrics.StateStarting || !strings.HasPrefix(v.Headline, "The worker starts: nothing is known yet of ") {
			t.Errorf("%s: %s", v.State, v.Headline)
		}
		if probe := r.asks("/readyz"); probe.Code != http.StatusServiceUnavailable {
			t.Errorf("%d %s", probe.Code, probe.Body)
		}
		passes(t, time.Minute)
		if v := r.health.Verdict(); v.State != metrics.StateTrouble || !strings.HasPrefix(v.Headline, "Jobs wait for the Web Server: ") {
			t.Errorf("%s: %s", v.State, v.Headline)
		}
		if probe := r.asks("/readyz?exclude=webserver"); probe.Code != http.StatusOK {
			t.Errorf("the rollout waits: %s", probe.Body)
		}
	})
}

// What becomes of a pair of tokens is told in the same way.
func TestStatesOfAPairAreToldInTheSameWords(t *testing.T) {
	for _, i := range []struct {
		renewal simulator.Renewal
		illness
	}{
		{simulator.RenewalLost, illness{kind: "lost", headline: "The pair may be lost", do: "make a new access token", state: metrics.StateBroken}},
		{simulator.Renewal403, illness{kind: "refused", headline: "The Web Server refuses to renew the access token", do: "make a new access token", state: metrics.StateBroken}},
	} {
		t.Run(i.kind, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond, AccessTokenLife: 10 * time.Minute})
				log := slog.New(slog.NewTextHandler(s.log, nil))
				registry := prometheus.NewRegistry()
				m, health := metrics.New(registry, metrics.Build{}), metrics.NewHealth(log, slices.Concat(worker.Parts, []string{tokens.Part})...)
				keeper := s.keepPair(health, 10*time.Minute)
				<-keeper.First()
				nc, err := stream.Connect(stream.Connection{Options: []nats.Option{s.broker.InProcess()}}, health, m, log)
				s.must(err)
				r := s.run(nc, health, m, log, options{client: func(c *webserver.Config) {
					c.Username, c.Password, c.Token, c.Kept = "", nil, keeper.Token, true
				}})
				r.registry = registry
				passes(t, time.Minute)
				if ready := r.readyz(); ready != "ready\n" {
					t.Fatal(ready)
				}
				s.sim.Configure(func(settings *simulator.Settings) { settings.Renewal = i.renewal })
				for waited := 0; waited < 20 && r.health.Verdict().State == metrics.StateWell; waited++ {
					passes(t, 30*time.Second)
				}
				i.part = tokens.Part
				r.tells(i.illness)
			})
		})
	}
}

// A watch that has nothing to tell of asks NATS for little.
func TestIdleWatchAsksLittle(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		r := s.start(options{})
		passes(t, time.Minute)
		asked := map[string]int{}
		_, err := s.nc.Subscribe("$JS.API.>", func(msg *nats.Msg) { asked[msg.Subject]++ })
		s.must(err)
		s.must(s.nc.Flush())
		const minutes = 10
		passes(t, minutes*time.Minute)
		looks, pulls := 0, 0
		for subject, n := range asked {
			if strings.HasPrefix(subject, "$JS.API.CONSUMER.MSG.NEXT.") {
				pulls += n
			} else {
				looks += n
			}
		}
		t.Logf("a minute: %d questions of the watch, %d pulls", looks/minutes, pulls/minutes)
		if looks/minutes > 60 || pulls/minutes > 120 {
			t.Errorf("a minute: %d questions of the watch, %d pulls: %v", looks/minutes, pulls/minutes, asked)
		}
		if !r.ready() {
			t.Error(r.readyz())
		}
	})
}

// The oldest job is told by when it was stored, however many wait behind it, and whichever of its lane's subjects it came
// on; without one there is none.
func TestOldestJobIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		r := s.start(options{})
		is := func(lane jobs.Lane, want string) {
			t.Helper()
			if got := r.sample(fmt.Sprintf(`logoff_queue_oldest_job_timestamp_seconds{lane="%s"}`, lane)); got != want {
				t.Errorf("the oldest %s job is from %q, want %q", lane, got, want)
			}
		}
		passes(t, 33*time.Second)
		is(jobs.Urgent, "")
		s.sim.Configure(func(c *simulator.Settings) { c.Down = 503 })
		stored := fmt.Sprint(float64(time.Now().UnixMilli()) / 1000)
		s.publish("logoff.requests.urgent.soar", jobOf(s.sim.SignOnMany(7, 1)...))
		passes(t, 15*time.Second)
		for _, subject := range []string{"logoff.requests", "logoff.requests.urgent"} {
			s.publish(subject, oneEach(s.sim.SignOnMany(7, 100))...)
		}
		bulk := fmt.Sprint(float64(time.Now().UnixMilli()) / 1000)
		s.publish("logoff.requests.bulk", jobOf(s.sim.SignOnMany(7, 1)...))
		passes(t, 15*time.Second)
		is(jobs.Urgent, sameNumber(stored))
		is(jobs.Bulk, sameNumber(bulk))
		s.sim.Configure(func(c *simulator.Settings) { c.Down = 0 })
		passes(t, time.Minute)
		is(jobs.Urgent, "")
		is(jobs.Bulk, "")
	})
}

// sample is the value of one sample as it is scraped; empty where there is none.
func (r *running) sample(name string) string {
	for line := range strings.Lines(r.asks("/metrics").Body.String()) {
		if value, is := strings.CutPrefix(line, name+" "); is {
			return sameNumber(strings.TrimSpace(value))
		}
	}
	return ""
}

// sameNumber spells a number in one way.
func sameNumber(text string) string {
	var n float64
	if _, err := fmt.Sscan(text, &n); err != nil {
		return text
	}
	return fmt.Sprintf("%.3f", n)
}
