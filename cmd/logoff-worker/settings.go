package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/kelseyhightower/envconfig"

	"logoffworker/jobs"
	"logoffworker/metrics/statuspage"
	"logoffworker/worker"
	"logoffworker/worker/env"
	"logoffworker/worker/stream"
	"logoffworker/worker/tokens"
	"logoffworker/worker/webserver"
)

// prefix starts the name of every variable.
const prefix = "LOGOFF"

// embedded, in place of a server list, starts the embedded broker.
const embedded = env.Embedded

// settings are the environment's variables, one field each. The names follow from the fields'.
type settings struct {
	NATS      env.NATS
	Prefix    string `default:"logoff" desc:"first token or tokens of every subject; the streams are named after it"`
	Webserver struct {
		URL           string        `default:"" desc:"base URL of the Web Server, path included (required)"`
		AllowHTTP     bool          `split_words:"true" default:"false" desc:"allow http without TLS to another host than this one"`
		AcceptEmpty   bool          `split_words:"true" default:"false" desc:"accept an answer with a status of success and an empty body as success"`
		Token         env.Secret    `desc:"token that is sent as it is: 'QSDK ...' or 'Bearer ...'"`
		TokenFile     string        `split_words:"true" desc:"file with the token, read again when the token is refused"`
		PairFile      string        `split_words:"true" desc:"file with an access token and its refresh token (JSON), which the workers renew together"`
		PairKeyFile   string        `split_words:"true" desc:"file with the key that encrypts the renewed pair in NATS: 32 bytes, base64 or hex"`
		Username      string        `desc:"log in with this name instead of a token"`
		Password      env.Secret    `desc:"password of the user name"`
		PasswordFile  string        `split_words:"true" desc:"file with the password, read again at every login"`
		CAFile        string        `split_words:"true" desc:"PEM file that verifies the Web Server"`
		CertFile      string        `split_words:"true" desc:"PEM file with the client certificate, read again at every connect"`
		KeyFile       string        `split_words:"true" desc:"PEM file with the key of the client certificate"`
		Timeout       time.Duration `default:"30s" desc:"how long one request may take"`
		MaxRetryAfter time.Duration `split_words:"true" default:"5m" desc:"longest wait that the Web Server may ask for with Retry-After"`
	}
	Slots                 int           `default:"4" desc:"most logoff requests in flight at a time"`
	UrgentSlots           int           `split_words:"true" default:"1" desc:"how many of the slots bulk jobs cannot take"`
	BatchMax              batchMax      `split_words:"true"`
	BulkLinger            time.Duration `split_words:"true" default:"100ms" desc:"how long a document of bulk jobs may wait for more sessions"`
	Verify                string        `default:"auto" desc:"auto: read back sessions whose owner is known; off: do not"`
	ProtectedSessions     list          `split_words:"true" desc:"session IDs that are never ended, separated by commas"`
	ProtectedUsers        list          `split_words:"true" desc:"users whose sessions are never ended: userIds, names or e-mail addresses"`
	ProtectedSessionsFile string        `split_words:"true" desc:"file with more of these session IDs, one a line, read again when it changes"`
	ProtectedUsersFile    string        `split_words:"true" desc:"file with more of these users, one a line, read again when it changes"`
	IssuersFile           string        `split_words:"true" desc:"file with the security systems that are trusted, and what of theirs becomes a job (YAML), read again when it changes"`
	Receiver              struct {
		Addr       string `desc:"address at which jobs and events are received over HTTP, such as :8443 (default: none); needs the issuers file"`
		ConfigFile string `split_words:"true" desc:"file that gives that address TLS: a web configuration as for the HTTP address, without users"`
	}
	WritesPerHour     int           `split_words:"true" default:"0" desc:"most logoffs, logins and renewals of all workers together within any hour, such as 100 for SaaS; 0: no limit"`
	ReadsPerHour      int           `split_words:"true" default:"0" desc:"most look-ups and read-backs of all workers together within any hour, such as 1000; 0: no limit"`
	RequestsPerSecond int           `split_words:"true" default:"0" desc:"most requests of this worker within any second; 0: no limit"`
	HoldAbove         holdAbove     `split_words:"true"`
	ClockTolerance    time.Duration `split_words:"true" default:"60s" desc:"sessions that began up to this long after a job's eventTime are ended, too"`
	LooseSession      struct {
		IDs bool `default:"false" desc:"accept session IDs that are not GUIDs (visible ASCII, at most 128 characters)"`
	} `split_words:"true"`
	Tries int `default:"3" desc:"how often a session is tried while the Web Server gives no verdict about it"`
	Audit struct {
		SeedFile string `split_words:"true" desc:"file with the NKey seed that signs digests of the results, which show what is changed afterwards; read again for each"`
	}
	CanaryEvery    time.Duration `split_words:"true" default:"0" desc:"how often the worker signs on once more and has that session ended by a job of its own, to see that revocations happen, such as 5m; 0: never (needs a user name, and the NATS right to publish canaries)"`
	WorkerName     string        `split_words:"true" desc:"this worker's name in results (default: the host's name and a random part)"`
	HTTPAddr       string        `split_words:"true" default:"127.0.0.1:9464" desc:"address of /metrics, /livez, /readyz and the status page"`
	HTTPConfigFile string        `split_words:"true" desc:"file that protects that address with TLS, client certificates or users: a web configuration of Prometheus' exporter-toolkit, read again for each connection"`
	HTTPPprof      bool          `split_words:"true" default:"false" desc:"serve profiles of the Go runtime there too, under /debug/pprof/"`
	Log            struct {
		Level  slog.Level `default:"info" desc:"debug, info, warn or error"`
		Format string     `desc:"text or json (default: text on a terminal, else json)"`
	}
	ShutdownTimeout time.Duration `split_words:"true" default:"25s" desc:"how long a graceful stop may take"`
}

