package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"logoffworker/jobs"
	"logoffworker/worker/env"
	"logoffworker/worker/stream"
)

// A level is how much a finding means.
type level string

// The levels. What is unseen could not be looked at.
const (
	levelOK     level = "ok"
	levelNote   level = "note"
	levelWarn   level = "warn"
	levelFail   level = "FAIL"
	levelUnseen level = "????"
)

// A diagnosis is one thing that the doctor looked at. Mend is what to paste: a command, or a line of a configuration,
// as ToDo says then.
type diagnosis struct {
	Level level  `json:"level"`
	Area  string `json:"area"`
	What  string `json:"what"`
	ToDo  string `json:"toDo,omitempty"`
	Mend  string `json:"mend,omitempty"`
}

const (
	// clockOff is how far a clock may be off: what people compare, and deadlines, are told by it.
	clockOff = 2 * time.Second
	// diskWait is how long a monitoring address may take.
	diskWait = 5 * time.Second
)

func (t *tool) doctorCommand() *cobra.Command {
	var monitor string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "what is wrong here, and what mends it",
		Long: `Doctor looks at NATS and what this user may do there, at each stream and consumer field by
field, at how NATS writes to the disk, at clocks, and at what each worker says of its version,
its settings, the Web Server and its token. Under each finding stands what mends it: a command
to paste, or a line of a configuration. It changes nothing.

A nats command is for a user who may change streams, such as admin in deploy/nats/accounts.conf.

Exit codes: 0 nothing is wrong (a warning is not); 1 something is; 3 something could not be
looked at, or NATS cannot be reached.`,
		Example: `  logoffctl doctor
  logoffctl doctor --monitor http://nats.example:8222
  logoffctl doctor --json`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&monitor, "monitor", "", "monitoring address of a NATS server, to see how it writes to the disk (default LOGOFF_NATS_MONITOR_URL)")
	return t.verb(cmd, func(ctx context.Context, _ []string) error { return t.doctor(ctx, monitor) })
}

func (t *tool) doctor(ctx context.Context, monitor string) error {
	s, err := t.where.settings()
	if err != nil {
		return err
	}
	here, err := t.connect()
	if err != nil {
		return err
	}
	defer here.close()
	d := &doctor{tool: t, site: here, who: here.whoAmI(ctx)}
	d.connection()
	d.rights()
	d.jetStream(ctx)
	if isEmbedded := t.where.server == "" && env.Servers(os.Getenv("LOGOFF_NATS_URL")) == env.Embedded; isEmbedded {
		d.ok("storage", "the embedded broker writes every message to the disk before it acknowledges it")
	} else {
		d.disk(ctx, cmp.Or(monitor, s.NATS.MonitorURL))
	}
	d.workers(ctx)
	if d.failed != nil {
		return d.failed
	}
	switch {
	case ctx.Err() != nil:
		return interrupted("interrupted")
	case d.worst[levelFail]:
		return notSo("")
	case d.worst[levelUnseen]:
		return unclear("")
	}
	return nil
}

// A doctor is one look at everything.
type doctor struct {
	*tool
	*site
	who    identity
	worst  map[level]bool
	failed error // to print
}

// tell prints a diagnosis.
func (d *doctor) tell(one diagnosis) {
	if d.worst == nil {
		d.worst = map[level]bool{}
	}
	d.worst[one.Level] = true
	if d.failed != nil {
		return
	}
	if d.json {
		d.failed = d.object(one)
		return
	}
	tones := map[level]tone{levelOK: good, levelWarn: warn, levelFail: bad, levelUnseen: bad}
	word := string(one.Level)
	if tone, has := tones[one.Level]; has {
		word = d.colour(d.stdout, tone, word)
	}
	const margin = "                   "
	blanks := strings.Repeat(" ", max(0, 6-len(one.Level)))
	lines := fmt.Sprintf("%s%s%-12s %s", word, blanks, one.Area, one.What)
	switch {
	case one.Mend != "" && one.ToDo != "":
		lines += "\n" + margin + "mend (" + one.ToDo + "): " + one.Mend
	case one.Mend != "":
		lines += "\n" + margin + "mend: " + one.Mend
	case one.ToDo != "":
		lines += "\n" + margin + "mend: " + one.ToDo
	}
	d.failed = d.print("%s", lines)
}

// ok tells what is well.
func (d *doctor) ok(area, format string, values ...any) {
	d.tell(diagnosis{Level: levelOK, Area: area, What: fmt.Sprintf(format, values...)})
}

