package doctor_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A fault is one that is seeded, and what the doctor is to say of it.
type fault struct {
	name string
	seed func(*site)
	// level, area and what (a regular expression) are those of the finding, mend (one, too) what mends it.
	level, area, what, mend string
	// code is the doctor's exit code.
	code int
	// do is how the mend is done; nil where it is a command.
	do func(s *site, mend string)
}

// stream changes a stream's configuration.
func stream(name string, change func(*jetstream.StreamConfig)) func(*site) {
	return func(s *site) {
		s.t.Helper()
		found, err := s.js.Stream(s.t.Context(), name)
		s.check(err)
		config := found.CachedInfo().Config
		change(&config)
		_, err = s.js.UpdateStream(s.t.Context(), config)
		s.check(err)
	}
}

// consumer changes a consumer's.
func consumer(name string, change func(*jetstream.ConsumerConfig)) func(*site) {
	return func(s *site) {
		s.t.Helper()
		found, err := s.js.Consumer(s.t.Context(), "LOGOFF_REQUESTS", name)
		s.check(err)
		config := found.CachedInfo().Config
		change(&config)
		_, err = s.js.UpdateConsumer(s.t.Context(), "LOGOFF_REQUESTS", config)
		s.check(err)
	}
}

var faults = []fault{
	{
		name: "a stream is missing", seed: func(s *site) { s.check(s.js.DeleteStream(s.t.Context(), "LOGOFF_DEAD")) },
		level: "FAIL", area: "streams", what: "stream LOGOFF_DEAD: it is missing", mend: "^logoff-worker init$", code: 1,
	},
	{
		name: "the stream of acts is missing", seed: func(s *site) { s.check(s.js.DeleteStream(s.t.Context(), "LOGOFF_AUDIT")) },
		level: "warn", area: "streams", what: "stream LOGOFF_AUDIT: it is missing", mend: "^logoff-worker init$", code: 0,
	},
	{
		name: "results are kept too short a time", seed: stream("LOGOFF_RESULTS", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }),
		level: "FAIL", area: "streams", what: "stream LOGOFF_RESULTS: max age is 1h0m0s, needed is 24h", mend: "^nats stream edit LOGOFF_RESULTS .*--max-age=720h$", code: 1,
	},
	{
		name: "jobs that wait end", seed: stream("LOGOFF_REQUESTS", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }),
		level: "FAIL", area: "streams", what: "stream LOGOFF_REQUESTS: max age is 1h0m0s, needed is 0s", mend: "--max-age=0h", code: 1,
	},
	{
		name: "a full stream drops jobs", seed: stream("LOGOFF_REQUESTS", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }),
		level: "FAIL", area: "streams", what: "stream LOGOFF_REQUESTS: discard is DiscardOld", mend: "--discard=new", code: 1,
	},
	{
		name: "the stream takes what no lane does", seed: stream("LOGOFF_REQUESTS", func(c *jetstream.StreamConfig) { c.Subjects = append(c.Subjects, "logoff.requests.slow") }),
		level: "FAIL", area: "streams", what: "stream LOGOFF_REQUESTS: subjects is", mend: "--subjects='logoff.requests'", code: 1,
	},
	{
		name: "jobs are too large for a dead letter", seed: stream("LOGOFF_REQUESTS", func(c *jetstream.StreamConfig) { c.MaxMsgSize = -1 }),
		level: "FAIL", area: "streams", what: "stream LOGOFF_REQUESTS: max message size is -1", mend: "--max-msg-size=", code: 1,
	},
	{
		name: "results drop each other", seed: stream("LOGOFF_DEAD", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 }),
		level: "FAIL", area: "streams", what: "stream LOGOFF_DEAD: max messages per subject is 1", mend: "--max-msgs-per-subject=-1", code: 1,
	},
	{
		name: "dead letters are not acknowledged", seed: stream("LOGOFF_DEAD", func(c *jetstream.StreamConfig) { c.NoAck = true }),
		level: "FAIL", area: "streams", what: "stream LOGOFF_DEAD: no ack is true", mend: "--ack", code: 1,
	},
	{
		name: "a stream is full", seed: full,
		level: "FAIL", area: "streams", what: "stream LOGOFF_DEAD: it is full: it holds 2 messages", mend: "--max-msgs=4", code: 1,
	},
	{
		name: "a consumer is missing", seed: func(s *site) { s.check(s.js.DeleteConsumer(s.t.Context(), "LOGOFF_REQUESTS", "urgent")) },
		level: "FAIL", area: "streams", what: "consumer urgent of LOGOFF_REQUESTS: it is missing", mend: "^logoff-worker init$", code: 1,
	},
	{
		name: "a consumer gives up", seed: consumer("bulk", func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 5 }),
		level: "FAIL", area: "streams", what: "consumer bulk of LOGOFF_REQUESTS: max deliver is 5, needed is -1", mend: "^nats consumer rm LOGOFF_REQUESTS bulk --force && logoff-worker init$", code: 1,
	},
	{
		name: "leases are too short", seed: consumer("urgent", func(c *jetstream.ConsumerConfig) { c.AckWait = time.Second }),
		level: "FAIL", area: "streams", what: "consumer urgent of LOGOFF_REQUESTS: ack wait is 1s", mend: "^nats consumer rm LOGOFF_REQUESTS urgent", code: 1,
	},
	{
		name: "jobs come without what they say", seed: consumer("urgent", func(c *jetstream.ConsumerConfig) { c.HeadersOnly = true }),
		level: "FAIL", area: "streams", what: "consumer urgent of LOGOFF_REQUESTS: headers only is true", mend: "^nats consumer rm LOGOFF_REQUESTS urgent", code: 1,
	},
	{
		name: "NATS writes late", seed: func(s *site) { s.changeNATS(func() { s.inBlock = "" }) },
		level: "warn", area: "storage", what: "NATS writes to the disk every 2m0s", mend: `^jetstream \{ sync_interval: always \}$`, code: 0,
		do: func(s *site, mend string) { s.changeNATS(func() { s.inBlock = inBraces(mend) }) },
	},
	{
		name: "workers differ", seed: func(s *site) { s.setWorker(1, "LOGOFF_SLOTS=7") },
		level: "warn", area: "settings", what: "LOGOFF_SLOTS is 7 at worker-1, and 4 at worker-0", mend: "^LOGOFF_SLOTS=4$", code: 0,
		do: func(s *site, mend string) { s.setWorker(1, mend) },
	},
	{
		name: "the operator may not look", seed: func(s *site) { s.changeRights(operators, `"$JS.API.STREAM.INFO.LOGOFF_DEAD"`, "") },
		level: "????", area: "streams", what: `stream LOGOFF_DEAD cannot be looked at: a NATS right is missing, to publish on \$JS.API.STREAM.INFO.LOGOFF_DEAD`, mend: `^"\$JS`, code: 3,
		do: func(s *site, mend string) { s.changeRights(operators, "publish: [", "publish: [ "+mend) },
	},
}

