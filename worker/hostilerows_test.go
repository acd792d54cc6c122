package worker_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"logoffworker/worker/webserver"
)

// hostileRows are all ways to lie and fail.
var hostileRows = slices.Concat(effectRows, answerRows, refusalRows, networkRows, listRows, userRows, tokenRows, chanceRows)

const xmlType = "Content-Type: application/xml"

// What the Web Server says about a logoff, and what it does, are two things.
var effectRows = []hostileRow{
	{
		name:  "honest",
		plain: "accepted", owned: "logged_off", users: "off",
	},
	{
		name:  "success without effect",
		lies:  []lie{{on: "logoff", effect: never}},
		plain: "accepted", owned: "still_active", users: "still_active",
	},
	{
		name:  "success, and the effect two seconds later",
		lies:  []lie{{on: "logoff", effect: soon}},
		plain: "accepted", owned: "logged_off", users: "off",
	},
	{
		name:  "success, and the effect a minute later",
		lies:  []lie{{on: "logoff", effect: late}},
		plain: "accepted", owned: "still_active", users: "still_active",
	},
	{
		name:  "success, and a minute later the sessions are on again",
		lies:  []lie{{on: "logoff", effect: undone}},
		plain: "accepted", owned: "logged_off", users: "off",
	},
	{
		name:  "500 with the effect",
		lies:  []lie{{on: "logoff", effect: atOnce, say: says(500, generic500.body, "Content-Type: application/json")}},
		plain: "undecided", owned: "already_logged_off", users: "off",
	},
	{
		name:  "500 without the effect",
		lies:  []lie{{on: "logoff", say: says(500, generic500.body, "Content-Type: application/json")}},
		plain: "undecided", owned: "still_active", users: "still_active",
	},
	{
		name:  "500 with a page, without the effect",
		lies:  []lie{{on: "logoff", say: shows(500, "Server Error")}},
		plain: "undecided", owned: "still_active", users: "still_active",
	},
	{
		name:  "error in a 200, with the effect",
		lies:  []lie{{on: "logoff", effect: atOnce, say: says(200, `{"errorMessage":"no","errorCode":7}`)}},
		plain: "rejected", owned: "already_logged_off", users: "off",
	},
	{
		name:  "error in a 200, without the effect",
		lies:  []lie{{on: "logoff", say: says(200, `<error errorMessage="User not logged in" errorCode="616"/>`, xmlType)}},
		plain: "rejected", owned: "rejected", users: "still_active",
	},
	{
		name:  "page with the effect",
		lies:  []lie{{on: "logoff", effect: atOnce, say: shows(200, "Welcome")}},
		plain: waits, owned: waits, users: waits, names: "Welcome",
	},
	{
		name:  "empty 200 with the effect",
		lies:  []lie{{on: "logoff", effect: atOnce, say: says(200, "")}},
		plain: waits, owned: waits, users: waits, names: "without a body",
	},
	{
		name:  "504 with the effect",
		lies:  []lie{{on: "logoff", effect: atOnce, say: shows(504, "Gateway Timeout")}},
		plain: waits, owned: waits, users: waits, names: "504",
	},
	{
		name:  "a body that a proxy drops, with success",
		lies:  []lie{{on: "logoff", say: succeedsAs(200, documented, xmlType)}},
		plain: "accepted", owned: "still_active", users: "still_active",
	},
}