type batchMax struct {
	Sessions int `default:"200" desc:"most sessions of one document"`
	Bytes    int `default:"65000" desc:"most bytes of one document"`
}

type holdAbove struct {
	Job  int `default:"0" desc:"most sessions and people, together, that one job may name; one with more is held until somebody else than its publisher approves it; 0: no limit"`
	Hour int `default:"0" desc:"the same for all jobs of one publisher within any hour, at all workers together (nats-server 2.12 or later); 0: no limit"`
}

// load reads the environment and returns everything that is wrong with it at once. No message
// repeats a value, because a value in the wrong place may be a secret. Warnings are about what is
// probably a mistake; beside an error, which may come of it, they are part of that.
func load() (s settings, warnings []string, err error) { return loadFor(works) }

// loadFor is [load] for a command that does not work jobs, too.
func loadFor(r role) (s settings, warnings []string, err error) {
	if err := env.Tidy(prefix, &settings{}); err != nil {
		return s, nil, err
	}
	s, wrong, err := parse()
	if err != nil {
		return s, nil, err
	}
	s.NATS.URL = env.Servers(s.NATS.URL)
	switch r {
	case receives:
		s = s.asReceiver()
	case creates:
		s = s.asCreator()
	}
	warnings = append(strangers(), s.receiverWarnings()...)
	problems := append(wrong, s.problems(r)...)
	if len(problems) == 0 {
		return s, warnings, nil
	}
	for _, problem := range problems {
		warnings = append(warnings, problem.Error())
	}
	slices.Sort(warnings)
	return s, nil, fmt.Errorf("%w:\n  %s", errUsage, strings.Join(warnings, "\n  "))
}

// parse reads what can be read, and leaves at its default what cannot.
func parse() (s settings, wrong problems, err error) {
	for {
		s = settings{}
		err := envconfig.Process(prefix, &s)
		var parse *envconfig.ParseError
		if !errors.As(err, &parse) {
			return s, wrong, err
		}
		wrong.check(parse.KeyName, false, "must be "+accepted(parse.TypeName))
		_ = os.Unsetenv(parse.KeyName) // so that the next problem shows
	}
}

func accepted(typeName string) string {
	switch typeName {
	case "int":
		return "a whole number"
	case "bool":
		return "true or false"
	case "time.Duration":
		return "a duration such as 500ms, 30s or 2m"
	case "slog.Level":
		return "debug, info, warn or error"
	case "env.Size":
		return "a number of bytes, such as 1000000, 512MiB or 10GiB"
	case "main.list":
		return "a list, separated by commas, in which something stands"
	}
	return "a " + typeName
}