// connection tells how NATS is reached, and how its clock is.
func (d *doctor) connection() {
	nc := d.nc
	words := count(len(nc.Servers()), "server", "servers") + ", " + nc.ConnectedServerVersion()
	if took, err := nc.RTT(); err == nil {
		words += fmt.Sprintf(", %.1f ms away", took.Seconds()*1000)
	}
	if cluster := nc.ConnectedClusterName(); cluster != "" {
		words += ", cluster " + cluster
	}
	if d.who.Known {
		words += fmt.Sprintf("; you are %s in account %s", cmp.Or(d.who.User, "nobody"), d.who.Account)
	}
	d.ok("nats", "%s", words)
	if d.who.Ahead.Abs() > clockOff {
		d.tell(diagnosis{
			Level: levelWarn, Area: "clocks", What: fmt.Sprintf("the clock of the NATS server is %s this machine's", apart(d.who.Ahead)),
			ToDo: "on whichever of both is wrong, see timedatectl", Mend: "timedatectl set-ntp true",
		})
	}
	if _, err := nc.TLSConnectionState(); err != nil && !isHere(nc.ConnectedUrl()) {
		d.tell(diagnosis{
			Level: levelNote, Area: "nats", What: "the connection is not encrypted: names and sessions in jobs can be read on the way",
			ToDo: "once the servers have certificates, in the environment of workers and of this tool", Mend: "LOGOFF_NATS_URL=" + encrypted(nc.ConnectedUrl()),
		})
	}
}

// isHere reports whether a server is on this machine.
func isHere(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	host := u.Hostname()
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

// encrypted is a server's address, without a user, for an encrypted connection.
func encrypted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "tls://…"
	}
	return "tls://" + u.Host
}

// apart says how far one clock is from another.
func apart(ahead time.Duration) string {
	if ahead < 0 {
		return (-ahead).Round(10*time.Millisecond).String() + " behind"
	}
	return ahead.Round(10*time.Millisecond).String() + " ahead of"
}

// jetStream tells what is wrong with streams and consumers.
func (d *doctor) jetStream(ctx context.Context) {
	config := d.config
	if d.nc.ConnectedClusterName() != "" {
		config.Replicas = 3 // as what is missing would be made
	}
	e := config.Examine(ctx, d.js)
	well := len(e.Unseen) == 0
	for _, f := range e.Findings {
		one := diagnosis{Level: levelWarn, Area: "streams", What: f.What + ": " + f.Words, ToDo: f.ToDo, Mend: f.Command}
		if f.Grave {
			one.Level, well = levelFail, false
		}
		d.tell(one)
	}
	for _, u := range e.Unseen {
		d.unseen("streams", u.What, u.Right, u.Err)
	}
	if well {
		d.ok("streams", "%s", e.Summary())
	}
	for _, lane := range jobs.Lanes {
		d.pause(lane, e.Consumers[lane])
	}
}

// pause tells of a lane that is paused.
func (d *doctor) pause(lane jobs.Lane, info *jetstream.ConsumerInfo) {
	if info == nil || !info.Paused {
		return
	}
	d.tell(diagnosis{
		Level: levelWarn, Area: "pause",
		What: fmt.Sprintf("%s is paused for another %v, and %s: no worker takes them until then", lane, info.PauseRemaining.Round(time.Second), count(int(info.NumPending), "job waits", "jobs wait")),
		ToDo: "if it should go on now", Mend: d.tool.command("resume", string(lane)),
	})
}

// unseen tells of what could not be looked at, most often because a right is missing.
func (d *doctor) unseen(area, what, right string, err error) {
	one := diagnosis{Level: levelUnseen, Area: area, What: fmt.Sprintf("%s cannot be looked at: %v", what, err)}
	if denied := d.denial(); denied != nil || d.who.Known && !d.who.May(right) {
		one.What = what + " cannot be looked at: a NATS right is missing, to publish on " + right
		one.ToDo, one.Mend = fmt.Sprintf("in the permissions of the NATS user %s, under publish", cmp.Or(d.who.User, "of this tool")), `"`+right+`"`
	}
	d.tell(one)
}

// disk tells how NATS writes to the disk, as far as that can be seen.
func (d *doctor) disk(ctx context.Context, monitor string) {
	const where = "in nats-server.conf of every server, which is then started anew"
	if monitor == "" {
		d.tell(diagnosis{
			Level: levelNote, Area: "storage", What: "how NATS writes to the disk cannot be seen from here (--monitor http://HOST:8222 lets it be seen); by default it does so every two minutes, and a power cut loses what was acknowledged since",
			ToDo: where, Mend: stream.SyncRemedy,
		})
		return
	}
	ctx, cancel := context.WithTimeout(ctx, diskWait)
	defer cancel()
	disk, err := stream.AskDisk(ctx, monitor)
	switch {
	case err != nil:
		d.tell(diagnosis{
			Level: levelUnseen, Area: "storage", What: fmt.Sprintf("the monitoring address does not tell how NATS writes to the disk: %v", err),
			ToDo: "in nats-server.conf, for an address that this machine reaches", Mend: "http: 127.0.0.1:8222",
		})
	case disk.Always:
		d.ok("storage", "NATS writes every message to the disk before it acknowledges it")
	default:
		d.tell(diagnosis{
			Level: levelWarn, Area: "storage", What: fmt.Sprintf("NATS writes to the disk every %v: a power cut loses what was acknowledged since", cmp.Or(disk.Every, 2*time.Minute)),
			ToDo: where, Mend: stream.SyncRemedy,
		})
	}
}
