// Package history decides, from the record of a run alone, whether logoff-worker kept its promises.
//
// A run writes down what was published, what the Web Server saw and did, what is in the streams at
// the end, and all that the programs put out. [History.Check] is a pure function over that: it
// knows no worker, no broker and no clock, so that a record can be checked again, by anybody, on
// another machine. What it takes on trust is that the record is complete.
//
// The promises are twelve invariants. Each names the functions that judge it:
//
//   - I1, no job is lost. A job is acknowledged only after its result, and its dead letter if something
//     was not done, are stored and NATS has confirmed that. At the end no stored job is in the stream or
//     without a result. Each result and dead letter can be read and agrees with its job, and a dead
//     letter holds exactly what was not done, ready to be published again. Judged by resulted,
//     acknowledged, letters, described, replayable, onlyWrong, decode, joinLetters and joinLeft.
//   - I2, one result. Every stored job has exactly one result, however often it was delivered and whichever
//     worker died, and at most one dead letter. A job whose id was used before is a job of its own. No
//     result and no dead letter exists that no job explains. Judged by settled, resulted, letters,
//     joinResults and joinLetters.
//   - I3, success is never inferred. A session is accepted only if a success answer covered a document that
//     held it, and logged off only if, in addition, it had ended. It is rejected only if the Web Server
//     refused it alone. A user is off only if every session that was on had ended. A status says no more
//     than the outcomes. Judged by claimed, concluded, accepted, ended, off and rejected.
//   - I4, a result is its job's. Every session that a job names is in its result exactly once, spelled as
//     the job spells it, and so is every user. A session that was found is one of its users'. A message is
//     invalid if and only if it is not a job. Judged by names.
//   - I5, nothing else is sent. No session ID leaves in a document before a job has asked for it, none is
//     changed on the way, and none is in a document twice. No document is larger than allowed. A job that is held
//     asks for nothing, nor does one that was approved wrongly; what was approved is worked. Judged by sent,
//     document and names.
//   - I6, an outage costs time only. An outage of the Web Server, however long, loses nothing. A session is
//     given up only for a reason in itself, or because its deadline has passed. Nor does an outage have
//     requests repeated without end. Judged by givenUp and budget.
//   - I7, interruptions change nothing. An outage of NATS, a crash (kill -9), a stop (SIGTERM) or a lost
//     acknowledgement, at any moment, keeps I1 to I5. It has no rule of its own: those are judged over runs
//     that are full of such interruptions.
//   - I8, urgent jobs do not wait for bulk jobs. Bulk work of any size does not hold up an urgent job for
//     longer than one request in flight. What is judged is the time to its first document while nothing is
//     at fault. Judged by late.
//   - I9, the metrics are true. What each worker counted is what it stored. Judged by counted and compare.
//   - I10, no secret is in any output, neither as it is nor encoded: logs, metrics, pages, results, dead
//     letters. Judged by secrets, disclosed and disclosedBy.
//   - I11, a paused lane rests. From two seconds after an operator has paused a lane until it goes on, no session is sent
//     for the lane's jobs alone. A worker that NATS cannot reach hears of nothing, so that what is judged is the time
//     while nothing but the Web Server is at fault. Judged by rested.
//   - I12, what operators do is written down before it is done, and done once. An approved job is worked only if its
//     approval is on record, and a dead letter is gone only if what was done with it is. What was approved, or
//     published again, is one job with one result, however often the operator was stopped and began again. Judged by
//     joinActs, recorded, letters and resulted.
//
// Beyond the invariants, a run has to go on working at a bounded cost:
//
//   - L1, when all faults have healed, everything is settled in time, and nothing is left or stranded.
//     Judged by alive and emptied.
//   - L2, while the Web Server is well, jobs are settled. Judged by flowing.
//   - L3, no worker grows. Judged by lean.
//   - B1 and B2, few logoffs are of sessions that had ended before, and few requests are made for each
//     success. Judged by budget.
package history

import (
	"time"

	"logoffworker/jobs"
)

// A History is the record of one run.
type History struct {
	Run       Run
	Published []Published
	Requests  []Request
	Results   []Stored
	Dead      []Stored
	Left      []Stored // still in a request stream at the end
	Acts      []Stored // what operators wrote down, but for digests
	Queues    []Queue
	Acks      []Ack
	Faults    []Fault
	Samples   []Sample
	Counters  []Counters
	Outputs   map[string][]byte // by name: logs, metrics, probes and status pages, byte for byte
}

