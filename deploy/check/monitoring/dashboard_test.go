package monitoring

import (
	"slices"
	"strings"
	"testing"
)

// The dashboard has the rows of a worker's own page.
func TestDashboardHasTheRowsOfThePage(t *testing.T) {
	var rows []string
	for _, p := range readDashboard(t).Panels {
		if p.Type == "row" {
			rows = append(rows, p.Title)
		}
	}
	want := []string{
		"State, and the way of a job", "Time to logoff", "Jobs waiting, stored and settled", "Outcomes, and what waits for a person", "Limits, fleet and settings",
	}
	if !slices.Equal(rows, want) {
		t.Errorf("rows are %q, want %q", rows, want)
	}
}

// Each panel says what it shows, in which unit, and from the Prometheus that is chosen at the top. None lies over
// another.
func TestEachPanelSaysWhatItShows(t *testing.T) {
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range readDashboard(t).Panels {
		if ids[p.ID] || p.ID == 0 || p.Title == "" {
			t.Errorf("panel %d %q: the number or the title is missing, or there twice", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x > 23 {
					t.Fatalf("%s lies over %q at %d, %d", p.Title, other, x, y)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if len(p.Description) < 20 || !strings.HasSuffix(p.Description, ".") || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("%s: description %q, unit %q, %d queries", p.Title, p.Description, p.FieldConfig.Defaults.Unit, len(p.Targets))
		}
		chosen := source{"prometheus", "${datasource}"}
		for _, query := range p.Targets {
			if p.Datasource != chosen || query.Datasource != chosen || query.RefID == "" || !strings.Contains(query.Expr, `job=~"$job"`) {
				t.Errorf("%s: %+v is not asked of the deployment that is chosen", p.Title, query)
			}
		}
	}
}

// Outages are marked in every panel.
func TestDashboardMarksOutages(t *testing.T) {
	d := readDashboard(t)
	var marks, choices []string
	for _, annotation := range d.Annotations.List {
		marks = append(marks, annotation.Name)
	}
	for _, mark := range []string{"Outages of the Web Server", "Outages of NATS", "Pages"} {
		if !slices.Contains(marks, mark) {
			t.Errorf("%q are not among the annotations: %q", mark, marks)
		}
	}
	for _, choice := range d.Templating.List {
		choices = append(choices, choice.Name+" "+choice.Definition)
	}
	if want := []string{"datasource ", "job label_values(logoff_build_info, job)"}; !slices.Equal(choices, want) {
		t.Errorf("what can be chosen is %q, want %q", choices, want)
	}
}
