package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"logoffworker/metrics"
)

// Connection says where NATS is and who we are there. At most one kind of credential is given.
type Connection struct {
	// URL lists the servers, separated by commas.
	URL string
	// Name is shown in the server's connection list.
	Name string
	// CredsFile is a user JWT with its seed, NKeyFile a seed alone.
	CredsFile, NKeyFile string
	// User and Password, or Token, are read anew at every connect, so that they can be rotated.
	User     string
	Password func() (string, error)
	Token    func() (string, error)
	// CAFile verifies the server; CertFile and KeyFile prove us to it.
	CAFile, CertFile, KeyFile string
	// TLSFirst has the TLS handshake come before anything else, as a server wants that is set to it.
	TLSFirst bool
	// InboxPrefix starts the subjects on which answers to us arrive, so that a permission can name
	// ours alone.
	InboxPrefix string
	// Options come last; an embedded broker gives its in-process option here.
	Options []nats.Option
}

// Connect prepares a connection that is kept for ever: it returns at once, also while no server can
// be reached, and says in health and log how it stands. Only settings that can never work, such as
// a file that cannot be read, are errors.
//
// Nothing is buffered while the connection is down. A publish then fails at once instead of landing
// later, which is what lets the worker know what is stored.
func Connect(c Connection, health *metrics.Health, m *metrics.Metrics, log *slog.Logger) (*nats.Conn, error) {
	options, err := c.options()
	if err != nil {
		return nil, err
	}
	watch := &connectionWatch{health: health, metrics: m, log: log}
	options = append(options, watch.options()...)
	nc, err := nats.Connect(c.URL, append(options, c.Options...)...)
	return nc, unquoting(err)
}

// Dial connects now, or says why not, for a program that somebody waits for. What comes after is as with [Connect]:
// the connection is tried again for ever, and nothing is buffered while it is down.
func Dial(c Connection) (*nats.Conn, error) {
	return c.Through(func(options ...nats.Option) (*nats.Conn, error) { return nats.Connect(c.URL, options...) })
}

// Through is [Dial] by another who knows where NATS is, such as a context of the nats command.
func (c Connection) Through(dial func(...nats.Option) (*nats.Conn, error)) (*nats.Conn, error) {
	options, err := c.options()
	if err != nil {
		return nil, err
	}
	nc, err := dial(append(append(options, nats.RetryOnFailedConnect(false)), c.Options...)...)
	return nc, unquoting(err)
}

// unquoting is an error of connecting in words that quote no password.
func unquoting(err error) error {
	var notURL *url.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &notURL):
		return errors.New("NATS: a server of the list is no URL; characters such as %, #, / or a blank in a password must be escaped")
	}
	return fmt.Errorf("NATS: %w", err)
}

// ShownURLs is a list of URLs as it may be shown: without users, whose names may be tokens, passwords and
// queries.
func ShownURLs(list string) string {
	urls := strings.Split(list, ",")
	for i, raw := range urls {
		u, err := url.Parse(strings.TrimSpace(raw))
		switch {
		case raw == "":
		case err != nil || u.Host == "" && raw != "embedded":
			urls[i] = "(not a URL)"
		default:
			urls[i] = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
		}
	}
	return strings.Join(urls, ",")
}

