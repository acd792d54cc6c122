package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
)

// A Finding is something in JetStream that is not as it should be.
type Finding struct {
	What  string // stream, consumer or account
	Words string // what is wrong with it
	Grave bool   // jobs, results or dead letters may be lost, or nobody takes them; else it is a remark
	ToDo  string // what to think of; empty where Command says it all
	// Command mends it, for a shell; empty where no command does.
	Command string
}

// An Unseen is what could not be looked at.
type Unseen struct {
	What  string
	Right string // the subject on which it is asked for
	Err   error
}

// An Examination is what a person is told who asks what is wrong in JetStream.
type Examination struct {
	Forecast  Forecast
	Streams   []*jetstream.StreamInfo // those that are there
	Consumers map[jobs.Lane]*jetstream.ConsumerInfo
	Findings  []Finding
	Unseen    []Unseen
}

// Examine looks at all that a deployment has in JetStream, and changes nothing. Where NATS does not answer at all, the
// account is what could not be looked at, and nothing else is.
func (c Config) Examine(ctx context.Context, js jetstream.JetStream) Examination {
	e := &examining{Config: c, js: js, Examination: Examination{Consumers: map[jobs.Lane]*jetstream.ConsumerInfo{}}}
	account, err := c.account(ctx, js)
	var tooOld *MismatchError
	switch {
	case errors.As(err, &tooOld):
		e.find(Finding{What: tooOld.What, Words: strings.Join(tooOld.Differences, "; "), Grave: true, ToDo: "upgrade each server of it to nats-server 2.14 or later"})
		return e.Examination
	case err != nil:
		e.unseen("the account at JetStream", "INFO", err)
		return e.Examination
	}
	e.plan = c.plan(account, js.Conn().MaxPayload())
	e.foresee(ctx)
	for _, want := range append(e.plan.streams(), e.plan.audit) {
		e.stream(ctx, want)
	}
	for _, lane := range jobs.Lanes {
		e.consumer(ctx, lane)
	}
	e.account(account)
	e.stranded(ctx)
	return e.Examination
}

// An examining is an examination under way.
type examining struct {
	Config
	Examination
	js   jetstream.JetStream
	plan plan
}

func (e *examining) find(f Finding) { e.Findings = append(e.Findings, f) }

func (e *examining) unseen(what, call string, err error) {
	e.Unseen = append(e.Unseen, Unseen{what, e.api() + "." + call, err})
}

// foresee tells of what stands in the way of making what is missing, and what the server is too old for.
func (e *examining) foresee(ctx context.Context) {
	forecast, err := e.Foresee(ctx, e.js)
	e.Forecast = forecast
	if forecast.Lacks != "" && !e.plan.resets {
		e.find(Finding{What: "the NATS server", Words: cannotReset, ToDo: "upgrade each server to nats-server 2.14 or later"})
	}
	if err != nil {
		e.find(Finding{What: "what is missing in JetStream", Words: "it cannot be made: " + strings.ReplaceAll(err.Error(), "\n", "; "), Grave: true})
	}
}

// stream looks at one of the deployment's streams.
func (e *examining) stream(ctx context.Context, want jetstream.StreamConfig) {
	what, needed := "stream "+want.Name, want.Name != e.plan.audit.Name
	found, err := e.js.Stream(ctx, want.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		words := "it is missing: nobody has made it, or somebody deleted it"
		if !needed {
			words = "it is missing, so that nobody can pause, replay, approve or deny anything, and no digest is kept"
		}
		e.find(Finding{What: what, Words: words, Grave: needed, Command: initCommand})
		return
	case err != nil:
		e.unseen(what, "STREAM.INFO."+want.Name, err)
		return
	}
	info := found.CachedInfo()
	e.Streams = append(e.Streams, info)
	if different := streamDifferences(info.Config, want); len(different) > 0 {
		f := Finding{What: what, Words: strings.Join(different, "; "), Grave: needed, Command: streamEdit(info.Config, want)}
		e.beyondEdit(&f, info, want)
		e.find(f)
	}
	if lacksApproved(info.Config.Subjects, want.Subjects) {
		e.find(Finding{What: what, Words: "it takes no approved jobs, as a release before made it, so that none may be held", Command: initCommand})
	}
	e.room(what, info)
	e.copies(what, info)
}

