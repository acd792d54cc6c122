package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker/history"
	"logoffworker/worker/stage"
	"logoffworker/worker/stream"
)

// ackWait is the lease in these runs: short, so that it runs out in them.
const ackWait = 5 * time.Second

// A deployment is one NATS, alone or a cluster, with its workers and publishers.
type deployment struct {
	world    *world
	subjects jobs.Subjects
	nodes    []*stage.Node
	workers  []*replica
	log      *stage.Output // of all workers
	admin    *nats.Conn
	js       jetstream.JetStream
	load     *load
	operator *operator
	token    *fleetToken // nil where each worker logs in by itself
	earlier  bool        // see size
	toNATS   links       // of the workers and the publishers

	mu   sync.Mutex
	acks []history.Ack
}

// A size is what a deployment is made of.
type size struct {
	servers, workers int
	store            string      // where the NATS servers keep their streams
	token            *fleetToken // that the workers share; nil where each logs in by itself
	earlier          bool        // its stream of results is of an earlier release, and takes several results for a job
}

func (w *world) startDeployment(ctx context.Context, prefix string, of size) (*deployment, error) {
	d := &deployment{world: w, subjects: jobs.Subjects{Prefix: prefix}, log: &stage.Output{}, token: of.token, earlier: of.earlier}
	ports, err := stage.FreePorts(2 * of.servers)
	if err != nil {
		return nil, err
	}
	for i := range of.servers {
		n := &stage.Node{
			Name: fmt.Sprintf("%s-nats-%d", prefix, i), Store: filepath.Join(of.store, fmt.Sprint(i)), Port: ports[i],
			File: filepath.Join(w.dir, fmt.Sprintf("%s-%d.conf", prefix, i)), WorkerPassword: w.canaries["nats"], Out: &stage.Output{},
		}
		if of.servers > 1 {
			n.ClusterPort, n.Routes = ports[of.servers+i], ports[of.servers:]
		}
		d.nodes = append(d.nodes, n)
		if err := n.Start(); err != nil {
			return nil, err
		}
	}
	if err := d.connect(ctx); err != nil {
		return d, err
	}
	if err := d.provision(ctx); err != nil {
		return d, err
	}
	for i := range of.workers {
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
		if !stage.Await(ctx, 20*time.Second, func() bool { return r.page(ctx, "/livez") != nil }) {
			return d, fmt.Errorf("%w: worker\n%s", errStart, d.log.Tail())
		}
	}
	d.operator = d.newOperator()
	d.load, err = d.newLoad()
	return d, err
}

// urls are the servers' own addresses, which the faulty network is not in front of.
func (d *deployment) urls() string {
	var urls []string
	for _, n := range d.nodes {
		urls = append(urls, n.URL())
	}
	return strings.Join(urls, ",")
}

func (d *deployment) connect(ctx context.Context) error {
	var err error
	d.admin, err = nats.Connect(d.urls(), nats.Name("admin"), nats.UserInfo("admin", stage.AdminPassword), nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.PingInterval(2*time.Second), nats.ReconnectBufSize(-1))
	if err != nil {
		return err
	}
	if d.js, err = jetstream.New(d.admin, jetstream.WithDefaultTimeout(3*time.Second)); err != nil {
		return err
	}
	if !stage.Await(ctx, 20*time.Second, d.admin.IsConnected) {
		return fmt.Errorf("%w: %s\n%s", errStart, d.nodes[0].Name, d.nodes[0].Out.Tail())
	}
	_, err = d.admin.Subscribe("$JS.EVENT.METRIC.CONSUMER.ACK."+d.subjects.RequestStream()+".*", d.acked)
	return err
}

// acked keeps the server's report of an acknowledgement.
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
	if !stage.Await(ctx, 60*time.Second, func() bool {
		err = stream.Config{Subjects: d.subjects, Provision: stream.ProvisionCreate, Replicas: len(d.nodes)}.ProvisionStreams(ctx, d.js)
		return err == nil
	}) {
		return fmt.Errorf("streams of %s: %w", d.subjects.Prefix, err)
	}
	if d.earlier {
		if err := d.change(ctx, d.subjects.ResultStream(), func(c *jetstream.StreamConfig, _ jetstream.StreamState) {
			c.MaxMsgsPerSubject, c.DiscardNewPerSubject = -1, false
		}); err != nil {
			return fmt.Errorf("the stream of results of %s: %w", d.subjects.Prefix, err)
		}
	}
	if !stage.Await(ctx, 30*time.Second, func() bool { err = d.shortLeases(ctx); return err == nil }) {
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

// poison returns the sessions of this deployment that the Web Server never accepts.
func (d *deployment) poison() []string {
	half := len(d.world.poison) / 2
	if len(d.nodes) == 1 {
		return d.world.poison[:half]
	}
	return d.world.poison[half:]
}

// backlog is how many jobs the stream holds; -1 while NATS does not say.
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
		if r.process != nil && r.process.Running() {
			r.process.Signal(syscall.SIGCONT)
			r.process.Kill()
		}
	}
	if d.admin != nil {
		d.admin.Close()
	}
	for _, n := range d.nodes {
		if n.Process != nil && n.Process.Running() {
			n.Process.Signal(syscall.SIGCONT)
			n.Process.Kill()
		}
	}
}

// leader is the node that leads a stream.
func (d *deployment) leader(ctx context.Context, stream string) (*stage.Node, error) {
	handle, err := d.js.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	cluster := handle.CachedInfo().Cluster
	for _, n := range d.nodes {
		if cluster != nil && n.Name == cluster.Leader {
			return n, nil
		}
	}
	return nil, errors.New("the stream has no leader")
}
