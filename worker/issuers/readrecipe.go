package issuers

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"logoffworker/jobs/signals"
)

func (r *reader) recipe(file *File) take {
	return func(n *yaml.Node, _ string) {
		at := called("recipe", n)
		recipe, hook := r.shipped(n, at), Hook{}
		recipe.Name = ""
		r.members(n, at, map[string]take{
			"name":       r.name(&recipe.Name),
			"use":        func(*yaml.Node, string) {}, // it is read
			"path":       r.receiverPath(&hook.Path),
			"header":     r.secrets(&hook.Header),
			"query":      r.secrets(&hook.Query),
			"cloudevent": r.text(&recipe.CloudEvent),
			"each":       r.text(&recipe.Each),
			"when":       r.conditions(&recipe.When),
			"users":      r.text(&recipe.Users),
			"user_when":  r.conditions(&recipe.UserWhen),
			"user":       r.template(&recipe.User),
			"time":       r.text(&recipe.Time),
			"newer":      r.truth(&recipe.Newer),
		})
		r.needs(n, at, recipe.Name != "", "name", "its jobs are published under it")
		r.needs(n, at, recipe.User.Text != "", "user", "whom it names, as in 'email:{/user/mail}'")
		if err := recipe.Validate(); err != nil && recipe.User.Text != "" {
			for problem := range strings.SplitSeq(err.Error(), "\n") {
				r.wrong(n, at, "%s", problem)
			}
		}
		secured := has(n, "header") || has(n, "query")
		switch {
		case hook.Path == "" && !has(n, "path") && secured:
			r.wrong(n, at, "needs path: where its bodies are posted to, with that header or query")
		case recipe.CloudEvent == "" && !has(n, "path"):
			r.wrong(n, at, "needs path: where its bodies are posted to, as in /v1/hooks/splunk; or cloudevent, the type of those that it reads")
		case has(n, "path") && !secured:
			r.wrong(n, at, "needs header or query with a secret, by which the sender is known: without one everybody could post there")
		}
		file.Policy.Recipes = append(file.Policy.Recipes, recipe)
		if hook.Recipe = recipe.Name; hook.Path != "" {
			file.Hooks = append(file.Hooks, hook)
		}
	}
}

// shipped is the recipe of the product that an entry uses, and what it says itself replaces; the empty one if it uses none.
func (r *reader) shipped(n *yaml.Node, at string) (recipe signals.Recipe) {
	if n.Kind != yaml.MappingNode {
		return recipe
	}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Value != "use" {
			continue
		}
		name, ok := r.value(value, at+", use")
		if !ok {
			return recipe
		}
		var names []string
		for _, recipe := range signals.ShippedRecipes() {
			if recipe.Name == name {
				return recipe
			}
			names = append(names, recipe.Name)
		}
		r.wrong(value, at+", use", "%s", unknown("recipe", name, names))
	}
	return recipe
}

// secrets reads headers or parts of a query, each with its secret.
func (r *reader) secrets(to *map[string]Secret) take {
	return func(n *yaml.Node, at string) {
		*to = map[string]Secret{}
		r.each(n, at, func(key, value *yaml.Node) {
			var secret Secret
			r.secret(&secret)(value, within(at, key.Value))
			(*to)[key.Value] = secret
		})
		if len(*to) == 0 && len(n.Content) == 0 {
			r.wrong(n, at, "names none; as in {Authorization: {file: secrets/hook}}")
		}
	}
}

// conditions reads which values there have to be, by their pointers.
func (r *reader) conditions(to *map[string][]string) take {
	return func(n *yaml.Node, at string) {
		*to = map[string][]string{}
		r.each(n, at, func(key, value *yaml.Node) {
			var values []string
			r.texts(&values)(value, within(at, key.Value))
			(*to)[key.Value] = values
		})
	}
}