// problems are those that a value's type does not show.
func (s settings) problems(r role) []error {
	p := problems{}
	s.natsProblems(&p)
	if r == works {
		s.webserverProblems(&p)
	}
	p.check("LOGOFF_PREFIX", !s.hasPair() || tokens.LegalBucket(s.bucketName()), "a pair needs a bucket in NATS, whose name has letters, digits, - and _ alone")
	p.check("LOGOFF_VERIFY", s.Verify == "auto" || s.Verify == "off", "must be auto or off")
	p.check("LOGOFF_LOG_FORMAT", slices.Contains([]string{"", "text", "json"}, s.Log.Format), "must be text or json")
	problem := httpConfigProblem(s.HTTPConfigFile)
	p.check("LOGOFF_HTTP_CONFIG_FILE", problem == "", problem)
	p.check("LOGOFF_CANARY_EVERY", s.CanaryEvery == 0 || s.CanaryEvery >= time.Minute, "must be 0 or 1m or more, because each canary is a login")
	p.check("LOGOFF_CANARY_EVERY", s.CanaryEvery == 0 || s.Webserver.Username != "", "needs LOGOFF_WEBSERVER_USERNAME: with a token there is no second login whose session could be ended")
	p.check("LOGOFF_HTTP_ADDR", isHostPort(s.HTTPAddr), "must be host:port, with a number for the port")
	_, unread := s.protected()
	p = append(p, unread...)
	p.addFields(s.workerConfig().Validate())
	s.auditProblems(&p)
	s.issuersProblems(&p)
	s.receiverProblems(&p, r)
	s.fileProblems(&p, r)
	return p
}

// fileProblems tells of files that cannot be used. Those of a pair are not read by who makes its bucket.
func (s settings) fileProblems(p *problems, r role) {
	names, values := variableNames(), env.Values(reflect.ValueOf(s))
	for i, name := range names {
		path, _ := values[i].(string)
		if !strings.HasSuffix(name, "_FILE") || path == "" || p.about(name) || r == creates && strings.HasPrefix(name, "LOGOFF_WEBSERVER_") {
			continue
		}
		err := env.Readable(path)
		if of := slices.Index(names, strings.TrimSuffix(name, "_FILE")); of >= 0 {
			if _, isSecret := values[of].(env.Secret); isSecret {
				_, err = env.ReadSecret(path)
			}
		}
		p.check(name, err == nil, fmt.Sprint(err))
	}
}

// variables names the variable behind each field of a worker's settings.
var variables = map[string]string{
	"Subjects":          "LOGOFF_PREFIX",
	"Provision":         "LOGOFF_NATS_PROVISION",
	"Replicas":          "LOGOFF_NATS_REPLICAS",
	"MaxBytes":          "LOGOFF_NATS_MAX_BYTES",
	"API":               "LOGOFF_NATS_API_PREFIX",
	"Slots":             "LOGOFF_SLOTS",
	"UrgentSlots":       "LOGOFF_URGENT_SLOTS",
	"BatchMaxSessions":  "LOGOFF_BATCH_MAX_SESSIONS",
	"BatchMaxBytes":     "LOGOFF_BATCH_MAX_BYTES",
	"BulkLinger":        "LOGOFF_BULK_LINGER",
	"WritesPerHour":     "LOGOFF_WRITES_PER_HOUR",
	"ReadsPerHour":      "LOGOFF_READS_PER_HOUR",
	"RequestsPerSecond": "LOGOFF_REQUESTS_PER_SECOND",
	"HoldAboveJob":      "LOGOFF_HOLD_ABOVE_JOB",
	"HoldAboveHour":     "LOGOFF_HOLD_ABOVE_HOUR",
	"ClockTolerance":    "LOGOFF_CLOCK_TOLERANCE",
	"Tries":             "LOGOFF_TRIES",
	"ShutdownTimeout":   "LOGOFF_SHUTDOWN_TIMEOUT",
}