// Run says which run it was.
type Run struct {
	Seed     uint64            `json:"seed"`
	Versions map[string]string `json:"versions"`
	Begin    time.Time         `json:"begin"`
	End      time.Time         `json:"end"`    // when the last look was taken
	Healed   time.Time         `json:"healed"` // when the last fault was over and all processes ran
	// Poison are the session IDs that the Web Server refuses for good, alone or in company.
	Poison []string `json:"poison"`
	// Ended is what the Web Server answers to a document with a session that has ended: "500", or "error" for
	// an error in a 200. Anything else is a success, as if the session were on.
	Ended string `json:"ended,omitempty"`
	// Canaries are secrets, by name, that must be found in no output.
	Canaries map[string]string `json:"canaries"`
}

// State says what a publisher knows of a job that it published.
type State string

// What a publisher may know.
const (
	StateStored  State = "stored"  // JetStream said so
	StateUnknown State = "unknown" // no answer came: it may be stored
	StateRefused State = "refused" // JetStream said that it is not
)

// Published is one message that a publisher sent to a request stream. One that was sent again under
// the same Nats-Msg-Id until an answer came is one Published.
type Published struct {
	Deployment string    `json:"deployment"` // prefix of its subjects
	Subject    string    `json:"subject"`
	Lane       jobs.Lane `json:"lane"`
	JobID      string    `json:"jobId"`              // as the publisher named it; empty for a message that names none
	Sessions   []string  `json:"sessions,omitempty"` // as spelled there; none for a malformed message
	// Users are the userIds that it names, and On their sessions that were on when it was published, which
	// nobody else ends.
	Users []int64  `json:"users,omitempty"`
	On    []string `json:"on,omitempty"`
	// Wrong are those of Sessions that are no session IDs.
	Wrong     []string  `json:"wrong,omitempty"`
	NotAfter  time.Time `json:"notAfter,omitzero"`
	Malformed bool      `json:"malformed,omitzero"` // no job: its result must be invalid
	// Held is set of a job that names more than may be ended without approval: its result must be held. When it was
	// approved, that is a job of its own; one that was approved wrongly is malformed.
	Held bool `json:"held,omitzero"`
	// Approves is the subject of the result of the job that was held, in the message of one that is approved, and
	// Replays the key of the job whose dead letter is published again.
	Approves  string    `json:"approves,omitempty"`
	Replays   string    `json:"replays,omitempty"`
	State     State     `json:"state"`
	Sequence  uint64    `json:"sequence,omitzero"` // in the request stream, where known
	Sent      time.Time `json:"sent"`              // before the first try
	Confirmed time.Time `json:"confirmed,omitzero"`
	Payload   []byte    `json:"payload,omitempty"` // of a malformed message, or a job that is held
	// Retried is set when it was sent more than once. It may then be stored more than once: a server
	// that was killed forgets which ids it has had once their messages have left the stream.
	Retried bool `json:"retried,omitzero"`
}

// Request is one logoff that arrived at the Web Server.
type Request struct {
	Number    int       `json:"number"`
	Time      time.Time `json:"time"` // of its arrival
	RequestID string    `json:"requestId"`
	Sessions  []string  `json:"sessions,omitempty"` // in its document, as spelled there
	Applied   []string  `json:"applied,omitempty"`  // those that it ended
	Status    int       `json:"status,omitzero"`    // of the answer; 0 for none
	Answered  bool      `json:"answered,omitzero"`  // the answer was sent whole
	Success   bool      `json:"success,omitzero"`   // all that was asked was done, and the answer said so
}

// Stored is one message of a stream at the end.
type Stored struct {
	Deployment string              `json:"deployment"`
	Subject    string              `json:"subject"`
	Sequence   uint64              `json:"sequence"`
	Time       time.Time           `json:"time"`
	Header     map[string][]string `json:"header,omitempty"`
	Data       []byte              `json:"data"`
}

// Queue is the state of one lane's consumer at the end.
type Queue struct {
	Deployment string    `json:"deployment"`
	Lane       jobs.Lane `json:"lane"`
	Pending    int       `json:"pending"`
	AckPending int       `json:"ackPending"`
}

