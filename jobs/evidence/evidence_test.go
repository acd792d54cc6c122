package evidence

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// A store is a stream of results, and the chain of digests over it.
type store struct {
	t       *testing.T
	key     nkeys.KeyPair
	records []Record
	digests [][]byte
	last    Digest
	made    time.Time
	now     time.Time
}

func newStore(t *testing.T, results int) *store {
	s := &store{t: t, key: newKey(t), made: noon, now: noon}
	s.grow(results)
	return s
}

func newKey(t *testing.T) nkeys.KeyPair {
	t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(t *testing.T, key nkeys.KeyPair) string {
	t.Helper()
	text, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// grow adds results.
func (s *store) grow(n int) {
	for range n {
		sequence := uint64(1)
		if last := len(s.records) - 1; last >= 0 {
			sequence = s.records[last].Sequence + 1
		}
		s.records = append(s.records, Record{sequence, fmt.Sprintf("logoff.results.job%d.%d-%d", sequence, sequence, noon.UnixNano()), fmt.Appendf(nil, `{"jobId":"job%d"}`, sequence)})
	}
}

// digest makes digests of so many sequences each over what no digest covers yet.
func (s *store) digest(each uint64) {
	s.t.Helper()
	for from := s.last.To + 1; ; from = s.last.To + 1 {
		r := NewRange(from)
		for _, record := range s.records {
			if record.Sequence >= from && record.Sequence < from+each && !r.Add(record) {
				s.t.Fatalf("result %d does not fit", record.Sequence)
			}
		}
		if len(r.prints) == 0 {
			return
		}
		s.now = s.now.Add(time.Minute)
		d := Digest{Number: s.last.Number + 1, Since: s.last.At, At: s.now, Latest: s.now.Add(-time.Second), Made: s.made, Worker: "worker-1"}
		if n := len(s.digests); n > 0 {
			d.Previous = HashOf(s.digests[n-1])
		}
		r.Into(&d)
		s.put(d)
	}
}

func (s *store) put(d Digest) {
	s.t.Helper()
	data, err := d.Sign(s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	s.digests = append(s.digests, data)
	s.last = d
}

func (s *store) terms() Terms {
	return Terms{Now: s.now, First: 1, Made: s.made, Kept: 30 * 24 * time.Hour, DigestsKept: 365 * 24 * time.Hour, Trusted: []string{public(s.t, s.key)}}
}

func (s *store) check(terms Terms) Report {
	s.t.Helper()
	report, err := Check(terms, values(s.digests), s.source)
	if err != nil {
		s.t.Fatal(err)
	}
	return report
}

func (s *store) source(from uint64) iter.Seq2[Record, error] {
	return values(slices.SortedFunc(slices.Values(slices.DeleteFunc(slices.Clone(s.records), func(r Record) bool { return r.Sequence < from })),
		func(a, b Record) int { return cmp.Compare(a.Sequence, b.Sequence) }))
}

func values[V any](all []V) iter.Seq2[V, error] {
	return func(yield func(V, error) bool) {
		for _, v := range all {
			if !yield(v, nil) {
				return
			}
		}
	}
}

func (s *store) at(sequence uint64) *Record {
	for i := range s.records {
		if s.records[i].Sequence == sequence {
			return &s.records[i]
		}
	}
	s.t.Fatalf("no result %d", sequence)
	return nil
}

func (s *store) drop(sequence uint64) {
	s.records = slices.DeleteFunc(s.records, func(r Record) bool { return r.Sequence == sequence })
}

// TestEachTamperingIsNamed is what an audit is for.
func TestEachTamperingIsNamed(t *testing.T) {
	for _, test := range []struct {
		name   string
		tamper func(s *store)
		want   []string // beginnings: kind, digest, sequence, words of the text
	}{
		{"nothing", func(*store) {}, nil},
		{"payload changed", func(s *store) { s.at(42).Payload[2] = 'x' }, []string{"changed 5 42 result 42 is not what it was"}},
		{"subject changed", func(s *store) { s.at(42).Subject += "0" }, []string{"changed 5 42 result 42 is not what it was"}},
		{"a byte from subject to payload", func(s *store) {
			r := s.at(42)
			r.Subject, r.Payload = r.Subject[:len(r.Subject)-1], append([]byte(r.Subject[len(r.Subject)-1:]), r.Payload...)
		}, []string{"changed 5 42"}},
		{"dropped", func(s *store) { s.drop(42) }, []string{"dropped 5 42 result 42 is gone"}},
		{"first dropped", func(s *store) { s.drop(1) }, []string{"dropped 1 1 result 1 is gone"}},
		{"last of a digest dropped", func(s *store) { s.drop(50) }, []string{"dropped 5 50 result 50 is gone"}},
		{"last of all dropped", func(s *store) { s.drop(100) }, []string{"dropped 10 100 result 100 is gone"}},
		{
			"swapped in a digest", func(s *store) { swap(s.at(42), s.at(45)) },
			[]string{"moved 5 42 result 42 was moved: it stands in the place of result 45", "moved 5 45 result 45 was moved: it stands in the place of result 42"},
		},
		{"swapped between digests", func(s *store) { swap(s.at(42), s.at(97)) }, []string{"moved 5 42", "moved 10 97"}},
		{"moved into a gap", func(s *store) { s.at(42).Sequence = 13 }, []string{"added 2 13", "moved 5 42"}},
		{"replaced by another's copy", func(s *store) { *s.at(42) = Record{42, s.at(41).Subject, s.at(41).Payload} }, []string{"changed 5 42"}},
		{"digest dropped", func(s *store) { s.digests = slices.Delete(s.digests, 3, 4) }, []string{"broken 4 0 digest 4 is missing"}},
		{"digests dropped", func(s *store) { s.digests = slices.Delete(s.digests, 3, 6) }, []string{"broken 4 0 digests 4 to 6 are missing"}},
		{"first digest dropped", func(s *store) { s.digests = s.digests[1:] }, []string{"broken 1 0 digest 1 is missing: the last of them was signed at 2026-11-28T12:01:00Z"}},
		{"digest twice", func(s *store) { s.digests = slices.Insert(s.digests, 3, s.digests[2]) }, []string{"broken 3 0 digest 3 comes after digest 3"}},
		{"digests swapped", func(s *store) { s.digests[3], s.digests[4] = s.digests[4], s.digests[3] }, []string{"broken 4 0 digest 4 is missing", "broken 4 0 digest 4 comes after digest 5", "broken 5 0 digest 5 is missing"}},
		{"digest unreadable", func(s *store) { s.digests[3] = []byte("{}") }, []string{"broken 4 0 digest 4 cannot be read", "broken 4 0 digest 4 is not the one that digest 5 names"}},
		{
			"digest changed", func(s *store) {
				s.digests[3] = []byte(strings.Replace(string(s.digests[3]), "worker-1", "worker-2", 1))
			},
			[]string{"forged 4 0 digest 4 is forged: it is not signed by", "broken 4 0 digest 4 is not the one that digest 5 names"},
		},
		{
			"digest of another signer", func(s *store) { s.resign(3, newKey(s.t)) },
			[]string{"forged 4 0 digest 4 is signed by U", "broken 4 0 digest 4 is not the one that digest 5 names"},
		},
		{"last digest of another signer", func(s *store) { s.at(99).Payload = []byte("{}"); s.resign(9, newKey(s.t)) }, []string{"forged 10 0 digest 10 is signed by U"}},
		{"stream made anew", func(s *store) { s.made = noon.Add(time.Hour); s.records = nil; s.grow(100) }, []string{"renewed 10 0 the stream of results was made anew after digest 10, which ended with result 100"}},
		{"stream set back", func(s *store) { s.records = s.records[:70]; s.last.To = 50; s.grow(20); s.digest(10) }, []string{"renewed 11 0 the stream of results was made anew or set back after digest 10"}},
		{"all gone", func(s *store) { s.records = nil }, slices.Repeat([]string{"dropped"}, 99)},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStore(t, 40)
			s.drop(13)
			s.grow(60)
			s.digest(10)
			terms := s.terms()
			test.tamper(s)
			terms.Made = s.made
			var got []string
			for _, f := range s.check(terms).Findings {
				got = append(got, fmt.Sprintf("%s %d %d %s", f.Kind, f.Number, f.Sequence, f.Text))
			}
			if !slices.EqualFunc(got, test.want, strings.HasPrefix) {
				t.Errorf("findings are\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func swap(a, b *Record) {
	a.Subject, b.Subject = b.Subject, a.Subject
	a.Payload, b.Payload = b.Payload, a.Payload
}

func (s *store) resign(at int, key nkeys.KeyPair) {
	s.t.Helper()
	d, err := DecodeDigest(s.digests[at])
	if err != nil {
		s.t.Fatal(err)
	}
	if s.digests[at], err = d.Sign(key); err != nil {
		s.t.Fatal(err)
	}
}

// TestTheRootDecides: whoever makes another result with the same four bytes does not get by.
func TestTheRootDecides(t *testing.T) {
	s := newStore(t, 10)
	s.digest(10)
	d := s.last
	s.digests = nil
	d.Root[0]++
	s.put(d)
	if got := s.check(s.terms()).Findings; len(got) != 1 || got[0].Kind != Changed || !strings.HasPrefix(got[0].Text, "results 1 to 10 are not what digest 1 says") {
		t.Errorf("findings: %v", got)
	}
}

// TestWhatHasAgedOutIsSaidAndNoFinding, and what cannot have is one.
func TestWhatHasAgedOutIsSaidAndNoFinding(t *testing.T) {
	day := 24 * time.Hour
	for _, test := range []struct {
		name    string
		first   uint64
		later   time.Duration
		tamper  func(s *store)
		kinds   []Kind
		remarks int
	}{
		{"whole digests", 31, 31 * day, nil, nil, 0},
		{"a digest's beginning", 35, 31 * day, nil, nil, 1},
		{"what is left of it changed", 35, 31 * day, func(s *store) { s.at(38).Payload[0] = '[' }, []Kind{Changed}, 1},
		{"too early", 31, 29 * day, nil, []Kind{Dropped, Dropped, Dropped}, 0},
		{"the beginning of one too early", 35, 29 * day, nil, []Kind{Dropped, Dropped, Dropped, Dropped}, 0},
		{"digests, too", 31, 366 * day, func(s *store) { s.digests = s.digests[2:] }, nil, 1},
		{"digests too early", 31, 364 * day, func(s *store) { s.digests = s.digests[2:] }, []Kind{Broken}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStore(t, 100)
			s.digest(10)
			s.records = slices.DeleteFunc(s.records, func(r Record) bool { return r.Sequence < test.first })
			if test.tamper != nil {
				test.tamper(s)
			}
			terms := s.terms()
			terms.First = test.first
			terms.Now = noon.Add(test.later)
			report := s.check(terms)
			var kinds []Kind
			for _, f := range report.Findings {
				kinds = append(kinds, f.Kind)
			}
			if !slices.Equal(kinds, test.kinds) || len(report.Remarks) != test.remarks {
				t.Errorf("findings %v, remarks %q; want %v and %d", report.Findings, report.Remarks, test.kinds, test.remarks)
			}
		})
	}
}

// TestTheBeginningOfTheFirstDigestCannotAgeOutBeforeItsStream, nor that of any before the digest ahead of it.
func TestTheBeginningOfTheFirstDigestCannotAgeOutBeforeItsStream(t *testing.T) {
	day := 24 * time.Hour
	for _, test := range []struct {
		name    string
		part    bool // read from the fourth digest on
		first   uint64
		made    time.Duration // before noon
		later   time.Duration
		tamper  func(s *store)
		kinds   []Kind
		remarks int
	}{
		{"the stream is new", false, 3, 0, time.Hour, nil, []Kind{Dropped}, 0},
		{"the stream is old", false, 3, 31 * day, time.Hour, nil, nil, 1},
		{"its time has come", false, 3, 0, 30*day + 30*time.Second, nil, nil, 1},
		{"a part", true, 33, 31 * day, time.Hour, nil, []Kind{Dropped}, 0},
		{"a part whose time has come", true, 33, 0, 30*day + 4*time.Minute, nil, nil, 1},
		{"a part after a digest that nobody signed", true, 31, 0, time.Hour, func(s *store) { s.resign(2, newKey(s.t)) }, []Kind{Forged, Broken}, 0},
		{"digest before is missing", false, 35, 31 * day, time.Hour, func(s *store) { s.digests = slices.Delete(s.digests, 2, 3) }, []Kind{Broken, Dropped, Dropped, Dropped}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStore(t, 100)
			s.made = noon.Add(-test.made)
			s.digest(10)
			s.records = slices.DeleteFunc(s.records, func(r Record) bool { return r.Sequence < test.first })
			if test.tamper != nil {
				test.tamper(s)
			}
			terms := s.terms()
			terms.First, terms.Now = test.first, noon.Add(test.later)
			if test.part {
				terms.Part, terms.Before, s.digests = true, s.digests[2], s.digests[3:]
			}
			report := s.check(terms)
			var kinds []Kind
			for _, f := range report.Findings {
				kinds = append(kinds, f.Kind)
			}
			if !slices.Equal(kinds, test.kinds) || len(report.Remarks) != test.remarks || report.Digests != len(s.digests) {
				t.Errorf("findings %v, remarks %q, %d digests; want %v and %d", report.Findings, report.Remarks, report.Digests, test.kinds, test.remarks)
			}
		})
	}
}

// TestDigestsThatAreKeptForEverDoNotAgeOut, and of those that may make room for others nothing is claimed.
func TestDigestsThatAreKeptForEverDoNotAgeOut(t *testing.T) {
	s := newStore(t, 30)
	s.digest(10)
	s.digests = s.digests[1:]
	terms := s.terms()
	terms.DigestsKept = 0
	terms.Now = noon.Add(9 * 365 * 24 * time.Hour)
	if report := s.check(terms); len(report.Findings) == 0 || report.Findings[0].Kind != Broken {
		t.Errorf("findings %v", report.Findings)
	}
	terms.Now, terms.Crowded = s.now, true
	if report := s.check(terms); len(report.Findings) != 0 || len(report.Remarks) == 0 || !strings.Contains(report.Remarks[0], "nothing tells whether they were removed") {
		t.Errorf("findings %v, remarks %q", report.Findings, report.Remarks)
	}
}

// TestResultsMayAgeOutWhileTheyAreRead: what the stream has lost at its beginning since is judged by the clock of then,
// and what it has lost elsewhere is missed all the same.
func TestResultsMayAgeOutWhileTheyAreRead(t *testing.T) {
	month := 30 * 24 * time.Hour
	for _, test := range []struct {
		name    string
		gone    []uint64 // from, to, from, to: when they are read
		first   uint64   // then
		later   time.Duration
		kinds   []Kind
		remarks int
	}{
		{"before the first was read", []uint64{1, 34}, 35, month + 4*time.Minute, nil, 1},
		{"whole digests", []uint64{1, 30}, 31, month + 4*time.Minute, nil, 0},
		{"between two", []uint64{13, 34}, 35, month + 4*time.Minute, nil, 1},
		{"all", []uint64{1, 100}, 101, month + 10*time.Minute, nil, 0},
		{"too early", []uint64{1, 34}, 35, month - time.Hour, slices.Repeat([]Kind{Dropped}, 4), 0},
		{"between two, too early", []uint64{13, 34}, 35, month - time.Hour, slices.Repeat([]Kind{Dropped}, 3), 0},
		{"and one in the middle was dropped", []uint64{1, 34, 37, 37}, 35, month + 4*time.Minute, []Kind{Dropped}, 1},
		{"nothing, and one in the middle was dropped", []uint64{37, 37}, 1, month + 10*time.Minute, []Kind{Dropped}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStore(t, 100)
			s.digest(10)
			terms := s.terms()
			terms.Now = noon.Add(month - 2*time.Hour)
			asked := 0
			terms.Again = func() (uint64, time.Time, error) {
				asked++
				return test.first, noon.Add(test.later), nil
			}
			for ; len(test.gone) > 0; test.gone = test.gone[2:] {
				s.records = slices.DeleteFunc(s.records, func(r Record) bool { return r.Sequence >= test.gone[0] && r.Sequence <= test.gone[1] })
			}
			report := s.check(terms)
			var kinds []Kind
			for _, f := range report.Findings {
				kinds = append(kinds, f.Kind)
			}
			if !slices.Equal(kinds, test.kinds) || len(report.Remarks) != test.remarks || asked == 0 || asked > 2 {
				t.Errorf("asked %d times, findings %v, remarks %q; want %v and %d", asked, report.Findings, report.Remarks, test.kinds, test.remarks)
			}
		})
	}
}

// TestAnAuditThatCannotAskAgainHasNoReport.
func TestAnAuditThatCannotAskAgainHasNoReport(t *testing.T) {
	s := newStore(t, 20)
	s.digest(10)
	s.drop(5)
	away := errors.New("NATS is away")
	terms := s.terms()
	terms.Again = func() (uint64, time.Time, error) { return 0, time.Time{}, away }
	if _, err := Check(terms, values(s.digests), s.source); !errors.Is(err, away) {
		t.Errorf("error %v", err)
	}
}

// TestResultsBetweenDigestsAreMissed: a signer that leaves some out is named, but where they may have aged out before.
func TestResultsBetweenDigestsAreMissed(t *testing.T) {
	s := newStore(t, 10)
	s.digest(10)
	s.grow(10)
	s.last.To = 15
	s.digest(10)
	if got := s.check(s.terms()).Findings; len(got) != 1 || got[0].Kind != Dropped || got[0].Sequence != 11 {
		t.Errorf("findings: %v", got)
	}
	terms := s.terms()
	terms.Kept = time.Minute
	if report := s.check(terms); len(report.Findings) != 0 || !slices.Contains(report.Remarks, "results 11 to 15 aged out before a digest covered them") {
		t.Errorf("findings %v, remarks %q", report.Findings, report.Remarks)
	}
}

// TestWhatNoDigestCoversIsCounted: it is no finding.
func TestWhatNoDigestCoversIsCounted(t *testing.T) {
	s := newStore(t, 20)
	s.digest(10)
	s.grow(7)
	if report := s.check(s.terms()); len(report.Findings) != 0 || report.Later != 7 || report.Results != 20 || report.Digests != 2 || report.LastHash != HashOf(s.digests[1]) {
		t.Errorf("report: %+v", report)
	}
}

// TestATreeHasTheRootOfRFC9162, whose definition is written here as it stands there.
func TestATreeHasTheRootOfRFC9162(t *testing.T) {
	var root func(leaves []Hash) Hash
	root = func(leaves []Hash) Hash {
		if len(leaves) == 1 {
			return leaves[0]
		}
		k := 1
		for 2*k < len(leaves) {
			k *= 2
		}
		return node(root(leaves[:k]), root(leaves[k:]))
	}
	var tree Tree
	if got := tree.Root().String(); got != "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" {
		t.Errorf("the root of nothing is %s", got)
	}
	var leaves []Hash
	for i := range 300 {
		leaf := Record{Sequence: uint64(i)}.Leaf()
		leaves = append(leaves, leaf)
		tree.Add(leaf)
		if tree.Root() != root(leaves) {
			t.Fatalf("the root of %d leaves is another", len(leaves))
		}
	}
}

// TestALeafIsOfSequenceSubjectAndPayload, each by itself.
func TestALeafIsOfSequenceSubjectAndPayload(t *testing.T) {
	seen := map[Hash]Record{}
	for _, r := range []Record{{1, "ab", []byte("cd")}, {2, "ab", []byte("cd")}, {1, "abc", []byte("d")}, {1, "a", []byte("bcd")}, {1, "ab", []byte("ce")}, {1, "ab", nil}} {
		leaf := r.Leaf()
		if other, has := seen[leaf]; has {
			t.Errorf("%v and %v are one leaf", r, other)
		}
		seen[leaf] = r
	}
}

// TestADigestHasOneForm: what is not signed has no place in it.
func TestADigestHasOneForm(t *testing.T) {
	s := newStore(t, 3)
	s.digest(10)
	data := string(s.digests[0])
	if _, err := DecodeDigest([]byte(data)); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{`{"version"`, `{ "version"`},
		{`"number":1`, `"number":1,"note":"x"`},
		{`"number":1`, `"number":1e0`},
		{`"version":1`, `"version":2`},
		{`"number":1`, `"number":0`},
		{`"count":3`, `"count":2`},
		{`"from":1`, `"from":0`},
		{`"to":3`, `"to":4`},
		{`"to":3`, `"to":18446744073709551615`},
		{"}", "}\n"},
	} {
		changed := strings.Replace(data, change[0], change[1], 1)
		if d, err := DecodeDigest([]byte(changed)); changed == data || err == nil {
			t.Errorf("%s for %s: %+v, %v", change[1], change[0], d, err)
		}
	}
}

// TestTheLargestDigestFits into what is read.
func TestTheLargestDigestFits(t *testing.T) {
	s := newStore(t, MaxRecords+1)
	r := NewRange(1)
	n := 0
	for _, record := range s.records {
		if r.Add(record) {
			n++
		}
	}
	if n != MaxRecords || !r.Full() {
		t.Fatalf("%d results fit", n)
	}
	d := Digest{Number: 1 << 60, At: noon, Latest: noon, Made: noon, Since: noon, Worker: strings.Repeat("w", 64)}
	r.Into(&d)
	s.put(d)
	if n := len(s.digests[0]); n > MaxBytes {
		t.Errorf("it has %d bytes", n)
	}
	if _, err := DecodeDigest(s.digests[0]); err != nil {
		t.Error(err)
	}
}

func FuzzDecodeDigest(f *testing.F) {
	key, err := nkeys.FromRawSeed(nkeys.PrefixByteUser, make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	r := NewRange(7)
	r.Add(Record{8, "logoff.results.a.1-2", []byte("{}")})
	d := Digest{Number: 3, At: noon, Latest: noon, Made: noon, Worker: "w"}
	r.Into(&d)
	data, err := d.Sign(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := DecodeDigest(data)
		if err != nil {
			return
		}
		if again, err := d.encode(); err != nil || string(again) != string(data) {
			t.Fatalf("%q became %q, %v", data, again, err)
		}
		for sequence := d.From; sequence-d.From < uint64(len(d.Prints)/printSize); sequence++ {
			d.had(sequence)
		}
		_ = d.Verify()
	})
}

func BenchmarkRange(b *testing.B) {
	payload := make([]byte, 600)
	b.SetBytes(600)
	r := NewRange(1)
	for i := range b.N {
		if !r.Add(Record{uint64(i%MaxRecords) + 1, "logoff.results.01JDCASE7K2Q5.88102-1795786323022000000", payload}) {
			r = NewRange(1)
		}
	}
}
