package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// writeDown writes those who are not known to be off to a file that can be submitted again.
func (t *tool) writeDown(s *sending, f findings) error {
	path := s.notDonePath()
	data, err := s.notDone(f)
	if err != nil {
		return err
	}
	who := leftWords(f)
	if err := writeWhole(path, data); err != nil {
		t.say("not done: %s; they cannot be written down (%v):", who, err)
		_, err := t.stderr.Write(data)
		return err
	}
	again := t.resubmit(s, &list{path: path, form: s.list.form, column: s.list.column})
	t.say("not done: %s, in %s; again with: %s", who, path, again)
	return nil
}

func leftWords(f findings) string {
	var parts []string
	if f.leftPeople > 0 {
		parts = append(parts, count(f.leftPeople, "person", "people"))
	}
	if n := len(f.left) - f.leftPeople; n > 0 {
		parts = append(parts, count(n, "session", "sessions"))
	}
	return strings.Join(parts, " and ")
}

// writeWhole writes a file in one step, so that nobody finds half of it.
func writeWhole(path string, data []byte) error {
	temporary := path + ".tmp"
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// notDonePath is the file beside the list: leavers.not-done.csv of leavers.csv, then leavers.not-done-2.csv.
func (s *sending) notDonePath() string {
	const mark = ".not-done"
	given := s.list.path
	if given == "" || given == "-" {
		return s.name + mark + s.list.extension()
	}
	stem := strings.TrimSuffix(given, filepath.Ext(given))
	n := 1
	if at := strings.LastIndex(stem, mark); at >= 0 {
		n = 2
		_, _ = fmt.Sscanf(stem[at+len(mark):], "-%d", &n)
		if stem[at+len(mark):] != "" {
			n++
		}
		stem = stem[:at]
	}
	if n > 1 {
		return fmt.Sprintf("%s%s-%d%s", stem, mark, n, s.list.extension())
	}
	return stem + mark + s.list.extension()
}

// extension is that of the file of what is not done.
func (l *list) extension() string {
	switch l.form {
	case formCSV:
		return ".csv"
	case formJobs:
		return ".jsonl"
	}
	return ".txt"
}

// notDone is the content of that file, in the form of the list.
func (s *sending) notDone(f findings) ([]byte, error) {
	var data bytes.Buffer
	switch s.list.form {
	case formCSV:
		w := csv.NewWriter(&data)
		w.Comma = s.list.comma
		_ = w.Write(s.list.head)
		for _, t := range f.left {
			_ = w.Write(t.row)
		}
		w.Flush()
		return data.Bytes(), w.Error()
	case formJobs:
		for _, job := range f.leftJobs {
			job.ID = "" // it is another job than the one with the result
			line, err := job.Encode()
			if err != nil {
				return nil, err
			}
			data.Write(append(line, '\n'))
		}
		return data.Bytes(), nil
	}
	for _, t := range f.left {
		line := t.text
		if !t.isPerson() {
			line = t.session.ID
			if t.session.UserID != 0 {
				line += fmt.Sprintf("@%d", t.session.UserID)
			}
		}
		data.WriteString(line + "\n")
	}
	return data.Bytes(), nil
}
