package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/history"
)

// ackWait is the lease in these runs: short, so that it runs out in them.
const ackWait = 5 * time.Second

const adminPassword = "admin"

// A deployment is one NATS, alone or a cluster, with its workers and publishers.
type deployment struct {
	world    *world
	subjects jobs.Subjects
	nodes    []*node
	workers  []*replica
	log      *book // of all workers
	admin    *nats.Conn
	js       jetstream.JetStream
	load     *load
	toNATS   links // of the workers and the publishers

	mu   sync.Mutex
	acks []history.Ack
}

// A node is one NATS server.
type node struct {
	config  natsConfig
	file    string
	process *process
	out     *book
}

func (n *node) start() (err error) {
	if err := n.config.write(n.file); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	n.process, err = launch(n.config.name, n.out, os.Environ(), self, natsMode, n.file)
	return err
}

// permit changes what workers may not publish, without a restart.
func (n *node) permit(deny string) error {
	n.config.deny = deny
	if err := n.config.write(n.file); err != nil {
		return err
	}
	n.process.signal(syscall.SIGHUP)
	return nil
}

func (w *world) startDeployment(ctx context.Context, prefix, store string, servers, workers int) (*deployment, error) {
	d := &deployment{world: w, subjects: jobs.Subjects{Prefix: prefix}, log: &book{}}
	ports, err := freePorts(2 * servers)
	if err != nil {
		return nil, err
	}
	for i := range servers {
		n := &node{out: &book{}, file: filepath.Join(w.dir, fmt.Sprintf("%s-%d.conf", prefix, i)), config: natsConfig{
			name: fmt.Sprintf("%s-nats-%d", prefix, i), store: filepath.Join(store, fmt.Sprint(i)), port: ports[i],
			admin: adminPassword, workers: w.canaries["nats"],
		}}
		if servers > 1 {
			n.config.cluster, n.config.routes = ports[servers+i], ports[servers:]
		}
		d.nodes = append(d.nodes, n)
		if err := n.start(); err != nil {
			return nil, err
		}
	}
	if err := d.connect(ctx); err != nil {
		return d, err
	}
	if err := d.provision(ctx); err != nil {
		return d, err
	}
	for i := range workers {
		r, err := d.newReplica(i)
		if err != nil {
			return d, err
		}
		d.workers = append(d.workers, r)
		if err := r.start(); err != nil {
			return d, err
		}
	}
	for _, r := range d.workers {
		if !await(ctx, 20*time.Second, func() bool { return r.page(ctx, "/livez") != nil }) {
			return d, fmt.Errorf("%w: worker\n%s", errStart, d.log.tail())
		}
	}
	d.load, err = d.newLoad()
	return d, err
}

// urls are the servers' own addresses, past the faulty network.
func (d *deployment) urls() string {
	var urls []string
	for _, n := range d.nodes {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", n.config.port))
	}
	return strings.Join(urls, ",")
}

func (d *deployment) connect(ctx context.Context) error {
	var err error
	d.admin, err = nats.Connect(d.urls(), nats.Name("admin"), nats.UserInfo("admin", adminPassword), nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.PingInterval(2*time.Second), nats.ReconnectBufSize(-1))
	if err != nil {
		return err
	}
	if d.js, err = jetstream.New(d.admin, jetstream.WithDefaultTimeout(3*time.Second)); err != nil {
		return err
	}
	if !await(ctx, 20*time.Second, d.admin.IsConnected) {
		return fmt.Errorf("%w: %s\n%s", errStart, d.nodes[0].config.name, d.nodes[0].out.tail())
	}
	_, err = d.admin.Subscribe("$JS.EVENT.METRIC.CONSUMER.ACK."+d.subjects.RequestStream()+".*", d.acked)
	return err
}

// acked keeps what the server reports of an acknowledgement.
func (d *deployment) acked(msg *nats.Msg) {
	var sample struct {
		Time     time.Time `json:"timestamp"`
		Consumer jobs.Lane `json:"consumer"`
		Sequence uint64    `json:"stream_seq"`
	}
	if json.Unmarshal(msg.Data, &sample) != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.acks = append(d.acks, history.Ack{Deployment: d.subjects.Prefix, Lane: sample.Consumer, Sequence: sample.Sequence, Time: sample.Time})
}

// provision makes streams and consumers as an operator would, with short leases.
func (d *deployment) provision(ctx context.Context) (err error) {
	if !await(ctx, 60*time.Second, func() bool {
		err = worker.ProvisionStreams(ctx, d.js, d.subjects, worker.ProvisionCreate, len(d.nodes))
		return err == nil
	}) {
		return fmt.Errorf("streams of %s: %w", d.subjects.Prefix, err)
	}
	if !await(ctx, 30*time.Second, func() bool { err = d.shortLeases(ctx); return err == nil }) {
		return fmt.Errorf("consumers of %s: %w", d.subjects.Prefix, err)
	}
	return nil
}

// shortLeases gives the consumers their short leases, also those that a worker has just made anew,
// and has every acknowledgement reported.
func (d *deployment) shortLeases(ctx context.Context) error {
	for _, lane := range jobs.Lanes {
		consumer, err := d.js.Consumer(ctx, d.subjects.RequestStream(), string(lane))
		if err != nil {
			return err
		}
		config := consumer.CachedInfo().Config
		config.AckWait, config.SampleFrequency = ackWait, "100"
		if _, err := d.js.UpdateConsumer(ctx, d.subjects.RequestStream(), config); err != nil {
			return err
		}
	}
	return nil
}

// poison are the deployment's own sessions that the Web Server never accepts.
func (d *deployment) poison() []string {
	half := len(d.world.poison) / 2
	if len(d.nodes) == 1 {
		return d.world.poison[:half]
	}
	return d.world.poison[half:]
}

// backlog is how many jobs the stream holds; -1 when nobody says so.
func (d *deployment) backlog(ctx context.Context) int {
	stream, err := d.js.Stream(ctx, d.subjects.RequestStream())
	if err != nil {
		return -1
	}
	return int(stream.CachedInfo().State.Msgs)
}

func (d *deployment) close() {
	if d.load != nil {
		d.load.nc.Close()
	}
	for _, r := range d.workers {
		if r.process != nil && r.process.running() {
			r.process.signal(syscall.SIGCONT)
			r.process.kill()
		}
	}
	if d.admin != nil {
		d.admin.Close()
	}
	for _, n := range d.nodes {
		if n.process != nil && n.process.running() {
			n.process.signal(syscall.SIGCONT)
			n.process.kill()
		}
	}
}

// leader is the node that leads a stream.
func (d *deployment) leader(ctx context.Context, stream string) (*node, error) {
	handle, err := d.js.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	cluster := handle.CachedInfo().Cluster
	for _, n := range d.nodes {
		if cluster != nil && n.config.name == cluster.Leader {
			return n, nil
		}
	}
	return nil, errors.New("the stream has no leader")
}
