package signals

import (
	"os"
	"strings"
	"testing"
)

// README.md names all that can be written in an issuers file, and all that is refused in a header.
func TestReadmeNamesAllThereIs(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range EventNames() {
		names = append(names, "`"+name+"`")
	}
	for _, recipe := range ShippedRecipes() {
		names = append(names, "| `"+recipe.Name+"` |")
	}
	for _, header := range refusedHeaders {
		names = append(names, "`"+header.name+"`")
	}
	for format := range keyMembers {
		names = append(names, "`"+format+"`")
	}
	for _, name := range append(names, Algorithms()...) {
		if !strings.Contains(string(readme), name) {
			t.Errorf("README.md does not name %s", name)
		}
	}
}
