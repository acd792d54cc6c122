package schema

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
	"logoffworker/worker/broker"
	"logoffworker/worker/issuers"
	"logoffworker/worker/stream"
)

// lines is the folder of the programs that publish the samples.
const lines = "testdata/publish"

// A message is one as it is published.
type message struct {
	Header map[string]string
	Body   string
}

// An example is one of the AsyncAPI document that is a sample.
type example struct {
	Sample, ContentType string
	message
}

// examples are what each of the programs publishes, in the order of their message ids.
func examples(t *testing.T) (all []example) {
	t.Helper()
	for _, m := range readDocument(t).Components.Messages {
		for _, e := range m.Examples {
			if strings.HasPrefix(e.Name, "job") {
				all = append(all, example{e.Name, m.ContentType, message{e.Headers, string(read(t, "testdata/"+e.Name))}})
			}
		}
	}
	slices.SortFunc(all, func(a, b example) int { return strings.Compare(a.Header["Nats-Msg-Id"], b.Header["Nats-Msg-Id"]) })
	return all
}

// published are their messages.
func published(t *testing.T) (all []message) {
	t.Helper()
	for _, e := range examples(t) {
		all = append(all, e.message)
	}
	return all
}

// Each of them is read as a job of its format, where the issuers file of the examples of jobs/signals is trusted.
func TestSamplesAreJobs(t *testing.T) {
	trusted, err := issuers.Open(filepath.Join(contract, "signals", "testdata", "issuers.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	reader := trusted.Reader(jobs.Rules{}, time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC))
	r, err := jobs.DecodeResult(read(t, "testdata/result-signal.json"))
	if err != nil {
		t.Fatal(err)
	}
	formats := map[jobs.Format]bool{}
	for _, e := range examples(t) {
		header := http.Header{}
		for name, value := range e.Header {
			header.Set(name, value)
		}
		a := reader.Message(header, []byte(e.Body))
		if formats[a.Format] = true; a.Verdict != signals.Job || len(a.Job.Sessions)+len(a.Job.Users) == 0 {
			t.Errorf("%s as %s is %s: %s", e.Sample, e.ContentType, a.Verdict, a.Why)
		}
		if a.Format == jobs.SET {
			told := *a.Signal
			told.Token = "" // which the sample does without
			if r.JobID != a.Job.ID || r.Publisher != a.Issuer || !r.EventTime.Equal(a.Job.EventTime) || r.Reason != a.Job.Reason || *r.Signal != told {
				t.Errorf("result-signal.json is not of the job %+v with %+v", a.Job, told)
			}
		}
	}
	if len(formats) != len(jobs.Formats)-1 { // a webhook comes over HTTP, and is its sender's
		t.Errorf("of the formats there are only %v", formats)
	}
}

// program finds a program, or skips the test.
func program(t *testing.T, name string) string {
	t.Helper()
	found, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return found
}

// run runs a program where the samples are.
func run(t *testing.T, environment []string, command ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), command[0], command[1:]...)
	c.Dir, c.Env = filepath.Join(contract, "testdata"), append(os.Environ(), environment...)
	if said, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, said)
	}
}

// onNATS returns what a program publishes on NATS, whose address it is given.
func onNATS(t *testing.T, publish func(url string)) (all []message) {
	t.Helper()
	b, err := broker.Start(broker.Options{StoreDir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Shutdown)
	nc, err := b.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DefaultConfig().ProvisionStreams(t.Context(), js); err != nil {
		t.Fatal(err)
	}
	publish(b.URL())
	requests, err := js.Stream(t.Context(), stream.DefaultConfig().Subjects.RequestStream())
	if err != nil {
		t.Fatal(err)
	}
	for sequence := range requests.CachedInfo().State.LastSeq {
		m, err := requests.GetMsg(t.Context(), sequence+1)
		if err != nil {
			t.Fatal(err)
		}
		header := map[string]string{}
		for name, values := range m.Header {
			header[name] = values[0]
		}
		all = append(all, message{header, string(m.Data)})
	}
	return all
}

func TestNATSCommandPublishesTheSamples(t *testing.T) {
	command := os.Getenv("LOGOFF_TEST_NATS")
	if command == "" {
		command = program(t, "nats")
	}
	bin := t.TempDir()
	if err := os.Symlink(command, filepath.Join(bin, "nats")); err != nil {
		t.Fatal(err)
	}
	got := onNATS(t, func(url string) {
		run(t, []string{"NATS_URL=" + url, "HOME=" + bin, "PATH=" + bin + ":" + os.Getenv("PATH")}, "sh", "publish/nats.sh")
	})
	if diff := cmp.Diff(published(t), got); diff != "" {
		t.Error(diff)
	}
}

func TestGoPublishesTheSamples(t *testing.T) {
	file := filepath.Join(t.TempDir(), "publish")
	run(t, nil, "go", "build", "-o", file, "./publish")
	got := onNATS(t, func(url string) { run(t, []string{"NATS_URL=" + url}, file) })
	if diff := cmp.Diff(published(t), got); diff != "" {
		t.Error(diff)
	}
}

// Without nats-py, Python at least reads the program.
func TestPythonPublishesTheSamples(t *testing.T) {
	python := program(t, "python3")
	if exec.CommandContext(t.Context(), python, "-c", "import nats").Run() != nil {
		run(t, nil, python, "-c", "import ast; ast.parse(open('publish/publish.py').read())")
		return
	}
	got := onNATS(t, func(url string) { run(t, []string{"NATS_URL=" + url}, python, "publish/publish.py") })
	if diff := cmp.Diff(published(t), got); diff != "" {
		t.Error(diff)
	}
}

func TestCurlPostsTheSamples(t *testing.T) {
	program(t, "curl")
	posted(t, "sh", "publish/curl.sh")
}

func TestPowerShellPostsTheSamples(t *testing.T) {
	posted(t, program(t, "pwsh"), "-NoProfile", "-File", "publish/publish.ps1")
}

// posted holds what a program posts to what is published; over HTTP there are no message ids.
func posted(t *testing.T, command ...string) {
	t.Helper()
	var mu sync.Mutex
	var got, want []message
	names := map[string]bool{}
	for _, m := range published(t) {
		header := maps.Clone(m.Header)
		delete(header, "Nats-Msg-Id")
		want = append(want, message{header, m.Body})
		for name := range header {
			names[name] = true
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if r.Header.Get("Authorization") != "Bearer secret" || r.Method != http.MethodPost || r.URL.Path != "/v1/jobs" || err != nil {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		header := map[string]string{}
		for name := range names {
			if value := r.Header.Get(name); value != "" {
				header[name] = value
			}
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, message{header, string(body)})
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	run(t, []string{"RECEIVER=" + server.URL, "TOKEN=secret"}, command...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Each program names each sample with its content type, in the same order, also where the program cannot be run here.
func TestEveryProgramPublishesEverySample(t *testing.T) {
	files, err := os.ReadDir(filepath.Join(contract, lines))
	if err != nil || len(files) != 5 {
		t.Fatalf("%d programs: %v", len(files), err)
	}
	quotes := strings.NewReplacer(`"`, "", ",", "", ")", "")
	for _, file := range files {
		rest := strings.Join(strings.Fields(quotes.Replace(string(read(t, lines+"/"+file.Name())))), " ") + " "
		for _, e := range examples(t) {
			_, after, found := strings.Cut(rest, " "+e.Sample+" "+e.ContentType+" ")
			if !found {
				t.Errorf("%s does not publish %s as %s after those before it", file.Name(), e.Sample, e.ContentType)
			}
			rest = " " + after
		}
	}
}
