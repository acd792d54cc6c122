package tokens

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/metrics"
	"logoffworker/worker/webserver"
)

func testKey(t *testing.T, fill byte) Key {
	t.Helper()
	key, err := newKey(bytes.Repeat([]byte{fill}, keyBytes))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestKeyFiles(t *testing.T) {
	raw := []byte("0123456789abcdef0123456789abcdef")
	for text, ok := range map[string]bool{
		base64.StdEncoding.EncodeToString(raw):            true,
		base64.StdEncoding.EncodeToString(raw) + "\n":     true,
		hex.EncodeToString(raw):                           true,
		strings.ToUpper(hex.EncodeToString(raw)) + "\r\n": true,
		"":                             false,
		string(raw):                    false,
		"canary":                       false,
		hex.EncodeToString(raw[1:]):    false,
		hex.EncodeToString(raw) + "00": false,
		base64.StdEncoding.EncodeToString(raw) + "x":            false,
		base64.StdEncoding.EncodeToString(raw[1:]):              false,
		base64.StdEncoding.EncodeToString(append(raw, 'x')):     false,
		base64.StdEncoding.EncodeToString(bytes.Repeat(raw, 2)): false,
	} {
		key, err := parseKey(text)
		if (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && (strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "32 bytes in base64 or hex")) {
			t.Error(err)
		}
		if shown := fmt.Sprintf("%v %+v %#v %s %x", key, key, key, key, key); strings.Trim(shown, "key ") != "" {
			t.Errorf("it shows %s", shown)
		}
	}
	if _, err := ReadKey(filepath.Join(t.TempDir(), "none")); err == nil || err.Error() != "the file cannot be read" {
		t.Errorf("a key of no file: %v", err)
	}
}

func TestSealedTextIsOpenedInItsPlaceAlone(t *testing.T) {
	key := testKey(t, 1)
	sealed := key.encrypt([]byte("text"), "here")
	if text, err := key.decrypt(sealed, "here"); err != nil || string(text) != "text" {
		t.Errorf("%q, %v", text, err)
	}
	if bytes.Equal(sealed, key.encrypt([]byte("text"), "here")) {
		t.Error("the same text gives the same bytes")
	}
	if _, err := key.decrypt(sealed, "there"); err == nil {
		t.Error("it is opened elsewhere")
	}
	if _, err := testKey(t, 2).decrypt(sealed, "here"); err == nil {
		t.Error("it is opened with another key")
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := key.decrypt(changed, "here"); err == nil {
			t.Errorf("it is opened with byte %d changed", i)
		}
		if _, err := key.decrypt(sealed[:i], "here"); err == nil {
			t.Errorf("it is opened with %d bytes", i)
		}
	}
}

func TestFingerprintsTellPairsApart(t *testing.T) {
	key := testKey(t, 1)
	same := key.fingerprint(pair{Access: "canary-a", Refresh: "b"})
	if same != key.fingerprint(pair{Access: "canary-a", Refresh: "b", Expires: time.Unix(5, 0)}) {
		t.Error("the same tokens have two")
	}
	for _, other := range []string{
		key.fingerprint(pair{Access: "canary-ab"}), key.fingerprint(pair{Access: "canary-a", Refresh: "c"}),
		testKey(t, 2).fingerprint(pair{Access: "canary-a", Refresh: "b"}),
	} {
		if other == same {
			t.Error("two have the same")
		}
	}
}

func TestPairFiles(t *testing.T) {
	at := func(n int64) time.Time { return time.Unix(n, 0).UTC() }
	for text, want := range map[string]pair{
		`{"accessToken":"canary-a","refreshToken":"canary-r"}`:                                                                  {"canary-a", "canary-r", time.Time{}, time.Time{}},
		`{"accessToken":"canary-a","refreshToken":"canary-r","tokenExpiryTimestamp":5,"renewableUntilTimestamp":6}` + "\n":      {"canary-a", "canary-r", at(5), at(6)},
		`{"AccessToken":"Bearer canary-a","refreshtoken":"canary-r","more":[1]}`:                                                {"canary-a", "canary-r", time.Time{}, time.Time{}},
		`{"tokenInfo":{"accessTokenId":3,"accessToken":"canary-a","refreshToken":"canary-r","tokenExpiryTimestamp":5},"e":{}}`:  {"canary-a", "canary-r", at(5), time.Time{}},
		`{"accessToken":"canary-a","refreshToken":"canary-r","tokenExpiryTimestamp":-5,"renewableUntilTimestamp":999999999999}`: {"canary-a", "canary-r", time.Time{}, time.Time{}},
		``: {}, `{}`: {}, `[]`: {}, `canary`: {}, `{"accessToken":"canary-a"}`: {}, `{"refreshToken":"canary-r"}`: {},
		`{"accessToken":"canary\na","refreshToken":"canary-r"}`:                           {},
		`{"accessToken":["canary"],"refreshToken":"canary-r"}`:                            {},
		`{"accessToken":"canary-a","refreshToken":"canary-r","tokenExpiryTimestamp":"c"}`: {},
		`{"accessToken":"canary-a","refreshToken":"canary-r"`:                             {},
	} {
		path := filepath.Join(t.TempDir(), "pair")
		writeFile(t, path, text)
		got, err := readPair(path)
		if got != want || (err == nil) != (want != pair{}) {
			t.Errorf("%s: %v %v, %v", text, got.Expires, got.RenewableUntil, err)
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "pair", got, "record", record{Pair: got}, "err", err)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "pair", got, "record", record{Pair: got})
		if shown := fmt.Sprintf("%v %+v %#v %s %q", got, record{Pair: got}, got, &got, err) + log.String(); strings.Contains(shown, "canary") {
			t.Errorf("it shows %s", shown)
		}
	}
}

