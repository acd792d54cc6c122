package roster

import (
	"strings"
	"testing"

	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// The check says what of the settings protects nobody or keeps jobs waiting, and what is in doubt.
func TestCheckSaysWhatProtectsNobody(t *testing.T) {
	for name, test := range map[string]struct {
		config        Config
		prepare       func(s *site)
		fault, doubts string
	}{
		"well":             {Config{ProtectedUsers: []string{"7", `corp\jane`, "jane@corp.example"}, ProtectedSessions: []string{someID}}, func(s *site) { s.sim.SignOnMany(7, 1) }, "", ""},
		"no session ID":    {Config{ProtectedSessions: []string{"nonsense"}}, nil, "by the value 1 of LOGOFF_PROTECTED_SESSIONS, where no session ID stands", ""},
		"nobody":           {Config{ProtectedUsers: []string{`corp\nobody`}}, nil, "knows nobody by", ""},
		"nobody's address": {Config{ProtectedUsers: []string{"nobody@corp.example"}}, nil, "knows nobody by", ""},
		"users not shown": {Config{ProtectedUsers: []string{`corp\jane`}}, func(s *site) {
			s.sim.ChangeUser(1, func(u *simulator.User) { u.Administrator = false })
			s.sim.Configure(func(c *simulator.Settings) { c.NoPermission = simulator.NoPermissionEmpty })
		}, "it was not found out who \"corp\\jane\", the value 1 of LOGOFF_PROTECTED_USERS, is: ", ""},
		"refused":            {Config{ProtectedUsers: []string{`corp\jane`}}, func(s *site) { s.fails(403, "user", "userv4") }, "403", ""},
		"sessions not shown": {Config{ProtectedUsers: []string{"7"}}, func(s *site) { s.fails(403, "session") }, "cannot be listed", ""},
		"nothing listed":     {Config{ProtectedUsers: []string{"7"}}, nil, "", "nothing is listed"},
		"cut":                {Config{ProtectedUsers: []string{"7"}}, func(s *site) { s.sim.SignOnMany(7, 60) }, "", "may be cut"},
		"an address that is one": {Config{ProtectedUsers: []string{"ann@corp.example"}}, func(s *site) {
			s.sim.AddUser(simulator.User{ID: 11, Login: "ann@corp.example"})
			s.sim.SignOnMany(11, 1)
		}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Config{}, func(t *testing.T, s *site) {
				if test.prepare != nil {
					test.prepare(s)
				}
				faults, doubts := CheckProtection(t.Context(), s.client, test.config)
				if (len(faults) == 1) != (test.fault != "") || len(faults) == 1 && !strings.Contains(faults[0].Error(), test.fault) {
					t.Errorf("faults %v", faults)
				}
				if len(doubts) != map[bool]int{true: 1}[test.doubts != ""] || !strings.Contains(strings.Join(doubts, ""), test.doubts) {
					t.Errorf("doubts %v", doubts)
				}
			})
		})
	}
	if faults, doubts := CheckProtection(t.Context(), nil, Config{ProtectedUsers: []string{"jane"}}); len(faults)+len(doubts) != 0 {
		t.Errorf("without a server: %v, %v", faults, doubts)
	}
}

// What protects by an address that is nobody's goes to the list once, and then to the name.
func TestCheckAsksForANameOnlyWhereTheAddressIsNobodys(t *testing.T) {
	for setting, most := range map[string]int{"jane@corp.example": 1, `corp\nobody`: 4} {
		inBubble(t, Config{}, func(t *testing.T, s *site) {
			if CheckProtection(t.Context(), s.client, Config{ProtectedUsers: []string{setting}}); s.lookUps() > most {
				t.Errorf("%s: %d requests", setting, s.lookUps())
			}
		})
	}
}

func TestOwnSessionIsCheckedByTheToken(t *testing.T) {
	for op, want := range map[string]bool{"": true, "whoami": false, "session": false} {
		inBubbleAs(t, Config{}, given, func(t *testing.T, s *site) {
			if op != "" {
				s.fails(403, op)
			}
			if found, err := OwnSession(t.Context(), s.client); found != want || (err == nil) != want || op == "whoami" && (s.lists() != 0 || !strings.HasPrefix(err.Error(), "ping: ")) {
				t.Errorf("%s fails: found %t, %v, %d lists", op, found, err, s.lists())
			}
		})
	}
	if _, found := ownOf(webserver.Listing{Sessions: rows("A", "B")}); found {
		t.Error("it is found in a list that does not show it")
	}
}
