package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/pflag"
	"github.com/synadia-io/orbit.go/natscontext"

	"logoffworker/jobs"
	"logoffworker/worker/env"
	"logoffworker/worker/stream"
)

// A whereabouts says where NATS is, as far as flags do.
type whereabouts struct {
	server, context                   string
	creds, nkey                       string
	caFile, certFile, keyFile         string
	inboxPrefix, domain, api, subject string

	flags pflag.FlagSet // that these are
}

func (w *whereabouts) addFlags(all *pflag.FlagSet) {
	flags := &w.flags
	defer all.AddFlagSet(flags)
	flags.StringVarP(&w.server, "server", "s", "", "NATS servers, separated by commas")
	flags.StringVar(&w.context, "context", "", "context of the nats command, or its file")
	flags.StringVar(&w.creds, "creds", "", "credentials: file with user JWT and seed")
	flags.StringVar(&w.nkey, "nkey", "", "credentials: file with an NKey user seed")
	flags.StringVar(&w.caFile, "tlsca", "", "PEM file that verifies the NATS servers")
	flags.StringVar(&w.certFile, "tlscert", "", "PEM file with the TLS client certificate")
	flags.StringVar(&w.keyFile, "tlskey", "", "PEM file with the key of the TLS client certificate")
	flags.StringVar(&w.inboxPrefix, "inbox-prefix", "", "subject prefix of replies, such as _INBOX_operator")
	flags.StringVar(&w.domain, "js-domain", "", "JetStream domain that has the streams")
	flags.StringVar(&w.api, "js-api-prefix", "", "instead of a domain: the prefix of JetStream's API")
	flags.StringVar(&w.subject, "prefix", "", "start of every subject (default LOGOFF_PREFIX, else logoff)")
}

// words are the flags that are given, as a command line has them. A URL that may hold a password is left to the reader.
func (w *whereabouts) words() (words []string) {
	w.flags.VisitAll(func(f *pflag.Flag) {
		value := f.Value.String()
		if strings.Contains(value, "@") && f.Name == "server" {
			value = "URL"
		}
		if f.Changed {
			words = append(words, "--"+f.Name, value)
		}
	})
	return words
}

// command is a command of the tool as a shell takes it, for this place.
func (w *whereabouts) command(words ...string) string {
	line := "logoffctl"
	for _, word := range append(words, w.words()...) {
		line += " " + quoted(word)
	}
	return line
}

// settings are those of a worker that say where NATS is. So the tool works beside a worker as it is.
type settings struct {
	NATS   env.NATS
	Prefix string `default:"logoff"`
}

// settings are those of the environment, with the flags over them.
func (w *whereabouts) settings() (settings, error) {
	var s settings
	if w.server != "" && w.context != "" {
		return s, badUsage("--server and --context both say where NATS is; keep one")
	}
	if err := env.Tidy("LOGOFF", &s); err != nil {
		return s, err
	}
	if err := envconfig.Process("LOGOFF", &s); err != nil {
		var parse *envconfig.ParseError
		if errors.As(err, &parse) {
			return s, badUsage("%s: its value cannot be read", parse.KeyName)
		}
		return s, badUsage("the environment: %w", err)
	}
	s.Prefix = cmp.Or(w.subject, s.Prefix)
	n := &s.NATS
	n.URL = env.Servers(cmp.Or(w.server, n.URL))
	if n.URL == env.Embedded {
		n.URL = env.Servers(n.Listen)
	}
	if w.creds != "" || w.nkey != "" {
		n.CredsFile, n.NkeyFile, n.User, n.Token, n.TokenFile = w.creds, w.nkey, "", "", ""
	}
	n.CAFile, n.CertFile, n.KeyFile = cmp.Or(w.caFile, n.CAFile), cmp.Or(w.certFile, n.CertFile), cmp.Or(w.keyFile, n.KeyFile)
	n.InboxPrefix = cmp.Or(w.inboxPrefix, n.InboxPrefix)
	if w.domain != "" || w.api != "" {
		n.Domain, n.APIPrefix = w.domain, w.api
	}
	if err := (jobs.Subjects{Prefix: s.Prefix}).Validate(); err != nil {
		return s, badUsage("--prefix or LOGOFF_PREFIX: %w", err)
	}
	return s, nil
}

// A site is a deployment, as it is reached over NATS.
type site struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	config   stream.Config // of the worker, as far as a reader knows
	subjects jobs.Subjects
	user     string // of the credentials, where they are a name
	where    *whereabouts

	needless error // a missing right that nothing needs
	unread   bool  // NATS does not let us read jobs or results
}

// connect reaches NATS, or says with exit code 3 why not.
func (t *tool) connect() (*site, error) {
	s, err := t.where.settings()
	if err != nil {
		return nil, err
	}
	for n := 0; ; n++ {
		here, last, err := t.connectAs(s, n)
		if err != nil {
			return nil, unclear("%w", err)
		}
		if here.hears() {
			return here, nil
		}
		here.close()
		if last {
			return nil, unclear("NATS does not let us hear its answers (%w); name the subject on which it does: --inbox-prefix or LOGOFF_NATS_INBOX_PREFIX", here.denial())
		}
	}
}

