package worker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
	"logoffworker/worker/webserver/simulator"
)

// One that is no session ID has an outcome of its own, and is all that is left to do; published again as it
// is, it is kept as it is.
func TestOneWrongIDStopsNobodyElse(t *testing.T) {
	for _, n := range []int{1, jobs.MaxSessions - 1} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{})
				ids := s.sim.SignOnMany(7, n)
				named := slices.Insert(slices.Clone(ids), n/2, ids[0]+"0")
				s.start(options{})
				s.publish("logoff.requests", jobOf(named...))
				r := s.await(1)[0]
				if r.Status != jobs.Partial || r.Counts[jobs.Accepted] != n || r.Counts[jobs.InvalidSession] != 1 || s.alive(ids) != 0 {
					t.Errorf("status %s, counts %v, %d on", r.Status, r.Counts, s.alive(ids))
				}
				for i, session := range r.Sessions {
					if session.ID != named[i] || (session.Outcome == jobs.InvalidSession) != (i == n/2) {
						t.Fatalf("session %d is %+v, the job has %s there", i, session, named[i])
					}
				}
				wrong := r.Sessions[n/2]
				if !strings.Contains(wrong.Error, "no session ID") || wrong.Attempts != 0 {
					t.Errorf("the wrong one is %+v", wrong)
				}
				letter := s.deadLetter(1)
				if want := fmt.Sprintf(`{"id":%q,"sessions":[%q]}`, r.JobID, wrong.ID); string(letter.Payload) != want || letter.Reason != jobs.Partial {
					t.Errorf("dead letter %s: %s, want %s", letter.Reason, letter.Payload, want)
				}
				before := len(s.logoffs())
				s.publish(letter.Subject, string(letter.Payload))
				again := s.await(1)[0]
				if again.Status != jobs.Invalid || again.JobID != r.JobID || string(s.deadLetter(2).Payload) != string(letter.Payload) {
					t.Errorf("published again, it is %+v", again)
				}
				if n := len(s.logoffs()) - before; n != 0 {
					t.Errorf("%d requests for it", n)
				}
			})
		})
	}
}

// Whatever stands for a session or a user, the others are ended, and what is wrong is kept as it came.
func TestWrongEntriesStopNobodyElse(t *testing.T) {
	for name, test := range map[string]struct{ sessions, users string }{
		"null":                 {sessions: `null`},
		"a number":             {sessions: `4711`},
		"a list":               {sessions: `["x"]`},
		"an unknown member":    {sessions: `{"id":"x","until":"never"}`},
		"an empty ID":          {sessions: `""`},
		"a user without names": {users: `{}`},
		"two names":            {users: `{"id":7,"name":"jane"}`},
		"an id of letters":     {users: `{"id":"x"}`},
		"a negative id":        {users: `{"id":-7}`},
		"no address":           {users: `{"email":"jane"}`},
		"a null user":          {users: `null`},
		"both":                 {sessions: `true`, users: `[7]`},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: 10 * time.Millisecond}) // what is found comes after what was named
				s.crowd()
				ids, bobs := s.sim.SignOnMany(7, 1), s.sim.SignOnMany(50, 1)
				list := func(good, wrong string) string {
					if wrong != "" {
						return good + "," + wrong
					}
					return good
				}
				s.start(options{})
				s.publish("logoff.requests", fmt.Sprintf(`{"id":"j","sessions":[%s],"users":[%s]}`, list(`"`+ids[0]+`"`, test.sessions), list(`{"id":50}`, test.users)))
				r := s.await(1)[0]
				if n := len(s.logoffs()); s.alive(append(ids, bobs...)) != 0 || r.Status != jobs.Partial || n != 2 {
					t.Errorf("%d are on after %d requests; result %+v", s.alive(append(ids, bobs...)), n, r)
				}
				if test.users != "" && (r.UsersLeft != 1 || r.Users[1].Outcome != jobs.UserInvalid || r.Users[1].Error == "" || r.Users[1].Name == "") {
					t.Errorf("users %+v", r.Users)
				}
				if test.sessions != "" && (r.Counts[jobs.InvalidSession] != 1 || r.Sessions[1].ID == "" || r.Sessions[1].Error == "") {
					t.Errorf("sessions %+v", r.Sessions)
				}
				want := `{"id":"j"`
				if test.sessions != "" {
					want += `,"sessions":[` + test.sessions + `]`
				}
				if test.users != "" {
					want += `,"users":[` + test.users + `]`
				}
				if letter := s.deadLetter(1); string(letter.Payload) != want+"}" {
					t.Errorf("dead letter %s, want %s}", letter.Payload, want)
				}
			})
		})
	}
}

