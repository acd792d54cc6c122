package worker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"logoffworker/jobs/signals"
	"logoffworker/metrics"
)

// A signed message whose key is not known waits: its issuer may have begun to sign with a new key, or its key set cannot
// be read now. It waits in the stream: it is handed back, and comes again after a while, to whichever worker. It becomes
// invalid only once it has waited for an hour, and its issuer's key set, read after it was stored, does not hold the key.
const (
	keysPatience = time.Hour
	// keysAway is for how long a message is handed back at most, and firstAway for how long at first.
	keysAway, firstAway = 30 * time.Second, 2 * time.Second
	// keysLate is after how long without an answer a key set is said to be out of reach. It is asked for every 30 seconds.
	keysLate = 2 * time.Minute
	// mostAway is how many messages of a lane wait for keys. Beyond it a message is invalid as soon as a key set, read
	// after it was stored, does not hold the key: JetStream gives out only so many messages that nobody acknowledges.
	mostAway = 1000
)

// kindKeys is the kind of condition in which messages wait for keys.
const kindKeys = "keys"

// A keyWait is what a message waits for.
type keyWait struct {
	issuer string
	why    string
	read   time.Time // when the key set that does not hold the key was read; zero if it was not, or that is not known yet
}

// An away is a message that this worker handed back for want of a key.
type away struct {
	issuer string
	last   time.Time
}

// keyless reports whether a message waits for a key.
func (d *delivery) keyless() bool { return d.keys != nil && !d.stored }

// withKeys returns the jobs that do not wait for keys, and hands the others back for a while.
func (l *lane) withKeys(ds []*delivery) (known []*delivery) {
	if !slices.ContainsFunc(ds, (*delivery).keyless) {
		if len(l.away) > 0 {
			l.forget(ds)
		}
		return ds
	}
	var waiting []*delivery
	for _, d := range ds {
		if d.keyless() && l.mayDespair(d) {
			l.readAgain(d)
		}
		if d.keyless() && !l.despairs(d) {
			waiting = append(waiting, d)
			l.away[d.key] = away{d.keys.issuer, time.Now()}
		} else {
			known = append(known, d)
		}
	}
	l.forget(known)
	l.sendAway(waiting)
	return known
}

// mayDespair reports whether a message might have waited for long enough.
func (l *lane) mayDespair(d *delivery) bool {
	return time.Since(d.requested) >= keysPatience || l.tooMany(d)
}

// tooMany reports whether so many others wait that a message is not waited for.
func (l *lane) tooMany(d *delivery) bool {
	others := len(l.away)
	if _, waits := l.away[d.key]; waits {
		others--
	}
	return others >= mostAway
}

// readAgain reads a message once more. Its issuer's key set is at least as new as it is said to be.
func (l *lane) readAgain(d *delivery) {
	read := l.w.Issuers.KeysReadAt(d.keys.issuer)
	if l.open(l.w.reader(), d); d.keys != nil {
		d.keys.read = read
	}
	l.w.leases.weigh(d)
}

// despairs gives a message up that has waited for long enough.
func (l *lane) despairs(d *delivery) bool {
	switch {
	case !d.keys.read.After(d.requested):
		return false
	case time.Since(d.requested) >= keysPatience:
		d.invalid = fmt.Sprintf("%s; it was waited for, and the key set was asked for again, for %v", d.keys.why, keysPatience)
	case l.tooMany(d):
		d.invalid = fmt.Sprintf("%s; more than %d messages wait for a key, so that this one does not", d.keys.why, mostAway)
	default:
		return false
	}
	d.keys = nil
	delete(l.away, d.key)
	return true
}

// sendAway hands messages back that wait for keys, the longer the more often they came.
func (l *lane) sendAway(ds []*delivery) {
	for _, d := range ds {
		l.w.Issuers.Want(d.keys.issuer)
		l.w.settler.sendAway(d, min(keysAway, firstAway<<min(d.deliveries-1, 10)))
	}
	if len(ds) > 0 {
		l.tellKeys()
	}
}

// forget takes those off the list of messages that wait for keys which do no longer, or went to other workers.
func (l *lane) forget(known []*delivery) {
	for _, d := range known {
		delete(l.away, d.key)
	}
	maps.DeleteFunc(l.away, func(_ string, a away) bool { return time.Since(a.last) > 2*keysAway })
	if len(l.away) == 0 {
		l.w.Health.End(string(l.name), kindKeys)
	}
}

// tellKeys tells whose keys are waited for.
func (l *lane) tellKeys() {
	waiting := map[string]int{}
	for _, a := range l.away {
		waiting[a.issuer]++
	}
	var words []string
	c := metrics.Condition{
		Part: string(l.name), Kind: kindKeys, Harmless: true, Quiet: 3 * keysAway,
		ByItself: "they are worked as soon as their key is in the key set, and are invalid an hour after they were stored if it is not",
	}
	for _, issuer := range slices.Sorted(maps.Keys(waiting)) {
		who := fmt.Sprintf("%d messages of %s wait", waiting[issuer], issuer)
		read := l.w.Issuers.KeysReadAt(issuer)
		if time.Since(read) < keysLate {
			words = append(words, who+" for a key that its key set does not hold")
			continue
		}
		since := "and never was"
		if !read.IsZero() {
			since = "since " + read.UTC().Format(time.RFC3339)
		}
		words = append(words, who+" for its key set, which cannot be read "+since)
		c.ByItself = "they wait until the key set is read; nothing is lost"
		c.ToDo, c.Command = "see to it that the key set's address or file in the issuers file can be read from here", metrics.CheckCommand
	}
	c.What = strings.Join(words, "; ")
	l.w.Health.Begin(c)
}

// reader reads messages by what is trusted now.
func (w *Worker) reader() signals.Reader {
	if w.Issuers == nil {
		return signals.Reader{Rules: w.rules, Now: time.Now()}
	}
	if file := w.Issuers.File(); w.issuersFile.Swap(file) != file {
		var names []string
		for _, issuer := range file.Policy.Issuers {
			names = append(names, issuer.Name)
		}
		for _, recipe := range file.Policy.Recipes {
			names = append(names, recipe.Name)
		}
		w.Metrics.Issuers(names)
	}
	return w.Issuers.Reader(w.rules, time.Now())
}