func TestPairFileThatCannotBeReadIsNotCalledMalformed(t *testing.T) {
	folder := t.TempDir()
	for _, path := range []string{folder, filepath.Join(folder, "none")} {
		if _, err := readPair(path); err == nil || err.Error() != "the file cannot be read" {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestTokensTooLongForAHeaderAreRefused(t *testing.T) {
	for length, ok := range map[int]bool{16 << 10: true, 16<<10 + 1: false} {
		if usable(strings.Repeat("t", length)) != ok {
			t.Errorf("%d bytes", length)
		}
	}
}

func TestWhenAPairIsDue(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	in := func(d time.Duration) time.Time { return now.Add(d) }
	for name, test := range map[string]struct {
		record          record
		earliest, after time.Duration // from now; the second with all the jitter
	}{
		"30 minutes":        {record{Issued: now, Renewals: 1, Pair: pair{Expires: in(30 * time.Minute)}}, 20 * time.Minute, 22*time.Minute + 30*time.Second},
		"two hours":         {record{Issued: now, Renewals: 1, Pair: pair{Expires: in(2 * time.Hour)}}, 80 * time.Minute, 90 * time.Minute},
		"unknown":           {record{Issued: now, Renewals: 1}, 20 * time.Minute, 22*time.Minute + 30*time.Second},
		"a clock is wrong":  {record{Issued: now, Renewals: 1, Pair: pair{Expires: in(-time.Hour)}}, 20 * time.Minute, 22*time.Minute + 30*time.Second},
		"a file":            {record{Issued: now, Pair: pair{Expires: in(15 * time.Minute)}}, 10 * time.Minute, 11*time.Minute + 15*time.Second},
		"a file of no age":  {record{Issued: now}, 0, 0},
		"a file of old age": {record{Issued: now, Pair: pair{Expires: in(-time.Hour)}}, 0, 0},
	} {
		if first, last := test.record.due(0).Sub(now), test.record.due(1).Sub(now); first != test.earliest || last != test.after {
			t.Errorf("%s: due in %v to %v", name, first, last)
		}
	}
}

func TestWhichRecordIsLater(t *testing.T) {
	r := func(renewals, writes int, seeds ...string) record {
		return record{Seeds: seeds, Renewals: renewals, Writes: writes}
	}
	for _, test := range []struct {
		name           string
		later, earlier record
	}{
		{"renewed", r(2, 9, "a"), r(1, 8, "a")},
		{"renewed, after the other was called lost", r(2, 9, "a"), r(1, 11, "a")},
		{"written", r(1, 9, "a"), r(1, 8, "a")},
		{"of a later seed", r(0, 1, "a", "b"), r(5, 9, "a")},
	} {
		if !test.later.outdates(test.earlier) || test.earlier.outdates(test.later) {
			t.Error(test.name)
		}
	}
	if same := r(1, 1, "a"); same.outdates(same) {
		t.Error("a record outdates itself")
	}
	if r(9, 9, "a").outdates(r(0, 1, "b")) {
		t.Error("what was made of a seed that is not known here is not left alone")
	}
}

func TestBackoffGrowsToItsEnd(t *testing.T) {
	for failures, want := range map[int]time.Duration{0: 10 * time.Second, 1: 10 * time.Second, 2: 20 * time.Second, 5: 160 * time.Second, 6: 5 * time.Minute, 1000: 5 * time.Minute} {
		if got := backoff(failures); got != want {
			t.Errorf("%d: %v", failures, got)
		}
	}
}

// A refused access token is renewed early if it is old enough, or never was renewed, or is of the future.
func TestRefusedTokenThatIsNewIsNotRenewedAtOnce(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		r    record
		want bool
	}{
		"of the pair file":  {record{Issued: now}, true},
		"renewed just now":  {record{Renewals: 1, Issued: now.Add(-time.Second)}, false},
		"renewed long ago":  {record{Renewals: 1, Issued: now.Add(-refusedAgain)}, true},
		"renewed to come":   {record{Renewals: 1, Issued: now.Add(time.Second)}, true},
		"never, and of old": {record{Issued: now.Add(-time.Hour)}, true},
	} {
		if got := test.r.mayRenewEarly(now); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What a look makes of what is stored, by what this replica knows and what the pair file holds.
func TestWhatALookMends(t *testing.T) {
	now, key := time.Now(), testKey(t, 1)
	born, before := now.Add(-time.Hour), now.Add(-2*time.Hour) // when buckets were made
	finger := func(access string) string { return key.fingerprint(pair{Access: access, Refresh: "r"}) }
	r := func(s state, writes int) record {
		return record{Pair: pair{Access: "canary-1"}, Seeds: []string{finger("old"), finger("seed")}, State: s, Writes: writes, Intent: "i", By: "b", Instance: "of b"}
	}
	mine := r(renewing, 3)
	mine.Instance = "mine"
	rested := r(good, 3)
	rested.Remade = now.Add(-restAfterLoss / 2)
	for name, test := range map[string]struct {
		stored  *record // none where it is missing
		known   *record
		made    time.Time // the bucket that the known record is from
		file    string    // access token of the pair file; no file where it is empty
		why     string
		access  string // of what is to be stored,
		remade  bool   // and whether it was mended
		err     error
		watched bool // for longer than an answer takes
		want    state
		note    string // of the file
	}{
		"all is well":               {stored: new(r(good, 3)), known: new(r(good, 3)), made: born, file: "seed"},
		"first look":                {stored: new(r(good, 3)), file: "seed"},
		"first look, without file":  {stored: new(r(good, 3)), note: "is of no use"},
		"gone":                      {known: new(r(good, 3)), made: born, file: "seed", why: "had gone", access: "canary-1", remade: true, want: good},
		"nothing at all":            {err: ErrNothingStored},
		"nothing but the file":      {file: "canary-2", why: "the pair of the pair file is stored", access: "canary-2", remade: true, want: good},
		"earlier":                   {stored: new(r(good, 2)), known: new(r(good, 3)), made: born, file: "seed", why: "is put right", access: "canary-1", remade: true, want: good},
		"later":                     {stored: new(r(good, 4)), known: new(r(good, 3)), made: born, file: "seed"},
		"first look at an old one":  {stored: new(r(good, 0)), file: "seed"},
		"made anew":                 {stored: new(r(good, 3)), known: new(r(good, 3)), made: before, file: "seed", why: "the bucket was made anew", access: "canary-1", remade: true, want: good},
		"made anew, and rests":      {stored: &rested, known: &rested, made: before, file: "seed"},
		"a new pair":                {stored: new(r(lost, 3)), known: new(r(lost, 3)), made: born, file: "canary-2", why: "holds a new pair", access: "canary-2", want: good},
		"an old pair":               {stored: new(r(good, 3)), known: new(r(good, 3)), made: born, file: "old", note: "has replaced since"},
		"renewed here, and stopped": {stored: &mine, known: &mine, made: born, file: "seed", why: "is taken back", access: "canary-1", want: good},
		"renewed elsewhere":         {stored: new(r(renewing, 3)), known: new(r(renewing, 3)), made: born, file: "seed"},
		"renewed for too long":      {stored: new(r(renewing, 3)), known: new(r(renewing, 3)), made: born, file: "seed", watched: true, why: "no outcome for too long", access: "canary-1", want: lost},
	} {
		var log bytes.Buffer
		k := &Keeper{c: Config{PairFile: filepath.Join(t.TempDir(), "pair"), Key: key, Log: slog.New(slog.NewTextHandler(&log, nil))}, instance: "mine", born: test.made}
		k.store.born = born
		if test.known != nil {
			k.known, k.record = true, *test.known
		}
		if test.watched {
			k.watched, k.watchedFor = "i", now.Add(-k.answerTime())
		}
		if test.file != "" {
			writeFile(t, k.c.PairFile, fmt.Sprintf(`{"accessToken":%q,"refreshToken":"r"}`, test.file))
		}
		var stored record
		if test.stored != nil {
			stored = *test.stored
		}
		next, why, err := k.better(stored, test.stored == nil)
		if !errors.Is(err, test.err) || (why == "") != (test.why == "") || !strings.Contains(why, test.why) {
			t.Errorf("%s: %q, %v", name, why, err)
		}
		if next.Pair.Access != test.access || next.State != test.want || test.remade != (next.Remade.Sub(now) >= 0) || why != "" && next.Writes <= stored.Writes {
			t.Errorf("%s: %q, %s, mended at %v, %d", name, next.Pair.Access, next.State, next.Remade, next.Writes)
		}
		if (log.Len() > 0) != (test.note != "") || !strings.Contains(log.String(), test.note) {
			t.Errorf("%s: %s", name, &log)
		}
	}
}

// Each renewal of somebody else is waited for as long as its own two calls may take, from when it was first seen.
func TestRenewalsOfOthersAreWaitedForOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &Keeper{c: Config{PairFile: filepath.Join(t.TempDir(), "none"), Key: testKey(t, 1), Log: slog.New(slog.DiscardHandler)}}
		look := func(s state, intent string, want string) {
			t.Helper()
			if _, why, err := k.better(record{Seeds: []string{"s"}, State: s, Intent: intent, Instance: "of b"}, false); err != nil || !strings.Contains(why, want) || (why == "") != (want == "") {
				t.Errorf("after %v: %q, %v", k.watchedFor, why, err)
			}
		}
		look(renewing, "i", "")
		time.Sleep(2*time.Minute - time.Nanosecond)
		look(renewing, "i", "")
		look(renewing, "another", "")
		time.Sleep(2*time.Minute - time.Nanosecond)
		look(renewing, "another", "")
		look(good, "", "")
		look(renewing, "another", "") // as after a loss of data: it begins again
		time.Sleep(2*time.Minute - time.Nanosecond)
		look(renewing, "another", "")
		time.Sleep(time.Nanosecond)
		look(renewing, "another", "counts as lost")
		k.c.WebServer.Timeout = time.Minute
		look(renewing, "another", "")
		time.Sleep(time.Minute)
		look(renewing, "another", "counts as lost")
	})
}

// A pair file of no use is told once, until it is of use again.
func TestUselessPairFileIsToldOnce(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		old  bool
		says string
	}{
		"unreadable": {io.EOF, false, "is of no use"},
		"old":        {nil, true, "that another has replaced since"},
	} {
		var log bytes.Buffer
		k := &Keeper{c: Config{Log: slog.New(slog.NewTextHandler(&log, nil))}}
		for round := range 2 {
			k.noteFile(nil, false)
			k.noteFile(test.err, test.old)
			k.noteFile(test.err, test.old)
			if n := strings.Count(log.String(), test.says); n != round+1 || strings.Count(log.String(), "\n") != n {
				t.Errorf("%s, round %d:\n%s", name, round, &log)
			}
		}
	}
}

