package monitoring

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Every expression of alerts and dashboard is one that Prometheus takes, and every metric and label in it is in the
// registry.
func TestExpressionsKnowTheRegistry(t *testing.T) {
	s := survey(t)
	for _, e := range expressions(t) {
		for _, problem := range s.look(e.text) {
			t.Errorf("%s: %s\n%s", e.where, problem, e.text)
		}
	}
	t.Logf("%d expressions, %d metrics", len(expressions(t)), len(s.used))
}

// What is wrong with an expression is found.
func TestWrongExpressionsAreFound(t *testing.T) {
	for text, want := range map[string]string{
		`sum by (job) (`:                                             "parse error",
		`logoff_stranded`:                                            "logoff_stranded is not in the registry",
		`logoff_time_to_logoff_seconds`:                              "logoff_time_to_logoff_seconds is not in the registry",
		`logoff_stranded_jobs_bucket`:                                "logoff_stranded_jobs_bucket is not in the registry",
		`logoff_stranded_jobs{lane="urgent"}`:                        `logoff_stranded_jobs has no label lane`,
		`logoff_queue_pending_jobs{lane="urgnet"}`:                   `lane of logoff_queue_pending_jobs is never "urgnet"`,
		`logoff_token_state{state=~"lost|ded"}`:                      `state of logoff_token_state is never "ded"`,
		`max by (status) (logoff_stranded_jobs)`:                     "nothing here has the label status",
		`logoff_stranded_jobs / on (lane) logoff_nats_connected`:     "nothing here has the label lane",
		`rate(logoff_stranded_jobs[5m])`:                             "logoff_stranded_jobs is a gauge: its rate means nothing",
		`sum(logoff_document_splits_total)`:                          "logoff_document_splits_total only grows: its rate is of interest",
		`logoff_time_to_logoff_seconds_bucket{le="4"}`:               `le of logoff_time_to_logoff_seconds_bucket is never "4"`,
		`increase(logoff_time_to_logoff_seconds_bucket{le="5"}[1h])`: `le is "5" or "5.0", by the format in which it was scraped`,
		`{job="logoff"}`:                                             "a selector without a metric",
	} {
		problems := survey(t).look(text)
		if !slices.ContainsFunc(problems, func(problem string) bool { return strings.Contains(problem, want) }) {
			t.Errorf("%s: %q, want %q", text, problems, want)
		}
	}
}

// A metric that no panel, alert or runbook shows has no use, and goes.
func TestEveryMetricHasAUse(t *testing.T) {
	s := survey(t)
	for _, e := range expressions(t) {
		s.look(e.text)
	}
	for _, name := range mentioned(t) {
		s.used[name] = true
	}
	for name := range s.registry {
		if !s.used[name] {
			t.Errorf("%s has no use: no panel, alert or runbook shows it", name)
		}
	}
}

// A surveyor looks at expressions.
type surveyor struct {
	registry map[string]metric
	recorded map[string][]string // labels of what rules record
	used     map[string]bool
}

func survey(t *testing.T) *surveyor {
	t.Helper()
	s := &surveyor{registry: registry(t), recorded: map[string][]string{}, used: map[string]bool{}}
	for _, r := range rules(t) {
		if r.Record != "" {
			s.recorded[r.Record] = []string{"lane"} // and job, as all have
		}
	}
	return s
}

// look says what is wrong with an expression, and notes which metrics it uses.
func (s *surveyor) look(text string) (problems []string) {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		return []string{err.Error()}
	}
	parser.Inspect(expr, func(node parser.Node, above []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			problems = append(problems, s.selector(n, above)...)
		case *parser.AggregateExpr:
			problems = append(problems, s.lacks(n.Expr, n.Grouping)...)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				problems = append(problems, s.lacks(n, n.VectorMatching.MatchingLabels)...)
			}
		}
		return nil
	})
	return problems
}

