package worker

import (
	"strings"
	"testing"
	"time"

	"logoffworker/jobs"
)

// Each bound of each setting, from both sides.
func TestSettingsAreBounded(t *testing.T) {
	valid := DefaultConfig()
	valid.Name = "w"
	for name, test := range map[string]struct {
		change func(*Config)
		wrong  string // the field, if any
	}{
		"the defaults":                 {func(*Config) {}, ""},
		"no name":                      {func(c *Config) { c.Name = "" }, "Name"},
		"two slots":                    {func(c *Config) { c.Slots = 2 }, ""},
		"one slot":                     {func(c *Config) { c.Slots = 1 }, "Slots"},
		"1000 slots":                   {func(c *Config) { c.Slots = 1000 }, ""},
		"1001 slots":                   {func(c *Config) { c.Slots = 1001 }, "Slots"},
		"no urgent slot":               {func(c *Config) { c.UrgentSlots = 0 }, "UrgentSlots"},
		"one slot for bulk":            {func(c *Config) { c.UrgentSlots = c.Slots - 1 }, ""},
		"no slot for bulk":             {func(c *Config) { c.UrgentSlots = c.Slots }, "UrgentSlots"},
		"one session":                  {func(c *Config) { c.BatchMaxSessions = 1 }, ""},
		"no session":                   {func(c *Config) { c.BatchMaxSessions = 0 }, "BatchMaxSessions"},
		"a job's worth of sessions":    {func(c *Config) { c.BatchMaxSessions = jobs.MaxSessions }, ""},
		"more sessions than a job":     {func(c *Config) { c.BatchMaxSessions = jobs.MaxSessions + 1 }, "BatchMaxSessions"},
		"small documents":              {func(c *Config) { c.BatchMaxBytes = minDocumentBytes }, ""},
		"documents that are too small": {func(c *Config) { c.BatchMaxBytes = minDocumentBytes - 1 }, "BatchMaxBytes"},
		"no linger":                    {func(c *Config) { c.BulkLinger = 0 }, ""},
		"a linger before now":          {func(c *Config) { c.BulkLinger = -1 }, "BulkLinger"},
		"a minute's linger":            {func(c *Config) { c.BulkLinger = time.Minute }, ""},
		"a longer linger":              {func(c *Config) { c.BulkLinger = time.Minute + 1 }, "BulkLinger"},
		"reads below 0":                {func(c *Config) { c.ReadsPerHour = -1 }, "ReadsPerHour"},
		"a read":                       {func(c *Config) { c.ReadsPerHour = 1 }, ""},
		"five writes":                  {func(c *Config) { c.WritesPerHour = 5 }, ""},
		"four writes":                  {func(c *Config) { c.WritesPerHour = 4 }, "WritesPerHour"},
		"requests below 0":             {func(c *Config) { c.RequestsPerSecond = -1 }, "RequestsPerSecond"},
		"no tolerance":                 {func(c *Config) { c.ClockTolerance = 0 }, ""},
		"a tolerance below 0":          {func(c *Config) { c.ClockTolerance = -1 }, "ClockTolerance"},
		"a day's tolerance":            {func(c *Config) { c.ClockTolerance = 24 * time.Hour }, ""},
		"a longer tolerance":           {func(c *Config) { c.ClockTolerance = 24*time.Hour + 1 }, "ClockTolerance"},
		"one try":                      {func(c *Config) { c.Tries = 1 }, ""},
		"no try":                       {func(c *Config) { c.Tries = 0 }, "Tries"},
		"the same backoff ever":        {func(c *Config) { c.Backoff.Max = c.Backoff.Min }, ""},
		"no backoff":                   {func(c *Config) { c.Backoff.Min = 0 }, "Backoff"},
		"a backoff that shrinks":       {func(c *Config) { c.Backoff.Max = c.Backoff.Min - 1 }, "Backoff"},
		"never alive":                  {func(c *Config) { c.KeepAlive = 0 }, "KeepAlive"},
		"no time to stop":              {func(c *Config) { c.ShutdownTimeout = 0 }, "ShutdownTimeout"},
	} {
		c := valid
		test.change(&c)
		err := c.Validate()
		switch {
		case test.wrong == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.wrong != "" && (err == nil || !strings.HasPrefix(err.Error(), test.wrong+": ") || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: %v, want one about %s", name, err, test.wrong)
		}
	}
	if err := new(Worker).Run(t.Context()); err == nil {
		t.Error("a worker without settings can be run")
	}
}

// The streams have what the settings need of them: counters for all that is counted by the hour, and what is held.
func TestStreamsHaveWhatTheSettingsNeed(t *testing.T) {
	for name, test := range map[string]struct {
		change               func(*Config)
		counts, holds, hours bool
	}{
		"no bounds":       {change: func(*Config) {}},
		"reads":           {change: func(c *Config) { c.ReadsPerHour = 1 }, counts: true},
		"writes":          {change: func(c *Config) { c.WritesPerHour = 5 }, counts: true},
		"large jobs":      {change: func(c *Config) { c.HoldAboveJob = 1 }, holds: true},
		"many in an hour": {change: func(c *Config) { c.HoldAboveHour = 1 }, counts: true, holds: true, hours: true},
		"requests":        {change: func(c *Config) { c.RequestsPerSecond = 1 }},
		"all of the jobs": {change: func(c *Config) { c.HoldAboveJob, c.HoldAboveHour = 1, 1 }, counts: true, holds: true, hours: true},
	} {
		c := DefaultConfig()
		test.change(&c)
		if s := c.Streams(); s.Counts != test.counts || s.Holds != test.holds || s.HoldsByHour != test.hours {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
