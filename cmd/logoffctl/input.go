package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"logoffworker/jobs"
)

// A target is one session or person that is to be logged off, and where it was named.
type target struct {
	session jobs.Session // of a session
	user    jobs.User    // of a person
	text    string       // as it was written
	line    int          // of the file; 0 on the command line
	row     []string     // of a CSV file
}

// isPerson reports whether the target is a person.
func (t target) isPerson() bool { return t.user != (jobs.User{}) }

// key is the same for targets that are the same.
func (t target) key() string {
	if t.isPerson() {
		return userKey(t.user.ID, t.user.Name, t.user.Email)
	}
	return sessionKey(t.session.ID)
}

func sessionKey(id string) string { return "session " + id }

func userKey(id int64, name, email string) string {
	return fmt.Sprintf("user %d %s %s", id, name, email)
}

// A form is how a file names what is to be logged off.
type form string

// The forms.
const (
	formArgs form = "arguments"
	formText form = "text"
	formCSV  form = "CSV"
	formJobs form = "JSON lines"
	formXML  form = "XML"
)

// A list is what somebody wants logged off, before it is jobs.
type list struct {
	path    string // of the file; "-" is the standard input, and empty none
	form    form
	content []byte
	column  string
	head    []string // of a CSV file
	comma   rune
	targets []target
	jobs    []jobs.Job // of JSON lines, instead of targets
	lines   []int      // where each of them stands
	twice   int        // how many were named before
	empty   []int      // lines
}

var sessionForm = regexp.MustCompile(`^\{?(?i:EMC)?[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\}?$`)

// targetOf tells a target apart by its form: a GUID, with or without EMC, is a session, and one@42 a session with its
// owner; a number is a userId, what has an @ an address, and anything else a name.
func targetOf(text string) target {
	before, owner, at := strings.Cut(text, "@")
	if sessionForm.MatchString(before) {
		id, err := strconv.ParseInt(owner, 10, 64)
		if !at || err == nil && id > 0 {
			return target{session: jobs.Session{ID: before, UserID: id}, text: text}
		}
	}
	return personOf(text)
}

// personOf tells a person apart: a number is a userId, what has an @ an address, and anything else a name.
func personOf(text string) target {
	t := target{text: text}
	if id, err := strconv.ParseInt(text, 10, 64); err == nil && id > 0 {
		t.user.ID = id
	} else if strings.Contains(text, "@") {
		t.user.Email = text
	} else {
		t.user.Name = text
	}
	return t
}

// add puts a target on the list, unless it is on it.
func (l *list) add(t target, seen map[string]bool) {
	if seen[t.key()] {
		l.twice++
		return
	}
	seen[t.key()] = true
	l.targets = append(l.targets, t)
}

// readList reads what is on the command line, or in a file.
func (t *tool) readList(o submission, args []string) (*list, error) {
	l := &list{form: formArgs, path: o.file, column: o.column}
	seen := map[string]bool{}
	for _, person := range o.users {
		l.add(personOf(strings.TrimSpace(person)), seen)
	}
	for _, arg := range args {
		l.add(targetOf(strings.TrimSpace(arg)), seen)
	}
	switch {
	case o.file == "" && len(l.targets) == 0:
		return nil, badUsage("nothing is named; name sessions or people, or a file with -f")
	case o.file == "" && o.column != "":
		return nil, badUsage("--column goes with a CSV file (-f)")
	case o.file == "":
		return l, l.check()
	case len(l.targets) > 0:
		return nil, badUsage("a file and arguments are given; keep one")
	}
	var err error
	if o.file == "-" {
		l.content, err = io.ReadAll(t.stdin)
	} else {
		l.content, err = os.ReadFile(o.file)
	}
	if err != nil {
		return nil, badUsage("%w", err)
	}
	if err := l.read(seen); err != nil {
		return nil, badUsage("%s: %w", l.name(), err)
	}
	return l, l.check()
}

