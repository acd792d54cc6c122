package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"
)

// say tells a person something: on stderr, a line.
func (t *tool) say(format string, values ...any) {
	fmt.Fprintln(t.stderr, shown(fmt.Sprintf(format, values...)))
}

// ask writes a question on stderr, without the end of the line.
func (t *tool) ask(format string, values ...any) {
	fmt.Fprint(t.stderr, shown(fmt.Sprintf(format, values...)))
}

// print prints a line of data on stdout.
func (t *tool) print(format string, values ...any) error {
	_, err := fmt.Fprintln(t.stdout, shown(fmt.Sprintf(format, values...)))
	return err
}

// object prints data as one JSON object on a line of stdout; bytes as they are.
func (t *tool) object(v any) error {
	data, stored := v.([]byte)
	if !stored {
		var err error
		if data, err = json.Marshal(v); err != nil {
			return err
		}
	}
	_, err := t.stdout.Write(append(data, '\n'))
	return err
}

// table prints columns on stdout, the first row being their heads.
func (t *tool) table(rows [][]string) error {
	w := tabwriter.NewWriter(t.stdout, 0, 1, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = shown(cell)
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "\t"), "\t ")); err != nil {
			return err
		}
	}
	return w.Flush()
}

// shown is a text without characters that would act on a terminal: what a job or a server says may hold any.
func shown(text string) string {
	return tones.Replace(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return '�'
		}
		return r
	}, text))
}

// tones gives back what is ours.
var tones = strings.NewReplacer("\ufffd[32m", string(good), "\ufffd[33m", string(warn), "\ufffd[31m", string(bad), "\ufffd[0m", "\x1b[0m")

// isTerminal reports whether a stream is one that a person looks at.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// A tone is what a word's colour would say. The word itself says it, too.
type tone string

// The tones.
const (
	good tone = "\x1b[32m"
	warn tone = "\x1b[33m"
	bad  tone = "\x1b[31m"
)

// colour gives a word on w a colour, on a terminal whose user wants any. It is not for cells of a table, whose widths it
// would spoil, but for the last.
func (t *tool) colour(w io.Writer, c tone, word string) string {
	if !isTerminal(w) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || os.Getenv("TERM") == "" {
		return word
	}
	return string(c) + word + "\x1b[0m"
}

// count is a number with its noun: 1 person, 9,998 people.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// number is a number with commas between its thousands.
func number(n int) string {
	digits := strconv.Itoa(n)
	for at := len(digits) - 3; at > 0 && digits[at-1] != '-'; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