// What comes with a 200, or another status that begins with 2.
var answerRows = []hostileRow{
	dressed("201 with schema namespaces and a code", 201, `<Api_LogoffUsersResponse xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema" errorCode="0" />`),
	dressed("a mark and a declaration", 200, "\uFEFF<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"no\" ?>"+documented),
	dressed("gzip", 200, packedAs(documented, gzipped), "Content-Encoding: gzip"),
	dressed("deflate of zlib", 200, packedAs(documented, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }), "Content-Encoding: deflate"),
	dressed("bare deflate", 200, packedAs(documented, bareDeflate), "Content-Encoding: deflate"),
	unknown("maintenance page", "Scheduled Maintenance", 200, htmlPage("Scheduled Maintenance"), "Content-Type: text/html"),
	unknown("login page", "Log on", 200, `<?xml version="1.0"?>`+htmlPage("Log on"), xmlType),
	unknown("nothing", "without a body", 200, ""),
	unknown("204", "204 No Content", 204, ""),
	unknown("JSON", `{}`, 200, "{}", "Content-Type: application/json"),
	unknown("JSON that says success", `errorCode`, 200, `{"errorMessage":"","errorCode":0}`, "Content-Type: application/json"),
	unknown("sentence", "All is well", 200, "All is well"),
	unknown("wrong root", "Api_LogoffUsersRequest", 200, `<Api_LogoffUsersRequest/>`, xmlType),
	unknown("two roots", "Api_LogoffUsersResponse", 200, documented+documented, xmlType),
	unknown("a comment that talks", "not an answer that is known", 200, documented+"<!-- of nothing -->", xmlType),
	unknown("DOCTYPE", "DOCTYPE", 200, `<!DOCTYPE r [<!ENTITY e "x">]>`+documented, xmlType),
	unknown("202", "202 Accepted", 202, documented, xmlType),
	unknown("gzip garbage", "webserver", 200, "\x1f\x8b\x08garbage", "Content-Encoding: gzip"),
	noVerdict("gzip bomb", "webserver", bursts),
	unknown("an encoding of tomorrow", "28 b5 2f fd", 200, "\x28\xb5\x2f\xfd\x00", "Content-Encoding: zstd"),
	unknown("megabytes", "webserver", 200, documented+strings.Repeat(" ", 1<<20), xmlType),
}

// dressed is a row in which success is said in other clothes.
func dressed(name string, status int, body string, headers ...string) hostileRow {
	return hostileRow{
		name:  "success as " + name,
		lies:  []lie{{on: "logoff", effect: atOnce, say: succeedsAs(status, body, append(headers, xmlType)...)}},
		plain: "accepted", owned: "logged_off", users: "off",
	}
}

// unknown is a row in which a logoff has no effect, and is answered with something that is no verdict.
func unknown(name, names string, status int, body string, headers ...string) hostileRow {
	return noVerdict(name, names, says(status, body, headers...))
}

// noVerdict is an [unknown] with an answer of any kind.
func noVerdict(name, names string, say func(*hostileExchange)) hostileRow {
	return hostileRow{
		name:  "answer is " + name,
		lies:  []lie{{on: "logoff", say: say}},
		plain: waits, owned: waits, users: waits, names: names,
	}
}

// bursts answers with megabytes in a few bytes.
func bursts(x *hostileExchange) { says(200, bomb(), "Content-Encoding: gzip")(x) }

// bomb is made when it is first sent, because these rows are read in every test's process.
var bomb = sync.OnceValue(func() string { return packedAs(strings.Repeat(" ", 8<<20)+documented, gzipped) })

func packedAs(body string, open func(io.Writer) io.WriteCloser) string {
	var b bytes.Buffer
	w := open(&b)
	_, _ = io.WriteString(w, body)
	_ = w.Close()
	return b.String()
}

func gzipped(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }

func bareDeflate(w io.Writer) io.WriteCloser {
	f, err := flate.NewWriter(w, flate.DefaultCompression)
	if err != nil {
		panic(err)
	}
	return f
}

const iisWebDAV = "405 - HTTP verb used to access this page is not allowed."

