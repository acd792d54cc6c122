package statuspage

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"

	"logoffworker/metrics"
)

// A pipe is a listener whose connections stay in the process, so that they are in a test's fake time.
type pipe struct {
	connections chan net.Conn
	closed      chan struct{}
}

func newPipe() *pipe { return &pipe{make(chan net.Conn), make(chan struct{})} }

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.connections:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error { close(p.closed); return nil }

func (p *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipe) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p.connections <- there
	return here, nil
}

// serve serves the page as a worker does, and returns a client of it. stop ends both.
func (s *site) serve() (client *http.Client, stop func()) {
	s.Helper()
	listener := newPipe()
	server := metrics.Server(metrics.Handler(s.page.config.Registry, s.health, s.page))
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(listener) }()
	transport := &http.Transport{DialContext: listener.dial}
	return &http.Client{Transport: transport}, func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		<-served
	}
}

// A stream is what a page's script gets.
type stream struct {
	t    *testing.T
	body *bufio.Reader
	end  func()
}

func (s *site) open(client *http.Client) *stream {
	s.Helper()
	response, err := client.Get("http://worker/live") //nolint:bodyclose // the end of the stream closes it
	if err != nil {
		s.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		s.Fatalf("%s, %s", response.Status, response.Header)
	}
	return &stream{s.T, bufio.NewReader(response.Body), func() { response.Body.Close() }}
}

// next is the next message.
func (s *stream) next() (m message) {
	s.t.Helper()
	line, err := s.body.ReadString('\n')
	if err != nil {
		s.t.Fatal(err)
	}
	blank, err := s.body.ReadString('\n')
	if data, is := strings.CutPrefix(line, "data: "); err != nil || !is || blank != "\n" {
		s.t.Fatalf("%q, %q, %v", line, blank, err)
	} else if err := json.Unmarshal([]byte(data), &m); err != nil {
		s.t.Fatal(err)
	}
	return m
}

// The server's time for an answer does not cut the stream, and what changes is there within two seconds.
func TestStreamOutlivesTheServersWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.isWell()
		client, stop := s.serve()
		defer stop()
		live := s.open(client)
		defer live.end()
		if m := live.next(); len(m.Sections) != len(sections) || m.Tone != well || m.Files == "" {
			t.Errorf("the first message holds %d of %d sections: %+v", len(m.Sections), len(sections), m)
		}
		for begin := time.Now(); time.Since(begin) < 3*time.Minute; {
			before := time.Now()
			m := live.next()
			if _, is := m.Sections["top"]; time.Since(before) > beat || !is {
				t.Fatalf("a message after %v: %v", time.Since(before), m.Sections)
			}
			if _, is := m.Sections["settings"]; is {
				t.Fatal("what has not changed is sent again")
			}
		}
		s.health.Begin(metrics.Condition{Part: "webserver", Kind: "unavailable", What: "the Web Server does not answer"})
		if m := live.next(); m.Tone != wait || !strings.Contains(m.Title, "does not answer") || !strings.Contains(m.Sections["verdict"], "does not answer") || m.Sections["path"] == "" {
			t.Errorf("what changed is not there: %+v", m)
		}
	})
}

// Somebody who does not read what is sent is cut off, and leaves room for others.
func TestWatchersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		client, stop := s.serve()
		defer stop()
		var all []*stream
		for range mostWatchers {
			all = append(all, s.open(client))
		}
		response, err := client.Get("http://worker/live")
		if err != nil || response.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("one more gets %v, %v", response, err)
		}
		response.Body.Close()
		time.Sleep(beat + 2*writeTime)
		synctest.Wait()
		if s.page.watchers != 0 {
			t.Errorf("%d who do not read are still served", s.page.watchers)
		}
		s.open(client).end()
		for _, live := range all {
			live.end()
		}
	})
}

// The other workers are asked while somebody watches, and not otherwise.
func TestOthersAreAskedOnlyWhileSomebodyWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		asked := 0
		s.page.Join(func(context.Context) [][]byte { asked++; return nil })
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go s.page.Run(ctx)
		client, stop := s.serve()
		defer stop()
		time.Sleep(20 * time.Minute)
		if asked != 0 {
			t.Errorf("the others were asked %d times while nobody watched", asked)
		}
		one, two := s.open(client), s.open(client)
		for begin := time.Now(); time.Since(begin) < time.Minute; {
			one.next()
			two.next()
		}
		one.end()
		two.end()
		if asked < 8 || asked > 13 {
			t.Errorf("they were asked %d times in a minute", asked)
		}
		time.Sleep(beat)
		synctest.Wait()
		before := asked
		time.Sleep(20 * time.Minute)
		if asked != before {
			t.Errorf("they were asked %d times after everybody had gone", asked-before)
		}
	})
}
