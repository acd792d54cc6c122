package webserver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// The end of the caller is no problem of the Web Server, even where an Error tells of it.
func TestProblemIsWhatTheWebServerSaid(t *testing.T) {
	known, other := &Error{Verdict: Forbidden}, errors.New("another")
	left := &Error{Verdict: Unavailable, Err: context.Canceled}
	for _, test := range []struct {
		result  error
		problem *Error
		err     error
	}{
		{nil, nil, nil},
		{known, known, nil},
		{fmt.Errorf("more: %w", known), known, nil},
		{other, nil, other},
		{left, nil, left},
		{context.Canceled, nil, context.Canceled},
	} {
		if problem, err := Problem(test.result); problem != test.problem || !errors.Is(err, test.err) {
			t.Errorf("%v is the problem %v and the error %v", test.result, problem, err)
		}
	}
}

func TestWithAnotherVerdictTheRestIsTheSame(t *testing.T) {
	e := &Error{Op: OpLogoff, Verdict: NotFound, Status: 404, Text: "t", Sent: true, hint: "h", token: &token{}}
	other := e.With(TooLarge)
	want := *e
	want.Verdict = TooLarge
	if *other != want || e.Verdict != NotFound {
		t.Errorf("%+v of %+v", other, e)
	}
}

func TestNeedsPersonWhereWaitingMendsNothing(t *testing.T) {
	needs := map[Verdict]bool{Forbidden: true, LoginRejected: true, Unauthorized: true, Misconfigured: true}
	for v := range Unavailable + 1 {
		if e := (&Error{Verdict: v}); e.NeedsPerson() != needs[v] {
			t.Errorf("%s: %t", v, e.NeedsPerson())
		}
	}
}

// A page is not the Web Server's, so it does not tell its version.
func TestOldVersionDeniesInItsOwnWords(t *testing.T) {
	for e, old := range map[*Error]bool{
		{Verdict: NotFound, Status: 404}: true, {Verdict: NotFound, Status: 404, Page: true}: false, {Verdict: Unavailable, Status: 503}: false, {Verdict: Misconfigured, Status: 405}: false,
	} {
		if e.OldVersion() != old {
			t.Errorf("%v: %t", e, !old)
		}
	}
}

// A secret that is used again and again drives no other out.
func TestSecretInUseDrivesNoOtherOut(t *testing.T) {
	var s secrets
	s.add("first")
	for range 2 * maxSecrets {
		s.add("second")
	}
	if got := s.clean("first, second"); strings.Contains(got, "first") || strings.Contains(got, "second") {
		t.Errorf("%q", got)
	}
}
