package jobs

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// A Verb is what a person does to jobs or to a lane.
type Verb string

// The verbs.
const (
	ActPause   Verb = "pause"
	ActResume  Verb = "resume"
	ActReplay  Verb = "replay"
	ActDrop    Verb = "drop"
	ActApprove Verb = "approve"
	ActDeny    Verb = "deny"
)

// Verbs lists them.
var Verbs = []Verb{ActPause, ActResume, ActReplay, ActDrop, ActApprove, ActDeny}

// ActVersion is the version of acts that this package writes. Later versions only add.
const ActVersion = 1

// An Act is the record of what a person does. It is stored before it is done: who and why are known of everything
// that was done, and perhaps of something that was not.
type Act struct {
	Version int       `json:"version"`
	Verb    Verb      `json:"verb"`
	Who     string    `json:"who"` // as the subject names them, which rights in NATS see to
	Why     string    `json:"why,omitzero"`
	At      time.Time `json:"at"`
	Lane    Lane      `json:"lane,omitzero"`
	// Until is when a pause ends.
	Until time.Time `json:"until,omitzero"`
	// Jobs are the keys of the jobs that are meant.
	Jobs []string `json:"jobs,omitempty"`
}

// Encode returns the act as [DecodeAct] reads it.
func (a Act) Encode() ([]byte, error) {
	a.Version = ActVersion
	return json.Marshal(a, json.Deterministic(true))
}

// DecodeAct reads an act. Members that it does not know are passed over: a newer version may have written them.
func DecodeAct(data []byte) (Act, error) {
	var a Act
	if err := json.Unmarshal(data, &a); err != nil {
		return Act{}, fmt.Errorf("decode the record of an act: %w", err)
	}
	if !slices.Contains(Verbs, a.Verb) {
		return Act{}, fmt.Errorf("decode the record of an act: it has the verb %s; known are %q", quote(string(a.Verb)), Verbs)
	}
	return a, nil
}