// What operators are told: without a pair, or with one that is of no more use, a person is called; what may come back
// by itself is no alarm.
func TestTroublesAreTold(t *testing.T) {
	expires := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	r := func(s state, failures int) record {
		return record{State: s, Failures: failures, Why: "no answer", Pair: pair{Expires: expires}}
	}
	for name, test := range map[string]struct {
		err      error
		record   record
		trouble  error
		failures int
		kind     string
		grave    bool
		says     []string
	}{
		"all is well":          {record: r(good, 0)},
		"another key":          {err: errSealed, kind: "no_pair", grave: true, says: []string{"cannot be decrypted"}},
		"no pair":              {err: errors.Join(ErrNothingStored, fileProblem(io.EOF)), kind: "no_pair", grave: true, says: []string{"no pair is stored: the pair file: EOF"}},
		"NATS is out":          {err: nats.ErrTimeout, record: r(lost, 0), kind: "unseen", says: []string{"cannot be looked at: nats: timeout"}},
		"lost":                 {record: r(lost, 0), kind: "lost", grave: true, says: []string{"no known outcome (no answer)", "Until 2026-05-01T12:00:00Z", "put it into the pair file"}},
		"lost, of unknown end": {record: record{State: lost}, kind: "lost", grave: true, says: []string{"Until a time that is not known"}},
		"dead":                 {record: r(dead, 0), kind: "refused", grave: true, says: []string{"refuses to renew the access token (no answer)", "Until 2026-05-01T12:00:00Z"}},
		"a few failures here":  {record: r(good, 2), trouble: io.EOF, failures: 2},
		"failures here":        {record: r(good, 0), trouble: io.EOF, failures: 3, kind: "not_renewed", says: []string{"could not be renewed 3 times", "this worker keeps trying: EOF", "2026-05-01T12:00:00Z"}},
		"turned away here":     {record: r(good, 4), trouble: io.EOF, kind: "not_renewed", says: []string{"could not be renewed 4 times", "this worker keeps trying: EOF"}},
		"failures elsewhere":   {record: r(good, 3), kind: "not_renewed", says: []string{"other workers could not renew", "2026-05-01T12:00:00Z"}},
		"few failures":         {record: r(good, 2)},
		"somebody renews":      {record: r(renewing, 0)},
	} {
		k := &Keeper{c: Config{Health: metrics.NewHealth(slog.New(slog.DiscardHandler), Part)}, known: true, record: test.record, trouble: test.trouble, failures: test.failures}
		k.c.Health.Begin(metrics.Condition{Part: Part, Kind: "another"}) // which has ended by now
		k.tell(test.err)
		_, told := k.c.Health.Ready()
		if test.kind == "" {
			if len(told) != 0 {
				t.Errorf("%s: %+v", name, told)
			}
			continue
		}
		if len(told) != 1 || told[0].Kind != test.kind || told[0].Grave != test.grave {
			t.Errorf("%s: %+v", name, told)
			continue
		}
		for _, words := range test.says {
			if !strings.Contains(told[0].What, words) {
				t.Errorf("%s: %q does not say %q", name, told[0].What, words)
			}
		}
	}
}