// connectAs connects with the n-th inbox that may be ours, and reports whether it is the last.
func (t *tool) connectAs(s settings, n int) (here *site, last bool, err error) {
	here = &site{subjects: jobs.Subjects{Prefix: s.Prefix}, user: cmp.Or(s.NATS.User, userOf(s.NATS.URL)), where: &t.where}
	inboxes := inboxesOf(s, here.user)
	s.NATS.InboxPrefix = inboxes[n]
	var api string
	if here.nc, api, err = t.dial(s, here); err != nil {
		return nil, true, err
	}
	here.config = stream.DefaultConfig()
	here.config.Subjects, here.config.API = here.subjects, api
	if here.js, err = here.config.JetStream(here.nc); err != nil {
		here.close()
		return nil, true, err
	}
	return here, n == len(inboxes)-1, nil
}

// inboxesOf are the subjects on which NATS may let us hear answers: the one that is set, else a worker's, that of the
// user, and everybody's. Where it lets us hear any, the first is as good as another.
func inboxesOf(s settings, user string) []string {
	if s.NATS.InboxPrefix != "" {
		return []string{s.NATS.InboxPrefix}
	}
	inboxes := []string{"_INBOX_" + s.Prefix, "_INBOX"}
	if user != "" && jobs.LegalID(user) == nil {
		inboxes = append(inboxes, "_INBOX_"+user)
	}
	if s.NATS.URL == "" {
		inboxes = append([]string{""}, inboxes...) // that of the context
	}
	return inboxes
}

// userOf is the user in the first server's URL.
func userOf(list string) string {
	first, _, _ := strings.Cut(list, ",")
	if u, err := url.Parse(first); err == nil && u.User != nil {
		if _, isUser := u.User.Password(); isUser {
			return u.User.Username()
		}
	}
	return ""
}

// hears reports whether NATS lets us hear answers.
func (s *site) hears() bool {
	sub, err := s.nc.SubscribeSync(s.nc.NewInbox())
	if err != nil {
		return true // which the first question will tell
	}
	defer func() { _ = sub.Unsubscribe() }()
	return s.nc.FlushTimeout(answerWait) != nil || s.denial() == nil
}

// dial connects to the servers of flags or variables, else to those of a context, and returns the prefix of
// JetStream's API there.
func (t *tool) dial(s settings, here *site) (*nats.Conn, string, error) {
	c := s.NATS.Connection("logoffctl", s.Prefix)
	c.Options = []nats.Option{nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})} // it is asked for
	viaContext := t.where.context != "" || c.URL == ""
	if !viaContext {
		nc, err := stream.Dial(c)
		return nc, s.NATS.API(), err
	}
	c.InboxPrefix = s.NATS.InboxPrefix
	api := s.NATS.API()
	nc, err := c.Through(func(options ...nats.Option) (*nats.Conn, error) {
		nc, known, err := natscontext.Connect(cmp.Or(t.where.context, os.Getenv("NATS_CONTEXT")), options...)
		here.user = cmp.Or(known.User, here.user)
		if api == "" {
			api = (env.NATS{Domain: known.JSDomain, APIPrefix: known.JSAPIPrefix}).API()
		}
		return nc, err
	})
	return nc, api, err
}

// denial is the right that NATS said last is missing; nil if none is. It is known at the latest when what was asked for
// has been flushed.
func (s *site) denial() error {
	if err := s.nc.LastError(); errors.Is(err, nats.ErrPermissionViolation) && err != s.needless { //nolint:errorlint // that very one
		return err
	}
	return nil
}

// forgive forgets of a right that it is missing.
func (s *site) forgive() { s.needless = s.nc.LastError() }

// explain makes a missing right of an error that is only a time-out because of it.
func (s *site) explain(doing string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	_ = s.nc.FlushTimeout(time.Second)
	if denied := s.denial(); denied != nil {
		return unclear("%s: a NATS right is missing: %w (deploy/nats/accounts.conf lists them)", doing, denied)
	}
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return unclear("%s: the stream is not there; logoff-worker init makes it: %w", doing, err)
	}
	return unclear("%s: %w", doing, err)
}

// command is a command of the tool as a shell takes it, for this deployment.
func (s *site) command(words ...string) string { return s.where.command(words...) }

// close ends the connection.
func (s *site) close() { s.nc.Close() }

// stream finds one of the deployment's streams.
func (s *site) stream(ctx context.Context, name string) (jetstream.Stream, error) {
	found, err := s.js.Stream(ctx, name)
	if err != nil {
		return nil, s.explain(fmt.Sprintf("look for the stream %s", name), err)
	}
	return found, nil
}
