package main

import (
	"fmt"
	"slices"
	"strings"

	"logoffworker/jobs"
	"logoffworker/metrics/statuspage"
)

// A use is what somebody does with the tool, and the rights that it takes: one of each row.
type use struct {
	name  string
	takes [][]string
}

// uses are what the tool can be used for.
func (s *site) uses(who identity) []use {
	api := func(call string) string { return s.api(call) }
	n := s.subjects
	requests, results, dead, audit := n.RequestStream(), n.ResultStream(), n.DeadStream(), n.AuditStream()
	mine := func(subject func(string) string) string {
		name := who.name(subject)
		if name == "" {
			name = "*"
		}
		return subject(name)
	}
	var stores, approves []string
	for _, lane := range jobs.Lanes {
		lane := lane
		stores = append(stores, mine(func(name string) string { return n.Request(lane, name) }), n.Request(lane, ""))
		approves = append(approves, mine(func(name string) string { return n.Approved(lane, name) }))
	}
	act := func(verb jobs.Verb) []string {
		return []string{mine(func(name string) string { return n.Act(verb, name) })}
	}
	laneAct := []string{mine(func(name string) string { return n.LaneAct(jobs.Bulk, name) })}
	reads := func(stream string) [][]string {
		return [][]string{{api("STREAM.INFO." + stream)}, {api("DIRECT.GET." + stream), api("STREAM.MSG.GET." + stream)}}
	}
	readsDead := [][]string{{api("STREAM.INFO." + dead)}, {api("STREAM.MSG.GET." + dead), api("DIRECT.GET." + dead)}}
	drops := []string{api("STREAM.MSG.DELETE." + dead)}
	pauses := []string{api("CONSUMER.PAUSE." + requests + "." + string(jobs.Bulk))}
	return []use{
		{"submit", [][]string{stores}},
		{"submit --wait, watch, show, find", reads(results)},
		{"status", [][]string{{n.Prefix + ".fleet.status"}, {api("STREAM.INFO." + requests)}, {api("CONSUMER.INFO." + requests + ".*")}}},
		{"dead ls", readsDead},
		{"dead replay", slices.Concat(readsDead, [][]string{stores, drops, act(jobs.ActReplay)})},
		{"dead drop", slices.Concat(readsDead, [][]string{drops, act(jobs.ActDrop)})},
		{"approve", slices.Concat(readsDead, [][]string{approves, act(jobs.ActApprove)})},
		{"deny", slices.Concat(readsDead, [][]string{drops, act(jobs.ActDeny)})},
		{"pause, resume", [][]string{pauses, laneAct}},
		{"audit", slices.Concat(reads(audit), reads(results))},
	}
}

// rights tells what this user may use the tool for, and which right is missing for the rest.
func (d *doctor) rights() {
	if !d.who.Known {
		d.tell(diagnosis{Level: levelNote, Area: "rights", What: "NATS does not say what this user may do ($SYS.REQ.USER.INFO): it has no account for its system, or the right to ask is missing"})
		return
	}
	var may, mayNot []string
	for _, u := range d.uses(d.who) {
		missing := ""
		for _, row := range u.takes {
			if !slices.ContainsFunc(row, d.who.May) {
				missing = row[0]
				break
			}
		}
		if missing == "" {
			may = append(may, u.name)
		} else {
			mayNot = append(mayNot, u.name+" (publish "+missing+")")
		}
	}
	words := strings.Join(may, ", ")
	if len(may) == 0 {
		words = "nothing"
	}
	if len(mayNot) > 0 {
		words += "; not " + strings.Join(mayNot, ", ")
	}
	d.ok("rights", "%s", words)
}

// approval tells whether who holds jobs back is protected from those who publish them: not where this user, or anybody,
// may publish a job and approve it as well.
func (d *doctor) approval(all []replica) {
	holds := func(s statuspage.Setting) bool {
		return strings.HasPrefix(s.Name, "LOGOFF_HOLD_ABOVE_") && s.Value != "0"
	}
	if !slices.ContainsFunc(all, func(r replica) bool { return slices.ContainsFunc(r.Settings, holds) }) {
		return
	}
	one := diagnosis{Level: levelWarn, Area: "approval", ToDo: "give each role a user with rights of its own, as deploy/nats/accounts.conf does"}
	switch job, approval := d.who.SelfApproval(d.subjects); {
	case job == "":
		return
	case !d.nc.AuthRequired():
		one.What = "NATS lets in who names no user, so that whoever publishes a job that is held can approve it under another name"
	case d.who.Known:
		one.What = fmt.Sprintf("you may approve your own jobs under another name: what was published on %s, on %s", job, approval)
	default:
		return
	}
	d.tell(one)
}
