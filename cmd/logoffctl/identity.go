package main

import (
	"context"
	"encoding/json"
	"os"
	"os/user"
	"strings"
	"time"

	"logoffworker/jobs"
)

// An identity is who NATS says we are, and on which subjects it lets us publish.
type identity struct {
	User, Account string
	Known         bool     // NATS answered
	Publish       []string // empty: any
	Denied        []string // of those
	// Ahead is how far NATS' clock is ahead of ours.
	Ahead time.Duration
}

// identityWait is how long NATS may take to say who we are. A broker without a system account never does.
const identityWait = 500 * time.Millisecond

// whoAmI asks NATS, and where it does not say, is the user of the credentials, else of the machine.
func (s *site) whoAmI(ctx context.Context) identity {
	who := s.askIdentity(ctx)
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

func (s *site) askIdentity(ctx context.Context) (who identity) {
	ctx, cancel := context.WithTimeout(ctx, identityWait)
	defer cancel()
	sub, err := s.nc.SubscribeSync(s.nc.NewInbox())
	if err != nil {
		return who
	}
	defer func() { _ = sub.Unsubscribe() }()
	asked := time.Now()
	if s.nc.PublishRequest("$SYS.REQ.USER.INFO", sub.Subject, nil) != nil || s.nc.FlushWithContext(ctx) != nil || s.denial() != nil {
		return who
	}
	answer, err := sub.NextMsgWithContext(ctx)
	if err != nil {
		return who
	}
	var told struct {
		Data struct {
			User        string `json:"user"`
			Account     string `json:"account"`
			Permissions *struct {
				Publish *struct {
					Allow []string `json:"allow"`
					Deny  []string `json:"deny"`
				} `json:"publish"`
			} `json:"permissions"`
		} `json:"data"`
		Server struct {
			Time time.Time `json:"time"`
		} `json:"server"`
	}
	if json.Unmarshal(answer.Data, &told) != nil {
		return who
	}
	who = identity{User: told.Data.User, Account: told.Data.Account, Known: true}
	if p := told.Data.Permissions; p != nil && p.Publish != nil {
		who.Publish, who.Denied = p.Publish.Allow, p.Publish.Deny
	}
	if at := told.Server.Time; !at.IsZero() {
		who.Ahead = at.Sub(asked.Add(time.Since(asked) / 2))
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
