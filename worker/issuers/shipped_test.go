package issuers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The example that is installed and shown is right, with everything in it that is commented out, too.
func TestTheExampleFileIsRight(t *testing.T) {
	data, err := os.ReadFile("../../deploy/systemd/issuers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	const secrets = "/run/credentials/logoff-worker.service/"
	content := strings.ReplaceAll(string(data), secrets, "")
	if err := os.Mkdir(filepath.Join(dir, "maps"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"okta-push", "keycloak-client", "okta-hook", "helpdesk-hook", "soar"} {
		write(t, dir, "secrets_"+name, "x\n")
	}
	for _, name := range []string{"okta", "entra"} {
		write(t, dir, "maps/"+name+".csv", "x,id:1\n")
	}
	i, err := Open(write(t, dir, "issuers.yaml", content))
	if err != nil {
		t.Fatal(err)
	}
	if file := i.File(); len(file.Issuers) != 2 || len(file.Hooks) != 2 || len(file.Policy.Recipes) != 3 || len(file.Publishers) != 1 {
		t.Fatalf("%+v", file)
	}
	for _, more := range []string{"#typ: any", "#issuers: [", "#tenants: ["} {
		if !strings.Contains(content, more) {
			t.Fatalf("%q is not in it", more)
		}
		content = strings.Replace(content, more, more[1:], 1)
	}
	if _, err := Open(write(t, dir, "issuers.yaml", content)); err != nil {
		t.Fatal(err)
	}
}
