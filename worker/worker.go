// Package worker takes logoff jobs from JetStream, has the Web Server end their sessions and stores one result
// per job.
//
// A job's way through the package is its file list. A [lane] pulls it from the stream when a slot is free
// (lane.go, slots.go), and keeps documents that are not full apart (spacing.go); intake.go makes a
// [delivery] of it and finds out whether it was settled before; keys.go hands back what cannot be verified yet, repeats.go
// finds out whether its event was worked before, guarded.go whether it is held; a [queue] keeps its sessions until they
// leave in documents (queue.go). A [sender] sends a document (send.go), after taking out what is protected
// (held.go); verdict.go says what an answer means and whom it concerns, split.go what follows from it for
// each session, and decide.go writes that down. A [reader] looks the job's users up (users.go) and reads
// back what became of its sessions (readback.go). A [settler] has the result stored, and the dead letter
// (results.go), and then acknowledges the job (settle.go). Beside them stand the leases, which keep jobs in
// hand from being delivered to somebody else (lease.go), what ends the waits of a lane that is paused (pause.go), what
// the log says of jobs (joblog.go), and what their results tell of the way to them (steps.go).
//
// Where something is known of more than jobs, it has a room of its own: stream knows JetStream, counts what all workers
// did within the hour, gate whether a request may be made now, guard whether a job may be worked without being
// approved, access how a request is made and what a refused token leads to, roster what the Web Server
// says of users and sessions and whom the settings protect, webserver its HTTP, notice what operators are told of it.
//
// It guarantees that a job is acknowledged only after its result, and its dead letter if it has one, are
// stored; that a job has exactly one result however often it is delivered; and that a session counts as
// accepted only if a success answer covered a document that held it. A job may be sent to the Web Server twice,
// never zero times. Whether a session really ended is known only by reading it back, which needs its owner.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/semaphore"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker/access"
	"logoffworker/worker/counts"
	"logoffworker/worker/gate"
	"logoffworker/worker/guard"
	"logoffworker/worker/issuers"
	"logoffworker/worker/notice"
	"logoffworker/worker/roster"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver"
)

// The parts of a worker's health, beside those of [stream.Parts], each of which can say why the worker is not
// ready.
const (
	PartResults   = stream.PartResults
	PartWebServer = webserver.Part
	PartBudget    = notice.PartBudget
	PartProtected = roster.PartProtected
)

// Parts lists them for [metrics.NewHealth].
var Parts = slices.Concat(stream.Parts, []string{PartResults, PartWebServer, PartBudget, PartProtected})

// Config holds a worker's settings. [DefaultConfig] fills all but Name.
type Config struct {
	// Name is this worker's name in results; unique among replicas.
	Name string
	// Stream says what the deployment has in JetStream.
	Stream stream.Config
	// Slots is how many requests may be in flight; UrgentSlots of them bulk jobs cannot take.
	Slots, UrgentSlots int
	// BatchMaxSessions and BatchMaxBytes cap one document.
	BatchMaxSessions, BatchMaxBytes int
	// BulkLinger is the longest that a bulk document which is not full waits for more.
	BulkLinger time.Duration
	// ReadBack has the sessions read back whose owner a job names.
	ReadBack bool
	// ProtectedSessions and ProtectedUsers are left alone; a user is meant by userId, name or e-mail address.
	ProtectedSessions, ProtectedUsers []string
	// ProtectedPlaces says where those stand that are not in the variables, by what is written there.
	ProtectedPlaces map[string]string
	// ReadsPerHour and WritesPerHour are the requests to the Web Server of all replicas within any hour,
	// RequestsPerSecond both together of each replica within any second; 0 is no limit. With NATS before 2.12 the
	// hours are each replica's own as well.
	ReadsPerHour, WritesPerHour, RequestsPerSecond int
	// HoldAboveJob is how many sessions and people together one job may name without being held until somebody has
	// approved it, HoldAboveHour how many all jobs of one publisher within any hour, at all replicas; 0 holds nothing.
	HoldAboveJob, HoldAboveHour int
	// ClockTolerance is how long after a job's eventTime a session may have begun and is ended all the same:
	// clocks differ, and an event takes its time to be noticed.
	ClockTolerance time.Duration
	// LooseIDs admits session IDs that are no GUIDs.
	LooseIDs bool
	// Tries is how often a session is sent before a Web Server that answers, but gives no verdict
	// about it, makes it undecided.
	Tries int
	// Backoff spaces the tries of a document, and the probes while the Web Server is down.
	Backoff gate.Backoff
	// KeepAlive is how long the connection to the Web Server may be idle before it is tried, which
	// keeps the login token alive; it must be shorter than the server's idle time-out.
	KeepAlive time.Duration
	// ShutdownTimeout bounds a graceful stop.
	ShutdownTimeout time.Duration
}

