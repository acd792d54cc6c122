package main

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/santhosh-tekuri/jsonschema/v6"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"logoffworker/worker/stream"
)

// TestMain runs the tests where the program runs.
func TestMain(m *testing.M) {
	if err := os.Chdir(".."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// The plain manifests are objects that Kubernetes takes. That they are what the chart renders is seen by make
// chart-check, because it needs helm.
func TestPlainManifestsDecodeStrictly(t *testing.T) {
	objects := plainObjects(t)
	if len(objects) != 13 {
		t.Errorf("there are %d objects", len(objects))
	}
	if _, err := decode([]byte("apiVersion: apps/v1\nkind: Deployment\nspec: {replica: 2}\n")); err == nil || !strings.Contains(err.Error(), "replica") {
		t.Errorf("a misspelled field: %v", err)
	}
	for _, wrong := range []string{"kind: Stream\nspec: {subject: [a]}\n", "kind: StreamTemplate\n"} {
		if _, err := decode([]byte("apiVersion: " + nackVersion + "\n" + wrong)); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}

// Chart and plain manifests carry the alerts and the dashboard of deploy/monitoring.
func TestAlertsAndDashboardAreCarried(t *testing.T) {
	texts := map[string]string{}
	for _, name := range carried {
		text, err := os.ReadFile(filepath.Join(shipped, name))
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
		if has, err := os.ReadFile(filepath.Join(chart, "files", name)); err != nil || string(has) != texts[name] {
			t.Errorf("the chart has another %s (run `make manifests`): %v", name, err)
		}
	}
	var rules monitoring.PrometheusRuleSpec
	if err := yaml.UnmarshalStrict([]byte(texts["rules.yaml"]), &rules); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, object := range plainObjects(t) {
		switch o := object.(type) {
		case *monitoring.PrometheusRule:
			found++
			if difference := cmp.Diff(rules, o.Spec); difference != "" {
				t.Errorf("the alerts are others (run `make manifests`):\n%s", difference)
			}
		case *core.ConfigMap:
			found++
			if o.Data["logoff-worker.json"] != strings.TrimSpace(texts["dashboard.json"]) || o.Labels["grafana_dashboard"] != "1" {
				t.Error("the dashboard is another (run `make manifests`)")
			}
		}
	}
	if found != 2 {
		t.Errorf("there are %d of them", found)
	}
}

// The streams and consumers for NACK are those that the worker makes itself.
func TestStreamsForNACKAreTheWorkers(t *testing.T) {
	objects := plainObjects(t)
	if err := sameStreams(t.Context(), objects, stream.DefaultConfig(), 3, ""); err != nil {
		t.Error(err)
	}
	for _, object := range objects {
		if s, is := object.(*nackStream); is {
			s.Spec.DenyPurge = false
		}
	}
	if err := sameStreams(t.Context(), objects, stream.DefaultConfig(), 3, ""); err == nil || !strings.Contains(err.Error(), "DenyPurge:false") {
		t.Errorf("a stream that can be purged: %v", err)
	}
}

// Every setting of the program is a value of the chart, but for those that make no sense there, and no other is. The
// full values have them all, but for two that exclude others.
func TestValuesHaveEverySetting(t *testing.T) {
	leftOut := []string{
		"LOGOFF_NATS_PASSWORD", "LOGOFF_NATS_TOKEN", "LOGOFF_WEBSERVER_TOKEN", "LOGOFF_WEBSERVER_PASSWORD", // secrets are files
		"LOGOFF_NATS_STORE_DIR", "LOGOFF_NATS_LISTEN", // of the embedded broker
		"LOGOFF_HTTP_ADDR", "LOGOFF_RECEIVER_ADDR", // the chart's own
		"LOGOFF_HTTP_CONFIG_FILE", // the probes would not know what it demands of them
		"LOGOFF_WORKER_NAME",      // one for all workers would tell none from another
	}
	readme, err := os.ReadFile("../../cmd/logoff-worker/README.md") // a test there holds it to what --help prints
	if err != nil {
		t.Fatal(err)
	}
	_, help, _ := strings.Cut(string(readme), "<!-- logoff-worker --help -->\n```\n")
	help, _, _ = strings.Cut(help, "```")
	settings, files := []string{"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"}, []string{}
	for _, match := range regexp.MustCompile(`(?m)^  ([A-Z][A-Z_]+) `).FindAllStringSubmatch(help, -1) {
		switch name := match[1]; {
		case slices.Contains(leftOut, name):
		case strings.HasSuffix(name, "_FILE"):
			files = append(files, name)
		default:
			settings = append(settings, name)
		}
	}
	var schema struct {
		Properties struct {
			Settings, Files struct{ Properties map[string]any }
		}
	}
	read(t, "values.schema.json", &schema)
	if got := names(schema.Properties.Settings.Properties); !slices.Equal(got, slices.Sorted(slices.Values(settings))) {
		t.Errorf("settings of the schema are %q, of the program %q", got, settings)
	}
	if got := names(schema.Properties.Files.Properties); !slices.Equal(got, slices.Sorted(slices.Values(files))) {
		t.Errorf("files of the schema are %q, of the program %q", got, files)
	}
	var values struct{ Settings, Files map[string]any }
	read(t, "tests/values/full.yaml", &values)
	for _, name := range settings {
		if _, has := values.Settings[name]; !has && name != "LOGOFF_NATS_API_PREFIX" && name != "LOGOFF_WEBSERVER_USERNAME" {
			t.Errorf("the full values leave out %s", name)
		}
	}
}

func names(properties map[string]any) []string { return slices.Sorted(maps.Keys(properties)) }

// The schema takes good values, and of values.yaml alone says what is missing.
func TestSchemaTakesGoodValues(t *testing.T) {
	schema := compiled(t)
	for _, name := range []string{"minimal", "full"} {
		if err := schema.Validate(over(defaults(t), values(t, name))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, good := range []string{
		"{settings: {LOGOFF_NATS_URL: 'wss://nats.example/nats'}}", "{settings: {LOGOFF_NATS_URL: 'nats://[::1]:4222,tls://b'}}",
		"{global: {imageRegistry: registry.example}}", "{networkPolicy: {enabled: false}}", "{nack: {enabled: true}}",
		"{image: 'logoff-worker:v1'}", "{image: 'localhost:5000/logoff-worker@sha256:" + strings.Repeat("0a", 32) + "'}",
		"{settings: {LOGOFF_WEBSERVER_USERNAME: null}, files: {LOGOFF_WEBSERVER_PASSWORD_FILE: null, LOGOFF_WEBSERVER_TOKEN_FILE: {secret: a, key: b}}}",
	} {
		if err := schema.Validate(over(over(defaults(t), values(t, "minimal")), parsed(t, good))); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	err := schema.Validate(defaults(t))
	for _, missing := range []string{"/image", "'LOGOFF_NATS_URL', 'LOGOFF_WEBSERVER_URL'", "LOGOFF_WEBSERVER_PASSWORD_FILE"} {
		if err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("the defaults alone: %v", err)
		}
	}
}

// The schema refuses each wrong value and says where it is.
func TestSchemaRefusesWrongValues(t *testing.T) {
	schema := compiled(t)
	for _, w := range wrongValues {
		err := schema.Validate(over(over(defaults(t), values(t, "minimal")), parsed(t, w.values)))
		if err == nil || !strings.Contains(err.Error(), w.at) {
			t.Errorf("%s, %s: %v", w.what, w.values, err)
		}
	}
	t.Logf("%d wrong values", len(wrongValues))
}

// What each pod may do is what Kubernetes calls restricted, and less.
func TestPodsAreRestricted(t *testing.T) {
	pod := deployment(t).Spec.Template.Spec
	if len(pod.Containers) != 1 || *pod.AutomountServiceAccountToken || *pod.EnableServiceLinks || pod.HostNetwork || pod.HostPID || pod.HostIPC {
		t.Errorf("%+v", pod)
	}
	if s := pod.SecurityContext; !*s.RunAsNonRoot || *s.RunAsUser != 65532 || s.SeccompProfile.Type != "RuntimeDefault" {
		t.Errorf("%+v", s)
	}
	container := pod.Containers[0]
	if s := container.SecurityContext; *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) {
		t.Errorf("%+v", s)
	}
	for _, variable := range container.Env {
		if variable.ValueFrom != nil && variable.ValueFrom.SecretKeyRef != nil {
			t.Errorf("%s is a secret in the environment", variable.Name)
		}
	}
}

func deployment(t *testing.T) *apps.Deployment {
	t.Helper()
	for _, object := range plainObjects(t) {
		if d, is := object.(*apps.Deployment); is {
			return d
		}
	}
	t.Fatal("there is no Deployment")
	return nil
}

func plainObjects(t *testing.T) (objects []any) {
	t.Helper()
	files, err := plainFiles()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		of, err := decode(text)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		objects = append(objects, of...)
	}
	return objects
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(chart, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// read reads a file of the chart, in YAML or JSON.
func read(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chart, file))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func defaults(t *testing.T) (all map[string]any) {
	t.Helper()
	read(t, "values.yaml", &all)
	return all
}

func values(t *testing.T, name string) (all map[string]any) {
	t.Helper()
	read(t, "tests/values/"+name+".yaml", &all)
	return all
}

func parsed(t *testing.T, text string) (all map[string]any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(text), &all); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return all
}

// over puts values over others, as helm does: null takes a value out.
func over(below, above map[string]any) map[string]any {
	for name, value := range above {
		deeper, isMap := value.(map[string]any)
		has, hasMap := below[name].(map[string]any)
		switch {
		case value == nil:
			delete(below, name)
		case isMap && hasMap:
			below[name] = over(has, deeper)
		case isMap:
			below[name] = over(map[string]any{}, deeper)
		default:
			below[name] = value
		}
	}
	return below
}