// beyondEdit is what is left to do of a stream of which not all can be edited.
func (e *examining) beyondEdit(f *Finding, info *jetstream.StreamInfo, want jetstream.StreamConfig) {
	have := info.Config
	fixed := have.Retention != want.Retention || have.Storage != want.Storage || have.Mirror != nil || have.Sealed
	switch {
	case !fixed:
	case info.State.Msgs == 0:
		f.Command = "nats stream rm " + want.Name + " --force && " + initCommand
	default:
		f.Command = ""
		f.ToDo = fmt.Sprintf("this cannot be edited, and the stream holds %d messages: keep them (nats stream backup), remove the stream, have it made by %s, and publish them again", info.State.Msgs, initCommand)
	}
}

// room tells of a stream that is full, or nearly.
func (e *examining) room(what string, info *jetstream.StreamInfo) {
	if !full(info) && share(info) < nearlyFull {
		return
	}
	words := "it is nearly full"
	if full(info) {
		words = "it is full"
	}
	var flags []string
	if limit := info.Config.MaxBytes; limit > 0 {
		flags = append(flags, fmt.Sprintf("--max-bytes=%d", 2*limit))
	}
	if limit := info.Config.MaxMsgs; limit > 0 {
		flags = append(flags, fmt.Sprintf("--max-msgs=%d", 2*limit))
	}
	e.find(Finding{
		What: what, Grave: full(info),
		Words:   fmt.Sprintf("%s: it holds %d messages and %s, of %s", words, info.State.Msgs, Bytes(int64(info.State.Bytes)), limits(info.Config)),
		ToDo:    "if the disk has room",
		Command: "nats stream edit " + info.Config.Name + " --force " + strings.Join(flags, " "),
	})
}

// copies tells of a stream in a cluster of which a server's loss would lose what is in it, or has taken a copy.
func (e *examining) copies(what string, info *jetstream.StreamInfo) {
	cluster := info.Cluster
	if cluster == nil || e.js.Conn().ConnectedClusterName() == "" {
		return
	}
	if info.Config.Replicas < 2 {
		e.find(Finding{
			What: what, Words: "it has one copy, on the server " + cluster.Leader + ", although there is a cluster: nothing is stored or taken while that server is away",
			Command: "nats stream edit " + info.Config.Name + " --force --replicas=3",
		})
	}
	if cluster.Leader == "" {
		e.find(Finding{What: what, Grave: true, Words: "it has no leader, so that nothing is stored or taken", ToDo: "look at the servers: nats server report jetstream"})
	}
	for _, peer := range cluster.Replicas {
		if peer.Offline || !peer.Current {
			state := "is behind"
			if peer.Offline {
				state = "is away"
			}
			e.find(Finding{What: what, Words: fmt.Sprintf("its copy on the server %s %s", peer.Name, state), ToDo: "look at that server"})
		}
	}
}

// consumer looks at a lane's consumer.
func (e *examining) consumer(ctx context.Context, lane jobs.Lane) {
	want, stream := e.plan.consumers[lane], e.plan.requests.Name
	what := "consumer " + want.Durable + " of " + stream
	anew := "nats consumer rm " + stream + " " + want.Durable + " --force && " + initCommand
	found, err := e.js.Consumer(ctx, stream, want.Durable)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return // it is told
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		e.find(Finding{What: what, Words: "it is missing, so that nobody takes " + string(lane) + " jobs", Grave: true, Command: initCommand})
		return
	case errors.Is(err, jetstream.ErrNotPullConsumer):
		e.find(Finding{What: what, Words: pushed, Grave: true, Command: anew})
		return
	case err != nil:
		e.unseen(what, "CONSUMER.INFO."+stream+"."+want.Durable, err)
		return
	}
	info := found.CachedInfo()
	e.Consumers[lane] = info
	if different := consumerDifferences(info.Config, want); len(different) > 0 {
		e.find(Finding{What: what, Words: strings.Join(different, "; "), Grave: true, ToDo: "the jobs stay in the stream", Command: anew})
	}
	if lacksApproved(info.Config.FilterSubjects, want.FilterSubjects) {
		e.find(Finding{What: what, Words: "it takes no approved jobs, as a release before made it, so that none may be held", Command: initCommand})
	}
}

