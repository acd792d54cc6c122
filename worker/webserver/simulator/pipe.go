package simulator

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
)

// Pipe serves the Server over pairs of net.Pipe, so that a client in a testing/synctest bubble needs
// no network: dial goes into its transport, whatever the address. Stop closes everything and waits
// until nothing is left.
func (s *Server) Pipe() (dial func(ctx context.Context, network, addr string) (net.Conn, error), stop func()) {
	listener := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	var open, serving sync.WaitGroup
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			open.Add(1) // a hijacked connection is no longer counted while its handler goes on
			defer open.Done()
			s.ServeHTTP(w, r)
		}),
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed, http.StateHijacked:
				open.Done()
			}
		},
	}
	serving.Go(func() { _ = server.Serve(listener) })
	stop = sync.OnceFunc(func() {
		_ = listener.Close()
		_ = server.Close()
		serving.Wait()
		open.Wait()
	})
	return listener.dial, stop
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
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

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