// Who refuses, and what: one document, or all.
var refusalRows = []hostileRow{
	refusedOne(400, `{"errorMessage":"Failed to parse the request.","errorCode":2}`),
	refusedOne(401, `{"errorMessage":"no","errorCode":5}`),
	refusedOne(403, `{"errorMessage":"User does not have the required permission.","errorCode":5}`),
	refusedOne(404, `{"errorMessage":"nothing found","errorCode":404}`),
	refusedOne(422, `{"errorMessage":"no","errorCode":5}`),
	refusedAll("400 with a page of what is in front", "refuses DELETE", shows(400, "Bad Request")),
	refusedAll("403 without a right", "right to add, delete and modify users", says(403, `{"errorMessage":"User does not have the required permission.","errorCode":5}`)),
	refusedAll("403 with a page", "refuses DELETE", shows(403, "Request blocked")),
	refusedAll("401 with another body each time", "401", rotating401()),
	refusedAll("405 with IIS's page", "WebDAV", shows(405, iisWebDAV)),
	refusedAll("405 without a page", "WebDAV", says(405, "")),
	refusedAll("411 with a page", "refuses DELETE", shows(411, "Length Required")),
	refusedAll("413 with a page", "413", shows(413, "Request Entity Too Large")),
	refusedAll("501 with a page", "501", shows(501, "Not Implemented")),
	refusedAll("404 with a page", "404", shows(404, "404 - File or directory not found.")),
	refusedAll("redirect to a login page", "https://sso.example/adfs/ls/a-path-of-more-than-41-characters-without-a-dot", says(302, "", "Location: https://user:pw@sso.example/adfs/ls/a-path-of-more-than-41-characters-without-a-dot?wctx=3canary#x")),
	refusedAll("redirect within", "permanently", says(301, htmlPage("Moved permanently"), "Location: /login")),
	refusedAll("429 with Retry-After", "429", says(429, `{"message":"API rate limit exceeded"}`, "Retry-After: 60")),
	refusedAll("429 without a word", "429", says(429, "")),
	refusedAll("429 with a fraction", "429", says(429, "", "Retry-After: 4.5")),
	refusedAll("429 until a date", "429", says(429, "", "Retry-After: Fri, 31 Dec 2100 23:59:59 GMT")),
	refusedAll("limit in a 200", "rate limit", says(200, `{"errorMessage":"API rate limit exceeded","errorCode":9}`)),
	refusedAll("permission in a 200", "permission", says(200, `{"errorMessage":"User does not have permission to log off others","errorCode":9}`)),
	refusedAll("dead token in a 200", "token", says(200, "Invalid authorization token provided.")),
	{
		name:  "429 for reads alone",
		lies:  []lie{{on: "sessions user ping", say: says(429, "", "Retry-After: 3600")}},
		plain: "accepted", owned: "accepted", users: waits, names: "no more reads",
	},
	{
		name:  "429 for everything, for a minute at a time",
		lies:  []lie{{say: says(429, "", "Retry-After: 60")}},
		plain: waits, owned: waits, users: waits, names: "429",
	},
}

// refusedOne is a row in which documents that hold one session are refused.
func refusedOne(status int, body string) hostileRow {
	return hostileRow{
		name: fmt.Sprintf("%d for one session", status),
		lies: []lie{
			{on: "logoff", about: plainOne, say: says(status, body, "Content-Type: application/json")},
			{on: "logoff", about: ownedTwo, say: says(status, body, "Content-Type: application/json")},
		},
		plain: "accepted+rejected", owned: "logged_off+rejected", users: "off",
	}
}

// refusedAll is a row in which all logoffs are refused, and nothing else.
func refusedAll(name, names string, say func(*hostileExchange)) hostileRow {
	return hostileRow{
		name: name, lies: []lie{{on: "logoff", say: say}},
		plain: waits, owned: waits, users: waits, names: names,
	}
}

func rotating401() func(*hostileExchange) {
	var n atomic.Int64
	return func(x *hostileExchange) {
		says(401, fmt.Sprintf(`{"errorMessage":"denied, request %d"}`, n.Add(1)))(x)
	}
}

const head = "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n"

