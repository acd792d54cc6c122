package stage

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func TestMain(m *testing.M) {
	if ServeNATS(os.Args) {
		return
	}
	os.Exit(m.Run())
}

func TestNodeServesFreezesAndStops(t *testing.T) {
	ports, err := FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	n := &Node{Name: "n", Store: dir, File: filepath.Join(dir, "nats.conf"), Port: ports[0], WorkerPassword: "w", Out: &Output{}}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	var nc *nats.Conn
	if !Await(t.Context(), 10*time.Second, func() bool {
		nc, err = nats.Connect(n.URL(), nats.UserInfo("admin", AdminPassword), nats.MaxReconnects(0))
		return err == nil
	}) {
		t.Fatalf("%v\n%s", err, n.Out.Tail())
	}
	nc.Close()
	n.Process.Signal(syscall.SIGSTOP)
	if !Await(t.Context(), 5*time.Second, n.Process.Frozen) {
		t.Error("it does not stand still")
	}
	n.Process.Signal(syscall.SIGCONT)
	if err := n.Process.Stop(10 * time.Second); err != nil {
		t.Error(err)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	n.Process.Kill()
	if !n.Process.Killed() || n.Process.Running() {
		t.Error("it was not killed")
	}
}

func TestProcessThatFailsSaysWhatItSaid(t *testing.T) {
	p, err := Launch("failing", &Output{}, nil, "/bin/sh", "-c", "trap 'echo its last words; exit 3' TERM; echo begun; while :; do sleep 0.05; done")
	if err != nil {
		t.Fatal(err)
	}
	if !Await(t.Context(), 10*time.Second, func() bool { return p.Out.Count(0, "begun") > 0 }) {
		t.Fatal("it did not begin")
	}
	if err := p.Stop(10 * time.Second); err == nil || !strings.Contains(err.Error(), "its last words") {
		t.Errorf("%v", err)
	}
	if _, err := Launch("nothing", &Output{}, nil, "/nothing/here"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestConfigurationDeniesAndClusters(t *testing.T) {
	n := &Node{Name: "n", Store: "/x", File: filepath.Join(t.TempDir(), "nats.conf"), Port: 1, ClusterPort: 2, Routes: []int{2, 3}, Deny: "$JS.ACK.>", WorkerPassword: "w"}
	if err := n.Write(); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(n.File)
	if err != nil || len(options.Users) != 2 || options.Users[1].Permissions.Publish.Deny[0] != "$JS.ACK.>" || len(options.Routes) != 2 {
		t.Errorf("%+v, %v", options, err)
	}
}

// The programs are built by checks of both modules, and by tests of any folder.
func TestProgramsAreBuiltFromAnywhereInTheSourceTree(t *testing.T) {
	for _, dir := range []string{".", filepath.Join("..", "..", "deploy", "check", "chaos")} {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Chdir(dir)
			file := filepath.Join(t.TempDir(), "simulator")
			if err := Build(t.Context(), "simulator", file); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(file); err != nil {
				t.Error(err)
			}
		})
	}
	t.Chdir(t.TempDir())
	if err := Build(t.Context(), "simulator", "nothing"); err == nil || !strings.Contains(err.Error(), "source tree") {
		t.Errorf("outside of the source tree: %v", err)
	}
}

// Programs start one after the other, each with a port that it does not listen on yet: of this many in
// 20,000, two would be the same if nobody kept them apart.
func TestFreePortsAreGivenOutOnce(t *testing.T) {
	seen := map[int]bool{}
	for range 700 {
		ports, err := FreePorts(2)
		if err != nil {
			t.Fatal(err)
		}
		for _, port := range ports {
			listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
			if err != nil || seen[port] {
				t.Fatalf("port %d: %v; given out before: %v", port, err, seen[port])
			}
			seen[port] = true
			listener.Close()
		}
	}
}