// DefaultConfig returns the settings of a worker that was told nothing.
func DefaultConfig() Config {
	return Config{
		Stream:           stream.DefaultConfig(),
		Slots:            4,
		UrgentSlots:      1,
		BatchMaxSessions: 200,
		BatchMaxBytes:    65_000,
		BulkLinger:       100 * time.Millisecond,
		ReadBack:         true,
		ClockTolerance:   time.Minute,
		Tries:            3,
		Backoff:          gate.Backoff{Min: 100 * time.Millisecond, Max: 10 * time.Second},
		KeepAlive:        5 * time.Minute,
		ShutdownTimeout:  25 * time.Second,
	}
}

// Validate returns everything that is wrong with the settings, as joined [*stream.FieldError]s.
func (c Config) Validate() error {
	problems := []error{c.Stream.Validate()}
	wrong := func(field string, ok bool, format string, values ...any) {
		if !ok {
			problems = append(problems, &stream.FieldError{Field: field, Problem: fmt.Sprintf(format, values...)})
		}
	}
	wrong("Name", c.Name != "", "a worker needs a name")
	wrong("Slots", c.Slots >= 2 && c.Slots <= 1000, "must be 2 to 1000 (one for urgent jobs and one for bulk at least), not %d", c.Slots)
	wrong("UrgentSlots", c.UrgentSlots >= 1 && c.UrgentSlots < max(2, c.Slots), "must be at least 1 and fewer than the %d slots, of which bulk jobs need one, not %d", c.Slots, c.UrgentSlots)
	wrong("BatchMaxSessions", c.BatchMaxSessions >= 1 && c.BatchMaxSessions <= jobs.MaxSessions, "must be 1 to %d, not %d", jobs.MaxSessions, c.BatchMaxSessions)
	wrong("BatchMaxBytes", c.BatchMaxBytes >= minDocumentBytes, "must be %d or more, not %d", minDocumentBytes, c.BatchMaxBytes)
	wrong("BulkLinger", c.BulkLinger >= 0 && c.BulkLinger <= time.Minute, "must be 0 to 1m, not %v", c.BulkLinger)
	wrong("ReadsPerHour", c.ReadsPerHour >= 0, "must be 0 or more, not %d", c.ReadsPerHour)
	wrong("WritesPerHour", c.WritesPerHour == 0 || c.WritesPerHour >= 5, "must be 0, or 5 or more, not %d", c.WritesPerHour)
	wrong("RequestsPerSecond", c.RequestsPerSecond >= 0, "must be 0 or more, not %d", c.RequestsPerSecond)
	wrong("HoldAboveJob", c.HoldAboveJob >= 0, "must be 0 or more, not %d", c.HoldAboveJob)
	wrong("HoldAboveHour", c.HoldAboveHour >= 0, "must be 0 or more, not %d", c.HoldAboveHour)
	wrong("ClockTolerance", c.ClockTolerance >= 0 && c.ClockTolerance <= 24*time.Hour, "must be 0s to 24h")
	wrong("Tries", c.Tries >= 1, "must be 1 or more, not %d", c.Tries)
	wrong("Backoff", c.Backoff.Min > 0 && c.Backoff.Max >= c.Backoff.Min, "from %v to %v is no range", c.Backoff.Min, c.Backoff.Max)
	wrong("KeepAlive", c.KeepAlive > 0, "must be more than 0, not %v", c.KeepAlive)
	wrong("ShutdownTimeout", c.ShutdownTimeout > 0, "must be more than 0, not %v", c.ShutdownTimeout)
	return errors.Join(problems...)
}

// Roster is what of the settings concerns users and sessions.
func (c Config) Roster() roster.Config {
	return roster.Config{
		ProtectedSessions: c.ProtectedSessions,
		ProtectedUsers:    c.ProtectedUsers,
		ProtectedPlaces:   c.ProtectedPlaces,
		LooseIDs:          c.LooseIDs,
		ReadsPerHour:      c.ReadsPerHour,
		RequestsPerSecond: c.RequestsPerSecond,
		Backoff:           c.Backoff,
	}
}

// Counts reports whether something is counted for all replicas, for which they need [stream.Config].Counts.
func (c Config) Counts() bool {
	return c.ReadsPerHour > 0 || c.WritesPerHour > 0 || c.HoldAboveHour > 0
}

