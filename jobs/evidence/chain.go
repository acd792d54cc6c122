package evidence

import (
	"fmt"
	"iter"
	"slices"
	"time"
)

// A Kind is what is wrong.
type Kind string

// The kinds of findings.
const (
	Changed Kind = "changed" // a result is not what it was
	Dropped Kind = "dropped" // a result is gone that cannot have aged out
	Moved   Kind = "moved"   // a result stands in the place of another
	Added   Kind = "added"   // a result stands where there was none
	Forged  Kind = "forged"  // a digest is signed by nobody who counts
	Broken  Kind = "broken"  // a digest was changed, or one is missing
	Renewed Kind = "renewed" // the stream of results was made anew or set back
	Lost    Kind = "lost"    // a job has no result
	Doubled Kind = "doubled" // a job has several
)

// A Finding is something that is not as it was, or not as it should be.
type Finding struct {
	Kind Kind `json:"kind"`
	// Number is that of the digest, Sequence that of the result, or of the job that is lost; 0 where it concerns none.
	Number   uint64 `json:"digest,omitzero"`
	Sequence uint64 `json:"sequence,omitzero"`
	Text     string `json:"text"`
}

// MostFindings is how many findings are told one by one.
const MostFindings = 1000

// Terms are what a chain is held to.
type Terms struct {
	// Trusted are the public keys of who may sign; where it is empty everybody may.
	Trusted []string
	// Now is by the clock of NATS. First is the sequence of the first result that is there, or would be, and Made
	// when their stream was made.
	Now   time.Time
	First uint64
	Made  time.Time
	// Again returns First and Now once more, if it is given: results age out while they are read.
	Again func() (first uint64, now time.Time, err error)
	// Kept is how long results are kept, DigestsKept how long digests are; 0 is for ever.
	Kept, DigestsKept time.Duration
	// Crowded says that digests may go before their time, since their stream has other limits.
	Crowded bool
	// Part says that the digests are not read from the first on. Before is the one before them, if there is one: it
	// tells since when the results of the next were stored.
	Part   bool
	Before []byte
}

// A Report is what a check comes to.
type Report struct {
	Findings []Finding
	More     int      // findings that are not told one by one
	Remarks  []string // what cannot be checked, and why that is in order
	Digests  int      // that were read
	Last     Digest   // of them
	LastHash Hash
	Results  int // that a digest covers, and that were compared with it
	Later    int // that no digest covers yet
	// Signers are the keys that signed, with the worker that did so last.
	Signers map[string]string
}

// Source reads the results from a sequence on, in order.
type Source func(from uint64) iter.Seq2[Record, error]

// Check goes through all digests, as they are stored, and the results that they cover. Its error is that of a source.
func Check(terms Terms, digests iter.Seq2[[]byte, error], results Source) (Report, error) {
	c := &chain{terms: terms, report: Report{Signers: map[string]string{}}}
	if terms.Before != nil {
		c.link(terms.Before)
		c.links, c.report = nil, Report{Findings: c.report.Findings, Signers: map[string]string{}}
	}
	for data, err := range digests {
		if err != nil {
			return c.report, err
		}
		c.link(data)
	}
	c.compare(results)
	c.settle()
	return c.report, c.err
}

// A chain is checked link by link, then against the results.
type chain struct {
	terms  Terms
	report Report
	err    error // of the source of results

	links    []link // of the present stream of results
	previous *link
	hash     Hash // of the digest before

	suspects []suspect
}

// A link is a digest, and whether it counts.
type link struct {
	Digest
	counts bool
	after  time.Time // no result in it was stored before that
}

// A suspect is a place of which the digest says something else than the stream. There may be no record.
type suspect struct {
	digest   Digest
	sequence uint64
	record   *Record
}

func (c *chain) found(f Finding) {
	if len(c.report.Findings) >= MostFindings {
		c.report.More++
		return
	}
	c.report.Findings = append(c.report.Findings, f)
}

func (c *chain) remark(format string, values ...any) {
	c.report.Remarks = append(c.report.Remarks, fmt.Sprintf(format, values...))
}

