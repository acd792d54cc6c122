package main

import (
	"context"
	"os"
	"os/user"
	"strings"

	"logoffworker/jobs"
	"logoffworker/worker/stream"
)

// An identity is who NATS says we are.
type identity struct{ stream.Identity }

// whoAmI asks NATS, and where it does not say, is the user of the credentials, else of the machine.
func (s *site) whoAmI(ctx context.Context) identity {
	who := identity{stream.AskIdentity(ctx, s.nc)}
	s.forgive() // the right to ask is one that nothing needs
	if who.User == "" || strings.Contains(who.User, " ") {
		who.User = s.user
	}
	if who.User == "" {
		who.User = os.Getenv("USER")
		if local, err := user.Current(); err == nil {
			who.User = local.Username
		}
	}
	return who
}

// name is the last token of the subjects on which we may publish, as of subject("*"): the one that NATS lets us use,
// where it lets us use one only, else our user's. It is empty where no user's name can be a token.
func (i identity) name(subject func(name string) string) string {
	pattern := strings.Split(subject("*"), ".")
	for _, allowed := range i.Publish {
		tokens := strings.Split(allowed, ".")
		last := tokens[len(tokens)-1]
		if len(tokens) == len(pattern) && last != "*" && last != ">" && covers(tokens, pattern) {
			return last
		}
	}
	if jobs.LegalID(i.User) != nil {
		return ""
	}
	return i.User
}

// covers reports whether tokens of a right cover those of a subject, but for the last.
func covers(right, subject []string) bool {
	for n := range len(subject) - 1 {
		if right[n] != "*" && right[n] != subject[n] {
			return false
		}
	}
	return true
}
