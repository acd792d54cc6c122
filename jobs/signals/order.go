package signals

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"logoffworker/jobs"
)

// People are whose sessions are to end, or the sessions themselves, and how they were found.
type people struct {
	users    []jobs.User
	sessions []jobs.Session
	by       string
}

// An order is the job that comes together of the events of one message.
type order struct {
	users    []jobs.User
	named    map[jobs.User]bool // those of users
	sessions []jobs.Session
	at       time.Time
	untimed  bool // what happened when cannot be told of one of them
	newer    bool
	event    event  // the first that counts and names somebody
	by       string // the rule by which it counts
	notes    []string
	wrong    []error // why somebody who should be logged off cannot be named
	misfits  []error // why it is not known whether somebody should be
	ignored  []error
}

// failed notes why something in a message is no revocation that is understood.
func (o *order) failed(err error) {
	switch {
	case isIgnored(err):
		o.ignored = append(o.ignored, err)
	case isMisfit(err):
		o.misfits = append(o.misfits, err)
	default:
		o.wrong = append(o.wrong, err)
	}
}

// add takes an event in. Where it counts, the latest time does: more is ended rather than less.
func (o *order) add(found people, err error, at time.Time, newer bool, e event) {
	if err != nil {
		o.failed(err)
	}
	if isIgnored(err) {
		return
	}
	if o.by == "" {
		o.event, o.by = e, found.by
	}
	for _, user := range found.users {
		if !o.named[user] {
			o.name(user)
		}
	}
	o.sessions = append(o.sessions, found.sessions...)
	o.newer = o.newer || newer
	o.untimed = o.untimed || err == nil && at.IsZero()
	if at.After(o.at) {
		o.at = at
	}
	if note := noteOf(e); !slices.Contains(o.notes, note) {
		o.notes = append(o.notes, note)
	}
}

func (o *order) name(user jobs.User) {
	if o.named == nil {
		o.named = map[jobs.User]bool{}
	}
	o.named[user] = true
	o.users = append(o.users, user)
}

// full reports whether an order has more than a job may, and is refused whatever else there is.
func (o *order) full() bool { return len(o.users) > jobs.MaxUsers }

// give makes the order the answer's job. Somebody who cannot be named beside others who can is in it as an invalid entry,
// so that the result tells of it.
func (g *reading) give(o *order) error {
	if len(o.users)+len(o.sessions) == 0 {
		if reasons := slices.Concat(o.wrong, o.misfits, o.ignored); len(reasons) > 0 {
			return reasons[0]
		}
		return ignored("nothing in the message is a revocation")
	}
	g.answer.Signal.Event = o.event.uri
	g.answer.Signal.Rule = strings.Trim(o.event.name()+", "+o.by, ", ")
	notes := o.notes
	if n := len(o.misfits); n > 0 { // as what is of another kind, and no revocation: the rest of the message was understood
		notes = append(notes, fmt.Sprintf("%d more in the message could not be followed, the first because %v", n, o.misfits[0]))
	}
	users, sessions := o.withWrong()
	at := o.at
	if o.untimed { // nothing is left on for having begun after it
		at = time.Time{}
	}
	labels := map[string]string{"issuer": g.answer.Issuer}
	if o.event.uri != "" {
		labels["event"] = o.event.name()
	}
	return g.settle(jobs.Job{
		ID: g.answer.Job.ID, Users: users, Sessions: sessions, EventTime: at, IncludeNewer: o.newer && !at.IsZero(),
		Reason: strings.Join(notes, "; "), RequestedBy: g.requester(), Labels: labels,
	})
}

// withWrong are the users and sessions, and who cannot be named, each as an entry that is wrong. They take no room from
// who can: the last stands for all for whom there is none, and is a session where there is none for a user.
func (o *order) withWrong() ([]jobs.User, []jobs.Session) {
	users, sessions := slices.Clone(o.users), slices.Clone(o.sessions)
	for i, err := range o.wrong {
		if left := len(o.wrong) - i; left > 1 && len(users) >= jobs.MaxUsers-1 {
			err = fmt.Errorf("%d cannot be named, the first of them because %w", left, err)
		}
		if len(users) >= jobs.MaxUsers {
			return users, append(sessions, jobs.Session{Entry: unnamed(err).Entry})
		}
		if users = append(users, unnamed(err)); len(users) == jobs.MaxUsers {
			break
		}
	}
	return users, sessions
}

// requester is an issuer's URL, and a recipe's name.
func (g *reading) requester() string {
	if g.issuer.URL != "" {
		return g.issuer.URL
	}
	return g.answer.Issuer
}

// unnamed stands for somebody who should be logged off, and of whom nobody knows who it is.
func unnamed(err error) jobs.User {
	whole, _ := json.Marshal(map[string]string{"unnamed": cut(err.Error(), 100)})
	return jobs.User{Entry: &jobs.Entry{Text: cut(string(whole), 100), Wrong: err.Error(), JSON: string(whole)}}
}

// Unnamed is in place of an invalid message that should have named somebody. It can be no job, whoever reads it: it names
// nobody, and says why.
func (a Answer) Unnamed() jobs.Job {
	return jobs.Job{ID: a.Job.ID, Users: []jobs.User{unnamed(errors.New(a.Why))}, Reason: "refused: " + cut(a.Why, 1<<10), RequestedBy: a.Issuer}
}

// noteOf is an event's name, and what its issuer tells administrators of it.
func noteOf(e event) string {
	const most = 1 << 10
	told, _ := e.members["reason_admin"].(string)
	if byLanguage, ok := e.members["reason_admin"].(map[string]any); ok {
		if told, ok = byLanguage["en"].(string); !ok && len(byLanguage) > 0 {
			told, _ = byLanguage[slices.Sorted(maps.Keys(byLanguage))[0]].(string)
		}
	}
	if told == "" {
		return e.name()
	}
	return e.name() + ": " + cut(told, most)
}