// A note that is wrong is echoed as text or said to be left out, and the session is ended.
func TestWrongNotesStopNoRevocation(t *testing.T) {
	for name, test := range map[string]struct {
		note, says string
		fits       func(r jobs.Result) bool
	}{
		"label of a number":       {`"labels":{"case":4711}`, "", func(r jobs.Result) bool { return r.Labels["case"] == "4711" }},
		"label of an object":      {`"labels":{"a":{"b":[1]}}`, "", func(r jobs.Result) bool { return r.Labels["a"] == `{"b":[1]}` }},
		"list of labels":          {`"labels":["INC-1"]`, "/labels", nil},
		"id of a number":          {`"id":4711`, "", func(r jobs.Result) bool { return r.JobID == "4711" }},
		"id of two words":         {`"id":"INC 1.2"`, "/id", func(r jobs.Result) bool { return jobs.LegalID(r.JobID) == nil }},
		"long id":                 {`"id":"` + strings.Repeat("x", 65) + `"`, "/id", nil},
		"id of a list":            {`"id":["x"]`, "", func(r jobs.Result) bool { return r.JobID == `["x"]` }},
		"reason of an object":     {`"reason":{"code":7}`, "", func(r jobs.Result) bool { return r.Reason == `{"code":7}` }},
		"long reason":             {`"reason":` + strings.Repeat("7", 1+jobs.MaxNotes), "/reason", func(r jobs.Result) bool { return r.Reason == "" }},
		"long label":              {`"labels":{"l":"` + strings.Repeat("7", jobs.MaxNotes) + `","k":"v"}`, "/labels/l", func(r jobs.Result) bool { return len(r.Labels) == 1 && r.Labels["k"] == "v" }},
		"nobody requested it":     {`"requestedBy":null`, "", func(r jobs.Result) bool { return r.RequestedBy == "" }},
		"requested by a truth":    {`"requestedBy":true`, "", func(r jobs.Result) bool { return r.RequestedBy == "true" }},
		"deadline in words":       {`"notAfter":"1 January 1999"`, "/notAfter", nil},
		"deadline without a zone": {`"notAfter":"1999-01-01T00:00:00"`, "/notAfter", nil},
		"deadline as an object":   {`"notAfter":{"$date":0}`, "/notAfter", nil},
		"deadline of nought":      {`"notAfter":0`, "/notAfter", nil},
		"event without seconds":   {`"eventTime":"1999-01-01 00:00Z"`, "", func(r jobs.Result) bool { return r.EventTime.Year() == 1999 }},
		"event in words":          {`"eventTime":"long ago"`, "/eventTime", func(r jobs.Result) bool { return r.EventTime.IsZero() }},
		"truth as a number":       {`"includeNewer":1`, "/includeNewer", nil},
		"truth in quotes":         {`"includeNewer":"true"`, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{})
				ids := s.sim.SignOnMany(7, 1)
				s.start(options{})
				s.publish("logoff.requests", `{"sessions":["`+ids[0]+`"],`+test.note+`}`)
				r := s.await(1)[0]
				if r.Status != jobs.AcceptedJob || s.alive(ids) != 0 || s.deadLetters() != 0 {
					t.Errorf("%d on; result %+v", s.alive(ids), r)
				}
				if !strings.Contains(r.Error, test.says) || (r.Error == "") != (test.says == "") || test.fits != nil && !test.fits(r) {
					t.Errorf("result %+v", r)
				}
			})
		})
	}
}

