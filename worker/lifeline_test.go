package worker_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
)

// A lifeline is all that connects one worker to the rest of the world. When it is cut, nothing of that
// worker lands anywhere any more, and nothing reaches it: as by kill -9, the worker is gone. While it
// is frozen, what was sent in either direction is on its way, nobody is told, and nobody new gets
// through: a handshake that stood still would hold a lock of the client's, and fake time with it.
type lifeline struct {
	toNATS func() (net.Conn, error)
	toWeb  func(context.Context, string, string) (net.Conn, error)

	mu    sync.Mutex
	dead  bool
	ice   bool
	conns []*wire
}

// InProcessConn connects to NATS.
func (l *lifeline) InProcessConn() (net.Conn, error) { return l.hold(l.toNATS()) }

func (l *lifeline) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return l.hold(l.toWeb(ctx, network, addr))
}

func (l *lifeline) hold(conn net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead || l.ice {
		conn.Close()
		return nil, net.ErrClosed
	}
	w := newWire(conn)
	l.conns = append(l.conns, w)
	return w, nil
}

func (l *lifeline) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
	for _, w := range l.conns {
		w.Close()
	}
}

func (l *lifeline) freeze() { l.all(true) }
func (l *lifeline) thaw()   { l.all(false) }

func (l *lifeline) all(ice bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ice = ice
	for _, w := range l.conns {
		w.in.freeze(ice)
		w.out.freeze(ice)
	}
}

// A wire is one connection, with room on the way in both directions: neither end waits for the other,
// because a client that waits with a lock held would stop fake time.
type wire struct {
	net.Conn
	in, out *way
}

func newWire(conn net.Conn) *wire {
	w := &wire{Conn: conn, in: newWay(), out: newWay()}
	go func() {
		_, err := io.Copy(w.in, conn)
		w.in.end(err)
	}()
	go func() {
		_, err := io.Copy(conn, w.out)
		w.out.end(err)
		conn.Close()
	}()
	return w
}

func (w *wire) Read(p []byte) (int, error)  { return w.in.Read(p) }
func (w *wire) Write(p []byte) (int, error) { return w.out.Write(p) }

// Close closes both ends; what is on the way is lost.
func (w *wire) Close() error {
	w.in.close()
	w.out.close()
	return w.Conn.Close()
}

// A way is one direction.
type way struct {
	mu      sync.Mutex
	changed *sync.Cond
	buf     bytes.Buffer
	ice     bool
	closed  bool  // by our end: what is on the way is lost
	err     error // the other end's
}

func newWay() *way {
	w := &way{}
	w.changed = sync.NewCond(&w.mu)
	return w
}

func (w *way) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.err != nil {
		return 0, net.ErrClosed
	}
	w.buf.Write(p)
	w.changed.Broadcast()
	return len(p), nil
}

func (w *way) Read(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.closed && (w.ice || w.buf.Len() == 0 && w.err == nil) {
		w.changed.Wait()
	}
	switch {
	case w.closed:
		return 0, net.ErrClosed
	case w.buf.Len() == 0:
		return 0, w.err
	}
	return w.buf.Read(p)
}

// end lets nothing more in; what is on the way still arrives.
func (w *way) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err = err; err == nil {
		w.err = io.EOF
	}
	w.changed.Broadcast()
}

func (w *way) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.changed.Broadcast()
}

func (w *way) freeze(ice bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ice = ice
	w.changed.Broadcast()
}
