package main

import (
	"fmt"
	"strings"

	"logoffworker/jobs"
)

// line is a result in one line for a reader.
func line(r jobs.Result) string {
	var parts []string
	for _, u := range r.Users {
		parts = append(parts, fmt.Sprintf("%s %s", called(u), u.Outcome))
	}
	for _, outcome := range jobs.Outcomes {
		if n := r.Counts[outcome]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, outcome))
		}
	}
	text := fmt.Sprintf("  %-8s %-6s job %s", r.Status, r.Lane, r.JobID)
	if len(parts) > 0 {
		text += fmt.Sprintf(": %s in %d ms", strings.Join(parts, ", "), r.TimeToLogoffMS)
	}
	if r.Error != "" {
		text += ": " + r.Error
	}
	return text
}

func called(u jobs.UserResult) string {
	switch {
	case u.Name != "":
		return u.Name
	case u.Email != "":
		return u.Email
	}
	return fmt.Sprintf("userId %d", u.ID)
}

// meanings say why a session has an outcome, the one that most wants an explanation first.
var meanings = []struct {
	outcome jobs.Outcome
	words   string
}{
	{jobs.Undecided, "The Web Server answers 500 about a session that had ended before, and no more; it may mean anything. Nobody named the owner, whose list would show it, so that nothing is claimed, and the job is kept in a dead letter."},
	{jobs.Rejected, "The Web Server refused the session when it was asked about it alone; it is kept in a dead letter."},
	{jobs.StillActive, "The Web Server said yes, but the owner's list still shows the session; it is kept in a dead letter."},
	{jobs.Protected, "It was left alone: it is protected, or the worker's own."},
	{jobs.Expired, "The job's notAfter had passed before it could be sent; it is kept in a dead letter."},
	{jobs.Accepted, "The Web Server said yes. No owner is named, whose list would show the end: no more is claimed."},
	{jobs.LoggedOff, "The Web Server said yes, and the owner's list shows the end."},
	{jobs.AlreadyLoggedOff, "The owner's list shows that it had ended before."},
	{jobs.NotFound, "The owner's list, which is whole, has no such session."},
}

// userMeanings say why a user has an outcome. The others carry an error that says it.
var userMeanings = map[jobs.UserOutcome]string{
	jobs.UserOff:       "All that was on of that person was found and ended, and the list shows the end of each.",
	jobs.UserNothingOn: "The list of that person shows nothing that is on.",
	jobs.UserUnknown:   "The Web Server knows nobody of that name; it is kept in a dead letter.",
	jobs.UserProtected: "That person is protected, or a session that is; the rest is kept in a dead letter.",
}

// meaning explains a result.
func meaning(r jobs.Result) string {
	if r.Status == jobs.Invalid {
		return "It is no job. It was not dropped: the message is kept as it came, in a dead letter."
	}
	for _, u := range r.Users {
		if words := userMeanings[u.Outcome]; words != "" {
			return words
		}
	}
	for _, m := range meanings {
		if r.Counts[m.outcome] > 0 {
			return m.words
		}
	}
	return "jobs/README.md explains each outcome."
}
