// Package broker is the embedded nats-server with JetStream: what one VM needs instead of a NATS
// cluster, and what the demo and every test run on.
//
// With SyncAlways a job or a result that was acknowledged has been written to the disk, so that a
// power cut loses none; without it JetStream syncs every two minutes and a power cut can lose
// what was acknowledged in between. A killed process loses nothing either way.
//
// The broker is one node: it survives its process, not its disk. Whoever needs more points the
// worker at a NATS cluster, and no code here takes part in that.
package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// startTimeout bounds the wait for a broker that recovers a large store.
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
}

// Start starts a broker and returns when it takes connections. A store that cannot be used, or an
// address that is taken, is an error.
func Start(o Options) (*Broker, error) {
	options, err := o.server()
	if err != nil {
		return nil, err
	}
	s, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	failed := &lastError{log: o.Log}
	s.SetLogger(failed, false, false)
	s.Start()
	if !s.ReadyForConnections(startTimeout) || !s.JetStreamEnabled() {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, fmt.Errorf("embedded broker did not start on %q with store %q: %w", o.Listen, o.StoreDir, failed.err())
	}
	return &Broker{server: s}, nil
}

func (o Options) server() (*server.Options, error) {
	if o.StoreDir == "" {
		return nil, errors.New("embedded broker: no store directory given")
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
			return nil, fmt.Errorf("embedded broker: listen address: %w", err)
		}
		if options.Port, err = strconv.Atoi(port); err != nil {
			return nil, fmt.Errorf("embedded broker: listen address %q: the port is not a number", o.Listen)
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

// Shutdown stops the broker and returns when its store is closed.
func (b *Broker) Shutdown() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}
