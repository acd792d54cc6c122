package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
)

// A Forecast is what provisioning would come to.
type Forecast struct {
	Domain  string   // of the JetStream that is used; empty for one without
	Account string   // what the account allows, in words
	Creates []string // what is missing and will be made, a line each
	Lacks   string   // what the server is too old for; empty where that is nothing
}

// Foresee looks at what provisioning would do, and changes nothing. Its error joins all that it would fail at to make
// what is missing.
func (c Config) Foresee(ctx context.Context, js jetstream.JetStream) (f Forecast, err error) {
	account, err := c.account(ctx, js)
	if err != nil {
		return f, err
	}
	f.Domain, f.Account = account.Domain, c.allowance(account)
	p := c.plan(account, js.Conn().MaxPayload())
	f.Lacks = strings.Join(c.lacks(p), "; ")
	var problems []error
	needed := 0
	for _, config := range append(p.streams(), p.audit) {
		stream, err := js.Stream(ctx, config.Name)
		if err == nil && lacksApproved(stream.CachedInfo().Config.Subjects, config.Subjects) {
			c.foreseeApproved(&f, config.Name)
		}
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			continue // provisioning verifies it
		}
		f.Creates = append(f.Creates, created(config))
		if config.Name == p.audit.Name || c.Provision == ProvisionVerify {
			continue // no job needs it; or somebody else makes it, and hears what stands in the way
		}
		needed++
		if others := overlapping(ctx, js, config); len(others) > 0 {
			problems = append(problems, fmt.Errorf("stream %s cannot be created: %w", config.Name, overlapError(others)))
		}
	}
	if needed > 0 {
		problems = append(problems, c.mayCreateIn(account.Domain), c.findShadow(ctx, js, p), c.shortOf(account, int64(needed)))
		if c.Replicas > 1 && js.Conn().ConnectedClusterName() == "" {
			problems = append(problems, errors.New(refusals[10074]))
		}
	}
	return f, errors.Join(problems...)
}

// foreseeApproved tells of a stream of jobs that was made before jobs could be held.
func (c Config) foreseeApproved(f *Forecast, name string) {
	if c.Provision == ProvisionCreate {
		f.Creates = append(f.Creates, "stream "+name+" takes no approved jobs, and is changed so that it does")
		return
	}
	f.Lacks = strings.TrimPrefix(f.Lacks+"; the stream "+name+" takes no approved jobs, so that none may be held", "; ")
}

// shortOf says what an account lacks for so many more streams.
func (c Config) shortOf(account *jetstream.AccountInfo, more int64) error {
	tier := c.tier(account)
	limits, free := tier.Limits, tier.Limits.MaxStore-int64(max(tier.Store, tier.ReservedStore))
	var problems []error
	wrong := func(isWrong bool, format string, values ...any) {
		if isWrong {
			problems = append(problems, fmt.Errorf(format, values...))
		}
	}
	wrong(limits.MaxBytesRequired && c.MaxBytes == 0, "%s", refusals[10113])
	wrong(limits.StoreMaxStreamBytes > 0 && c.MaxBytes > limits.StoreMaxStreamBytes, "%s, which is %s", refusals[10122], Bytes(limits.StoreMaxStreamBytes))
	wrong(limits.MaxStore >= 0 && more*c.MaxBytes > free, "the account has storage for %s more, and %d streams of LOGOFF_NATS_MAX_BYTES take %s", Bytes(max(0, free)), more, Bytes(more*c.MaxBytes))
	wrong(limits.MaxStreams > 0 && int64(tier.Streams)+more > int64(limits.MaxStreams), "the account allows %d streams and has %d; %d more are needed", limits.MaxStreams, tier.Streams, more)
	wrong(limits.MaxConsumers > 0 && limits.MaxConsumers < len(jobs.Lanes), "the account allows %d consumers of a stream; %d are needed", limits.MaxConsumers, len(jobs.Lanes))
	return errors.Join(problems...)
}

// created describes a stream that is to be made.
func created(config jetstream.StreamConfig) string {
	copies, limit, keeps := "1 copy", "no limit of bytes", "until they are done"
	if config.Replicas > 1 {
		copies = fmt.Sprintf("%d copies", config.Replicas)
	}
	if config.MaxBytes > 0 {
		limit = "at most " + Bytes(config.MaxBytes)
	}
	if config.MaxAge > 0 {
		keeps = fmt.Sprintf("for %d days", config.MaxAge/(24*time.Hour))
	}
	return fmt.Sprintf("stream %s is missing (%s, %s, messages kept %s)", config.Name, copies, limit, keeps)
}

// allowance is what an account may use and uses, in words.
func (c Config) allowance(account *jetstream.AccountInfo) string {
	tier := c.tier(account)
	storage := "no limit"
	if tier.Limits.MaxStore >= 0 {
		storage = Bytes(tier.Limits.MaxStore)
	}
	words := fmt.Sprintf("the account's storage: %s (used: %s); streams: %s (used: %d); consumers of a stream: %s",
		storage, Bytes(int64(tier.Store)), limitOf(tier.Limits.MaxStreams), tier.Streams, limitOf(tier.Limits.MaxConsumers))
	if tier.Limits.MaxBytesRequired {
		words += "; each stream must have a limit of bytes"
	}
	return words
}

func limitOf(n int) string {
	if n <= 0 {
		return "no limit"
	}
	return strconv.Itoa(n)
}

// Bytes is a number of bytes in words.
func Bytes(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	value, unit := float64(n), 0
	for value >= 1024 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.4g %s", value, units[unit])
}
