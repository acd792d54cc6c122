package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/textproto"
	"os"
	"strings"
	"time"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
	"logoffworker/worker/env"
	"logoffworker/worker/issuers"
	"logoffworker/worker/webserver"
)

// An explaining is which message is to be explained, and how it came.
type explaining struct {
	file                    string // - for the standard input
	header                  map[string][]string
	issuer, hook            string // whose address it came to; empty for NATS
	logoutToken, revocation bool
	at                      time.Time // when it came
}

// maxMessage is the most bytes of a message: those of NATS' largest payload.
const maxMessage = 64 << 20

// parse reads the words after the command, in which flags may stand before the file and behind it.
func (e *explaining) parse(args []string) error {
	flags := flag.NewFlagSet("explain", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	e.header, e.at = map[string][]string{}, time.Now()
	flags.StringVar(&e.issuer, "issuer", "", "")
	flags.StringVar(&e.hook, "hook", "", "")
	flags.BoolVar(&e.logoutToken, "logout-token", false, "")
	flags.BoolVar(&e.revocation, "revocation", false, "")
	flags.Func("header", "", func(line string) error {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return errors.New("a header is 'Name: value'") // which may be a secret
		}
		name = textproto.TrimString(name)
		e.header[name] = append(e.header[name], textproto.TrimString(value))
		return nil
	})
	flags.Func("at", "", func(text string) (err error) {
		if e.at, err = time.Parse(time.RFC3339, text); err != nil {
			return errors.New("a time is written as in 2026-11-27T12:00:00Z")
		}
		return nil
	})
	for rest := args; ; rest = flags.Args()[1:] {
		if err := flags.Parse(rest); err != nil {
			return withoutValue(err)
		}
		switch {
		case flags.NArg() == 0:
			return e.problem()
		case e.file != "":
			return fmt.Errorf("%q is one word too many", flags.Arg(0))
		}
		e.file = flags.Arg(0)
	}
}

// withoutValue is an error of a flag without the value that was given, which may hold a secret.
func withoutValue(err error) error {
	if text, is := strings.CutPrefix(err.Error(), "invalid value "); is {
		if at := strings.LastIndex(text, " for flag -header: "); at >= 0 {
			return errors.New("flag -header: " + text[at+len(" for flag -header: "):])
		}
	}
	return err
}

// problem says what is missing, or does not go together.
func (e *explaining) problem() error {
	switch {
	case e.file == "":
		return errors.New("explain needs a file with the message, or - for the standard input")
	case e.hook != "" && (e.issuer != "" || e.logoutToken || e.revocation):
		return errors.New("--hook is of a recipe, and goes with no --issuer, --logout-token or --revocation")
	case e.logoutToken && e.revocation:
		return errors.New("--logout-token and --revocation are two addresses; keep one")
	case e.issuer == "" && (e.logoutToken || e.revocation):
		return errors.New("--logout-token and --revocation need --issuer, to whose address the message came")
	}
	return nil
}

// explain says what would become of a message. It asks neither NATS nor the Web Server.
func (p program) explain(ctx context.Context, args []string) error {
	var e explaining
	if err := e.parse(args); errors.Is(err, flag.ErrHelp) {
		_, err = fmt.Fprint(p.stdout, help)
		return err
	} else if err != nil {
		return fmt.Errorf("%w: %w (try --help)", errUsage, err)
	}
	s, trusted, err := explainSettings()
	if err != nil {
		return err
	}
	body, err := e.message()
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if err := e.known(trusted); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	x := explanation{w: p.stdout, settings: s, at: e.at}
	a := e.read(s, trusted, body)
	if a.Verdict == signals.Retry {
		_, _, err := trusted.ReadKeys(ctx, a.Issuer)
		x.keys(a.Issuer, err)
		a = e.read(s, trusted, body)
	}
	x.answer(a)
	if a.Verdict == signals.Invalid || a.Verdict == signals.Retry {
		return fmt.Errorf("the verdict is %s", a.Verdict)
	}
	return nil
}

// explainSettings are the settings as far as explain needs them: where NATS and the Web Server are need not be known.
func explainSettings() (s settings, trusted *issuers.Issuers, err error) {
	if err := env.Tidy(prefix, &settings{}); err != nil {
		return s, nil, err
	}
	s, wrong, err := parse()
	if len(wrong) > 0 {
		err = fmt.Errorf("%w: %w", errUsage, errors.Join(wrong...))
	}
	if err == nil {
		trusted, err = s.openIssuers()
	}
	return s, trusted, err
}

// message reads the message.
func (e *explaining) message() ([]byte, error) {
	from := os.Stdin
	if e.file != "-" {
		file, err := os.Open(e.file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.file, env.Unreadable(err))
		}
		defer file.Close()
		from = file
	}
	body, err := io.ReadAll(io.LimitReader(from, maxMessage+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", e.file, env.Unreadable(err))
	case len(body) > maxMessage:
		return nil, fmt.Errorf("%s: the message has more than %d bytes, and cannot come over NATS", e.file, maxMessage)
	}
	return body, nil
}