func (c Connection) options() ([]nats.Option, error) {
	options := []nats.Option{
		nats.Name(c.Name),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(10 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.Timeout(5 * time.Second),
		nats.PermissionErrOnSubscribe(true),
		nats.IgnoreAuthErrorAbort(),
	}
	if c.InboxPrefix != "" {
		options = append(options, nats.CustomInboxPrefix(c.InboxPrefix))
	}
	credentials, err := c.credentials()
	if err != nil {
		return nil, err
	}
	encryption, err := c.encryption()
	if err != nil {
		return nil, err
	}
	return append(append(options, credentials...), encryption...), nil
}

func (c Connection) credentials() ([]nats.Option, error) {
	switch {
	case c.CredsFile != "":
		if err := readable(c.CredsFile); err != nil {
			return nil, fmt.Errorf("NATS credentials: %w", err)
		}
		return []nats.Option{nats.UserCredentials(c.CredsFile)}, nil
	case c.NKeyFile != "":
		option, err := nats.NkeyOptionFromSeed(c.NKeyFile)
		if err != nil {
			return nil, errors.New("NATS NKey seed: the file cannot be read or holds no user seed (one line that starts with SU)")
		}
		return []nats.Option{option}, nil
	case c.User != "":
		return []nats.Option{nats.UserInfoHandler(func() (string, string) {
			password, _ := c.Password() // a file that vanished shows as a refused login
			return c.User, password
		})}, nil
	case c.Token != nil:
		return []nats.Option{nats.TokenHandler(func() string {
			token, _ := c.Token()
			return token
		})}, nil
	}
	return nil, nil
}

func (c Connection) encryption() ([]nats.Option, error) {
	var options []nats.Option
	if c.CAFile != "" {
		if err := readable(c.CAFile); err != nil {
			return nil, fmt.Errorf("NATS CA file: %w", err)
		}
		options = append(options, nats.RootCAs(c.CAFile))
	}
	if c.CertFile != "" {
		if _, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile); err != nil {
			return nil, fmt.Errorf("NATS client certificate: %w", err)
		}
		options = append(options, nats.ClientCert(c.CertFile, c.KeyFile))
	}
	if c.TLSFirst {
		options = append(options, nats.TLSHandshakeFirst())
	}
	return options, nil
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// connectionWatch turns what the client library reports into health, metrics and log lines.
type connectionWatch struct {
	health  *metrics.Health
	metrics *metrics.Metrics
	log     *slog.Logger
}

// varying finds the parts of a subject that differ from job to job: in an acknowledgement, a result and the
// look at one.
var varying = regexp.MustCompile(`(\$JS\.ACK\.[^."]+|\.results|\$JS\.API\.DIRECT\.GET\.[^."]+)\.[^"]*`)

// ofAnyJob makes the same words of what is missing for one job and for the next, so that they are logged once.
func ofAnyJob(words string) string {
	return varying.ReplaceAllString(words, "$1.>")
}

// ofFleet finds what no job needs: the subjects on which workers tell each other how they are.
var ofFleet = regexp.MustCompile(`"(\$SRV\.[^"]*|[^"]+\.fleet\.status)"`)

// ofAudit finds what no job needs either: acts and digests.
var ofAudit = regexp.MustCompile(`_AUDIT[".]|\.audit\.digest"`)

// ofMaking finds what a worker need not do itself: to make streams and consumers, and to change them.
var ofMaking = regexp.MustCompile(`(STREAM\.(CREATE|UPDATE)|CONSUMER\.(CREATE|DURABLE\.CREATE|DELETE|RESET))\.`)

const (
	// permissionQuiet is how long after it was last seen missing a permission counts as missing. While jobs
	// are in hand, a lease is extended more often than that.
	permissionQuiet = 2 * time.Minute
	// errorQuiet is the same for other errors that NATS tells of outside of a call.
	errorQuiet = time.Minute
)

func (c *connectionWatch) options() []nats.Option {
	return []nats.Option{
		nats.ConnectHandler(c.connected),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			c.metrics.NATSReconnected()
			c.connected(nc)
		}),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if !nc.IsClosed() {
				c.lost("the connection to NATS was lost, and it is tried again and again", err)
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			c.lost("no connection to NATS can be made, and it is tried again and again", err)
		}),
		nats.ErrorHandler(c.failed),
	}
}

func (c *connectionWatch) connected(nc *nats.Conn) {
	c.metrics.NATSConnected(true)
	c.health.End(PartNATS, "disconnected")
	level := slog.LevelInfo
	if nc.Stats().Reconnects > 0 {
		level = slog.LevelDebug // that it is connected again is told by the end of the condition
	}
	c.log.Log(context.Background(), level, "The worker is connected to NATS.", "server", ShownURLs(nc.ConnectedUrl()))
}

