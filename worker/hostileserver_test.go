package worker_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// A hostileServer is a Web Server that lies where its lies say so and is honest otherwise. It knows the truth: which
// session is on, when it ended, and what was really said about it. It shares nothing with the simulator, so that what
// both the simulator and the client misread still shows.
type hostileServer struct {
	serving sync.WaitGroup
	random  *rand.Rand

	mu       sync.Mutex
	lies     []lie
	sessions []*realSession // the latest login last
	users    []realUser
	tokens   map[string]*realSession // by token, those that are taken
	issued   int
	calls    []hostileCall
	said     map[string]words // by session ID in capitals
	lists    map[int64]shownList
	ahead    []time.Time     // when an answer had the time of a clock that is ahead
	empty    map[int64]int   // how many empty lists of a person came one after the other, by lies that are mixed
	unseen   map[int64]bool  // whose sessions nobody could know of: there were two such lists
	old      map[int64]reply // the lists of a cache, from before the lies
	denied   bool            // it was said of a user that there is none
}

// A realSession is on from its login until it ends, and again from when it came back.
type realSession struct {
	id                 string
	owner              int64
	login, ended, back time.Time
}

func (s *realSession) over(at time.Time) bool {
	return !s.ended.IsZero() && !s.ended.After(at) && (s.back.IsZero() || at.Before(s.back))
}

type realUser struct {
	id                         int64
	login, full, mail, company string
}

// words are what was said about a session.
type words struct {
	yes   []time.Time // the documented success, for a document with it
	no    []time.Time // anything else, for a document of it alone
	asked bool        // it was in a document at all
}

// A shownList is the last true list of a person that reached the worker.
type shownList struct {
	at    time.Time
	on    map[string]bool // by session ID in capitals
	whole bool
}

// shownTo is the last true list of a person, and whether it must have counted at a time: it need not have where it
// looks like an old one of a cache, because another answer of the ten minutes before, or of the same moment, was later
// by its Date.
func (h *hostileServer) shownTo(owner int64, at time.Time) (list shownList, counts bool) {
	list, counts = h.lists[owner]
	old := slices.ContainsFunc(h.ahead, func(ahead time.Time) bool {
		return ahead.Before(list.at.Add(time.Second)) && list.at.Before(ahead.Add(10*time.Minute))
	})
	return list, counts && !old && !list.at.After(at)
}

// A hostileCall is one request.
type hostileCall struct {
	at           time.Time
	op, asks, of string // what was asked, and with which lie it was answered
}

// An effect is what a logoff does to the sessions of its document.
type effect int

const (
	never effect = iota
	atOnce
	soon   // after two seconds
	late   // after a minute
	undone // at once, and a minute later they are on again
)

// A lie is another answer than the honest one.
type lie struct {
	of     string  // the name of its row, where lies are mixed
	on     string  // the calls, separated by blanks: logoff sessions user login renew ping logout; empty for all
	about  string  // only documents that hold this session
	odds   float64 // how often it is told; 0 is always
	effect effect  // of a logoff
	// say answers; without it the answer is as if all were well.
	say func(x *hostileExchange)
}

// A reply is an answer that is HTTP.
type reply struct {
	status  int
	headers []string
	body    string
}

// A hostileExchange is one request on its way.
type hostileExchange struct {
	server  *hostileServer
	op      string
	request *http.Request
	body    []byte
	conn    net.Conn
	ids     []string // of a document
	judged  reply    // of a logoff: the honest answer
	cut     bool     // the connection is closed after the answer
	away    bool     // it had no token that is good: an honest answer says nothing of its sessions
	yes     bool     // the documented success was said
	sent    string   // the body of the answer
	shown   func()   // notes what an honest list has shown
}

func newHostileServer(t *testing.T, seed uint64) *hostileServer {
	h := &hostileServer{random: rand.New(rand.NewPCG(seed, 0)), tokens: map[string]*realSession{}, said: map[string]words{}, lists: map[int64]shownList{}, empty: map[int64]int{}, unseen: map[int64]bool{}, old: map[int64]reply{}}
	h.users = []realUser{ // each of three companies has somebody of whom something is listed, and whom no job names
		{1, "admin", "Administrator", "admin@corp.example", "Corp"},
		{10, "nobody", "Nobody Told", "nobody@corp.example", "Corp"},
		{7, "jane", "Jane Doe", "jane@seven.example", "Seven"},
		{17, "wanda", "Wanda Witness", "wanda@seven.example", "Seven"},
		{8, "john", "John Doe", "john@eight.example", "Eight"},
		{18, "will", "Will Witness", "will@eight.example", "Eight"},
		{9, `CORP\mary`, "Mary Major", "mary@nine.example", "Nine"},
		{19, "wes", "Wes Witness", "wes@nine.example", "Nine"},
	}
	t.Cleanup(h.serving.Wait)
	return h
}

