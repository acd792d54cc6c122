package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"logoffworker/metrics/statuspage"
	"logoffworker/worker/fleet"
	"logoffworker/worker/stream"
)

// A replica is what a worker says of itself.
type replica struct {
	Worker   string               `json:"worker"`
	Version  string               `json:"version"`
	Headline string               `json:"headline"`
	Settings []statuspage.Setting `json:"settings"`
	statuspage.Report

	ahead time.Duration // its clock, of ours
}

const (
	// answerAge is how old the answer of a worker may be, which makes one a second at most.
	answerAge = time.Second
	// renewalNotice is how long before a person has to make a new token the doctor says so.
	renewalNotice = 14 * 24 * time.Hour
	// webClockOff is how far the Web Server's clock may be off.
	webClockOff = 30 * time.Second
)

// workers asks the workers, and tells what is wrong with them.
func (d *doctor) workers(ctx context.Context) {
	asked := time.Now()
	answers, err := fleet.Ask(ctx, d.nc, d.subjects)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		d.tell(diagnosis{
			Level: levelFail, Area: "workers", What: "none answers: none runs, or none may hear the question (subscribe " + d.subjects.Prefix + ".fleet.status)",
			ToDo: "where a worker is installed", Mend: "systemctl enable --now logoff-worker",
		})
		return
	case err != nil || len(answers) == 0:
		d.unseen("workers", "the workers", d.subjects.Prefix+".fleet.status", cmp.Or(err, errors.New("none answers in time")))
		return
	}
	all := replicas(answers, asked)
	if len(all) == 0 {
		d.unseen("workers", "what the workers say", d.subjects.Prefix+".fleet.status", errors.New("it is not what a worker says"))
		return
	}
	d.alike(all)
	d.approval(all)
	d.clocks(all)
	d.troubles(all)
	d.webServer(all)
	d.token(all)
}

// replicas reads what workers say who were asked at a time, in the order of their names.
func replicas(answers [][]byte, asked time.Time) (all []replica) {
	heard := time.Now()
	for _, data := range answers {
		var one replica
		if json.Unmarshal(data, &one) != nil || one.Worker == "" {
			continue
		}
		switch { // it answered at some time between
		case one.Now.IsZero():
		case one.Now.After(heard):
			one.ahead = one.Now.Sub(heard)
		case one.Now.Before(asked.Add(-answerAge)):
			one.ahead = one.Now.Sub(asked)
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b replica) int { return cmp.Compare(a.Worker, b.Worker) })
	return all
}

// alike tells whether all workers have the same version and settings.
func (d *doctor) alike(all []replica) {
	versions := by(all, func(r replica) string { return r.Version })
	same := len(versions) == 1
	if !same {
		most := commonest(versions)
		for version, names := range others(versions, most) {
			d.tell(diagnosis{
				Level: levelWarn, Area: "workers", What: fmt.Sprintf("%s has version %s, and %s %s", listed(names), version, listed(versions[most]), most),
				ToDo: "on " + listed(names) + "; in Kubernetes: helm upgrade with image.tag=" + most, Mend: "apt-get install logoff-worker=" + strings.TrimPrefix(most, "v"),
			})
		}
	}
	same = d.sameSettings(all) && same
	if same {
		d.ok("workers", "%s, all %s, same settings", count(len(all), "worker", "workers"), cmp.Or(all[0].Version, "of no version"))
	}
}

