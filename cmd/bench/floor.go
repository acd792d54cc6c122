package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
)

// floorMode, as the first argument, makes this program the leanest client there is.
const floorMode = "floor"

// floorReady is what it puts out when it is ready for jobs.
const floorReady = "floor: ready"

// What only the floor knows: how many bulk jobs make a full document, which it does not count; how many slots bulk
// jobs cannot take, where the case has urgent ones besides; and by how much each document is delayed, to show that
// the bench notices a floor that is not one. Everything else it shares with the worker.
const (
	floorBulkJobs = "FLOOR_BULK_JOBS"
	floorReserved = "FLOOR_RESERVED"
	floorDelay    = "FLOOR_DELAY_MS"
)

// runFloor works jobs until a signal ends it, where the arguments say that this process is the floor.
func runFloor(args []string) bool {
	if len(args) != 2 || args[1] != floorMode {
		return false
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	f, err := newFloor()
	if err == nil {
		err = f.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
	return true
}

// A floor is that client.
type floor struct {
	nc    *nats.Conn
	web   string
	token string
	inbox string
	slots chan struct{}
	delay time.Duration
	lanes []floorLane
	took  atomic.Int64 // running mean of a request's time, in nanoseconds

	batches sync.Map // by number: *batch
	number  atomic.Int64
}

// A floorLane has so many slots at most, and makes a document of so many jobs.
type floorLane struct {
	name  string
	slots chan struct{}
	most  int
}

// newFloor reads the settings.
func newFloor() (*floor, error) {
	var faults []error
	number := func(name, other string) int {
		n, err := strconv.Atoi(cmp.Or(os.Getenv(name), other))
		faults = append(faults, err)
		return n
	}
	slots, document := number("LOGOFF_SLOTS", ""), number("LOGOFF_BATCH_MAX_SESSIONS", "")
	f := &floor{
		web:   os.Getenv("LOGOFF_WEBSERVER_URL"),
		slots: make(chan struct{}, slots),
		delay: time.Duration(number(floorDelay, "0")) * time.Millisecond,
		lanes: []floorLane{
			{"urgent", make(chan struct{}, slots), document},
			{"bulk", make(chan struct{}, slots-number(floorReserved, "0")), number(floorBulkJobs, strconv.Itoa(document))},
		},
	}
	return f, errors.Join(faults...)
}

// A batch is the jobs of one document whose results are being stored.
type batch struct {
	msgs []jetstream.Msg
	left atomic.Int64
}

func (f *floor) run(ctx context.Context) (err error) {
	if f.nc, err = nats.Connect(os.Getenv("LOGOFF_NATS_URL")); err != nil {
		return err
	}
	f.inbox = f.nc.NewInbox()
	if _, err = f.nc.Subscribe(f.inbox+".*", f.stored); err != nil {
		return err
	}
	if err = f.login(os.Getenv("LOGOFF_WEBSERVER_USERNAME"), os.Getenv("LOGOFF_WEBSERVER_PASSWORD")); err != nil {
		return err
	}
	js, err := jetstream.New(f.nc)
	if err != nil {
		return err
	}
	failed := make(chan error, len(f.lanes))
	for _, lane := range f.lanes {
		go func() { failed <- f.work(js, lane) }()
	}
	fmt.Println(floorReady)
	select {
	case err = <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (f *floor) login(username, password string) error {
	body, err := json.Marshal(map[string]any{"username": username, "password": []byte(password)})
	if err != nil {
		return err
	}
	answer, err := f.call(http.MethodPost, "/Login", "application/json", body)
	if err != nil {
		return err
	}
	var login struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(answer, &login); err != nil || login.Token == "" {
		return fmt.Errorf("login: %w: %s", err, answer)
	}
	f.token = login.Token
	return nil
}

func (f *floor) call(method, path, format string, body []byte) ([]byte, error) {
	request, err := http.NewRequest(method, f.web+path, bytes.NewReader(body)) //nolint:noctx // it never ends
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authtoken", f.token)
	request.Header.Set("Content-Type", format)
	request.Header.Set("Accept", format)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	return answer, err
}

// work takes a slot, pulls what is there, and sends it. Documents that are not full leave evenly, so that the slots
// are never all busy with documents of one job.
func (f *floor) work(js jetstream.JetStream, lane floorLane) error {
	consumer, err := js.Consumer(context.Background(), "LOGOFF_REQUESTS", lane.name)
	if err != nil {
		return err
	}
	var sent time.Time
	full := false
	for {
		lane.slots <- struct{}{}
		f.slots <- struct{}{}
		if !full {
			time.Sleep(time.Until(sent.Add(time.Duration(f.took.Load()) / time.Duration(cap(lane.slots)))))
		}
		msgs, err := pull(consumer, lane.most)
		if err != nil {
			return err
		}
		if len(msgs) == 0 {
			f.free(lane)
			continue
		}
		sent, full = time.Now(), len(msgs) == lane.most
		go func() {
			time.Sleep(f.delay)
			sessions := f.send(msgs)
			f.free(lane)
			f.store(msgs, sessions)
		}()
	}
}

func (f *floor) free(lane floorLane) {
	<-f.slots
	<-lane.slots
}

// pull takes all that is there; if nothing is, what comes first.
func pull(consumer jetstream.Consumer, most int) (msgs []jetstream.Msg, err error) {
	some, err := consumer.FetchNoWait(most)
	if err != nil {
		return nil, err
	}
	for msg := range some.Messages() {
		msgs = append(msgs, msg)
	}
	if len(msgs) > 0 {
		return msgs, nil
	}
	msg, err := consumer.Next(jetstream.FetchMaxWait(2 * time.Second))
	if errors.Is(err, nats.ErrTimeout) {
		return nil, nil
	}
	return append(msgs, msg), err
}

// send decodes and sends the document, as often as it takes, and returns the sessions of each job.
func (f *floor) send(msgs []jetstream.Msg) [][]string {
	var document bytes.Buffer
	document.WriteString(`<?xml version="1.0" encoding="utf-8"?><Api_LogoffUsersRequest>`)
	sessions := make([][]string, len(msgs))
	for i, msg := range msgs {
		var job struct {
			Sessions []string `json:"sessions"`
		}
		if err := json.Unmarshal(msg.Data(), &job); err != nil {
			panic(err)
		}
		sessions[i] = job.Sessions
		for _, id := range job.Sessions {
			document.WriteString(`<sessions val="` + id + `"/>`)
		}
	}
	document.WriteString(`</Api_LogoffUsersRequest>`)
	for {
		begun := time.Now()
		answer, err := f.call(http.MethodDelete, "/Sessions", "application/xml", document.Bytes())
		f.took.Store((7*f.took.Load() + int64(time.Since(begun))) / 8)
		if err == nil && bytes.Contains(answer, []byte("Api_LogoffUsersResponse")) {
			return sessions
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// others stands for the other fields of a worker's result, so that NATS stores as many bytes.
var others = strings.Repeat("-", 351)

// header is that of a result: without it, no reader takes a message for one.
var header = nats.Header{jobs.StatusHeader: {"done"}}

// store publishes the results together.
func (f *floor) store(msgs []jetstream.Msg, sessions [][]string) {
	number := f.number.Add(1)
	b := &batch{msgs: msgs}
	b.left.Store(int64(len(msgs)))
	f.batches.Store(number, b)
	reply := f.inbox + "." + strconv.FormatInt(number, 10)
	for i, msg := range msgs {
		meta, err := msg.Metadata()
		if err != nil {
			panic(err)
		}
		key := strconv.FormatUint(meta.Sequence.Stream, 10) + "-" + strconv.FormatInt(meta.Timestamp.UnixNano(), 10)
		result := `{"status":"done","sessions":["` + strings.Join(sessions[i], `","`) + `"],"else":"` + others + `"}`
		if err := f.nc.PublishMsg(&nats.Msg{Subject: "logoff.results." + key + "." + key, Reply: reply, Header: header, Data: []byte(result)}); err != nil {
			panic(err)
		}
	}
}

// stored counts what JetStream has stored; when a whole batch is, its jobs are acknowledged.
func (f *floor) stored(msg *nats.Msg) {
	number, err := strconv.ParseInt(msg.Subject[len(f.inbox)+1:], 10, 64)
	if err != nil || bytes.Contains(msg.Data, []byte(`"error"`)) {
		panic(string(msg.Data))
	}
	found, ok := f.batches.Load(number)
	if !ok {
		return
	}
	if b := found.(*batch); b.left.Add(-1) == 0 {
		f.batches.Delete(number)
		for _, job := range b.msgs {
			if err := job.Ack(); err != nil {
				panic(err)
			}
		}
	}
}