// account tells of an account that may store no more, or not much.
func (e *examining) account(account *jetstream.AccountInfo) {
	tier := e.tier(account)
	stored, limit := tier.Store, tier.Limits.MaxStore
	if limit <= 0 || float64(stored) < nearlyFull*float64(limit) {
		return
	}
	e.find(Finding{
		What: "the account at NATS", Grave: stored+minStreamBytes > uint64(limit),
		Words: fmt.Sprintf("it has stored %s of at most %s", Bytes(int64(stored)), Bytes(limit)),
		ToDo:  "raise the limit of the account's storage, or remove what is not needed from its streams (nats account info)",
	})
}

// stranded tells of jobs that nobody will ever get: two counts agree, since between them jobs come and go.
func (e *examining) stranded(ctx context.Context) {
	least := min(e.countStranded(ctx), e.countStranded(ctx))
	if least <= 0 {
		return
	}
	name := e.plan.requests.Name
	astray, such := e.countAstray(ctx)
	if astray > 0 {
		e.find(Finding{
			What: "stream " + name, Words: fmt.Sprintf("messages are on subjects of no lane (%d), such as %q: nobody works them, and all other jobs are worked", astray, such),
			ToDo: unroutableToDo, Command: "nats stream subjects " + name,
		})
	}
	if least -= astray; least <= 0 {
		return
	}
	e.find(Finding{
		What: "stream " + name, Grave: true,
		Words:   fmt.Sprintf("%d jobs are stranded: they are in the stream, and their consumer is past them, so that nobody gets them", least),
		ToDo:    "what has a result is not worked twice",
		Command: fmt.Sprintf("nats consumer rm %[1]s %[2]s --force; nats consumer rm %[1]s %[3]s --force; %[4]s", name, jobs.Urgent, jobs.Bulk, initCommand),
	})
}

// countStranded is how many jobs neither wait nor are in hand; 0 where that is not known.
func (e *examining) countStranded(ctx context.Context) int {
	held := 0
	for _, lane := range jobs.Lanes {
		consumer, err := e.js.Consumer(ctx, e.plan.requests.Name, string(lane))
		if err != nil {
			return 0
		}
		info := consumer.CachedInfo()
		held += int(info.NumPending) + info.NumAckPending
	}
	stream, err := e.js.Stream(ctx, e.plan.requests.Name)
	if err != nil {
		return 0
	}
	return max(0, int(stream.CachedInfo().State.Msgs)-held)
}

// countAstray is how many messages of the stream of jobs are on subjects of no lane, and one of those subjects; 0 where that
// is not known.
func (e *examining) countAstray(ctx context.Context) (n int, such string) {
	stream, err := e.js.Stream(ctx, e.plan.requests.Name)
	if err != nil {
		return 0, ""
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return 0, ""
	}
	for _, subject := range slices.Sorted(maps.Keys(info.State.Subjects)) {
		if lane, _, _ := e.Subjects.Origin(subject); lane == "" {
			n, such = n+int(info.State.Subjects[subject]), cmp.Or(such, subject)
		}
	}
	return n, such
}

// Summary is how many streams and consumers are there, in words.
func (e Examination) Summary() string {
	var names []string
	for _, info := range e.Streams {
		names = append(names, info.Config.Name)
	}
	return fmt.Sprintf("%s: as the worker needs them", cmp.Or(strings.Join(names, ", "), "none"))
}
