package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
)

// A record is a message of a stream.
type record struct {
	Sequence uint64
	Time     time.Time
	Subject  string
	Header   nats.Header
	Data     []byte
}

// result decodes a result. One without the header of a worker's is none: a user of NATS can have its own questions
// answered on any subject.
func (r record) result() (jobs.Result, error) {
	result, err := jobs.DecodeResult(r.Data)
	if err == nil && r.Header.Get(jobs.StatusHeader) != string(result.Status) {
		err = errors.New("it has not the header " + jobs.StatusHeader + " of a worker's result")
	}
	return result, err
}

// key is the last token of a result's subject: that of the job's message.
func (r record) key() string { return r.Subject[strings.LastIndex(r.Subject, ".")+1:] }

// id is that of a result's job, as the subject says.
func (r record) id() string {
	rest := strings.TrimSuffix(r.Subject, "."+r.key())
	return rest[strings.LastIndex(rest, ".")+1:]
}

// names are those that mean a result's job.
func (r record) names() []jobName { return namesOf(r.id(), r.key()) }

// jobSequence is that of the job whose result this is; 0 if the subject does not say.
func (r record) jobSequence() uint64 {
	digits, _, _ := strings.Cut(r.key(), "-")
	sequence, _ := strconv.ParseUint(digits, 10, 64)
	return sequence
}

const (
	// batchRecords and batchBytes bound what NATS sends at a request, so that it is never more than a client takes in.
	batchRecords = 1000
	batchBytes   = 4 << 20
	// answerWait is how long NATS may take with a record.
	answerWait = 5 * time.Second
	// pollEvery is how often it is looked whether there is more.
	pollEvery = 150 * time.Millisecond
)

// A place is where in a stream to read: from a sequence or a time on, messages of a subject or, if empty, all.
type place struct {
	Stream  string
	From    uint64
	Since   time.Time
	Subject string
}

// read hands out the records of a stream from a place on, until its end or until take returns false, and returns the
// sequence after the last. It makes no consumer, so that looking changes nothing, and needs no right to make one.
func (s *site) read(ctx context.Context, at place, take func(record) bool) (next uint64, err error) {
	next = max(at.From, 1)
	for more := true; more; {
		var got int
		got, next, more, err = s.batch(ctx, at, next, take)
		if err != nil {
			return next, s.explain("read "+at.Stream, err)
		}
		if got == 0 {
			return next, nil
		}
		at.Since = time.Time{}
	}
	return next, nil
}

// follow is read, and goes on with what comes, until take returns false or ctx ends. While NATS cannot be reached it
// waits.
func (s *site) follow(ctx context.Context, at place, take func(record) bool) error {
	done := false
	for !done {
		next, err := s.read(ctx, at, func(r record) bool {
			done = !take(r)
			return !done
		})
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && s.denial() != nil, err != nil && !s.passes(err):
			return err
		}
		at.From = next
		if !done && !pause(ctx, pollEvery) {
			return context.Cause(ctx)
		}
		if next > 1 {
			at.Since = time.Time{}
		}
	}
	return nil
}

// passes reports whether an error is one that ends by itself.
func (s *site) passes(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrDisconnected) ||
		errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrNoResponders) || errors.Is(err, errCut)
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// direct reports whether any server with a copy of a stream may answer, and so many records at a request.
func (s *site) direct(stream string) bool {
	return stream != s.subjects.RequestStream() && stream != s.subjects.DeadStream()
}

// api is a subject of JetStream's API.
func (s *site) api(call string) string { return cmp.Or(s.config.API, "$JS.API") + "." + call }

