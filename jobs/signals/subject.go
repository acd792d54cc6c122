package signals

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"logoffworker/jobs"
)

// who finds whom a subject (RFC 9493) means.
func (g *reading) who(subject any, e event) (people, error) {
	members, err := membersOf(subject)
	if err != nil {
		return people{}, g.looked("subject", err, "")
	}
	format := formatOf(members)
	if format == "complex" {
		return g.complex(members, e)
	}
	if err := g.checkTenant(nil); err != nil {
		return people{}, g.looked("tenant", err, "")
	}
	found, err := g.simple(members, e)
	if err != nil && g.issuer.Session == Commvault && format == "opaque" && aboutOneSession(e.uri) {
		if sessions, ok := g.session(members); ok { // figure 3 of CAEP names the session alone
			return sessions, nil
		}
	}
	return found, err
}

// membersOf is a subject without those of its members that are null.
func membersOf(subject any) (map[string]any, error) {
	given, ok := subject.(map[string]any)
	switch {
	case subject == nil:
		return nil, invalid(InvalidRequest, "the revocation has no subject, and so names nobody")
	case !ok:
		return nil, invalid(InvalidRequest, "the subject is no object")
	}
	members := maps.Clone(given)
	maps.DeleteFunc(members, func(_ string, value any) bool { return value == nil })
	return members, nil
}

// complexMembers are what a subject of several parts has.
var complexMembers = []string{"user", "session", "device", "application", "tenant", "org_unit", "group"}

// formatOf is the format of an identifier; it is empty where none is named. Older ones call it subject_type and write
// hyphens, and leave it out where the subject has parts.
func formatOf(members map[string]any) string {
	format, ok := members["format"].(string)
	if !ok {
		format, _ = members["subject_type"].(string)
	}
	format = strings.ReplaceAll(strings.ToLower(format), "-", "_")
	if format != "" {
		return format
	}
	for _, name := range complexMembers {
		if _, ok := members[name].(map[string]any); ok {
			return "complex"
		}
	}
	return ""
}

// complex finds whom a subject of several parts means: its user. What the other parts would narrow, such as a device, we
// cannot narrow, so that all sessions of the person end.
func (g *reading) complex(members map[string]any, e event) (people, error) {
	if err := g.checkTenant(members["tenant"]); err != nil {
		return people{}, g.looked("tenant", err, "")
	}
	if session := members["session"]; session != nil && aboutOneSession(e.uri) {
		switch g.issuer.Session {
		case IgnoreSession:
			return people{}, g.looked("session", ignored("%s is about one session of the issuer's, and those are ignored by its rules", e.name()), "")
		case Commvault:
			if found, ok := g.session(session); ok {
				return found, nil
			}
		}
	}
	user, err := membersOf(members["user"])
	if err != nil {
		parts := strings.Join(slices.Sorted(maps.Keys(members)), ", ")
		return people{}, g.looked("subject", invalid(InvalidRequest, "the subject has no user, and so names nobody; it has %s", quote(parts)), "")
	}
	return g.simple(user, e)
}

// session takes an identifier for the ID of a session of the Web Server; ok is false if it is none.
func (g *reading) session(identifier any) (people, bool) {
	members, _ := identifier.(map[string]any)
	id, _ := members["id"].(string)
	sessions := []jobs.Session{{ID: id}}
	data, err := jobs.Job{Sessions: sessions}.Encode()
	if err == nil {
		_, err = jobs.Decode(data, g.Rules)
	}
	if g.looked("session", err, "is the Web Server's") != nil {
		return people{}, false
	}
	return people{sessions: sessions, by: "session is commvault"}, true
}

// checkTenant refuses subjects of tenants that the issuer may not speak for.
func (g *reading) checkTenant(tenant any) error {
	if len(g.issuer.Tenants) == 0 {
		return nil
	}
	name, _ := tenant.(string)
	if members, ok := tenant.(map[string]any); ok {
		name, _ = key(members, formatOf(members))
	}
	if name == "" {
		return invalid(AccessDenied, "the subject names no tenant, and the issuer may speak for %s only", strings.Join(g.issuer.Tenants, ", "))
	}
	if !slices.Contains(g.issuer.Tenants, name) {
		return invalid(AccessDenied, "the subject is of the tenant %s; the issuer may speak for %s only", quote(name), strings.Join(g.issuer.Tenants, ", "))
	}
	return nil
}

