package stream

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
)

const (
	ackWait       = 30 * time.Second
	maxAckPending = 20_000
	keepResults   = 30 * 24 * time.Hour
	keepDead      = 90 * 24 * time.Hour
	keepActs      = 365 * 24 * time.Hour
	// keepCounts is little more than the hour of which counts are asked for.
	keepCounts = 65 * time.Minute
	// leastCounts holds some 100,000 additions.
	leastCounts = 16 << 20
	// leastKept is how long a result has to be there at least: a job that comes again, as after a long stop of
	// NATS, is known by it to be settled.
	leastKept = 24 * time.Hour
	// sameDeadLetter is how long a dead letter that is stored again, by the next delivery of its job,
	// is known as the same.
	sameDeadLetter = time.Hour
	// maxJobBytes admits 10,000 sessions with their owners, and leaves room for the headers of a
	// dead letter under NATS' default limit of 1 MiB.
	maxJobBytes = 768 << 10
)

// A plan is what one deployment has in JetStream.
type plan struct {
	requests, results, dead jetstream.StreamConfig
	audit                   jetstream.StreamConfig // no job needs it
	counts                  jetstream.StreamConfig // without a name where nothing is counted
	consumers               map[jobs.Lane]jetstream.ConsumerConfig
	ackWait                 time.Duration               // as the consumers have it
	found                   map[string]jetstream.Stream // the streams, by name
	domain                  string                      // of the JetStream that is used; empty for one without
	resets                  bool                        // the server can set a consumer back to a job
}

// streams are those of a plan that the worker cannot do without, in the order in which they are made.
func (p plan) streams() []jetstream.StreamConfig {
	all := []jetstream.StreamConfig{p.requests, p.results, p.dead}
	if p.counts.Name != "" {
		all = append(all, p.counts)
	}
	return all
}

// plan is the contract with publishers and readers in JetStream's words.
func (c Config) plan(account *jetstream.AccountInfo, maxPayload int64) plan {
	p := plan{
		requests:  c.requests(maxPayload),
		results:   c.results(),
		dead:      c.dead(),
		audit:     c.audit(),
		consumers: map[jobs.Lane]jetstream.ConsumerConfig{},
		found:     map[string]jetstream.Stream{},
		ackWait:   ackWait,
		domain:    account.Domain,
		resets:    account.API.Level >= resetLevel,
	}
	if c.Counts && account.API.Level >= counterLevel {
		p.counts = c.counts()
	}
	for _, lane := range jobs.Lanes {
		p.consumers[lane] = c.consumer(lane, account)
	}
	return p
}

// lacks is what the server is too old for.
func (c Config) lacks(p plan) (words []string) {
	if !p.resets {
		words = append(words, cannotReset)
	}
	if c.Counts && p.counts.Name == "" {
		words = append(words, cannotCount)
	}
	return words
}

func (c Config) requests(maxPayload int64) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        c.Subjects.RequestStream(),
		Description: "logoff jobs; a job leaves when its result is stored",
		Subjects:    c.Subjects.Requests(),
		Retention:   jetstream.WorkQueuePolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardNew,
		MaxMsgSize:  jobBytes(maxPayload),
		Duplicates:  2 * time.Minute,
		Replicas:    c.Replicas,
		MaxBytes:    c.MaxBytes,
		DenyDelete:  true,
		DenyPurge:   true,
	}
}

// results has one result for each job's subject, and refuses another (takesOne).
func (c Config) results() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:                 c.Subjects.ResultStream(),
		Description:          "one result per logoff job",
		Subjects:             []string{c.Subjects.Results()},
		Retention:            jetstream.LimitsPolicy,
		Storage:              jetstream.FileStorage,
		Discard:              jetstream.DiscardNew,
		MaxMsgsPerSubject:    1,
		DiscardNewPerSubject: true,
		MaxAge:               keepResults,
		Duplicates:           2 * time.Minute,
		Replicas:             c.Replicas,
		MaxBytes:             c.MaxBytes,
		AllowDirect:          true,
	}
}

// takesOne reports whether a stream takes one message for a subject, and refuses each later one by itself.
func takesOne(c jetstream.StreamConfig) bool {
	return c.MaxMsgsPerSubject == 1 && c.DiscardNewPerSubject
}

func (c Config) dead() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        c.Subjects.DeadStream(),
		Description: "logoff jobs that were not done, ready to be published again",
		Subjects:    []string{c.Subjects.DeadLetters()},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardNew,
		MaxAge:      keepDead,
		Duplicates:  sameDeadLetter,
		Replicas:    c.Replicas,
		MaxBytes:    c.MaxBytes,
	}
}

