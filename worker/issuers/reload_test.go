package issuers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
	"logoffworker/worker/env"
)

// withFiles is an issuers file that names a map and a key set.
const withFiles = `
issuers:
  - name: idp
    issuer: https://idp.example
    audience: us
    keys: {file: keys.json}
    subjects: {email: "map:people.csv"}
`

// told is what is wrong, as operators see it.
func told(i *Issuers) (words string) {
	for _, part := range i.Health.Verdict().Parts {
		for _, c := range part.Conditions {
			words += c.String()
		}
	}
	return words
}

// looks waits until the files were looked at twice: a change counts then.
func looks() {
	time.Sleep(2*env.LookInterval + time.Second)
	synctest.Wait()
}

// Each of the files is read again when it has changed. While one is wrong, or away, what they said before is in force,
// which is told, and so is that it is over.
func TestFilesAreReadAgainAndKeptWhileTheyAreWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		first, second := newKey(t, "first"), newKey(t, "second")
		write(t, dir, "keys.json", string(keySetOf(t, first)))
		write(t, dir, "people.csv", "jane@corp.example,name:jane\n")
		i, err := Open(write(t, dir, "issuers.yaml", withFiles))
		if err != nil {
			t.Fatal(err)
		}
		run(t, i)
		user := func() string {
			t.Helper()
			a := i.Reader(jobs.Rules{}, today()).Message(nil, first.set(t, "x"))
			if a.Verdict != signals.Job {
				return string(a.Verdict)
			}
			return a.Job.Users[0].Name
		}
		expect := func(want, said string) {
			t.Helper()
			looks()
			if got := user(); got != want {
				t.Errorf("%s, not %s", got, want)
			}
			if text := told(i); !strings.Contains(text, said) || said == "" && text != "" {
				t.Errorf("%q is not said: %s", said, text)
			}
		}
		expect("jane", "")
		write(t, dir, "people.csv", "jane@corp.example,name:j2\n")
		expect("j2", "")
		write(t, dir, "people.csv", "")
		expect("j2", "people.csv: no line of a subject and its user")
		write(t, dir, "people.csv", "jane@corp.example,name:j3\n")
		expect("j3", "")
		write(t, dir, "issuers.yaml", strings.Replace(withFiles, "audience", "audiance", 1))
		expect("j3", "line 5, issuer idp: there is no such member; did you mean audience?")
		write(t, dir, "issuers.yaml", withFiles)
		expect("j3", "")
		if err := os.Remove(filepath.Join(dir, "keys.json")); err != nil {
			t.Fatal(err)
		}
		expect("j3", "keys.file: the file cannot be read")
		at := i.KeysReadAt("idp")
		write(t, dir, "keys.json", string(keySetOf(t, second)))
		looks()
		if got := user(); got != string(signals.Retry) || !i.KeysReadAt("idp").After(at) {
			t.Errorf("the key that is gone makes %s; the keys were read at %v, and before at %v", got, i.KeysReadAt("idp"), at)
		}
		if maps := i.Maps(); len(maps) != 1 || maps[0].Subjects != 1 || maps[0].Path != filepath.Join(dir, "people.csv") || maps[0].Modified.IsZero() {
			t.Errorf("%+v", maps)
		}
	})
}

// A file that is being written does not count before two looks agree.
func TestAFileThatIsBeingWrittenIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := write(t, dir, "issuers.yaml", atURL)
		i, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		p := newIDP(t)
		p.answers(down)
		i.Dial = p.dial
		run(t, i)
		before := i.File()
		for n := range 5 { // each look finds another state of it
			write(t, dir, "issuers.yaml", atURL[:60+n])
			time.Sleep(env.LookInterval)
			synctest.Wait()
		}
		if i.File() != before {
			t.Error("half a file was taken up")
		}
		write(t, dir, "issuers.yaml", strings.Replace(atURL, "audience: us", "audience: them", 1))
		looks()
		if got := i.File().Policy.Issuers[0].Audience[0]; got != "them" {
			t.Errorf("the audience is %s", got)
		}
	})
}

