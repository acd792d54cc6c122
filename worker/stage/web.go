package stage

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// A WebServer is the simulated Web Server.
type WebServer struct {
	Process *Process
	Port    int
	User    int // a user who can be signed on
	Admin   int // the administrator
	control string
}

// StartWebServer starts the simulator's program, with flags of its own beside the addresses.
func StartWebServer(ctx context.Context, program string, flags ...string) (*WebServer, error) {
	ports, err := FreePorts(2)
	if err != nil {
		return nil, err
	}
	s := &WebServer{Port: ports[0], control: fmt.Sprintf("http://127.0.0.1:%d", ports[1])}
	flags = append([]string{"-addr", fmt.Sprintf("127.0.0.1:%d", ports[0]), "-control", fmt.Sprintf("127.0.0.1:%d", ports[1]), "-people", "1"}, flags...)
	if s.Process, err = Launch("simulator", &Output{}, os.Environ(), append([]string{program}, flags...)...); err != nil {
		return nil, err
	}
	var users []struct {
		ID            int  `json:"id"`
		Administrator bool `json:"administrator"`
	}
	if !Await(ctx, 10*time.Second, func() bool { return s.Ask(ctx, "GET /users", nil, &users) == nil }) {
		return nil, fmt.Errorf("the simulator does not answer\n%s", s.Process.Out.Tail())
	}
	for _, user := range users {
		if user.Administrator {
			s.Admin = user.ID
		} else {
			s.User = user.ID
		}
	}
	return s, nil
}

// Ask calls the control address. A body that is text is sent as it is, any other as JSON.
func (s *WebServer) Ask(ctx context.Context, request string, body, answer any) error {
	method, path, _ := strings.Cut(request, " ")
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
	asked, err := http.NewRequestWithContext(ctx, method, s.control+path, bytes.NewReader([]byte(data)))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(asked)
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

// SignOn signs sessions on and returns their IDs.
func (s *WebServer) SignOn(ctx context.Context, n int) (ids []string, err error) {
	return ids, s.Ask(ctx, "POST /sessions", map[string]int{"userId": s.User, "count": n}, &ids)
}

// A Request is one of the journal.
type Request struct {
	Number   int                 `json:"number"`
	Time     time.Time           `json:"time"`
	Header   map[string][]string `json:"header"`
	Sessions []string            `json:"sessions"`
	Applied  []string            `json:"applied"`
	Status   int                 `json:"status"`
	Answered bool                `json:"answered"`
	Success  bool                `json:"success"`
	Took     int64               `json:"took"`  // from its arrival to the answer, in microseconds
	Fault    string              `json:"fault"` // the fault that took the place of the answer, if any
}

// Journal is every request of a kind after a number.
func (s *WebServer) Journal(ctx context.Context, op string, since int) (all []Request, err error) {
	const page = 2000
	for {
		var some []Request
		if err := s.Ask(ctx, fmt.Sprintf("GET /journal?op=%s&since=%d&limit=%d", op, since, page), nil, &some); err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) < page {
			return all, nil
		}
		since = some[len(some)-1].Number
	}
}