// signOn makes sessions.
func (h *hostileServer) signOn(owner int64, n int) (ids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for range n {
		ids = append(ids, h.newSession(owner).id)
	}
	return ids
}

func (h *hostileServer) newSession(owner int64) *realSession {
	s := &realSession{id: fmt.Sprintf("%08X-0000-4000-8000-%012X", 0xABCD0000+len(h.sessions), owner), owner: owner, login: time.Now()}
	h.sessions = append(h.sessions, s)
	return s
}

func (h *hostileServer) session(id string) *realSession {
	i := slices.IndexFunc(h.sessions, func(s *realSession) bool { return strings.EqualFold(s.id, id) })
	if i < 0 {
		return nil
	}
	return h.sessions[i]
}

// lieFrom has the server lie from now on; without lies it is honest again.
func (h *hostileServer) lieFrom(lies ...lie) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lies = lies
}

// forget lets all tokens die.
func (h *hostileServer) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.tokens)
}

func (h *hostileServer) count(op string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.calls {
		if op == "" || c.op == op {
			n++
		}
	}
	return n
}

// journal is all that was asked, a line each.
func (h *hostileServer) journal() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var lines strings.Builder
	for _, c := range h.calls {
		fmt.Fprintf(&lines, "%s %s %s %s\n", c.at.Format("15:04:05.000"), c.op, c.asks, c.of)
	}
	return lines.String()
}

// dial connects to the server without a network.
func (h *hostileServer) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	h.serving.Go(func() {
		defer far.Close()
		h.serve(far)
	})
	return near, nil
}

func (h *hostileServer) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		<-time.After(20 * time.Millisecond)
		x := &hostileExchange{server: h, op: opOf(r), request: r, body: body, conn: conn}
		x.answer()
		if x.cut {
			return
		}
	}
}

func opOf(r *http.Request) string {
	path := strings.TrimPrefix(r.URL.Path, "/commandcenter/api")
	switch {
	case path == "/Sessions" && r.Method == http.MethodDelete:
		return "logoff"
	case path == "/Session", path == "/Sessions":
		return "sessions"
	case path == "/Login":
		return "login"
	case path == "/RenewLoginToken":
		return "renew"
	case path == "/Logout":
		return "logout"
	case path == "/WhoAmI":
		return "ping"
	case strings.HasPrefix(path, "/User"), strings.HasPrefix(path, "/V4/user"):
		return "user"
	}
	return "other"
}

// answer has the effect of a request, and answers it honestly or with a lie.
func (x *hostileExchange) answer() {
	h := x.server
	h.mu.Lock()
	call := hostileCall{at: time.Now(), op: x.op, asks: x.request.URL.RequestURI()}
	if x.op == "logoff" {
		x.ids = documentIDs(x.body)
		call.asks = strings.Join(x.ids, " ")
	}
	told := x.lie()
	effect := atOnce
	if told != nil {
		effect = told.effect
		call.of = cmp.Or(told.of, "lie")
		x.hides()
	}
	h.calls = append(h.calls, call)
	if x.op == "logoff" {
		x.judged = x.logoff(effect)
	}
	h.mu.Unlock()
	if told != nil && told.say != nil {
		told.say(x)
		x.shown = nil
	} else {
		answer := x.honest()
		x.yes = x.send(answer) && x.op == "logoff" && answer.status == http.StatusOK
	}
	x.noted()
	if x.op == "sessions" {
		x.hidden(told != nil && told.of != "")
	}
}

// lie is the first that is about a request; nil for none.
func (x *hostileExchange) lie() *lie {
	for i, l := range x.server.lies {
		meant := l.on == "" || slices.Contains(strings.Fields(l.on), x.op)
		told := l.odds == 0 || x.server.random.Float64() < l.odds
		if meant && told && (l.about == "" || slices.Contains(x.ids, l.about)) {
			return &x.server.lies[i]
		}
	}
	return nil
}

// hides forgets what the list has shown that is asked for: what counts is the last.
func (x *hostileExchange) hides() {
	if x.op == "sessions" {
		owner, _ := x.rows()
		delete(x.server.lists, owner)
	}
}

