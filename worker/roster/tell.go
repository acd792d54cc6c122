package roster

import (
	"slices"
	"strings"
	"time"

	"logoffworker/metrics"
)

// The kinds of conditions in which protection is not what the settings want.
const (
	noSessionID = "no_session_id"
	nobody      = "nobody"
	notLookedUp = "not_looked_up"
	notListed   = "not_listed"
	cutList     = "cut_list"
	ownUnknown  = "own_unknown"
)

// What to do about them.
const (
	correctSessionID = "correct it there, or take it out; a session ID is a GUID, with or without EMC before it"
	correctUser      = "correct it there, or take it out; if the user is still to be made, nothing: it is looked up again every few minutes"
	letLookUp        = "if it lasts, give the userId in place of the name, or give the worker's account the right to see users; SIGHUP has it tried at once"
	letList          = "if it lasts, give the worker's account the right to add, delete and modify this user, raise LOGOFF_READS_PER_HOUR if that is used up, or protect this user no longer; SIGHUP has it tried at once"
	protectByID      = "protect sessions that have been on for long with LOGOFF_PROTECTED_SESSIONS"
	triedAgain       = "the worker tries again every few seconds, and goes on when it is known; until then the jobs stay in the stream"
	logIn            = "let the worker log in with LOGOFF_WEBSERVER_USERNAME, or put the session of its token into LOGOFF_PROTECTED_SESSIONS"
)

// tellSettings tells operators what of the settings protects nothing, as far as that shows in them.
func (r *Roster) tellSettings() {
	r.guard.mu.Lock()
	wrong, users := slices.Clone(r.guard.wrong), len(r.guard.users)
	r.guard.mu.Unlock()
	if users == 0 { // nobody has to be looked up
		r.health.Only(PartProtected, noSessionID, ownUnknown)
	}
	r.health.Set(len(wrong) > 0, metrics.Condition{
		Part: PartProtected, Kind: noSessionID, Grave: true,
		What: noSessionIDs(wrong), ByItself: "jobs go on, and what is meant is not protected", ToDo: correctSessionID, Command: metrics.CheckCommand,
	})
}

func noSessionIDs(places []string) string {
	return "no session is protected by " + and(places) + ", where no session ID stands"
}

func knownToNobody(users []string) string {
	return "the Web Server knows nobody by " + and(users) + " so that nobody is protected by that"
}

func cutLists(users []string) string {
	return "the list of sessions may be cut of " + and(users) + " so that sessions from before the worker's start may not be protected"
}

func and(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}

// tellLook tells operators what came of a look: what is not known of protected users and what waits for it, whom the
// Web Server does not know, and whose lists may be cut.
func (r *Roster) tellLook(who, theirs trouble, cut []string) {
	missing, until := r.guard.missing()
	all := []struct {
		on bool
		metrics.Condition
	}{
		{who.what != "", metrics.Condition{
			Kind: notLookedUp, Grave: who.grave, Until: until, Through: who.through(),
			What:     who.what + "; jobs wait, because anybody may be protected",
			ByItself: triedAgain, ToDo: letLookUp, Command: metrics.CheckCommand,
		}},
		{theirs.what != "", metrics.Condition{
			Kind: notListed, Grave: theirs.grave, Until: until, Through: theirs.through(),
			What:     theirs.what + "; jobs with sessions wait, because one of them may be protected; jobs with users go on",
			ByItself: triedAgain, ToDo: letList, Command: metrics.CheckCommand,
		}},
		{len(missing) > 0, metrics.Condition{
			Kind: nobody, Grave: true,
			What: knownToNobody(missing), ByItself: "jobs go on, and whoever is meant is not protected", ToDo: correctUser, Command: metrics.CheckCommand,
		}},
		{len(cut) > 0, metrics.Condition{
			Kind: cutList, Harmless: true,
			What: cutLists(cut), ToDo: protectByID,
		}},
	}
	for _, c := range all { // what begins first, so that the part is not well in between
		if c.Part = PartProtected; c.on {
			r.health.Begin(c.Condition)
		}
	}
	for _, c := range all {
		if !c.on {
			r.health.End(PartProtected, c.Kind)
		}
	}
}

// missing are the users of the settings who do not exist. until is when what failed is tried again.
func (g *guard) missing() (missing []string, until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, u := range g.users {
		if u.missing {
			missing = append(missing, u.String())
		}
	}
	return missing, g.retry
}
