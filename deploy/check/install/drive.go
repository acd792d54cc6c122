package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
)

// Where the service and the simulated Web Server are in the machine.
const (
	natsURL   = "nats://127.0.0.1:4222"
	probesURL = "http://127.0.0.1:9464"
	control   = "http://127.0.0.1:8082"
	takesMost = 3 * time.Minute
)

// admin is the userId of the simulated Web Server's own account, as which the worker logs in.
const admin = 1

var subjects = jobs.Subjects{Prefix: "logoff"}

// drive is the publisher in the machine: it waits until the service is ready, publishes jobs of one session each, waits
// until some are in hand, or until so many results are there, one for each job, with every session ended.
func drive(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("drive", flag.ContinueOnError)
	password := flags.String("password", "", "of the user logoff in NATS")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, takesMost)
	defer cancel()
	if flags.Arg(0) == "ready" {
		return awaitReady(ctx)
	}
	nc, err := nats.Connect(natsURL, nats.UserInfo("logoff", *password), nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(flags.Arg(1))
	switch flags.Arg(0) {
	case "publish":
		return publish(ctx, js, n)
	case "inhand":
		return awaitInHand(ctx, js)
	case "await":
		return awaitResults(ctx, js, n, out)
	}
	return fmt.Errorf("%q is nothing to do", flags.Arg(0))
}

func awaitReady(ctx context.Context) error {
	var said string
	for {
		if status, body, err := get(ctx, http.MethodGet, probesURL+"/readyz", ""); err != nil {
			said = err.Error()
		} else if said = string(body); status == http.StatusOK {
			return nil
		}
		if !pause(ctx) {
			return fmt.Errorf("the service is not ready: %s", said)
		}
	}
}

// publish signs somebody new on and publishes a job for each session.
func publish(ctx context.Context, js jetstream.JetStream, n int) error {
	var person struct {
		ID int `json:"id"`
	}
	if err := ask(ctx, http.MethodPost, "/users", fmt.Sprintf(`{"login":"leaver-%d","display":"Leaver","password":"x"}`, n), &person); err != nil {
		return err
	}
	var sessions []string
	if err := ask(ctx, http.MethodPost, "/sessions", fmt.Sprintf(`{"userId":%d,"count":%d}`, person.ID, n), &sessions); err != nil {
		return err
	}
	for _, id := range sessions {
		if _, err := js.PublishAsync(subjects.Request(jobs.Urgent, "leavers"), fmt.Appendf(nil, `{"sessions":[%q]}`, id)); err != nil {
			return err
		}
	}
	select {
	case <-js.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return errors.New("NATS does not confirm the jobs")
	}
}

// awaitInHand waits until the service has some of the jobs, while others wait.
func awaitInHand(ctx context.Context, js jetstream.JetStream) error {
	for {
		consumer, err := js.Consumer(ctx, subjects.RequestStream(), "urgent")
		if err != nil {
			return err
		}
		if info := consumer.CachedInfo(); info.NumAckPending > 0 && info.NumPending > 0 {
			return nil
		}
		if !pause(ctx) {
			return errors.New("no job was taken while others waited")
		}
	}
}

// awaitResults waits for the results of all jobs so far, and looks at them.
func awaitResults(ctx context.Context, js jetstream.JetStream, n int, out io.Writer) error {
	name := subjects.ResultStream()
	for {
		results, err := js.Stream(ctx, name)
		if err != nil {
			return err
		}
		if results.CachedInfo().State.Msgs >= uint64(n) {
			break
		}
		if !pause(ctx) {
			return fmt.Errorf("%d results of %d", results.CachedInfo().State.Msgs, n)
		}
	}
	consumer, err := js.OrderedConsumer(ctx, name, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	settled := map[string]bool{}
	for range n {
		msg, err := consumer.Next()
		if err != nil {
			return err
		}
		result, err := jobs.DecodeResult(msg.Data())
		if err != nil {
			return err
		}
		if !result.Status.Success() || settled[result.JobID] {
			return fmt.Errorf("job %s is %s, and it is %t that it had a result before", result.JobID, result.Status, settled[result.JobID])
		}
		settled[result.JobID] = true
	}
	if err := nobodyOn(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d jobs, one result each, every session ended\n", n)
	return nil
}

// nobodyOn is an error where sessions are on but those of the worker itself.
func nobodyOn(ctx context.Context) error {
	var on []struct {
		UserID int `json:"userId"`
	}
	if err := ask(ctx, http.MethodGet, "/sessions?active=true", "", &on); err != nil {
		return err
	}
	n := 0
	for _, session := range on {
		if session.UserID != admin {
			n++
		}
	}
	if n > 0 {
		return fmt.Errorf("%d sessions are still on", n)
	}
	return nil
}

// ask asks the simulator's control, and reads its answer.
func ask(ctx context.Context, method, path, body string, answer any) error {
	status, said, err := get(ctx, method, control+path, body)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s %s: %d %s", method, path, status, said)
	}
	return json.Unmarshal(said, answer)
}

func get(ctx context.Context, method, url, body string) (status int, answer []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// pause waits a moment; it returns false when the time is up.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(100 * time.Millisecond):
		return true
	}
}