// hidden notes whether a person can be known to have sessions: two empty lists, of two lies that are mixed, cannot be
// told from the lists of somebody who never was on. A lie that has a row of its own is to be found out.
func (x *hostileExchange) hidden(mixed bool) {
	h := x.server
	h.mu.Lock()
	defer h.mu.Unlock()
	owner, _ := x.rows()
	switch {
	case mixed && x.sent == listReply(nil).body:
		h.empty[owner]++
		h.unseen[owner] = h.unseen[owner] || h.empty[owner] > 1
	case strings.Contains(x.sent, "sessionId"):
		h.empty[owner] = 0
	}
}

// noted remembers what was said, and shown, when it is out.
func (x *hostileExchange) noted() {
	h := x.server
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := x.ids
	if x.away && !x.yes {
		ids = nil
	}
	for _, id := range ids {
		said := h.said[strings.ToUpper(id)]
		said.asked = true
		switch {
		case x.yes:
			said.yes = append(said.yes, time.Now())
		case len(ids) == 1:
			said.no = append(said.no, time.Now())
		}
		h.said[strings.ToUpper(id)] = said
	}
	if x.shown != nil && !x.cut {
		x.shown()
	}
}

// send writes an answer, and reports whether all of it was taken.
func (x *hostileExchange) send(r reply) bool {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", r.status, http.StatusText(r.status))
	if !slices.ContainsFunc(r.headers, func(h string) bool { return strings.HasPrefix(h, "Date: ") }) {
		fmt.Fprintf(&b, "Date: %s\r\n", time.Now().UTC().Format(http.TimeFormat))
	}
	for _, header := range r.headers {
		fmt.Fprintf(&b, "%s\r\n", header)
	}
	if r.status != http.StatusNoContent {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.body))
	}
	fmt.Fprintf(&b, "\r\n%s", r.body)
	x.sent = r.body
	return x.write(b.String())
}

func (x *hostileExchange) write(text string) bool {
	_, err := io.WriteString(x.conn, text)
	x.cut = x.cut || err != nil
	return err == nil
}

// documentIDs are the sessions of a document, read token by token.
func documentIDs(body []byte) (ids []string) {
	for d := xml.NewDecoder(bytes.NewReader(body)); ; {
		token, err := d.Token()
		if err != nil {
			return ids
		}
		if start, is := token.(xml.StartElement); is && start.Name.Local == "sessions" {
			ids = append(ids, start.Attr[0].Value)
		}
	}
}

// logoff ends sessions, and says what the honest answer is: a document with one that is over fails as the only
// public capture shows, after the others were ended.
func (x *hostileExchange) logoff(e effect) reply {
	if !x.authorized() {
		x.away = true
		return unauthorized
	}
	answer := reply{status: http.StatusOK, headers: []string{"Content-Type: application/xml"}, body: documented}
	now := time.Now()
	for _, id := range x.ids {
		s := x.server.session(id)
		switch {
		case s == nil || s.over(now):
			answer = generic500
		case e == atOnce:
			s.ended = now
		case e == soon && s.ended.IsZero():
			s.ended = now.Add(2 * time.Second)
		case e == late && s.ended.IsZero():
			s.ended = now.Add(time.Minute)
		case e == undone:
			s.ended, s.back = now, now.Add(time.Minute)
		}
	}
	return answer
}

const documented = `<Api_LogoffUsersResponse />`

var (
	unauthorized = reply{status: 401, headers: []string{"Content-Type: text/plain"}, body: "Invalid authorization token provided."}
	generic500   = jsonReply(500, `{"error":{"errorMessage":"Something is not right. Please check web service logs for details","errorCode":500}}`)
)

func jsonReply(status int, body string) reply {
	return reply{status: status, headers: []string{"Content-Type: application/json; charset=utf-8"}, body: body}
}

func (x *hostileExchange) authorized() bool {
	s := x.server.tokens[x.request.Header.Get("Authtoken")]
	return s != nil && !s.over(time.Now())
}

// honest is the honest answer, after whatever it does.
func (x *hostileExchange) honest() reply {
	h := x.server
	h.mu.Lock()
	defer h.mu.Unlock()
	switch x.op {
	case "login":
		return x.login()
	case "renew":
		return x.renew()
	}
	if !x.authorized() {
		return unauthorized
	}
	switch x.op {
	case "logoff":
		return x.judged
	case "sessions":
		return x.list()
	case "ping":
		return jsonReply(200, `{"user":{"userId":1,"userName":"Administrator"}}`)
	case "user":
		return x.user()
	case "logout":
		return reply{status: 200, headers: []string{"Content-Type: text/plain"}, body: "User logged out"}
	}
	return reply{status: 404, headers: []string{"Content-Type: text/html"}, body: htmlPage("404 - File or directory not found.")}
}

