package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"logoffworker/metrics"
	"logoffworker/worker"
	"logoffworker/worker/env"
)

// partSettings is the part of a worker's health that tells of files that cannot be read again.
const partSettings = "settings"

// The variables of the files that hold what is protected.
const (
	protectedSessionsFile = "LOGOFF_PROTECTED_SESSIONS_FILE"
	protectedUsersFile    = "LOGOFF_PROTECTED_USERS_FILE"
)

// protected is what is left alone, by the environment and by files together.
func (s settings) protected() (p protection, problems []error) {
	p.places = map[string]string{}
	add := func(all []string, variable, file string) []string {
		if file == "" {
			return all
		}
		more, lines, err := readList(file)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", variable, err))
		}
		for i, value := range more {
			p.places[value] = fmt.Sprintf("line %d of %s (%s)", lines[i], file, variable)
		}
		return append(slices.Clone(all), more...)
	}
	p.sessions = add(s.ProtectedSessions, protectedSessionsFile, s.ProtectedSessionsFile)
	p.users = add(s.ProtectedUsers, protectedUsersFile, s.ProtectedUsersFile)
	return p, problems
}

// A protection is what is never ended.
type protection struct {
	sessions, users []string
	places          map[string]string // where those of the files stand, by what is written there
}

// readList reads the entries of a file, in which the rest of a line after # is a comment. That nothing is in
// it is an error, since a file that is being written may be empty, and would protect nobody.
func readList(file string) (all []string, lines []int, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, env.Unreadable(err)
	}
	if !utf8.Valid(data) || bytes.ContainsRune(data, 0) {
		return nil, nil, errors.New("the file is not in UTF-8: save it as plain UTF-8 text")
	}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line = env.Trimmed(line)
		if at := strings.IndexByte(line, '#'); at == 0 || at > 0 && strings.ContainsAny(line[at-1:at], " \t") {
			line = line[:at]
		}
		for _, entry := range env.Entries(line) {
			all, lines = append(all, entry), append(lines, number)
		}
	}
	if len(all) == 0 {
		return nil, nil, errors.New("nothing is in the file; to protect nobody, leave the variable out")
	}
	return all, lines, nil
}

// A reloader reads files again while the worker runs.
type reloader struct {
	settings settings
	health   *metrics.Health
	log      *slog.Logger
	to       chan worker.Reload // holds the latest that the worker has not taken yet

	sums       map[string]env.Sum // of the files that could be read, by variable
	protection protection
	change     env.Change // of both lists
}

// newReloader returns one that knows the files as they are now. It starts nothing.
func newReloader(s settings, health *metrics.Health, log *slog.Logger) (*reloader, error) {
	r := &reloader{settings: s, health: health, log: log, to: make(chan worker.Reload, 1)}
	protected, problems := s.protected()
	if len(problems) > 0 {
		return nil, fmt.Errorf("%w: %w", errUsage, errors.Join(problems...))
	}
	r.adopt(protected)
	r.sums, _ = r.read()
	return r, nil
}

// start reads files again at each hang-up signal, and those of what is protected when they change, until it
// is stopped.
func (r *reloader) start(hangups <-chan os.Signal) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.run(ctx, hangups) })
	return func() {
		cancel()
		running.Wait()
	}
}

func (r *reloader) run(ctx context.Context, hangups <-chan os.Signal) {
	every := time.NewTicker(env.LookInterval)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			r.hangup()
		case <-every.C:
			r.look()
		}
	}
}

// hangup reads everything again, and has what is held for the Web Server tried.
func (r *reloader) hangup() {
	before := r.sums
	sums, unread := r.read()
	r.sums = sums
	if protected, ok := r.lists(); ok {
		r.adopt(protected)
	}
	r.send(r.protection.reload(true))
	var changed, atStart []string
	for variable, sum := range sums {
		switch {
		case before[variable] == sum:
		case r.isForStart(variable):
			atStart = append(atStart, variable)
		default:
			changed = append(changed, variable)
		}
	}
	r.log.Info("SIGHUP came: the files of the settings were read again, and the Web Server is tried at once if requests are held.",
		"changed", named(changed), "unreadable", named(unread), "changed_and_needs_a_restart", named(atStart),
		"protected_sessions", len(r.protection.sessions), "protected_users", len(r.protection.users))
}

// named lists variables for a log line.
func named(variables []string) string {
	if len(variables) == 0 {
		return "none"
	}
	slices.Sort(variables)
	return strings.Join(variables, ", ")
}

// look takes up lists of what is protected that have changed.
func (r *reloader) look() {
	if r.settings.ProtectedSessionsFile == "" && r.settings.ProtectedUsersFile == "" {
		return
	}
	protected, ok := r.lists()
	if !ok {
		return
	}
	if !r.change.Look(sumOf(protected.sessions, protected.users)) {
		return
	}
	r.adopt(protected)
	r.send(protected.reload(false))
	r.log.Info("The protected sessions and users have changed, and the worker uses the new ones.", "protected_sessions", len(protected.sessions), "protected_users", len(protected.users))
}

func (r *reloader) adopt(p protection) {
	r.protection = p
	r.change.Adopt(sumOf(p.sessions, p.users))
}

// reload has the worker take up what is protected.
func (p protection) reload(try bool) worker.Reload {
	return worker.Reload{ProtectedSessions: p.sessions, ProtectedUsers: p.users, ProtectedPlaces: p.places, Try: try}
}

// lists reads what is protected. Where that cannot be read, health says so, and what was read before stays.
func (r *reloader) lists() (p protection, ok bool) {
	p, problems := r.settings.protected()
	if len(problems) == 0 {
		r.health.Well(partSettings)
		return p, true
	}
	r.health.Begin(metrics.Condition{
		Part: partSettings, Kind: "unreadable", Grave: true,
		What:     strings.ReplaceAll(errors.Join(problems...).Error(), "\n", "; ") + "; what was read before stays protected",
		ByItself: "the file is read again every few seconds",
		ToDo:     "mend the file", Command: metrics.CheckCommand,
	})
	return protection{}, false
}

// send leaves what is new for the worker, which may not have begun yet, or be at its end. Nothing that is
// still to be taken is forgotten.
func (r *reloader) send(latest worker.Reload) {
	select {
	case earlier := <-r.to:
		latest.Try = latest.Try || earlier.Try
	default:
	}
	r.to <- latest
}

// read returns a sum over each file of the settings, and the variables of those that cannot be read.
func (r *reloader) read() (sums map[string]env.Sum, unread []string) {
	sums = map[string]env.Sum{}
	values := env.Values(reflect.ValueOf(r.settings))
	for i, name := range variableNames() {
		file, _ := values[i].(string)
		if file == "" || !strings.HasSuffix(name, "_FILE") {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			unread = append(unread, name)
			continue
		}
		sums[name] = sha256.Sum256(data)
	}
	return sums, unread
}

// isForStart reports whether a file is read at the start alone.
func (r *reloader) isForStart(variable string) bool {
	switch variable {
	case "LOGOFF_WEBSERVER_CA_FILE", "LOGOFF_WEBSERVER_PAIR_KEY_FILE":
		return true
	}
	return r.settings.NATS.URL == embedded && strings.HasPrefix(variable, "LOGOFF_NATS_")
}

func sumOf(lists ...[]string) env.Sum {
	return sha256.Sum256(fmt.Appendf(nil, "%q", lists))
}
