package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"syscall"
	"time"

	"logoffworker/worker/stage"
)

// clusterFaults are the ways in which a cluster loses its leader.
func (w *world) clusterFaults() []fault {
	d := w.trio
	return []fault{
		{name: "cluster/leader-killed", inject: d.loseLeader(killLeader)},
		{name: "cluster/leader-frozen", inject: d.loseLeader(freezeLeader)},
		{name: "cluster/leader-steps-down", inject: d.loseLeader(d.deposeLeader)},
	}
}

// An attack on the server that leads a stream shows its effect.
type leaderAttack func(ctx context.Context, leader *stage.Node, stream string, random *rand.Rand) (int, string, error)

func killLeader(ctx context.Context, leader *stage.Node, _ string, random *rand.Rand) (int, string, error) {
	leader.Process.Kill()
	stage.Pause(ctx, time.Duration(500+random.IntN(2500))*time.Millisecond)
	return oneIf(leader.Process.Killed()), "leaders killed", leader.Start()
}

func freezeLeader(ctx context.Context, leader *stage.Node, _ string, random *rand.Rand) (int, string, error) {
	leader.Process.Signal(syscall.SIGSTOP)
	frozen := 0
	for end := time.Now().Add(time.Duration(3000+random.IntN(5000)) * time.Millisecond); time.Now().Before(end) && stage.Pause(ctx, 100*time.Millisecond); {
		frozen += oneIf(leader.Process.Frozen())
	}
	leader.Process.Signal(syscall.SIGCONT)
	return frozen, stoodStill, nil
}

func (d *deployment) deposeLeader(ctx context.Context, _ *stage.Node, stream string, _ *rand.Rand) (int, string, error) {
	deposed := 0
	stage.Await(ctx, 20*time.Second, func() bool {
		said, err := d.admin.Request("$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil, 3*time.Second)
		deposed = oneIf(err == nil && bytes.Contains(said.Data, []byte(`"success":true`)))
		return deposed > 0
	})
	return deposed, "leaders that stepped down", nil
}

// loseLeader attacks the leader of one of the streams, then waits until all servers are with the next.
func (d *deployment) loseLeader(attack leaderAttack) func(context.Context, *rand.Rand) (int, string, error) {
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
			return 0, "leaders found", nil
		}
		effect, counts, err := attack(ctx, leader, stream, random)
		if err == nil {
			stage.Await(ctx, 30*time.Second, func() bool { return d.complete(ctx) })
		}
		return effect, counts, err
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
