package signals

import (
	"errors"
	"math"
	"strconv"
	"time"
)

// clocks may differ by this much between an issuer and us.
const clocks = 5 * time.Minute

var errNoTime = errors.New("no time; seconds or milliseconds since 1970 are one")

// moment reads a number as seconds since 1970, or as milliseconds, whichever makes a time between 2001 and 2103.
func moment(value any) (time.Time, error) {
	number, ok := value.(float64)
	switch {
	case !ok:
		return time.Time{}, errNoTime
	case number >= 1e9 && number < 4.2e9:
		whole, fraction := math.Modf(number)
		return time.Unix(int64(whole), int64(fraction*1e9)).Round(time.Microsecond).UTC(), nil
	case number >= 1e12 && number < 4.2e12:
		return time.UnixMilli(int64(number)).UTC(), nil
	}
	return time.Time{}, errNoTime
}

// written reads a time that may be text as well.
func written(value any) (time.Time, error) {
	s, ok := value.(string)
	if !ok {
		return moment(value)
	}
	if number, err := strconv.ParseFloat(s, 64); err == nil {
		return moment(number)
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, errors.New("no time; 2026-11-23T12:00:00Z is one")
	}
	return t.UTC(), nil
}

// happened is when an event did: its own event_timestamp, else the token's toe, else its iat, and never later than that.
func happened(event map[string]any, claims map[string]any) (time.Time, error) {
	made, err := moment(claims["iat"])
	if err != nil {
		return time.Time{}, invalid(InvalidRequest, "iat is %v", err)
	}
	name, value := "event_timestamp", event["event_timestamp"]
	if value == nil {
		name, value = "toe", claims["toe"]
	}
	if value == nil {
		return made, nil
	}
	at, err := moment(value)
	if err != nil {
		return time.Time{}, invalid(InvalidRequest, "%s is %v", name, err)
	}
	if at.After(made) {
		return made, nil
	}
	return at, nil
}
