package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// A log is the server's logger: it passes warnings and errors on, and remembers the last error, because a
// server that cannot start says why only there.
type log struct {
	to    *slog.Logger  // nil for nobody
	fatal chan struct{} // closed when the server has given up

	mu    sync.Mutex
	last  error
	ended bool
}

func newLog(to *slog.Logger) *log { return &log{to: to, fatal: make(chan struct{})} }

func (l *log) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		return errors.New("it gave no reason")
	}
	return l.last
}

// Errorf implements the server's Logger.
func (l *log) Errorf(format string, v ...any) { l.fail(false, fmt.Errorf(format, v...)) }

// Fatalf implements the server's Logger. The server says so when it gives up; embedded, it does not exit.
func (l *log) Fatalf(format string, v ...any) { l.fail(true, fmt.Errorf(format, v...)) }

func (l *log) fail(fatal bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = err
	if fatal && !l.ended {
		l.ended = true
		close(l.fatal)
	}
	if l.to != nil {
		l.to.Error("embedded broker", "error", err)
	}
}

// Warnf implements the server's Logger.
func (l *log) Warnf(format string, v ...any) {
	if l.to != nil {
		l.to.Warn("embedded broker: " + fmt.Sprintf(format, v...))
	}
}

// Noticef implements the server's Logger.
func (l *log) Noticef(format string, v ...any) {
	if l.to != nil {
		l.to.Debug("embedded broker: " + fmt.Sprintf(format, v...))
	}
}

// Debugf implements the server's Logger.
func (l *log) Debugf(string, ...any) {}

// Tracef implements the server's Logger.
func (l *log) Tracef(string, ...any) {}