// lost tells of a connection that is down.
func (c *connectionWatch) lost(what string, err error) {
	c.metrics.NATSConnected(false)
	words := what
	if err != nil {
		words += ": " + err.Error()
	}
	told := metrics.Condition{
		Part: PartNATS, Kind: "disconnected", What: words, Grave: isRefused(err),
		ByItself: "the worker goes on as soon as it is connected; the jobs stay in the stream, and none is lost",
		ToDo:     "if it lasts, look at the NATS servers, and at the network between",
	}
	if told.Grave {
		told.ToDo = "give the worker the credentials that the NATS servers want; files are read again at every try"
	}
	c.health.Begin(told)
}

// isRefused reports whether NATS does not take the worker's credentials.
func isRefused(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAccountAuthExpired)
}

// lookOnly finds what a worker can do without: to look at jobs, which shows how old they are.
var lookOnly = regexp.MustCompile(`API\.(STREAM\.MSG|DIRECT)\.GET\.[^."]+_REQUESTS\b`)

// failed hears of what no call returned as an error, a missing permission above all.
func (c *connectionWatch) failed(_ *nats.Conn, _ *nats.Subscription, err error) {
	switch {
	case errors.Is(err, nats.ErrPermissionViolation) && lookOnly.MatchString(err.Error()):
		c.metrics.NATSError("permission")
		c.harmless("look_permission", "a NATS permission is missing, without which it is not known how old the oldest job is (deploy/nats/accounts.conf lists it): "+err.Error())
	case errors.Is(err, nats.ErrPermissionViolation) && ofFleet.MatchString(err.Error()):
		c.health.Begin(metrics.Condition{
			Part: PartNATS, Kind: "fleet", Harmless: true, Quiet: permissionQuiet,
			What: "the workers cannot tell each other how they are, so that a status page shows its own worker alone: " + err.Error(),
			ToDo: "give the worker's NATS user the permissions that deploy/nats/accounts.conf lists",
		})
	case errors.Is(err, nats.ErrPermissionViolation) && ofAudit.MatchString(err.Error()):
		c.metrics.NATSError("permission")
		c.harmless("audit_permission", "a NATS permission is missing, without which acts of operators are not seen and digests not kept (deploy/nats/accounts.conf lists it): "+err.Error())
	case errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), ".requests.urgent.canary"):
		c.harmless("canary_permission", "a NATS permission is missing, without which no canary sets out, as LOGOFF_CANARY_EVERY wants it (deploy/nats/accounts.conf lists it): "+err.Error())
	case errors.Is(err, nats.ErrPermissionViolation) && ofMaking.MatchString(err.Error()):
		c.metrics.NATSError("permission")
		c.health.Begin(metrics.Condition{
			Part: PartNATS, Kind: "permission", Grave: true, Quiet: permissionQuiet,
			What:     "the worker's NATS user may not make or change streams and consumers, which LOGOFF_NATS_PROVISION=create takes: " + err.Error(),
			ByItself: "the worker takes jobs as soon as somebody has made what is missing",
			ToDo:     MakesForOthers, Command: initCommand,
		})
	case errors.Is(err, nats.ErrPermissionViolation):
		c.metrics.NATSError("permission")
		c.health.Begin(metrics.Condition{
			Part: PartNATS, Kind: "permission", Grave: true, Quiet: permissionQuiet,
			What:     "a NATS permission is missing: " + ofAnyJob(err.Error()),
			ByItself: "the worker keeps trying, and what it may not do stays undone",
			ToDo:     "give the worker's NATS user the permissions that deploy/nats/accounts.conf lists",
		})
	case errors.Is(err, nats.ErrSlowConsumer):
		c.metrics.NATSError("slow_consumer")
		c.harmless("slow_consumer", "messages came faster than they were taken: "+err.Error())
	default:
		c.metrics.NATSError("other")
		c.harmless("error", err.Error())
	}
}

func (c *connectionWatch) harmless(kind, words string) {
	c.health.Begin(metrics.Condition{Part: PartNATS, Kind: kind, What: words, Harmless: true, Quiet: errorQuiet})
}
