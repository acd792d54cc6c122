package roster

import (
	"slices"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/webserver"
)

const someID = "CF1C660B-396F-44B7-86DA-5608CEC97453"

// Values that are no session IDs are named by their place; blanks are nothing at all.
func TestSettingsThatAreNoSessionIDsAreKnownByPlace(t *testing.T) {
	g := newGuard(Config{ProtectedSessions: []string{someID, " ", "nonsense", " " + someID + " ", "\xff", ""}, ProtectedUsers: []string{" ", `corp\jane`, ""}})
	if !slices.Equal(g.wrong, []string{"the value 3 of LOGOFF_PROTECTED_SESSIONS", "the value 5 of LOGOFF_PROTECTED_SESSIONS"}) || len(g.sessions) != 1 || len(g.users) != 1 || g.users[0].place != "the value 2 of LOGOFF_PROTECTED_USERS" {
		t.Errorf("wrong %v, %d sessions, users %+v", g.wrong, len(g.sessions), g.users)
	}
	if loose := newGuard(Config{ProtectedSessions: []string{"nonsense"}, LooseIDs: true}); len(loose.wrong) != 0 || !loose.protectsSession("NONSENSE") {
		t.Errorf("loose: wrong %v", loose.wrong)
	}
}

func TestProtectedUserIsMeantByIDAddressOrName(t *testing.T) {
	for setting, want := range map[string]jobs.User{
		"42": {ID: 42}, "0": {Name: "0"}, "-3": {Name: "-3"}, "12x": {Name: "12x"}, "99999999999999999999": {Name: "99999999999999999999"},
		"jane@corp.example": {Email: "jane@corp.example"}, `CORP\jane`: {Name: `CORP\jane`},
	} {
		if u := newProtectedUser(setting); u.named != want || u.known != (want.ID != 0) || len(u.ids) != map[bool]int{true: 1}[want.ID != 0] {
			t.Errorf("%s: %+v", setting, u)
		}
	}
}

// What is left alone is the own session, those of the settings, those of protected users, and whatever a job says is theirs.
func TestProtectedSessionIsKnownByIDOrOwner(t *testing.T) {
	r := &Roster{guard: newGuard(Config{ProtectedUsers: []string{"7"}})}
	if r.Protects(jobs.Session{ID: "A"}) {
		t.Error("nothing is known, and it is protected")
	}
	own := "OWN"
	r.guard.own.Store(&own)
	r.guard.theirs["THEIRS"] = sighting{owner: 7}
	for session, want := range map[jobs.Session]bool{
		{ID: "own"}: true, {ID: "theirs"}: true, {ID: "X", UserID: 7}: true, {ID: "X", UserID: 8}: false, {ID: "X"}: false,
	} {
		if r.Protects(session) != want {
			t.Errorf("%+v: protected %t", session, !want)
		}
	}
}

// Known is enough where who they are is known, and, unless that alone is wanted, their lists are new enough.
func TestKnownIsEnoughWithListsThatAreNew(t *testing.T) {
	now := time.Now()
	read := listRead{number: 3, asked: now.Add(-time.Minute)}
	for name, test := range map[string]struct {
		user    protectedUser
		read    *listRead
		after   int64
		spacing time.Duration
		enough  bool
		listed  bool // it is
	}{
		"not known":                 {user: protectedUser{named: jobs.User{Name: "jane"}}, after: WhoAlone, enough: false, listed: true},
		"who alone":                 {user: protectedUser{known: true, ids: []int64{7}}, after: WhoAlone, enough: true, listed: false},
		"never listed":              {user: protectedUser{known: true, ids: []int64{7}}, after: 0},
		"listed since":              {user: protectedUser{known: true, ids: []int64{7}}, read: &read, after: 2, enough: true, listed: true},
		"listed before":             {user: protectedUser{known: true, ids: []int64{7}}, read: &read, after: 3},
		"listed within the spacing": {user: protectedUser{known: true, ids: []int64{7}}, read: &read, after: 3, spacing: time.Hour, enough: true, listed: true},
		"listed before the spacing": {user: protectedUser{known: true, ids: []int64{7}}, read: &read, after: 3, spacing: time.Second},
		"there is no such user":     {user: protectedUser{known: true, ids: []int64{7}, named: jobs.User{ID: 7}, missing: true}, after: 3, enough: true, listed: true},
		"there is one by userId":    {user: protectedUser{known: true, ids: []int64{7}, named: jobs.User{ID: 7}}, after: 3},
	} {
		g := newGuard(Config{})
		g.users = []*protectedUser{&test.user}
		g.reckon()
		if test.read != nil {
			g.lists[7] = *test.read
		}
		if enough, ids := g.enough(test.after, test.spacing, now), g.unlisted(test.after, test.spacing, now); enough != test.enough || (len(ids) == 0) != test.listed {
			t.Errorf("%s: enough %t, to be listed %v", name, enough, ids)
		}
	}
}

