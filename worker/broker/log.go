package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// lastError is the server's logger: it passes warnings and errors on, and remembers the last error,
// because a server that cannot start says why only there.
type lastError struct {
	log  *slog.Logger
	mu   sync.Mutex
	last error
}

func (l *lastError) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		return errors.New("it gave no reason within a minute")
	}
	return l.last
}

func (l *lastError) fail(format string, v []any) {
	err := fmt.Errorf(format, v...)
	l.mu.Lock()
	l.last = err
	l.mu.Unlock()
	if l.log != nil {
		l.log.Error("embedded broker", "error", err)
	}
}

// Errorf implements the server's Logger.
func (l *lastError) Errorf(format string, v ...any) { l.fail(format, v) }

// Fatalf implements the server's Logger. The server does not exit by itself when it is embedded.
func (l *lastError) Fatalf(format string, v ...any) { l.fail(format, v) }

// Warnf implements the server's Logger.
func (l *lastError) Warnf(format string, v ...any) {
	if l.log != nil {
		l.log.Warn("embedded broker: " + fmt.Sprintf(format, v...))
	}
}

// Noticef implements the server's Logger.
func (l *lastError) Noticef(format string, v ...any) {
	if l.log != nil {
		l.log.Debug("embedded broker: " + fmt.Sprintf(format, v...))
	}
}

// Debugf implements the server's Logger.
func (l *lastError) Debugf(string, ...any) {}

// Tracef implements the server's Logger.
func (l *lastError) Tracef(string, ...any) {}
