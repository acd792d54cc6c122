package webserver

import (
	"net/http"
	"testing"
)

func TestSelfIsFoundOutWithAGivenToken(t *testing.T) {
	for name, test := range map[string]struct {
		whoAmI string
		want   int64 // 0 for an error
	}{
		"object":        {`{"user":{"userName":"svc","userId":42,"userGUID":"A"}}`, 42},
		"flat":          {`{"userId":"42","userName":"svc"}`, 42},
		"user entity":   {`{"userEntity":{"userId":42}}`, 42},
		"XML":           {`<Api_WhoAmIResponse><user userName="svc" userId="42"/></Api_WhoAmIResponse>`, 42},
		"XML, flat":     {`<App_WhoAmIResp userId="42"/>`, 42},
		"name alone":    {`{"user":{"userName":"max"}}`, 8},
		"unknown name":  {`{"user":{"userName":"nobody"}}`, 0},
		"nothing":       {`{}`, 0},
		"another's":     {`{"company":{"owner":{"userId":42}}}`, 0},
		"not an answer": {`{"errorCode":5,"errorMessage":"m","userId":42}`, 0},
	} {
		s := serveAll(t, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/commandcenter/api/WhoAmI":
				says(200, test.whoAmI)(w, r)
			case "/commandcenter/api/User/byName(userName='max')":
				says(200, oldList(oldMax))(w, r)
			default:
				says(200, unknownUser)(w, r)
			}
		})
		c := s.client(t)
		got, err := c.Identify(t.Context())
		if got != test.want || (err != nil) != (test.want == 0) || c.Self() != test.want {
			t.Errorf("%s: %d, %v; self is %d", name, got, err, c.Self())
		}
		asked := len(s.asked())
		if _, err := c.Identify(t.Context()); test.want != 0 && (err != nil || len(s.asked()) != asked) {
			t.Errorf("%s: it is asked again: %v", name, err)
		}
	}
}

// Why nothing is found out is told as it is, and nobody is looked up under no name.
func TestSelfThatIsNotFoundOutSaysWhy(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		whoAmI string
		want   Verdict
	}{
		"refused":  {401, "", Unauthorized},
		"no right": {403, "no", Forbidden},
		"no name":  {200, "{}", Unavailable},
	} {
		s := serve(t, map[string]http.HandlerFunc{"WhoAmI": says(test.status, test.whoAmI)})
		if e := facts(t, second(s.client(t).Identify(t.Context()))); e.Op != OpPing || e.Verdict != test.want || len(s.asked()) != 1 {
			t.Errorf("%s: %v after %q", name, e, s.asked())
		}
	}
}

// The harmless question tells it on its way.
func TestPingTellsWhoWeAre(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"WhoAmI": says(200, `{"user":{"userId":42}}`)})
	c := s.client(t)
	if err := c.Ping(t.Context()); err != nil || c.Self() != 42 || c.Tokens() != 1 {
		t.Errorf("%v; self is %d with token %d", err, c.Self(), c.Tokens())
	}
}

// A new token in the place of the old one may be somebody else's.
func TestSelfIsUnknownAgainWithAnotherToken(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"WhoAmI": func(w http.ResponseWriter, r *http.Request) {
		id := map[string]string{"QSDK 3a": "42", "QSDK 3b": "43"}[r.Header.Get("Authtoken")]
		says(200, `{"user":{"userId":`+id+`}}`)(w, r)
	}})
	token := "QSDK 3a"
	c := s.client(t, func(c *Config) { c.Token = func() (string, error) { return token, nil } })
	if _, err := c.Identify(t.Context()); err != nil || c.Self() != 42 {
		t.Fatalf("%v; self is %d", err, c.Self())
	}
	token = "QSDK 3b"
	if err := c.Renew(t.Context(), &Error{token: c.auth.token}); err != nil || c.Self() != 0 || c.Tokens() != 2 {
		t.Fatalf("%v; self is %d with token %d", err, c.Self(), c.Tokens())
	}
	if self, err := c.Identify(t.Context()); err != nil || self != 43 {
		t.Errorf("%d, %v", self, err)
	}
}