func (s settings) natsProblems(p *problems) {
	n := s.NATS
	p.check("LOGOFF_NATS_URL", n.URL != "", "required: a server list such as nats://nats.example:4222, or 'embedded'")
	for _, server := range env.Entries(n.URL) {
		problem := serverProblem(server, n.URL)
		p.check("LOGOFF_NATS_URL", problem == "" || p.about("LOGOFF_NATS_URL"), problem)
	}
	kinds := 0
	for _, given := range []bool{n.CredsFile != "", n.NkeyFile != "", n.User != "", n.Token != "" || n.TokenFile != "", hasUserinfo(n.URL)} {
		if given {
			kinds++
		}
	}
	p.check("LOGOFF_NATS_*", kinds <= 1, "more than one kind of credential is given (creds file, NKey, user, token, user in the URL); keep one")
	p.oneOf("LOGOFF_NATS_PASSWORD", n.Password, n.PasswordFile)
	p.oneOf("LOGOFF_NATS_TOKEN", n.Token, n.TokenFile)
	p.check("LOGOFF_NATS_PASSWORD", n.User != "" || n.Password == "" && n.PasswordFile == "", "given without LOGOFF_NATS_USER")
	p.check("LOGOFF_NATS_CERT_FILE", (n.CertFile == "") == (n.KeyFile == ""), "certificate and key go together: LOGOFF_NATS_CERT_FILE and LOGOFF_NATS_KEY_FILE")
	monitor, err := url.Parse(n.MonitorURL)
	p.check("LOGOFF_NATS_MONITOR_URL", n.MonitorURL == "" || err == nil && (monitor.Scheme == "http" || monitor.Scheme == "https") && monitor.Host != "", "must be an http or https address such as http://nats.example:8222")
	p.check("LOGOFF_NATS_INBOX_PREFIX", n.InboxPrefix == "" || isSubject(n.InboxPrefix), "must be tokens of a subject, separated by dots, without blanks and wildcards")
	p.check("LOGOFF_NATS_DOMAIN", n.Domain == "" || n.APIPrefix == "", "given beside LOGOFF_NATS_API_PREFIX; keep one")
	p.check("LOGOFF_NATS_DOMAIN", n.Domain == "" || isSubject(n.Domain) && !strings.Contains(n.Domain, "."), "must be one token of a subject, without dots, blanks and wildcards")
	if n.URL == embedded {
		p.check("LOGOFF_NATS_DOMAIN", n.Domain == "" && n.APIPrefix == "", "the embedded broker has no domain and no other prefix")
		p.check("LOGOFF_NATS_TLS_FIRST", !n.TLSFirst, "the embedded broker is reached without TLS, on this machine only")
		p.check("LOGOFF_NATS_CREDS_FILE", n.CredsFile == "", "the embedded broker knows no user JWTs; use a user, a token or an NKey")
		p.check("LOGOFF_NATS_CA_FILE", n.CAFile == "" && n.CertFile == "", "the embedded broker is reached without TLS, on this machine only")
		host, _, _ := net.SplitHostPort(n.Listen)
		p.check("LOGOFF_NATS_LISTEN", isHostPort(n.Listen) && loopback(host), "must be host:port with an address of this machine, such as 127.0.0.1:4222")
		p.check("LOGOFF_NATS_LISTEN", n.Listen != s.HTTPAddr || strings.HasSuffix(n.Listen, ":0"), "the same address as LOGOFF_HTTP_ADDR; choose another")
	}
}

func (s settings) webserverProblems(p *problems) {
	v := s.Webserver
	p.check("LOGOFF_WEBSERVER_URL", v.URL != "", "required: the whole base URL, such as https://commvault.example/commandcenter/api")
	p.oneOf("LOGOFF_WEBSERVER_TOKEN", v.Token, v.TokenFile)
	p.oneOf("LOGOFF_WEBSERVER_PASSWORD", v.Password, v.PasswordFile)
	token, login, pair := v.Token != "" || v.TokenFile != "", v.Username != "", s.hasPair()
	p.check("LOGOFF_WEBSERVER_TOKEN", token || login || pair, "required, or LOGOFF_WEBSERVER_USERNAME and its password, or LOGOFF_WEBSERVER_PAIR_FILE and its key")
	p.check("LOGOFF_WEBSERVER_TOKEN", !token || !login, "a token and a user name are given; keep one")
	p.check("LOGOFF_WEBSERVER_PAIR_FILE", !pair || !token && !login, "given beside a token or a user name; keep one")
	if pair {
		s.pairProblems(p)
	}
	p.check("LOGOFF_WEBSERVER_PASSWORD", !login || v.Password != "" || v.PasswordFile != "", "required with LOGOFF_WEBSERVER_USERNAME")
	p.check("LOGOFF_WEBSERVER_CERT_FILE", (v.CertFile == "") == (v.KeyFile == ""), "certificate and key go together: LOGOFF_WEBSERVER_CERT_FILE and LOGOFF_WEBSERVER_KEY_FILE")
	p.check("LOGOFF_WEBSERVER_TIMEOUT", v.Timeout > 0, "must be more than 0")
	p.check("LOGOFF_WEBSERVER_MAX_RETRY_AFTER", v.MaxRetryAfter > 0, "must be more than 0")
	config, err := s.webserverConfig()
	if err == nil {
		_, err = webserver.New(config)
	}
	p.addClient(err)
}

