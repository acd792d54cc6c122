package issuers

import (
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"logoffworker/jobs/signals"
	"logoffworker/worker/env"
)

// minAge is the least max_age: less would refuse what was held up on its way.
const minAge = time.Minute

// standard are the short names of the events that count where a file lists none.
var standard = []string{"session-revoked", "sessions-revoked", "account-disabled", "account-purged", "credential-compromise"}

func standardEvents() map[string]signals.EventRule {
	rules := map[string]signals.EventRule{}
	for _, name := range standard {
		if uri, ok := signals.EventURI(name); ok {
			rules[uri] = signals.EventRule{Newer: endsNewer(uri)}
		}
	}
	return rules
}

// final are the ends of the URIs of events after which nobody has anything to be signed on for, so that what was begun
// since ends too unless the file says otherwise.
var final = []string{"/account-disabled", "/account-purged", ":prov:deactivate", ":prov:delete"}

func endsNewer(uri string) bool {
	return slices.ContainsFunc(final, func(end string) bool { return strings.HasSuffix(uri, end) })
}

// wanted are the events of rules, sorted.
func wanted(rules map[string]signals.EventRule) []string { return slices.Sorted(maps.Keys(rules)) }

func (r *reader) events(to *map[string]signals.EventRule) take {
	return func(n *yaml.Node, at string) {
		*to = map[string]signals.EventRule{}
		names := signals.EventNames()
		r.each(n, at, func(key, value *yaml.Node) {
			uri, ok := signals.EventURI(key.Value)
			if !ok {
				r.wrong(key, at, "%s; one that has no short name is given by its URI", unknown("event", key.Value, names))
				return
			}
			if _, twice := (*to)[uri]; twice {
				r.wrong(key, at, "an event is here under two names; keep one")
			}
			(*to)[uri] = r.rule(value, at+"."+key.Value, uri, slices.Contains(names, signals.EventName(uri)))
		})
		if len(*to) == 0 && len(n.Content) == 0 {
			r.wrong(n, at, "lists no event, so that nothing of this issuer would be done; leave it out for the usual ones")
		}
	}
}

// eventMembers are the members of known events that a rule may ask for.
var eventMembers = []string{
	"change_direction", "change_type", "credential_type", "current_level", "current_status", "initiating_entity",
	"namespace", "previous_level", "previous_status", "principal", "reason", "risk_reason",
}

// rule reads when an event counts. Of an event that is known, it asks for members that such events have: a misspelled one
// would leave every such event without a consequence.
func (r *reader) rule(n *yaml.Node, at, uri string, known bool) signals.EventRule {
	rule := signals.EventRule{Newer: endsNewer(uri)}
	readers := map[string]take{"newer": r.truth(&rule.Newer), "except_initiator": r.texts(&rule.ExceptInitiator)}
	member := func(name string) take {
		return func(n *yaml.Node, at string) {
			var values []string
			if r.texts(&values)(n, at); rule.Members == nil {
				rule.Members = map[string][]string{}
			}
			rule.Members[name] = values
		}
	}
	if known {
		for _, name := range eventMembers {
			readers[name] = member(name)
		}
		r.members(n, at, readers)
		return rule
	}
	own := slices.Sorted(maps.Keys(readers))
	r.each(n, at, func(key, value *yaml.Node) {
		read := readers[key.Value]
		if meant := env.Nearest(key.Value, own, 2); read == nil && meant != "" {
			r.wrong(key, at, "there is no such member; did you mean %s?", meant)
			return
		} else if read == nil {
			read = member(key.Value)
		}
		read(value, within(at, key.Value))
	})
	return rule
}

// formats are those of identifiers (RFC 9493, RFC 9967) that a template can be given for.
var formats = []string{"account", "did", "email", "iss_sub", "opaque", "phone_number", "scim", "uri"}

func (r *reader) subjects(p *signals.Issuer) take {
	return func(n *yaml.Node, at string) {
		s := &p.Subjects
		readers := map[string]take{"domains": r.domains(&s.Domains), "issuers": r.texts(&s.Issuers), "tenants": r.texts(&p.Tenants)}
		s.Formats = map[string][]signals.Template{}
		for _, format := range formats {
			readers[format] = func(n *yaml.Node, at string) { s.Formats[format] = r.templates(n, at) }
		}
		r.members(n, at, readers)
		if len(s.Formats) == 0 {
			r.wrong(n, at, "names no format of identifiers, so that nobody could be named; there are %s", strings.Join(formats, ", "))
		}
	}
}

func (r *reader) domains(to *[]string) take {
	return func(n *yaml.Node, at string) {
		r.texts(to)(n, at)
		if slices.ContainsFunc(*to, func(domain string) bool {
			return strings.ContainsAny(domain, "@*/: ") || strings.HasPrefix(domain, ".")
		}) {
			r.wrong(n, at, "must be whole domains of e-mail addresses, as in corp.example, without @ and *")
		}
	}
}

// templates reads one template, or a list of which the first that fits counts.
func (r *reader) templates(n *yaml.Node, at string) (all []signals.Template) {
	read := func(n *yaml.Node, at string) {
		var t signals.Template
		r.template(&t)(n, at)
		all = append(all, t)
	}
	if n.Kind != yaml.SequenceNode {
		read(n, at)
		return all
	}
	r.entries(read)(n, at)
	return all
}

func (r *reader) template(to *signals.Template) take {
	return func(n *yaml.Node, at string) {
		text, ok := r.value(n, at)
		if !ok {
			return
		}
		t, err := signals.ParseTemplate(text, r.files.openMap)
		if err != nil {
			r.wrong(n, at, "%v", err)
		}
		*to = t
	}
}