// selector says what is wrong with a selector below others.
func (s *surveyor) selector(n *parser.VectorSelector, above []parser.Node) (problems []string) {
	if n.Name == "" {
		return []string{"a selector without a metric"}
	}
	name, m, has, known := n.Name, metric{}, s.recorded[n.Name], s.recorded[n.Name] != nil
	if !known {
		name, m, has, known = family(s.registry, n.Name)
	}
	if !known {
		return []string{n.Name + " is not in the registry"}
	}
	s.used[name] = true
	switch rated := isRated(above); {
	case rated && !m.counts():
		problems = append(problems, n.Name+" is a "+m.kind+": its rate means nothing")
	case !rated && m.counts():
		problems = append(problems, n.Name+" only grows: its rate is of interest")
	}
	for _, matcher := range n.LabelMatchers {
		switch {
		case matcher.Name == model.MetricNameLabel, slices.Contains(target, matcher.Name):
		case !slices.Contains(has, matcher.Name):
			problems = append(problems, n.Name+" has no label "+matcher.Name)
		case matcher.Name == "le":
			problems = append(problems, s.boundary(n.Name, matcher)...)
		default:
			problems = append(problems, never(n.Name, matcher, m.values[matcher.Name])...)
		}
	}
	return problems
}

// isRated reports whether a selector stands in something that makes a rate of it.
func isRated(above []parser.Node) bool {
	return slices.ContainsFunc(above, func(node parser.Node) bool {
		call, is := node.(*parser.Call)
		return is && slices.Contains([]string{"rate", "increase", "irate"}, call.Func.Name)
	})
}

// never says which values a matcher asks for that the label never has, as far as its values are known.
func never(name string, matcher *labels.Matcher, values []string) (problems []string) {
	for value := range strings.SplitSeq(matcher.Value, "|") {
		if len(values) > 0 && value != ".*" && !slices.Contains(values, value) {
			problems = append(problems, fmt.Sprintf("%s of %s is never %q", matcher.Name, name, value))
		}
	}
	return problems
}

// boundary says what is wrong with a matcher of the boundary of a bucket. OpenMetrics writes a whole number with a
// decimal, the older format without, and Prometheus 2 keeps it as it is written.
func (s *surveyor) boundary(series string, matcher *labels.Matcher) (problems []string) {
	found := 0
	for _, le := range []string{"0.1", "1", "5", "10", "30", "60", "300", "1800", "7200"} {
		plain, decimal := matcher.Matches(le), matcher.Matches(le+".0") || strings.Contains(le, ".") && matcher.Matches(le)
		if plain != decimal {
			problems = append(problems, fmt.Sprintf("le is %q or %q, by the format in which it was scraped", le, le+".0"))
		}
		if plain || decimal {
			found++
		}
	}
	if found == 0 {
		problems = append(problems, fmt.Sprintf("le of %s is never %q", series, matcher.Value))
	}
	return problems
}

// lacks says which labels nothing below a node has.
func (s *surveyor) lacks(node parser.Node, wanted []string) (problems []string) {
	has := slices.Clone(target)
	parser.Inspect(node, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			_, _, of, _ := family(s.registry, n.Name)
			has = append(append(has, of...), s.recorded[n.Name]...)
		case *parser.Call:
			if n.Func.Name == "label_replace" {
				has = append(has, n.Args[1].(*parser.StringLiteral).Val)
			}
		}
		return nil
	})
	for _, label := range wanted {
		if !slices.Contains(has, label) {
			problems = append(problems, "nothing here has the label "+label)
		}
	}
	return problems
}

// mentioned are the metrics that the runbooks name.
func mentioned(t *testing.T) (names []string) {
	t.Helper()
	for _, found := range regexp.MustCompile("`[^`\n]*`").FindAllString(read(t, "README.md"), -1) {
		names = append(names, regexp.MustCompile(`\blogoff_[a-z_]+`).FindAllString(found, -1)...)
	}
	return names
}
