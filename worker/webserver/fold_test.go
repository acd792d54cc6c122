package webserver

import (
	"errors"
	"strings"
	"testing"
)

// spellings are pairs of names that are one and the same.
var spellings = map[string][2]string{
	"case":                {"CORP\\Jane", "corp\\jANE"},
	"decomposed ü":        {"m\u00fcller", "mu\u0308ller"},
	"decomposed Ü":        {"m\u00fcller", "MU\u0308LLER"},
	"ß":                   {"stra\u00dfe", "STRASSE"},
	"capital ẞ":           {"stra\u00dfe", "STRA\u1e9eE"},
	"İ":                   {"\u0130brahim", "i\u0307brahim"},
	"Kelvin sign":         {"karl", "\u212aarl"},
	"Ångström sign":       {"\u00e5sa", "\u212bsa"},
	"final sigma":         {"\u03bd\u03af\u03ba\u03bf\u03c2", "\u039d\u038a\u039a\u039f\u03a3"},
	"long s":              {"\u017fam", "SAM"},
	"ligature":            {"o\ufb03ce", "OFFICE"},
	"two accents, either": {"a\u0323\u0302", "a\u0302\u0323"},
	"iota below":          {"\u1fb3", "\u0391\u0399"},
}

func TestFoldMakesSpellingsOfANameTheSame(t *testing.T) {
	for name, pair := range spellings {
		if a, b := Fold(pair[0]), Fold(pair[1]); a != b {
			t.Errorf("%s: %+q and %+q", name, a, b)
		}
		if !sameName(pair[0], pair[1]) {
			t.Errorf("%s: %+q is not %+q", name, pair[0], pair[1])
		}
	}
	for _, pair := range [][2]string{{"muller", "m\u00fcller"}, {"i", "\u0131"}, {"jane", "jane "}, {"a", ""}} {
		if Fold(pair[0]) == Fold(pair[1]) || sameName(pair[0], pair[1]) {
			t.Errorf("%+q is taken for %+q", pair[0], pair[1])
		}
	}
}

func user(id, name, address string) string {
	row := `{"id":` + id + `,"name":"` + name + `","fullName":"Somebody Else ` + id + `","email":"` + address + `","userPrincipalName":""}`
	return strings.ReplaceAll(row, `\`, `\\`)
}

// Whoever spells a name or an address in another way means the same user.
func TestUsersAreFoundUnderEverySpelling(t *testing.T) {
	for name, pair := range spellings {
		for i := range pair {
			listed, asked := pair[i], pair[1-i]
			all := says(200, v4List(user("7", listed, listed+"@corp.example"), user("8", "other", "other@corp.example")))
			c := directory(t, calls{byName: says(200, unknownUser), v4List: all}).client(t)
			if u, err := c.UserByName(t.Context(), asked); err != nil || u.ID != 7 {
				if !errors.Is(err, ErrNoUser) || !isASCII(asked) || strings.Contains(Fold(asked), "ss") {
					t.Errorf("%s: name %+q is listed, %+q asked for: %+v, %v", name, listed, asked, u, err)
				}
			}
			if users, err := c.UsersByEmail(t.Context(), asked+"@Corp.example"); err != nil || len(users) != 1 || users[0].ID != 7 {
				t.Errorf("%s: address %+q is listed, %+q asked for: %+v, %v", name, listed, asked, users, err)
			}
			shown := directory(t, calls{byName: says(200, oldList(strings.Replace(oldMax, `"max"`, `"`+strings.ReplaceAll(listed, `\`, `\\`)+`"`, 1)))}).client(t)
			if u, err := shown.UserByName(t.Context(), asked); err != nil || u.ID != 8 {
				t.Errorf("%s: name %+q is shown, %+q asked for: %+v, %v", name, listed, asked, u, err)
			}
		}
	}
}

// The Web Server is asked in the form in which names are stored as a rule.
func TestUserByNameAsksForTheComposedName(t *testing.T) {
	s := directory(t, calls{byName: says(200, oldList(strings.Replace(oldMax, `"max"`, `"m\u00fcller"`, 1)))})
	if u, err := s.client(t).UserByName(t.Context(), "mu\u0308ller"); err != nil || u.ID != 8 {
		t.Errorf("%+v, %v", u, err)
	}
	if asked := s.asked(); len(asked) != 1 || asked[0] != "/User/byName(userName='m%C3%BCller')" {
		t.Errorf("%q", asked)
	}
}
