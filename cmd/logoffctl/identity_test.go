package main

import (
	"testing"

	"logoffworker/worker/stream"
)

// The publisher is the name that rights let us use, where it is one; else the user.
func TestRightsSayUnderWhichNameToPublish(t *testing.T) {
	subject := func(name string) string { return "logoff.requests.urgent." + name }
	for _, c := range []struct {
		user  string
		allow []string
		want  string
	}{
		{"jane", nil, "jane"},
		{"UDXU", []string{"logoff.requests.urgent.soar"}, "soar"},
		{"UDXU", []string{"logoff.requests.*.soar", "_INBOX.>"}, "soar"},
		{"jane", []string{">"}, "jane"},
		{"jane", []string{"logoff.requests.urgent.*", "logoff.>"}, "jane"},
		{"jane", []string{"logoff.requests.bulk.hr"}, "jane"},
		{"jane doe", nil, ""},
		{`CORP\jane`, nil, `CORP\jane`},
	} {
		if got := (identity{stream.Identity{User: c.user, Publish: c.allow}}).name(subject); got != c.want {
			t.Errorf("%s with %v is %q, not %q", c.user, c.allow, got, c.want)
		}
	}
}
