package jobs

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the decoder does into README.md anew")

// toleranceRow is a row of one of README.md's tables of what is written, what comes of it, and why.
var toleranceRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|(.*)\\| ([^|]*) \\|$")

// tolerances is the part of README.md that those tables are in.
func tolerances(t testing.TB, readme string) string {
	t.Helper()
	_, after, begins := strings.Cut(readme, "## What is tolerated, and what is refused\n")
	part, _, ends := strings.Cut(after, "\n## ")
	if !begins || !ends {
		t.Fatal("README.md does not say what is tolerated")
	}
	return part
}

// written is a message as a row of the table has it.
func written(cell string) []byte {
	return []byte(strings.NewReplacer("<GUID>", guid, "<BOM>", "\ufeff").Replace(cell))
}

// becomes says in Markdown what comes of a message.
func becomes(t *testing.T, message []byte) string {
	t.Helper()
	job, err := Decode(message, Rules{MaxBytes: 1 << 20})
	if err != nil {
		return err.Error()
	}
	meant := job
	meant.Sessions, meant.Users = nil, nil
	var said []string
	for _, s := range job.Sessions {
		if s.Wrong() != "" {
			said = append(said, "`"+s.Spelled()+"` is `invalid`: "+s.Wrong())
		} else {
			meant.Sessions = append(meant.Sessions, Session{ID: s.ID, UserID: s.UserID})
		}
	}
	for _, u := range job.Users {
		if u.Wrong() != "" {
			said = append(said, "`"+u.spelled().Name+"` is `invalid`: "+u.Wrong())
		} else {
			meant.Users = append(meant.Users, User{ID: u.ID, Name: u.Name, Email: u.Email})
		}
	}
	said = append(said, job.Remarks...)
	data, err := meant.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(append([]string{"`" + string(data) + "`"}, said...), "; ")
}

// TestReadmeSaysWhatIsTolerated holds each row of the tables to the decoder. After a change, `make docs`
// mends them.
func TestReadmeSaysWhatIsTolerated(t *testing.T) {
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme, rows := string(data), 0
	part := tolerances(t, readme)
	mended := toleranceRow.ReplaceAllStringFunc(part, func(row string) string {
		rows++
		cells := toleranceRow.FindStringSubmatch(row)
		want := strings.ReplaceAll(becomes(t, written(cells[1])), guid, "<GUID>")
		if strings.TrimSpace(cells[2]) != want && !*update {
			t.Errorf("%s becomes:\n%s\nREADME.md says:\n%s", cells[1], want, cells[2])
		}
		return "| `" + cells[1] + "` | " + want + " | " + cells[3] + " |"
	})
	if want := strings.Count(part, "\n| `"); rows != want || rows < 40 {
		t.Errorf("%d rows are tested, of %d", rows, want)
	}
	if *update {
		if err := os.WriteFile("README.md", []byte(strings.Replace(readme, part, mended, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Each heading's table has rows of one kind.
func TestReadmeSortsWhatIsTolerated(t *testing.T) {
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range strings.Split(tolerances(t, string(data)), "\n### ")[1:] {
		heading, rows, _ := strings.Cut(table, "\n")
		for _, row := range toleranceRow.FindAllStringSubmatch(rows, -1) {
			_, err := Decode(written(row[1]), Rules{MaxBytes: 1 << 20})
			if (err != nil) != (heading == "Refused as a whole") {
				t.Errorf("%s: %s: %v", heading, row[1], err)
			}
		}
	}
}

// Every status and outcome has its row, in the order of the code.
func TestReadmeNamesEveryStatusAndOutcome(t *testing.T) {
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|")
	for heading, want := range map[string]string{
		"Status": list(Statuses), "Outcome": list(Outcomes), "Outcome of a user": list(UserOutcomes),
	} {
		_, table, _ := strings.Cut(string(data), "\n| "+heading+" | Means |\n")
		table, _, _ = strings.Cut(table, "\n\n")
		var rows []string
		for _, row := range name.FindAllStringSubmatch(table, -1) {
			rows = append(rows, row[1])
		}
		if got := strings.Join(rows, " "); got != want {
			t.Errorf("%s: README.md has %s, want %s", heading, got, want)
		}
	}
}

func list[T ~string](all []T) string {
	words := make([]string, len(all))
	for i, one := range all {
		words[i] = string(one)
	}
	return strings.Join(words, " ")
}
