package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"logoffworker/worker/history"
	"logoffworker/worker/stage"
)

// A world is all that one run is made of.
type world struct {
	options
	random   *rand.Rand
	dir      string // of everything; removed at the end unless it is wanted
	out      io.Writer
	canaries map[string]string
	audited  []history.Violation // what logoffctl audit verify found
	poison   []string

	web            *webServer
	redirectTarget *redirectTarget
	solo           *deployment // one NATS server, three workers
	chains         []chain     // the access tokens, at the end
	trio           *deployment // three NATS servers, two workers that share an access token
	unmount        func()      // of the disk that can be full; nil where there is none

	quiet sync.RWMutex // held for writing while there is no fault

	mu       sync.Mutex
	begin    time.Time
	healed   time.Time
	faults   []history.Fault
	samples  []history.Sample
	counters map[string]history.Counters
	outputs  map[string][]byte
}

// build builds the programs and prepares the run; nothing is started yet.
func build(ctx context.Context, o options, out io.Writer) (w *world, err error) {
	w = &world{
		options: o, out: out, random: rand.New(rand.NewPCG(o.seed, 1)),
		counters: map[string]history.Counters{}, outputs: map[string][]byte{},
		canaries: map[string]string{},
	}
	for _, name := range []string{"web", "nats", "redirect"} {
		w.canaries[name] = fmt.Sprintf("canary-%s-%016x", name, w.random.Uint64())
	}
	if w.dir, err = os.MkdirTemp("", "chaos-"); err != nil {
		return nil, err
	}
	if w.options.out == "" {
		w.options.out = filepath.Join(os.TempDir(), fmt.Sprintf("chaos-record-%d", o.seed))
	}
	if w.options.out, err = filepath.Abs(w.options.out); err != nil {
		return nil, err
	}
	if err := stage.Build(ctx, "simulator", w.program("simulator")); err != nil {
		return nil, err
	}
	if err := stage.Build(ctx, "logoffctl", w.program("logoffctl"), w.buildWith()...); err != nil {
		return nil, err
	}
	if err := stage.Build(ctx, "logoff-worker", w.program("logoff-worker"), append(w.buildWith(), "-tags", "faults")...); err != nil {
		return nil, err
	}
	return w, nil
}

// buildWith is how the programs under test are built.
func (w *world) buildWith() (args []string) {
	if w.race {
		args = append(args, "-race")
	}
	if w.overlay != "" {
		args = append(args, "-overlay", w.overlay)
	}
	return args
}

func (w *world) program(name string) string { return filepath.Join(w.dir, name) }

// start starts everything, the workers last.
func (w *world) start(ctx context.Context) (err error) {
	w.begin = time.Now()
	for range 2000 {
		w.poison = append(w.poison, fmt.Sprintf("%08X-BAD0-4000-8000-%012X", w.random.Uint32(), w.random.Uint64()>>16))
	}
	if w.redirectTarget, err = newRedirectTarget(); err != nil {
		return err
	}
	if w.web, err = w.startWebServer(ctx); err != nil {
		return err
	}
	if err := w.makeSigner(); err != nil {
		return err
	}
	store, err := w.disk()
	if err != nil {
		return err
	}
	earlier := w.seed%2 == 0 // of one of the two the stream of results is as it was
	if w.solo, err = w.startDeployment(ctx, "logoff", size{servers: 1, workers: 3, store: store, earlier: earlier}); err != nil {
		return err
	}
	token, err := w.newFleetToken(ctx, "trio")
	if err != nil {
		return err
	}
	w.trio, err = w.startDeployment(ctx, "trio", size{servers: 3, workers: 2, store: filepath.Join(w.dir, "trio"), token: token, earlier: !earlier})
	return err
}

// disk is where the lone NATS server keeps its streams. As root it is a disk of its own, which can
// be filled up.
func (w *world) disk() (string, error) {
	store := filepath.Join(w.dir, "solo")
	if err := os.MkdirAll(store, 0o700); err != nil || os.Geteuid() != 0 {
		return store, err
	}
	if err := syscall.Mount("tmpfs", store, "tmpfs", 0, "size=2g"); err != nil {
		return store, nil // the fault of a full disk is left out then
	}
	w.unmount = func() { _ = syscall.Unmount(store, syscall.MNT_DETACH) }
	return store, nil
}

// close ends all processes and leaves nothing but the record, if that is wanted.
func (w *world) close() {
	for _, d := range []*deployment{w.solo, w.trio} {
		if d != nil {
			d.close()
		}
	}
	if w.web != nil {
		w.web.Process.Kill()
	}
	if w.redirectTarget != nil {
		w.redirectTarget.listener.Close()
	}
	if w.unmount != nil {
		w.unmount()
	}
	_ = os.RemoveAll(w.dir)
}

// A redirectTarget is the host that redirects point to. Whoever sends it a request has followed one.
type redirectTarget struct {
	listener net.Listener
	mu       sync.Mutex
	visits   []string
}

func newRedirectTarget() (*redirectTarget, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	e := &redirectTarget{listener: listener}
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.visits = append(e.visits, r.Method+" "+r.URL.Path)
	})}
	go func() { _ = server.Serve(listener) }()
	return e, nil
}

func (e *redirectTarget) visited() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.visits
}

var errStart = errors.New("a program of the run did not start")