// link takes in the next digest.
func (c *chain) link(data []byte) {
	c.report.Digests++
	d, err := DecodeDigest(data)
	if err != nil {
		number := uint64(1)
		if c.previous != nil {
			number = c.previous.Number + 1
			c.previous.Number = number
		}
		c.found(Finding{Kind: Broken, Number: number, Text: fmt.Sprintf("digest %d cannot be read: %v", number, err)})
		c.hash = HashOf(data)
		return
	}
	l := &link{Digest: d, counts: c.signed(d)}
	c.follows(l)
	if l.counts {
		c.report.Signers[d.Key] = d.Worker
		c.links = append(c.links, *l)
	}
	c.previous, c.hash = l, HashOf(data)
	c.report.Last, c.report.LastHash = d, c.hash
}

// signed reports whether a digest is signed by somebody who counts.
func (c *chain) signed(d Digest) bool {
	if err := d.Verify(); err != nil {
		c.found(Finding{Kind: Forged, Number: d.Number, Text: fmt.Sprintf("digest %d is forged: %v", d.Number, err)})
		return false
	}
	if len(c.terms.Trusted) > 0 && !slices.Contains(c.terms.Trusted, d.Key) {
		c.found(Finding{Kind: Forged, Number: d.Number, Text: fmt.Sprintf("digest %d is signed by %s, which is not trusted; it says that it comes from worker %s", d.Number, d.Key, d.Worker)})
		return false
	}
	return true
}

// follows compares a digest with the one before it.
func (c *chain) follows(d *link) {
	before := c.previous
	d.after = d.Made
	if before != nil && !beginsAnew(before, d) {
		d.after = before.Latest
	}
	switch {
	case before == nil:
		c.begins(d)
	case d.Number <= before.Number:
		c.found(Finding{Kind: Broken, Number: d.Number, Text: fmt.Sprintf("digest %d comes after digest %d: it is there twice, or was moved", d.Number, before.Number)})
		d.counts = false
	case d.Number > before.Number+1:
		c.found(Finding{Kind: Broken, Number: before.Number + 1, Text: missing(before.Number+1, d.Number-1)})
		if beginsAnew(before, d) {
			c.links = nil
		}
	case d.Previous != c.hash:
		c.found(Finding{Kind: Broken, Number: before.Number, Text: fmt.Sprintf("digest %d is not the one that digest %d names: one of them was changed", before.Number, d.Number)})
	default:
		c.goesOn(before, d)
	}
}

func missing(from, to uint64) string {
	if from == to {
		return fmt.Sprintf("digest %d is missing", from)
	}
	return fmt.Sprintf("digests %d to %d are missing", from, to)
}

// begins judges the first digest that is there.
func (c *chain) begins(d *link) {
	switch {
	case c.terms.Part || d.Number == 1:
	case c.terms.Crowded:
		c.remark("the chain begins with digest %d; those before it have aged out or made room: their stream has a limit of bytes or messages, so that nothing tells whether they were removed", d.Number)
	case c.terms.DigestsKept > 0 && c.agedAfter(d.Since, c.terms.DigestsKept, c.terms.Now) <= 0:
		c.remark("the chain begins with digest %d; those before it have aged out", d.Number)
	default:
		c.found(Finding{Kind: Broken, Number: d.Number - 1, Text: fmt.Sprintf("%s: the last of them was signed at %s, and cannot have aged out", missing(1, d.Number-1), d.Since.Format(time.RFC3339))})
	}
}

// apart is how far the clocks of NATS' servers may be apart: each lets its own copy of a stream age out by its own.
const apart = time.Minute

// agedAfter is how long after a time something that was stored at another ages out; 0 or less where it may have.
func (c *chain) agedAfter(stored time.Time, kept time.Duration, at time.Time) time.Duration {
	return stored.Add(kept - apart).Sub(at)
}

// gone reports whether results that were stored at a time may have aged out by another.
func (c *chain) gone(stored, at time.Time) bool {
	return c.terms.Kept > 0 && c.agedAfter(stored, c.terms.Kept, at) <= 0
}