// What the network, and whoever is on it, does to requests and answers.
var networkRows = []hostileRow{
	broken("reset before the effect", never, resets),
	broken("reset after the effect", atOnce, resets),
	broken("no answer, without the effect", never, saysNothing),
	broken("no answer, with the effect", atOnce, saysNothing),
	broken("slow body", atOnce, drips(head+"Content-Length: 27\r\n\r\n"+documented)),
	broken("shorter than its length", atOnce, writes(head+"Content-Length: 100\r\n\r\n"+documented)),
	broken("chunks without an end", atOnce, writes(head+"Transfer-Encoding: chunked\r\n\r\n1b\r\n"+documented+"\r\n")),
	broken("chunks of garbage", atOnce, writes(head+"Transfer-Encoding: chunked\r\n\r\nzz\r\n"+documented)),
	broken("two lengths", atOnce, writes(head+"Content-Length: 27\r\nContent-Length: 5\r\n\r\n"+documented)),
	broken("huge header", never, writes(head+"X: "+strings.Repeat("x", 1<<20)+"\r\n\r\n"+documented)),
	broken("early hints without end", never, writes(strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n", 5000))),
	broken("not HTTP", never, writes("SSH-2.0-OpenSSH_9.9\r\n")),
	broken("503", never, shows(503, "Service Unavailable")),
	broken("502 with the effect", atOnce, shows(502, "Bad Gateway")),
	everything("down", "503", shows(503, "Service Unavailable")),
	everything("maintenance", "Maintenance", maintains),
	everything("login page for everything", "Log on", shows(200, "Log on")),
	everything("redirect of everything", "https://sso.example/login", says(302, "", "Location: https://sso.example/login")),
	everything("resets", "webserver", resets),
	everything("nothing is answered", "no complete answer", saysNothing),
	everything("wrong path", "path of the base URL is wrong", shows(404, "404 - File or directory not found.")),
	{
		name:  "unreachable",
		lies:  []lie{{say: resets}},
		start: true,
		client: func(h *hostileServer, c *webserver.Config) {
			dial := c.DialContext
			c.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if h.lying() {
					return nil, errNobodyThere
				}
				return dial(ctx, network, addr)
			}
		},
		plain: waits, owned: waits, users: waits, names: "connection refused",
	},
	{
		name: "logoffs: an answer too many, and then none",
		lies: []lie{
			{on: "logoff", effect: never, about: ownedOne, say: saysTwice},
			{on: "logoff", effect: never, say: resets},
		},
		plain: "accepted waits", owned: "still_active", users: waits, names: "webserver",
	},
}

// broken is a row in which the answer to a logoff does not arrive.
func broken(name string, e effect, say func(*hostileExchange)) hostileRow {
	return hostileRow{
		name:  "logoffs: " + name,
		lies:  []lie{{on: "logoff", effect: e, say: say}},
		plain: waits, owned: waits, users: waits, names: "webserver",
	}
}

// everything is a row in which nothing is answered as it should be, from before the worker starts.
func everything(name, names string, say func(*hostileExchange)) hostileRow {
	return hostileRow{
		name:  "everything: " + name,
		lies:  []lie{{say: say}},
		start: true,
		plain: waits, owned: waits, users: waits, names: names,
	}
}

func maintains(x *hostileExchange) {
	status := 200
	if x.request.Method == http.MethodPost {
		status = 405
	}
	shows(status, "Scheduled Maintenance")(x)
}

// saysTwice answers once more than it was asked, so that the next request on the connection has its answer before it
// was made.
func saysTwice(x *hostileExchange) {
	one := head + "Content-Length: 27\r\n\r\n" + documented
	x.yes = x.write(one + one)
}

// Lists of sessions, which are all that proves anything.
var listRows = []hostileRow{
	cached("that says its age", "Age: 600"),
	cached("that says what it is", "X-Cache: HIT from proxy.example"),
	cached("that shows its Date", "Date: Sat, 01 Jan 2000 00:00:00 GMT"),
	listed("empty for want of a right", "accepted", "undecided", spoils(func(_ *hostileExchange, r *reply) { *r = listReply(nil) })),
	listed("our own sessions", "accepted", "undecided", spoils(othersList(1))),
	listed("somebody else's", "accepted", "undecided", spoils(othersList(18))),
	listed("with a wrong userId in one row", "accepted", "undecided", spoils(func(_ *hostileExchange, r *reply) { r.body = replaceLast(r.body, `"userId":`, `"userId":1`) })),
	listed("without userIds", "accepted", "undecided", replaces(`"userId"`, `"id"`)),
	listed("without sessionIds", "accepted", "undecided", replaces(`"sessionId"`, `"id"`)),
	listed("with times in words", "accepted", "undecided", replaces(`"logoutTime":`, `"logoutTime":"yesterday","x":`)),
	listed("with numbers as text", "logged_off", "off", spoils(func(_ *hostileExchange, r *reply) { r.body = quoteNumbers(r.body) })),
	listed("with IDs in other case", "logged_off", "off", spoils(func(_ *hostileExchange, r *reply) { r.body = lowerIDs(r.body) })),
	listed("with every row twice", "logged_off", "off", spoils(func(_ *hostileExchange, r *reply) { r.body = twice(r.body) })),
	listed("cut off", "accepted", "undecided", func(x *hostileExchange) {
		r := x.honest()
		writes(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(r.body), r.body[:len(r.body)/2]))(x)
	}),
	listed("403 without a right", "accepted", "undecided", says(403, `{"errorMessage":"no permission","errorCode":5}`)),
	listed("403 with a page", "accepted", "undecided", shows(403, "Request blocked")),
	listed("401", "accepted", "undecided", says(401, "")),
	listed("404", "accepted", "undecided", shows(404, "404 - File or directory not found.")),
	listed("429", "accepted", waits, says(429, "", "Retry-After: 3600")),
	listed("500", "accepted", "undecided", says(500, generic500.body)),
	listed("503", "accepted", "undecided", shows(503, "Service Unavailable")),
	listed("a page", "accepted", "undecided", shows(200, "Scheduled Maintenance")),
	listed("an error in a 200", "accepted", "undecided", says(200, `{"errorMessage":"no","errorCode":7}`)),
	listed("no answer", "accepted", "undecided", saysNothing),
	listed("gzip", "logged_off", "off", spoils(func(_ *hostileExchange, r *reply) {
		r.body = packedAs(r.body, gzipped)
		r.headers = append(r.headers, "Content-Encoding: gzip")
	})),
	{
		name:   "list: our own session, in a job for ourselves",
		people: `{"id":1}`,
		plain:  "accepted", owned: "logged_off", users: "protected",
	},
	{
		name:   "list: of one person alone, every other time",
		lies:   []lie{{on: "sessions", say: ofOneEveryOtherTime("9")}},
		people: `{"id":9}`,
		plain:  "accepted", owned: "accepted", users: "undecided still_active",
	},
	{
		name: "list: our own sessions, once, while others are looked at again",
		lies: []lie{
			{on: "logoff", effect: soon},
			{on: "sessions", say: ourOwnOnce("8")},
		},
		plain: "accepted", owned: "logged_off", users: "off",
	},
	{
		name: "list: every row once as ended and once as on, and success without effect",
		lies: []lie{
			{on: "logoff", effect: never},
			{on: "sessions", say: spoils(func(_ *hostileExchange, r *reply) { r.body = twice(r.body, `"logoutTime":0`, `"logoutTime":1`) })},
		},
		plain: "accepted", owned: "still_active", users: "still_active",
	},
	{
		name:   "list: cut at 50 rows, with sessions on beyond",
		before: func(h *hostileServer) { h.robot(8, 60); h.robot(9, 60) },
		plain:  "accepted", owned: "logged_off", users: "undecided",
	},
	{
		name:  "list: the clock an hour ahead",
		lies:  []lie{{on: "sessions logoff ping user", effect: atOnce, say: anHourAhead}},
		plain: "accepted", owned: "logged_off", users: "off",
	},
}

