package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"logoffworker/worker/history"
)

// webServer is the simulated Web Server, in a process of its own.
type webServer struct {
	process *process
	port    int
	control string

	mu       sync.Mutex
	sessions []string // signed on, not yet named by a job
	user     int
	seen     int // number of the latest logoff that was looked at
}

// background is what fails all the time: one logoff of 200 meets a dead token.
const background = `{"fault":"status","status":401,"rate":0.005}`

func (w *world) startWebServer(ctx context.Context) (*webServer, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	s := &webServer{port: ports[0], control: fmt.Sprintf("http://127.0.0.1:%d", ports[1])}
	s.process, err = launch("simulator", &book{}, os.Environ(), w.program("simulator"),
		"-addr", fmt.Sprintf("127.0.0.1:%d", ports[0]), "-control", fmt.Sprintf("127.0.0.1:%d", ports[1]),
		"-password", w.canaries["web"], "-people", "1", "-seed", fmt.Sprint(w.seed),
		"-ended", "ignore", "-partial", "atomic", "-latency", "15ms", "-latency-per-session", "20us", "-concurrency", "16")
	if err != nil {
		return nil, err
	}
	if !await(ctx, 10*time.Second, func() bool { return s.ask(ctx, http.MethodGet, "/settings", nil, nil) == nil }) {
		return nil, fmt.Errorf("%w: simulator\n%s", errStart, s.process.out.tail())
	}
	var users []struct {
		ID            int  `json:"id"`
		Administrator bool `json:"administrator"`
	}
	if err := s.ask(ctx, http.MethodGet, "/users", nil, &users); err != nil {
		return nil, err
	}
	for _, user := range users {
		if !user.Administrator {
			s.user = user.ID
		}
	}
	bad := map[string]int{}
	for i, id := range w.poison {
		bad[id] = []int{400, 500}[i%2]
	}
	if err := s.ask(ctx, http.MethodPut, "/settings", map[string]any{"badIDs": bad, "journalLimit": 2_000_000}, nil); err != nil {
		return nil, err
	}
	return s, s.heal(ctx)
}

// ask calls the control address.
func (s *webServer) ask(ctx context.Context, method, path string, body, answer any) error {
	data, isText := body.(string)
	if !isText && body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		data = string(encoded)
	}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, s.control+path, bytes.NewReader([]byte(data)))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, content)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(content, answer)
}

// heal ends all faults but the one of the background.
func (s *webServer) heal(ctx context.Context) error {
	if err := s.ask(ctx, http.MethodDelete, "/faults", nil, nil); err != nil {
		return err
	}
	return s.ask(ctx, http.MethodPost, "/faults", background, nil)
}

// session is one that is on and that no job has named.
func (s *webServer) session(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sessions) == 0 {
		form := map[string]int{"userId": s.user, "count": 20_000}
		if err := s.ask(ctx, http.MethodPost, "/sessions", form, &s.sessions); err != nil {
			return "", err
		}
	}
	id := s.sessions[0]
	s.sessions = s.sessions[1:]
	return id, nil
}

// journaled is a request as the control address shows it.
type journaled struct {
	Number   int                 `json:"number"`
	Time     time.Time           `json:"time"`
	Op       string              `json:"op"`
	Header   map[string][]string `json:"header"`
	Sessions []string            `json:"sessions"`
	Applied  []string            `json:"applied"`
	Status   int                 `json:"status"`
	Answered bool                `json:"answered"`
	Success  bool                `json:"success"`
}

// journal is what came after a number.
func (s *webServer) journal(ctx context.Context, op string, since int) (all []journaled, err error) {
	const page = 2000
	for {
		var some []journaled
		if err := s.ask(ctx, http.MethodGet, fmt.Sprintf("/journal?op=%s&since=%d&limit=%d", op, since, page), nil, &some); err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) < page {
			return all, nil
		}
		since = some[len(some)-1].Number
	}
}

func (j journaled) request() history.Request {
	r := history.Request{
		Number: j.Number, Time: j.Time, Sessions: j.Sessions, Applied: j.Applied,
		Status: j.Status, Answered: j.Answered, Success: j.Success,
	}
	if ids := j.Header["X-Request-Id"]; len(ids) > 0 {
		r.RequestID = ids[0]
	}
	return r
}

// mark is the number of the latest logoff, to count from.
func (s *webServer) mark(ctx context.Context) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	latest, err := s.journal(ctx, "logoff", s.seen)
	if len(latest) > 0 {
		s.seen = latest[len(latest)-1].Number
	}
	return s.seen, err
}

// failed counts the logoffs after a mark that came to no success.
func (s *webServer) failed(ctx context.Context, mark int) (n int, err error) {
	journal, err := s.journal(ctx, "logoff", mark)
	for _, request := range journal {
		if !request.Success {
			n++
		}
	}
	return n, err
}
