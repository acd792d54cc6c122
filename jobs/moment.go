package jobs

import (
	"cmp"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// A moment is a time in any form that can be meant in one way only; zero where it cannot be read.
type moment struct {
	time    time.Time
	problem error
}

func (m *moment) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	if text := strings.TrimFunc(textOf(value), blank); text != "" {
		m.time, m.problem = readTime(text)
	}
	return nil
}

// The forms of times: RFC 3339 with some licence, and as in HTTP headers. Names of zones other than UTC's are
// several zones'.
var (
	zone     = `\s*(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?(?:\s+UTC)?$`
	isoTime  = regexp.MustCompile(`^(\d{4})-?(\d\d)-?(\d\d)[T ]+(\d\d):?(\d\d)(?::?(\d\d(?:[.,]\d{1,9})?))?` + zone)
	httpTime = regexp.MustCompile(`^(?:[A-Z]{3}, *)?(\d{1,2}) ([A-Z]{3}) (\d{4}) (\d\d):(\d\d)(?::(\d\d))?` + zone)
	epoch    = regexp.MustCompile(`^(?:/DATE\()?(\d+(?:\.\d+)?(?:E\d+)?)(?:\)/)?$`)
)

func readTime(text string) (time.Time, error) {
	upper := strings.ToUpper(text)
	if number := epoch.FindStringSubmatch(upper); number != nil {
		if t, ok := readEpoch(number[1]); ok {
			return t, nil
		}
	}
	m := isoTime.FindStringSubmatch(upper)
	if m == nil {
		if m = httpTime.FindStringSubmatch(upper); m != nil {
			m[1], m[2], m[3] = m[3], month(m[2]), ("0" + m[1])[len(m[1])-1:]
		}
	}
	if m != nil && m[7] == "" {
		return time.Time{}, refused("the time %s has no zone; with Z at its end it is in UTC", quote(text))
	}
	if m != nil {
		written := m[1] + "-" + m[2] + "-" + m[3] + "T" + m[4] + ":" + m[5] + ":" + strings.Replace(cmp.Or(m[6], "00"), ",", ".", 1) + offset(m[7])
		if t, err := time.Parse(time.RFC3339Nano, written); err == nil {
			return t, nil
		}
	}
	return time.Time{}, refused("the time %s cannot be read; 2026-11-23T12:00:00Z can", quote(text))
}

// month is the number of one, with two digits, or a name that is none.
func month(name string) string {
	if t, err := time.Parse("Jan", name); err == nil {
		return t.Format("01")
	}
	return name
}

// offset is a zone as RFC 3339 has it.
func offset(zone string) string {
	switch {
	case zone[0] != '+' && zone[0] != '-':
		return "Z"
	case len(zone) == len("+01"):
		return zone + ":00"
	case len(zone) == len("+0100"):
		return zone[:3] + ":" + zone[3:]
	}
	return zone
}

// readEpoch reads seconds since 1970, or their thousandths, millionths and so on: whichever makes a time
// between 2001 and 2103.
func readEpoch(number string) (time.Time, bool) {
	count, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return time.Time{}, false
	}
	for range 4 {
		if count >= 1e9 && count < 4.2e9 {
			whole, fraction := math.Modf(count)
			return time.Unix(int64(whole), int64(fraction*1e9)).Round(time.Microsecond).UTC(), true
		}
		count /= 1000
	}
	return time.Time{}, false
}
