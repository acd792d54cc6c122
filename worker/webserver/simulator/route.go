package simulator

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The kinds of requests, as the journal, [Server.Count] and [Server.FailNextOn] name them.
const (
	opLogoff  = "logoff"
	opSession = "session" // the list of sessions
	opUser    = "user"    // looking up users in the old way
	opUserV4  = "userv4"  // and in the new one
	opLogin   = "login"
	opRenew   = "renew"
	opLogout  = "logout"
	opWhoAmI  = "whoami"
	opRefresh = "refresh" // V4/AccessToken/Renew
	opMint    = "mint"    // V4/AccessToken: a new access token
	opBase    = "base"    // the base path itself, which clients try first
	opOther   = "other"   // a path or a method that does not exist
)

var ops = []string{
	opLogoff, opSession, opUser, opUserV4, opLogin, opRenew, opLogout, opWhoAmI, opRefresh, opMint, opBase, opOther,
}

// A route is one call of the API.
type route struct {
	op     string
	handle func(*Server, *exchange) answer
}

// routes are the calls by method and path below the base; the real server ignores case.
var routes = map[string]route{
	"DELETE /sessions":           {opLogoff, forCallers((*Server).logoff)},
	"GET /session":               {opSession, forCallers((*Server).listSessions)},
	"GET /sessions":              {opSession, forCallers((*Server).listSessions)},
	"GET /user":                  {opUser, forCallers((*Server).listUsers)},
	"GET /user/{id}":             {opUser, (*Server).showUser},
	"GET /user/{name}":           {opUser, (*Server).showUserByName},
	"GET /v4/user":               {opUserV4, forCallers((*Server).listUsersV4)},
	"GET /v4/user/{id}":          {opUserV4, forCallers((*Server).showUserV4)},
	"POST /login":                {opLogin, (*Server).login},
	"POST /renewlogintoken":      {opRenew, (*Server).renew},
	"POST /logout":               {opLogout, (*Server).logout},
	"GET /whoami":                {opWhoAmI, forCallers((*Server).whoAmI)},
	"GET /v2/whoami":             {opWhoAmI, forCallers((*Server).whoAmI)},
	"POST /v4/accesstoken":       {opMint, forCallers((*Server).mint)},
	"POST /v4/accesstoken/renew": {opRefresh, (*Server).refresh},
	"GET /":                      {opBase, (*Server).base},
}

// forCallers has a call answered for whom its token belongs to, and refused where that is nobody.
func forCallers(handle func(*Server, *exchange, caller) answer) func(*Server, *exchange) answer {
	return func(s *Server, x *exchange) answer {
		who, refusal := s.authenticate(x)
		if refusal != nil {
			return *refusal
		}
		return handle(s, x, who)
	}
}

// template finds the path that a route has for a path with something in it, and what that is.
func template(path string) (pattern, argument string) {
	if rest, ok := strings.CutPrefix(path, "/user/byname(username='"); ok {
		if name, ok := strings.CutSuffix(rest, "')"); ok {
			return "/user/{name}", name
		}
	}
	for _, before := range []string{"/user/", "/v4/user/"} {
		if id, ok := strings.CutPrefix(path, before); ok && id != "" && strings.Trim(id, "0123456789") == "" {
			return before + "{id}", id
		}
	}
	return path, ""
}

// switchedOff reports whether the version that is set does not have the route.
func (x *exchange) switchedOff() bool {
	switch x.route.op {
	case opUser:
		return x.settings.NoOldUsers
	case opUserV4:
		return x.settings.NoV4Users
	case opSession:
		return (x.path == "/session" && x.settings.SessionPath == SessionPathPlural) ||
			(x.path == "/sessions" && x.settings.SessionPath == SessionPathSingular)
	default:
		return false
	}
}

// bases are the paths below which the API is served; true for those with a Tomcat in front.
var bases = map[string]bool{
	"/commandcenter/api":          true,
	"/webconsole/api":             true,
	"/searchsvc/cvwebservice.svc": false,
}

// An exchange is one request and all that its answer needs.
type exchange struct {
	server   *Server
	writer   http.ResponseWriter
	request  *http.Request
	settings Settings // as they were when it arrived
	route    route
	noRoute  answer // when route is none
	path     string // below the base, lower case
	argument string // what stands in a path that has a place for it
	frontEnd bool
	entry    *Request
	document document
	declares bool   // its XML answer has a declaration
	cookie   string // the JSESSIONID it may be given
}

// maxBody is what the Server reads of a request at most; IIS refuses far less.
const maxBody = 64 << 20

// arrive reads a request to its end, finds its route and notes it in the journal.
func (s *Server) arrive(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{server: s, writer: w, request: r}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	x.findRoute()
	x.entry = &Request{Time: time.Now(), Op: x.route.op, Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header, Body: body}
	if x.route.op == opLogoff {
		x.document = readDocument(body)
		x.entry.Sessions = x.document.ids
	}
	s.mu.Lock()
	x.settings = s.settings
	if x.settings.DropBody {
		x.document = document{}
	}
	x.declares = s.random.IntN(2) == 0
	x.cookie = strings.ToUpper(s.hex(32))
	s.journal.add(x.entry)
	s.mu.Unlock()
	if err != nil {
		panic(http.ErrAbortHandler) // the client went away in the middle
	}
	return x
}

// findRoute matches the path without regard to case and to doubled slashes.
func (x *exchange) findRoute() {
	path := strings.ToLower(x.request.URL.Path)
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	x.route.op, x.noRoute = opOther, notFoundPage()
	for base, frontEnd := range bases {
		rest, below := strings.CutPrefix(path, base)
		if !below || (rest != "" && rest[0] != '/') {
			continue
		}
		x.path = "/" + strings.Trim(rest, "/")
		x.frontEnd = frontEnd
		x.noRoute = x.unknownRoute()
		var pattern string
		pattern, x.argument = template(x.path)
		if known, ok := routes[x.request.Method+" "+pattern]; ok {
			x.route = known
		}
	}
}

// unknownRoute is what WCF says to a path or a method that it does not have.
func (x *exchange) unknownRoute() answer {
	pattern, _ := template(x.path)
	for key := range routes {
		if strings.HasSuffix(key, " "+pattern) {
			return page(http.StatusMethodNotAllowed, "Service", "Method not allowed.")
		}
	}
	return noEndpoint()
}

func noEndpoint() answer { return page(http.StatusNotFound, "Service", "Endpoint not found.") }

// parameter is a value of the query; names match without regard to case, as in WCF.
func (x *exchange) parameter(name string) string {
	query, _ := url.ParseQuery(x.request.URL.RawQuery)
	for key, values := range query {
		if strings.EqualFold(key, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// base answers the base path, which cvpysdk asks for to find out where the API is.
func (s *Server) base(*exchange) answer {
	a := page(http.StatusOK, "Service", "Commvault REST API.")
	a.success = true
	return a
}