// Only whoever holds a new pair that is nowhere else is told not to stop the worker.
func TestUnstoredOutcomeIsTold(t *testing.T) {
	for precious, words := range map[bool]string{true: "do not stop this worker", false: "the outcome of a renewal cannot be stored"} {
		k := &Keeper{c: Config{Health: metrics.NewHealth(slog.New(slog.DiscardHandler), Part), Metrics: metrics.NewToken(prometheus.NewRegistry())}}
		k.sayUnstored(io.EOF, precious)
		_, told := k.c.Health.Ready()
		if len(told) != 1 || !told[0].Grave || !strings.Contains(told[0].What, words) || !strings.HasSuffix(told[0].What, ": EOF") {
			t.Errorf("%+v", told)
		}
	}
}

// The end of renewing is announced from 14 days before, once a day, where there is one.
func TestEndOfRenewingIsAnnouncedOnceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		for until, want := range map[time.Time]int{{}: 0, now.Add(14*24*time.Hour + time.Second): 0, now.Add(14*24*time.Hour - time.Second): 1, now.Add(-time.Hour): 1} {
			var log bytes.Buffer
			k := &Keeper{c: Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, record: record{Pair: pair{RenewableUntil: until}}}
			k.warnOfTheEnd()
			k.warnOfTheEnd()
			if n := strings.Count(log.String(), "not much longer"); n != want {
				t.Errorf("%v: announced %d times", until, n)
			}
			if soon := (Stored{Pair: webserver.Pair(k.record.Pair)}).EndsSoon(); soon != (want > 0) {
				t.Errorf("%v: it ends soon: %v", until, soon)
			}
		}
		var log bytes.Buffer
		k := &Keeper{c: Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, record: record{Pair: pair{RenewableUntil: now.Add(time.Hour)}}}
		for range 3 {
			k.warnOfTheEnd()
			time.Sleep(12 * time.Hour)
		}
		if n := strings.Count(log.String(), "not much longer"); n != 2 {
			t.Errorf("announced %d times in two days", n)
		}
	})
}

