package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// account asks for the account at JetStream, and refuses a cluster that is too old.
func (c Config) account(ctx context.Context, js jetstream.JetStream) (*jetstream.AccountInfo, error) {
	account, err := js.AccountInfo(ctx)
	switch {
	case c.API != "" && (errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, context.DeadlineExceeded)):
		return nil, fmt.Errorf("no JetStream answers at %s; look at LOGOFF_NATS_DOMAIN or LOGOFF_NATS_API_PREFIX, and at what the account may publish: %w", c.API, err)
	case err != nil:
		return nil, fmt.Errorf("ask for JetStream: %w", err)
	case account.API.Level < resetLevel && (c.Replicas > 1 || js.Conn().ConnectedClusterName() != ""):
		return nil, tooOldForACluster()
	}
	return account, nil
}

// tooOldForACluster refuses a cluster of servers before 2.14: in the fault run, one of 2.10.29 lost jobs that it had
// acknowledged, when its leader was killed or frozen.
func tooOldForACluster() error {
	return mismatch("the NATS cluster", []string{"its servers are older than 2.14, and may lose jobs that they have acknowledged when a leader changes; needed in a cluster is nats-server 2.14 or later"})
}

// resetLevel is JetStream's API level of nats-server 2.14, the first that sets a consumer back. Nothing else needs more
// than 2.10, which knows consumers with several filter subjects.
const resetLevel = 4

// cannotCount is what a worker does without where the server has no counters.
const cannotCount = "the NATS server is older than 2.12 and cannot count for all workers, so that each keeps LOGOFF_WRITES_PER_HOUR and LOGOFF_READS_PER_HOUR for itself: divide them by the number of workers"

// counterLevel is JetStream's API level of nats-server 2.12, the first with counters.
const counterLevel = 2

// cannotReset is what a worker does without where the server is older.
const cannotReset = "the NATS server is older than 2.14, so that jobs which the consumers are past are told, and not delivered again by themselves"

// mayCreateIn refuses to make streams in a domain that nobody has named: a leaf node with a JetStream of its own
// would keep jobs and results to itself, while publishers and readers are elsewhere.
func (c Config) mayCreateIn(domain string) error {
	if domain == "" || c.API != "" {
		return nil
	}
	return fmt.Errorf("it is missing in the JetStream domain %q, which is that of the server and was not asked for, so it is not created: set LOGOFF_NATS_DOMAIN to %s, or to the domain where the streams are", domain, domain)
}

// findShadow finds streams in the JetStream of the server itself that take what is meant for those of the domain:
// they would answer in their place, and a result that they alone took would count as stored.
func (c Config) findShadow(ctx context.Context, js jetstream.JetStream, p plan) error {
	if c.API == "" {
		return nil
	}
	local, err := Config{}.JetStream(js.Conn())
	if err != nil {
		return err
	}
	account, err := local.AccountInfo(ctx)
	if err != nil || account.Domain == p.domain {
		return nil // none of its own, none that may be asked, or the same
	}
	for _, config := range p.streams() {
		if others := overlapping(ctx, local, config); len(others) > 0 {
			return fmt.Errorf("stream %s of the JetStream domain %q, that of the server which the worker is connected to, takes the same subjects as the one of the domain %q, and would answer in its place: delete it there",
				strings.Join(others, " and "), account.Domain, p.domain)
		}
	}
	return nil
}

// overlapping names the streams, the same one included, that have some of a stream's subjects.
func overlapping(ctx context.Context, js jetstream.JetStream, config jetstream.StreamConfig) (names []string) {
	for _, subject := range config.Subjects {
		for name := range js.StreamNames(ctx, jetstream.WithStreamListSubject(subject)).Name() {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// refusals says what to do about what JetStream refuses to create.
var refusals = map[jetstream.ErrorCode]string{
	10002: "the account has no room for it: lower LOGOFF_NATS_MAX_BYTES, or raise the account's storage",
	10005: "no servers have room for it: look at LOGOFF_NATS_REPLICAS, and at the servers' storage",
	10023: "the server has no room for it: lower LOGOFF_NATS_MAX_BYTES, or raise the server's storage",
	10026: "the account allows fewer consumers than the two that a worker needs",
	10027: "the account allows no more streams",
	10047: "the account or the server has no storage for it: lower LOGOFF_NATS_MAX_BYTES, or raise what it may store",
	10074: "LOGOFF_NATS_REPLICAS is more than 1, and the server is in no cluster",
	10113: "the account demands that each stream has a limit of bytes: set LOGOFF_NATS_MAX_BYTES",
	10120: "the account has no JetStream limits for this number of copies: look at LOGOFF_NATS_REPLICAS",
	10122: "LOGOFF_NATS_MAX_BYTES is more than the account allows for one stream",
}

// subjectsOverlap is the code of a stream whose subjects are another's.
const subjectsOverlap = 10065

// explained adds to an error of JetStream what a person can do about it.
func explained(ctx context.Context, js jetstream.JetStream, config jetstream.StreamConfig, err error) error {
	var refused *jetstream.APIError
	if !errors.As(err, &refused) {
		return err
	}
	if refused.ErrorCode == subjectsOverlap {
		return overlapError(overlapping(ctx, js, config))
	}
	if words := refusals[refused.ErrorCode]; words != "" {
		return fmt.Errorf("%s (%w)", words, err)
	}
	return err
}

func overlapError(others []string) error {
	return fmt.Errorf("stream %s has some of its subjects: take them out of that stream, or choose another LOGOFF_PREFIX", strings.Join(others, " and "))
}

// tier is what the account may use, and uses, for streams with so many copies.
func (c Config) tier(account *jetstream.AccountInfo) jetstream.Tier {
	if tier, ok := account.Tiers[fmt.Sprintf("R%d", max(1, c.Replicas))]; ok {
		return tier
	}
	return account.Tier
}
