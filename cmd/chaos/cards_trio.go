package main

import (
	"context"
	"math/rand/v2"
	"syscall"
	"time"

	"logoffworker/worker/stage"
)

// trioCards are the ways in which a cluster loses its leader.
func (w *world) trioCards() []card {
	d := w.trio
	return []card{
		{name: "cluster/leader-killed", play: d.loseLeader(func(ctx context.Context, n *stage.Node, _ string, random *rand.Rand) error {
			n.Process.Kill()
			stage.Pause(ctx, time.Duration(500+random.IntN(2500))*time.Millisecond)
			return n.Start()
		})},
		{name: "cluster/leader-frozen", play: d.loseLeader(func(ctx context.Context, n *stage.Node, _ string, random *rand.Rand) error {
			n.Process.Signal(syscall.SIGSTOP)
			stage.Pause(ctx, time.Duration(6000+random.IntN(3000))*time.Millisecond)
			n.Process.Signal(syscall.SIGCONT)
			return nil
		})},
		{name: "cluster/leader-steps-down", play: d.loseLeader(func(_ context.Context, _ *stage.Node, stream string, _ *rand.Rand) error {
			_, err := d.admin.Request("$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil, 3*time.Second)
			return err
		})},
	}
}

// loseLeader attacks the leader of one of the streams, then waits until there is another, and all
// servers are with it.
func (d *deployment) loseLeader(attack func(context.Context, *stage.Node, string, *rand.Rand) error) func(context.Context, *rand.Rand) (int, string, error) {
	return func(ctx context.Context, random *rand.Rand) (int, string, error) {
		stream := d.subjects.ResultStream()
		if random.IntN(2) == 0 {
			stream = d.subjects.RequestStream()
		}
		var leader *stage.Node
		stage.Await(ctx, 20*time.Second, func() bool {
			leader, _ = d.leader(ctx, stream)
			return leader != nil
		})
		if leader == nil {
			return 0, "leaders lost", nil
		}
		if err := attack(ctx, leader, stream, random); err != nil {
			return 0, "leaders lost", err
		}
		lost := stage.Await(ctx, 20*time.Second, func() bool {
			now, _ := d.leader(ctx, stream)
			return now != nil && now != leader
		})
		stage.Await(ctx, 30*time.Second, func() bool { return d.complete(ctx) })
		return truth(lost), "leaders lost", nil
	}
}

// complete reports whether every stream has a leader and two followers that are with it.
func (d *deployment) complete(ctx context.Context) bool {
	for _, stream := range []string{d.subjects.RequestStream(), d.subjects.ResultStream(), d.subjects.DeadStream()} {
		handle, err := d.js.Stream(ctx, stream)
		if err != nil || handle.CachedInfo().Cluster == nil {
			return false
		}
		current := 0
		for _, peer := range handle.CachedInfo().Cluster.Replicas {
			if peer.Current && !peer.Offline {
				current++
			}
		}
		if handle.CachedInfo().Cluster.Leader == "" || current < 2 {
			return false
		}
	}
	return true
}
