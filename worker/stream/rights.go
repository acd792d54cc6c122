package stream

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
)

// An Identity is who NATS says we are, and on which subjects it lets us publish.
type Identity struct {
	User, Account string
	Known         bool     // NATS answered
	Publish       []string // empty: any
	Denied        []string // of those
	// Ahead is how far NATS' clock is ahead of ours.
	Ahead time.Duration
}

// identityWait is how long NATS may take to say who we are. A broker without a system account never does.
const identityWait = 500 * time.Millisecond

// AskIdentity asks the server that we are connected to who we are. It takes the right to publish on $SYS.REQ.USER.INFO;
// where that is missing, or the server has no system account, the identity is not known.
//
// The hub of a leaf node hears the question, too, and answers who the leaf node is to it (seen with nats-server 2.15):
// that answer is passed over.
func AskIdentity(ctx context.Context, nc *nats.Conn) (who Identity) {
	ctx, cancel := context.WithTimeout(ctx, identityWait)
	defer cancel()
	sub, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return who
	}
	defer func() { _ = sub.Unsubscribe() }()
	asked, before := time.Now(), nc.LastError()
	if nc.PublishRequest("$SYS.REQ.USER.INFO", sub.Subject, nil) != nil || nc.FlushWithContext(ctx) != nil {
		return who
	}
	if err := nc.LastError(); err != before && errors.Is(err, nats.ErrPermissionViolation) { //nolint:errorlint // that very one
		return who
	}
	var told userInfo
	for ours := false; !ours; ours = told.Server.ID == nc.ConnectedServerId() {
		answer, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return who
		}
		if told = (userInfo{}); json.Unmarshal(answer.Data, &told) != nil {
			return who
		}
	}
	who = Identity{User: told.Data.User, Account: told.Data.Account, Known: true}
	if p := told.Data.Permissions; p != nil && p.Publish != nil {
		who.Publish, who.Denied = p.Publish.Allow, p.Publish.Deny
	}
	if at := told.Server.Time; !at.IsZero() {
		who.Ahead = at.Sub(asked.Add(time.Since(asked) / 2))
	}
	return who
}

// A userInfo is how a NATS server says who a client is.
type userInfo struct {
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
		ID   string    `json:"id"`
		Time time.Time `json:"time"`
	} `json:"server"`
}

// May reports whether NATS lets us publish on a subject, in which * stands for every token.
func (i Identity) May(subject string) bool {
	grants := func(right string) bool { return includes(right, subject) }
	return (len(i.Publish) == 0 || slices.ContainsFunc(i.Publish, grants)) && !slices.ContainsFunc(i.Denied, grants)
}

// among are those of the subjects that a pattern stands for on which NATS lets us publish, as patterns.
func (i Identity) among(pattern string) (may []string) {
	allowed := i.Publish
	if len(allowed) == 0 {
		allowed = []string{">"}
	}
	for _, right := range allowed {
		both, meet := common(right, pattern)
		if meet && !slices.ContainsFunc(i.Denied, func(denied string) bool { return includes(denied, both) }) {
			may = append(may, both)
		}
	}
	return may
}

// Approvals are the subjects of approved jobs on which NATS lets us publish, as patterns.
func (i Identity) Approvals(subjects jobs.Subjects) []string {
	return i.among(subjects.Approved("*", "*"))
}

// SelfApproval is a subject on which NATS lets us publish a job, and one on which it lets us approve that job under
// another name, both as patterns; they are empty where there is none.
func (i Identity) SelfApproval(subjects jobs.Subjects) (job, approval string) {
	for _, lane := range jobs.Lanes {
		approvals := i.among(subjects.Approved(lane, "*"))
		for _, pattern := range subjects.Lane(lane) {
			if pattern == subjects.Approved(lane, "*") {
				continue
			}
			for _, job := range i.among(pattern) {
				_, publisher, _ := subjects.Origin(job) // empty, too, where it may be any
				for _, approval := range approvals {
					if _, approver, _ := subjects.Approver(approval); publisher == "" || approver != publisher {
						return job, approval
					}
				}
			}
		}
	}
	return "", ""
}

// includes reports whether a right is for a subject, whatever its * stand for.
func includes(right, subject string) bool {
	have, want := strings.Split(right, "."), strings.Split(subject, ".")
	for n, token := range have {
		switch {
		case token == ">":
			return len(want) > n
		case n >= len(want), token != "*" && token != want[n]:
			return false
		}
	}
	return len(have) == len(want)
}

// common is what a right and a pattern without > both stand for.
func common(right, pattern string) (both string, meet bool) {
	have, want := strings.Split(right, "."), strings.Split(pattern, ".")
	for n, token := range have {
		switch {
		case token == ">":
			return strings.Join(want, "."), len(want) > n
		case n >= len(want), token != "*" && want[n] != "*" && token != want[n]:
			return "", false
		case token != "*":
			want[n] = token
		}
	}
	return strings.Join(want, "."), len(have) == len(want)
}
