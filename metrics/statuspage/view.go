package statuspage

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// A view is what the template gets, in words that it only has to place.
type view struct {
	config Config
	now    reading
	past   past

	Fleet []status

	Files         string // which files the page is made with
	Live          bool   // it is one of a stream of renderings
	Clock         string
	Span          string // how far back it looks
	Tone          tone
	Title         string
	WebServer     string
	Prefix        string
	Worker        string
	Version       string
	Label         string
	Headline      string
	Long          bool // the headline is
	Since         string
	Numbers       string
	ByItself      string
	ToDo, Command string
	Also          []also
	Strip         []minute
	StripWords    string
	Path          []hop
	Charts        []chart
	Person        []todo
	Sessions      sessions
	Limits        []meter
	Jobs          []jobRow
	Workers       []workerRow
	WorkersNote   string
	Settings      []Setting
}

// An also is something else that is wrong.
type also struct {
	Tone        tone
	What, Since string
}

// A minute of the last hour, by the worst that it was.
type minute struct {
	Tone  tone
	Words string
}

// see makes a view of how things are.
func see(c Config, now reading, past past, fleet []status) *view {
	v := &view{config: c, now: now, past: past, Fleet: fleet}
	v.Files, v.Clock = filesVersion, now.at.UTC().Format("15:04:05")+" UTC"
	v.Span = "last hour"
	if span := past.span(); span < remembered-2*sampleEvery {
		v.Span = "last " + lasting(span)
		if span < 2*time.Minute {
			v.Span = "last minute"
		}
	}
	v.WebServer, v.Prefix, v.Worker, v.Version, v.Settings = c.WebServer, c.Subjects.Prefix, c.Worker, c.Version, c.Settings
	v.sayVerdict()
	v.Strip, v.StripWords = past.strip()
	v.Path, v.Charts = v.path(), past.charts()
	v.Person, v.Limits = v.person(), v.limits()
	v.Sessions = sessionsOf(fleet)
	v.Jobs = jobRows(fleet, now.at)
	v.Workers, v.WorkersNote = workerRows(fleet, now.at)
	return v
}

// sayVerdict puts the verdict into words; the headline and what to do are the verdict's own.
func (v *view) sayVerdict() {
	verdict := v.now.verdict
	v.Tone = toneOf(verdict)
	v.Label = labelOf(v.Tone, verdict.State)
	v.Headline, v.ByItself, v.ToDo, v.Command = verdict.Headline, metrics.Sentence(verdict.ByItself), metrics.Sentence(verdict.ToDo), verdict.Command
	v.Long = utf8.RuneCountInString(v.Headline) > 80
	v.Title = v.Label
	if v.Tone != well {
		v.Title += ": " + shortened(verdict.Headline, 60)
	}
	v.Title += " · logoff-worker"
	if !verdict.Since.IsZero() {
		v.Since = fmt.Sprintf("Since %s UTC, for %s.", clock(verdict.Since, v.now.at), lasting(v.now.at.Sub(verdict.Since)))
	}
	v.Numbers = strings.TrimSpace(v.wellNumbers() + " " + v.waitingNumbers())
	for _, c := range v.others() {
		if !c.Harmless && !forPerson(c) {
			v.Also = append(v.Also, also{of(c), metrics.Sentence(c.What), clock(c.Since, v.now.at) + " UTC"})
		}
	}
}

// labelOf says in a few words how it is.
func labelOf(t tone, state metrics.State) string {
	switch {
	case state == metrics.StateStarting:
		return "Starting"
	case t == off:
		return "Paused"
	case t == wait:
		return "Not well, mends itself"
	case t == ill:
		return "Not well, a person has to act"
	}
	return "Well"
}

// wellNumbers says how well it is, and what was before.
func (v *view) wellNumbers() (words string) {
	if v.Tone != well {
		return ""
	}
	if began, ended := v.past.lastTrouble(); !ended.IsZero() {
		words = fmt.Sprintf("It is well again since %s, after %s in which it was not. ", ended.UTC().Format("15:04"), lasting(ended.Sub(began)))
	}
	if seconds, more := v.past.slowest(len(v.past)-1, jobs.Urgent, remembered); !math.IsNaN(seconds) {
		within := "within "
		if more {
			within = "after more than "
		}
		words += "99 % of the urgent jobs of the " + v.Span + " were done " + within + took(seconds) + "."
	}
	return words
}

// waitingNumbers says what waits.
func (v *view) waitingNumbers() string {
	waiting, inHand := v.now.allWaiting(), v.now.numbers.value("logoff_queue_ack_pending_jobs")
	words := "No job waits"
	switch {
	case math.IsNaN(waiting):
		return "How many jobs wait is not known: NATS cannot be asked."
	case waiting > 0:
		words = counted(waiting, "job waits", "jobs wait") + " (" + v.lanes() + ")" + v.oldest(", ")
	}
	if v.Tone == well || waiting+inHand == 0 {
		return words + "."
	}
	return words + ", and " + counted(inHand, "is", "are") + " in hand. None is lost: each stays in the stream until its result is stored."
}

// strip is the last hour, minute by minute, and the same in words.
func (p past) strip() (all []minute, words string) {
	worst := make([]tone, 60)
	for _, s := range p {
		if ago := int(p.now().at.Sub(s.at).Minutes()); ago < 60 {
			worst[59-ago] = worse(cmp.Or(worst[59-ago], well), s.tone)
		}
	}
	bad := 0
	for i, t := range worst {
		told := "well"
		switch t {
		case "":
			all = append(all, minute{})
			continue
		case wait, ill:
			told = "not well"
			bad++
		case off:
			told = "paused or starting"
		}
		all = append(all, minute{t, p.now().at.Add(time.Duration(i-59)*time.Minute).UTC().Format("15:04") + " " + told})
	}
	return all, fmt.Sprintf("the last hour: not well in %d of 60 minutes", bad)
}

