package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"logoffworker/jobs/signals"
	"logoffworker/worker/issuers"
)

// checkIssuers says what the issuers file has come to, rule by rule, and whether its keys can be read.
func (r *report) checkIssuers(ctx context.Context, s settings) {
	i, err := s.openIssuers()
	if i == nil {
		if err != nil {
			r.line("issuers", err, "")
		} else {
			r.note("issuers", "no security system is trusted, and no signed message is worked: "+issuersFile+" is not set")
		}
		return
	}
	file := i.File()
	for n, p := range file.Policy.Issuers {
		r.checkKeys(ctx, i, p, file.Issuers[n])
		for _, uri := range slices.Sorted(maps.Keys(p.Events)) {
			r.line("issuers", nil, p.Name+": "+ruleInWords(uri, p.Events[uri]))
		}
		for _, words := range subjectsInWords(p) {
			r.line("issuers", nil, p.Name+": "+words)
		}
		if len(p.Subjects.Domains) == 0 && namesAnybody(p.Subjects) {
			r.note("issuers", p.Name+" may name anybody: with subjects.domains it could name addresses of these domains only")
		}
	}
	for _, recipe := range file.Policy.Recipes {
		r.line("issuers", nil, "recipe "+recipe.Name+": "+recipeInWords(recipe, file.Hooks))
	}
	for _, publisher := range file.Publishers {
		r.line("issuers", nil, "publisher "+publisher.Name+" may post jobs to /v1/jobs")
	}
	for _, m := range i.Maps() {
		r.line("issuers", nil, fmt.Sprintf("map %s: %s, changed %s", m.Path, counted(m.Subjects, "subject"), m.Modified.UTC().Format(time.RFC3339)))
	}
}

// checkKeys reads an issuer's keys.
func (r *report) checkKeys(ctx context.Context, i *issuers.Issuers, p signals.Issuer, how issuers.Issuer) {
	if how.Keys == (issuers.KeySource{}) {
		r.note("issuers", p.Name+" ("+p.URL+"): where its keys are and what its audience is, the transmitter of its stream tells")
		return
	}
	keys, remarks, err := i.ReadKeys(ctx, p.Name)
	if err != nil {
		err = fmt.Errorf("%s (%s): its keys cannot be read: %w; see whether this machine reaches %s, and whether that is the address of its key set", p.Name, p.URL, err, how.Keys.URL)
	}
	r.line("issuers", err, fmt.Sprintf("%s (%s): %s in %s; its tokens are for %s", p.Name, p.URL, counted(keys, "key"), cmp.Or(how.Keys.URL, how.Keys.File), cmp.Or(strings.Join(p.Audience, " or "), "what its transmitter tells")))
	for _, remark := range remarks {
		r.warn("issuers", p.Name+": "+remark)
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// ruleInWords says when an event is a revocation, and of what.
func ruleInWords(uri string, rule signals.EventRule) string {
	conditions := conditionsInWords(rule.Members)
	if len(rule.ExceptInitiator) > 0 {
		conditions = append(conditions, "its initiator is not "+strings.Join(rule.ExceptInitiator, " or "))
	}
	words := signals.EventName(uri) + provided(conditions) + " ends what its subject opened before it"
	if rule.Newer {
		words += ", and after it"
	}
	return words
}

// conditionsInWords say which values a message has to have.
func conditionsInWords(values map[string][]string) (all []string) {
	for _, where := range slices.Sorted(maps.Keys(values)) {
		all = append(all, where+" is "+strings.Join(values[where], " or "))
	}
	return all
}

// provided makes part of a sentence of conditions.
func provided(conditions []string) string {
	if len(conditions) == 0 {
		return ""
	}
	return ", if " + strings.Join(conditions, " and ") + ","
}

// subjectsInWords say whom an issuer's identifiers mean, and which it may use.
func subjectsInWords(p signals.Issuer) (all []string) {
	for _, format := range slices.Sorted(maps.Keys(p.Subjects.Formats)) {
		var texts []string
		for _, template := range p.Subjects.Formats[format] {
			texts = append(texts, template.Text)
		}
		all = append(all, fmt.Sprintf("a subject of the format %s is %s", format, strings.Join(texts, ", else ")))
	}
	for _, limit := range []struct {
		words  string
		values []string
	}{
		{"it may name addresses of %s only", p.Subjects.Domains},
		{"it may name subjects of %s, too", p.Subjects.Issuers},
		{"the tenant of a subject has to be %s", p.Tenants},
	} {
		if len(limit.values) > 0 {
			all = append(all, fmt.Sprintf(limit.words, strings.Join(limit.values, " or ")))
		}
	}
	switch p.Session {
	case signals.IgnoreSession:
		all = append(all, "an event about one session is ignored")
	case signals.Commvault:
		all = append(all, "the session of a subject is the Web Server's, and is ended by its ID")
	default:
		all = append(all, "an event about one session ends all of the person's")
	}
	return all
}

// namesAnybody reports whether a template passes on whatever address an issuer writes.
func namesAnybody(s signals.Subjects) bool {
	for _, templates := range s.Formats {
		if slices.ContainsFunc(templates, func(t signals.Template) bool { return strings.HasPrefix(t.Text, "email:") }) {
			return true
		}
	}
	return false
}

// recipeInWords says what a recipe reads, and whom it names.
func recipeInWords(recipe signals.Recipe, hooks []issuers.Hook) string {
	var from []string
	if recipe.CloudEvent != "" {
		from = append(from, "CloudEvents of the type "+recipe.CloudEvent)
	}
	if slices.ContainsFunc(hooks, func(h issuers.Hook) bool { return h.Recipe == recipe.Name }) {
		from = append(from, "what is posted to its path with its secret") // whose address may be a secret as well
	}
	words := strings.Join(from, ", and ") + provided(conditionsInWords(recipe.When)) + " ends sessions of " + recipe.User.Text
	switch {
	case recipe.Newer:
		words += ", whenever they began"
	case recipe.Time != "":
		words += " that began before " + recipe.Time
	}
	return words
}