// Streams is what a deployment has in JetStream, with what the other settings need there.
func (c Config) Streams() stream.Config {
	c.Stream.Counts = c.Counts()
	c.Stream.Holds, c.Stream.HoldsByHour = c.HoldAboveJob > 0 || c.HoldAboveHour > 0, c.HoldAboveHour > 0
	return c.Stream
}

// minDocumentBytes lets every legal session ID, loose ones escaped throughout, have a document.
const minDocumentBytes = 1024

// A Worker works the jobs of one deployment. Fill the fields, then call Run once.
type Worker struct {
	Config  Config
	NATS    *nats.Conn // with the options of [stream.Connect], above all no reconnect buffer
	Server  *webserver.Client
	Metrics *metrics.Metrics
	Health  *metrics.Health
	Log     *slog.Logger
	// Reached, if set, is told of each [Point] but MidLogin that a job passes, and may never return.
	Reached func(Point)
	// Reloads, if set, brings settings to be taken up while Run runs; the latest before it counts, too.
	Reloads <-chan Reload
	// Issuers says whose signed messages are believed, and what of theirs is worked; nil believes nobody. It is kept fresh
	// by whoever opened it.
	Issuers *issuers.Issuers

	streams *stream.Streams
	server  *access.Server
	roster  *roster.Roster
	slots   *slots
	leases  *leases
	guard   *guard.Guard
	settler *settler
	jobLog  *jobLog
	cap     *documentCap
	rules   jobs.Rules
	// issuersFile is what of the issuers the metrics know.
	issuersFile atomic.Pointer[issuers.File]
	found       chan struct{}   // closed when the streams are
	counts      *counts.Counts  // set before; nil where nothing is counted for all replicas
	others      [2]atomic.Int64 // requests that were made beside ours, by kind
	requests    atomic.Int64
	accepted    atomic.Int64 // documents
	order       atomic.Int64 // counts the beginnings of logoffs, and refusals, to tell what came before what
	// latestAccepted is the place in that order of the latest request that was accepted.
	latestAccepted atomic.Int64
	stopping       context.Context // ends when Run is told to stop
	finish         context.Context // ends when a stop has taken too long
	going          map[jobs.Lane]*going
	sends          sync.WaitGroup
	readBacks      sync.WaitGroup // looking users up, reading back, and sending what that finds
}

// Run works jobs until ctx ends, then stops gracefully: nothing new is begun, calls in flight
// finish, their results are stored, and what was not sent goes back to the stream at once. It
// returns nil after such a stop, and an error when the streams or consumers are not what they must
// be. Outages of NATS or the Web Server are no errors: Run waits for their end.
func (w *Worker) Run(ctx context.Context) error {
	finish, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	w.stopping, w.finish = ctx, finish
	if err := w.prepare(); err != nil {
		return err
	}
	watching, endWatch := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()
	defer endWatch()
	defer context.AfterFunc(ctx, func() {
		w.Log.Info("The worker stops: it takes no new jobs, and finishes the requests in flight.")
		time.AfterFunc(w.Config.ShutdownTimeout, cancel)
	})()

	background.Go(func() { w.server.Watch(watching, w.Config.KeepAlive, w.roster.LookAround) })
	background.Go(func() {
		w.server.WatchSecret(watching, func() { w.Log.Info("The secret of the Web Server's account has changed; it is tried now.") })
	})
	background.Go(func() { w.roster.Watch(watching) })
	background.Go(func() { w.board().Watch(watching, w.Server, w.server.Gate) })
	background.Go(func() { w.takeReloads(watching) })
	err := w.streams.Find(ctx)
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	}
	if err := w.findCounts(); err != nil {
		return err
	}
	w.guard = w.newGuard()
	w.settler.maxBytes = int(w.NATS.MaxPayload()) - headerRoom
	w.rules = jobs.Rules{LooseIDs: w.Config.LooseIDs, MaxBytes: w.settler.maxBytes}
	w.reader() // for the metrics
	w.Health.Well(PartResults)

	background.Go(func() { w.leases.keep(finish, w.streams.AckWait(), w.Health) })
	watch := &stream.Watch{
		Streams: w.streams, Jobs: w.leases.count, Sessions: w.leases.weightOf, Accepted: w.accepted.Load,
		Paused: func(lane jobs.Lane, paused bool) { w.going[lane].pause(paused) },
	}
	watch.LookForPauses(ctx) // before the first job is taken
	background.Go(func() { watch.Run(watching) })
	w.work()
	w.sayStopped()
	return nil
}

