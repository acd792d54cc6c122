package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"logoffworker/worker/broker"
	"logoffworker/worker/stage"
)

// The embedded broker writes through to the disk, and demands what the worker was given; without any
// credentials that is said.
func TestEmbeddedBrokerSyncsAndDemandsCredentials(t *testing.T) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, test := range map[string]struct {
		set     func(*settings)
		want    broker.Options
		problem bool
	}{
		"nothing":       {set: func(*settings) {}},
		"user":          {set: func(s *settings) { s.NATS.User, s.NATS.Password = "u", "p" }, want: broker.Options{User: "u", Password: "p"}},
		"user, file":    {set: func(s *settings) { s.NATS.User, s.NATS.PasswordFile = "u", file("p\n") }, want: broker.Options{User: "u", Password: "p"}},
		"token":         {set: func(s *settings) { s.NATS.Token = "t" }, want: broker.Options{Token: "t"}},
		"token, file":   {set: func(s *settings) { s.NATS.TokenFile = file("t\n") }, want: broker.Options{Token: "t"}},
		"NKey":          {set: func(s *settings) { s.NATS.NkeyFile = file(string(seed) + "\n") }, want: broker.Options{NKey: public}},
		"no NKey":       {set: func(s *settings) { s.NATS.NkeyFile = file("SU") }, problem: true},
		"no such token": {set: func(s *settings) { s.NATS.TokenFile = file("") + "x" }, problem: true},
	} {
		var s settings
		s.NATS.StoreDir, s.NATS.Listen = "d", "l"
		test.set(&s)
		book := &stage.Book{}
		o, err := brokerOptions(s, slog.New(slog.NewTextHandler(book, nil)))
		if (err != nil) != test.problem {
			t.Errorf("%s: %v", name, err)
		}
		if test.problem {
			continue
		}
		o.Log = nil
		test.want.StoreDir, test.want.Listen, test.want.SyncAlways = "d", "l", true
		if o != test.want {
			t.Errorf("%s: %+v, want %+v", name, o, test.want)
		}
		if warned := strings.Contains(book.String(), "no credentials"); warned != (name == "nothing") {
			t.Errorf("%s: %s", name, book)
		}
	}
}
