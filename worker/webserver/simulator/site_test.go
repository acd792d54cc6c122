package simulator

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"logoffworker/worker/stage/pipe"
)

const apiBase = "/commandcenter/api"

// A site is a simulator with an administrator (1) and two others (2, 3), and a client to it.
type site struct {
	*Server
	t      *testing.T
	client *http.Client
}

// newSite works in a synctest bubble and outside of one: its network is made of pipes.
func newSite(t *testing.T, settings Settings) *site {
	t.Helper()
	s := &site{Server: New(settings, 1), t: t}
	s.AddUser(User{ID: 1, Login: "admin", Display: "Administrator", Password: "secret", Email: "root@corp.example", Administrator: true})
	s.AddUser(User{ID: 2, Login: `CORP\jane`, Display: "Jane Doe", Password: "pässword"})
	s.AddUser(User{ID: 3, Login: "bob", Password: "b"})
	dial, stop := pipe.Serve(s)
	transport := &http.Transport{DialContext: dial, DisableCompression: true}
	s.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
	})
	return s
}

type received struct {
	status int
	header http.Header
	body   string
}

// try sends a request; headers are in pairs. A path without a apiBase gets one.
func (s *site) try(method, path, body string, headers ...string) (received, error) {
	if !strings.HasPrefix(path, "/") {
		path = apiBase + "/" + path
	}
	request, err := http.NewRequestWithContext(s.t.Context(), method, "http://cs.example"+path, strings.NewReader(body))
	if err != nil {
		return received{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header[headers[i]] = []string{headers[i+1]}
	}
	response, err := s.client.Do(request)
	if err != nil {
		return received{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return received{response.StatusCode, response.Header, string(content)}, err
}

func (s *site) ask(method, path, body string, headers ...string) received {
	s.t.Helper()
	r, err := s.try(method, path, body, headers...)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// logoff sends the documented form.
func (s *site) logoff(token string, ids ...string) received {
	s.t.Helper()
	return s.ask("DELETE", "Sessions", documentOf(ids...), "Authtoken", token)
}

func documentOf(ids ...string) string {
	var elements strings.Builder
	for _, id := range ids {
		fmt.Fprintf(&elements, "\n   <sessions val=%q/>", id)
	}
	return `<?xml version="1.0" encoding="utf-8"?><Api_LogoffUsersRequest>` + elements.String() + "\n</Api_LogoffUsersRequest >\n"
}

// login logs in by JSON and returns the decoded answer.
func (s *site) login(name, password, more string) map[string]any {
	s.t.Helper()
	form := fmt.Sprintf(`{"username":%q,"password":%q%s}`, name, base64.StdEncoding.EncodeToString([]byte(password)), more)
	r := s.ask("POST", "Login", form, "Accept", "application/json", "Content-Type", "application/json")
	if r.status != 200 {
		s.t.Fatalf("login answers %d", r.status)
	}
	return s.decode(r)
}

func (s *site) decode(r received) (object map[string]any) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(r.body), &object); err != nil {
		s.t.Fatalf("%v: %q", err, r.body)
	}
	return object
}

// alive reports which of the sessions are on.
func (s *site) alive(ids ...string) (on []bool) {
	active := map[string]bool{}
	for _, row := range s.Sessions() {
		active[row.ID] = row.Active()
	}
	for _, id := range ids {
		on = append(on, active[id])
	}
	return on
}

func (s *site) wantAlive(ids []string, want ...bool) {
	s.t.Helper()
	if got := s.alive(ids...); fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Errorf("sessions on: %v, want %v", got, want)
	}
}

func (s *site) last() Request {
	s.t.Helper()
	requests := s.Journal()
	if len(requests) == 0 {
		s.t.Fatal("the journal is empty")
	}
	return requests[len(requests)-1]
}

func success(r received) bool {
	return r.status == 200 && strings.HasSuffix(r.body, "<Api_LogoffUsersResponse />")
}
