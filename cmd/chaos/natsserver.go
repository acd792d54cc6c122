package main

import (
	"fmt"
	"os"

	"github.com/nats-io/nats-server/v2/server"
)

// natsMode, as the first argument, makes this program a NATS server: that of the module which the
// project is built with. A configuration file follows.
const natsMode = "nats-server"

// runNATS serves until a signal ends it; SIGHUP makes it read its configuration again.
func runNATS(args []string) {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "chaos: one configuration file is needed")
		os.Exit(2)
	}
	options, err := server.ProcessConfigFile(args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(2)
	}
	s, err := server.NewServer(options)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
	s.ConfigureLogger()
	if err := server.Run(s); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
	s.WaitForShutdown()
}

// natsConfig is what one server is told.
type natsConfig struct {
	name, store    string
	port           int
	cluster        int   // port of its routes; 0 for a server on its own
	routes         []int // of all servers of the cluster
	deny           string
	admin, workers string // passwords
}

func (c natsConfig) write(file string) error {
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
`, c.name, c.port, c.store, c.admin, c.workers, denied(c.deny))
	if c.cluster != 0 {
		text += fmt.Sprintf("cluster {\n  name: trio\n  listen: \"127.0.0.1:%d\"\n  no_advertise: true\n  routes = [\n", c.cluster)
		for _, port := range c.routes {
			text += fmt.Sprintf("    \"nats-route://127.0.0.1:%d\"\n", port)
		}
		text += "  ]\n}\n"
	}
	return os.WriteFile(file, []byte(text), 0o600)
}

func denied(subject string) string {
	if subject == "" {
		return ""
	}
	return fmt.Sprintf(", deny: [%q]", subject)
}