// batch reads one batch, and reports whether there may be more.
func (s *site) batch(ctx context.Context, at place, next uint64, take func(record) bool) (got int, after uint64, more bool, err error) {
	if !s.direct(at.Stream) {
		r, found, err := s.one(ctx, at, next)
		if err != nil || !found {
			return 0, next, false, err
		}
		return 1, r.Sequence + 1, take(r), nil
	}
	ask := ask{Seq: next, Batch: batchRecords, MaxBytes: batchBytes, Next: at.Subject}
	if !at.Since.IsZero() && next == 1 {
		ask.Seq, ask.Since = 0, &at.Since
	}
	sub, err := s.request(s.api("DIRECT.GET."+at.Stream), ask)
	if err != nil {
		return 0, next, false, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	after = next
	left := 0 // that are still to come; unknown before the first
	for {
		msg, err := s.next(ctx, sub)
		if err != nil {
			return got, after, false, err
		}
		if status := msg.Header.Get("Status"); status != "" {
			return got, after, got > 0 && status == "204" && msg.Header.Get("Nats-Num-Pending") != "0", refused(msg)
		}
		r, err := recordOf(msg)
		if err != nil {
			return got, after, false, err
		}
		pending := msg.Header.Get("Nats-Num-Pending")
		now, _ := strconv.Atoi(pending)
		if left > 0 && now != left-1 {
			return got, after, got > 0, nil // one was lost on the way: again from there
		}
		left = now
		got, after = got+1, r.Sequence+1
		if !take(r) {
			return got, after, false, nil
		}
		if pending == "" { // a server before 2.11 sends one
			return got, after, true, nil
		}
	}
}

// ask is a request for records.
type ask struct {
	Seq      uint64     `json:"seq,omitempty"`
	Last     string     `json:"last_by_subj,omitempty"`
	Next     string     `json:"next_by_subj,omitempty"`
	Batch    int        `json:"batch,omitempty"`
	MaxBytes int        `json:"max_bytes,omitempty"`
	Since    *time.Time `json:"start_time,omitempty"`
}

// request asks, and returns where the answers come.
func (s *site) request(subject string, a ask) (*nats.Subscription, error) {
	data, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	inbox := s.nc.NewInbox()
	sub, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	if err := s.nc.PublishRequest(subject, inbox, data); err != nil {
		_ = sub.Unsubscribe()
		return nil, err
	}
	return sub, nil
}

// errCut is an answer that did not come to its end.
var errCut = errors.New("NATS did not answer")

// next is the next answer. A right that is missing ends the wait.
func (s *site) next(ctx context.Context, sub *nats.Subscription) (*nats.Msg, error) {
	const look = 250 * time.Millisecond
	for waited := time.Duration(0); waited < answerWait; waited += look {
		msg, err := sub.NextMsg(look)
		switch {
		case err == nil:
			return msg, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case !errors.Is(err, nats.ErrTimeout):
			return nil, err
		case s.denial() != nil || !s.nc.IsConnected():
			return nil, errCut
		}
	}
	return nil, errCut
}

// refused is the error of an answer that is no record.
func refused(msg *nats.Msg) error {
	switch status := msg.Header.Get("Status"); status {
	case "204", "404":
		return nil
	case "503":
		return nats.ErrNoResponders
	default:
		return fmt.Errorf("NATS answers %s %s", status, msg.Header.Get("Description"))
	}
}

// recordOf reads a record that was sent directly.
func recordOf(msg *nats.Msg) (record, error) {
	sequence, err := strconv.ParseUint(msg.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return record{}, fmt.Errorf("NATS sent a record without a sequence: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, msg.Header.Get("Nats-Time-Stamp"))
	if err != nil {
		return record{}, fmt.Errorf("NATS sent a record without a time: %w", err)
	}
	return record{sequence, at, msg.Header.Get("Nats-Subject"), msg.Header, msg.Data}, nil
}

// one is the first record from a place on, as the stream's leader has it.
func (s *site) one(ctx context.Context, at place, next uint64) (record, bool, error) {
	return s.leader(ctx, at.Stream, ask{Seq: next, Next: cmp.Or(at.Subject, ">")})
}

// leader asks the leader of a stream for a record.
func (s *site) leader(ctx context.Context, stream string, a ask) (record, bool, error) {
	sub, err := s.request(s.api("STREAM.MSG.GET."+stream), a)
	if err != nil {
		return record{}, false, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	msg, err := s.next(ctx, sub)
	if err != nil {
		return record{}, false, err
	}
	if err := refused(msg); err != nil && msg.Header.Get("Status") != "" {
		return record{}, false, err
	}
	var told struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(msg.Data, &told); err != nil {
		return record{}, false, fmt.Errorf("NATS sent a record that cannot be read: %w", err)
	}
	if told.Error != nil {
		if told.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return record{}, false, nil
		}
		return record{}, false, told.Error
	}
	m := told.Message
	header, err := headerOf(m.Header)
	return record{m.Seq, m.Time, m.Subject, header, m.Data}, err == nil, err
}

func headerOf(data []byte) (nats.Header, error) {
	if len(data) == 0 {
		return nil, nil
	}
	return nats.DecodeHeadersMsg(data)
}

// last is the last record of a subject, which may have wildcards, of a stream that may be read directly.
func (s *site) last(ctx context.Context, stream, subject string) (record, bool, error) {
	sub, err := s.request(s.api("DIRECT.GET."+stream), ask{Last: subject})
	if err != nil {
		return record{}, false, s.explain("read "+stream, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	msg, err := s.next(ctx, sub)
	if err != nil {
		return record{}, false, s.explain("read "+stream, err)
	}
	if msg.Header.Get("Status") != "" {
		return record{}, false, s.explain("read "+stream, refused(msg))
	}
	r, err := recordOf(msg)
	return r, err == nil, err
}

// A jobName is how a person names a job: by its id, its key or its sequence, as any command printed it. What looks like a
// key or a sequence is one, since whoever may store jobs chooses their ids.
type jobName string

var keyForm = regexp.MustCompile(`^\d+-\d{16,19}$`)

// key is the name, if it is a key.
func (n jobName) key() string {
	if keyForm.MatchString(string(n)) {
		return string(n)
	}
	return ""
}

// sequence is the job's in its stream, if the name says so; else 0.
func (n jobName) sequence() uint64 {
	digits := string(n)
	if key := n.key(); key != "" {
		digits, _, _ = strings.Cut(key, "-")
	}
	sequence, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || strconv.FormatUint(sequence, 10) != digits {
		return 0
	}
	return sequence
}

// isSequence reports whether the name is a sequence and nothing else.
func (n jobName) isSequence() bool { return n.key() == "" && n.sequence() != 0 }

// namesOf are the names that mean a job with an id and a key.
func namesOf(id, key string) []jobName {
	digits, _, _ := strings.Cut(key, "-")
	names := []jobName{jobName(key), jobName(digits)}
	if n := jobName(id); n.key() == "" && !n.isSequence() {
		names = append(names, n)
	}
	return names
}

// check refuses a name that is none.
func (n jobName) check() error {
	if err := jobs.LegalID(string(n)); err != nil {
		return badUsage("%w", err)
	}
	return nil
}

// lastKnown is the latest result of a job that is named by its key or id.
func (s *site) lastKnown(ctx context.Context, n jobName) (record, bool, error) {
	if err := n.check(); err != nil {
		return record{}, false, err
	}
	if key := n.key(); key != "" {
		return s.last(ctx, s.subjects.ResultStream(), s.subjects.Result("*", key))
	}
	return s.last(ctx, s.subjects.ResultStream(), s.subjects.Result(string(n), "*"))
}

// lastResult is the latest result of a job. By a sequence alone it is found by reading the results; where no job has
// that, the name is an id.
func (s *site) lastResult(ctx context.Context, n jobName) (r record, found bool, err error) {
	if n.isSequence() {
		_, err = s.read(ctx, place{Stream: s.subjects.ResultStream()}, func(candidate record) bool {
			if candidate.jobSequence() == n.sequence() {
				r, found = candidate, true
			}
			return true
		})
	}
	if found || err != nil {
		return r, found, err
	}
	return s.lastKnown(ctx, n)
}
