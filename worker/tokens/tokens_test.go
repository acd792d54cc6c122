package tokens

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func testKey(t *testing.T, fill byte) Key {
	t.Helper()
	key, err := newKey(bytes.Repeat([]byte{fill}, keyBytes))
	if err != nil {
		t.Fatal(err)
	}
	return key
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
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
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

// A replica that sees a bucket for the first time takes it as it is; one that knew another has it rest.
func TestBucketOfAFreshReplicaIsNotTakenForOneMadeAnew(t *testing.T) {
	for known, want := range map[bool]string{false: "", true: "the bucket was made anew; nothing is presented for a while"} {
		k := &Keeper{c: Config{PairFile: filepath.Join(t.TempDir(), "none"), Key: testKey(t, 1), Log: slog.New(slog.DiscardHandler)}, known: known}
		k.record, k.store.born = record{State: good, Seeds: []string{"s"}}, time.Now()
		if _, why, err := k.better(k.record, false); err != nil || why != want {
			t.Errorf("known %v: %q, %v", known, why, err)
		}
	}
}

// Without a pair a person is called, while NATS that cannot be asked may come back by itself.
func TestNoPairIsToldAsSuch(t *testing.T) {
	k := &Keeper{}
	for err, kind := range map[error]string{errSealed: "no_pair", errNoRecord: "no_pair", errConflict: "unseen"} {
		if c := k.problem(err); c.Kind != kind || c.Grave != (kind == "no_pair") {
			t.Errorf("%v is told as %+v", err, c)
		}
	}
}
