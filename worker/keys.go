package worker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"logoffworker/jobs/signals"
	"logoffworker/metrics"
	"logoffworker/worker/gate"
)

// A signed message whose key is not known yet waits: an issuer may have begun to sign with a new key, or its key set
// cannot be read now. What waits is read again every second, and becomes invalid only once it has waited for an hour and
// its issuer's key set, read after it came, does not hold the key.
const (
	keysPatience = time.Hour
	keysInterval = time.Second
	// keysLate is how long after a message came its issuer's key set is usually read again.
	keysLate = time.Minute
	// mostKeyless is how many bytes of messages wait for keys in a lane. Beyond them, those wait in the stream, for
	// keysAway at a time, of which nobody can say yet that their key is in no key set; the others are invalid then.
	mostKeyless = 4 << 20
	keysAway    = 30 * time.Second
)

// kindKeys is the kind of condition in which messages wait for keys.
const kindKeys = "keys"

// A keyWait is what a message waits for.
type keyWait struct {
	issuer string
	why    string
	read   time.Time // when the key set that does not hold the key was read; zero if it was not, or that is not known yet
}

// keysReadSince reports whether the issuer's key set was read after a message came, and does not hold the key.
func (d *delivery) keysReadSince() bool { return d.keys.read.After(d.requested) }

// keyless reports whether a message waits for keys.
func (d *delivery) keyless() bool { return d.keys != nil && !d.stored }

// withKeys returns the jobs that do not wait for keys, and has the others wait. They take no room from others.
func (l *lane) withKeys(ds []*delivery) (known []*delivery) {
	if !slices.ContainsFunc(ds, (*delivery).keyless) {
		return ds
	}
	var waiting, away []*delivery
	for _, d := range ds {
		full := l.keyless.size.Load() > mostKeyless
		if d.keyless() && (full || time.Since(d.requested) >= keysPatience) {
			l.readAgain(d) // to know how old the key set is
			l.w.leases.weigh(d)
		}
		switch {
		case !d.keyless() || l.despairs(d):
			known = append(known, d)
		case !full:
			l.keyless.size.Add(int64(len(d.msg.Data)))
			waiting = append(waiting, d)
		case d.keysReadSince():
			d.giveUpKeys("; so many messages wait for keys that this one does not")
			known = append(known, d)
		default:
			away = append(away, d)
		}
	}
	l.wantKeys(waiting)
	l.wantKeys(away)
	l.w.settler.sendAway(away, keysAway)
	l.w.leases.park(waiting)
	l.keyless.add(waiting, func() { l.w.readBacks.Go(l.awaitKeys) })
	return known
}

// readAgain reads a message once more. Its issuer's key set is at least as new as it is said to be.
func (l *lane) readAgain(d *delivery) {
	read := l.w.Issuers.KeysReadAt(d.keys.issuer)
	if l.open(l.w.reader(), d); d.keys != nil {
		d.keys.read = read
	}
}

// despairs gives a message up that has waited long enough.
func (l *lane) despairs(d *delivery) bool {
	if time.Since(d.requested) < keysPatience || !d.keysReadSince() {
		return false
	}
	d.giveUpKeys("; it was waited for, and the issuer's key set was asked for again, for " + keysPatience.String())
	return true
}

func (d *delivery) giveUpKeys(words string) {
	d.invalid, d.keys = d.keys.why+words, nil
}

// awaitKeys reads messages again until none waits, and works what they turn out to be. At a stop they are handed back.
func (l *lane) awaitKeys() {
	for gate.Pause(l.w.stopping, keysInterval) {
		known, waiting := l.readAllAgain(l.keyless.take())
		l.beginRead(known)
		l.tellKeys(waiting)
		if !l.keyless.restore(waiting, func() { l.w.Health.End(string(l.name), kindKeys) }) {
			return
		}
	}
	l.handBack(&l.keyless.waitlist)
}

// readAllAgain reads messages once more, and returns those that wait no longer, and the others.
func (l *lane) readAllAgain(ds []*delivery) (known, waiting []*delivery) {
	for _, d := range ds {
		if l.readAgain(d); d.keys != nil && !l.despairs(d) {
			waiting = append(waiting, d)
			continue
		}
		l.keyless.size.Add(-int64(len(d.msg.Data)))
		known = append(known, d)
	}
	l.wantKeys(waiting)
	return known, waiting
}

// beginRead begins what was read late.
func (l *lane) beginRead(ds []*delivery) {
	l.w.leases.takeUp(ds)
	l.lookUpRepeats(ds)
	l.beginJudged(l.guarded(ds))
}

func (l *lane) wantKeys(waiting []*delivery) {
	for issuer := range byIssuer(waiting) {
		l.w.Issuers.Want(issuer)
	}
}

func byIssuer(waiting []*delivery) map[string][]*delivery {
	all := map[string][]*delivery{}
	for _, d := range waiting {
		all[d.keys.issuer] = append(all[d.keys.issuer], d)
	}
	return all
}

// tellKeys tells whose keys are waited for.
func (l *lane) tellKeys(waiting []*delivery) {
	var words []string
	unread := false
	of := byIssuer(waiting)
	for _, issuer := range slices.Sorted(maps.Keys(of)) {
		n, read := len(of[issuer]), l.w.Issuers.KeysReadAt(issuer)
		late := func(d *delivery) bool { return !d.keysReadSince() && time.Since(d.requested) > keysLate }
		switch {
		case read.IsZero():
			unread = true
			words = append(words, fmt.Sprintf("%d messages of %s wait, because its keys cannot be read", n, issuer))
		case slices.ContainsFunc(of[issuer], late):
			unread = true
			words = append(words, fmt.Sprintf("%d messages of %s wait for a key that is not known, and its key set has not been read since %s", n, issuer, read.UTC().Format(time.RFC3339)))
		default:
			words = append(words, fmt.Sprintf("%d messages of %s wait for a key that its key set does not hold", n, issuer))
		}
	}
	if len(words) == 0 {
		return
	}
	c := metrics.Condition{
		Part: string(l.name), Kind: kindKeys, Harmless: true, What: strings.Join(words, "; "),
		ByItself: "they are worked as soon as their key is in the key set, and are invalid an hour after they came if it is not",
	}
	if unread {
		c.ByItself = "they wait until the key set is read; nothing is lost"
		c.ToDo, c.Command = "see to it that the address or file of the key set in the issuers file can be read from here", "logoff-worker check"
	}
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