func TestWhichStoredPairsCanBeRenewed(t *testing.T) {
	for s, want := range map[state]bool{good: true, renewing: true, lost: false, dead: false} {
		if (Stored{State: string(s)}).Usable() != want {
			t.Errorf("%s: %v", s, !want)
		}
	}
}

// A call that shows that the Web Server answers is well, also where it refuses the access token; the page of
// something in front of it is not.
func TestWhichAnswersAreWell(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		well bool
	}{
		"an answer":          {nil, true},
		"unauthorized":       {&webserver.Error{Verdict: webserver.Unauthorized}, true},
		"forbidden":          {&webserver.Error{Verdict: webserver.Forbidden}, true},
		"not found":          {&webserver.Error{Verdict: webserver.NotFound}, true},
		"unavailable":        {&webserver.Error{Verdict: webserver.Unavailable}, false},
		"a page, forbidden":  {&webserver.Error{Verdict: webserver.Forbidden, Page: true}, false},
		"a page, not found":  {&webserver.Error{Verdict: webserver.NotFound, Page: true}, false},
		"another, in a page": {&webserver.Error{Verdict: webserver.Throttled, Page: true}, false},
	} {
		if e := well(test.err); (e == nil) != test.well {
			t.Errorf("%s: %v", name, e)
		}
	}
}

