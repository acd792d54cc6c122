package history

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A secret is found however it was written, and whatever stands around it.
func TestSecretsAreFoundInAnyForm(t *testing.T) {
	const secret = `p&ss "wörd"/+~9!`
	search := newSearch(map[string]string{"web": secret, "other": "canary-ffffffff"})
	for name, text := range map[string]string{
		"as it is":           "password=" + secret,
		"at the very end":    secret,
		"in a query":         "?p=" + url.QueryEscape(secret) + "&x=1",
		"in a path":          "/a/" + url.PathEscape(secret) + "/b",
		"in a line of slog":  `password="` + strings.Trim(strconv.Quote(secret), `"`) + `"`,
		"on a page":          "<td>p&amp;ss &#34;wörd&#34;/+~9!</td>",
		"base64":             base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64 for URLs":    base64.URLEncoding.EncodeToString([]byte(secret)),
		"basic auth":         base64.StdEncoding.EncodeToString([]byte("admin:" + secret)),
		"basic auth, a":      base64.StdEncoding.EncodeToString([]byte("a:" + secret + "\n")),
		"basic auth of four": base64.RawURLEncoding.EncodeToString([]byte("abc:" + secret + "!!")),
	} {
		if found := search.find([]byte(text)); !slices.Equal(found, []string{"web"}) {
			t.Errorf("%s: found %q in %s", name, found, text)
		}
	}
	for _, text := range []string{"", "p", "p&ss", `p&ss "wörd"/+~8!`, base64.StdEncoding.EncodeToString([]byte("something else altogether"))} {
		if found := search.find([]byte(text)); len(found) > 0 {
			t.Errorf("found %q in %q", found, text)
		}
	}
}

func TestVerdictMasksSecrets(t *testing.T) {
	c := newCheck(&History{Run: Run{Canaries: map[string]string{"web": canary, "empty": ""}}}, Limits{})
	encoded := base64.StdEncoding.EncodeToString([]byte("user:" + canary))
	v := c.masked(Violation{"I6", "job " + canary, "the server said " + canary + " and " + encoded})
	if strings.Contains(v.String(), canary) || !strings.Contains(v.Why, "[web]") || v.Job != "job [web]" || strings.Contains(v.Why, encoded) {
		t.Error(v)
	}
}
