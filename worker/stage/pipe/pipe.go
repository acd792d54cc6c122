// Package pipe serves HTTP over connections within the process, which a test in fake time needs: a network has no
// place in a testing/synctest bubble.
package pipe

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
)

// Serve serves a handler over pairs of net.Pipe: dial goes into a client's transport, whatever the address. Stop closes
// everything and waits until nothing is left.
func Serve(h http.Handler) (dial func(ctx context.Context, network, addr string) (net.Conn, error), stop func()) {
	l := &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
	var open, serving sync.WaitGroup
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			open.Add(1) // a hijacked connection is no longer counted while its handler goes on
			defer open.Done()
			h.ServeHTTP(w, r)
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
	serving.Go(func() { _ = server.Serve(l) })
	return l.dial, sync.OnceFunc(func() {
		_ = l.Close()
		_ = server.Close()
		serving.Wait()
		open.Wait()
	})
}

// A listener has the other ends of what was dialled.
type listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *listener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
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

func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
