package signals

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"logoffworker/jobs"
)

// Hook reads a body by a recipe, by its name. Who sent it is known to the caller.
func (r Reader) Hook(recipe string, body []byte) Answer {
	g := r.read(jobs.Webhook)
	return g.end(g.hook(recipe, body))
}

func (g *reading) hook(name string, body []byte) error {
	i := slices.IndexFunc(g.Policy.Recipes, func(r Recipe) bool { return r.Name == name })
	if i < 0 {
		return invalid(InvalidRequest, "there is no recipe %s", quote(name))
	}
	recipe := g.Policy.Recipes[i]
	if recipe.CloudEvent != "" {
		g.answer.Format = jobs.CloudEvent
		return g.structured(body, []Recipe{recipe})
	}
	tree, err := value(body)
	if err != nil {
		return g.looked("body", invalid(InvalidRequest, "the body: %v", err), "")
	}
	o := g.follow(recipe, tree, "")
	if !o.at.IsZero() { // with a time in it, a body that comes again is a repetition
		g.answer.Job.ID = jobs.SignalID(recipe.Name, string(body))
	}
	return requested(g.give(o))
}

// follow reads a body by a recipe. typ is what the body says that it is about; where it says nothing, the first condition's
// value does.
func (g *reading) follow(recipe Recipe, body any, typ string) *order {
	g.answer.Issuer = recipe.Name
	g.answer.Signal = &jobs.Signal{Issuer: recipe.Name}
	var o order
	events, whole := reach(body, recipe.Each)
	if !whole {
		o.failed(g.looked("recipe "+recipe.Name, misfit("the body cannot be followed to %s, where the recipe %s has its events", recipe.Each, recipe.Name), ""))
	}
	for _, e := range events {
		if o.full() {
			break
		}
		uri, err := fits(e, recipe.When, "event")
		if typ != "" {
			uri = typ
		}
		if g.looked("recipe "+recipe.Name, err, "fits") != nil {
			o.failed(err)
			continue
		}
		when := g.when(recipe, e)
		g.each(&o, recipe, e, when, event{uri: uri})
	}
	return &o
}

// each adds the users of one event to an order.
func (g *reading) each(o *order, recipe Recipe, e any, when time.Time, named event) {
	none := true
	users, whole := reach(e, recipe.Users)
	if !whole && len(users) > 0 {
		o.failed(g.looked("user", misfit("the event cannot be followed to %s, where the recipe %s has its users", recipe.Users, recipe.Name), ""))
	}
	for _, u := range users {
		if o.full() {
			return
		}
		if _, err := fits(u, recipe.UserWhen, "user"); err != nil {
			_ = g.looked("user", err, "")
			if isMisfit(err) {
				o.failed(err)
			}
			continue
		}
		none = false
		user, err := recipe.User.user(func(pointer string) (string, error) { return pointed(u, pointer) })
		if err != nil {
			err = invalid(UnknownUser, "a user maps to nobody: %s: %v", recipe.User.Text, err)
		}
		_ = g.looked("user", err, recipe.User.Text)
		found := people{by: recipe.User.Text}
		if err == nil {
			found.users = []jobs.User{user}
		}
		o.add(found, err, when, recipe.Newer, named)
	}
	if none {
		err := invalid(UnknownUser, "the event names no user by the recipe %s", recipe.Name)
		o.add(people{}, g.looked("user", err, ""), when, recipe.Newer, named)
	}
}

// when is an event's time, and zero where that cannot be told: nothing is left on then for having begun after it.
func (g *reading) when(recipe Recipe, e any) time.Time {
	if recipe.Time == "" {
		return time.Time{}
	}
	values := at(e, recipe.Time)
	err := errors.New("is missing: nothing is left on for having begun after it")
	var t time.Time
	if len(values) > 0 {
		t, err = written(values[0])
	}
	if t.After(g.Now) {
		t = g.Now.UTC()
	}
	_ = g.looked("time", err, t.Format(time.RFC3339Nano))
	return t
}

// fits tells whether a value meets all conditions, and returns what was found for the first of them. A value that lacks
// what a condition is about, and is not passed over by another, is not understood.
func fits(value any, conditions map[string][]string, what string) (first string, err error) {
	for i, pointer := range slices.Sorted(maps.Keys(conditions)) {
		found, whole := reach(value, pointer)
		met := slices.IndexFunc(found, func(v any) bool { return oneOf(v, conditions[pointer]) })
		switch {
		case met >= 0 && i == 0:
			first, _ = scalar(found[met])
		case met >= 0:
		case whole && !slices.ContainsFunc(found, isNull):
			return "", ignored("the %s's %s is not %s", what, pointer, strings.Join(conditions[pointer], " or "))
		case err == nil:
			err = misfit("the %s has nothing at %s, by which the recipe tells whether it counts", what, pointer)
		}
	}
	return first, err
}

func isNull(v any) bool { return v == nil }

// pointed is the text or the whole number that a pointer points at.
func pointed(value any, pointer string) (string, error) {
	found := at(value, pointer)
	if len(found) == 0 || found[0] == nil {
		return "", fmt.Errorf("%s is missing", pointer)
	}
	if number, ok := found[0].(float64); ok && number == float64(int64(number)) && number < 1<<53 && number > -(1<<53) {
		s, _ := scalar(number)
		return s, nil
	}
	return textOr(found[0], pointer)
}

// Validate tells what is wrong with a recipe.
func (r Recipe) Validate() error {
	pointers := slices.Concat([]string{r.Each, r.Users, r.Time}, slices.Collect(maps.Keys(r.When)), slices.Collect(maps.Keys(r.UserWhen)))
	var wrong []error
	for _, pointer := range pointers {
		wrong = append(wrong, checkPointer(pointer))
	}
	for _, braced := range placeholder.FindAllStringSubmatch(r.User.Text, -1) {
		if braced[1][0] != '/' {
			wrong = append(wrong, fmt.Errorf("%s in the recipe's user is no JSON pointer; one begins with a slash", quote(braced[1])))
			continue
		}
		wrong = append(wrong, checkPointer(braced[1]))
	}
	if !strings.Contains(r.User.Text, "{/") {
		wrong = append(wrong, errors.New("the recipe does not say who its user is, such as email:{/user/email}"))
	}
	return errors.Join(wrong...)
}
