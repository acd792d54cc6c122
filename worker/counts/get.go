package counts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// incrHeader holds what a message adds to its counter.
const incrHeader = "Nats-Incr"

// A request asks a stream for one message: that of a sequence, the last on a subject, or the first on a subject since
// a time. The client library cannot ask for the last of these.
type request struct {
	Sequence uint64     `json:"seq,omitempty"`
	Last     string     `json:"last_by_subj,omitempty"`
	Next     string     `json:"next_by_subj,omitempty"`
	From     *time.Time `json:"start_time,omitempty"`
}

// An addition is one message of a counter.
type addition struct {
	sequence        uint64
	at              time.Time // by the server's clock
	total, increase int64
}

// before is the total before it.
func (a addition) before() int64 { return a.total - a.increase }

// errNone says that there is no such message, at least at the copy of the stream that was asked.
var errNone = errors.New("the stream has no such message")

// get asks for a message, of which any copy of the stream may tell.
func (c *Counts) get(ctx context.Context, r request) (a addition, err error) {
	data, err := json.Marshal(r)
	if err != nil {
		return a, err
	}
	msg, err := c.js.Conn().RequestWithContext(ctx, c.direct, data)
	if err != nil {
		return a, err
	}
	switch status := msg.Header.Get("Status"); status {
	case "":
	case "404":
		return a, errNone
	default:
		return a, fmt.Errorf("the server answers %s %s", status, msg.Header.Get("Description"))
	}
	var body struct {
		Total int64 `json:"val,string"`
	}
	var problems [4]error
	problems[0] = json.Unmarshal(msg.Data, &body)
	a.total = body.Total
	a.sequence, problems[1] = strconv.ParseUint(msg.Header.Get(jetstream.SequenceHeader), 10, 64)
	a.at, problems[2] = time.Parse(time.RFC3339Nano, msg.Header.Get(jetstream.TimeStampHeaer))
	a.increase, problems[3] = strconv.ParseInt(msg.Header.Get(incrHeader), 10, 64)
	if err := errors.Join(problems[:]...); err != nil {
		return a, fmt.Errorf("the message is none of a counter: %w", err)
	}
	return a, nil
}