// work runs the lanes until the worker stops and all that they began is settled or handed back.
func (w *Worker) work() {
	var lanes sync.WaitGroup
	for _, lane := range jobs.Lanes {
		lanes.Go(func() { w.newLane(lane).run() })
	}
	lanes.Wait()
	w.sends.Wait()
	w.readBacks.Wait()
	w.settler.running.Wait()
}

// prepare makes everything that a run needs and that no other party has a say in.
func (w *Worker) prepare() error {
	if err := w.Config.Validate(); err != nil {
		return err
	}
	w.found = make(chan struct{})
	w.streams = &stream.Streams{
		Config: w.Config.Streams(), NATS: w.NATS, Metrics: w.Metrics, Health: w.Health, Log: w.Log,
		Wait: w.Config.Backoff.Ceiling,
	}
	w.going = w.newGoing()
	w.slots = newSlots(w.Config.Slots, w.Config.UrgentSlots, w.Metrics)
	w.server = w.newServer()
	w.Health.Well(PartBudget)
	w.leases = newLeases()
	w.jobLog = newJobLog(w.Log)
	w.roster = roster.New(w.Config.Roster(), w.server, w.Health, w.stopping)
	w.settler = w.newSettler()
	w.cap = newDocumentCap(w.Config.BatchMaxSessions, w.Metrics)
	return nil
}

// newServer is the Web Server behind a gate that tells operators how it is.
func (w *Worker) newServer() *access.Server {
	board := w.board()
	return access.New(access.Config{
		Client: w.Server,
		Gate: gate.Config{
			Backoff:           w.Config.Backoff,
			ReadsPerHour:      w.Config.ReadsPerHour,
			WritesPerHour:     w.Config.WritesPerHour,
			RequestsPerSecond: w.Config.RequestsPerSecond,
			Count:             w.count,
			Others:            func(kind gate.Kind) int64 { return w.others[kind].Load() },
			Moved:             board.BreakerMoved,
			Limited:           board.LimitMoved,
			Spent:             board.BudgetSpent,
			Uncounted:         board.Uncounted,
		},
		Questions: max(2, w.Config.Slots/2),
		Repeated:  func(v webserver.Verdict) { w.Metrics.Retried(v.String()) },
		Stopping:  w.stopping,
		Going:     w.goingFor,
		Finish:    w.finish,
	})
}

func (w *Worker) board() notice.Board { return notice.Board{Health: w.Health, Metrics: w.Metrics} }

func (w *Worker) newSettler() *settler {
	s := &settler{
		config:   w.Config,
		streams:  w.streams,
		outbox:   stream.NewOutbox(w.NATS),
		leases:   w.leases,
		jobLog:   w.jobLog,
		metrics:  w.Metrics,
		health:   w.Health,
		reach:    w.reach,
		stopping: w.stopping,
		finish:   w.finish,
		permits:  map[jobs.Lane]*semaphore.Weighted{},
	}
	for _, lane := range jobs.Lanes { // each its own, so that bulk jobs never hold up urgent ones
		s.permits[lane] = semaphore.NewWeighted(s.most())
	}
	return s
}

// CountOther counts a request with the worker's account that it did not make itself, by the name of its
// operation: those that renew a pair of tokens. It may be called before Run.
func (w *Worker) CountOther(op string) {
	kind := gate.Write
	if op == webserver.OpPing {
		kind = gate.Read
	}
	w.others[kind].Add(1)
}

// Logout ends the session that the worker has made for itself, after Run. It is a write like others, and waits for the
// budget until ctx ends.
func (w *Worker) Logout(ctx context.Context) error {
	if w.server != nil {
		if err := w.server.Gate.Await(ctx); err != nil {
			return fmt.Errorf("wait for the budget of writes: %w", err)
		}
	}
	return w.Server.Logout(ctx)
}

// sayStopped tells how the stop went. What is still held has no stored result, so it is delivered
// again once its lease has run out.
func (w *Worker) sayStopped() {
	w.jobLog.summarize()
	if err := w.NATS.FlushTimeout(time.Second); err != nil {
		w.Log.Warn("Acknowledgements may not have reached NATS before the stop; their jobs are then delivered again.", "error", err)
	}
	if n := w.leases.count(); n > 0 {
		w.Log.Warn("The worker stopped before every result was stored; these jobs are delivered again when their leases have run out.", "jobs", n)
		return
	}
	w.Log.Info("The worker has stopped, and nothing is left in its hands.")
}
