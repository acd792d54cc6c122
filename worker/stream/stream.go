// Package stream is the worker's JetStream: how it is reached, which streams and consumers a deployment has
// there, and how messages come from them and go to them.
//
// [Connect] prepares a connection that is kept for ever (connect.go). A [Config] says what a deployment wants
// (plan.go), and sees to it that this is there (provision.go); [Config.Foresee] tells what that would come to
// (forecast.go). A running worker has one [Streams]: it waits until all is there, gives each lane its [Puller]
// (pull.go), and hears of pulls that fail. An [Outbox] has messages stored, many at once (publish.go). A
// [Watch] looks at what others can change meanwhile, tells what keeps jobs from being taken (watch.go,
// standstill.go, tally.go), has stranded jobs delivered again (stranded.go), and hears within two seconds that a lane is
// paused (pause.go).
//
// It guarantees that
//   - nothing is buffered while there is no connection, so that what is published either fails at once or is
//     on its way;
//   - a message counts as stored only if JetStream said so, of that message;
//   - a stream or consumer that is not what the worker rests on is refused at the start, and told later;
//   - a stream or consumer that an operator owns is never created or changed;
//   - a pull loses no job: what the server sent before a pull ended is returned.
//
// It knows no job's content: it moves messages, counts them, and knows lanes and subjects. What a message
// says, whether it is acknowledged, and how long its lease is kept, is the worker's.
package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
)

// The parts of a worker's health that are told of here.
const (
	PartNATS    = "nats"
	PartStreams = "streams"
	PartUrgent  = string(jobs.Urgent) // the lane's consumer
	PartBulk    = string(jobs.Bulk)
)

// Parts lists them for [logoffworker/metrics.NewHealth].
var Parts = []string{PartNATS, PartStreams, PartUrgent, PartBulk}

// A Config says what a deployment has in JetStream. [DefaultConfig] fills it.
type Config struct {
	// Subjects names the deployment's subjects and streams.
	Subjects jobs.Subjects
	// Provision says whether missing streams and consumers are created.
	Provision Provision
	// Replicas is the number of copies of a stream that is created here, and MaxBytes, unless 0, how much it holds.
	Replicas int
	MaxBytes int64
	// API is the prefix of JetStream's API, such as $JS.hub.API for the domain hub; empty means the JetStream of
	// the server that is reached.
	API string
	// Counts has the stream of counters made and asked for, where the server has counters.
	Counts bool
	// Holds says that jobs are held, so that the subjects of approved jobs have to be taken; HoldsByHour that this
	// needs counters.
	Holds, HoldsByHour bool
}

// Provision says who makes the streams and consumers.
type Provision string

const (
	// ProvisionCreate creates what is missing and verifies the rest.
	ProvisionCreate Provision = "create"
	// ProvisionVerify creates nothing: the operator owns streams and consumers.
	ProvisionVerify Provision = "verify"
)

// DefaultConfig returns the settings of a worker that was told nothing.
func DefaultConfig() Config {
	return Config{Subjects: jobs.Subjects{Prefix: "logoff"}, Provision: ProvisionCreate, Replicas: 1}
}

// minStreamBytes lets a stream hold the largest job, or its dead letter.
const minStreamBytes = 1 << 20

// A FieldError says what is wrong with one field of a [Config], or of the worker's that holds it, in the operator's
// words.
type FieldError struct {
	Field, Problem string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// Validate returns everything that is wrong with the settings, as joined [*FieldError]s.
func (c Config) Validate() error {
	var problems []error
	wrong := func(field string, ok bool, format string, values ...any) {
		if !ok {
			problems = append(problems, &FieldError{field, fmt.Sprintf(format, values...)})
		}
	}
	if err := c.Subjects.Validate(); err != nil {
		wrong("Subjects", false, "%v", err)
	}
	wrong("Provision", c.Provision == ProvisionCreate || c.Provision == ProvisionVerify, "must be create or verify")
	wrong("Replicas", c.Replicas >= 1 && c.Replicas <= 5, "must be 1 to 5, not %d", c.Replicas)
	wrong("MaxBytes", c.MaxBytes == 0 || c.MaxBytes >= minStreamBytes, "must be %d (1 MiB) or more, not %d", minStreamBytes, c.MaxBytes)
	wrong("API", !strings.ContainsAny(c.API, " \t\r\n*>") && !strings.Contains("."+c.API+".", "..") || c.API == "", "must be tokens of a subject, separated by dots, without blanks and wildcards")
	return errors.Join(problems...)
}

// apiTimeout is how long JetStream may take to answer a question. A question that was lost, as happens
// while a leader is elected, is better asked again soon.
const apiTimeout = 2 * time.Second

// JetStream is the JetStream that the settings name, over a connection.
func (c Config) JetStream(nc *nats.Conn) (jetstream.JetStream, error) {
	js, err := jetstream.NewWithAPIPrefix(nc, c.api(), jetstream.WithDefaultTimeout(apiTimeout))
	if err != nil {
		return nil, fmt.Errorf("use JetStream: %w", err)
	}
	return js, nil
}

// api is the prefix of JetStream's API.
func (c Config) api() string {
	if c.API == "" {
		return strings.TrimSuffix(jetstream.DefaultAPIPrefix, ".")
	}
	return c.API
}

// pause waits, and reports whether it could wait to the end.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