// known says whether the issuer or recipe to whose address the message is to have come is in the file.
func (e *explaining) known(trusted *issuers.Issuers) error {
	if e.issuer == "" && e.hook == "" {
		return nil
	}
	if trusted == nil {
		return errors.New("no issuer and no recipe is known: " + issuersFile + " is not set")
	}
	var names []string
	policy := trusted.File().Policy
	what, name := "issuer", e.issuer
	for _, issuer := range policy.Issuers {
		names = append(names, issuer.Name)
	}
	if e.hook != "" {
		what, name, names = "recipe", e.hook, nil
		for _, recipe := range policy.Recipes {
			names = append(names, recipe.Name)
		}
	}
	for _, known := range names {
		if known == name {
			return nil
		}
	}
	return fmt.Errorf("there is no %s %q in %s; there are: %s", what, name, issuersFile, strings.Join(names, ", "))
}

// read reads the message as the way that it came has it.
func (e *explaining) read(s settings, trusted *issuers.Issuers, body []byte) signals.Answer {
	rules := jobs.Rules{LooseIDs: s.LooseSession.IDs}
	r := signals.Reader{Rules: rules, Now: e.at}
	if trusted != nil {
		r = trusted.Reader(rules, e.at)
	}
	switch {
	case e.hook != "":
		return r.Hook(e.hook, body)
	case e.logoutToken:
		return r.LogoutToken(e.issuer, body)
	case e.revocation:
		return r.Revocation(e.issuer, e.authorization(), body)
	case e.issuer != "":
		return r.SET(e.issuer, body)
	}
	return r.Message(e.header, body)
}

func (e *explaining) authorization() string {
	for name, values := range e.header {
		if strings.EqualFold(name, "Authorization") {
			return values[0]
		}
	}
	return ""
}

// An explanation prints what would become of a message.
type explanation struct {
	w        io.Writer
	settings settings
	at       time.Time
}

func (x explanation) line(what, words string) { fmt.Fprintf(x.w, "%-9s %s\n", what, words) }

// keys says how it went to read the keys of an issuer.
func (x explanation) keys(issuer string, err error) {
	if err != nil {
		x.line("keys", "the keys of "+issuer+" cannot be read: "+err.Error())
		return
	}
	x.line("keys", "the keys of "+issuer+" were read for this")
}

func (x explanation) answer(a signals.Answer) {
	for _, step := range a.Steps {
		word := "yes"
		if !step.OK {
			word = "no"
		}
		x.line(word, fmt.Sprintf("%-22s %s", step.What, step.Why))
	}
	x.line("verdict", string(a.Verdict))
	if a.Why != "" {
		x.line("why", a.Why)
	}
	if a.Issuer != "" {
		x.line("issuer", a.Issuer)
	}
	if a.Verdict == signals.Job {
		x.job(a)
	}
}

// job shows the job as it would be stored, and the documents that it comes to.
func (x explanation) job(a signals.Answer) {
	if a.Signal != nil {
		x.line("rule", a.Signal.Rule)
	}
	for _, user := range a.Job.Users {
		x.line("user", userInWords(user))
	}
	for _, session := range a.Job.Sessions {
		if wrong := session.Wrong(); wrong != "" {
			x.line("session", "none: "+wrong)
		}
	}
	for _, remark := range a.Job.Remarks {
		x.line("remark", remark)
	}
	if data, err := a.Job.Encode(); err == nil {
		x.line("job", string(data))
	}
	for _, document := range x.documents(a.Job) {
		x.line("document", string(document))
	}
	if len(a.Job.Users) > 0 {
		x.line("note", "whose sessions the users have is asked of the Web Server when the job is worked, and a document is made of those then")
	}
	if most, names := x.settings.HoldAbove.Job, len(a.Job.Sessions)+len(a.Job.Users); most > 0 && names > most {
		x.line("note", fmt.Sprintf("it names %d sessions and people, and LOGOFF_HOLD_ABOVE_JOB is %d: it is held until somebody approves it", names, most))
	}
	if last := a.Job.NotAfter; !last.IsZero() && !x.at.Before(last) {
		x.line("note", "its notAfter has passed, so that nothing of it is sent any more")
	}
	if x.settings.protects() {
		x.line("note", "whom LOGOFF_PROTECTED_USERS and LOGOFF_PROTECTED_SESSIONS name is taken out of the documents when the job is worked")
	}
}

func userInWords(u jobs.User) string {
	switch {
	case u.Wrong() != "":
		return "nobody: " + u.Wrong()
	case u.ID != 0:
		return fmt.Sprintf("id:%d", u.ID)
	case u.Email != "":
		return "email:" + u.Email
	}
	return "name:" + u.Name
}

// protects reports whether the settings protect anything.
func (s settings) protects() bool {
	return len(s.ProtectedSessions)+len(s.ProtectedUsers) > 0 || s.ProtectedSessionsFile != "" || s.ProtectedUsersFile != ""
}

// documents are what would be sent for the sessions that a job names, if it were alone.
func (x explanation) documents(job jobs.Job) (all [][]byte) {
	var ids []string
	size := webserver.DocumentOverhead
	end := func() {
		if len(ids) > 0 {
			all = append(all, webserver.AppendDocument(nil, ids))
		}
		ids, size = nil, webserver.DocumentOverhead
	}
	for _, session := range job.Sessions {
		if session.Wrong() != "" {
			continue
		}
		more := webserver.SessionSize(session.ID)
		if len(ids) == x.settings.BatchMax.Sessions || size+more > x.settings.BatchMax.Bytes {
			end()
		}
		ids, size = append(ids, session.ID), size+more
	}
	end()
	return all
}
