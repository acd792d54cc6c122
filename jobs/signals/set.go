package signals

import (
	"maps"
	"slices"
	"strings"
	"time"

	"logoffworker/jobs"
)

const setType = "secevent+jwt"

// SET reads a token that was pushed to an issuer's address or polled from it: another issuer's is invalid there.
func (r Reader) SET(issuer string, body []byte) Answer {
	g := r.read(jobs.SET)
	return g.end(g.set(issuer, body))
}

func (g *reading) set(issuer string, body []byte) error {
	t, err := g.prove(body, purpose{typ: setType, issuer: issuer, audience: func(i Issuer) []string { return i.Audience }})
	if err != nil {
		return err
	}
	return requested(g.obey(t, subjectOf))
}

// An event of a token.
type event struct {
	uri     string
	members map[string]any
}

func (e event) name() string { return EventName(e.uri) }

// obey makes a job of those events of a token that are revocations by the issuer's rules.
func (g *reading) obey(t token, subject func(token, event) any) error {
	if len(t.compact) <= MaxEvidence {
		g.answer.Signal.Token = t.compact
	}
	events, err := eventsOf(t)
	if err != nil {
		return g.looked("events", err, "")
	}
	var o order
	for _, e := range events {
		g.notice(e)
		rule, err := g.rule(e)
		if g.looked("rule "+quoteName(e.name()), err, "fits") != nil {
			o.failed(err)
			continue
		}
		at, err := happened(e.members, t.claims)
		var found people
		if g.looked("time", err, at.Format(time.RFC3339Nano)) == nil {
			found, err = g.who(subject(t, e), e)
		}
		o.add(found, err, at, rule.Newer, e)
	}
	return g.give(&o)
}

// eventsOf lists a token's events in the order of their names.
func eventsOf(t token) ([]event, error) {
	all, ok := t.claims["events"].(map[string]any)
	switch {
	case t.claims["events"] == nil:
		return nil, invalid(InvalidRequest, "the token has no events, and so is no security event token")
	case !ok:
		return nil, invalid(InvalidRequest, "events is no object with a member for each event")
	case len(all) == 0:
		return nil, invalid(InvalidRequest, "events is empty")
	}
	var events []event
	for _, uri := range slices.Sorted(maps.Keys(all)) {
		members, ok := all[uri].(map[string]any)
		if !ok && all[uri] != nil {
			return nil, invalid(InvalidRequest, "the event %s is no object", quote(uri))
		}
		events = append(events, event{uri: canonical(uri), members: members})
	}
	return events, nil
}

// notice fills in what an event says of the stream that it comes by.
func (g *reading) notice(e event) {
	switch {
	case isVerification(e.uri):
		state, _ := e.members["state"].(string)
		g.answer.Verification = &state
	case isStreamUpdated(e.uri):
		g.answer.StreamUpdated, _ = e.members["status"].(string)
	}
}

// rule is the issuer's for an event. The error says why the event is no revocation by it.
func (g *reading) rule(e event) (EventRule, error) {
	rule, listed := g.issuer.Events[e.uri]
	switch {
	case isVerification(e.uri), isStreamUpdated(e.uri):
		return rule, ignored("%s is about the stream, and nobody's session", e.name())
	case !listed:
		return rule, ignored("the rules of the issuer %s do not name the event %s", g.issuer.Name, quote(e.uri))
	}
	if who, _ := e.members["initiating_entity"].(string); oneOf(who, rule.ExceptInitiator) {
		return rule, ignored("%s by the initiator %s is left alone by the issuer's rules", e.name(), quote(who))
	}
	for _, name := range slices.Sorted(maps.Keys(rule.Members)) {
		if !oneOf(e.members[name], rule.Members[name]) {
			return rule, ignored("%s is no revocation by the issuer's rules: its %s is not %s", e.name(), name, strings.Join(rule.Members[name], " or "))
		}
	}
	return rule, nil
}

// subjectOf is whom an event is about: sub_id of the token (RFC 9493); before that was settled, subject of the event; before
// that, the token's sub.
func subjectOf(t token, e event) any {
	switch {
	case t.claims["sub_id"] != nil:
		return t.claims["sub_id"]
	case e.members["subject"] != nil:
		return e.members["subject"]
	case t.claims["sub"] != nil:
		return map[string]any{"format": "iss_sub", "iss": t.claims["iss"], "sub": t.claims["sub"]}
	}
	return nil
}

// quoteName leaves the name of an event as it is where it is one.
func quoteName(name string) string {
	if printable(name) && len(name) <= maxQuoted {
		return name
	}
	return quote(name)
}
