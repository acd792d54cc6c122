// Package fleet lets the workers of a deployment tell each other how they are: a micro service of NATS, which
// `nats micro ls` finds, with one endpoint, status, that each replica answers. It knows NATS, and not what is said.
// Nothing is changed by a request, and no command travels this way: what a request holds is not looked at.
package fleet

import (
	"context"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"logoffworker/jobs"
)

// ServiceName is the name of the service.
const ServiceName = "logoff-worker"

const (
	// patience is how long answers are waited for, and quiet how long after the latest.
	patience = time.Second
	quiet    = 200 * time.Millisecond
	// mostAnswers bounds how many are taken.
	mostAnswers = 100
	// answerEvery is how often a status is made; who asks more often gets the same once more.
	answerEvery = time.Second
)

// Config says who answers.
type Config struct {
	NATS     *nats.Conn
	Subjects jobs.Subjects
	// Worker is the name of this worker, Version its version.
	Worker, Version string
	// Status is what it says of itself.
	Status func() []byte
}

// A Member is a worker that answers, and can ask the others.
type Member struct {
	config  Config
	service micro.Service
	latest  []byte // the latest answer, touched by the endpoint's own goroutine alone
	made    time.Time
}

// Join has the worker answer, until [Member.Leave]. It may be called while NATS cannot be reached.
func Join(c Config) (*Member, error) {
	m := &Member{config: c}
	var err error
	m.service, err = micro.AddService(c.NATS, micro.Config{
		Name: ServiceName, Version: semantic(c.Version), Description: "ends Commvault sessions; tells how each worker is",
		Metadata: map[string]string{"worker": c.Worker, "version": c.Version, "prefix": c.Subjects.Prefix},
	})
	if err != nil {
		return nil, err
	}
	err = m.service.AddEndpoint("status", micro.HandlerFunc(m.answer),
		micro.WithEndpointSubject(subject(c.Subjects)), micro.WithEndpointQueueGroupDisabled())
	if err != nil {
		m.Leave()
		return nil, err
	}
	return m, nil
}

// subject is where a deployment's workers are asked.
func subject(s jobs.Subjects) string { return s.Prefix + ".fleet.status" }

func (m *Member) answer(r micro.Request) {
	if time.Since(m.made) >= answerEvery {
		m.latest, m.made = m.config.Status(), time.Now()
	}
	_ = r.Respond(m.latest) // whoever asked asks again
}

// Ask asks every worker, this one too, and returns what they say within a second. It returns nothing where NATS
// cannot be reached, or the right to ask is missing.
func (m *Member) Ask(ctx context.Context) [][]byte {
	answers, _ := Ask(ctx, m.config.NATS, m.config.Subjects)
	return answers
}

// Ask asks every worker of a deployment, and returns what they say within a second. [nats.ErrNoResponders] says that
// there is none.
func Ask(ctx context.Context, nc *nats.Conn, s jobs.Subjects) (answers [][]byte, err error) {
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }() // or the connection has ended
	if err := nc.PublishRequest(subject(s), inbox, nil); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for wait := patience; len(answers) < mostAnswers; wait = quiet {
		msg, err := nextMessage(ctx, sub, wait)
		switch {
		case err != nil && len(answers) == 0:
			return nil, err
		case err != nil:
			return answers, nil // nobody is left
		case len(msg.Data) == 0:
			return answers, nats.ErrNoResponders
		}
		answers = append(answers, msg.Data)
	}
	return answers, nil
}

func nextMessage(ctx context.Context, sub *nats.Subscription, wait time.Duration) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return sub.NextMsgWithContext(ctx)
}

// Leave ends the answers.
func (m *Member) Leave() { _ = m.service.Stop() } // or the connection has ended

// version is what services of NATS must have for one.
var version = regexp.MustCompile(`^v?((0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*))`)

// semantic is a version as NATS wants it; the whole is among the service's metadata.
func semantic(v string) string {
	if found := version.FindStringSubmatch(v); found != nil {
		return found[1]
	}
	return "0.0.0"
}
