package statuspage

import (
	"time"

	"logoffworker/metrics"
)

// A Report is the part of a worker's status that is for whoever looks for what is wrong.
type Report struct {
	// Now is the worker's clock when it answered.
	Now time.Time `json:"now"`
	// SettingsHash is shared by workers that are set to the same.
	SettingsHash string    `json:"settingsHash"`
	Trouble      []Trouble `json:"trouble"`
	WebServer    WebServer `json:"webServer"`
	// Token is the pair of tokens that the workers renew; nil where there is none.
	Token *Token `json:"token,omitempty"`
}

// A Trouble is a condition of a part of the worker. One that is grave is not mended by waiting, and a remark keeps
// nobody from working.
type Trouble struct {
	Part string `json:"part"`
	Kind string `json:"kind"`
	What string `json:"what"`
	// ByItself is what happens if nobody does anything.
	ByItself string    `json:"byItself,omitempty"`
	ToDo     string    `json:"toDo,omitempty"`
	Command  string    `json:"command,omitempty"`
	Since    time.Time `json:"since"`
	Grave    bool      `json:"grave,omitempty"`
	Remark   bool      `json:"remark,omitempty"`
}

// WebServer is what a worker knows of the Web Server.
type WebServer struct {
	Address    string    `json:"address"`
	LastAnswer time.Time `json:"lastAnswer,omitzero"`
	// Ahead is how far its clock is ahead of the worker's, in seconds; nil while that is not known.
	Ahead *float64 `json:"aheadSeconds,omitempty"`
}

// Token is how a pair of tokens is.
type Token struct {
	State          string    `json:"state"`
	Expires        time.Time `json:"expires,omitzero"`
	RenewableUntil time.Time `json:"renewableUntil,omitzero"`
}

// report is that of this worker.
func (p *Page) report(now reading) Report {
	r := Report{Now: time.Now().UTC(), WebServer: WebServer{Address: p.config.WebServer, LastAnswer: p.config.Metrics.LastAnswer().UTC()}}
	for hash := range now.numbers.by("logoff_settings_info", "hash") {
		r.SettingsHash = hash
	}
	for _, part := range now.verdict.Parts {
		for _, c := range part.Conditions {
			r.Trouble = append(r.Trouble, troubleOf(c))
		}
	}
	if ahead, known := now.numbers.sum("logoff_webserver_clock_difference_seconds"); known {
		r.WebServer.Ahead = &ahead
	}
	for state := range now.numbers.by("logoff_token_state", "state") {
		r.Token = &Token{State: state, Expires: now.time("logoff_token_expiry_timestamp_seconds"), RenewableUntil: now.time("logoff_token_renewable_until_timestamp_seconds")}
	}
	return r
}

func troubleOf(c metrics.Condition) Trouble {
	return Trouble{
		Part: c.Part, Kind: c.Kind, What: shortened(c.What, 500), ByItself: c.ByItself, ToDo: c.ToDo, Command: c.Command,
		Since: c.Since.UTC(), Grave: c.Grave, Remark: c.Harmless,
	}
}

// time is a metric that is a time; zero where it is not known.
func (r reading) time(name string) time.Time {
	if at, known := r.numbers.sum(name); known {
		return time.Unix(int64(at), 0).UTC()
	}
	return time.Time{}
}
