// Chart checks deploy/chart with the helm that its flag names: what the chart renders are objects that Kubernetes
// takes, the plain manifests in deploy/kubernetes are what it renders, the streams for NACK are those that the worker
// needs, and wrong values are refused. With -write it writes the plain manifests instead of comparing
// them, and what the chart carries of deploy/monitoring.
//
// What needs no helm is in the tests: the plain manifests as they are committed, and the schema of the values.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"logoffworker/worker/stream"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("chart", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	h := helm{}
	flags.StringVar(&h.program, "helm", "", "")
	write := flags.Bool("write", false, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if h.program == "" {
		return errors.New("-helm must name the program")
	}
	if *write {
		return h.write(ctx)
	}
	manifests, err := h.manifests(ctx)
	if err != nil {
		return err
	}
	if err := manifests.compare(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d plain manifests are what the chart renders\n", len(manifests))
	if err := h.checkFull(ctx, out); err != nil {
		return err
	}
	for _, w := range wrongValues {
		if err := h.refuses(ctx, w); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "helm refuses %d wrong values\n", len(wrongValues))
	return nil
}

const (
	chart   = "../chart"
	plain   = "../kubernetes"
	minimal = chart + "/tests/values/minimal.yaml"
	full    = chart + "/tests/values/full.yaml"
	// shipped has the files that carried names.
	shipped = "../monitoring"
)

// carried are files of which the chart has copies: helm reads none outside of it.
var carried = []string{"rules.yaml", "dashboard.json"}

// write copies what the chart carries, and then writes the plain manifests.
func (h helm) write(ctx context.Context) error {
	for _, name := range carried {
		content, err := os.ReadFile(filepath.Join(shipped, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(chart, "files", name), content, 0o644); err != nil {
			return err
		}
	}
	manifests, err := h.manifests(ctx)
	if err != nil {
		return err
	}
	return manifests.write()
}

// A helm renders the chart.
type helm struct{ program string }

// template renders the chart, as the release logoff-worker, with the values of some files and those of stdin.
func (h helm) template(ctx context.Context, values string, files ...string) ([]byte, error) {
	// The version is told because a helm that is built from its module believes that Kubernetes is 1.20.
	args := []string{"template", "logoff-worker", chart, "--kube-version", "1.34.0"}
	for _, file := range append(files, "-") {
		args = append(args, "--values", file)
	}
	command := exec.CommandContext(ctx, h.program, args...)
	command.Stdin = strings.NewReader(values)
	var out, words bytes.Buffer
	command.Stdout, command.Stderr = &out, &words
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("helm template with %s and %q: %w: %s", files, values, err, words.Bytes())
	}
	return out.Bytes(), nil
}

// checkFull renders every value at once.
func (h helm) checkFull(ctx context.Context, out io.Writer) error {
	rendered, err := h.template(ctx, "", full)
	if err != nil {
		return err
	}
	objects, err := decode(rendered)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d objects of the full values decode strictly\n", len(objects))
	config := stream.DefaultConfig()
	config.Subjects.Prefix = "emea.logoff"
	config.MaxBytes = 10 << 30
	return sameStreams(ctx, objects, config, 3, "EMEA_LOGOFF_TOKENS")
}

func (h helm) refuses(ctx context.Context, w wrongValue) error {
	_, err := h.template(ctx, w.values, minimal)
	switch {
	case err == nil:
		return fmt.Errorf("helm takes %s: %s", w.what, w.values)
	case !strings.Contains(err.Error(), w.at):
		return fmt.Errorf("helm refuses %s, but does not name %s: %w", w.what, w.at, err)
	}
	return nil
}

// A set of manifests has the content of each file in deploy/kubernetes.
type set map[string]string

// manifests renders the plain manifests: with the least values, and beside them, for clusters that know these kinds
// of objects, what else the chart can make.
func (h helm) manifests(ctx context.Context) (set, error) {
	least, err := h.template(ctx, "", minimal)
	if err != nil {
		return nil, err
	}
	optional, err := h.template(ctx, "{podMonitor: {enabled: true}, prometheusRule: {enabled: true}, dashboard: {enabled: true}, nack: {enabled: true}}", minimal)
	if err != nil {
		return nil, err
	}
	manifests := split(least)
	for name, content := range split(optional) {
		if _, has := manifests[name]; !has {
			manifests["optional/"+name] = content
		}
	}
	return manifests, nil
}

// split puts what helm renders into files, named as the templates.
func split(rendered []byte) set {
	manifests := set{}
	for document := range strings.SplitSeq(string(rendered), "---\n# Source: logoff-worker/templates/") {
		name, content, is := strings.Cut(document, "\n")
		switch {
		case !is:
		case manifests[name] == "":
			manifests[name] = "# Made from deploy/chart by `make manifests`.\n" + content
		default:
			manifests[name] += "---\n" + content
		}
	}
	return manifests
}

func (s set) write() error {
	if err := os.RemoveAll(plain); err != nil {
		return err
	}
	for name, content := range s {
		path := filepath.Join(plain, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (s set) compare() error {
	files, err := plainFiles()
	if err != nil {
		return err
	}
	if len(files) != len(s) {
		return fmt.Errorf("the chart renders %d files, and %s has %d: run `make manifests`", len(s), plain, len(files))
	}
	for name, content := range s {
		have, err := os.ReadFile(filepath.Join(plain, name))
		if err != nil {
			return err
		}
		if string(have) != content {
			return fmt.Errorf("%s is not what the chart renders: run `make manifests`", filepath.Join(plain, name))
		}
	}
	return nil
}

func plainFiles() ([]string, error) {
	files, err := filepath.Glob(plain + "/*.yaml")
	if err != nil {
		return nil, err
	}
	optional, err := filepath.Glob(plain + "/optional/*.yaml")
	return append(files, optional...), err
}
