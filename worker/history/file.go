package history

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"

	"github.com/go-json-experiment/json"
)

const (
	runFile       = "run.json"
	outputsFolder = "outputs"
)

// parts are a history's files of lines, one object a line.
func (h *History) parts() map[string]lines {
	return map[string]lines{
		"published.jsonl": &list[Published]{&h.Published},
		"requests.jsonl":  &list[Request]{&h.Requests},
		"results.jsonl":   &list[Stored]{&h.Results},
		"dead.jsonl":      &list[Stored]{&h.Dead},
		"left.jsonl":      &list[Stored]{&h.Left},
		"queues.jsonl":    &list[Queue]{&h.Queues},
		"acks.jsonl":      &list[Ack]{&h.Acks},
		"faults.jsonl":    &list[Fault]{&h.Faults},
		"samples.jsonl":   &list[Sample]{&h.Samples},
		"counters.jsonl":  &list[Counters]{&h.Counters},
	}
}

// lines can be written to, and read from, a file of lines.
type lines interface {
	write(io.Writer) error
	read(line []byte) error
}

type list[T any] struct{ all *[]T }

func (l *list[T]) write(w io.Writer) error {
	for i := range *l.all {
		if err := json.MarshalWrite(w, &(*l.all)[i], json.Deterministic(true)); err != nil {
			return err
		}
		if _, err := io.WriteString(w, "\n"); err != nil {
			return err
		}
	}
	return nil
}

func (l *list[T]) read(line []byte) error {
	var one T
	if err := json.Unmarshal(line, &one); err != nil {
		return err
	}
	*l.all = append(*l.all, one)
	return nil
}

// outputName is what an output may be called, so that it can be a file.
var outputName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// Write writes the record into a directory, which is made if need be. Canaries are written in base64,
// so that a search for them finds only what leaked.
func (h *History) Write(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, outputsFolder), 0o700); err != nil {
		return err
	}
	run := h.Run
	run.Canaries = map[string]string{}
	for name, canary := range h.Run.Canaries {
		run.Canaries[name] = base64.StdEncoding.EncodeToString([]byte(canary))
	}
	data, err := json.Marshal(run, json.Deterministic(true))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, runFile), append(data, '\n'), 0o600); err != nil {
		return err
	}
	for name, part := range h.parts() {
		if err := writeLines(filepath.Join(dir, name), part); err != nil {
			return err
		}
	}
	for name, output := range h.Outputs {
		if !outputName.MatchString(name) {
			return fmt.Errorf("an output is called %q, which is no file name", name)
		}
		if err := os.WriteFile(filepath.Join(dir, outputsFolder, name), output, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func writeLines(file string, part lines) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	err = errors.Join(part.write(w), w.Flush(), f.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// Read reads what Write wrote. A file that is missing is an error, because a record must be complete.
func Read(dir string) (*History, error) {
	h := &History{Outputs: map[string][]byte{}}
	data, err := os.ReadFile(filepath.Join(dir, runFile))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &h.Run); err != nil {
		return nil, fmt.Errorf("read %s: %w", runFile, err)
	}
	canaries := maps.Clone(h.Run.Canaries)
	for name, encoded := range canaries {
		canary, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, fmt.Errorf("read %s: canary %s: %w", runFile, name, err)
		}
		h.Run.Canaries[name] = string(canary)
	}
	for name, part := range h.parts() {
		if err := readLines(filepath.Join(dir, name), part); err != nil {
			return nil, err
		}
	}
	return h, fs.WalkDir(os.DirFS(dir), outputsFolder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		h.Outputs[entry.Name()], err = os.ReadFile(filepath.Join(dir, path))
		return err
	})
}

func readLines(file string, part lines) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		if err := part.read(bytes.TrimSpace(line)); err != nil {
			return fmt.Errorf("read %s, line %d: %w", file, number, err)
		}
	}
	return nil
}