// An eventTime or includeNewer that cannot be read leaves nobody on.
func TestUnreadableEventTimeLeavesNobodyOn(t *testing.T) {
	for name, notes := range map[string]string{
		"event": `"eventTime":"2000-01-01T00:00:00"`,
		"newer": `"eventTime":"2000-01-01T00:00:00Z","includeNewer":"jein"`,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{})
				s.crowd()
				passes(t, time.Hour)
				ids := s.sim.SignOnMany(50, 2)
				s.start(options{})
				s.publish("logoff.requests", `{"users":{"email":"bob@corp.example "},`+notes+`}`)
				if r := s.await(1)[0]; r.Status != jobs.Done || s.alive(ids) != 0 || !strings.Contains(r.Error, "/") || r.Users[0].Email != "bob@corp.example " {
					t.Errorf("%s: %d on; %+v", notes, s.alive(ids), r)
				}
			})
		})
	}
}

// A session that is spelled with more around it than an ID is sent, listed and found as the ID, and told as it
// is spelled.
func TestSessionIsSentAsMeantAndToldAsSpelled(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		s.crowd()
		id := s.sim.SignOnMany(50, 1)[0]
		guid := strings.TrimPrefix(id, "EMC")
		spelled := []string{" " + id, id + "\u200b", strings.Replace(id, guid, "{"+guid+"}", 1), id}
		if strings.HasPrefix(id, "EMC") {
			spelled[2] = "emc" + guid
		}
		var list []string
		for _, one := range spelled {
			list = append(list, fmt.Sprintf(`{"sessionId":%q,"host":"cs","user":{"userId":50,"userName":"Bob"}}`, one))
		}
		s.start(options{})
		s.publish("logoff.requests", `{"sessions":[`+strings.Join(list, ",")+`]}`)
		r := s.await(1)[0]
		if r.Status != jobs.Done || len(r.Sessions) != len(spelled) {
			t.Fatalf("%+v", r)
		}
		for i, session := range r.Sessions {
			if session.ID != spelled[i] || session.Outcome != jobs.LoggedOff || session.UserID != 50 {
				t.Errorf("%+v, want %q", session, spelled[i])
			}
		}
		if sent := s.logoffs(); len(sent) != 1 || !slices.Equal(sent[0].Sessions, []string{id}) {
			t.Errorf("sent %+v", sent)
		}
	})
}

// What the message is said to be changes nothing, and neither does how a header is written.
func TestAnyContentTypeIsWorked(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		contentTypes := []string{"", "text/plain", "application/octet-stream", "text/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "application/xml"}
		ids := s.sim.SignOnMany(7, 2*len(contentTypes))
		s.start(options{})
		for i, contentType := range contentTypes {
			for j, name := range []string{"Content-Type", "content-type"} {
				msg := nats.NewMsg("logoff.requests")
				msg.Header[name] = []string{contentType}
				msg.Header["nats-msg-id"] = []string{fmt.Sprintf("job-%d-%d", i, j)}
				msg.Data = []byte("\ufeff" + jobOf(ids[2*i+j]))
				if j == 1 {
					msg.Data = []byte(`<Api_LogoffUsersRequest xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><sessions val="` + ids[2*i+j] + `"/></Api_LogoffUsersRequest>`)
				}
				if _, err := s.js.PublishMsg(t.Context(), msg); err != nil {
					t.Fatal(err)
				}
				if r := s.await(1)[0]; r.Status != jobs.AcceptedJob || r.JobID != msg.Header["nats-msg-id"][0] {
					t.Errorf("%s: %s: %+v", name, contentType, r)
				}
			}
		}
		if n := s.alive(ids); n != 0 {
			t.Errorf("%d are on", n)
		}
	})
}