// beginsAnew reports whether the results of a digest are not those that follow the ones of a digest before.
func beginsAnew(before, d *link) bool { return !d.Made.Equal(before.Made) || d.From <= before.To }

// goesOn compares the range of a digest with that of the one before it.
func (c *chain) goesOn(before, d *link) {
	switch {
	case beginsAnew(before, d):
		c.links = nil
		text := fmt.Sprintf("the stream of results was made anew or set back after digest %d, which ended with result %d", before.Number, before.To)
		if c.gone(before.Latest, c.terms.Now) {
			c.remark("%s; what was in it would have aged out by now", text)
			return
		}
		c.found(Finding{Kind: Renewed, Number: d.Number, Text: text + ": the results before cannot be compared any more"})
	case d.From == before.To+1:
	case c.gone(before.Latest, d.At):
		c.remark("results %d to %d aged out before a digest covered them", before.To+1, d.From-1)
	default:
		c.found(Finding{Kind: Dropped, Number: d.Number, Sequence: before.To + 1, Text: fmt.Sprintf("results %d to %d are in no digest: they were gone before digest %d was made", before.To+1, d.From-1, d.Number)})
	}
}

// compare goes through the results.
func (c *chain) compare(results Source) {
	if last := len(c.links) - 1; last >= 0 && !c.links[last].Made.Equal(c.terms.Made) {
		c.replaced(c.links[last])
		c.links = nil
	}
	from := c.terms.First
	if len(c.links) > 0 {
		from = max(from, c.links[0].From)
		if c.terms.First < c.links[0].From && !c.terms.Part {
			c.remark("results before %d are in no digest", c.links[0].From)
		}
	}
	next, stop := iter.Pull2(results(from))
	defer stop()
	at := &cursor{next: next}
	at.advance()
	for i := range c.links {
		c.compareOne(&c.links[i], at)
	}
	for ; at.there; at.advance() {
		c.report.Later++
	}
	c.err = at.err
}

// replaced judges a stream of results that is another than the one of the latest digest.
func (c *chain) replaced(last link) {
	text := fmt.Sprintf("the stream of results was made anew after digest %d, which ended with result %d", last.Number, last.To)
	if c.gone(last.Latest, c.terms.Now) {
		c.remark("%s; what was in it would have aged out by now", text)
		return
	}
	c.found(Finding{Kind: Renewed, Number: last.Number, Text: text})
}

// aged judges results that are gone from the beginning of the stream: those of a digest up to a sequence.
func (c *chain) aged(d *link, to uint64) {
	switch {
	case to == d.To && c.gone(d.Latest, c.terms.Now):
	case to < d.To && c.gone(d.after, c.terms.Now):
		c.remark("results up to %d have aged out, or were removed when their time was near: nothing tells when each of digest %d was stored, but that it was between %s and %s. Those of it that are left are compared by %d bytes of their hashes",
			to, d.Number, d.after.Format(time.RFC3339), d.Latest.Format(time.RFC3339), printSize)
	default:
		c.found(Finding{Kind: Dropped, Number: d.Number, Sequence: d.From, Text: fmt.Sprintf("results %d to %d of digest %d are gone, and cannot have aged out: they were stored between %s and %s", d.From, to, d.Number, d.after.Format(time.RFC3339), d.Latest.Format(time.RFC3339))})
	}
}

// A cursor is a place in the results.
type cursor struct {
	next   func() (Record, error, bool)
	record Record
	there  bool
	asked  bool // what the stream begins with, since the record was read
	err    error
}

func (a *cursor) advance() {
	if a.err != nil {
		return
	}
	a.asked = false
	a.record, a.err, a.there = a.next()
	a.there = a.there && a.err == nil
}

