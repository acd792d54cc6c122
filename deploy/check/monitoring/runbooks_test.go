package monitoring

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

var parts = []string{"Meaning.", "First look.", "What mends it.", "Whom to tell what."}

// Each alert has a section in README.md, which its link leads to, and each section has its alert. A section says what
// the alert means, where to look first, what mends it, and whom to tell what.
func TestEachAlertHasItsRunbook(t *testing.T) {
	sections := runbooks(t)
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		if sections[r.Alert] == "" {
			t.Errorf("%s has no section", r.Alert)
		}
		if want := "README.md#" + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url is %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
		}
		if s := r.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("%s: severity is %q", r.Alert, s)
		}
		if s := r.Annotations["summary"]; !strings.HasSuffix(s, ".") || len(r.Annotations) != 2 {
			t.Errorf("%s: its annotations are %q, want a whole sentence and a link", r.Alert, r.Annotations)
		}
	}
	have := alerts(t)
	for name, text := range sections {
		if !have[name] {
			t.Errorf("the section %s has no alert", name)
		}
		said := regexp.MustCompile(`(?m)^\*\*([^*]+)\*\* \S.{20,}`).FindAllStringSubmatch(text, -1)
		var found []string
		for _, part := range said {
			found = append(found, part[1])
		}
		if !slices.Equal(found, parts) {
			t.Errorf("the section %s has the parts %q, want %q", name, found, parts)
		}
	}
	t.Logf("%d alerts", len(have))
}

// runbooks are the sections of README.md about alerts.
func runbooks(t *testing.T) map[string]string {
	t.Helper()
	_, text, _ := strings.Cut(read(t, "README.md"), "\n## What to do\n")
	sections := map[string]string{}
	for i, section := range strings.Split(text, "\n### ") {
		if name, content, _ := strings.Cut(section, "\n"); i > 0 {
			sections[name] = content
		}
	}
	return sections
}

// The metrics that the runbooks name are there.
func TestRunbooksKnowTheRegistry(t *testing.T) {
	all := registry(t)
	names := mentioned(t)
	for _, name := range names {
		if _, has := all[name]; !has {
			t.Errorf("README.md names %s, which is not in the registry", name)
		}
	}
	if len(names) < 20 {
		t.Errorf("README.md names %d metrics", len(names))
	}
}

// Each alert, of each severity, fires in a test and resolves later in the same one; that this is so is seen by
// promtool.
func TestEachAlertFiresAndResolves(t *testing.T) {
	resolved := map[string]bool{}
	for _, test := range ruleTests(t).Tests {
		fired := map[string]bool{}
		for _, at := range test.AlertRuleTest {
			now := map[string]bool{}
			for _, alert := range at.ExpAlerts {
				now[at.Alertname+" "+alert.ExpLabels["severity"]] = true
			}
			for which := range fired {
				if strings.HasPrefix(which, at.Alertname+" ") && !now[which] {
					resolved[which] = true
				}
			}
			for which := range now {
				fired[which] = true
			}
		}
	}
	for _, r := range rules(t) {
		if which := r.Alert + " " + r.Labels["severity"]; r.Alert != "" && !resolved[which] {
			t.Errorf("no test has %s fire and resolve", which)
		}
	}
}

// A total outage pages within two minutes: a test of each kind looks two minutes after nothing was wrong.
func TestATotalOutagePagesWithinTwoMinutes(t *testing.T) {
	found := 0
	for _, test := range ruleTests(t).Tests {
		if !strings.Contains(test.Name, "pages within two minutes") {
			continue
		}
		found++
		var quiet []string // at 10m, when it begins
		for _, at := range test.AlertRuleTest {
			switch {
			case at.EvalTime == "10m" && len(at.ExpAlerts) == 0:
				quiet = append(quiet, at.Alertname)
			case at.EvalTime == "12m" && slices.Contains(quiet, at.Alertname) && len(at.ExpAlerts) == 1 && at.ExpAlerts[0].ExpLabels["severity"] == "page":
				quiet = slices.DeleteFunc(quiet, func(name string) bool { return name == at.Alertname })
			case at.EvalTime == "12m":
				t.Errorf("%s: %s is not seen to page", test.Name, at.Alertname)
			}
		}
		if len(quiet) > 0 {
			t.Errorf("%s: %q are not seen to page", test.Name, quiet)
		}
	}
	if found != 3 {
		t.Errorf("there are %d such tests: of the Web Server, of NATS, and of all workers", found)
	}
}

// ruleTests are those of both files.
func ruleTests(t *testing.T) (all testFile) {
	t.Helper()
	for _, name := range []string{"tests.yaml", "tests-long.yaml"} {
		var file testFile
		readYAML(t, name, &file)
		all.Tests = append(all.Tests, file.Tests...)
	}
	return all
}

type testFile struct {
	RuleFiles          []string `yaml:"rule_files"`
	EvaluationInterval string   `yaml:"evaluation_interval"`
	Tests              []struct {
		Name, Interval string
		InputSeries    []map[string]string `yaml:"input_series"`
		PromqlExprTest []map[string]any    `yaml:"promql_expr_test"`
		AlertRuleTest  []struct {
			EvalTime  string `yaml:"eval_time"`
			Alertname string
			ExpAlerts []struct {
				ExpLabels      map[string]string `yaml:"exp_labels"`
				ExpAnnotations map[string]string `yaml:"exp_annotations"`
			} `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	}
}
