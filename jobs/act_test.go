package jobs

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestActComesBackAsItWas(t *testing.T) {
	at := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	for _, a := range []Act{
		{Version: 1, Verb: ActPause, Who: "jane", Why: "maintenance, CHG-4471", At: at, Lane: Bulk, Until: at.Add(time.Hour)},
		{Version: 1, Verb: ActDrop, Who: "jane", At: at, Jobs: []string{"88102-1795786323022"}},
	} {
		data, err := a.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeAct(data)
		if diff := cmp.Diff(a, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", data, err, diff)
		}
	}
}

func TestActOfAnotherVersionIsRead(t *testing.T) {
	got, err := DecodeAct([]byte(`{"version":2,"verb":"resume","who":"jane","ticket":"CHG-1","lane":"bulk"}`))
	if err != nil || got.Verb != ActResume || got.Lane != Bulk {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWrongActIsRefusedInWords(t *testing.T) {
	for data, words := range map[string]string{`{"verb":"stop"}`: "stop", `{}`: "verb", `no`: "decode the record of an act"} {
		if _, err := DecodeAct([]byte(data)); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", data, err)
		}
	}
}
