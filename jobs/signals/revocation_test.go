package signals

import (
	"net/url"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// call is the Authorization of a rightful call of Universal Logout, changed as with says.
func (b *bench) call(claims, header map[string]any) string {
	all := map[string]any{"aud": "revoke-us", "exp": noon.Add(5 * time.Minute).Unix(), "events": nil, "sub_id": nil}
	for name, value := range claims {
		all[name] = value
	}
	head := map[string]any{"typ": "global-token-revocation+jwt"}
	for name, value := range header {
		head[name] = value
	}
	return "Bearer " + string(b.sign(b.claims(all), head))
}

func TestACallOfUniversalLogout(t *testing.T) {
	const body = `{"sub_id":{"format":"opaque","id":"1"}}`
	for _, c := range []struct {
		name           string
		claims, header map[string]any
		body           string
		verdict        Verdict
		code           Code
	}{
		{"rightful", nil, nil, body, Job, ""},
		{"before draft 06", nil, nil, `{"subject":{"format":"opaque","id":"1"},"more":1}`, Job, ""},
		{"without a jti", map[string]any{"jti": nil}, nil, body, Job, ""},
		{"a SET", nil, map[string]any{"typ": "secevent+jwt"}, body, Invalid, Unauthenticated},
		{"no typ", nil, map[string]any{"typ": nil}, body, Invalid, Unauthenticated},
		{"for SETs", map[string]any{"aud": "us"}, nil, body, Invalid, Unauthenticated},
		{"expired", map[string]any{"exp": noon.Add(-time.Hour).Unix()}, nil, body, Invalid, Unauthenticated},
		{"never expires", map[string]any{"exp": nil}, nil, body, Invalid, Unauthenticated},
		{"of another issuer", map[string]any{"iss": "https://else.example"}, nil, body, Invalid, Unauthenticated},
		{"a new key", nil, map[string]any{"kid": "k2"}, body, Retry, InvalidKey},
		{"nobody", nil, nil, `{"sub_id":{"format":"opaque","id":"9"}}`, Invalid, UnknownUser},
		{"no format that maps", nil, nil, `{"sub_id":{"format":"did","url":"x"}}`, Invalid, UnknownUser},
		{"not to be named", nil, nil, `{"sub_id":{"format":"iss_sub","iss":"https://else.example","sub":"1"}}`, Invalid, AccessDenied},
		{"no subject", nil, nil, `{}`, Invalid, InvalidRequest},
		{"no JSON", nil, nil, `x`, Invalid, InvalidRequest},
		{"twice", nil, nil, `{"sub_id":null,"sub_id":null}`, Invalid, InvalidRequest},
	} {
		b := newBench(t)
		b.issuer.AnyType = true
		a := b.reader.Revocation("own", b.call(c.claims, c.header), []byte(c.body))
		if a.Verdict != c.verdict || a.Code != c.code {
			t.Errorf("%s: %s %s %s", c.name, a.Verdict, a.Code, a.Why)
		}
		if a.Verdict == Job && (!a.Job.EventTime.Equal(noon) || a.Signal.Token != "" || named(a) != `CORP\one`) {
			t.Errorf("%s: %+v", c.name, a)
		}
	}
	b := newBench(t)
	expect(t, b.reader.Revocation("own", "Bearer  ", []byte(body)), Invalid, "no bearer token")
	expect(t, b.reader.Revocation("own", b.call(nil, nil), []byte("x")), Invalid, "the body: ")
	for _, authorization := range []string{"", "Bearer", "Bearer ", "Basic " + b.call(nil, nil)[7:], b.call(nil, nil)[7:]} {
		if a := b.reader.Revocation("own", authorization, []byte(body)); a.Code != Unauthenticated {
			t.Errorf("%+v", a)
		}
	}
	one, two := b.reader.Revocation("own", b.call(nil, nil), []byte(body)), b.reader.Revocation("own", b.call(nil, nil), []byte(`{"sub_id":{"format":"opaque","id":"2"}}`))
	if one.Job.ID == "" || one.Job.ID == two.Job.ID {
		t.Error("two calls by one token are one job")
	}
	b.issuer.RevokeAudience = ""
	if a := b.reader.Revocation("own", b.call(map[string]any{"aud": ""}, nil), []byte(body)); a.Code != Unauthenticated {
		t.Errorf("an issuer without calls: %+v", a)
	}
}

// A call that is repeated at once is one job. One that comes later is another, whatever token proves it: it ends what was
// opened since.
func TestACallThatComesLaterIsANewOne(t *testing.T) {
	b := newBench(t)
	call := b.call(nil, nil)
	read := func(after time.Duration) Answer {
		b.reader.Now = noon.Add(after)
		return b.reader.Revocation("own", call, []byte(`{"sub_id":{"format":"opaque","id":"1"}}`))
	}
	first, again, later := read(0), read(time.Second), read(4*time.Minute)
	if first.Job.ID == "" || again.Job.ID != first.Job.ID {
		t.Errorf("a call and its repetition are %q and %q", first.Job.ID, again.Job.ID)
	}
	if later.Job.ID == first.Job.ID || !later.Job.EventTime.Equal(noon.Add(4*time.Minute)) {
		t.Errorf("a later call is %q, of %v", later.Job.ID, later.Job.EventTime)
	}
}

func TestALogoutToken(t *testing.T) {
	const sid = "08a5019c-17e1-4977-8f42-65a12843ea02"
	for _, c := range []struct {
		name    string
		claims  map[string]any
		typ     any
		meaning SessionMeaning
		want    string
	}{
		{"sub", map[string]any{"sub": "1"}, "logout+jwt", "", `CORP\one`},
		{"sub and sid", map[string]any{"sub": "1", "sid": sid}, "logout+jwt", "", `CORP\one`},
		{"sid", map[string]any{"sid": sid}, "logout+jwt", "", `invalid: the subject has no user, and so names nobody; it has "format, session"`},
		{"sid of ours", map[string]any{"sid": sid}, "logout+jwt", Commvault, sid},
		{"sid, ignored", map[string]any{"sub": "1", "sid": sid}, "logout+jwt", IgnoreSession, "ignored: backchannel-logout is about one session of the issuer's, and those are ignored by its rules"},
		{"neither", nil, "logout+jwt", "", `invalid: the subject has no user, and so names nobody; it has "format"`},
		{"a nonce", map[string]any{"sub": "1", "nonce": nil, "events": map[string]any{backchannelLogout: map[string]any{}}}, "logout+jwt", "", `CORP\one`},
		{"an ID token", map[string]any{"sub": "1", "nonce": "n"}, "logout+jwt", "", "invalid: the token has a nonce, as an ID token has; a logout token has none"},
		{"a SET", map[string]any{"sub": "1"}, "secevent+jwt", "", `invalid: the token's typ is "secevent+jwt"; logout+jwt is expected`},
		{"no logout", map[string]any{"sub": "1", "events": map[string]any{"https://else.example/x": map[string]any{}}}, "logout+jwt", "", `ignored: the rules of the issuer own do not name the event "https://else.example/x"`},
	} {
		b := newBench(t)
		b.issuer.Session = c.meaning
		claims := map[string]any{"sub_id": nil, "events": map[string]any{backchannelLogout: map[string]any{}}}
		for name, value := range c.claims {
			claims[name] = value
		}
		token := b.sign(b.claims(claims), map[string]any{"typ": c.typ})
		a := b.reader.LogoutToken("own", []byte(url.Values{"logout_token": {string(token)}, "other": {"x"}}.Encode()))
		if got := named(a); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
	b := newBench(t)
	for _, form := range []string{"", "logout_token=a&logout_token=b", "%zz", "logout_token=a&%zz", "token=x"} {
		expect(t, b.reader.LogoutToken("own", []byte(form)), Invalid, "no form with one logout_token")
	}
}

// No secret of a message stands in what is said of it.
func TestNothingSaidShowsAToken(t *testing.T) {
	b := newBench(t)
	bearer := b.call(map[string]any{"aud": "else"}, nil)
	a := b.reader.Revocation("own", bearer, []byte(`{"sub_id":{"format":"opaque","id":"1"}}`))
	noToken(t, a, bearer[7:])
	a = b.reader.Revocation("own", b.call(nil, nil), []byte(`{"sub_id":{"format":"opaque","id":"1"}}`))
	if data, err := json.Marshal(a.Signal); err != nil || len(data) > 500 {
		t.Errorf("the bearer token of a call travels: %s %v", data, err)
	}
}
