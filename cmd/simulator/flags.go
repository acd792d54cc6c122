package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"

	"logoffworker/worker/webserver/simulator"
)

const usage = `simulator is a simulated Commvault Web Server to try logoff-worker against.

  simulator [flags]

`

// parse reads the flags. It prints the help itself.
func parse(args []string, stdout io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("simulator", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	o.define(flags)
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		flags.SetOutput(stdout)
		flags.PrintDefaults()
		return o, err
	}
	if err != nil {
		return o, err
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	return o, o.check(flags.Args())
}

func (o *options) define(flags *flag.FlagSet) {
	flags.StringVar(&o.addr, "addr", "127.0.0.1:8081", "address of the Web Server")
	flags.StringVar(&o.control, "control", "127.0.0.1:8082", "address of the control")
	flags.BoolVar(&o.allowRemote, "allow-remote", false, "allow addresses that other machines can reach")
	flags.IntVar(&o.people, "people", 24, "people who are signed on, each in every kind of console")
	flags.StringVar(&o.password, "password", "simulator", "password of the service account "+serviceAccount)
	flags.Uint64Var(&o.seed, "seed", 0, "seed of IDs, tokens and all random choices; 0 picks a new one each time")

	defineAnswers(flags, &o.settings)
	defineLimits(flags, &o.settings)
}

// defineAnswers defines the flags that say what the Web Server answers.
func defineAnswers(flags *flag.FlagSet, s *simulator.Settings) {
	flags.DurationVar(&s.LatencyFixed, "latency", 0, "time that every answer takes")
	flags.DurationVar(&s.LatencyPerSession, "latency-per-session", 0, "time that each session of a document adds")
	flags.DurationVar(&s.LatencyTail, "latency-tail", 0, "additional time that some answers take")
	flags.Float64Var(&s.LatencyTailRate, "latency-tail-rate", 0, "share of the answers that take longer, 0 to 1")
	flags.IntVar(&s.Concurrency, "concurrency", 0, "requests served at once; 0 is no limit")
	flags.StringVar((*string)(&s.Ended), "ended", string(simulator.Ended500), "answer to an ended or unknown ID: 500, error, ignore")
	flags.StringVar((*string)(&s.Partial), "partial", string(simulator.PartialApply), "what happens to the good IDs beside a bad one: apply, atomic, stop")
	flags.StringVar((*string)(&s.AfterEffect), "after-effect", string(simulator.AfterEffectAnswer), "a logoff that took effect ends in: answer, reset, hang, 502, 504")
	flags.DurationVar(&s.EffectDelay, "effect-delay", 0, "time from the success of a logoff to its effect")
	flags.StringVar((*string)(&s.EMCSessions), "emc-sessions", string(simulator.EMCSessionsEnd), "what a successful logoff does to console windows: end, stay")
	flags.BoolVar(&s.DropBody, "drop-body", false, "drop the bodies of DELETE requests, as some proxies do")
	flags.StringVar((*string)(&s.NoPermission), "no-permission", string(simulator.NoPermission403), "answer to someone without the right: 403, error, empty")
	flags.StringVar((*string)(&s.UnauthorizedBody), "unauthorized-body", string(simulator.UnauthorizedRotate), "body of a 401: rotate, empty, text, json, html")
	flags.BoolVar(&s.NumbersAsText, "numbers-as-text", false, "put the numbers of JSON answers in quotes")
	flags.StringVar((*string)(&s.SessionPath), "session-path", string(simulator.SessionPathBoth), "path of the session list: both, singular, plural")
	flags.BoolVar(&s.NoV4Users, "no-v4-users", false, "404 for the V4 calls that look up users")
	flags.BoolVar(&s.NoOldUsers, "no-old-users", false, "404 for the old calls that look up users")
	flags.StringVar((*string)(&s.UserNames), "user-names", string(simulator.UserNamesMixed), "how look-ups spell the names of users: mixed, login, lower, display")
	flags.StringVar((*string)(&s.PathBackslash), "path-backslash", string(simulator.PathBackslashAccepted), "what a path with the backslash of DOMAIN\\name meets: accepted, 400, slash")
	flags.IntVar(&s.UserListLimit, "user-list-limit", 0, "users in a list that asks for no limit; 0 is all")
	flags.IntVar(&s.UnlistedUser, "unlisted-user", 0, "userId whose sessions nobody else may list; 0 is nobody's")
	flags.IntVar(&s.HiddenCompany, "hidden-company", 0, "id of a company whose sessions nobody else sees; 0 is none")
	flags.BoolVar(&s.HiddenUsers, "hidden-users", false, "hide the users of that company, too")
	flags.StringVar((*string)(&s.Caching), "caching", string(simulator.CachingNone), "what a proxy does with lists of sessions: none, obedient, age, silent")
	flags.DurationVar(&s.CacheLife, "cache-life", 0, "how long a proxy keeps a list; 0 is 5m")
	flags.DurationVar(&s.ClockOffset, "clock-offset", 0, "how far the Web Server's clock is ahead, negative for behind")
	flags.BoolVar(&s.FrozenDate, "frozen-date", false, "answer always with the same Date")
	flags.BoolVar(&s.Maintenance, "maintenance", false, "answer with maintenance pages of status 200")
	flags.IntVar(&s.Down, "down", 0, "answer everything with this status; -1 resets connections")
}

// defineLimits defines the flags of what stands in front of the Web Server, and of logins and tokens.
func defineLimits(flags *flag.FlagSet, s *simulator.Settings) {
	flags.BoolVar(&s.Firewall, "firewall", false, "403 for clients without a User-Agent of their own")
	flags.IntVar(&s.DocumentLimit, "limit", 0, "largest request body in bytes; 0 is no limit")
	flags.IntVar(&s.DocumentLimitStatus, "limit-status", 400, "answer to a larger one: 400, 404, 413")
	flags.Float64Var(&s.RateLimit, "rate", 0, "requests per second; 0 is no limit")
	flags.IntVar(&s.RateBurst, "burst", 0, "requests that may come at once under -rate; 0 is as many as in one second")
	flags.IntVar(&s.WritesPerHour, "writes-per-hour", 0, "quota of writes, 100 on SaaS; 0 is none")
	flags.IntVar(&s.ReadsPerHour, "reads-per-hour", 0, "quota of reads, 1000 on SaaS; 0 is none")
	flags.StringVar((*string)(&s.LimitHint), "limit-hint", string(simulator.LimitHintNone), "what a 429 tells: none, seconds, date, x-ratelimit")
	flags.DurationVar(&s.SessionTimeout, "session-timeout", 0, "idle time after which a token is invalid; 0 is 30m")
	flags.StringVar((*string)(&s.Renewal), "renewal", string(simulator.Renewal200), "renewal of access tokens: 200, mangled, expires-in, 403, 404, 450, 500, lost")
	flags.DurationVar(&s.RenewalDelay, "renewal-delay", 0, "time from the renewal of a pair of tokens to the answer")
	flags.StringVar((*string)(&s.RenewalHeader), "renewal-header", string(simulator.RenewalHeaderAccepted), "the old token in the header of a renewal: accepted, refused, needed")
	flags.BoolVar(&s.BearerSessions, "bearer-sessions", false, "callers with an access token show up as sessions")
	flags.DurationVar(&s.AccessTokenLife, "access-token-life", 0, "life of an access token; 0 is 30m")
	flags.BoolVar(&s.V10Login, "v10-login", false, "answer logins in the JSON of very old servers")
	flags.IntVar(&s.LockoutAfter, "lockout", 0, "failed logins that lock an account; 0 is never")
}

// check returns everything that is wrong.
func (o *options) check(rest []string) error {
	var faults []error
	if len(rest) > 0 {
		faults = append(faults, fmt.Errorf("%q is not a flag", rest[0]))
	}
	if o.people < 0 || o.people > 10_000 {
		faults = append(faults, errors.New("-people must be from 0 to 10000"))
	}
	if o.password == "" {
		faults = append(faults, errors.New("-password is empty"))
	}
	for _, addr := range []string{o.addr, o.control} {
		if !o.allowRemote && !loopback(addr) {
			faults = append(faults, fmt.Errorf("%q is not a loopback address such as 127.0.0.1:8081; -allow-remote allows others", addr))
		}
	}
	return errors.Join(append(faults, o.settings.Check())...)
}

// loopback reports whether only this machine can reach addr.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
