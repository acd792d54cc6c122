package monitoring

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// An expression is one that Prometheus is asked, and where it stands.
type expression struct{ where, text string }

// A rule is one of rules.yaml.
type rule struct {
	Record, Alert, Expr, For string
	Labels, Annotations      map[string]string
}

func (r rule) name() string { return r.Record + r.Alert }

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(room + file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// readYAML reads one of the files. What the type does not know is an error.
func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(read(t, file)))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	var file struct {
		Groups []struct {
			Name, Interval string
			Rules          []rule
		}
	}
	readYAML(t, "rules.yaml", &file)
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) < 15 {
		t.Fatalf("there are %d rules", len(all))
	}
	return all
}

// alerts are the names of the alerts, each once.
func alerts(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, r := range rules(t) {
		if r.Alert != "" {
			names[r.Alert] = true
		}
	}
	return names
}

// A dashboard is what is looked at in dashboard.json.
type dashboard struct {
	UID, Title  string
	Panels      []panel
	Annotations struct {
		List []struct{ Name, Expr string }
	}
	Templating struct {
		List []struct {
			Name, Type, Definition string
			Query                  any
		}
	}
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	FieldConfig              struct {
		Defaults struct{ Unit string }
	}
	Datasource source
	Targets    []struct {
		Expr, RefID string
		Datasource  source
	}
}

type source struct{ Type, UID string }

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, "dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// asked is an expression of the dashboard as Grafana asks it, of any deployment.
func asked(expr string) string {
	return strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h", "$job", ".*").Replace(expr)
}

// expressions are those of rules and dashboard.
func expressions(t *testing.T) (all []expression) {
	t.Helper()
	for _, r := range rules(t) {
		all = append(all, expression{"rules.yaml, " + r.name(), r.Expr})
	}
	d := readDashboard(t)
	for _, p := range d.Panels {
		for _, query := range p.Targets {
			all = append(all, expression{"dashboard.json, " + p.Title, asked(query.Expr)})
		}
	}
	for _, annotation := range d.Annotations.List {
		all = append(all, expression{"dashboard.json, annotation " + annotation.Name, asked(annotation.Expr)})
	}
	return all
}