func (x *hostileExchange) login() reply {
	var given struct{ Password string }
	_ = json.Unmarshal(x.body, &given, json.MatchCaseInsensitiveNames(true))
	if password, _ := base64.StdEncoding.DecodeString(given.Password); string(password) != servicePassword {
		return jsonReply(200, `{"errList":[{"errorCode":1116,"errLogMessage":"bad credentials"}]}`)
	}
	return x.issue(x.server.newSession(1))
}

func (x *hostileExchange) issue(s *realSession) reply {
	x.server.issued++
	token := fmt.Sprintf("QSDK 3%040x", x.server.issued)
	x.server.tokens[token] = s
	return jsonReply(200, fmt.Sprintf(`{"token":%q,"aliasName":"1","userName":"admin","errList":[]}`, token))
}

// renew takes a token that is known, dead or not, as the real one does.
func (x *hostileExchange) renew() reply {
	var given struct {
		SessionID string `json:"sessionId"`
	}
	_ = json.Unmarshal(x.body, &given)
	s := cmp.Or(x.server.tokens[given.SessionID], x.server.tokens["expired "+given.SessionID])
	if s == nil || s.over(time.Now()) {
		return jsonReply(200, `{"error":{"errLogMessage":"unknown token","errorCode":5}}`)
	}
	delete(x.server.tokens, given.SessionID)
	delete(x.server.tokens, "expired "+given.SessionID)
	return x.issue(s)
}

// A listedRow is a session as the list shows it.
type listedRow struct {
	id            string
	owner         int64
	login, logout int64
	own           bool
}

func (r listedRow) String() string {
	own := ""
	if r.own {
		own = `"isCurrentSession":true,`
	}
	return fmt.Sprintf(`{"lastAccessedTime":0,"logoutTime":%d,"loginTime":%d,"host":"web","location":"","sessionId":%q,%s"consoleType":19,"user":{"userName":"somebody","userId":%d}}`,
		r.logout, r.login, r.id, own, r.owner)
}

func listReply(rows []listedRow) reply {
	texts := make([]string, 0, len(rows))
	for _, row := range rows {
		texts = append(texts, row.String())
	}
	return jsonReply(200, "{\r\"sessions\":[\r"+strings.Join(texts, ",")+"\r]\r}")
}

// mostRows is how many rows a list has.
const mostRows = 50

// list is the true list, and notes that it was shown.
func (x *hostileExchange) list() reply {
	owner, rows := x.rows()
	shown := shownList{at: time.Now(), on: map[string]bool{}, whole: len(rows) < mostRows && len(rows) > 0}
	for _, row := range rows {
		shown.on[strings.ToUpper(row.id)] = row.logout == 0
	}
	x.shown = func() { x.server.lists[owner] = shown }
	return listReply(rows)
}

// rows are what is on and was on of the person who is asked about, the newest first.
func (x *hostileExchange) rows() (owner int64, rows []listedRow) {
	owner, _ = strconv.ParseInt(x.request.URL.Query().Get("userId"), 10, 64)
	return owner, x.server.rowsOf(owner, x.server.tokens[x.request.Header.Get("Authtoken")])
}

func (h *hostileServer) rowsOf(owner int64, own *realSession) (rows []listedRow) {
	now := time.Now()
	for _, s := range slices.Backward(h.sessions) {
		if s.owner != owner || len(rows) == mostRows {
			continue
		}
		row := listedRow{id: s.id, owner: owner, login: s.login.Unix(), own: s == own}
		if s.over(now) {
			row.logout = s.ended.Unix()
		}
		rows = append(rows, row)
	}
	return rows
}

// user answers all look-ups of users.
func (x *hostileExchange) user() reply {
	path, err := url.PathUnescape(strings.TrimPrefix(x.request.URL.EscapedPath(), "/commandcenter/api"))
	if err != nil {
		return jsonReply(400, `{"errorMessage":"bad path","errorCode":2}`)
	}
	if name, is := strings.CutPrefix(path, "/User/byName(userName='"); is {
		name = strings.TrimSuffix(name, "')")
		for _, u := range x.server.users {
			if strings.EqualFold(u.login, name) {
				return jsonReply(200, `{"users":[`+u.older()+`]}`)
			}
		}
		return jsonReply(200, `{"errorCode":-1,"errorMessage":"no such user"}`)
	}
	_, last, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(path, "/V4"), "/"), "/")
	for _, u := range x.server.users {
		if strconv.FormatInt(u.id, 10) == last {
			return jsonReply(200, cmp.Or(u.newer(strings.HasPrefix(path, "/V4")), `{"users":[`+u.older()+`]}`))
		}
	}
	if last != "" {
		return jsonReply(404, `{"errorCode":404,"errorMessage":"user does not exist"}`)
	}
	return jsonReply(200, userList(x.server.users, strings.HasPrefix(path, "/V4")))
}

