package signals

import (
	"encoding/base64"
	"strings"
	"testing"

	"logoffworker/jobs"
)

const guid = "CF1C660B-396F-44B7-86DA-5608CEC97453"

func TestAMessageIsReadAsWhatItIs(t *testing.T) {
	b := newBench(t)
	set := string(b.sign(b.claims(nil), nil))
	job := `{"sessions":["` + guid + `"]}`
	document := `<Api_LogoffUsersRequest><sessions val="` + guid + `"/></Api_LogoffUsersRequest>`
	event := `{"specversion":"1.0","id":"1","source":"/s","type":"logoff.job.v1","data":` + job + `}`
	for _, c := range []struct {
		contentType, body string
		format            jobs.Format
		verdict           Verdict
	}{
		{"", job, jobs.JSON, Job},
		{"", "\ufeff " + job, jobs.JSON, Job},
		{"application/json", job, jobs.JSON, Job},
		{"text/plain", job, jobs.JSON, Job},
		{"application/x-www-form-urlencoded", job, jobs.JSON, Job},
		{"not a/type;;", job, jobs.JSON, Job},
		{"", document, jobs.XML, Job},
		{"text/plain", document, jobs.XML, Job},
		{"", guid, jobs.JSON, Invalid},
		{"text/plain", guid, jobs.Lines, Job},
		{"text/plain;charset", guid, jobs.Lines, Job},
		{"text/plain", "{", jobs.JSON, Invalid},
		{"text/plain", "{ }", jobs.JSON, Invalid},
		{"", `["specversion"]`, jobs.JSON, Invalid},
		{"", `{"a":"specversion","sessions":[`, jobs.JSON, Invalid},
		{"", `{"a":[1,"specversion`, jobs.JSON, Invalid},
		{"", `{"a" "specversion":`, jobs.JSON, Invalid},
		{"TEXT/PLAIN; charset=us-ascii", "{" + guid + "}", jobs.Lines, Job},
		{"", event, jobs.CloudEvent, Job},
		{"application/json", event, jobs.CloudEvent, Job},
		{"text/plain", event, jobs.CloudEvent, Job},
		{"application/cloudevents", event, jobs.CloudEvent, Job},
		{"application/cloudevents+json", job, jobs.CloudEvent, Invalid},
		{"application/cloudevents+xml", document, jobs.CloudEvent, Invalid},
		{"application/cloudevents-batch+json", "[]", jobs.CloudEvent, Invalid},
		{"", `{"a":{"specversion":"1.0"},"sessions":["` + guid + `"]}`, jobs.JSON, Invalid},
		{"", set, jobs.SET, Job},
		{"", " \n" + set, jobs.SET, Job},
		{"application/jwt", set, jobs.SET, Job},
		{"text/plain", set, jobs.SET, Job},
		{"Application/SecEvent+JWT; a=b", set, jobs.SET, Job},
		{"application/secevent+jwt", job, jobs.SET, Invalid},
		{"", "", jobs.JSON, Invalid},
		{"text/plain", "", jobs.Lines, Invalid},
	} {
		a := b.reader.Message(map[string][]string{"CONTENT-type": {c.contentType}}, []byte(c.body))
		if a.Format != c.format && a.Format != jobs.JSON || a.Verdict != c.verdict {
			t.Errorf("%s %s: %s %s %s", c.contentType, c.body, a.Format, a.Verdict, a.Why)
		}
		if a.Format != c.format {
			t.Errorf("%s %s: %s", c.contentType, c.body, a.Format)
		}
	}
}

func TestLinesAreSessions(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct{ body, want string }{
		{"\n\r\n " + guid + "\t\r\n\n" + guid + "\n", guid},
		{"\ufeff" + guid, guid},
		{"emc" + strings.ToLower(guid), "emc" + strings.ToLower(guid)},
		{"\n" + guid + ",x", "invalid: at line 2: \"" + guid + ",x\" is no session ID; a GUID is accepted, with or without EMC before it"},
		{"CORP\\jane", "invalid: at line 1: \"CORP\\\\jane\" is no session ID; a GUID is accepted, with or without EMC before it; lines are sessions, not people"},
		{guid + "\xff", "invalid: invalid UTF-8; lines of session IDs are expected"},
		{" \n\t", "invalid: the message has no line; a session ID a line is expected"},
	} {
		if got := named(b.reader.Message(map[string][]string{"content-type": {"text/plain"}}, []byte(c.body))); got != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.body, got, c.want)
		}
	}
	a := b.reader.Message(map[string][]string{"content-type": {"text/plain"}}, []byte(guid+"\njane@own.example\n"))
	if len(a.Job.Sessions) != 2 || !strings.Contains(a.Job.Sessions[1].Wrong(), "not people") {
		t.Errorf("one wrong line keeps others on: %+v", a)
	}
	many := strings.Repeat(guid+"\n", jobs.MaxSessions+1)
	expect(t, b.reader.Message(map[string][]string{"content-type": {"text/plain"}}, []byte(many)), Invalid, "more than 10000 sessions")
	if a := b.reader.Message(map[string][]string{"content-type": {"text/plain"}}, []byte(many)); strings.Contains(a.Why, "line") {
		t.Error(a.Why)
	}
}