// What a list that may be cut does not show stays known for two days; what it shows is as it says, and the most cautious of several rows counts.
func TestListedSessionsOfProtectedUsersAreRemembered(t *testing.T) {
	now := time.Now()
	ended := webserver.Listed{ID: "A", LogoutTime: now}
	for name, test := range map[string]struct {
		list webserver.Listing
		want []string
	}{
		"whole":                {webserver.Listing{Sessions: rows("N"), Complete: true}, []string{"N", "OTHERS"}},
		"cut":                  {webserver.Listing{Sessions: rows("n")}, []string{"A", "N", "OTHERS"}},
		"cut, and shown ended": {webserver.Listing{Sessions: []webserver.Listed{ended}}, []string{"OTHERS"}},
		"on and ended":         {webserver.Listing{Sessions: []webserver.Listed{{ID: "a"}, ended}}, []string{"A", "OTHERS"}},
		"ended and on":         {webserver.Listing{Sessions: []webserver.Listed{ended, {ID: "a"}}}, []string{"A", "OTHERS"}},
	} {
		g := newGuard(Config{ProtectedUsers: []string{"7", "8"}})
		long := now.Add(-3 * 24 * time.Hour)
		g.theirs = map[string]sighting{"A": {7, now.Add(-time.Hour)}, "LONGAGO": {7, long}, "OTHERS": {8, long}}
		g.listed(7, test.list, listRead{number: 1, asked: now})
		g.listed(9, webserver.Listing{Sessions: rows("NOBODYS")}, listRead{})
		var got []string
		for id := range g.theirs {
			got = append(got, id)
		}
		if slices.Sort(got); !slices.Equal(got, test.want) || len(g.lists) != 1 || g.lists[7].number != 1 {
			t.Errorf("%s: %v, want %v; %d lists", name, got, test.want, len(g.lists))
		}
	}
}

// Who is known is asked about again in a refresh, when that is due or when there was nobody.
func TestWhoIsDueForALookUp(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		user     protectedUser
		one, all bool // due when somebody wants to know, and in a refresh
	}{
		"not known":    {protectedUser{}, true, true},
		"known lately": {protectedUser{known: true, looked: now}, false, false},
		"known":        {protectedUser{known: true, looked: now.Add(-lookAgain)}, false, true},
		"nobody":       {protectedUser{known: true, looked: now, missing: true}, false, true},
	} {
		g := &guard{users: []*protectedUser{&test.user}}
		if one, all := len(g.dueForLookUp(false, lookAgain, now)) > 0, len(g.dueForLookUp(true, lookAgain, now)) > 0; one != test.one || all != test.all {
			t.Errorf("%s: due %t, in a refresh %t", name, one, all)
		}
	}
}

// Lists may be the older the more users are protected, and the smaller the budget is.
func TestSpacingKeepsWithinTheBudget(t *testing.T) {
	for _, test := range []struct {
		config       Config
		list, lookUp time.Duration
	}{
		{Config{ProtectedUsers: []string{"7"}}, 0, lookAgain},
		{Config{ProtectedUsers: []string{"7", "8", "9"}}, 200 * time.Millisecond, lookAgain},
		{Config{ProtectedUsers: []string{"7"}, ReadsPerHour: 100}, 144 * time.Second, 12 * time.Minute},
		{Config{ProtectedUsers: []string{"7"}, ReadsPerHour: 100_000}, 144 * time.Millisecond, lookAgain},
		{Config{ProtectedUsers: []string{"7"}, RequestsPerSecond: 2}, 2 * time.Second, lookAgain},
	} {
		r := &Roster{config: test.config, guard: newGuard(test.config)}
		if r.listSpacing() != test.list || r.lookUpSpacing() != test.lookUp {
			t.Errorf("%+v: lists every %v, users every %v", test.config, r.listSpacing(), r.lookUpSpacing())
		}
	}
}

func TestProtectedUserIsNamedByTheSetting(t *testing.T) {
	fromFile := newGuard(Config{ProtectedUsers: []string{"8", "7"}, ProtectedPlaces: map[string]string{"7": "line 3 of leaders.txt"}})
	if name := fromFile.name(7); name != `"7", line 3 of leaders.txt,` {
		t.Error(name)
	}
	g := newGuard(Config{ProtectedUsers: []string{"8", "7"}})
	if name := g.name(7); name != `"7", the value 2 of LOGOFF_PROTECTED_USERS,` || g.name(99) != "the user 99" {
		t.Errorf("%s and %s", name, g.name(99))
	}
}

func TestWordsOfSeveral(t *testing.T) {
	for want, words := range map[string][]string{"1": {"1"}, "1 and 2": {"1", "2"}, "1, 2 and 5": {"1", "2", "5"}} {
		if got := and(words); got != want {
			t.Error(got)
		}
	}
}

// Users by address, or by a domain's name, are found in the list of all.
func TestOnlySomeNamesAreSureToBeInTheList(t *testing.T) {
	var names []jobs.User
	for _, setting := range []string{"a@b", `c\d`, "plain", "7"} {
		if u := newProtectedUser(setting); inList(u.named) {
			names = append(names, u.named)
		}
	}
	if !slices.Equal(names, []jobs.User{{Email: "a@b"}, {Name: `c\d`}}) {
		t.Error(names)
	}
}
