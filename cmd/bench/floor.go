package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// floorMode, as the first argument, makes this program the leanest client there is.
const floorMode = "floor"

// runFloor works jobs for ever. Arguments: NATS, Web Server, password, slots, sessions of a document.
func runFloor(args []string) bool {
	if len(args) != 7 || args[1] != floorMode {
		return false
	}
	slots, err1 := strconv.Atoi(args[5])
	most, err2 := strconv.Atoi(args[6])
	err := errors.Join(err1, err2)
	if err == nil {
		f := &floor{web: args[3], slots: make(chan struct{}, slots), most: most}
		err = f.run(args[2], args[4])
	}
	fmt.Fprintln(os.Stderr, "floor:", err)
	os.Exit(1)
	return true
}

// A floor is that client.
type floor struct {
	nc    *nats.Conn
	web   string
	token string
	slots chan struct{}
	most  int
	inbox string

	batches sync.Map // by number: *batch
	number  atomic.Int64
}

// A batch is the jobs of one document whose results are being stored.
type batch struct {
	msgs []jetstream.Msg
	left atomic.Int64
}

func (f *floor) run(url, password string) (err error) {
	if f.nc, err = nats.Connect(url); err != nil {
		return err
	}
	f.inbox = f.nc.NewInbox()
	if _, err = f.nc.Subscribe(f.inbox+".*", f.stored); err != nil {
		return err
	}
	if err = f.login(password); err != nil {
		return err
	}
	js, err := jetstream.New(f.nc)
	if err != nil {
		return err
	}
	failed := make(chan error)
	for _, lane := range []string{"urgent", "bulk"} {
		go func() { failed <- f.lane(js, lane) }()
	}
	fmt.Println("floor: ready")
	return <-failed
}

func (f *floor) login(password string) error {
	body, err := json.Marshal(map[string]any{"username": "admin", "password": []byte(password)})
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

// lane takes a slot, pulls what is there, and sends it.
func (f *floor) lane(js jetstream.JetStream, name string) error {
	consumer, err := js.Consumer(context.Background(), "LOGOFF_REQUESTS", name)
	if err != nil {
		return err
	}
	for {
		f.slots <- struct{}{}
		<-f.slots
		msgs, err := f.pull(consumer)
		if err != nil {
			return err
		}
		if len(msgs) == 0 {
			continue
		}
		f.slots <- struct{}{}
		go f.send(msgs)
	}
}

// pull takes all that is there; if nothing is, what comes first.
func (f *floor) pull(consumer jetstream.Consumer) (msgs []jetstream.Msg, err error) {
	some, err := consumer.FetchNoWait(f.most)
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

// send decodes, sends the document, and publishes the results together.
func (f *floor) send(msgs []jetstream.Msg) {
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
		answer, err := f.call(http.MethodDelete, "/Sessions", "application/xml", document.Bytes())
		if err == nil && bytes.Contains(answer, []byte("Api_LogoffUsersResponse")) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	<-f.slots
	f.store(msgs, sessions)
}

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
		result := `{"status":"done","sessions":["` + strings.Join(sessions[i], `","`) + `"]}`
		if err := f.nc.PublishRequest("logoff.results."+key+"."+key, reply, []byte(result)); err != nil {
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
