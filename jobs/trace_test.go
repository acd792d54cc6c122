package jobs

import "testing"

// The cases are those of W3C Trace Context, level 1.
func TestTraceIsReadAsTheRecommendationSays(t *testing.T) {
	const (
		id   = "4bf92f3577b34da6a3ce929d0e0e4736"
		good = "00-" + id + "-00f067aa0ba902b7-01"
	)
	for header, want := range map[string]Trace{
		good:                                good,
		"00-" + id + "-00f067aa0ba902b7-00": "00-" + id + "-00f067aa0ba902b7-00",
		"cc-" + id + "-00f067aa0ba902b7-01": good,
		"cc-" + id + "-00f067aa0ba902b7-01-what-comes-later":      good,
		"cc-" + id + "-00f067aa0ba902b7-01.what-comes-later":      "",
		"00-" + id + "-00f067aa0ba902b7-01-more":                  "",
		"ff-" + id + "-00f067aa0ba902b7-01":                       "",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": "",
		"00-" + id + "-0000000000000000-01":                       "",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01": "",
		"00-" + id + "-00f067aa0ba902b7-0x":                       "",
		"0x-" + id + "-00f067aa0ba902b7-01":                       "",
		"00-" + id + "-00f067aa0ba9 2b7-01":                       "",
		"00_" + id + "-00f067aa0ba902b7-01":                       "",
		"00-" + id + "_00f067aa0ba902b7-01":                       "",
		"00-" + id + "-00f067aa0ba902b7_01":                       "",
		"00-" + id + "-00f067aa0ba902b7-1":                        "",
		"":                                                        "",
	} {
		got := ParseTrace(header)
		if got != want {
			t.Errorf("%q is %q, want %q", header, got, want)
		}
		if named := got.ID(); (named == id) != (got != "") {
			t.Errorf("%q is of the trace %q", header, named)
		}
	}
}
