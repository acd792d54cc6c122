package worker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/webserver/simulator"
)

// A namesake is a person, or an account, that could be taken for another.
type namesake struct {
	simulator.User
	session string
}

// signOnNamesakes signs on people whose names, full names and addresses look like each other's.
func (s *site) signOnNamesakes() map[int]*namesake {
	all := map[int]*namesake{}
	for _, u := range []simulator.User{
		{ID: 60, Login: `CORP\jane.doe`, Display: "Jane Doe", Email: "j.doe@corp.example", UPN: "jane.doe@ad.corp.example"},
		{ID: 61, Login: "jane.doe", Display: "Jane Doe (local)", Email: "local.jane@corp.example"},
		{ID: 62, Login: "decoy.one", Display: "jane.doe", Email: "decoy.one@corp.example"},
		{ID: 63, Login: "decoy.two", Display: `CORP\jane.doe`, Email: "decoy.two@corp.example"},
		{ID: 64, Login: `OTHER\jane.doe`, Display: "Jane Doe", Email: "other.jane@corp.example", UPN: "jane.doe@other.example"},
		{ID: 65, Login: `CORP\max`, Display: "Max Power", Email: "shared@corp.example"},
		{ID: 66, Login: "max.admin", Display: "Max Power", Email: "shared@corp.example"},
	} {
		s.sim.AddUser(u)
		all[u.ID] = &namesake{u, s.sim.SignOn(u.ID, simulator.ConsoleWeb)}
	}
	return all
}

// spellings are the ways in which a publisher may name people, and whose sessions each may end; 0 is nobody's.
var spellings = []struct {
	user string
	is   int
}{
	{`{"name":"CORP\\jane.doe"}`, 60},
	{`{"name":"corp\\JANE.Doe"}`, 60},
	{`{"name":"jane.doe@ad.corp.example"}`, 60},
	{`{"name":"JANE.DOE@AD.corp.example"}`, 60},
	{`{"name":"j.doe@corp.example"}`, 60},
	{`{"email":"J.Doe@Corp.Example"}`, 60},
	{`{"email":"jane.doe@ad.corp.example"}`, 60},
	{`{"id":60}`, 60},
	{`{"name":"jane.doe"}`, 61},
	{`{"name":"JANE.DOE"}`, 61},
	{`{"name":"OTHER\\jane.doe"}`, 64},
	{`{"name":"decoy.two"}`, 63},
	{`{"name":"shared@corp.example"}`, 0}, // which of the two is open
	{`{"name":"Jane Doe"}`, 0},
	{`{"name":"CORP\\nobody"}`, 0},
	{`{"name":"CORP/jane.doe"}`, 0},
}

// Every spelling of a name, under whatever the Web Server makes of names, finds the right person or says
// honestly that it does not; nobody else's session ends. Where the names to log in with are shown by some
// call, the right person is found.
func TestEverySpellingFindsTheRightPersonOrSaysSo(t *testing.T) {
	for _, names := range []simulator.UserNames{simulator.UserNamesMixed, simulator.UserNamesLogin, simulator.UserNamesLower, simulator.UserNamesDisplay} {
		for _, backslash := range []simulator.PathBackslash{simulator.PathBackslashAccepted, simulator.PathBackslash400, simulator.PathBackslashSlash} {
			for _, without := range []string{"", "V4", "old", "V4 and old"} {
				settings := simulator.Settings{
					LatencyFixed: latency, UserNames: names, PathBackslash: backslash,
					NoV4Users: strings.HasPrefix(without, "V4"), NoOldUsers: strings.HasSuffix(without, "old"),
				}
				t.Run(fmt.Sprintf("%s names, backslash %s, without %q", names, backslash, without), func(t *testing.T) {
					inBubble(t, func(t *testing.T) { spellEverybody(t, settings) })
				})
			}
		}
	}
}

func spellEverybody(t *testing.T, settings simulator.Settings) {
	s := newSite(t, settings)
	all := s.signOnNamesakes()
	s.start(options{})
	passes(t, time.Second)
	shown := settings.UserNames != simulator.UserNamesDisplay && (!settings.NoV4Users || !settings.NoOldUsers)
	for _, spelling := range spellings {
		s.publish("logoff.requests", `{"users":[`+spelling.user+`]}`)
		u := s.await(1)[0].Users[0]
		switch {
		case spelling.is != 0 && shown && u.Outcome != jobs.UserOff:
			t.Errorf("%s: %s (%s)", spelling.user, u.Outcome, u.Error)
		case spelling.is == 0 && u.Outcome != jobs.UserUnknown && u.Outcome != jobs.UserUndecided,
			spelling.is != 0 && u.Outcome != jobs.UserOff && u.Outcome != jobs.UserUndecided:
			t.Errorf("%s: %s (%s), which is not so", spelling.user, u.Outcome, u.Error)
		}
		for id, who := range all {
			on := s.alive([]string{who.session}) == 1
			if on == (id == spelling.is && u.Outcome == jobs.UserOff) {
				t.Errorf("%s: %s, and the session of %s is on: %t", spelling.user, u.Outcome, who.Login, on)
			}
			if !on {
				who.session = s.sim.SignOn(id, simulator.ConsoleWeb)
			}
		}
	}
}