// name is what a person calls the list.
func (l *list) name() string {
	switch l.path {
	case "":
		return "the command line"
	case "-":
		return "the standard input"
	}
	return filepath.Base(l.path)
}

// read finds out the form of a file, and reads it.
func (l *list) read(seen map[string]bool) error {
	text := bytes.TrimPrefix(l.content, []byte("\ufeff"))
	start := bytes.TrimSpace(text)
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")), bytes.IndexByte(text, 0) >= 0:
		return errors.New("the file is in UTF-16: save it as UTF-8 (in Excel: CSV UTF-8)")
	case !utf8.Valid(text):
		return errors.New("the file is not in UTF-8: save it as UTF-8 (in Excel: CSV UTF-8)")
	case len(start) == 0:
		return errors.New("the file is empty")
	case start[0] == '<':
		return l.readXML(text, seen)
	case start[0] == '{' && l.column == "":
		return l.readJobs(text)
	case l.column != "", strings.EqualFold(filepath.Ext(l.path), ".csv"):
		return l.readCSV(text, seen)
	}
	l.form = formText
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		if line = strings.TrimSpace(line); line == "" {
			l.empty = append(l.empty, n)
			continue
		}
		found := targetOf(line)
		found.line = n
		l.add(found, seen)
	}
	return nil
}

// readXML reads the vendor's document. Its sessions may be more than one job may have.
func (l *list) readXML(text []byte, seen map[string]bool) error {
	l.form = formXML
	job, err := jobs.Decode(text, jobs.Rules{})
	if err != nil {
		return err
	}
	for _, s := range job.Sessions {
		if s.Wrong() != "" {
			return errors.New(s.Wrong())
		}
		l.add(target{session: jobs.Session{ID: s.ID}, text: s.ID}, seen)
	}
	return nil
}

// readJobs reads jobs, one a line. Each stays a job of its own.
func (l *list) readJobs(text []byte) error {
	l.form = formJobs
	var wrong []error
	lines := map[string]int{} // by id
	n := 0
	for line := range bytes.Lines(text) {
		n++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			l.empty = append(l.empty, n)
			continue
		}
		job, err := jobs.Decode(line, jobs.Rules{})
		if err == nil && len(job.Remarks) > 0 {
			err = errors.New(job.Remark())
		}
		if err == nil {
			err = firstWrong(job)
		}
		if before, twice := lines[job.ID]; err == nil && job.ID != "" && twice {
			err = fmt.Errorf("the id %s is that of line %d, too", job.ID, before)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("line %d: %w", n, err))
			continue
		}
		lines[job.ID] = n
		l.jobs, l.lines = append(l.jobs, job), append(l.lines, n)
	}
	return some(wrong)
}

// firstWrong says what is wrong with the first entry of a job that names nothing.
func firstWrong(job jobs.Job) error {
	for _, s := range job.Sessions {
		if s.Wrong() != "" {
			return errors.New(s.Wrong())
		}
	}
	for _, u := range job.Users {
		if u.Wrong() != "" {
			return errors.New(u.Wrong())
		}
	}
	return nil
}

