package history

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/go-json-experiment/json"
)

const (
	runFile       = "run.json"
	outputsFolder = "outputs"
)

// A runRecord is the run, with the names of the outputs that belong to it: others may lie beside them.
type runRecord struct {
	Run
	Outputs []string `json:"outputs"`
}

// parts are a history's files of lines, one object a line.
func (h *History) parts() map[string]lines {
	return map[string]lines{
		"published.jsonl": &list[Published]{&h.Published},
		"requests.jsonl":  &list[Request]{&h.Requests},
		"results.jsonl":   &list[Stored]{&h.Results},
		"dead.jsonl":      &list[Stored]{&h.Dead},
		"left.jsonl":      &list[Stored]{&h.Left},
		"acts.jsonl":      &list[Stored]{&h.Acts},
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
	for name, output := range h.Outputs {
		if !outputName.MatchString(name) {
			return fmt.Errorf("an output is called %q, which is no file name", name)
		}
		if err := os.WriteFile(filepath.Join(dir, outputsFolder, name), output, 0o600); err != nil {
			return err
		}
	}
	for name, part := range h.parts() {
		if err := writeLines(filepath.Join(dir, name), part); err != nil {
			return err
		}
	}
	return h.writeRun(filepath.Join(dir, runFile))
}

func (h *History) writeRun(file string) error {
	record := runRecord{h.Run, slices.Sorted(maps.Keys(h.Outputs))}
	record.Canaries = map[string]string{}
	for name, canary := range h.Run.Canaries {
		record.Canaries[name] = base64.StdEncoding.EncodeToString([]byte(canary))
	}
	data, err := json.Marshal(record, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return os.WriteFile(file, append(data, '\n'), 0o600)
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
	outputs, err := h.readRun(filepath.Join(dir, runFile))
	if err != nil {
		return nil, err
	}
	for name, part := range h.parts() {
		if err := readLines(filepath.Join(dir, name), part); err != nil {
			return nil, err
		}
	}
	for _, name := range outputs {
		if h.Outputs[name], err = os.ReadFile(filepath.Join(dir, outputsFolder, name)); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// readRun reads the run, and returns the names of its outputs.
func (h *History) readRun(file string) (outputs []string, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var record runRecord
	if err := json.Unmarshal(data, &record); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	for name, encoded := range record.Canaries {
		canary, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, fmt.Errorf("read %s: canary %s: %w", file, name, err)
		}
		record.Canaries[name] = string(canary)
	}
	for _, name := range record.Outputs {
		if !outputName.MatchString(name) {
			return nil, fmt.Errorf("read %s: an output is called %q, which is no file name", file, name)
		}
	}
	if record.Outputs == nil {
		return nil, fmt.Errorf("read %s: the list of outputs is missing", file)
	}
	h.Run = record.Run
	return record.Outputs, nil
}

func readLines(file string, part lines) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	for number := 1; ; number++ {
		line, end := r.ReadBytes('\n')
		if end != nil && !errors.Is(end, io.EOF) {
			return end
		}
		if len(line) == 0 {
			return nil
		}
		if err := part.read(bytes.TrimSpace(line)); err != nil {
			return fmt.Errorf("read %s, line %d: %w", file, number, err)
		}
	}
}
