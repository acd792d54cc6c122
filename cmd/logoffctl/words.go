package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"logoffworker/jobs"
)

// userText is a user as the job named it.
func userText(u jobs.UserResult) string {
	switch {
	case u.Name != "":
		return u.Name
	case u.Email != "":
		return u.Email
	case u.ID != 0:
		return "user " + strconv.FormatInt(u.ID, 10)
	}
	return "nobody"
}

// userWords are the outcomes of users in words.
var userWords = map[jobs.UserOutcome]string{
	jobs.UserOff: "off, read back", jobs.UserNothingOn: "nothing was on", jobs.UserUnknown: "unknown",
	jobs.UserStillActive: "still active", jobs.UserUndecided: "undecided", jobs.UserProtected: "protected, left alone",
	jobs.UserExpired: "too late, not sent", jobs.UserInvalid: "names nobody",
}

// sessionWords are the outcomes of sessions in words.
var sessionWords = map[jobs.Outcome]string{
	jobs.LoggedOff: "logged off, read back", jobs.Accepted: "accepted, not read back",
	jobs.AlreadyLoggedOff: "was over before", jobs.NotFound: "not there (any more)",
	jobs.StillActive: "still active", jobs.Undecided: "undecided", jobs.Rejected: "rejected",
	jobs.Protected: "protected, left alone", jobs.Expired: "too late, not sent", jobs.InvalidSession: "no session ID",
}

// words are an outcome's, or the outcome itself where a newer worker has made it.
func words[O ~string](known map[O]string, outcome O) string {
	if w := known[outcome]; w != "" {
		return w
	}
	return strings.ReplaceAll(string(outcome), "_", " ")
}

// summary says in one line what became of a job.
func summary(r jobs.Result) string {
	switch {
	case r.Status == jobs.Held:
		return "held for approval" + because(r.Error)
	case r.Status == jobs.Ignored:
		return "nobody is to be logged off for it" + because(r.Error)
	case !r.Status.Success():
		return r.Shortfall()
	}
	var parts []string
	over := r.Counts[jobs.LoggedOff]
	switch {
	case len(r.Users) == 1:
		parts = append(parts, userText(r.Users[0])+" is off")
	case len(r.Users) > 1:
		parts = append(parts, count(len(r.Users), "person", "people")+" are off")
	}
	if over > 0 {
		parts = append(parts, count(over, "session", "sessions")+" logged off and read back")
	}
	for _, o := range []jobs.Outcome{jobs.Accepted, jobs.AlreadyLoggedOff, jobs.NotFound} {
		if n := r.Counts[o]; n > 0 {
			parts = append(parts, count(n, "session", "sessions")+" "+words(sessionWords, o))
		}
	}
	if len(parts) == 1 && len(r.Users) > 0 {
		parts = append(parts, "nothing was on")
	}
	return strings.Join(parts, "; ") + because(r.Error)
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// took is a time to logoff as people read it.
func took(milliseconds int64) string {
	d := time.Duration(milliseconds) * time.Millisecond
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return d.Round(time.Minute).String()
}

// size says how much a job names.
func size(j jobs.Job) string {
	var parts []string
	if n := len(j.Users); n > 0 {
		parts = append(parts, count(n, "person", "people"))
	}
	if n := len(j.Sessions); n > 0 {
		parts = append(parts, count(n, "session", "sessions"))
	}
	return strings.Join(parts, ", ")
}