func userList(users []realUser, v4 bool) string {
	texts := make([]string, 0, len(users))
	for _, u := range users {
		texts = append(texts, cmp.Or(u.newer(v4), u.older()))
	}
	return fmt.Sprintf(`{"numberOfUsers":%d,"users":[%s]}`, len(users), strings.Join(texts, ","))
}

func (u realUser) older() string {
	return fmt.Sprintf(`{"email":%q,"fullName":%q,"lastLogIntime":1700000000,"companyName":%q,"userEntity":{"userId":%d,"userName":%q}}`, u.mail, u.full, u.company, u.id, u.login)
}

// newer is the form of the newer calls, where that is asked for.
func (u realUser) newer(asked bool) string {
	if !asked {
		return ""
	}
	return fmt.Sprintf(`{"id":%d,"name":%q,"fullName":%q,"email":%q,"enabled":true,"company":{"id":2,"name":%q}}`, u.id, u.login, u.full, u.mail, u.company)
}

func htmlPage(title string) string {
	return "<!DOCTYPE html><html><head><title>" + title + "</title></head><body><h1>" + title + "</h1></body></html>"
}

// What liars say.

// says answers with a status and a body.
func says(status int, body string, headers ...string) func(*hostileExchange) {
	return func(x *hostileExchange) { x.send(reply{status, headers, body}) }
}

// succeedsAs is the documented success in clothes that are known to be worn.
func succeedsAs(status int, body string, headers ...string) func(*hostileExchange) {
	return func(x *hostileExchange) { x.yes = x.send(reply{status, headers, body}) }
}

// shows answers with a page.
func shows(status int, title string) func(*hostileExchange) {
	return says(status, htmlPage(title), "Content-Type: text/html")
}

// writes answers with bytes, and closes the connection.
func writes(text string) func(*hostileExchange) {
	return func(x *hostileExchange) {
		x.write(text)
		x.cut = true
	}
}

// resets answers nothing and closes the connection.
func resets(x *hostileExchange) { x.cut = true }

// saysNothing answers nothing until the other side gives up.
func saysNothing(x *hostileExchange) {
	_, _ = io.Copy(io.Discard, x.conn)
	x.cut = true
}

// drips writes a byte at a time.
func drips(text string) func(*hostileExchange) {
	return func(x *hostileExchange) {
		for i := range len(text) {
			<-time.After(2 * time.Second)
			if !x.write(text[i : i+1]) {
				return
			}
		}
	}
}

// spoils answers honestly, but for what a change makes of it.
func spoils(change func(*hostileExchange, *reply)) func(*hostileExchange) {
	return func(x *hostileExchange) {
		answer := x.honest()
		change(x, &answer)
		x.send(answer)
	}
}

// replaces answers honestly, but for some words of it.
func replaces(pairs ...string) func(*hostileExchange) {
	return spoils(func(_ *hostileExchange, r *reply) { r.body = strings.NewReplacer(pairs...).Replace(r.body) })
}

var errNobodyThere = errors.New("connect: connection refused")

// lying reports whether there are lies.
func (h *hostileServer) lying() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.lies) > 0
}

// cache keeps the lists as they are now.
func (h *hostileServer) cache() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, u := range h.users {
		h.old[u.id] = listReply(h.rowsOf(u.id, nil))
	}
}

// cached is the list that a cache has kept.
func (x *hostileExchange) cached() reply {
	x.server.mu.Lock()
	defer x.server.mu.Unlock()
	owner, _ := x.rows()
	return x.server.old[owner]
}

// robot logs on and off again and again.
func (h *hostileServer) robot(owner int64, n int) {
	for range n {
		id := h.signOn(owner, 1)[0]
		h.mu.Lock()
		h.session(id).ended = time.Now()
		h.mu.Unlock()
	}
}

// retire lets one token die, but for renewals.
func (h *hostileServer) retire(token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.tokens[token]; s != nil {
		delete(h.tokens, token)
		h.tokens["expired "+token] = s
	}
}

// withoutUsers answers a look-up as if some users did not exist.
func (x *hostileExchange) withoutUsers(logins []string) reply {
	h := x.server
	h.mu.Lock()
	h.denied = true
	all := h.users
	h.users = slices.DeleteFunc(slices.Clone(all), func(u realUser) bool {
		return slices.ContainsFunc(logins, func(login string) bool { return strings.HasSuffix(u.login, login) })
	})
	h.mu.Unlock()
	answer := x.honest()
	h.mu.Lock()
	h.users = all
	h.mu.Unlock()
	return answer
}