// readCSV reads one column of a table whose first line has the names of the columns. A line that may hold others, because
// of a quote that is missing, or because its columns are not those of the first, is refused.
func (l *list) readCSV(text []byte, seen map[string]bool) error {
	l.form, l.comma = formCSV, commaOf(text)
	r := csv.NewReader(bytes.NewReader(text))
	r.Comma, r.FieldsPerRecord = l.comma, -1
	var err error
	if l.head, err = readRow(r); err != nil {
		return err
	}
	last, _ := r.FieldPos(0)
	column, err := l.findColumn(last)
	if err != nil {
		return err
	}
	var wrong []error
	for {
		row, err := readRow(r)
		if errors.Is(err, io.EOF) {
			return some(wrong)
		}
		if row == nil {
			return some(append(wrong, err))
		}
		line, _ := r.FieldPos(0)
		for last++; last < line; last++ {
			l.empty = append(l.empty, last) // the reader passes over empty lines
		}
		switch {
		case err != nil:
			wrong = append(wrong, err)
		case strings.TrimSpace(strings.Join(row, "")) == "":
			l.empty = append(l.empty, line)
		case len(row) != len(l.head):
			wrong = append(wrong, fmt.Errorf("line %d: it has %s, and the first line has %d", line, count(len(row), "field", "fields"), len(l.head)))
		case strings.TrimSpace(row[column]) == "":
			l.empty = append(l.empty, line)
		default:
			found := targetOf(strings.TrimSpace(row[column]))
			found.line, found.row = line, row
			l.add(found, seen)
		}
	}
}

// readRow reads a row of a table, and says of one with a wrong quote where it begins. There is no row where none can be
// told from the next.
func readRow(r *csv.Reader) ([]string, error) {
	row, err := r.Read()
	var syntax *csv.ParseError
	if errors.As(err, &syntax) {
		return nil, fmt.Errorf("line %d: a quote is missing or one too many: a field with quotes in it is quoted as a whole, and they are doubled", syntax.StartLine)
	}
	if err == nil && strings.ContainsAny(strings.Join(row, ""), "\r\n") {
		line, _ := r.FieldPos(0)
		err = fmt.Errorf("line %d: a field goes on over the end of the line: add the quote that is missing, or take such a column out of the file", line)
	}
	return row, err
}

// commaOf is what separates the columns of a table, as its first line shows.
func commaOf(text []byte) rune {
	first, _, _ := strings.Cut(string(text), "\n")
	for _, comma := range ",;\t" {
		if strings.ContainsRune(first, comma) {
			return comma
		}
	}
	return ','
}

// findColumn is the number of the column that is meant. The names are on a line.
func (l *list) findColumn(line int) (int, error) {
	if l.column == "" && len(l.head) == 1 {
		l.column = strings.TrimSpace(l.head[0])
		if t := targetOf(l.column); !t.isPerson() || t.user.ID != 0 || strings.ContainsAny(l.column, `@\`) {
			return 0, fmt.Errorf("%q in line %d is somebody, and no name of a column: put one above it, or say --column if it is one", l.column, line)
		}
		return 0, nil
	}
	for i, name := range l.head {
		if l.column != "" && strings.EqualFold(strings.TrimSpace(name), l.column) {
			return i, nil
		}
	}
	if l.column == "" {
		return 0, fmt.Errorf("which column? Name it with --column; there are %s", strings.Join(l.head, ", "))
	}
	return 0, fmt.Errorf("no column is %q; there are %s", l.column, strings.Join(l.head, ", "))
}

// check refuses a list with something on it that a worker would not take.
func (l *list) check() error {
	if len(l.targets) == 0 && len(l.jobs) == 0 {
		return badUsage("%s: nobody is in it", l.name())
	}
	var wrong []error
	for _, t := range l.targets {
		if err := t.check(); err != nil && t.line > 0 {
			wrong = append(wrong, fmt.Errorf("line %d: %w", t.line, err))
		} else if err != nil {
			wrong = append(wrong, err)
		}
	}
	if err := some(wrong); err != nil {
		return badUsage("%s: %w", l.name(), err)
	}
	return nil
}

// check decodes the target as a worker will.
func (t target) check() error {
	data, err := jobOf([]target{t}).Encode()
	if err != nil {
		return err
	}
	_, err = jobs.Decode(data, jobs.Rules{})
	return err
}

// some joins errors, but for those that nobody would read.
func some(wrong []error) error {
	const most = 10
	if len(wrong) > most {
		more := fmt.Errorf("and %d more", len(wrong)-most)
		wrong = append(slices.Clip(wrong[:most]), more)
	}
	return errors.Join(wrong...)
}
