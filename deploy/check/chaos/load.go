package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker/history"
	"logoffworker/worker/stage"
)

// load publishes the jobs of one deployment as a careful publisher does: each with an id, and again
// under the same id until JetStream has said that it is stored.
type load struct {
	d    *deployment
	link *link
	nc   *nats.Conn
	js   jetstream.JetStream
	many chan *message // published, not confirmed
	done chan struct{} // closed when all is confirmed or given up

	mu        sync.Mutex
	random    *rand.Rand
	number    int
	recent    []string // sessions of earlier jobs
	poisoned  int
	published []*message
	misses    map[string]int // tries that were not confirmed, by reason
}

// A message is one job on its way into the stream.
type message struct {
	history.Published
	data   []byte
	future jetstream.PubAckFuture
}

func (d *deployment) newLoad() (l *load, err error) {
	l = &load{d: d, many: make(chan *message, 100_000), done: make(chan struct{}), misses: map[string]int{}, random: rand.New(rand.NewPCG(d.world.seed, uint64(len(d.nodes))))}
	if l.link, err = newLink(d.subjects.Prefix+"-publisher", d.nodes[0].Port); err != nil {
		return nil, err
	}
	d.toNATS = append(d.toNATS, l.link)
	urls := "nats://" + l.link.addr()
	if len(d.nodes) > 1 {
		urls += "," + d.urls()
	}
	l.nc, err = nats.Connect(urls, nats.Name("publisher"), nats.UserInfo("admin", stage.AdminPassword), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true),
		nats.ReconnectWait(100*time.Millisecond), nats.ReconnectBufSize(-1), nats.PingInterval(2*time.Second), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		return nil, err
	}
	l.js, err = jetstream.New(l.nc, jetstream.WithPublishAsyncTimeout(3*time.Second), jetstream.WithPublishAsyncMaxPending(20_000), jetstream.WithDefaultTimeout(3*time.Second))
	return l, err
}