// sessions are the outcomes of the last hour.
type sessions struct {
	Total, Proved string // Proved is the share that was read back; empty without any
	Rows          []outcomeRow
}

type outcomeRow struct {
	Outcome     string
	Words       string
	Count       string
	Share       string
	Left, Width string // of the bar, of 100
}

// outcomeWords are what outcomes mean.
var outcomeWords = map[jobs.Outcome]string{
	jobs.LoggedOff: "logged off, read back", jobs.Accepted: "accepted, not read back", jobs.AlreadyLoggedOff: "already off",
	jobs.NotFound: "not found", jobs.StillActive: "still active", jobs.Undecided: "undecided", jobs.Rejected: "rejected",
	jobs.Protected: "protected, not sent", jobs.Expired: "expired, not sent", jobs.InvalidSession: "no session ID", jobs.HeldSession: "held, not sent",
}

// sessionsOf adds up what the workers say.
func sessionsOf(fleet []status) (s sessions) {
	total, proved := 0.0, 0.0
	sum := map[jobs.Outcome]float64{}
	for _, outcome := range jobs.Outcomes {
		for _, worker := range fleet {
			sum[outcome] += worker.Sessions[string(outcome)]
		}
		total += sum[outcome]
		if outcome.Over() {
			proved += sum[outcome]
		}
	}
	s.Total = count(total)
	if total == 0 {
		return s
	}
	s.Proved = share(proved, total)
	left := 0.0
	for _, outcome := range jobs.Outcomes {
		if n := sum[outcome]; n > 0 {
			s.Rows = append(s.Rows, outcomeRow{string(outcome), outcomeWords[outcome], count(n), share(n, total), fmt.Sprintf("%.2f", left), fmt.Sprintf("%.2f", 100*n/total)})
			left += 100 * n / total
		}
	}
	return s
}

// A jobRow is one of the latest jobs.
type jobRow struct {
	Stored, Job, Publisher, Lane, Asked, Status, Took string
	Tone                                              tone
}

// shownJobs is how many jobs the page shows.
const shownJobs = 8

// jobRows are the latest jobs of all workers.
func jobRows(fleet []status, now time.Time) (rows []jobRow) {
	var all []metrics.FinishedJob
	for _, s := range fleet {
		all = append(all, s.Latest[:min(len(s.Latest), 20)]...)
	}
	slices.SortStableFunc(all, func(a, b metrics.FinishedJob) int { return b.Finished.Compare(a.Finished) })
	for _, j := range all[:min(len(all), shownJobs)] {
		row := jobRow{
			Stored: clock(j.Stored, now), Job: shortened(j.ID, 64), Publisher: cmp.Or(shortened(j.Publisher, 40), "–"), Lane: shortened(string(j.Lane), 10),
			Asked: asked(j), Status: shortened(string(j.Status), 20), Took: took(max(0, j.Finished.Sub(j.Stored).Seconds())), Tone: wait,
		}
		switch {
		case j.Status.Success():
			row.Tone = well
		case j.Status == jobs.Failed:
			row.Tone = ill
		}
		rows = append(rows, row)
	}
	return rows
}

// asked tells how much a job asked for.
func asked(j metrics.FinishedJob) string {
	var words []string
	if j.People > 0 {
		words = append(words, counted(float64(j.People), "person", "people"))
	}
	if j.Sessions > 0 {
		words = append(words, counted(float64(j.Sessions), "session", "sessions"))
	}
	return cmp.Or(strings.Join(words, ", "), "–")
}

// A workerRow is a worker of the fleet.
type workerRow struct {
	Name, State, InFlight, Settled, Up, Version string
	Tone                                        tone
	Headline                                    string // unless it is well
	Different                                   []difference
	OtherVersion                                bool
}

// workerRows are the workers of the fleet, and a note about them all.
func workerRows(fleet []status, now time.Time) (rows []workerRow, note string) {
	own := fleet[0]
	same := true
	for i, s := range fleet {
		settled := 0.0
		for _, n := range s.Settled {
			settled += n
		}
		row := workerRow{
			Name: s.Worker, Tone: s.Tone.known(), State: s.words(), InFlight: fmt.Sprintf("%s of %d", count(s.InFlight), s.Slots),
			Settled: count(settled), Up: lasting(now.Sub(s.Started)), Version: s.Version,
			Different: different(own.Settings, s.Settings), OtherVersion: s.Version != own.Version,
		}
		if row.Tone != well && i > 0 && s.Headline != own.Headline { // this worker's is at the top of the page
			row.Headline = s.Headline
		}
		if !s.answers(now) {
			row.Tone, row.State, row.Headline = off, "silent", "It last answered at "+clock(s.heard, now)+" UTC."
		}
		same = same && len(row.Different) == 0 && !row.OtherVersion
		rows = append(rows, row)
	}
	switch {
	case len(fleet) == 1:
		note = "no other answers"
	case same:
		note = fmt.Sprintf("%d, all with the same version and settings", len(fleet))
	default:
		note = fmt.Sprintf("%d, which differ", len(fleet))
	}
	return rows, note
}
