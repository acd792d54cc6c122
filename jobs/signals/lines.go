package signals

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"logoffworker/jobs"
)

// lines reads text with a session ID a line. Blank lines mean nothing.
func (g *reading) lines(body []byte) error {
	if !utf8.Valid(body) {
		return invalid(InvalidRequest, "invalid UTF-8; lines of session IDs are expected")
	}
	var job jobs.Job
	var numbers []int // of each session's line
	number := 0
	for line := range strings.Lines(string(bytes.TrimPrefix(body, []byte("\ufeff")))) {
		number++
		if id := strings.TrimFunc(line, unicode.IsSpace); id != "" {
			job.Sessions, numbers = append(job.Sessions, jobs.Session{ID: id}), append(numbers, number)
		}
	}
	if len(job.Sessions) == 0 {
		return invalid(InvalidRequest, "the message has no line; a session ID a line is expected")
	}
	data, err := job.Encode()
	if err != nil {
		return invalid(InvalidRequest, "lines of session IDs are expected")
	}
	read, err := jobs.Decode(data, g.Rules)
	if err != nil {
		return invalid(InvalidRequest, "%s", lineError(err, numbers, job.Sessions))
	}
	for _, s := range read.Sessions {
		if s.Wrong() != "" {
			s.Entry.Wrong += notPeople(s.Spelled())
		}
	}
	g.answer.Job = read
	return nil
}

// lineError says what is wrong, and in which line.
func lineError(err error, numbers []int, sessions []jobs.Session) string {
	var wrong *jobs.InvalidError
	if !errors.As(err, &wrong) {
		return err.Error()
	}
	index, ok := strings.CutPrefix(wrong.Place, "/sessions/")
	i, notNumber := strconv.Atoi(index)
	if !ok || notNumber != nil || i >= len(numbers) {
		return wrong.Reason
	}
	return "at line " + strconv.Itoa(numbers[i]) + ": " + wrong.Reason + notPeople(sessions[i].ID)
}

// notPeople says of a line that names somebody what lines are for.
func notPeople(line string) string {
	if strings.ContainsAny(line, `@\`) {
		return "; lines are sessions, not people"
	}
	return ""
}