// simple finds whom an identifier means, or all whom a list of aliases means: nobody knows which of them the Web Server
// knows.
func (g *reading) simple(members map[string]any, e event) (people, error) {
	if formatOf(members) != "aliases" {
		return g.identify(members, e)
	}
	list, _ := members["identifiers"].([]any)
	var all people
	why := []string{"none of the aliases of the subject maps to anybody"}
	for _, entry := range list {
		identifier, err := membersOf(entry)
		var found people
		if err == nil {
			found, err = g.identify(identifier, e)
		}
		if err != nil {
			why = append(why, err.Error())
			continue
		}
		all.users, all.by = append(all.users, found.users...), cut(strings.Trim(all.by+", "+found.by, ", "), 256)
	}
	if len(all.users) == 0 {
		return people{}, invalid(UnknownUser, "%s", strings.Join(why[:min(len(why), 4)], "; "))
	}
	return all, nil
}

// identify finds whom one identifier means, by the first template that fits.
func (g *reading) identify(members map[string]any, e event) (people, error) {
	format := formatOf(members)
	found, err := g.match(format, members, e)
	_ = g.looked(strings.TrimSpace("subject "+quoteName(format)), err, found.by)
	return found, err
}

func (g *reading) match(format string, members map[string]any, e event) (people, error) {
	if err := g.checkInnerIssuer(format, members); err != nil {
		return people{}, err
	}
	templates := g.issuer.Subjects.Formats[format]
	switch {
	case format == "":
		return people{}, invalid(InvalidRequest, "the subject has no format, and so names nobody")
	case len(templates) == 0:
		return people{}, invalid(UnknownUser, "the subject names nobody: there is no rule for its format %s", quote(format))
	}
	var why []string
	code := UnknownUser
	for _, template := range templates {
		user, err := template.user(func(name string) (string, error) { return g.value(format, members, e, name) })
		if err == nil {
			err = g.checkDomain(user.Email)
		}
		if err == nil {
			return people{users: []jobs.User{user}, by: format + " by " + template.Text}, nil
		}
		if errors.Is(err, errForeign) {
			code = AccessDenied
		}
		why = append(why, template.Text+": "+err.Error())
	}
	return people{}, invalid(code, "the subject maps to nobody: %s", strings.Join(why, "; "))
}

// checkInnerIssuer refuses whoever was named by another issuer, for whom this one may not speak.
func (g *reading) checkInnerIssuer(format string, members map[string]any) error {
	iss, named := members["iss"]
	if !named && format != "iss_sub" {
		return nil
	}
	if s, _ := iss.(string); s != g.issuer.URL && !slices.Contains(g.issuer.Subjects.Issuers, s) {
		return invalid(AccessDenied, "the subject's iss is %s; the issuer may speak for %s only", quote(s), strings.Join(append([]string{g.issuer.URL}, g.issuer.Subjects.Issuers...), ", "))
	}
	return nil
}

var errForeign = errors.New("outside of the domains that the issuer may speak for")

// checkDomain refuses addresses that the issuer may not name.
func (g *reading) checkDomain(address string) error {
	domains := g.issuer.Subjects.Domains
	if address == "" || len(domains) == 0 {
		return nil
	}
	domain := address[strings.LastIndexByte(address, '@')+1:]
	if !slices.ContainsFunc(domains, func(d string) bool { return strings.EqualFold(d, domain) }) {
		return errForeign
	}
	return nil
}

// value is what a template's name in braces stands for.
func (g *reading) value(format string, members map[string]any, e event, name string) (string, error) {
	switch name {
	case "": // of a map file without a member
		return key(members, format)
	case "account":
		return key(members, "account")
	case "localpart":
		address, err := key(members, format)
		if err != nil {
			return "", err
		}
		local, _, err := splitAddress(address)
		if err == nil {
			err = g.checkDomain(address)
		}
		return local, err
	}
	from, path := any(members), strings.Split(name, ".")
	if path[0] == "data" { // SCIM's events have the user's attributes
		from = e.members
	}
	for _, step := range path {
		object, _ := from.(map[string]any)
		from = object[step]
	}
	return textOr(from, name)
}

func textOr(value any, name string) (string, error) {
	s, ok := text(value)
	switch {
	case ok:
		return s, nil
	case value == nil || value == "":
		return "", errors.New(quoteName(name) + " is missing")
	}
	return "", errors.New(quoteName(name) + " is no text")
}

// keyMembers are what identifies somebody in each format.
var keyMembers = map[string]string{
	"email": "email", "iss_sub": "sub", "opaque": "id", "phone_number": "phone_number", "uri": "uri", "did": "url", "account": "uri",
	"scim": "externalId",
}

// key is what identifies somebody in an identifier: without "acct:", and with the uri of SCIM where it has no external ID.
func key(members map[string]any, format string) (string, error) {
	name := keyMembers[format]
	if name == "" {
		return "", errors.New("the format has no member that identifies somebody")
	}
	if format == "scim" && members[name] == nil {
		name = "uri"
	}
	value, err := textOr(members[name], name)
	if format == "account" && len(value) > len("acct:") && strings.EqualFold(value[:len("acct:")], "acct:") {
		value = value[len("acct:"):]
	}
	return value, err
}
