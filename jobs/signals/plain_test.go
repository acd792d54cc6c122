package signals

import "testing"

// What a header says to be something else is not read as a plain job.
func TestHeaderSaysWhatIsNoPlainJob(t *testing.T) {
	body := []byte(`{"sessions":["EMCAE92D1DD-0C68-49A6-BEBB-404D96D7A4BF"]}`)
	for name, value := range map[string]string{
		"CE-SpecVersion": "1.0", "content-type": "application/secevent+jwt", "Content-Type": "application/cloudevents+json",
	} {
		if a := (Reader{}).Message(map[string][]string{name: {value}}, body); a.Verdict != Invalid {
			t.Errorf("%s %s: %+v", name, value, a)
		}
	}
}