// listed is a row in which lists of sessions are not what they should be.
func listed(name, owned, users string, say func(*hostileExchange)) hostileRow {
	return hostileRow{
		name:  "list: " + name,
		lies:  []lie{{on: "sessions", say: say}},
		plain: "accepted", owned: owned, users: users, names: "reads",
	}
}

// cached is a row in which lists are those from before, of a cache.
func cached(name, header string) hostileRow {
	row := listed("an old one of a cache "+name, "accepted", "undecided", spoils(func(x *hostileExchange, r *reply) {
		*r = x.cached()
		r.headers = append(slices.Clone(r.headers), header)
	}))
	row.before = (*hostileServer).cache
	return row
}

func othersList(owner int64) func(*hostileExchange, *reply) {
	return func(x *hostileExchange, r *reply) {
		*r = listReply([]listedRow{{id: "ABCD0099-0000-4000-8000-000000000099", owner: owner, login: time.Now().Unix(), own: owner == 1}})
	}
}

// ofOneEveryOtherTime shows sessions of one person alone, and that every other time.
func ofOneEveryOtherTime(userID string) func(*hostileExchange) {
	asked := 0
	return func(x *hostileExchange) {
		switch x.request.URL.Query().Get("userId") {
		case userID:
			if asked++; asked%2 == 0 {
				x.send(x.honest())
				return
			}
		case "7":
			says(403, "")(x)
			return
		}
		x.send(listReply(nil))
	}
}

