package issuers

import (
	"strings"

	"logoffworker/jobs/signals"
)

// interim until jobs/signals is merged
func parseTemplate(text string, openMap func(string) (signals.Map, error)) (signals.Template, error) {
	t := signals.Template{Text: text}
	if rest, is := strings.CutPrefix(text, "map:"); is {
		name, _, _ := strings.Cut(rest, "{")
		m, err := openMap(name)
		if err != nil {
			return t, err
		}
		t.Map = m
	}
	return t, nil
}

var eventURIs = map[string]string{
	"session-revoked": "https://schemas.openid.net/secevent/caep/event-type/session-revoked",
}

func eventURI(name string) (string, bool) { u, ok := eventURIs[name]; return u, ok }

func eventNames() (all []string) { return []string{"session-revoked"} }

func shippedRecipe(name string) (signals.Recipe, bool) { return signals.Recipe{}, false }

func shippedRecipes() []string { return nil }
