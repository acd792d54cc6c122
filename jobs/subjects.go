package jobs

import (
	"slices"
	"strings"
)

// A Lane keeps jobs apart that must not hold each other up.
type Lane string

// The lanes.
const (
	Urgent Lane = "urgent"
	Bulk   Lane = "bulk"
)

// Lanes lists them, the more important first.
var Lanes = []Lane{Urgent, Bulk}

// maxPrefix keeps the names of the streams below the 255 bytes that NATS accepts.
const maxPrefix = 200

// Subjects names every subject and stream of one deployment.
type Subjects struct {
	// Prefix is the first token of every subject, or the first few ("acme.logoff").
	Prefix string
}

// Validate tells whether NATS takes subjects and streams with this prefix. Its error does not repeat the
// prefix, in whose place a secret may have been put.
func (s Subjects) Validate() error {
	switch {
	case s.Prefix == "":
		return refused("the prefix of the subjects is empty")
	case len(s.Prefix) > maxPrefix:
		return refused("the prefix has more than %d bytes", maxPrefix)
	case strings.HasPrefix(s.Prefix, "$"), s.Prefix == "_INBOX", strings.HasPrefix(s.Prefix, "_INBOX."):
		return refused("the prefix belongs to NATS itself")
	case strings.ContainsAny(s.Prefix, `/\`):
		return refused("the prefix contains a slash or backslash, which the name of a stream may not")
	}
	for token := range strings.SplitSeq(s.Prefix, ".") {
		if token == "" {
			return refused("the prefix has an empty token: two dots in a row, or one at an end")
		}
		if LegalID(token) != nil {
			return refused("a token of the prefix has more than %d characters, or others than graphic ones (no blank, asterisk or >)", MaxIDLength)
		}
	}
	return nil
}

// Requests lists the subjects of jobs. There is none for lanes in general, so that NATS refuses a
// job for a lane that nobody works.
func (s Subjects) Requests() []string {
	var all []string
	for _, lane := range Lanes {
		all = append(all, s.Lane(lane)...)
	}
	return all
}

// Lane lists the subjects of one lane's jobs, those that were approved last.
func (s Subjects) Lane(lane Lane) []string {
	subjects := []string{s.Request(lane, ""), s.Request(lane, "*"), s.Approved(lane, "*")}
	if lane == Urgent {
		subjects = append([]string{s.Prefix + ".requests"}, subjects...)
	}
	return subjects
}

// Request is where jobs of a lane are published, by a publisher who is named or, if empty, not.
func (s Subjects) Request(lane Lane, publisher string) string {
	subject := s.Prefix + ".requests." + string(lane)
	if publisher != "" {
		subject += "." + publisher
	}
	return subject
}

// Approved is where a job of a lane that was held is published once more by whoever approves it. Rights in NATS see
// to it that the name is theirs.
func (s Subjects) Approved(lane Lane, approver string) string {
	return s.Prefix + ".approved." + string(lane) + "." + approver
}

// Approver reads the lane and the approver from the subject of an approved job; ok is false for any other subject.
func (s Subjects) Approver(subject string) (lane Lane, approver string, ok bool) {
	rest, ours := strings.CutPrefix(subject, s.Prefix)
	rest, approved := strings.CutPrefix(rest, ".approved.")
	if token, approver, _ := strings.Cut(rest, "."); ours && approved && slices.Contains(Lanes, Lane(token)) && LegalID(approver) == nil {
		return Lane(token), approver, true
	}
	return "", "", false
}

// Origin reads the lane and the publisher from a job's subject. An approved job's subject names no publisher. A
// publisher whose name is not printable or longer than [MaxIDLength] is an error; the lane is told all the same.
func (s Subjects) Origin(subject string) (lane Lane, publisher string, err error) {
	if lane, _, ok := s.Approver(subject); ok {
		return lane, "", nil
	}
	rest, ours := strings.CutPrefix(subject, s.Prefix+".requests")
	if ours && rest == "" {
		return Urgent, "", nil
	}
	for _, lane := range Lanes {
		after, found := strings.CutPrefix(rest, "."+string(lane))
		switch {
		case !ours || !found:
		case after == "":
			return lane, "", nil
		case after[0] == '.':
			if err := LegalID(after[1:]); err != nil {
				return lane, "", refused("the subject %s does not name a publisher: %v", quote(subject), err)
			}
			return lane, after[1:], nil
		}
	}
	return "", "", refused("%s is not a subject of jobs", quote(subject))
}

// Result is where a job's result is published; the key is that of the job's message ([Key]).
func (s Subjects) Result(jobID, key string) string {
	return s.Prefix + ".results." + jobID + "." + key
}

// ResultOf reads the job's id and key from the subject of a result; ok is false for any other subject.
func (s Subjects) ResultOf(subject string) (jobID, key string, ok bool) {
	rest, ours := strings.CutPrefix(subject, s.Prefix)
	rest, results := strings.CutPrefix(rest, ".results.")
	jobID, key, _ = strings.Cut(rest, ".")
	return jobID, key, ours && results && LegalID(jobID) == nil && LegalID(key) == nil
}

// Results matches all of them.
func (s Subjects) Results() string {
	return s.Result("*", "*")
}

// Dead is where dead letters are published; the reason is the status of the job's result.
func (s Subjects) Dead(reason Status) string {
	return s.Prefix + ".dead." + string(reason)
}

// DeadLetters matches all of them.
func (s Subjects) DeadLetters() string {
	return s.Dead("*")
}

// Act is where it is written what somebody does, but for acts on a lane.
func (s Subjects) Act(verb Verb, who string) string {
	return s.Prefix + ".audit.act." + string(verb) + "." + who
}

// LaneAct is where it is written that somebody pauses a lane or lets it go on.
func (s Subjects) LaneAct(lane Lane, who string) string {
	return s.Prefix + ".audit.lane." + string(lane) + "." + who
}

// LaneActs matches all acts on a lane, the latest of which says what is meant to be so.
func (s Subjects) LaneActs(lane Lane) string { return s.LaneAct(lane, "*") }

// Digests is where digests of results are published.
func (s Subjects) Digests() string { return s.Prefix + ".audit.digest" }

// Audit matches all acts and digests.
func (s Subjects) Audit() string { return s.Prefix + ".audit.>" }

// Count is where something is counted for all workers: "reads", "writes", or what a publisher asks for.
func (s Subjects) Count(what string) string { return s.Prefix + ".counts." + what }

// Counts matches all that is counted.
func (s Subjects) Counts() string { return s.Count(">") }

// RequestStream names the stream of jobs: LOGOFF_REQUESTS for the prefix logoff.
func (s Subjects) RequestStream() string { return s.stream("REQUESTS") }

// ResultStream names the stream of results.
func (s Subjects) ResultStream() string { return s.stream("RESULTS") }

// DeadStream names the stream of dead letters.
func (s Subjects) DeadStream() string { return s.stream("DEAD") }

// AuditStream names the stream of acts and digests.
func (s Subjects) AuditStream() string { return s.stream("AUDIT") }

// CountStream names the stream of counters.
func (s Subjects) CountStream() string { return s.stream("COUNTS") }

func (s Subjects) stream(of string) string {
	return strings.ToUpper(strings.ReplaceAll(s.Prefix, ".", "_")) + "_" + of
}
