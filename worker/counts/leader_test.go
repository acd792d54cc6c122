package counts

import (
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"logoffworker/worker/stage"
	"logoffworker/worker/stage/bubble"
)

func TestMain(m *testing.M) {
	if stage.ServeNATS(os.Args) {
		return
	}
	os.Exit(m.Run())
}

// trio starts a cluster of three servers, and returns their addresses.
func trio(t *testing.T) string {
	t.Helper()
	nodes, urls, err := stage.StartTrio(t.TempDir)
	for _, n := range nodes {
		t.Cleanup(n.Process.Kill)
	}
	if err != nil {
		t.Fatal(err)
	}
	return urls
}

// While the leader of the stream changes again and again, no two additions of three workers learn the same sum, and
// none learns less than was added before it.
func TestLeaderChangeForgetsNothing(t *testing.T) {
	bubble.NeedsNATS(t, 14) // what the worker asks for in a cluster
	urls := trio(t)
	connect := func() (nc *nats.Conn) {
		if !stage.Await(t.Context(), 30*time.Second, func() (up bool) {
			var err error
			nc, err = nats.Connect(urls, nats.UserInfo("admin", stage.AdminPassword), nats.ReconnectBufSize(-1))
			return err == nil
		}) {
			t.Fatal("no server is reached")
		}
		t.Cleanup(nc.Close)
		return nc
	}
	js := jetStream(t, connect())
	var err error
	if !stage.Await(t.Context(), 30*time.Second, func() bool { // the servers have to find each other
		_, err = js.CreateStream(t.Context(), countStream(3))
		return err == nil
	}) {
		t.Fatal(err)
	}
	const workers, each, changes = 3, 60, 4
	var mu sync.Mutex
	var sums []int64
	var adding sync.WaitGroup
	for range workers {
		c := New(jetStream(t, connect()), subjects)
		adding.Go(func() {
			for had := 0; had < each && t.Context().Err() == nil; {
				sum, err := c.Add(t.Context(), "writes", 1)
				if err != nil {
					continue // it counts, or does not
				}
				had++
				mu.Lock()
				sums = append(sums, sum)
				mu.Unlock()
			}
		})
	}
	for i := range changes {
		stage.Await(t.Context(), 30*time.Second, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(sums) >= (i+1)*workers*each/(changes+1)
		})
		if _, err := js.Conn().Request("$JS.API.STREAM.LEADER.STEPDOWN."+subjects.CountStream(), nil, 10*time.Second); err != nil {
			t.Error(err)
		}
	}
	adding.Wait()
	slices.Sort(sums)
	for i, sum := range sums {
		if i > 0 && sum == sums[i-1] || sum < int64(i+1) {
			t.Fatalf("the sums are %v", sums)
		}
	}
	if len(sums) != workers*each {
		t.Errorf("%d additions had an answer", len(sums))
	}
}
