package stage

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// natsMode, as a program's first argument, makes it a NATS server: that of the module which the project
// is built with. A configuration file follows.
const natsMode = "nats-server"

// ServeNATS is what a program that uses [Node] calls first: where its arguments say so, it is a NATS
// server until a signal ends it, and true is returned then. SIGHUP makes the server read its
// configuration again.
func ServeNATS(args []string) bool {
	if len(args) != 3 || args[1] != natsMode {
		return false
	}
	if err := serveNATS(args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "nats-server:", err)
		os.Exit(1)
	}
	return true
}

func serveNATS(file string) error {
	options, err := server.ProcessConfigFile(file)
	if err != nil {
		return err
	}
	options.NoSigs = true // servers before 2.11 end with 1 after a SIGTERM
	s, err := server.NewServer(options)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for <-signals == syscall.SIGHUP {
			if err := s.Reload(); err != nil {
				s.Errorf("reload: %v", err)
			}
		}
		s.Shutdown()
	}()
	if err := server.Run(s); err != nil {
		return err
	}
	s.WaitForShutdown()
	return nil
}

// StartNATS starts a NATS server in this process, and returns it when it takes connections. Whoever has it shuts it
// down.
func StartNATS(options *server.Options) (*server.Server, error) {
	options.NoSigs, options.NoLog = true, true
	s, err := server.NewServer(options)
	if err != nil {
		return nil, err
	}
	s.Start()
	if !s.ReadyForConnections(time.Minute) {
		s.Shutdown()
		return nil, errors.New("the NATS server took no connections within a minute")
	}
	return s, nil
}

// AdminPassword is that of the user admin, who may do everything, on every [Node].
const AdminPassword = "admin"

// A Node is one NATS server with the users admin and worker.
type Node struct {
	Name, Store    string
	File           string // of its configuration
	Port           int
	ClusterPort    int    // of its routes; 0 for a server on its own
	Routes         []int  // of all servers of the cluster
	Deny           string // what workers may not publish
	WorkerPassword string
	Process        *Process
	Out            *Output
}

// StartTrio starts a cluster of three servers, each with its files in a directory that dir makes, and returns their
// addresses. Those that were started are returned beside an error, too.
func StartTrio(dir func() string) (nodes []*Node, urls string, err error) {
	ports, err := FreePorts(6)
	if err != nil {
		return nil, "", err
	}
	var all []string
	for i := range 3 {
		store := dir()
		n := &Node{
			Name: fmt.Sprint("n", i), Store: store, File: filepath.Join(store, "nats.conf"), Port: ports[i],
			ClusterPort: ports[3+i], Routes: ports[3:], WorkerPassword: "worker", Out: &Output{},
		}
		if err := n.Start(); err != nil {
			return nodes, "", err
		}
		nodes, all = append(nodes, n), append(all, n.URL())
	}
	return nodes, strings.Join(all, ","), nil
}

// Start starts the server with what it has stored.
func (n *Node) Start() (err error) {
	if err := n.Write(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	n.Process, err = Launch(n.Name, n.Out, os.Environ(), self, natsMode, n.File)
	return err
}

// Permit changes what workers may not publish, without a restart; empty is nothing.
func (n *Node) Permit(deny string) error {
	n.Deny = deny
	if err := n.Write(); err != nil {
		return err
	}
	n.Process.Signal(syscall.SIGHUP)
	return nil
}

// URL is the server's address.
func (n *Node) URL() string { return fmt.Sprintf("nats://127.0.0.1:%d", n.Port) }

// Write writes the configuration.
func (n *Node) Write() error {
	deny := ""
	if n.Deny != "" {
		deny = fmt.Sprintf(", deny: [%q]", n.Deny)
	}
	text := fmt.Sprintf(`
server_name: %q
listen: "127.0.0.1:%d"
ping_interval: "20s"
write_deadline: "5s"
jetstream { store_dir: %q, max_file_store: 8GB }
authorization {
  users = [
    { user: admin, password: %q }
    { user: worker, password: %q, permissions: { publish: { allow: [">"] %s }, subscribe: { allow: [">"] } } }
  ]
}
`, n.Name, n.Port, n.Store, AdminPassword, n.WorkerPassword, deny)
	if n.ClusterPort != 0 {
		text += fmt.Sprintf("cluster {\n  name: trio\n  listen: \"127.0.0.1:%d\"\n  no_advertise: true\n  routes = [\n", n.ClusterPort)
		for _, port := range n.Routes {
			text += fmt.Sprintf("    \"nats-route://127.0.0.1:%d\"\n", port)
		}
		text += "  ]\n}\n"
	}
	return os.WriteFile(n.File, []byte(text), 0o600)
}
