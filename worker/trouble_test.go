package worker_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/webserver/simulator"
)

// A network leads to NATS, or fails with an error that is another one each time.
type network struct {
	to    func() (net.Conn, error)
	off   bool
	tries int
	conns []net.Conn
}

func (n *network) InProcessConn() (net.Conn, error) {
	n.tries++
	if n.off {
		return nil, fmt.Errorf("read tcp 10.0.0.1:%d->10.0.0.2:4222: connection reset by peer", 30_000+n.tries)
	}
	conn, err := n.to()
	n.conns = append(n.conns, conn)
	return conn, err
}

func (n *network) set(off bool) {
	if n.off = off; off {
		for _, conn := range n.conns {
			_ = conn.Close()
		}
		n.conns = nil
	}
}

// A plague is a trouble that lasts: tick is called every few seconds of an hour, then it is undone.
type plague struct {
	name string
	tick func(*site, *network, int)
	undo func(*site, *network)
	says string // the line that tells of it
}

const plagueTick = 10 * time.Second

var plagues = []plague{
	{
		name: "web server down", says: "webserver: ",
		tick: func(s *site, _ *network, i int) { s.sim.Configure(func(c *simulator.Settings) { c.Down = 503 }) },
		undo: func(s *site, _ *network) { s.sim.Configure(func(c *simulator.Settings) { c.Down = 0 }) },
	},
	{
		name: "web server up and down", says: "webserver: ",
		tick: func(s *site, _ *network, i int) {
			s.sim.Configure(func(c *simulator.Settings) { c.Down = 503 * (1 - i/2%2) })
		},
		undo: func(s *site, _ *network) { s.sim.Configure(func(c *simulator.Settings) { c.Down = 0 }) },
	},
	{
		name: "401 with another body each time", says: "webserver: ",
		tick: func(s *site, _ *network, i int) {
			s.sim.FailAtRate(1, simulator.Answer(401, "text/plain", fmt.Sprintf("no way %d", i)))
		},
		undo: func(s *site, _ *network) { s.sim.ClearFaults() },
	},
	{
		name: "another failure each time", says: "webserver: ",
		tick: func(s *site, _ *network, i int) {
			all := []simulator.Fault{simulator.Status(502), simulator.Reset(false), simulator.Page(), simulator.Status(403)}
			s.sim.FailAtRate(1, all[i%len(all)])
		},
		undo: func(s *site, _ *network) { s.sim.ClearFaults() },
	},
	{
		name: "no NATS", says: "nats: ",
		tick: func(_ *site, n *network, _ int) { n.set(true) },
		undo: func(_ *site, n *network) { n.set(false) },
	},
	{
		name: "NATS that comes and goes", says: "nats: ",
		tick: func(_ *site, n *network, i int) { n.set(i/3%2 == 0) },
		undo: func(_ *site, n *network) { n.set(false) },
	},
	{
		name: "results full", says: "results: ",
		tick: func(s *site, _ *network, i int) {
			if i == 0 {
				s.limitResults(1)
			}
		},
		undo: func(s *site, _ *network) { s.limitResults(-1) },
	},
	{
		name: "bad messages", says: "jobs: jobs are invalid",
		tick: func(s *site, _ *network, i int) {
			s.publish("logoff.requests", fmt.Sprintf("no job %d", i), "{", `{"sessions":[]}`)
		},
	},
	{
		name: "jobs that fail", says: "jobs: jobs are failed",
		tick: func(s *site, _ *network, i int) {
			id := s.sim.SignOnMany(7, 1)[0]
			s.sim.Configure(func(c *simulator.Settings) { c.BadIDs = map[string]int{id: 400} })
			s.publish("logoff.requests", jobOf(id))
		},
	},
	{
		name: "paused", says: "urgent: the consumer urgent is paused",
		tick: func(s *site, _ *network, _ int) {
			bubble.NeedsNATS(s.t, 11)
			if _, err := s.js.PauseConsumer(s.t.Context(), s.subjects.RequestStream(), "urgent", time.Now().Add(time.Hour)); err != nil {
				s.t.Fatal(err)
			}
		},
		undo: func(s *site, _ *network) {
			if _, err := s.js.ResumeConsumer(s.t.Context(), s.subjects.RequestStream(), "urgent"); err != nil {
				s.t.Fatal(err)
			}
		},
	},
	{
		name: "edited and set back", says: "urgent: the consumer urgent was changed",
		tick: func(s *site, _ *network, i int) {
			s.editConsumer(func(c *jetstream.ConsumerConfig) { c.MaxAckPending = 1 + 19_999*(i/4%2) })
		},
		undo: func(s *site, _ *network) {
			s.editConsumer(func(c *jetstream.ConsumerConfig) { c.MaxAckPending = 20_000 })
		},
	},
	{
		name: "consumer deleted again and again", says: "urgent: ",
		tick: func(s *site, _ *network, i int) {
			if err := s.js.DeleteConsumer(s.t.Context(), s.subjects.RequestStream(), string(jobs.Urgent)); err != nil {
				s.t.Fatal(err)
			}
		},
	},
}

// An hour of any trouble is ten lines at most beside those of single jobs, of which one tells that it begins,
// and the last that it is over.
func TestHourOfEachTroubleIsTenLines(t *testing.T) {
	for _, p := range plagues {
		t.Run(p.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
				n := &network{to: s.broker.Dial}
				r := s.start(options{connect: []nats.Option{nats.InProcessServer(n)}})
				passes(t, time.Minute)
				before := len(s.told())
				for i := range int(time.Hour / plagueTick) {
					p.tick(s, n, i)
					if i%4 == 0 {
						s.publish("logoff.requests", jobOf(s.sim.SignOnMany(7, 1)...))
					}
					passes(t, plagueTick)
				}
				within := len(s.told()) - before
				if p.undo != nil {
					p.undo(s, n)
				}
				isOver := func() bool {
					return strings.Contains(strings.Join(s.told()[before:], ""), "no longer: ") && r.readyz() == "ready\n"
				}
				for since := time.Now(); !isOver() && time.Since(since) < 40*time.Minute; {
					passes(t, time.Minute)
				}
				told := s.told()[before:]
				if within == 0 || within > 10 {
					t.Errorf("%d lines in an hour:\n%s", within, strings.Join(told, ""))
				}
				begun, over := 0, 0
				for _, line := range told {
					if strings.Contains(line, `msg="`+p.says) {
						begun++
					}
					if strings.Contains(line, "no longer: ") {
						over++
					}
				}
				if begun == 0 || over == 0 {
					t.Errorf("no beginning of %q, or no end:\n%s", p.says, strings.Join(told, ""))
				}
				if ready := r.readyz(); ready != "ready\n" {
					t.Errorf("afterwards: %s", ready)
				}
			})
		})
	}
}

// told are the lines that tell of troubles.
func (s *site) told() (lines []string) {
	for line := range strings.Lines(s.log.String()) {
		if !strings.Contains(line, "level=DEBUG") && !strings.Contains(line, `msg="job: `) {
			lines = append(lines, line)
		}
	}
	return lines
}