func TestACloudEventHoldsAJob(t *testing.T) {
	b := newBench(t)
	set := string(b.sign(b.claims(nil), nil))
	encoded := base64.StdEncoding.EncodeToString([]byte(guid + "\n"))
	for _, c := range []struct{ event, want string }{
		{`"specversion":"1.0","data":{"sessions":["` + guid + `"]}`, guid},
		{`"specversion":"1.0","data":"{\"sessions\":[\"` + guid + `\"]}"`, guid},
		{`"specversion":"1.0","data":{"sessions":["` + guid + `"]},"data_base64":null,"time":"no time","subject":null,"x":{"y":1}`, guid},
		{`"specversion":"1.0","datacontenttype":"text/plain","data":"` + guid + `"`, guid},
		{`"specversion":"1.0","datacontenttype":"text/plain","data_base64":"` + encoded + `"`, guid},
		{`"specversion":"1.0","datacontenttype":"application/secevent+jwt","data":"` + set + `"`, "jane@own.example"},
		{`"specversion":"1.0","datacontenttype":"text/plain","data":"jane@own.example"`, `invalid: at /data: at line 1: "jane@own.example" is no session ID; a GUID is accepted, with or without EMC before it; lines are sessions, not people`},
		{`"specversion":"1.0","data":{"sessions":["x"]}`, `invalid: at /data/sessions/0: "x" is no session ID; a GUID is accepted, with or without EMC before it`},
		{`"specversion":"1.0","data":"{"`, "invalid: at /data, byte 2: the message ends too early"},
		{`"specversion":"1.0","data":5`, "invalid: at /data: a number found, an object expected"},
		{`"specversion":"1.0","data_base64":"!"`, "invalid: at /data_base64: no base64"},
		{`"specversion":"1.0","data_base64":5`, "invalid: at /data_base64: no base64"},
		{`"specversion":"1.0"`, "invalid: at /data: missing; the job is expected there"},
		{`"specversion":"0.3","data":{}`, `invalid: the CloudEvent's specversion is "0.3"; 1.0 is read`},
		{`"specversion":1.0,"data":{}`, `invalid: the CloudEvent's specversion is ""; 1.0 is read`},
		{`"specversion":"1.0","source":"/t","data":{}`, `invalid: the CloudEvent: the member "/source" is there twice`},
	} {
		body := `{"id":"1","source":"/s","type":"logoff.job.v1",` + c.event + "}"
		if got := named(b.reader.Message(map[string][]string{"Content-Type": {"application/cloudevents+json"}}, []byte(body))); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.event, got, c.want)
		}
	}
}

func TestABinaryCloudEventHasItsAttributesInHeaders(t *testing.T) {
	b := newBench(t)
	job := `{"sessions":["` + guid + `"]}`
	for _, c := range []struct {
		header map[string][]string
		body   string
		want   string
	}{
		{nil, job, guid},
		{map[string][]string{"CE-Type": {"logoff%2Ejob.v1"}}, job, guid},
		{map[string][]string{"ce-type": {"x%20%C3%A9"}}, job, `ignored: no recipe is for CloudEvents of the type "x é"`},
		{map[string][]string{"ce-source": {"%zz"}}, job, guid},
		{map[string][]string{"Content-Type": {"text/plain"}}, guid, guid},
		{map[string][]string{"Content-Type": {"application/json"}, "ce-datacontenttype": {"text/plain"}}, guid, guid},
		{map[string][]string{"ce-source": {""}}, job, "invalid: the CloudEvent has no source, which is required"},
		{map[string][]string{"ce-id": {"1", "1"}}, job, guid},
		{map[string][]string{"ce-id": {"1", "2"}}, job, `invalid: the header "ce-id" is there twice`},
		{map[string][]string{"Content-Type": {"application/cloudevents-batch+json"}}, "[]", "invalid: CloudEvents come one a message, as JSON (application/cloudevents+json) or with headers; no batches, no other form"},
		{map[string][]string{"Content-Type": {"application/cloudevents+json"}}, job, `invalid: the CloudEvent's specversion is ""; 1.0 is read`},
		{map[string][]string{"Data": {"x"}, "xce-id": {"2"}}, job, guid},
		{nil, "", "invalid: at /data: empty message; a job is a JSON object or an Api_LogoffUsersRequest document"},
	} {
		header := map[string][]string{"ce-id": {"1"}, "ce-source": {"/s"}, "ce-type": {"logoff.job.v1"}, "ce-specversion": {"1.0"}}
		for name, values := range c.header {
			for known := range header {
				if strings.EqualFold(known, name) {
					delete(header, known)
				}
			}
			header[name] = values
		}
		a := b.reader.Message(header, []byte(c.body))
		if got := named(a); got != c.want || a.Format != jobs.CloudEvent {
			t.Errorf("%v %s:\n got %s %s\nwant %s", c.header, c.body, a.Format, got, c.want)
		}
	}
	b.reader.Policy.Recipes = ShippedRecipes()
	header := map[string][]string{"ce-id": {"1"}, "ce-source": {"/s"}, "ce-type": {"user.deleted"}, "ce-specversion": {"1.0"}, "ce-time": {"2026-11-27T11:00:00Z"}}
	a := b.reader.Message(header, []byte(`{"object":{"email":"jane@own.example"}}`))
	if got := named(a); got != "jane@own.example" || a.Job.EventTime.Hour() != 11 || !a.Job.IncludeNewer || a.Job.ID != jobs.SignalID("auth0", "/s", "1") {
		t.Errorf("%s %+v", got, a)
	}
}
