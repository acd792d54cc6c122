// Package broker is the embedded nats-server with JetStream: what one VM needs instead of a NATS
// cluster, and what the demo and every test run on.
//
// With SyncAlways a job or a result that was acknowledged has been written to the disk, so that a
// power cut loses none; without it JetStream syncs every two minutes and a power cut can lose
// what was acknowledged in between. A killed process loses nothing either way.
//
// One process has a store: it locks the directory, and another one that is given the same, under whatever
// name, is told who has it. The lock is the kernel's, so it ends with the process, kill -9 included. On a
// network file system it is worth what that file system's locks are worth, which may be nothing; a store
// belongs on a local disk.
//
// The broker is one node: it survives its process, not its disk. Whoever needs more points the
// worker at a NATS cluster, and no code here takes part in that.
package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// startTimeout bounds the wait for a server that has begun to listen, or ought to have.
const startTimeout = 60 * time.Second

// Options describe one embedded broker.
type Options struct {
	// StoreDir is where the streams are kept. It is created when missing.
	StoreDir string
	// Listen is the address for clients of other processes, host:port; port 0 picks a free one.
	// Empty means none: only Connect reaches the broker.
	Listen string
	// SyncAlways writes each message through to the disk before it is acknowledged.
	SyncAlways bool
	// User and Password, Token or NKey (a public user key) are demanded from every client,
	// in-process ones too. All empty means that whoever reaches the address may publish.
	User, Password string
	Token          string
	NKey           string
	// Log receives the server's own log; nil drops it.
	Log *slog.Logger
}

// A Broker is a running nats-server.
type Broker struct {
	server *server.Server
	store  *store
}

// A FieldError says which of the [Options] keeps a broker from starting.
type FieldError struct {
	Field string
	Err   error
}

func (e *FieldError) Error() string { return "embedded broker: " + e.Err.Error() }

// Unwrap makes the reason, which may be [*InUse], known to errors.Is and errors.As.
func (e *FieldError) Unwrap() error { return e.Err }

// Start is [StartContext] for a caller who waits to the end.
func Start(o Options) (*Broker, error) { return StartContext(context.Background(), o) }

// StartContext starts a broker and returns when it takes connections, or at once when it cannot: a store
// that cannot be used, or that another process has, and an address that is taken are [*FieldError]s.
//
// When ctx ends first, its error is returned at once. What was begun then ends by itself, or with the
// process: the recovery of a large store cannot be broken off, and leaving it costs nothing.
func StartContext(ctx context.Context, o Options) (*Broker, error) {
	options, err := o.server()
	if err != nil {
		return nil, err
	}
	store, err := openStore(o.StoreDir, o.Listen)
	if err != nil {
		return nil, &FieldError{"StoreDir", err}
	}
	if err := o.listenable(ctx); err != nil {
		store.close()
		return nil, &FieldError{"Listen", err}
	}
	s, err := server.NewServer(options)
	if err != nil {
		store.close()
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	log := newLog(o.Log)
	s.SetLogger(log, false, false)
	b := &Broker{server: s, store: store}
	started := make(chan error, 1)
	go func() { started <- b.start(log) }()
	select {
	case err := <-started:
		if err = cmp.Or(err, ctx.Err()); err != nil {
			b.Shutdown()
			return nil, err
		}
		return b, nil
	case <-ctx.Done():
		go b.abandon(started)
		return nil, ctx.Err()
	}
}

// abandon ends a server whose start nobody waits for any more.
func (b *Broker) abandon(started <-chan error) {
	if err := <-started; err != nil {
		b.server.Noticef("stopped while it started: %v", err)
	}
	b.Shutdown()
}

// start returns when the server takes connections, or has said why it gave up.
func (b *Broker) start(log *log) error {
	b.server.Start()
	const step = 25 * time.Millisecond
	for waited := time.Duration(0); waited < startTimeout; waited += step {
		select {
		case <-log.fatal:
			return fmt.Errorf("embedded broker: it did not start: %w", log.err())
		default:
		}
		if b.server.ReadyForConnections(step) && b.server.JetStreamEnabled() {
			return nil
		}
	}
	return fmt.Errorf("embedded broker: it did not start within %v: %w", startTimeout, log.err())
}

// listenable sees whether the address can be had, which the server itself tells only in its log.
func (o Options) listenable(ctx context.Context) error {
	if o.Listen == "" {
		return nil
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return err
	}
	return listener.Close()
}

func (o Options) server() (*server.Options, error) {
	if o.StoreDir == "" {
		return nil, &FieldError{"StoreDir", errors.New("no directory is given")}
	}
	options := &server.Options{
		ServerName:      "logoff",
		JetStream:       true,
		StoreDir:        o.StoreDir,
		SyncAlways:      o.SyncAlways,
		NoSigs:          true,
		NoSystemAccount: true,
		DontListen:      o.Listen == "",
		Username:        o.User,
		Password:        o.Password,
		Authorization:   o.Token,
	}
	if o.NKey != "" {
		options.Nkeys = []*server.NkeyUser{{Nkey: o.NKey}}
	}
	if o.Listen != "" {
		host, port, err := net.SplitHostPort(o.Listen)
		if err != nil {
			return nil, &FieldError{"Listen", err}
		}
		if options.Port, err = strconv.Atoi(port); err != nil {
			return nil, &FieldError{"Listen", fmt.Errorf("%q: the port is not a number", o.Listen)}
		}
		if options.Port == 0 {
			options.Port = server.RANDOM_PORT
		}
		options.Host = host
	}
	return options, nil
}

// Connect connects within the process. Credentials, where the broker demands them, are given as
// options, as to any server.
func (b *Broker) Connect(options ...nats.Option) (*nats.Conn, error) {
	return nats.Connect("", append(options, nats.InProcessServer(b.server))...)
}

// InProcess is the option that makes nats.Connect reach this broker without a socket.
func (b *Broker) InProcess() nats.Option { return nats.InProcessServer(b.server) }

// Dial connects to this broker without a socket, for a client that puts something in between.
func (b *Broker) Dial() (net.Conn, error) { return b.server.InProcessConn() }

// URL is the address of clients in other processes; empty when the broker does not listen.
func (b *Broker) URL() string {
	if addr, ok := b.server.Addr().(*net.TCPAddr); ok && addr != nil {
		return "nats://" + addr.String()
	}
	return ""
}

// Shutdown stops the broker and returns when its store is closed, and free for others.
func (b *Broker) Shutdown() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
	b.store.close()
}
