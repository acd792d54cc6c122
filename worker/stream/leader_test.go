package stream

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/worker/stage"
)

func TestMain(m *testing.M) {
	if stage.ServeNATS(os.Args) {
		return
	}
	os.Exit(m.Run())
}

// trio starts a cluster of three servers, and returns a connection to it.
func trio(t *testing.T) *nats.Conn {
	t.Helper()
	nodes, urls, err := stage.StartTrio(t.TempDir)
	for _, n := range nodes {
		t.Cleanup(n.Process.Kill)
	}
	if err != nil {
		t.Fatal(err)
	}
	var nc *nats.Conn
	if !stage.Await(t.Context(), 30*time.Second, func() bool {
		nc, err = nats.Connect(urls, nats.UserInfo("admin", stage.AdminPassword), nats.ReconnectBufSize(-1))
		return err == nil
	}) {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// While the leader of a stream changes, a message may get no answer, or a wrong one, but never a yes that is none; and
// what was not told to be stored can be published again: it is then stored, or known to be. It is so whether the
// messages say that they are to be the only ones of their subjects, or the stream sees to that.
func TestLeaderChangeLosesNoAnswer(t *testing.T) {
	nc := trio(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, config := range []jetstream.StreamConfig{
		{Name: "HEADER", Subjects: []string{"header.*.*"}},
		{Name: "STREAM", Subjects: []string{"stream.*.*"}, MaxMsgsPerSubject: 1, DiscardNewPerSubject: true},
	} {
		config.Replicas, config.Discard = 3, jetstream.DiscardNew
		var s jetstream.Stream
		if !stage.Await(t.Context(), 30*time.Second, func() bool { // the servers have to find each other
			s, err = js.CreateStream(t.Context(), config)
			return err == nil
		}) {
			t.Fatal(err)
		}
		if err := leaderChanges(t, nc, s, !takesOne(config)); err != nil {
			t.Errorf("%s: %v", config.Name, err)
		}
	}
}

func leaderChanges(t *testing.T, nc *nats.Conn, s jetstream.Stream, withHeader bool) error {
	const batches, size = 2, 500
	name := s.CachedInfo().Config.Name
	o := NewOutbox(nc)
	stored := 0
	for round := range batches {
		deposed := false
		message := func(i int) (*nats.Msg, error) {
			if i == size/2 && !deposed {
				deposed = true
				if _, err := nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+name, nil, 10*time.Second); err != nil {
					return nil, err
				}
			}
			msg := nats.NewMsg(fmt.Sprintf("%s.%d.%d", strings.ToLower(name), round, i))
			if withHeader {
				msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, "0")
			}
			return msg, nil
		}
		open := make([]int, size)
		for i := range open {
			open[i] = i
		}
		for len(open) > 0 && t.Context().Err() == nil {
			var again []int
			for at, r := range o.Publish(t.Context(), len(open), Shared, func(i int) (*nats.Msg, error) { return message(open[i]) }) {
				switch {
				case r == nil:
					stored++
				case !TakenAlone(r):
					again = append(again, open[at])
				}
			}
			open = again
		}
		if err := inAll(t.Context(), s, uint64((round+1)*size)); err != nil {
			return err
		}
	}
	if stored == 0 || stored > batches*size {
		return fmt.Errorf("%d of %d messages were told to be stored", stored, batches*size)
	}
	return nil
}

// inAll is an error when a stream does not hold so many messages, each on a subject of its own, or has dropped one.
func inAll(ctx context.Context, s jetstream.Stream, want uint64) (err error) {
	if !stage.Await(ctx, 20*time.Second, func() bool {
		var info *jetstream.StreamInfo
		if info, err = s.Info(ctx); err == nil && (info.State.Msgs != want || info.State.NumSubjects != want || info.State.LastSeq != want) {
			err = fmt.Errorf("it holds %d of %d, on %d subjects", info.State.Msgs, info.State.LastSeq, info.State.NumSubjects)
		}
		return err == nil
	}) {
		return fmt.Errorf("want %d messages: %w", want, err)
	}
	return nil
}