// ourOwnOnce shows our own sessions in place of one person's, at the second look.
func ourOwnOnce(userID string) func(*hostileExchange) {
	asked := 0
	return func(x *hostileExchange) {
		if x.request.URL.Query().Get("userId") == userID {
			if asked++; asked == 2 {
				spoils(othersList(1))(x)
				return
			}
		}
		x.send(x.honest())
	}
}

func replaceLast(text, old, with string) string {
	i := strings.LastIndex(text, old)
	if i < 0 {
		return text
	}
	return text[:i] + with + text[i+len(old):]
}

func quoteNumbers(text string) string {
	var out strings.Builder
	number := false
	for i, c := range text {
		is := c >= '0' && c <= '9' && (number || text[i-1] == ':')
		if is != number {
			out.WriteByte('"')
		}
		number = is
		out.WriteRune(c)
	}
	return out.String()
}

func lowerIDs(text string) string { return strings.ReplaceAll(text, "ABCD", "abcd") }

// twice has every row a second time, with some words replaced.
func twice(text string, pairs ...string) string {
	before, rest, _ := strings.Cut(text, "[\r")
	rows, after, _ := strings.Cut(rest, "\r]")
	if rows == "" {
		return text
	}
	return before + "[\r" + strings.NewReplacer(pairs...).Replace(rows) + "," + rows + "\r]" + after
}