// sameSettings tells of each setting in which workers differ.
func (d *doctor) sameSettings(all []replica) bool {
	if len(by(all, func(r replica) string { return r.SettingsHash })) == 1 {
		return true
	}
	values := map[string]map[string][]string{} // setting, value, workers
	for _, r := range all {
		for _, s := range r.Settings {
			if s.OfEachWorker() {
				continue
			}
			if values[s.Name] == nil {
				values[s.Name] = map[string][]string{}
			}
			values[s.Name][s.Value] = append(values[s.Name][s.Value], r.Worker)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		most := commonest(values[name])
		for value, names := range others(values[name], most) {
			d.tell(diagnosis{
				Level: levelWarn, Area: "settings", What: fmt.Sprintf("%s is %s at %s, and %s at %s", name, orNothing(value), listed(names), orNothing(most), listed(values[name][most])),
				ToDo: "in the environment of " + listed(names) + ", and start it anew", Mend: name + "=" + most,
			})
		}
	}
	return false
}

func orNothing(value string) string { return cmp.Or(value, "not set") }

// clocks tells of workers whose clock is not that of NATS, or of this machine where NATS does not tell its.
func (d *doctor) clocks(all []replica) {
	off := false
	for _, r := range all {
		ahead := r.ahead - d.who.Ahead
		if r.Now.IsZero() || ahead.Abs() < clockOff {
			continue
		}
		off = true
		whose := "this machine's"
		if d.who.Known {
			whose = "that of NATS"
		}
		d.tell(diagnosis{
			Level: levelWarn, Area: "clocks", What: fmt.Sprintf("the clock of %s is %s %s: deadlines of jobs, and what results say of time, are wrong by that", r.Worker, apart(ahead), whose),
			ToDo: "on the machine of " + r.Worker, Mend: "timedatectl set-ntp true",
		})
	}
	if !off {
		d.ok("clocks", "those of the workers agree to %v", clockOff)
	}
}

// troubles tells what the workers say is wrong with them, each once.
func (d *doctor) troubles(all []replica) {
	type told struct {
		diagnosis
		names []string
	}
	var list []*told
	known := map[string]*told{}
	for _, r := range all {
		for _, trouble := range r.Trouble {
			if seenByDoctor(trouble) {
				continue
			}
			id := trouble.Part + "\x00" + trouble.Kind
			if known[id] == nil {
				one := &told{diagnosis: diagnosis{Level: levelFail, Area: areaOf(trouble.Part), What: trouble.What, ToDo: trouble.ToDo, Mend: trouble.Command}}
				if trouble.Remark {
					one.Level = levelWarn
				}
				known[id] = one
				list = append(list, one)
			}
			known[id].names = append(known[id].names, r.Worker)
		}
	}
	for _, one := range list {
		one.What = listed(one.names) + ": " + one.What
		d.tell(one.diagnosis)
	}
}

// seenByDoctor reports whether the doctor looks for itself at what troubles a worker: what JetStream has.
func seenByDoctor(t statuspage.Trouble) bool {
	if !slices.Contains([]string{stream.PartStreams, stream.PartUrgent, stream.PartBulk}, t.Part) {
		return false
	}
	kind, _, _ := strings.Cut(t.Kind, " ")
	return slices.Contains([]string{"edited", "missing", "paused", "full", "nearly", "account", "stranded", "unroutable", "audit", "unready"}, kind)
}

// areaOf is what a part of a worker is called here.
func areaOf(part string) string {
	if part == "webserver" {
		return "web server"
	}
	return part
}

// webServer tells when the Web Server last answered whom, and how its clock is.
func (d *doctor) webServer(all []replica) {
	latest := all[0]
	for _, r := range all {
		if r.WebServer.LastAnswer.After(latest.WebServer.LastAnswer) {
			latest = r
		}
		if ahead := r.WebServer.Ahead; ahead != nil {
			if off := time.Duration(*ahead * float64(time.Second)); off.Abs() > webClockOff {
				d.tell(diagnosis{
					Level: levelWarn, Area: "clocks", What: fmt.Sprintf("the Web Server's clock is %s that of %s", apart(off), r.Worker),
					ToDo: "on the machine of the Web Server, in PowerShell", Mend: "w32tm /resync",
				})
			}
		}
	}
	if at := latest.WebServer.LastAnswer; !at.IsZero() {
		d.ok("web server", "last answered %s %v ago", latest.Worker, max(0, latest.Now.Sub(at)).Round(time.Millisecond))
	}
}

// token tells how long the pair of tokens can be renewed.
func (d *doctor) token(all []replica) {
	for _, r := range all {
		if r.Token == nil {
			continue
		}
		one := diagnosis{Level: levelOK, Area: "token", What: "it is " + r.Token.State}
		if until := r.Token.RenewableUntil; !until.IsZero() {
			left := until.Sub(r.Now)
			one.What = fmt.Sprintf("%s; a person must renew it in %s", one.What, count(int(left.Hours()/24), "day", "days"))
			if left < renewalNotice {
				one.Level, one.ToDo = levelWarn, "make a new access token, and put it into the file that LOGOFF_WEBSERVER_PAIR_FILE names"
			}
		}
		d.tell(one)
		return
	}
}

// by groups the workers' names.
func by(all []replica, of func(replica) string) map[string][]string {
	groups := map[string][]string{}
	for _, r := range all {
		groups[of(r)] = append(groups[of(r)], r.Worker)
	}
	return groups
}

// commonest is what most workers have; of two that are as common, what the first worker has.
func commonest(groups map[string][]string) (most string) {
	for _, value := range slices.Sorted(maps.Keys(groups)) {
		a, b := groups[value], groups[most]
		if len(a) > len(b) || len(a) == len(b) && a[0] < b[0] {
			most = value
		}
	}
	return most
}

// others are the groups but one, in the order of their first workers.
func others(groups map[string][]string, but string) func(yield func(string, []string) bool) {
	return func(yield func(string, []string) bool) {
		for _, value := range slices.Sorted(maps.Keys(groups)) {
			if value != but && !yield(value, groups[value]) {
				return
			}
		}
	}
}

// listed are names as a person reads them.
func listed(names []string) string {
	const most = 4
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}
