package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"logoffworker/jobs"
)

func TestWhatIsMeantIsToldApartByItsForm(t *testing.T) {
	const guid = "AE92D1DD-0C68-49A6-BEBB-404D96D7A4BF"
	for text, want := range map[string]string{
		guid:                   `{"sessions":["` + guid + `"]}`,
		"EMC" + guid:           `{"sessions":["EMC` + guid + `"]}`,
		"emc" + guid:           `{"sessions":["emc` + guid + `"]}`,
		"{" + guid + "}":       `{"sessions":["{` + guid + `}"]}`,
		guid + "@42":           `{"sessions":[{"id":"` + guid + `","userId":42}]}`,
		guid + "@corp.example": `{"users":[{"email":"` + guid + `@corp.example"}]}`,
		guid + "0":             `{"users":[{"name":"` + guid + `0"}]}`,
		"42":                   `{"users":[{"id":42}]}`,
		"-42":                  `{"users":[{"name":"-42"}]}`,
		"jane@corp.example":    `{"users":[{"email":"jane@corp.example"}]}`,
		`CORP\jane`:            `{"users":[{"name":"CORP\\jane"}]}`,
		"jane":                 `{"users":[{"name":"jane"}]}`,
	} {
		found := targetOf(text)
		if err := found.check(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		data, err := jobOf([]target{found}).Encode()
		if err != nil || string(data) != want {
			t.Errorf("%s is %s (%v), not %s", text, data, err, want)
		}
	}
}

// The lists of people and sessions are cut where a job is full, and nowhere else.
func TestAListBecomesAsFewJobsAsItCan(t *testing.T) {
	for _, c := range []struct{ people, sessions, jobs int }{
		{1, 0, 1}, {1000, 0, 1}, {1001, 0, 2}, {0, 10_000, 1}, {0, 10_001, 2}, {1000, 10_000, 1}, {2001, 1, 3},
	} {
		l := &list{}
		for i := range c.people {
			l.targets = append(l.targets, personOf(fmt.Sprint(i+1)))
		}
		for i := range c.sessions {
			l.targets = append(l.targets, targetOf(fmt.Sprintf("AE92D1DD-0C68-49A6-BEBB-%012d", i)))
		}
		orders, err := l.orders("list", notes{Job: jobs.Job{Reason: "x"}})
		if err != nil || len(orders) != c.jobs {
			t.Errorf("%d people and %d sessions are %d jobs (%v), not %d", c.people, c.sessions, len(orders), err, c.jobs)
		}
		n := 0
		for i, o := range orders {
			n += len(o.targets)
			want := "list"
			if c.jobs > 1 {
				want = fmt.Sprintf("list-%d", i+1)
			}
			if o.job.ID != want {
				t.Errorf("job %d is named %s", i, o.job.ID)
			}
		}
		if n != c.people+c.sessions {
			t.Errorf("%d of %d are in the jobs", n, c.people+c.sessions)
		}
	}
}

// The same file has the same name, and another file or column another.
func TestAFileNamesItsJobs(t *testing.T) {
	name := func(path, column, content string) string {
		return (&list{path: path, column: column, content: []byte(content)}).jobName()
	}
	leavers := name("a/leavers.csv", "upn", "x")
	if leavers != name("b/leavers.csv", "upn", "x") || !strings.HasPrefix(leavers, "leavers-") {
		t.Errorf("it is named %s, and elsewhere %s", leavers, name("b/leavers.csv", "upn", "x"))
	}
	for _, other := range []string{name("joiners.csv", "upn", "x"), name("leavers.csv", "mail", "x"), name("leavers.csv", "upn", "y")} {
		if other == leavers {
			t.Errorf("another list is named %s, too", other)
		}
	}
	for _, odd := range []string{name("a b.*>.csv", "", "x"), name(strings.Repeat("ä", 200)+".csv", "", "x"), name(".csv", "", "x")} {
		if err := jobs.LegalID(odd + "-10000"); err != nil {
			t.Errorf("%s is no name: %v", odd, err)
		}
	}
	if first, second := (&list{}).jobName(), (&list{}).jobName(); first == second {
		t.Error("two lists without a file have one name")
	}
}

// Whatever a file holds, it is refused in words, or becomes jobs that name each of its targets once.
func FuzzReadList(f *testing.F) {
	for _, seed := range []string{
		"jane\n\ntim\n", "upn,team\na@b,x\n", "upn;team\n\"a@b\n\";x\n", `{"users":[{"id":42}]}` + "\n", "<Api_LogoffUsersRequest/>",
		`<Api_LogoffUsersRequest><sessions val="AE92D1DD-0C68-49A6-BEBB-404D96D7A4BF"/></Api_LogoffUsersRequest>`, "\xff\xfea\x00", "\ufeffjane", "a\"b,c\n",
	} {
		for _, column := range []string{"", "upn"} {
			f.Add([]byte(seed), column)
		}
	}
	f.Fuzz(func(t *testing.T, content []byte, column string) {
		l := &list{path: "x.csv", column: column, content: content}
		if l.read(map[string]bool{}) != nil || l.check() != nil {
			return
		}
		orders, err := l.orders("x", notes{})
		if err != nil {
			t.Fatalf("what was taken cannot be a job: %v", err)
		}
		s := &sending{list: l, orders: orders, name: "x"}
		if s.total() == 0 {
			t.Fatal("nobody is in it")
		}
		data, err := s.notDone(findings{left: l.targets, leftJobs: l.jobs})
		if err != nil || len(bytes.TrimSpace(data)) == 0 {
			t.Fatalf("it cannot be written down: %v", err)
		}
		again := &list{path: "x" + l.extension(), content: data}
		if l.form == formCSV {
			again.column = l.column
		}
		if err := again.read(map[string]bool{}); err != nil || len(again.targets) != len(l.targets) || len(again.jobs) != len(l.jobs) {
			t.Fatalf("%d targets and %d jobs are %d and %d when they are read again (%v):\n%s", len(l.targets), len(l.jobs), len(again.targets), len(again.jobs), err, data)
		}
	})
}