// operators is where the rights of the operator begin.
const operators = "user: operator"

// Each fault is found, what is printed is done, and nothing is left to find.
func TestWhatTheDoctorPrintsMendsWhatItFinds(t *testing.T) {
	s := newSite(t)
	s.changeNATS(func() { s.inBlock = "sync_interval: always" })
	s.becomesWell()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			was := s.t
			s.t = t
			defer func() { s.t = was }()
			f.seed(s)
			found, code := s.find(f)
			if code != f.code {
				t.Errorf("exit code %d, want %d", code, f.code)
			}
			if !regexp.MustCompile(f.mend).MatchString(found.Mend) {
				t.Fatalf("%q is to mend it, want %q", found.Mend, f.mend)
			}
			t.Logf("%s: %s\nmend (%s): %s", found.Level, found.What, found.ToDo, found.Mend)
			if f.do != nil {
				f.do(s, found.Mend)
			} else {
				s.shell(found.Mend)
			}
			s.becomesWell()
		})
	}
}

// find is what the doctor says of a fault, which workers may be slow to tell. Beside it there may be more at first: they
// are not connected while NATS starts anew.
func (s *site) find(f fault) (diagnosis, int) {
	s.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		all, code := s.doctor()
		late := time.Now().After(deadline)
		for _, one := range all {
			if (code == f.code || late) && one.Level == f.level && one.Area == f.area && regexp.MustCompile(f.what).MatchString(one.What) {
				return one, code
			}
		}
		if late {
			s.t.Fatalf("the doctor does not find it: %v", all)
		}
	}
}

// full fills the stream of dead letters.
func full(s *site) {
	for range 2 {
		if err := s.send("logoff.dead.invalid"); err != nil {
			s.t.Fatal(err)
		}
	}
	stream("LOGOFF_DEAD", func(c *jetstream.StreamConfig) { c.MaxMsgs = 2 })(s)
}

// send publishes as a worker.
func (s *site) send(subject string) error {
	s.t.Helper()
	nc := s.connect("worker")
	defer nc.Close()
	if err := nc.Publish(subject, []byte("{}")); err != nil {
		return err
	}
	return nc.Flush()
}

// changeNATS starts the server with another configuration.
func (s *site) changeNATS(change func()) {
	s.t.Helper()
	s.stopNATS()
	change()
	s.startNATS()
}

// setWorker starts a worker with another setting.
func (s *site) setWorker(i int, setting string) {
	s.t.Helper()
	s.stopWorkers()
	s.settings[i] = []string{setting}
	s.startWorkers()
}

// changeRights changes the rights behind a place.
func (s *site) changeRights(behind, old, changed string) {
	s.t.Helper()
	before, after, found := strings.Cut(s.accounts, behind)
	if !found || !strings.Contains(after, old) {
		s.t.Fatalf("%q is not behind %q", old, behind)
	}
	s.changeNATS(func() { s.accounts = before + behind + strings.Replace(after, old, changed, 1) })
}

// inBraces is what stands in the block of a line of a configuration.
func inBraces(line string) string {
	_, rest, _ := strings.Cut(line, "{")
	inner, _, _ := strings.Cut(rest, "}")
	return strings.TrimSpace(inner)
}