// Keys that were read from a URL outlive a change of the file that does not concern them.
func TestKeysOutliveAChangeOfTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		i, err := Open(write(t, dir, "issuers.yaml", atURL))
		if err != nil {
			t.Fatal(err)
		}
		k, p := newKey(t, "k"), newIDP(t)
		p.serves(keySetOf(t, k))
		i.Dial = p.dial
		run(t, i)
		asked := len(p.requests())
		write(t, dir, "issuers.yaml", strings.Replace(atURL, "subjects:", "max_age: 48h\n    subjects:", 1))
		looks()
		if a := work(i, k.set(t, "1")); a.Verdict != signals.Job || len(p.requests()) != asked || i.File().Policy.Issuers[0].MaxAge != 48*time.Hour {
			t.Errorf("%s: %s; %d requests", a.Verdict, a.Why, len(p.requests()))
		}
		write(t, dir, "issuers.yaml", strings.Replace(atURL, "127.0.0.1", "localhost", 1))
		looks()
		if len(p.requests()) != asked+1 {
			t.Errorf("the keys at another address were asked for %d times", len(p.requests())-asked)
		}
	})
}

// A map file has a subject and a user on each line.
func TestMapFiles(t *testing.T) {
	for _, test := range []struct{ content, want, wrong string }{
		{"x,name:CORP\\jane", "name:CORP\\jane", ""},
		{"\ufeffsubject,user\r\n# a comment\r\n\r\n x , email:jane@corp.example \r\n", "email:jane@corp.example", ""},
		{`x,"name:CORP\Doe, Jane"`, `name:CORP\Doe, Jane`, ""},
		{"x,id:7\nx,id:7\n", "id:7", ""},
		{"", "", "no line of a subject"},
		{"# nothing\nsubject,user\n", "", "no line of a subject"},
		{"x,id:7\nx,id:8\n", "", "line 2 has a subject that stands above"},
		{"x,id:7\ny\n", "", "line 2 must hold a subject and a user"},
		{"x,id:canary", "", "line 1: the user must be"},
		{"x,canary@corp.example", "", "line 1: the user must be"},
		{",id:7", "", "line 1 has no subject"},
		{"x,\"id:7", "", "line 1: "},
		{"\xff\xfex\x00", "", "the file is not in UTF-8"},
	} {
		users, err := readMap([]byte(test.content))
		switch {
		case test.wrong == "" && (err != nil || users["x"] != test.want):
			t.Errorf("%q: %q, %v", test.content, users["x"], err)
		case test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong) || strings.Contains(err.Error(), "canary")):
			t.Errorf("%q: %v", test.content, err)
		}
	}
}

// An issuer that is trusted no more is no trouble any more, and its keys are forgotten.
func TestAnIssuerThatIsTakenOutIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		const other = "publishers:\n  - {name: soar, bearer: x}\n"
		i, err := Open(write(t, dir, "issuers.yaml", atURL+other))
		if err != nil {
			t.Fatal(err)
		}
		p := newIDP(t)
		p.answers(down)
		i.Dial = p.dial
		run(t, i)
		if said := told(i); !strings.Contains(said, "the keys of idp cannot be read, and never were: 127.0.0.1 answers with status 503") {
			t.Errorf("it says %q", said)
		}
		write(t, dir, "issuers.yaml", other)
		looks()
		asked := len(p.requests())
		i.Want("idp")
		time.Sleep(2 * keysEvery)
		synctest.Wait()
		if said := told(i); said != "" || len(p.requests()) != asked {
			t.Errorf("it says %q, and asked %d times", said, len(p.requests())-asked)
		}
		if _, _, err := i.ReadKeys(t.Context(), "idp"); err == nil {
			t.Error("keys of nobody were read")
		}
	})
}