// run publishes at a rate until ctx ends, then waits until all is confirmed or given up.
func (l *load) run(ctx context.Context, rate int) error {
	var confirming sync.WaitGroup
	confirming.Go(l.confirm)
	begun, sent := time.Now(), 0
	var err error
	for stage.Pause(ctx, 20*time.Millisecond) && err == nil {
		for due := int(time.Since(begun).Seconds() * float64(rate)); sent < due && ctx.Err() == nil; sent++ {
			if err = l.next(ctx); err != nil {
				break
			}
		}
	}
	close(l.many)
	confirming.Wait()
	close(l.done)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// next publishes one job of the mixture: both lanes, mostly one session, some with several, some that
// name a session again, some whose notAfter is near, some that name a user or a user's sessions with their owner,
// 0.2 % poison and 0.1 % malformed.
func (l *load) next(ctx context.Context) error {
	l.mu.Lock()
	lane, kind := jobs.Bulk, l.random.IntN(1000)
	if l.random.IntN(4) == 0 {
		lane = jobs.Urgent
	}
	l.mu.Unlock()
	switch {
	case kind == 0:
		l.malformed(lane)
		return nil
	case kind <= 2:
		return l.poison(ctx, lane)
	case kind <= 4:
		return l.job(ctx, lane, 20+kind*20, time.Time{})
	case kind <= 9:
		return l.job(ctx, lane, 1, time.Now().Add(time.Duration(1+kind)*time.Second))
	case kind <= 60:
		return l.job(ctx, lane, 3, time.Time{})
	case kind <= 90:
		return l.repeat(lane)
	case kind <= 93:
		return l.user(ctx, lane, kind%2 == 0)
	}
	return l.job(ctx, lane, 1, time.Time{})
}

// job publishes a job with n sessions that no job has named yet.
func (l *load) job(ctx context.Context, lane jobs.Lane, n int, notAfter time.Time) error {
	var ids []string
	for range n {
		id, err := l.d.world.web.session(ctx)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	l.send(lane, ids, notAfter)
	return nil
}

// hold publishes a job that names more than one may.
func (l *load) hold(ctx context.Context) error {
	l.mu.Lock()
	lane := jobs.Lanes[l.random.IntN(len(jobs.Lanes))]
	l.mu.Unlock()
	var ids []string
	for range mostUnheld + 1 {
		id, err := l.d.world.web.session(ctx)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	id := l.newID()
	data, err := json.Marshal(map[string]any{"id": id, "sessions": ids, "requestedBy": "chaos"}, json.Deterministic(true))
	if err != nil {
		return err
	}
	l.publish(&message{data: data, Published: history.Published{JobID: id, Lane: lane, Sessions: ids, Held: true, Payload: data}})
	return nil
}

// user publishes a job that names a user whom no job has named yet, or else all of that user's sessions with their
// owner.
func (l *load) user(ctx context.Context, lane jobs.Lane, byID bool) error {
	user, ids, err := l.d.world.web.user(ctx, 3)
	if err != nil {
		return err
	}
	id := l.newID()
	job := map[string]any{"id": id, "requestedBy": "chaos"}
	p := history.Published{JobID: id, Lane: lane}
	if byID {
		job["users"] = []map[string]int64{{"id": user}}
		p.Users, p.On = []int64{user}, ids
	} else {
		var owned []map[string]any
		for _, session := range ids {
			owned = append(owned, map[string]any{"id": session, "userId": user})
		}
		job["sessions"], p.Sessions = owned, ids
	}
	data, err := json.Marshal(job, json.Deterministic(true))
	if err != nil {
		return err
	}
	l.publish(&message{data: data, Published: p})
	return nil
}

// poison publishes a job with one session that the Web Server never accepts, alone or together with a good one.
func (l *load) poison(ctx context.Context, lane jobs.Lane) error {
	l.mu.Lock()
	mine := l.d.poison()
	bad := mine[l.poisoned%len(mine)]
	l.poisoned++
	alone := l.random.IntN(2) == 0
	l.mu.Unlock()
	ids := []string{bad}
	if !alone {
		id, err := l.d.world.web.session(ctx)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	l.send(lane, ids, time.Time{})
	return nil
}

// repeat publishes a job with a session that a job before it has named.
func (l *load) repeat(lane jobs.Lane) error {
	l.mu.Lock()
	var id string
	if len(l.recent) > 0 {
		id = l.recent[l.random.IntN(len(l.recent))]
	}
	l.mu.Unlock()
	if id != "" {
		l.send(lane, []string{id}, time.Time{})
	}
	return nil
}

func (l *load) send(lane jobs.Lane, ids []string, notAfter time.Time) {
	id := l.newID()
	job := map[string]any{"id": id, "sessions": ids, "requestedBy": "chaos"}
	if !notAfter.IsZero() {
		job["notAfter"] = notAfter.UTC().Format(time.RFC3339Nano)
	}
	data, err := json.Marshal(job, json.Deterministic(true))
	if err != nil {
		panic(err) // of text and times alone
	}
	l.mu.Lock()
	if l.recent = append(l.recent, ids[0]); len(l.recent) > 100 {
		l.recent = l.recent[50:]
	}
	l.mu.Unlock()
	l.publish(&message{data: data, Published: history.Published{JobID: id, Lane: lane, Sessions: ids, NotAfter: notAfter}})
}

// hostile are messages that are no jobs.
func hostile() []string {
	return []string{
		"", "{", "null", "[]", "{}", `{"sessions":[]}`, `{"sessions":["x"]}`, "\xff\xfe\x00", strings.Repeat("[", 100_000),
		`{"sessions":["11111111-2222-4333-8444-555555555555"],"sessions":[]}`,
		`{"sessions":["\"/><evil val=\"x"]}`, "{\"sessions\":[\"a\\r\\nlevel=ERROR msg=forged\"]}",
		`<Api_LogoffUsersRequest><sessions val="x"/></Api_LogoffUsersRequest>`, `<!DOCTYPE x [<!ENTITY e "e">]><Api_LogoffUsersRequest/>`,
		`{"id":"` + strings.Repeat("i", 5000) + `","sesions":["11111111-2222-4333-8444-555555555555"]}`,
		`{"sessions":[` + strings.Repeat(`"11111111-2222-4333-8444-555555555555",`, 17_000) + `"x"]}`,
	}
}

func (l *load) malformed(lane jobs.Lane) {
	l.mu.Lock()
	all := hostile()
	data := all[l.random.IntN(len(all))]
	l.mu.Unlock()
	l.bad(lane, data)
}

// bad publishes a message that is no job.
func (l *load) bad(lane jobs.Lane, data string) {
	l.publish(&message{data: []byte(data), Published: history.Published{JobID: l.newID(), Lane: lane, Malformed: true, Payload: []byte(data)}})
}

func (l *load) newID() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.number++
	return fmt.Sprintf("%s-%d", l.d.subjects.Prefix, l.number)
}

// publish sends a message for the first time.
func (l *load) publish(m *message) {
	m.Deployment = l.d.subjects.Prefix
	m.Subject = l.d.subjects.Request(m.Lane, "chaos")
	m.Sent = time.Now()
	m.State = history.StateUnknown
	l.mu.Lock()
	l.published = append(l.published, m)
	l.mu.Unlock()
	l.try(m)
	l.many <- m
}

// try sends a message; its future is nil when it could not be sent.
func (l *load) try(m *message) {
	msg := nats.NewMsg(m.Subject)
	msg.Data = m.data
	msg.Header.Set(nats.MsgIdHdr, m.JobID) // also the id of a job that cannot be decoded
	m.future, _ = l.js.PublishMsgAsync(msg, jetstream.WithStallWait(time.Second))
}

// patience is how long a publisher tries.
const patience = 100 * time.Second

// confirm waits for the answer to each message, and sends again what is not confirmed.
func (l *load) confirm() {
	var again []*message
	for m := range l.many {
		if !l.confirmed(m) {
			again = append(again, m)
		}
		if len(l.many) == 0 && len(again) > 0 {
			again = l.retry(again)
		}
	}
	for end := time.Now().Add(patience); len(again) > 0 && time.Now().Before(end); {
		again = l.retry(again)
	}
}

func (l *load) retry(ms []*message) (again []*message) {
	_ = stage.Pause(context.Background(), 200*time.Millisecond)
	for _, m := range ms {
		l.try(m)
		m.Retried = true
	}
	for _, m := range ms {
		if !l.confirmed(m) {
			again = append(again, m)
		}
	}
	return again
}

func (l *load) confirmed(m *message) bool {
	if m.future == nil {
		l.missed(errors.New("it could not be sent"))
		return false
	}
	select {
	case ack := <-m.future.Ok():
		l.mu.Lock()
		defer l.mu.Unlock()
		m.State, m.Sequence, m.Confirmed = history.StateStored, ack.Sequence, time.Now()
		return true
	case err := <-m.future.Err():
		l.missed(err)
		return false
	}
}

// missed notes a try that was not confirmed.
func (l *load) missed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.misses[err.Error()]++
}

// refused is how many tries JetStream said no to, because the stream was full.
func (l *load) refused() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for reason, count := range l.misses {
		if strings.Contains(reason, "maximum messages") {
			n += count
		}
	}
	return n
}

// failed is how many tries were not confirmed.
func (l *load) failed() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, count := range l.misses {
		n += count
	}
	return n
}
