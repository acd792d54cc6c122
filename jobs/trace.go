package jobs

import "strings"

// A Trace is the trace context of a job, as its publisher gave it in the header traceparent: a header of W3C Trace
// Context, version 00. It is empty where there is none.
type Trace string

// ParseTrace reads a header traceparent. One that is wrong is as none, as the recommendation says; one of a later
// version is taken for what of it is known (https://www.w3.org/TR/trace-context/#versioning-of-traceparent).
func ParseTrace(header string) Trace {
	const length = len("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
	if len(header) < length || header[2] != '-' || header[35] != '-' || header[52] != '-' {
		return ""
	}
	version, trace, parent, flags := header[:2], header[3:35], header[36:52], header[53:length]
	for _, part := range []string{version, trace, parent, flags} {
		if strings.Trim(part, "0123456789abcdef") != "" {
			return ""
		}
	}
	rest := header[length:]
	switch {
	case strings.Trim(trace, "0") == "", strings.Trim(parent, "0") == "", version == "ff":
		return ""
	case version == "00" && rest != "", rest != "" && rest[0] != '-':
		return ""
	}
	return Trace("00-" + trace + "-" + parent + "-" + flags)
}

// ID names the trace, in 32 hexadecimal digits; it is empty where there is none.
func (t Trace) ID() string {
	if t == "" {
		return ""
	}
	return string(t[3:35])
}
