package jobs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSignalIsReadAsItWasWritten(t *testing.T) {
	want := Signal{Issuer: "idp", Event: "e\u2028", Rule: "session-revoked", ID: `a"b`, Token: "a.b.c"}.Fitting()
	header, err := want.Header()
	if err != nil || strings.ContainsAny(header, "\r\n") {
		t.Fatalf("%q, %v", header, err)
	}
	got, err := DecodeSignal(header)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestSignalTakesNoMoreRoomThanThereIs(t *testing.T) {
	long := strings.Repeat("\x00é", 10_000)
	for token, kept := range map[string]bool{
		"": true, "a.b.c": true, strings.Repeat("t", 8<<10): true, strings.Repeat("t", 8<<10+1): false, "a b": false, "a\nb": false, "é": false,
	} {
		s := Signal{Issuer: long, Event: long, Rule: long, ID: long, Token: token}.Fitting()
		if kept && s.Token != token || !kept && s.Token != "" {
			t.Errorf("a token of %d bytes became one of %d", len(token), len(s.Token))
		}
		for _, text := range []string{s.Issuer, s.Event, s.Rule, s.ID} {
			if len(text) > 256 || !printable(text) {
				t.Errorf("%q", text)
			}
		}
	}
}

func TestWrongSignalIsToldWithoutItsToken(t *testing.T) {
	for header, want := range map[string]string{
		"":                                    "the header Logoff-Signal cannot be read: at byte 1: the message ends too early",
		"secret":                              "the header Logoff-Signal cannot be read: at byte 1: not JSON: invalid character 's' at start of value",
		`{"issuer":"idp","token":["secret"]}`: "the header Logoff-Signal cannot be read: at /token: a list found, a string expected",
		`{"token":"secret"}`:                  "the header Logoff-Signal names no issuer",
		`{"issuer":"a b","token":"secret"}`:   "the header Logoff-Signal names no issuer",
	} {
		if s, err := DecodeSignal(header); s != nil || err == nil || err.Error() != want {
			t.Errorf("%s: %v, %v", header, s, err)
		}
	}
	if s, err := DecodeSignal(`{"issuer":"idp","new":{"a":1}}`); err != nil || s.Issuer != "idp" {
		t.Errorf("a newer one: %v, %v", s, err)
	}
}

func FuzzDecodeSignal(f *testing.F) {
	f.Add(`{"issuer":"idp","event":"e","rule":"r","id":"1","token":"a.b.c"}`)
	f.Add(`{"issuer":"idp","id":"\ud800\u0000","token":" "}`)
	f.Add("[")
	f.Fuzz(func(t *testing.T, header string) {
		s, err := DecodeSignal(header)
		if err != nil {
			if s != nil || !printable(err.Error()) {
				t.Fatalf("%v, %q", s, err)
			}
			return
		}
		written, err := s.Header()
		if err != nil || LegalID(s.Issuer) != nil {
			t.Fatalf("%+v, %v", s, err)
		}
		again, err := DecodeSignal(written)
		if diff := cmp.Diff(s, again); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
	})
}

func TestSameEventMakesTheSameID(t *testing.T) {
	id := SignalID("https://idp.example.com", "jti-1")
	if id != SignalID("https://idp.example.com", "jti-1") || id == SignalID("https://idp.example.com", "jti-2") || id == SignalID("https://idp.example.comj", "ti-1") {
		t.Error(id)
	}
	if !IsSignalID(id) || IsSignalID("case-1") || LegalID(id) != nil || len(id) != 30 {
		t.Error(id)
	}
}
