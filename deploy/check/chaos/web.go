package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"logoffworker/worker/history"
	"logoffworker/worker/stage"
)

// webServer is the simulated Web Server under attack.
type webServer struct {
	*stage.WebServer

	mu       sync.Mutex
	sessions []string // signed on, not yet named by a job
	users    int
	seen     int // number of the latest logoff that was looked at
}

// background is a fault that is always there: one logoff of 200 is refused because of its token.
const background = `{"fault":"status","status":401,"rate":0.005}`

func (w *world) startWebServer(ctx context.Context) (*webServer, error) {
	simulator, err := stage.StartWebServer(ctx, w.program("simulator"),
		"-password", w.canaries["web"], "-seed", fmt.Sprint(w.seed),
		"-ended", "ignore", "-partial", "atomic", "-latency", "15ms", "-latency-per-session", "20us", "-concurrency", "16")
	if err != nil {
		return nil, err
	}
	s := &webServer{WebServer: simulator}
	bad := map[string]int{}
	for i, id := range w.poison {
		bad[id] = []int{400, 500}[i%2]
	}
	if err := s.Ask(ctx, "PUT /settings", map[string]any{"badIDs": bad, "journalLimit": 2_000_000}, nil); err != nil {
		return nil, err
	}
	return s, s.heal(ctx)
}

// heal ends all faults but that of the background.
func (s *webServer) heal(ctx context.Context) error {
	if err := s.Ask(ctx, "DELETE /faults", nil, nil); err != nil {
		return err
	}
	return s.Ask(ctx, "POST /faults", background, nil)
}

// session returns a session that is on and that no job has named.
func (s *webServer) session(ctx context.Context) (id string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sessions) == 0 {
		if s.sessions, err = s.SignOn(ctx, 20_000); err != nil {
			return "", err
		}
	}
	id = s.sessions[0]
	s.sessions = s.sessions[1:]
	return id, nil
}

// user adds a user with sessions that are on.
func (s *webServer) user(ctx context.Context, sessions int) (user int64, ids []string, err error) {
	s.mu.Lock()
	s.users++
	login := fmt.Sprintf("user%d", s.users)
	s.mu.Unlock()
	var made struct {
		ID int64 `json:"id"`
	}
	if err := s.Ask(ctx, "POST /users", map[string]string{"login": login, "display": login}, &made); err != nil {
		return 0, nil, err
	}
	err = s.Ask(ctx, "POST /sessions", map[string]int64{"userId": made.ID, "console": 19, "count": int64(sessions)}, &ids)
	return made.ID, ids, err
}

func asked(r stage.Request) history.Request {
	q := history.Request{
		Number: r.Number, Time: r.Time, Sessions: r.Sessions, Applied: r.Applied,
		Status: r.Status, Answered: r.Answered, Success: r.Success,
	}
	if ids := r.Header["X-Request-Id"]; len(ids) > 0 {
		q.RequestID = ids[0]
	}
	return q
}

// mark returns the number of the latest logoff, from which failed counts.
func (s *webServer) mark(ctx context.Context) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	latest, err := s.Journal(ctx, "logoff", s.seen)
	if len(latest) > 0 {
		s.seen = latest[len(latest)-1].Number
	}
	return s.seen, err
}

// failed counts the logoffs after a mark that met a fault.
func (s *webServer) failed(ctx context.Context, mark int, fault func(stage.Request) bool) (n int, err error) {
	journal, err := s.Journal(ctx, "logoff", mark)
	for _, request := range journal {
		if fault(request) {
			n++
		}
	}
	return n, err
}

// What tells an injected fault from that of the background, and from what jobs themselves bring about.
func injected(r stage.Request) bool     { return r.Fault != "" && r.Fault != "status 401" }
func unauthorized(r stage.Request) bool { return r.Fault == "status 401" }
func tokenDead(r stage.Request) bool    { return r.Status == http.StatusUnauthorized && r.Fault == "" }
