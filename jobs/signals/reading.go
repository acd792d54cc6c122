package signals

import (
	"errors"
	"fmt"

	"logoffworker/jobs"
)

// A reading is one message on its way to an [Answer].
type reading struct {
	Reader
	answer Answer
	issuer Issuer // whose token it is, once that is known
}

// maxSteps is how many steps are told of one message.
const maxSteps = 1 << 10

func (r Reader) read(format jobs.Format) *reading {
	if r.Policy == nil {
		r.Policy = &Policy{}
	}
	return &reading{Reader: r, answer: Answer{Format: format}}
}

// end is the answer that err comes to; nil is a job.
func (g *reading) end(err error) Answer {
	var ended *ending
	switch {
	case err == nil:
		g.answer.Verdict = Job
		return g.answer
	case errors.As(err, &ended):
		g.answer.Verdict, g.answer.Code, g.answer.KeysRead = ended.verdict, ended.code, ended.keysRead
	default:
		g.answer.Verdict, g.answer.Code = Invalid, InvalidRequest
	}
	g.answer.Why = err.Error()
	g.answer.Job = jobs.Job{ID: g.answer.Job.ID}
	return g.answer
}

// looked tells that something was looked at, and returns err, which is what came of it; found says it where there is none.
func (g *reading) looked(at string, err error, found string) error {
	if err != nil {
		found = err.Error()
	}
	switch n := len(g.answer.Steps); {
	case n < maxSteps:
		g.answer.Steps = append(g.answer.Steps, Step{What: at, OK: err == nil, Why: found})
	case n == maxSteps:
		g.answer.Steps = append(g.answer.Steps, Step{What: "more", OK: true, Why: "what else was looked at is not listed"})
	}
	return err
}

// An ending is why a message is no job.
type ending struct {
	verdict  Verdict
	code     Code
	why      string
	keysRead bool
	misfit   bool // a recipe cannot be followed; another may be
}

func (e *ending) Error() string { return e.why }

func invalid(code Code, format string, values ...any) error {
	return &ending{verdict: Invalid, code: code, why: fmt.Sprintf(format, values...)}
}

// misfit is why a recipe does not understand a body.
func misfit(format string, values ...any) error {
	return &ending{verdict: Invalid, code: InvalidRequest, why: fmt.Sprintf(format, values...), misfit: true}
}

func isMisfit(err error) bool {
	var ended *ending
	return errors.As(err, &ended) && ended.misfit
}

func ignored(format string, values ...any) error {
	return &ending{verdict: Ignored, why: fmt.Sprintf(format, values...)}
}

// requested says in the words of RFC 8935 that nobody is known by a name; only Universal Logout has a word of its own.
func requested(err error) error {
	var ended *ending
	if errors.As(err, &ended) && ended.code == UnknownUser {
		ended.code = InvalidRequest
	}
	return err
}

func isIgnored(err error) bool {
	var ended *ending
	return errors.As(err, &ended) && ended.verdict == Ignored
}

// settle makes the job the answer's, read by the rules for jobs, as it would be if it had been published as one.
func (g *reading) settle(job jobs.Job) error {
	data, err := job.Encode()
	if err != nil {
		return invalid(InvalidRequest, "the job that the message makes cannot be written: %v", err)
	}
	read, err := jobs.Decode(data, g.Rules)
	if err != nil {
		return invalid(InvalidRequest, "the job that the message makes is not accepted: %v", err)
	}
	for i, user := range job.Users { // what is wrong is said in our words
		if user.Wrong() != "" && read.Users[i].Wrong() != "" {
			read.Users[i].Entry.Wrong = user.Wrong()
		}
	}
	g.answer.Job = read
	return nil
}