// problems collects what is wrong.
type problems []error

func (p *problems) check(variable string, ok bool, words string) {
	if !ok {
		*p = append(*p, fmt.Errorf("%s: %s", variable, words))
	}
}

// about reports whether something is wrong with a variable.
func (p *problems) about(variable string) bool {
	return slices.ContainsFunc(*p, func(err error) bool { return strings.HasPrefix(err.Error(), variable+": ") })
}

// addFields names the variables of what a worker finds wrong.
func (p *problems) addFields(err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			p.addFields(err)
		}
		return
	}
	var field *stream.FieldError
	if errors.As(err, &field) && (field.Field != "API" || !p.about("LOGOFF_NATS_DOMAIN")) { // of which the API's prefix comes
		p.check(variables[field.Field], false, field.Problem)
	}
}

// clientVariables names the variable behind what the Web Server's client finds wrong.
var clientVariables = map[string]string{
	"URL":           "LOGOFF_WEBSERVER_URL",
	"Timeout":       "LOGOFF_WEBSERVER_TIMEOUT",
	"MaxRetryAfter": "LOGOFF_WEBSERVER_MAX_RETRY_AFTER",
	"credentials":   "LOGOFF_WEBSERVER_TOKEN",
}

// addClient takes over what the Web Server's client finds wrong, a line each, but for what is known.
func (p *problems) addClient(err error) {
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		field, words, _ := strings.Cut(line, ": ")
		variable := clientVariables[field]
		if strings.HasPrefix(field, "LOGOFF_") { // its files are read here
			variable = field
		}
		if variable == "" {
			p.check("LOGOFF_WEBSERVER_*", false, line)
		} else if !p.about(variable) {
			p.check(variable, false, words)
		}
	}
}

func (p *problems) oneOf(variable string, value env.Secret, file string) {
	p.check(variable, value == "" || file == "", "given as a value and as a file; keep one")
}

// columns is how wide the help is at most.
const columns = 100

// usage prints every variable with its default and meaning.
func usage(w io.Writer) error {
	var rows strings.Builder
	const row = "{{range .}}{{usage_key .}}\t{{usage_default .}}\t{{usage_description .}}\n{{end}}"
	if err := envconfig.Usagef(prefix, &settings{}, &rows, row); err != nil {
		return err
	}
	var table [][]string
	var name, standard int // how wide these columns are
	for line := range strings.SplitSeq(strings.TrimSpace(rows.String()), "\n") {
		cells := strings.Split(line, "\t")
		table = append(table, cells)
		name, standard = max(name, len(cells[0])), max(standard, len(cells[1]))
	}
	for _, cells := range table {
		for _, words := range wrapped(cells[2], columns-name-standard-6) {
			if _, err := fmt.Fprintf(w, "  %-*s  %-*s  %s\n", name, cells[0], standard, cells[1], words); err != nil {
				return err
			}
			cells[0], cells[1] = "", ""
		}
	}
	return nil
}

