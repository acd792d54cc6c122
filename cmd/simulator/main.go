// Simulator is a simulated Commvault Web Server as a program, with people signed on, to try logoff-worker against.
// A second address, the control, shows and changes what it does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"logoffworker/worker/webserver/simulator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil:
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "simulator:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "simulator:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("bad usage")

// serviceAccount may manage users, so its sessions can end those of others.
const serviceAccount = "admin"

// options are the flags.
type options struct {
	addr, control string
	allowRemote   bool
	people        int
	password      string
	seed          uint64
	settings      simulator.Settings
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w (try -help)", errUsage, err)
	}
	sim := simulator.New(o.settings, o.seed)
	sim.AddUser(simulator.User{Login: serviceAccount, Display: "Administrator", Password: o.password, Administrator: true})
	if o.people > 0 {
		sim.SignOnEverywhere(sim.AddUser(simulator.Example), 1)
		sim.Populate(o.people - 1)
	}

	web, err := listen(ctx, o.addr)
	if err != nil {
		return refused("-addr", o.addr, err)
	}
	defer web.Close()
	control, err := listen(ctx, o.control)
	if err != nil {
		return refused("-control", o.control, err)
	}
	defer control.Close()
	fmt.Fprint(stdout, introduction(o, sim, web.Addr(), control.Addr()))
	return serve(ctx, stderr, map[net.Listener]http.Handler{web: sim, control: sim.Control()})
}

func listen(ctx context.Context, addr string) (net.Listener, error) {
	var config net.ListenConfig
	return config.Listen(ctx, "tcp", addr)
}

// refused says why nothing can listen at an address, and what to do.
func refused(name, address string, err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("nothing can listen at %s (%w); choose another address with %s", address, err, name)
	}
	_, port, _ := net.SplitHostPort(address)
	return fmt.Errorf("port %s (%s) is taken, probably by the demo or another simulator: stop that, or choose another address with %s", port, address, name)
}

// introduction says where everything is.
func introduction(o options, sim *simulator.Server, web, control net.Addr) string {
	active := 0
	for _, session := range sim.Sessions() {
		if session.Active() {
			active++
		}
	}
	return fmt.Sprintf(`%s: %d people, %d sessions

Base URL          http://%s/commandcenter/api
Service account   %s, password %s
Control           http://%s/
Who is signed on  curl -s 'http://%[7]s/sessions?active=true'
Requests so far   curl -s 'http://%[7]s/journal?op=logoff'

`, sim, o.people, active, web, serviceAccount, o.password, control)
}

// serve serves until ctx ends or one of the servers fails, then lets requests in flight finish.
func serve(ctx context.Context, stderr io.Writer, handlers map[net.Listener]http.Handler) error {
	ended := make(chan error, len(handlers))
	var servers []*http.Server
	for listener, handler := range handlers {
		server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
		servers = append(servers, server)
		go func() { ended <- server.Serve(listener) }()
	}
	var err error
	running := len(servers)
	select {
	case <-ctx.Done():
	case err = <-ended:
		running--
	}
	deadline, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	for _, server := range servers {
		if server.Shutdown(deadline) != nil {
			fmt.Fprintln(stderr, "simulator: requests were still in flight at the end")
			_ = server.Close()
		}
	}
	for ; running > 0; running-- {
		if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}