// A renewal that may have reached the Web Server, and has no answer, is lost: only one that was surely turned away is
// tried again.
func TestWhatARenewalMakesOfThePair(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want state
		says string
	}{
		"renewed":         {nil, good, ""},
		"unknown":         {io.EOF, lost, "worker a got no answer at"},
		"sent":            {&webserver.Error{Verdict: webserver.Unavailable, Sent: true}, lost, "worker a got no answer at"},
		"sent, refused":   {&webserver.Error{Verdict: webserver.LoginRejected, Sent: true}, lost, "worker a got no answer at"},
		"refused":         {&webserver.Error{Verdict: webserver.LoginRejected, Text: "no more"}, dead, "no more"},
		"turned away":     {&webserver.Error{Verdict: webserver.Unavailable, RetryAfter: time.Minute}, good, ""},
		"misconfigured":   {&webserver.Error{Verdict: webserver.Misconfigured}, good, ""},
		"turned away now": {&webserver.Error{Verdict: webserver.Throttled, RetryAfter: time.Second}, good, ""},
	} {
		k := &Keeper{c: Config{Name: "a", Metrics: metrics.NewToken(prometheus.NewRegistry())}}
		intent := record{Pair: pair{Access: "canary-1"}, State: renewing, Intent: "i"}
		begun := time.Now()
		got := k.outcome(intent, pair{Access: "canary-2"}, test.err)
		if got.State != test.want || !strings.Contains(got.Why, test.says) || (got.Pair.Access == "canary-2") != (test.err == nil) {
			t.Errorf("%s: %s, %q, %q", name, got.State, got.Why, got.Pair.Access)
		}
		turnedAway := test.want == good && test.err != nil
		if (got.Failures == 1) != turnedAway || (k.trouble == nil) == turnedAway {
			t.Errorf("%s: %d failures, %v", name, got.Failures, k.trouble)
		}
		if wait := got.NotBefore.Sub(begun); turnedAway && (wait < 10*time.Second || wait < time.Minute && name == "turned away") {
			t.Errorf("%s: tried again in %v", name, wait)
		}
	}
}

