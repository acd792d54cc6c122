package jobs

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A result is written as the JSON library would.
func TestResultIsWrittenAsTheLibraryDoes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	texts := []string{"", "plain", `"quoted\"`, "new\nline\ttab\x00\x1f", "\xff\xfe", "<&>\u2028\u2029", "ünïcode \U0001f600", "\x7f"}
	text := func() string { return texts[random.IntN(len(texts))] }
	moment := func() time.Time {
		zone := []*time.Location{time.UTC, time.FixedZone("", 5400), time.FixedZone("", -3600)}[random.IntN(3)]
		return time.Unix(random.Int64N(1<<32), random.Int64N(1e9)).Truncate([]time.Duration{1, time.Millisecond, time.Second}[random.IntN(3)]).In(zone)
	}
	for range 20_000 {
		r := Result{
			Version: random.IntN(3), JobID: text(), Status: Status(text()), Lane: Lane(text()), Publisher: text(), UsersLeft: random.IntN(2), Error: text(),
			RequestedAt: moment(), ReceivedAt: moment(), CompletedAt: moment(), TimeToLogoffMS: random.Int64N(9) - 1, Worker: text(), Deliveries: random.IntN(3),
			Reason: text(), RequestedBy: text(), Trimmed: random.IntN(2) == 0,
			HeldSHA256: text(), Approves: text(), ApprovedBy: text(), StepsLeft: random.IntN(2),
			Repeats: text(), EventToEndedMS: random.Int64N(3) - 1,
		}
		if random.IntN(2) == 0 {
			r.EventTime = moment()
			r.Signal = &Signal{Issuer: text(), Event: text(), Rule: text(), ID: text(), Token: text()}
		}
		for range random.IntN(4) {
			r.Sessions = append(r.Sessions, SessionResult{
				ID: text(), UserID: random.Int64N(3), Outcome: Outcome(text()), RequestID: text(), Attempts: random.IntN(3), ServerText: text(), Error: text(), Found: random.IntN(2) == 0,
			})
		}
		for range random.IntN(4) {
			r.Users = append(r.Users, UserResult{
				ID: random.Int64N(3), Name: text(), Email: text(), UserIDs: [][]int64{nil, {}, {1}, {2, 0, -3}}[random.IntN(4)], Outcome: UserOutcome(text()), Error: text(),
			})
		}
		for range random.IntN(3) {
			r.Steps = append(r.Steps, Step{AtMS: random.Int64N(3) - 1, What: text(), RequestID: text(), Verdict: text(), TookMS: random.Int64N(3)})
		}
		for i := range random.IntN(4) {
			if r.Counts == nil {
				r.Counts, r.Labels = map[Outcome]int{}, map[string]string{}
			}
			r.Counts[Outcome("o"+strconv.Itoa(i))] = i
			r.Labels["l"+strconv.Itoa(i)+text()] = text()
		}
		want, wantErr := json.Marshal(r, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
		got, err := r.appendJSON(nil)
		if wantErr != nil {
			t.Fatal(wantErr) // labels are made so that no two become the same
		}
		if err != nil || string(got) != string(want) {
			t.Fatalf("%v\ngot  %s\nwant %s", err, got, want)
		}
	}
	for _, year := range []int{-1, 10_000} {
		r := Result{RequestedAt: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)}
		if _, err := r.appendJSON(nil); err == nil {
			t.Errorf("the year %d was written", year)
		}
	}
}

// The length of a text in JSON is known without writing it.
func TestQuotedLengthIsThatOfTheText(t *testing.T) {
	texts := []string{"", "plain", "ünïcode \U0001f600"}
	for c := range 128 {
		texts = append(texts, string(rune(c)), "a"+string(rune(c))+"b"+string(rune(c)))
	}
	for _, text := range texts {
		quoted, err := jsontext.AppendQuote(nil, text)
		if got := quotedLength(text); err != nil || got < len(quoted) || got > len(quoted)+len(`\u007f`)-1 && text != "" {
			t.Errorf("%q: %d, %s has %d (%v)", text, got, quoted, len(quoted), err)
		}
		if plain := len(text) + len(`""`); len(quoted) == plain && text != "\x7f" && quotedLength(text) != plain {
			t.Errorf("%q: %d, want %d", text, quotedLength(text), plain)
		}
	}
}