// audit keeps what people do, and digests of results. Where it is full the oldest go, because an act that cannot be
// written down is not done.
func (c Config) audit() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        c.Subjects.AuditStream(),
		Description: "who paused, replayed, dropped, approved or denied what, and digests of the results",
		Subjects:    []string{c.Subjects.Audit()},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardOld,
		MaxAge:      keepActs,
		Duplicates:  2 * time.Minute,
		Replicas:    c.Replicas,
		MaxBytes:    c.MaxBytes / 2,
		AllowDirect: true,
		DenyDelete:  true,
		DenyPurge:   true,
	}
}

// counts has a counter for each subject. Counters and DiscardNew exclude each other.
func (c Config) counts() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:            c.Subjects.CountStream(),
		Description:     "what all workers together did within the hour",
		Subjects:        []string{c.Subjects.Counts()},
		Retention:       jetstream.LimitsPolicy,
		Storage:         jetstream.FileStorage,
		MaxAge:          keepCounts,
		Duplicates:      2 * time.Minute,
		Replicas:        c.Replicas,
		MaxBytes:        c.countBytes(),
		AllowDirect:     true,
		AllowMsgCounter: true,
		DenyDelete:      true,
		DenyPurge:       true,
	}
}

func (c Config) consumer(lane jobs.Lane, account *jetstream.AccountInfo) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:        string(lane),
		Description:    "workers of " + string(lane) + " logoff jobs",
		FilterSubjects: c.Subjects.Lane(lane),
		DeliverPolicy:  jetstream.DeliverAllPolicy,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        ackWait,
		MaxDeliver:     -1,
		MaxAckPending:  mostInHand(c.tier(account).Limits.MaxAckPending),
		ReplayPolicy:   jetstream.ReplayInstantPolicy,
	}
}

// jobBytes is the largest job that a stream may take where NATS takes messages of maxPayload bytes.
func jobBytes(maxPayload int64) int32 {
	return int32(min(maxJobBytes, maxPayload*3/4))
}

// mostInHand is how many jobs of a lane may be in hand where the account allows so many; 0 is no limit.
func mostInHand(allowed int) int {
	if allowed > 0 {
		return min(maxAckPending, allowed)
	}
	return maxAckPending
}

// pushed is the difference of a consumer that sends jobs to a subject of its own.
const pushed = "it is a push consumer, needed is a pull consumer"

// streamDifferences compares what the guarantees rest on. Limits of size, copies and placement are
// the operator's own business.
func streamDifferences(have, want jetstream.StreamConfig) []string {
	return compareStreams(have, want).words
}

// streamEdit is the command that sets a stream back, as far as it can be; empty where nothing of it can.
func streamEdit(have, want jetstream.StreamConfig) string {
	flags := compareStreams(have, want).flags
	if len(flags) == 0 {
		return ""
	}
	return "nats stream edit " + want.Name + " --force " + strings.Join(flags, " ")
}

func compareStreams(have, want jetstream.StreamConfig) differences {
	var d differences
	if !lacksApproved(have.Subjects, want.Subjects) {
		d.equal("subjects", sorted(have.Subjects), sorted(want.Subjects), flags("subjects", want.Subjects)...)
	}
	d.equal("retention", have.Retention, want.Retention)
	d.equal("storage", have.Storage, want.Storage)
	d.equal("discard", have.Discard, want.Discard, "--discard=new")
	d.equal("counter", have.AllowMsgCounter, want.AllowMsgCounter)
	d.equal("deny delete", have.DenyDelete || !want.DenyDelete, true, "--deny-delete")
	d.equal("deny purge", have.DenyPurge || !want.DenyPurge, true, "--deny-purge")
	d.equal("no ack", have.NoAck, false, "--ack")
	d.equal("sealed", have.Sealed, false)
	d.equal("subject transform", have.SubjectTransform != nil, false, "--no-transform")
	d.equal("mirror", have.Mirror != nil, false)
	for _, source := range have.Sources {
		if !feeds(source, want) {
			d.add("source "+source.Name, source.SubjectTransforms, "subject transforms, each into one subject of jobs, in the stream of jobs alone")
		}
	}
	maxAge := fmt.Sprintf("--max-age=%dh", want.MaxAge/time.Hour)
	if want.MaxAge == 0 {
		d.equal("max age", have.MaxAge, want.MaxAge, maxAge)
	} else if least := min(leastKept, want.MaxAge); have.MaxAge != 0 && have.MaxAge < least {
		d.add("max age", have.MaxAge, fmt.Sprintf("%v or more", least), maxAge)
	}
	if asWanted := takesOne(have) && takesOne(want); have.MaxMsgsPerSubject > 0 && !asWanted {
		flags := []string{"--max-msgs-per-subject=-1"}
		if have.DiscardNewPerSubject {
			flags = append(flags, "--no-discard-per-subject") // it goes with such a limit only
		}
		d.add("max messages per subject", have.MaxMsgsPerSubject, "no limit, which would drop a message for a later one, or refuse the later one", flags...)
	}
	if want.MaxMsgSize <= 0 && have.MaxMsgSize > 0 {
		d.add("max message size", have.MaxMsgSize, "no limit, because a result may need all that NATS takes", "--max-msg-size=-1")
	}
	if want.MaxMsgSize > 0 && (have.MaxMsgSize <= 0 || have.MaxMsgSize > want.MaxMsgSize) {
		d.add("max message size", have.MaxMsgSize, fmt.Sprintf("%d or less, so that a dead letter has room", want.MaxMsgSize), fmt.Sprintf("--max-msg-size=%d", want.MaxMsgSize))
	}
	return d
}