// When this replica renews: a refusal of the present access token counts for half a minute.
func TestWhenAReplicaRenews(t *testing.T) {
	now := time.Now()
	renewed := record{State: good, Renewals: 1, Issued: now.Add(-10 * time.Minute), Pair: pair{Access: "canary-1", Expires: now.Add(20 * time.Minute)}}
	justNow := renewed
	justNow.Issued = now.Add(-time.Minute)
	remade := renewed
	remade.Remade = now
	waits := renewed
	waits.NotBefore = now.Add(time.Minute)
	gone := renewed
	gone.State = lost
	for name, test := range map[string]struct {
		k    *Keeper
		in   time.Duration // at the latest; at the earliest a second before
		none bool
	}{
		"not known":               {k: &Keeper{}, none: true},
		"lost":                    {k: &Keeper{known: true, record: gone}, none: true},
		"at two thirds":           {k: &Keeper{known: true, record: renewed}, in: 10 * time.Minute},
		"refused":                 {k: &Keeper{known: true, record: renewed, refused: "canary-1", since: now}, in: 0},
		"refused half a minute":   {k: &Keeper{known: true, record: renewed, refused: "canary-1", since: now.Add(-refusalMemory)}, in: 10 * time.Minute},
		"another refused":         {k: &Keeper{known: true, record: renewed, refused: "canary-0", since: now}, in: 10 * time.Minute},
		"refused, but quite new":  {k: &Keeper{known: true, record: justNow, refused: "canary-1", since: now}, in: 13 * time.Minute},
		"refused, after a loss":   {k: &Keeper{known: true, record: remade, refused: "canary-1", since: now}, in: restAfterLoss},
		"refused, turned away":    {k: &Keeper{known: true, record: waits, refused: "canary-1", since: now}, in: time.Minute},
		"refused, and rests here": {k: &Keeper{known: true, record: renewed, refused: "canary-1", since: now, resting: now.Add(2 * time.Minute)}, in: 2 * time.Minute},
	} {
		due, may := test.k.due()
		if may == test.none {
			t.Errorf("%s: %v", name, may)
		}
		if in := max(due.Sub(now), 0); may && (in > test.in || in < test.in-time.Second) {
			t.Errorf("%s: in %v", name, in)
		}
	}
}

// A round follows after a while that depends on what is to be seen, or at once when a token was refused.
func TestHowLongAReplicaRests(t *testing.T) {
	for name, test := range map[string]struct {
		state  state
		due    time.Duration
		err    error
		kicked bool
		want   time.Duration
	}{
		"a good pair": {state: good, due: time.Hour, want: 15 * time.Second},
		"due soon":    {state: good, due: 5 * time.Second, want: 5 * time.Second},
		"overdue":     {state: good, want: 500 * time.Millisecond},
		"renewing":    {state: renewing, want: 500 * time.Millisecond},
		"lost":        {state: lost, want: 15 * time.Second},
		"failed":      {state: renewing, err: io.EOF, want: 2 * time.Second},
		"kicked":      {state: lost, kicked: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			k := &Keeper{kicked: make(chan struct{}, 1), record: record{State: test.state}, resting: begun.Add(test.due)}
			if test.kicked {
				k.kicked <- struct{}{}
			}
			k.rest(t.Context(), test.err)
			if took := time.Since(begun); took != test.want {
				t.Errorf("%s: %v", name, took)
			}
		})
	}
}

// A pair that is new ends what held the earlier one back, and one that was there before does not.
func TestNewPairBeginsAfresh(t *testing.T) {
	k := &Keeper{first: make(chan struct{}), changed: make(chan struct{}), c: Config{Metrics: metrics.NewToken(prometheus.NewRegistry())}}
	jitters := map[float64]bool{}
	for round := range 3 {
		r := record{State: good, Pair: pair{Access: fmt.Sprint("canary-", round)}}
		k.failures, k.trouble, k.resting = 4, io.EOF, time.Now().Add(time.Hour)
		k.adopt(r, 1)
		if !k.known || k.failures != 0 || k.trouble != nil || !k.resting.IsZero() || k.access != r.Pair.Access {
			t.Errorf("after a new pair: %d, %v, %v", k.failures, k.trouble, k.resting)
		}
		jitters[k.jitter] = true
		k.restAfter(io.EOF, 0)
		k.adopt(r, 2)
		if k.failures != 1 || k.trouble == nil || k.resting.IsZero() || !jitters[k.jitter] || k.revision != 2 {
			t.Errorf("after another look: %d, %v, %v", k.failures, k.trouble, k.resting)
		}
	}
	if len(jitters) != 3 {
		t.Errorf("the replicas renew at the same times: %v", slices.Collect(maps.Keys(jitters)))
	}
}

