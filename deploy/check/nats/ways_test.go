package nats_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// rights are the subjects that a user may publish and subscribe to.
type rights struct{ Publish, Subscribe []string }

// ofServer are the rights as the server has them. A user without any restriction has none here.
func ofServer(p *server.Permissions) (r rights) {
	if p == nil {
		return r
	}
	if p.Publish != nil {
		r.Publish = slices.Sorted(slices.Values(p.Publish.Allow))
	}
	if p.Subscribe != nil {
		r.Subscribe = slices.Sorted(slices.Values(p.Subscribe.Allow))
	}
	return r
}

// A broker is a server with the shipped users.
type broker struct {
	server *server.Server
	rights map[string]rights
	user   func(name string) nats.Option // connects as one
}

// listener is a user of these tests alone, who hears everything in the account.
const listener = "listener"

// A way is how users prove who they are.
type way struct {
	name  string
	start func(t *testing.T) broker
}

var ways = []way{{"passwords", withPasswords}, {"JWT", withJWT}}

// users are those of a configuration, with their rights.
func users(options *server.Options) map[string]rights {
	all := map[string]rights{}
	for _, u := range options.Users {
		all[u.Username] = ofServer(u.Permissions)
	}
	return all
}

// withPasswords is the server as nats-server.conf has it.
func withPasswords(t *testing.T) broker {
	t.Helper()
	options := configuration(t, "nats-server.conf")
	b := broker{rights: users(options), user: func(name string) nats.Option { return nats.UserInfo(name, name) }}
	options.Users = append(options.Users, &server.User{Username: listener, Password: listener, Account: options.Users[0].Account})
	b.server = start(t, options)
	return b
}

// withJWT is a server with the account and the users that nsc.sh makes.
func withJWT(t *testing.T) broker {
	t.Helper()
	account, users := commands(t, read(t, "nsc.sh"))
	users[listener] = jwt.NewUserClaims("later")

	operator := key(t, nkeys.CreateOperator)
	system, logoff := jwt.NewAccountClaims(public(t, key(t, nkeys.CreateAccount))), key(t, nkeys.CreateAccount)
	account.Subject = public(t, logoff)
	claims := jwt.NewOperatorClaims(public(t, operator))
	resolver := &server.MemAccResolver{}
	for _, a := range []*jwt.AccountClaims{system, account} {
		if err := resolver.Store(a.Subject, encoded(t, a, operator)); err != nil {
			t.Fatal(err)
		}
	}
	b := broker{rights: map[string]rights{}}
	credentials := map[string]nats.Option{}
	for name, u := range users {
		own := key(t, nkeys.CreateUser)
		u.Subject = public(t, own)
		seed, err := own.Seed()
		if err != nil {
			t.Fatal(err)
		}
		credentials[name] = nats.UserJWTAndSeed(encoded(t, u, logoff), string(seed))
		if name != listener {
			b.rights[name] = rights{slices.Sorted(slices.Values(u.Pub.Allow)), slices.Sorted(slices.Values(u.Sub.Allow))}
		}
	}
	b.user = func(name string) nats.Option { return credentials[name] }
	b.server = start(t, &server.Options{
		JetStream: true, TrustedOperators: []*jwt.OperatorClaims{claims}, SystemAccount: system.Subject, AccountResolver: resolver,
	})
	return b
}

func key(t *testing.T, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func public(t *testing.T, pair nkeys.KeyPair) string {
	t.Helper()
	name, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func encoded(t *testing.T, claims jwt.Claims, by nkeys.KeyPair) string {
	t.Helper()
	token, err := claims.Encode(by)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// commands runs a script with a stand-in for nsc, and returns what nsc would have made.
func commands(t *testing.T, script string) (*jwt.AccountClaims, map[string]*jwt.UserClaims) {
	t.Helper()
	dir := t.TempDir()
	record := filepath.Join(dir, "record")
	for name, text := range map[string]string{"nsc": "#!/bin/sh\n{ printf '%s\\n' \"$@\"; echo; } >>" + record + "\n", "script": script} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command("sh", filepath.Join(dir, "script"))
	command.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	said, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	account, users := jwt.NewAccountClaims("later"), map[string]*jwt.UserClaims{}
	for call := range strings.SplitSeq(strings.TrimSpace(string(said)), "\n\n") {
		words := strings.Split(call, "\n")
		flags := map[string][]string{}
		for i := 2; i+1 < len(words); i += 2 {
			flags[words[i]] = append(flags[words[i]], strings.Split(words[i+1], ",")...)
		}
		switch name := strings.Join(flags["--name"], ""); strings.Join(words[:2], " ") {
		case "add account":
			account.Name = name
		case "edit account":
			for flag, limit := range map[string]*int64{
				"--js-disk-storage": &account.Limits.DiskStorage, "--js-streams": &account.Limits.Streams, "--js-consumer": &account.Limits.Consumer,
			} {
				if slices.Equal(flags[flag], []string{"-1"}) {
					*limit = jwt.NoLimit
					delete(flags, flag)
				}
			}
		case "add user":
			users[name] = jwt.NewUserClaims("later")
			users[name].Name = name
			fallthrough
		case "edit user":
			users[name].Pub.Allow.Add(flags["--allow-pub"]...)
			users[name].Sub.Allow.Add(flags["--allow-sub"]...)
		default:
			t.Errorf("this test does not know what nsc makes of: %q", words)
		}
		for _, known := range []string{"--name", "--account", "--allow-pub", "--allow-sub"} {
			delete(flags, known)
		}
		if len(flags) > 0 {
			t.Errorf("this test does not know the flags %v of: %q", flags, words)
		}
	}
	return account, users
}

// fewNeed are the subjects of accounts.conf that a user may publish to once #- is taken away.
func fewNeed(t *testing.T) map[string][]string {
	t.Helper()
	extra, user := map[string][]string{}, ""
	for line := range strings.SplitSeq(read(t, "accounts.conf"), "\n") {
		if _, name, found := strings.Cut(line, "user: "); found {
			user = name
		}
		if _, subject, found := strings.Cut(line, `#- "`); found {
			extra[user] = append(extra[user], strings.TrimSuffix(subject, `"`))
		}
	}
	return extra
}

// Both ways give the same users the same rights, with and without those that few need.
func TestPasswordsAndJWTGiveTheSameRights(t *testing.T) {
	byPassword, byJWT := withPasswords(t).rights, withJWT(t).rights
	if diff := cmp.Diff(byPassword, byJWT); diff != "" {
		t.Errorf("accounts.conf (-) and nsc.sh (+) differ:\n%s", diff)
	}
	if len(byPassword) < 8 {
		t.Errorf("there are %d users", len(byPassword))
	}
	for name, r := range byPassword {
		if len(r.Publish) == 0 || len(r.Subscribe) == 0 {
			t.Errorf("%s may publish or subscribe to anything", name)
		}
	}

	_, users := commands(t, strings.ReplaceAll(read(t, "nsc.sh"), "#- ", ""))
	extra := fewNeed(t)
	if len(extra["worker"]) != 8 || len(extra["receiver"]) != 3 || len(extra) != 2 {
		t.Errorf("rights that few need are %v", extra)
	}
	for name, more := range extra {
		want := slices.Sorted(slices.Values(append(more, byPassword[name].Publish...)))
		if diff := cmp.Diff(want, slices.Sorted(slices.Values(users[name].Pub.Allow))); diff != "" {
			t.Errorf("with all that %s may need, accounts.conf (-) and nsc.sh (+) differ:\n%s", name, diff)
		}
	}
}