// compareOne compares what a digest says of its range with what is there. The root decides; the prints say where.
func (c *chain) compareOne(d *link, at *cursor) {
	for at.there && at.record.Sequence < d.From {
		at.advance() // no digest that counts covers it
	}
	if d.To < c.terms.First && (!at.there || at.record.Sequence > d.To) {
		c.aged(d, d.To)
		return
	}
	var tree Tree
	aged := uint64(0) // up to here the stream has lost its beginning
	wrong := len(c.suspects)
	for sequence := d.From; at.err == nil; sequence++ {
		var record *Record
		if at.there && at.record.Sequence == sequence {
			r := at.record
			record = &r
			at.advance()
		}
		leaf := leafOf(record)
		if record != nil {
			tree.Add(leaf)
			c.report.Results++
		}
		switch {
		case !c.differs(d, sequence, record, leaf):
		case record == nil && c.left(sequence, at):
			aged = sequence
		default:
			c.suspects = append(c.suspects, suspect{digest: d.Digest, sequence: sequence, record: record})
		}
		if sequence == d.To {
			break
		}
	}
	if at.err == nil && aged > 0 {
		c.aged(d, aged)
	}
	if at.err == nil && aged == 0 && len(c.suspects) == wrong && tree.Root() != d.Root {
		c.found(Finding{Kind: Changed, Number: d.Number, Sequence: d.From, Text: fmt.Sprintf("results %d to %d are not what digest %d says (%s)", d.From, d.To, d.Number, d.signature())})
	}
	c.settleMany()
}

func leafOf(r *Record) Hash {
	if r == nil {
		return Hash{}
	}
	return r.Leaf()
}

// differs reports whether a place is not what a digest says.
func (c *chain) differs(d *link, sequence uint64, record *Record, leaf Hash) bool {
	if record == nil {
		return d.had(sequence)
	}
	return !d.is(sequence, leaf)
}

// left reports whether a result that is not there was before what the stream begins with. Where that is not known of
// this moment it is asked for: the stream may have lost its beginning since.
func (c *chain) left(sequence uint64, at *cursor) bool {
	if sequence >= c.terms.First && !at.asked && c.terms.Again != nil {
		at.asked = true
		first, now, err := c.terms.Again()
		c.terms.First, c.terms.Now = max(first, c.terms.First), now
		at.err, at.there = err, at.there && err == nil
	}
	return sequence < c.terms.First
}

// signature says who signed a digest, and when.
func (d Digest) signature() string {
	return fmt.Sprintf("signed at %s by worker %s with %s", d.At.Format(time.RFC3339), d.Worker, d.Key)
}

// mostSuspects is how many places are compared with each other to find what was moved.
const mostSuspects = 256

// settleMany settles suspects before there are too many.
func (c *chain) settleMany() {
	if len(c.suspects) >= mostSuspects {
		c.settle()
	}
}

// settle says of each suspect what it is.
func (c *chain) settle() {
	came := map[uint64]uint64{} // where the record is now that belongs in a place
	for _, s := range c.suspects {
		if s.record == nil {
			continue
		}
		if place, found := c.belongs(*s.record); found {
			came[place] = s.sequence
		}
	}
	for _, s := range c.suspects {
		c.found(s.finding(came))
	}
	c.suspects = nil
}

// belongs finds the place in which a record was before. Of many suspects only the first are tried.
func (c *chain) belongs(r Record) (uint64, bool) {
	at := r.Sequence
	for _, s := range c.suspects[:min(len(c.suspects), mostSuspects)] {
		r.Sequence = s.sequence
		if s.sequence != at && s.digest.is(s.sequence, r.Leaf()) {
			return s.sequence, true
		}
	}
	return 0, false
}

func (s suspect) finding(came map[uint64]uint64) Finding {
	f := Finding{Number: s.digest.Number, Sequence: s.sequence}
	now, moved := came[s.sequence]
	switch {
	case moved:
		f.Kind = Moved
		f.Text = fmt.Sprintf("result %d was moved: it stands in the place of result %d", s.sequence, now)
	case s.record == nil:
		f.Kind = Dropped
		f.Text = fmt.Sprintf("result %d is gone", s.sequence)
	case !s.digest.had(s.sequence):
		f.Kind = Added
		f.Text = fmt.Sprintf("result %d was added: there was none in its place", s.sequence)
	default:
		f.Kind = Changed
		f.Text = fmt.Sprintf("result %d is not what it was", s.sequence)
	}
	f.Text += fmt.Sprintf(", says digest %d (%s)", s.digest.Number, s.digest.signature())
	return f
}