// wrapped breaks a text into lines of at most so many columns, but within no word.
func wrapped(text string, columns int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > columns {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// shown lists the effective settings by variable, secrets only as set or not set.
func (s settings) shown() (all []statuspage.Setting) {
	values := env.Values(reflect.ValueOf(s))
	for i, name := range variableNames() {
		value := fmt.Sprint(values[i])
		if strings.HasSuffix(name, "_URL") {
			value = stream.ShownURLs(value)
		}
		all = append(all, statuspage.Setting{Name: name, Value: value})
	}
	return all
}

func (s settings) workerConfig() worker.Config {
	c := worker.DefaultConfig()
	c.Name = s.WorkerName
	if c.Name == "" {
		c.Name = defaultName
	}
	c.Stream = s.streamConfig()
	c.Slots, c.UrgentSlots = s.Slots, s.UrgentSlots
	c.BatchMaxSessions, c.BatchMaxBytes = s.BatchMax.Sessions, s.BatchMax.Bytes
	c.BulkLinger = s.BulkLinger
	c.ReadBack = s.Verify == "auto"
	protected, _ := s.protected() // a file that cannot be read is told where it is looked for
	c.ProtectedSessions, c.ProtectedUsers, c.ProtectedPlaces = protected.sessions, protected.users, protected.places
	c.WritesPerHour, c.ReadsPerHour, c.RequestsPerSecond = s.WritesPerHour, s.ReadsPerHour, s.RequestsPerSecond
	c.HoldAboveJob, c.HoldAboveHour = s.HoldAbove.Job, s.HoldAbove.Hour
	c.LooseIDs = s.LooseSession.IDs
	c.ClockTolerance = s.ClockTolerance
	c.Tries = s.Tries
	c.ShutdownTimeout = s.ShutdownTimeout
	return c
}

func (s settings) streamConfig() stream.Config {
	return stream.Config{
		Subjects:  jobs.Subjects{Prefix: s.Prefix},
		Provision: stream.Provision(s.NATS.Provision),
		Replicas:  s.NATS.Replicas,
		MaxBytes:  int64(s.NATS.MaxBytes),
		API:       s.NATS.API(),
	}
}

func (s settings) webserverConfig() (webserver.Config, error) {
	v := s.Webserver
	c := webserver.Config{
		URL:           v.URL,
		AllowHTTP:     v.AllowHTTP,
		AcceptEmpty:   v.AcceptEmpty,
		Timeout:       v.Timeout,
		MaxRetryAfter: v.MaxRetryAfter,
		UserAgent:     "logoff-worker/" + version(),
		Proxy:         http.ProxyFromEnvironment,
	}
	switch {
	case v.Username != "":
		c.Username, c.Password = v.Username, env.Source(v.Password, v.PasswordFile)
	case s.hasPair():
		c.Token = pairSource(v.PairFile)
	default:
		c.Token = env.Source(v.Token, v.TokenFile)
	}
	if v.CertFile != "" && v.KeyFile != "" {
		c.Certificate = clientCertificate(v.CertFile, v.KeyFile)
		if _, err := c.Certificate(); err != nil {
			return c, fmt.Errorf("LOGOFF_WEBSERVER_CERT_FILE: %w", err)
		}
	}
	if v.CAFile != "" {
		pem, err := os.ReadFile(v.CAFile)
		if err != nil {
			return c, errors.New("LOGOFF_WEBSERVER_CA_FILE: the file cannot be read")
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return c, errors.New("LOGOFF_WEBSERVER_CA_FILE: the file holds no PEM certificate")
		}
	}
	return c, nil
}

// clientCertificate returns a function that reads a certificate and its key anew, so that they can be renewed.
func clientCertificate(certFile, keyFile string) func() (*tls.Certificate, error) {
	return func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, errors.New("the client certificate or its key cannot be read, or they do not belong together")
		}
		return &pair, nil
	}
}

func (s settings) connection() stream.Connection {
	return s.NATS.Connection("logoff-worker "+s.workerConfig().Name, s.Prefix)
}

// serverProblem says what is wrong with one server of a list; empty when nothing is.
func serverProblem(server, list string) string {
	const escape = "characters such as %, #, /, ? or a blank in a password must be escaped"
	u, err := url.Parse(server)
	websocket := func(s string) bool { return strings.HasPrefix(s, "ws://") || strings.HasPrefix(s, "wss://") }
	switch {
	case list == embedded:
		return ""
	case server == embedded:
		return "'embedded' stands alone, or servers are listed; keep one"
	case err != nil:
		return "a server of the list is no URL; " + escape
	case !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme):
		return "a server of the list must begin with nats://, tls://, ws:// or wss://, or with its name"
	case u.Hostname() == "":
		return "a server of the list has no name; " + escape
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Trim(u.Path, "/") != "" && !websocket(server) || strings.Contains(u.Path, "@"):
		return "a server of the list must end with its port; " + escape
	case websocket(server) != websocket(list):
		return "servers with ws:// or wss:// and others cannot be mixed"
	}
	return ""
}

func hasUserinfo(list string) bool {
	return slices.ContainsFunc(env.Entries(list), func(server string) bool {
		u, err := url.Parse(server)
		return err == nil && u.User != nil
	})
}

func isHostPort(address string) bool {
	_, port, _ := net.SplitHostPort(address) // what has none is no number either
	_, err := strconv.ParseUint(port, 10, 16)
	return err == nil
}

func isSubject(s string) bool {
	return !strings.ContainsFunc(s, unicode.IsSpace) && !strings.ContainsAny(s, "*>") && !slices.Contains(strings.Split(s, "."), "")
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback() // no address is none of this machine
}
