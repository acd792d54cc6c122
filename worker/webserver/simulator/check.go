package simulator

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Check returns everything that is wrong with the settings, nil if nothing is.
func (s Settings) Check() error { return s.complete() }

// complete puts the defaults in and returns everything that is wrong.
func (s *Settings) complete() error {
	s.fill()
	badIDs := make(map[string]int, len(s.BadIDs))
	faults := s.negatives()
	for id, status := range s.BadIDs {
		badIDs[strings.ToUpper(id)] = status
		faults = append(faults, within("badIDs", status, 400, 599))
	}
	s.BadIDs = badIDs
	if s.Down != 0 && s.Down != DownReset {
		faults = append(faults, within("down", s.Down, 200, 599))
	}
	if s.LatencyTailRate > 1 {
		faults = append(faults, fmt.Errorf("latencyTailRate is %v, want 1 or less", s.LatencyTailRate))
	}
	return errors.Join(append(faults,
		oneOf("ended", s.Ended, Ended500, EndedError, EndedIgnore),
		oneOf("partial", s.Partial, PartialApply, PartialAtomic, PartialStop),
		oneOf("afterEffect", s.AfterEffect, AfterEffectAnswer, AfterEffectReset, AfterEffectHang, AfterEffect502, AfterEffect504),
		oneOf("emcSessions", s.EMCSessions, EMCSessionsEnd, EMCSessionsStay),
		oneOf("noPermission", s.NoPermission, NoPermission403, NoPermissionError, NoPermissionEmpty),
		oneOf("unauthorizedBody", s.UnauthorizedBody, UnauthorizedRotate, UnauthorizedEmpty, UnauthorizedText, UnauthorizedJSON, UnauthorizedHTML),
		oneOf("sessionPath", s.SessionPath, SessionPathBoth, SessionPathSingular, SessionPathPlural),
		oneOf("pathBackslash", s.PathBackslash, PathBackslashAccepted, PathBackslash400, PathBackslashSlash),
		oneOf("userNames", s.UserNames, UserNamesMixed, UserNamesLogin, UserNamesLower, UserNamesDisplay),
		oneOf("caching", s.Caching, CachingNone, CachingObedient, CachingAge, CachingSilent),
		oneOf("renewal", s.Renewal, Renewal200, RenewalMangled, RenewalExpiresIn, Renewal403, Renewal404, Renewal450, Renewal500, RenewalLost),
		oneOf("renewalHeader", s.RenewalHeader, RenewalHeaderAccepted, RenewalHeaderRefused, RenewalHeaderNeeded),
		oneOf("limitHint", s.LimitHint, LimitHintNone, LimitHintSeconds, LimitHintDate, LimitHintXRateLimit),
		oneOf("documentLimitStatus", s.DocumentLimitStatus, 400, 404, 413),
	)...)
}

// negatives are the numbers that are below zero, or no numbers.
func (s *Settings) negatives() (faults []error) {
	numbers := map[string]float64{
		"rateLimit": s.RateLimit, "rateBurst": float64(s.RateBurst), "writesPerHour": float64(s.WritesPerHour), "readsPerHour": float64(s.ReadsPerHour),
		"latencyFixed": float64(s.LatencyFixed), "latencyPerSession": float64(s.LatencyPerSession), "concurrency": float64(s.Concurrency),
		"documentLimit": float64(s.DocumentLimit), "sessionTimeout": float64(s.SessionTimeout), "lockoutAfter": float64(s.LockoutAfter),
		"lockoutWithin": float64(s.LockoutWithin), "lockoutFor": float64(s.LockoutFor), "accessTokenLife": float64(s.AccessTokenLife),
		"accessTokenGrace": float64(s.AccessTokenGrace), "listLimit": float64(s.ListLimit), "userListLimit": float64(s.UserListLimit), "effectDelay": float64(s.EffectDelay), "latencyTail": float64(s.LatencyTail), "latencyTailRate": s.LatencyTailRate, "renewalDelay": float64(s.RenewalDelay), "journalLimit": float64(s.JournalLimit),
		"hiddenCompany": float64(s.HiddenCompany), "unlistedUser": float64(s.UnlistedUser), "cacheLife": float64(s.CacheLife),
	}
	for _, name := range slices.Sorted(maps.Keys(numbers)) {
		if !(numbers[name] >= 0) {
			faults = append(faults, fmt.Errorf("%s is %v, want 0 or more", name, numbers[name]))
		}
	}
	return faults
}

func (s *Settings) fill() {
	defaultTo(&s.Ended, Ended500)
	defaultTo(&s.Partial, PartialApply)
	defaultTo(&s.AfterEffect, AfterEffectAnswer)
	defaultTo(&s.EMCSessions, EMCSessionsEnd)
	defaultTo(&s.NoPermission, NoPermission403)
	defaultTo(&s.UnauthorizedBody, UnauthorizedRotate)
	defaultTo(&s.SessionPath, SessionPathBoth)
	defaultTo(&s.PathBackslash, PathBackslashAccepted)
	defaultTo(&s.UserNames, UserNamesMixed)
	defaultTo(&s.Caching, CachingNone)
	defaultTo(&s.CacheLife, 5*time.Minute)
	defaultTo(&s.LimitHint, LimitHintNone)
	defaultTo(&s.DocumentLimitStatus, 400)
	defaultTo(&s.SessionTimeout, 30*time.Minute)
	defaultTo(&s.LockoutWithin, time.Hour)
	defaultTo(&s.LockoutFor, 24*time.Hour)
	defaultTo(&s.AccessTokenLife, 30*time.Minute)
	defaultTo(&s.AccessTokenGrace, 14*24*time.Hour)
	defaultTo(&s.Renewal, Renewal200)
	defaultTo(&s.RenewalHeader, RenewalHeaderAccepted)
	defaultTo(&s.ListLimit, 50)
	defaultTo(&s.JournalLimit, 100_000)
}

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func oneOf[T comparable](name string, value T, allowed ...T) error {
	if !slices.Contains(allowed, value) {
		return fmt.Errorf("%s is %v, want one of %v", name, value, allowed)
	}
	return nil
}

func within(name string, value, low, high int) error {
	if value < low || value > high {
		return fmt.Errorf("%s has the status %d, want %d to %d", name, value, low, high)
	}
	return nil
}
