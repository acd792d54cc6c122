package transmitter

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
)

// Pipe serves the transmitter on connections within the process, for tests in fake time. stop ends them all.
func (t *Transmitter) Pipe() (dial func(ctx context.Context, network, addr string) (net.Conn, error), stop func()) {
	l := &pipe{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: t, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	return l.dial, sync.OnceFunc(func() {
		_ = l.Close()
		_ = server.Close()
		serving.Wait()
	})
}

// A pipe is a listener without a network.
type pipe struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipe) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipe) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipe) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