// Only a renewal is told as one, not what came of another try.
func TestRenewedPairIsTold(t *testing.T) {
	now := time.Now()
	intent := record{State: renewing, Pair: pair{Access: "canary-1"}}
	for name, test := range map[string]struct {
		outcome record
		told    bool
	}{
		"renewed":     {intent.renewed(pair{Access: "canary-2"}, now), true},
		"turned away": {intent.turnedAway(now, 0), false},
		"lost":        {intent.ended(lost, "no answer"), false},
	} {
		var log bytes.Buffer
		k := &Keeper{first: make(chan struct{}), changed: make(chan struct{}), c: Config{Metrics: metrics.NewToken(prometheus.NewRegistry()), Log: slog.New(slog.NewTextHandler(&log, nil))}}
		k.concluded(test.outcome, 1)
		if strings.Contains(log.String(), "it was renewed") != test.told || strings.Contains(log.String(), "canary") {
			t.Errorf("%s: %s", name, &log)
		}
	}
}

// Whoever was refused waits for another access token as long as there is hope for one, and not longer.
func TestHowLongARefusedTokenIsWaitedFor(t *testing.T) {
	underway := record{State: renewing}
	for name, test := range map[string]struct {
		access string // known when "canary-0" was refused
		then   func(k *Keeper)
		want   string
		took   time.Duration
	}{
		"nothing happens":              {"canary-0", func(*Keeper) {}, "canary-0", 10 * time.Second},
		"a look finds another":         {"canary-0", func(k *Keeper) { k.use("canary-1") }, "canary-1", time.Second},
		"a look finds the same":        {"canary-0", func(k *Keeper) { k.use("canary-0"); k.roundEnded(1) }, "canary-0", time.Second},
		"a look from before":           {"canary-0", func(k *Keeper) { k.roundEnded(0) }, "canary-0", 10 * time.Second},
		"a look finds a later one":     {"canary-1", func(k *Keeper) { k.use("canary-2") }, "canary-2", time.Second},
		"a later one is known already": {"canary-1", func(k *Keeper) { k.known, k.record = true, underway; k.roundEnded(1) }, "canary-1", time.Second},
		"somebody renews": {"canary-0", func(k *Keeper) {
			k.known, k.record = true, underway
			k.roundEnded(1)
			time.Sleep(3 * time.Second)
			k.use("canary-1")
		}, "canary-1", 4 * time.Second},
		"somebody renews in vain": {"canary-0", func(k *Keeper) {
			k.known, k.record = true, underway
			k.roundEnded(1)
			time.Sleep(3 * time.Second)
			k.record = record{State: good}
			k.roundEnded(1)
		}, "canary-0", 4 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			k := &Keeper{first: make(chan struct{}), changed: make(chan struct{}), kicked: make(chan struct{}, 1)}
			if _, err := k.Token(); err == nil || err.Error() != "no access token is known yet" {
				t.Errorf("%s: before the first: %v", name, err)
			}
			k.use("canary-0")
			begun := time.Now()
			if got, err := k.Token(); err != nil || got != "Bearer canary-0" || time.Since(begun) != 0 {
				t.Errorf("%s: the first is %q, %v, after %v", name, got, err, time.Since(begun))
			}
			k.use(test.access)
			go func() {
				time.Sleep(time.Second)
				test.then(k)
			}()
			got, err := k.Token()
			if took := time.Since(begun); err != nil || got != "Bearer "+test.want || took != test.took {
				t.Errorf("%s: %q, %v, after %v", name, got, err, took)
			}
			if len(k.kicked) != 1 || !k.isRefused("canary-0") {
				t.Errorf("%s: no round is wanted", name)
			}
			time.Sleep(4 * time.Second)
		})
	}
}

func TestWrongSettingsOfAPairAreNamed(t *testing.T) {
	b := newBench(t)
	nc := b.connect(b.nats.InProcess())
	for words, c := range map[string]Config{
		`the bucket's name "LOGOFF TOKENS"`: {Bucket: "LOGOFF TOKENS", WebServer: webserver.Config{URL: "http://127.0.0.1/"}},
		"URL: required":                     {Bucket: testBucket},
		"URL: must not hold a user name":    {Bucket: testBucket, WebServer: webserver.Config{URL: "http://canary:canary@127.0.0.1/"}},
	} {
		c.NATS = nc
		_, err := New(c)
		wants(t, err, words)
	}
}
