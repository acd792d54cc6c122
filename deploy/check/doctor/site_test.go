package doctor_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/worker/stage"
)

// A site is a deployment with the shipped rights: a NATS server, a simulated Web Server and two workers.
type site struct {
	t        *testing.T
	dir      string
	path     string // of the programs
	nats     *server.Server
	port     int
	monitor  int
	inBlock  string // lines of the block jetstream
	accounts string // the shipped rights, as they are here
	web      *stage.WebServer
	workers  []*stage.Process
	settings [][]string // of each worker, beside those of all
	http     []int
	js       jetstream.JetStream // of the admin
}

// natsCommand is the nats command: what LOGOFF_TEST_NATS names, else that of the machine.
func natsCommand(t *testing.T) string {
	t.Helper()
	if named := os.Getenv("LOGOFF_TEST_NATS"); named != "" {
		return named
	}
	found, err := exec.LookPath("nats")
	if err != nil {
		t.Skip("the nats command is not installed: make doctor-check builds it")
	}
	return found
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), settings: [][]string{nil, nil}}
	s.path = filepath.Join(s.dir, "bin")
	s.check(os.Mkdir(s.path, 0o700))
	s.check(os.Symlink(natsCommand(t), filepath.Join(s.path, "nats")))
	for _, program := range []string{"logoffctl", "logoff-worker", "simulator"} {
		s.check(stage.Build(t.Context(), program, filepath.Join(s.path, program)))
	}
	ports, err := stage.FreePorts(4)
	s.check(err)
	s.port, s.monitor, s.http = ports[0], ports[1], ports[2:]
	accounts, err := os.ReadFile("../../nats/accounts.conf")
	s.check(err)
	s.accounts = string(accounts)
	for _, variable := range regexp.MustCompile(`\$(LOGOFF_(\w+)_PASSWORD)`).FindAllStringSubmatch(s.accounts, -1) {
		t.Setenv(variable[1], `"`+strings.ToLower(variable[2])+`"`) // the password of each user is its name
	}
	s.startNATS()
	t.Cleanup(s.stopNATS)
	s.web, err = stage.StartWebServer(t.Context(), filepath.Join(s.path, "simulator"))
	s.check(err)
	t.Cleanup(s.web.Process.Kill)
	s.shell("logoff-worker init")
	s.startWorkers()
	t.Cleanup(s.stopWorkers)
	return s
}

func (s *site) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) startNATS() {
	s.t.Helper()
	file := filepath.Join(s.dir, "nats-server.conf")
	s.check(os.WriteFile(filepath.Join(s.dir, "accounts.conf"), []byte(s.accounts), 0o600))
	s.check(os.WriteFile(file, fmt.Appendf(nil, "server_name: logoff\nlisten: \"127.0.0.1:%d\"\nhttp: \"127.0.0.1:%d\"\njetstream {\n  store_dir: %q\n%s\n}\ninclude accounts.conf\n",
		s.port, s.monitor, filepath.Join(s.dir, "jetstream"), s.inBlock), 0o600))
	options, err := server.ProcessConfigFile(file)
	s.check(err)
	s.nats, err = stage.StartNATS(options)
	s.check(err)
	s.js, err = jetstream.New(s.connect("admin"))
	s.check(err)
}

// connect connects as a user, until the server ends.
func (s *site) connect(user string) *nats.Conn {
	s.t.Helper()
	nc, err := nats.Connect(s.url(), nats.UserInfo(user, user), nats.NoReconnect())
	s.check(err)
	return nc
}

func (s *site) stopNATS() {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
}

func (s *site) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", s.port) }

func (s *site) startWorkers() {
	s.t.Helper()
	for i := range s.settings {
		worker, err := stage.Launch(fmt.Sprintf("worker-%d", i), &stage.Output{}, s.environment("worker", append([]string{
			fmt.Sprintf("LOGOFF_WORKER_NAME=worker-%d", i), fmt.Sprintf("LOGOFF_HTTP_ADDR=127.0.0.1:%d", s.http[i]),
			"LOGOFF_NATS_PROVISION=verify",
		}, s.settings[i]...)...), filepath.Join(s.path, "logoff-worker"))
		s.check(err)
		s.workers = append(s.workers, worker)
	}
}

func (s *site) stopWorkers() {
	for _, worker := range s.workers {
		if err := worker.Stop(30 * time.Second); err != nil {
			s.t.Error(err)
		}
	}
	s.workers = nil
}

// environment is that of a program which is a user of NATS.
func (s *site) environment(user string, more ...string) []string {
	inbox := map[string]string{"admin": "_INBOX", "worker": "_INBOX_logoff"}[user]
	if inbox == "" {
		inbox = "_INBOX_" + user
	}
	return append(append(os.Environ(), "PATH="+s.path+":"+os.Getenv("PATH"), "HOME="+s.dir, "XDG_CONFIG_HOME="+s.dir,
		"NATS_URL="+s.url(), "NATS_USER="+user, "NATS_PASSWORD="+user, "NATS_INBOX_PREFIX="+inbox,
		"LOGOFF_NATS_URL="+s.url(), "LOGOFF_NATS_USER="+user, "LOGOFF_NATS_PASSWORD="+user, "LOGOFF_NATS_INBOX_PREFIX="+inbox,
		fmt.Sprintf("LOGOFF_NATS_MONITOR_URL=http://127.0.0.1:%d", s.monitor),
		fmt.Sprintf("LOGOFF_WEBSERVER_URL=http://127.0.0.1:%d/commandcenter/api", s.web.Port),
		"LOGOFF_WEBSERVER_USERNAME=admin", "LOGOFF_WEBSERVER_PASSWORD=simulator"), more...)
}

// shell runs a command as whoever may change streams.
func (s *site) shell(command string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "sh", "-c", command)
	cmd.Env = s.environment("admin")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// A diagnosis is a line of what the doctor prints.
type diagnosis struct{ Level, Area, What, ToDo, Mend string }

// doctor runs the doctor as the operator.
func (s *site) doctor() (all []diagnosis, code int) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), filepath.Join(s.path, "logoffctl"), "doctor", "--json")
	cmd.Env = s.environment("operator")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	for line := range bytes.Lines(out.Bytes()) {
		var one diagnosis
		if err := json.Unmarshal(line, &one); err != nil {
			s.t.Fatalf("%v: %s", err, line)
		}
		all = append(all, one)
	}
	if errs.Len() > 0 {
		s.t.Logf("stderr: %s", &errs)
	}
	return all, cmd.ProcessState.ExitCode()
}

// becomesWell waits until the doctor finds nothing: workers look every few seconds.
func (s *site) becomesWell() {
	s.t.Helper()
	var left []string
	well := stage.Await(s.t.Context(), 40*time.Second, func() bool {
		left = nil
		all, code := s.doctor()
		for _, one := range all {
			if one.Level != "ok" {
				left = append(left, fmt.Sprint(one))
			}
		}
		return code == 0 && len(left) == 0
	})
	if !well {
		s.t.Fatalf("the doctor still finds:\n%s", strings.Join(left, "\n"))
	}
}
