package fleet

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"logoffworker/jobs"
	"logoffworker/worker/broker"
	"logoffworker/worker/stage/bubble"
)

func connected(t *testing.T) (connect func() *nats.Conn, b *broker.Broker) {
	t.Helper()
	b, err := broker.Start(broker.Options{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Shutdown)
	return func() *nats.Conn {
		nc, err := b.Connect()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}, b
}

// join has a worker join whose status is its name, and tells how often it was asked for it.
func join(t *testing.T, nc *nats.Conn, prefix, name string) (m *Member, asked *int) {
	t.Helper()
	asked = new(int)
	m, err := Join(Config{NATS: nc, Subjects: jobs.Subjects{Prefix: prefix}, Worker: name, Version: "v1.2.3-4-gabc", Status: func() []byte {
		*asked++
		return []byte(name)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Leave)
	if err := nc.Flush(); err != nil { // so that others find it
		t.Fatal(err)
	}
	return m, asked
}

func said(answers [][]byte) (names []string) {
	for _, a := range answers {
		names = append(names, string(a))
	}
	slices.Sort(names)
	return names
}

// Every worker of the deployment answers, and none of another; who has left does not.
func TestEveryWorkerOfTheDeploymentAnswers(t *testing.T) {
	bubble.Run(t, time.Minute, func(t *testing.T) {
		connect, _ := connected(t)
		one, asked := join(t, connect(), "logoff", "w-1")
		two, _ := join(t, connect(), "logoff", "w-2")
		join(t, connect(), "other", "w-3")
		begin := time.Now()
		if got := said(one.Ask(t.Context())); fmt.Sprint(got) != "[w-1 w-2]" {
			t.Errorf("%v answer", got)
		}
		if took := time.Since(begin); took > quiet {
			t.Errorf("it took %v", took)
		}
		for range 10 {
			two.Ask(t.Context())
		}
		if *asked > 3 {
			t.Errorf("the status was made %d times in %v", *asked, time.Since(begin))
		}
		two.Leave()
		time.Sleep(time.Second) // until NATS has heard of it
		if got := said(one.Ask(t.Context())); fmt.Sprint(got) != "[w-1]" {
			t.Errorf("%v answer after one has left", got)
		}
	})
}

// `nats micro ls` and `info` find the service, its versions and its workers.
func TestServiceIsFound(t *testing.T) {
	bubble.Run(t, time.Minute, func(t *testing.T) {
		connect, _ := connected(t)
		join(t, connect(), "logoff", "w-1")
		reply, err := connect().Request("$SRV.INFO.logoff-worker", nil, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for _, words := range []string{`"name":"logoff-worker"`, `"version":"1.2.3"`, `"worker":"w-1"`, `"subject":"logoff.fleet.status"`, micro.InfoResponseType} {
			if !strings.Contains(string(reply.Data), words) {
				t.Errorf("%s is not in %s", words, reply.Data)
			}
		}
	})
}

// While NATS is away nobody answers, and it is not waited for; when it is back they answer again.
func TestNobodyAnswersWhileNATSIsAway(t *testing.T) {
	bubble.Run(t, time.Minute, func(t *testing.T) {
		connect, b := connected(t)
		m, _ := join(t, connect(), "logoff", "w-1")
		b.Shutdown()
		time.Sleep(time.Second)
		begin := time.Now()
		if got := m.Ask(t.Context()); got != nil || time.Since(begin) > patience {
			t.Errorf("%v after %v", said(got), time.Since(begin))
		}
	})
}

func TestVersionIsAsNATSWantsIt(t *testing.T) {
	for v, want := range map[string]string{"v1.2.3": "1.2.3", "1.2.3-4-gabc": "1.2.3", "(devel)": "0.0.0", "": "0.0.0", "v0.0.0-20261128-abc+dirty": "0.0.0", "1.02.3": "0.0.0"} {
		if got := semantic(v); got != want {
			t.Errorf("%q is %q, want %q", v, got, want)
		}
	}
}
