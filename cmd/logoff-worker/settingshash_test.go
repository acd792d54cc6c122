package main

import "testing"

// Workers with the same settings have the same hash, whatever is each one's own; any other setting changes it, and a
// secret only by being set.
func TestHashTellsSettingsApart(t *testing.T) {
	hash := func(change func(*settings)) string {
		s := settings{Prefix: "logoff"}
		s.Webserver.URL = "https://commvault.example/commandcenter/api"
		if change != nil {
			change(&s)
		}
		return s.hash()
	}
	same := hash(nil)
	for name, test := range map[string]struct {
		change func(*settings)
		same   bool
	}{
		"nothing":             {nil, true},
		"its name":            {func(s *settings) { s.WorkerName = "w2" }, true},
		"where it is asked":   {func(s *settings) { s.HTTPAddr = ":1" }, true},
		"how it logs":         {func(s *settings) { s.Log.Format = "json" }, true},
		"another prefix":      {func(s *settings) { s.Prefix = "other" }, false},
		"another Web Server":  {func(s *settings) { s.Webserver.URL = "https://other.example/api" }, false},
		"somebody protected":  {func(s *settings) { s.ProtectedUsers = list{"admin"} }, false},
		"a secret":            {func(s *settings) { s.Webserver.Password = "a" }, false},
		"fewer slots, and so": {func(s *settings) { s.Slots = 2 }, false},
	} {
		if got := hash(test.change); (got == same) != test.same || len(got) != 12 {
			t.Errorf("%s: %s, and %s without it", name, got, same)
		}
	}
	one, other := hash(func(s *settings) { s.Webserver.Password = "a" }), hash(func(s *settings) { s.Webserver.Password = "b" })
	if one != other {
		t.Error("a secret is in the hash")
	}
}