// Ack is an acknowledgement of a job that JetStream worked off, as it reports it itself. Such
// reports may be lost; each that came is checked.
type Ack struct {
	Deployment string    `json:"deployment"`
	Lane       jobs.Lane `json:"lane"`
	Sequence   uint64    `json:"sequence"` // of the job
	Time       time.Time `json:"time"`
}

// Fault is one fault that was inflicted.
type Fault struct {
	Name string    `json:"name"` // such as nats/kill
	From time.Time `json:"from"`
	To   time.Time `json:"to"` // when it had healed
	// WebServer is set while the Web Server, or the way to it, was not well.
	WebServer bool   `json:"webServer,omitzero"`
	Effect    int    `json:"effect"`         // of the counter that shows that it did something
	Note      string `json:"note,omitempty"` // what the counter counts
}

// Sample is one look at a process or a queue.
type Sample struct {
	Time       time.Time `json:"time"`
	Process    string    `json:"process,omitempty"` // a worker's name; empty for a queue
	RSS        int       `json:"rss,omitzero"`      // bytes
	Goroutines int       `json:"goroutines,omitzero"`
	Deployment string    `json:"deployment,omitempty"`
	Backlog    int       `json:"backlog,omitzero"` // messages in the request stream
}

// Counters are what one worker's metrics said of the jobs that it settled.
type Counters struct {
	Worker  string               `json:"worker"`  // as in its results
	Final   bool                 `json:"final"`   // taken after its last result; else it may have stored more since
	Settled map[string]int       `json:"settled"` // by "lane/status"
	Outcome map[jobs.Outcome]int `json:"outcome"` // sessions
	Dead    map[jobs.Status]int  `json:"dead"`
}

// Limits are what a run is held to beyond the invariants.
type Limits struct {
	// Settle is how long after the last fault has healed everything must be settled.
	Settle time.Duration
	// Healthy is how long the Web Server must have been well for the backlog to have fallen.
	Healthy time.Duration
	// Urgent is the longest that an urgent job may take from stored to its first document while
	// nothing is at fault; 0 does not look.
	Urgent time.Duration
	// Pause is how long after a lane was paused something may still be sent for it.
	Pause time.Duration
	// Calm is how long after a fault it still counts as one for Urgent and Pause.
	Calm time.Duration
	// Repeats is the most repeated logoffs for each session, 0.1 for 10 %.
	Repeats float64
	// Requests is the most requests for each document that did the work, splitting aside.
	Requests float64
	// Document is the most sessions of a document.
	Document int
	// RSS and Goroutines are how far above the first samples of a process the last may be: bytes,
	// and a number.
	RSS, Goroutines int
}

// DefaultLimits are those that a release is held to.
func DefaultLimits() Limits {
	return Limits{
		Settle:     60 * time.Second,
		Healthy:    30 * time.Second,
		Urgent:     2 * time.Second,
		Pause:      2 * time.Second,
		Calm:       5 * time.Second,
		Repeats:    0.10,
		Requests:   3,
		Document:   200,
		RSS:        128 << 20,
		Goroutines: 20,
	}
}

// A Violation is one promise that was not kept.
type Violation struct {
	Rule string // I1 to I12; L1 to L3 for liveness; B1 for repeats, B2 for requests
	Job  string // the job, session, worker or output that shows it
	Why  string
}

func (v Violation) String() string { return v.Rule + " " + v.Job + ": " + v.Why }

// Figures are what a report shows of a history.
type Figures struct {
	Published, Stored, Unknown, Refused int
	Results                             map[jobs.Status]int
	DeadLetters                         int
	Acts                                map[jobs.Verb]int
	Sessions                            int     // distinct, in documents
	Requests, Successes                 int     // logoffs
	Repeats                             float64 // logoffs of a session beyond its first that had taken effect, for each session
	RequestRatio                        float64 // requests for each success, splitting aside
	Redelivered                         int     // results of a second or later delivery
	MostDeliveries                      int
	UrgentCalm                          time.Duration            // p99 from stored to the first document while nothing was at fault
	Stalls                              map[string]time.Duration // by deployment: the longest between two results
	Settled                             time.Duration            // from the last healing to the last result
}
