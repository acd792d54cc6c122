package main

import (
	"strings"
	"testing"
	"time"
)

// The page has the help as it is, with what roff would take for its own made visible.
func TestPageShowsTheHelp(t *testing.T) {
	help := "logoff-worker ends sessions.\n\nUsage:\n  logoff-worker [run]    work\n\nSettings come from the environment:\n\n  LOGOFF_X  ./data  a\\b\n.dot\n'quote\n"
	got := page("v1.2.3", time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC), []byte(help))
	for _, want := range []string{
		".TH LOGOFF\\-WORKER 1 \"2026-11-28\" \"logoff\\-worker v1.2.3\"", ".SH NAME\nlogoff\\-worker \\- ends sessions\n",
		".SH SYNOPSIS\n.nf\n  logoff\\-worker [run]    work\n.fi\n", ".SH ENVIRONMENT\n.nf\n  LOGOFF_X  ./data  a\\eb\n\\&.dot\n\\&'quote\n.fi\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

// What the program really says has every part that the page is cut from.
func TestHelpHasWhatThePageIsCutFrom(t *testing.T) {
	t.Chdir("..")
	var out strings.Builder
	if err := run(t.Context(), []string{"logoff-worker", "v1", "2026-11-28T00:00:00Z"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ends Commvault sessions", "logoff\\-worker check", "LOGOFF_NATS_URL", "LOGOFF_WEBSERVER_URL"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	for _, args := range [][]string{nil, {"v1"}, {"logoff-worker", "v1", "yesterday"}, {"demo", "v1", "2026-11-28T00:00:00Z"}} {
		if err := run(t.Context(), args, &out); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}

// The tool's page has each verb with its flags and examples.
func TestToolPageHasEveryVerb(t *testing.T) {
	t.Chdir("..")
	var out strings.Builder
	if err := run(t.Context(), []string{"logoffctl", "v1", "2026-11-28T00:00:00Z"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		".TH LOGOFFCTL 1 \"2026-11-28\" \"logoffctl v1\"", "Exit codes: 0", ".SH \"logoffctl submit\"\n", "\\-\\-column", "logoffctl doctor \\-\\-json",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "Global Flags") || strings.Contains(out.String(), ".SH \"logoffctl help\"") {
		t.Error("each verb repeats the flags of all")
	}
}