func anHourAhead(x *hostileExchange) {
	answer := x.honest()
	x.server.mu.Lock()
	x.server.ahead = append(x.server.ahead, time.Now())
	x.server.mu.Unlock()
	answer.headers = append(slices.Clone(answer.headers), "Date: "+time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
	x.yes = x.send(answer) && x.op == "logoff" && answer.status == http.StatusOK
}

// Look-ups of users.
var userRows = []hostileRow{
	lookedUp("another user for a name", "off+undecided", replaces(`"userId":9,`, `"userId":19,`, `"id":9,`, `"id":19,`, "mary", "wes")),
	lookedUp("nobody for a name", "off+unknown", lessUsers("mary")),
	lookedUp("one account alone", "undecided+unknown", lessUsers("mary", "john", "jane", "nobody", "wanda", "will", "wes")),
	lookedUp("a page", "undecided", shows(200, "Log on")),
	lookedUp("503", "undecided", shows(503, "Service Unavailable")),
	lookedUp("404", "undecided", shows(404, "404 - File or directory not found.")),
	lookedUp("403", "undecided", says(403, `{"errorMessage":"no permission","errorCode":5}`)),
	{
		name:  "users: no answer",
		lies:  []lie{{on: "user", say: saysNothing}},
		plain: "accepted", owned: "accepted logged_off", users: "undecided", // few questions are asked at once
	},
	lookedUp("an empty list", "undecided", says(200, `{"numberOfUsers":0,"users":[]}`)),
	lookedUp("every row twice", "off+undecided", spoils(func(_ *hostileExchange, r *reply) {
		r.body = strings.Replace(r.body, `"users":[`, `"users":[`+strings.TrimSuffix(between(r.body, `"users":[`, `]}`), ",")+",", 1)
	})),
}

// lookedUp is a row in which look-ups of users are not what they should be.
func lookedUp(name, users string, say func(*hostileExchange)) hostileRow {
	return hostileRow{
		name:  "users: " + name,
		lies:  []lie{{on: "user", say: say}},
		plain: "accepted", owned: "logged_off", users: users,
	}
}

func between(text, begin, end string) string {
	_, text, _ = strings.Cut(text, begin)
	text, _, _ = strings.Cut(text, end)
	return text
}

// lessUsers leaves users out.
func lessUsers(names ...string) func(*hostileExchange) {
	return func(x *hostileExchange) { x.send(x.withoutUsers(names)) }
}

// Logins, tokens and what keeps them alive.
var tokenRows = []hostileRow{
	login("a page", "login", shows(200, "Log on")),
	login("no token", "login", says(200, `{"errList":[{"errorCode":1116,"errLogMessage":"bad credentials"}]}`)),
	login("401", "login", says(401, "")),
	login("403 with a page", "login", shows(403, "Request blocked")),
	login("400 with a page", "login", shows(400, "Bad Request")),
	login("503", "login", shows(503, "Service Unavailable")),
	login("429", "login", says(429, "", "Retry-After: 30")),
	login("no answer", "login", saysNothing),
	login("a token that is cut off", "login", writes("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"token\":\"QSDK 3a\",")),
	{
		name:  "login: a token that nobody takes",
		lies:  []lie{{on: "login renew", say: says(200, `{"token":"QSDK 3bad","aliasName":"1"}`)}},
		start: true,
		plain: waits, owned: waits, users: waits, names: "401",
	},
	dead("renewal works", "accepted", "logged_off", "off"),
	dead("renewal is unknown", "accepted", "logged_off", "off", lie{on: "renew", say: shows(404, "404")}),
	dead("renewal fails with 502", waits, waits, waits, lie{on: "renew", say: shows(502, "Bad Gateway")}),
	dead("renewal is limited", waits, waits, waits, lie{on: "renew", say: says(429, "", "Retry-After: 30")}),
	dead("renewal is reset", waits, waits, waits, lie{on: "renew", say: resets}),
	dead("renewal is not answered", waits, waits, waits, lie{on: "renew", say: saysNothing}),
	dead("renewal is refused, and login a page", waits, waits, waits, lie{on: "renew", say: says(401, "")}, lie{on: "login", say: shows(200, "Log on")}),
	{
		name:  "token: it dies at each call",
		lies:  []lie{{on: "logoff sessions user ping", effect: atOnce, say: diesAfterwards}},
		plain: "accepted", owned: "logged_off", users: "off",
	},
	{
		name:  "token: 401 for everything, though it is renewed",
		lies:  []lie{{on: "logoff sessions user ping", say: says(401, "")}},
		plain: waits, owned: waits, users: waits, names: "401",
	},
	{
		name:  "the harmless question is unknown",
		lies:  []lie{{on: "ping", say: says(404, `{"errorCode":404}`)}},
		plain: "accepted", owned: "logged_off", users: "off",
	},
	{
		name:  "the harmless question is never answered",
		lies:  []lie{{on: "ping", say: saysNothing}},
		plain: "accepted", owned: "logged_off", users: "off",
	},
}

// login is a row in which nobody can log in.
func login(name, names string, say func(*hostileExchange)) hostileRow {
	return hostileRow{
		name:  "login: " + name,
		lies:  []lie{{on: "login", say: say}},
		start: true,
		plain: waits, owned: waits, users: waits, names: names,
	}
}

// dead is a row in which all tokens have died.
func dead(name, plain, owned, users string, lies ...lie) hostileRow {
	return hostileRow{
		name:   "dead token: " + name,
		before: (*hostileServer).forget,
		lies:   lies,
		plain:  plain, owned: owned, users: users, names: "webserver",
	}
}

// diesAfterwards answers honestly, and forgets the token with which it was asked.
func diesAfterwards(x *hostileExchange) {
	answer := x.honest()
	x.yes = x.send(answer) && x.op == "logoff" && answer.status == http.StatusOK
	x.server.retire(x.request.Header.Get("Authtoken"))
}

// chanceRows are all lies at once, each now and then.
var chanceRows = func() (rows []hostileRow) {
	var all []lie
	for _, row := range slices.Concat(effectRows, answerRows, refusalRows, networkRows, listRows, userRows, tokenRows) {
		for _, l := range row.lies {
			if l.on != "" && row.before == nil {
				l.of, l.odds = row.name, 0.01
				all = append(all, l)
			}
		}
	}
	for seed := range uint64(8) {
		rows = append(rows, hostileRow{name: fmt.Sprintf("all by chance, %d", seed), lies: all, seed: seed})
	}
	return rows
}()
