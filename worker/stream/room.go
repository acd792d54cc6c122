package stream

import (
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/metrics"
)

// nearlyFull is which part of what may be stored is so much that operators are told.
const nearlyFull = 0.9

// tellRoom tells operators of a stream that has no room, or not much.
func (s *Streams) tellRoom(info *jetstream.StreamInfo) {
	name, state := info.Config.Name, info.State
	holds := fmt.Sprintf("it holds %d messages and %d bytes, of %s", state.Msgs, state.Bytes, limits(info.Config))
	raise := fmt.Sprintf("nats stream edit %s --force --max-msgs=-1 --max-bytes=-1", name)
	full := full(info)
	s.Health.Set(full, metrics.Condition{
		Part: PartStreams, Kind: "full " + name, Grave: true,
		What:     fmt.Sprintf("the stream %s is full: %s", name, holds),
		ByItself: s.whenFull(name),
		ToDo:     "raise or remove its limit, if the disk has room", Command: raise,
	})
	s.Health.Set(!full && share(info) >= nearlyFull, metrics.Condition{
		Part: PartStreams, Kind: "nearly full " + name, Harmless: true,
		What: fmt.Sprintf("the stream %s is nearly full: %s", name, holds),
		ToDo: "raise or remove its limit, if the disk has room", Command: raise,
	})
}

// whenFull says what becomes of what a full stream does not take.
func (s *Streams) whenFull(name string) string {
	switch name {
	case s.plan.requests.Name:
		return "NATS refuses new jobs, and tells their publishers, until some are settled"
	case s.plan.results.Name:
		return "jobs whose result cannot be stored stay in the stream, and the worker keeps trying"
	}
	return "jobs whose dead letter cannot be stored stay in the stream, and the worker keeps trying"
}

// full reports whether a stream has no room for another message like those that it holds.
func full(s *jetstream.StreamInfo) bool {
	state, limit := s.State, s.Config
	if limit.MaxMsgs > 0 && state.Msgs >= uint64(limit.MaxMsgs) {
		return true
	}
	return limit.MaxBytes > 0 && state.Msgs > 0 && state.Bytes+state.Bytes/state.Msgs > uint64(limit.MaxBytes)
}

// share is which part of its limits a stream has used up.
func share(s *jetstream.StreamInfo) (used float64) {
	if s.Config.MaxMsgs > 0 {
		used = float64(s.State.Msgs) / float64(s.Config.MaxMsgs)
	}
	if s.Config.MaxBytes > 0 {
		used = max(used, float64(s.State.Bytes)/float64(s.Config.MaxBytes))
	}
	return used
}

func limits(c jetstream.StreamConfig) string {
	var words []string
	if c.MaxMsgs > 0 {
		words = append(words, fmt.Sprintf("at most %d messages", c.MaxMsgs))
	}
	if c.MaxBytes > 0 {
		words = append(words, fmt.Sprintf("at most %d bytes", c.MaxBytes))
	}
	return strings.Join(words, " and ")
}

// fullAccount is the kind of condition in which the account may store no more.
const fullAccount = "account full"

// lookAtAccount tells what the account has stored, and operators if that is all that it may, or nearly. Without an
// answer nothing changes: the streams were asked for just now.
func (s *Streams) lookAtAccount(ctx context.Context) {
	account, err := s.js.AccountInfo(ctx)
	if err != nil {
		return
	}
	tier := s.Config.tier(account)
	stored, limit := tier.Store, tier.Limits.MaxStore
	s.Metrics.Storage(stored, limit)
	full := limit > 0 && stored+minStreamBytes > uint64(limit)
	words := fmt.Sprintf("it has stored %d of at most %d bytes", stored, limit)
	s.Health.Set(full, metrics.Condition{
		Part: PartStreams, Kind: fullAccount, Grave: true,
		What:     "the worker's account at NATS may store no more: " + words,
		ByItself: "NATS refuses new jobs, and results too, whose jobs stay in the stream while the worker keeps trying",
		ToDo:     "raise the limit of the account's storage, or remove what is not needed from its streams", Command: "nats account info",
	})
	s.Health.Set(!full && limit > 0 && float64(stored) >= nearlyFull*float64(limit), metrics.Condition{
		Part: PartStreams, Kind: "account nearly full", Harmless: true,
		What: "the worker's account at NATS may soon store no more: " + words,
		ToDo: "raise the limit of the account's storage, or remove what is not needed from its streams", Command: "nats account info",
	})
}