// countBytes is how much the counters may take: of what is dropped before its time nothing is known.
func (c Config) countBytes() int64 {
	if c.MaxBytes == 0 {
		return 0
	}
	return max(c.MaxBytes/16, leastCounts)
}

// lacksApproved reports whether subjects are those of a release before jobs could be held: all that are wanted but
// those of approved jobs. Such a stream or consumer is right, as long as no job is held.
func lacksApproved(have, want []string) bool {
	older := slices.DeleteFunc(slices.Clone(want), isApproved)
	return len(older) < len(want) && slices.Equal(sorted(have), sorted(older))
}

func isApproved(subject string) bool {
	return slices.ContainsFunc(jobs.Lanes, func(lane jobs.Lane) bool {
		return strings.HasSuffix(subject, ".approved."+string(lane)+".*")
	})
}

// flags gives a flag of the nats command several values.
func flags(name string, values []string) (all []string) {
	for _, value := range values {
		all = append(all, "--"+name+"='"+value+"'")
	}
	return all
}

// feeds reports whether all that a source brings into a stream are messages that the lanes' consumers take. Others
// would stay in the stream for ever.
func feeds(source *jetstream.StreamSource, want jetstream.StreamConfig) bool {
	for _, t := range source.SubjectTransforms {
		last := strings.LastIndex(t.Destination, ".") + 1
		named := slices.Contains(want.Subjects, t.Destination[:last]+"*") && jobs.LegalID(t.Destination[last:]) == nil
		made := strings.Contains(t.Destination, "{{") // it may come to several tokens
		if made || !named && !slices.Contains(want.Subjects, t.Destination) {
			return false
		}
	}
	return want.Retention == jetstream.WorkQueuePolicy && len(source.SubjectTransforms) > 0
}

// filters are the subjects of which a consumer takes messages.
func filters(c jetstream.ConsumerConfig) []string {
	if c.FilterSubject != "" {
		return []string{c.FilterSubject}
	}
	return c.FilterSubjects
}

func consumerDifferences(have, want jetstream.ConsumerConfig) []string {
	var d differences
	filters := filters(have)
	if !lacksApproved(filters, want.FilterSubjects) {
		d.equal("filter subjects", sorted(filters), sorted(want.FilterSubjects))
	}
	d.equal("ack policy", have.AckPolicy, want.AckPolicy)
	d.equal("deliver policy", have.DeliverPolicy, want.DeliverPolicy)
	d.equal("max deliver", have.MaxDeliver, want.MaxDeliver)
	d.equal("backoff", len(have.BackOff) > 0, false)
	d.equal("push subject", have.DeliverSubject, "")
	d.equal("headers only", have.HeadersOnly, false)
	d.equal("replay policy", have.ReplayPolicy, want.ReplayPolicy)
	d.equal("priority policy", have.PriorityPolicy, want.PriorityPolicy)
	if have.MaxWaiting > 0 && have.MaxWaiting < 16 {
		d.add("max waiting", have.MaxWaiting, "16 or more: every worker has a pull that waits")
	}
	if have.MaxRequestBatch > 0 {
		d.add("max request batch", have.MaxRequestBatch, "no limit: a pull asks for as many jobs as fill a document")
	}
	if have.MaxRequestExpires > 0 && have.MaxRequestExpires < PullWait {
		d.add("max request expires", have.MaxRequestExpires, fmt.Sprintf("%v or more", PullWait))
	}
	if have.MaxRequestMaxBytes > 0 && have.MaxRequestMaxBytes < pullBytes {
		d.add("max request bytes", have.MaxRequestMaxBytes, fmt.Sprintf("%d or more", pullBytes))
	}
	if have.AckWait < 3*time.Second {
		d.add("ack wait", have.AckWait, "3s or more")
	}
	if have.MaxAckPending > 0 && have.MaxAckPending < 1000 {
		d.add("max ack pending", have.MaxAckPending, "1000 or more")
	}
	return d.words
}

// differences are what is not as it should be, in words, and the flags of the nats command that set it back.
type differences struct{ words, flags []string }

func (d *differences) add(field string, have, want any, flags ...string) {
	d.words = append(d.words, fmt.Sprintf("%s is %v, needed is %v", field, have, want))
	d.flags = append(d.flags, flags...)
}

func (d *differences) equal(field string, have, want any, flags ...string) {
	if fmt.Sprint(have) != fmt.Sprint(want) {
		d.add(field, have, want, flags...)
	}
}

func sorted(s []string) []string {
	return slices.Sorted(slices.Values(s))
}
