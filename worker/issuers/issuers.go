// Package issuers reads the issuers file: which security systems are trusted, by which keys, what of theirs becomes a
// job, and how they are reached. It keeps the file, its map files, its secrets and the issuers' keys fresh.
//
// A file that is wrong stops a start with everything that is wrong with it; a file that becomes wrong later changes
// nothing, and is told as a condition. Keys are read from the URLs of the file alone, at most once in 30 seconds each,
// whoever asks; a key set that cannot be read keeps the one that was read before.
//
// What a message means by the file is jobs/signals' business, how messages come is worker/intake's.
package issuers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
	"logoffworker/metrics"
	"logoffworker/worker/env"
)

// Part is the part of a program's health that tells of the issuers file and of keys.
const Part = "issuers"

// Issuers are what the file says now.
type Issuers struct {
	// Health hears what is wrong while Run runs; nil hears nothing. It and Dial are set before anything is done.
	Health *metrics.Health
	// Dial makes the connections over which keys are read; nil dials as usual.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	path string
	keys *keyCache

	now     atomic.Pointer[view]
	mu      sync.Mutex // for what follows
	state   *state
	change  env.Change
	learned map[string]Learned
	fresh   time.Time // when the files were last seen to hold what is in force
}

// A view is what readers see, whole: what the file says, with what was learned.
type view struct {
	file *File
	keys map[string]fileKeys
}

// Learned is what the transmitter of an issuer's stream says of it.
type Learned struct {
	Audience []string
	KeysURL  string

	refused string // what is wrong with another address of keys, which it says now
}

// Open reads the file at path. The error says everything that is wrong with it, a line each.
func Open(path string) (*Issuers, error) {
	s, err := load(path)
	if err != nil {
		return nil, err
	}
	i := &Issuers{path: path, keys: newKeyCache(), learned: map[string]Learned{}}
	i.keys.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if i.Dial != nil {
			return i.Dial(ctx, network, addr)
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.adopt(s)
	return i, nil
}

// adopt puts what the files say in force.
func (i *Issuers) adopt(s *state) {
	i.state, i.fresh = s, time.Now()
	i.change.Adopt(s.files.sum())
	i.show()
}

// show has readers see what is in force.
func (i *Issuers) show() {
	file := *i.state.file
	file.Policy.Issuers = slices.Clone(file.Policy.Issuers)
	file.Issuers = slices.Clone(file.Issuers)
	sources := map[string]KeySource{}
	for n := range file.Issuers {
		p, how := &file.Policy.Issuers[n], &file.Issuers[n]
		l := i.learned[p.URL]
		if len(p.Audience) == 0 {
			p.Audience = l.Audience
		}
		if how.Keys == (KeySource{}) {
			how.Keys.URL = l.KeysURL
		}
		if how.Keys.URL != "" && how.Keys.CAFile == "" && how.Stream != nil {
			how.Keys.CAFile = how.Stream.CAFile
		}
		sources[how.Name] = how.Keys
	}
	i.keys.adopt(sources)
	i.now.Store(&view{&file, i.state.keys})
}

// Learn takes what the transmitter of an issuer's stream says of it, which counts where the file says nothing. Its
// address of keys has to be https, or on this machine; of another nothing counts but that it is told by [Issuers.Lacking].
func (i *Issuers) Learn(issuer string, l Learned) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, p := range i.state.file.Policy.Issuers {
		if p.Name != issuer {
			continue
		}
		if problem := urlProblem(l.KeysURL); l.KeysURL != "" && problem != "" {
			l.KeysURL, l.refused = i.learned[p.URL].KeysURL, problem
		}
		i.learned[p.URL] = l
		i.show()
	}
}

// Lacking says by what the messages of an issuer cannot be verified, since the file leaves it to the transmitter of its
// stream, and that says nothing of it, or what is not believed.
func (i *Issuers) Lacking(issuer string) (words []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for n, p := range i.state.file.Policy.Issuers {
		if p.Name != issuer {
			continue
		}
		l := i.learned[p.URL]
		if len(p.Audience)+len(l.Audience) == 0 {
			words = append(words, issuer+" names no audience of its stream, and neither does the issuers file")
		}
		switch {
		case i.state.file.Issuers[n].Keys != KeySource{}:
		case l.refused != "":
			words = append(words, "the transmitter's address of keys "+l.refused)
		case l.KeysURL == "":
			words = append(words, issuer+" names no address of its keys, and neither does the issuers file")
		}
	}
	return words
}

// Run keeps the file, what it names and the keys fresh until ctx ends.
func (i *Issuers) Run(ctx context.Context) {
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() {
		i.keys.run(ctx, func() {
			i.mu.Lock()
			defer i.mu.Unlock()
			i.tellKeys()
		})
	})
	if i.Health != nil {
		i.Health.Well(Part)
	}
	every := time.NewTicker(env.LookInterval)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			i.look()
		}
	}
}

// look takes up files that have changed. While they are wrong, what they said before stays.
func (i *Issuers) look() {
	i.mu.Lock()
	defer i.mu.Unlock()
	found := i.state.files.now()
	changed := i.change.Look(found)
	if i.change.Is(found) {
		i.fresh = time.Now()
		i.tellFile(nil)
	}
	if !changed {
		return
	}
	s, err := load(i.path)
	if i.tellFile(err); err == nil {
		i.adopt(s)
		i.tellKeys()
	}
}

func (i *Issuers) tellFile(err error) {
	if i.Health == nil {
		return
	}
	i.Health.Set(err != nil, metrics.Condition{
		Part: Part, Kind: "file", Grave: true, Harmless: true,
		What:     "the issuers file, or one that it names, has become wrong, and what it said before is in force: " + strings.ReplaceAll(fmt.Sprint(err), "\n", "; "),
		ByItself: "the files are read again every few seconds",
		ToDo:     "mend the file", Command: metrics.CheckCommand,
	})
}

// tellKeys says whose keys cannot be read. It is called one at a time, so that the latest word is the last.
func (i *Issuers) tellKeys() {
	if i.Health == nil {
		return
	}
	troubles := i.keys.troubles()
	i.Health.Set(len(troubles) > 0, metrics.Condition{
		Part: Part, Kind: "keys", Harmless: true, What: strings.Join(troubles, "; "),
		ByItself: "they are asked for again every 30 seconds; messages that need a key which is not known wait for it",
		ToDo:     "see whether this machine reaches the address", Command: metrics.CheckCommand,
	})
}

// File is what the file says now; it is not to be changed.
func (i *Issuers) File() *File { return i.now.Load().file }

// Reader reads messages by what the file says now.
func (i *Issuers) Reader(rules jobs.Rules, now time.Time) signals.Reader {
	v := i.now.Load()
	return signals.Reader{
		Policy: &v.file.Policy, Rules: rules, Now: now,
		Keys: func(issuer string) (jose.JSONWebKeySet, bool) {
			if f, is := v.keys[issuer]; is {
				return f.set, true
			}
			set, read := i.keys.of(issuer)
			return set, !read.IsZero()
		},
	}
}

// Want says that a message waits for a key of an issuer that is not known. It returns at once; the key set is asked for
// unless that was done within the last 30 seconds.
func (i *Issuers) Want(issuer string) { i.keys.want(issuer) }

// KeysReadAt is when the keys of an issuer were last read; the zero time if they never were. What came before and was
// signed by one of them would have been found. Whoever judges a message by it asks before the message is read.
func (i *Issuers) KeysReadAt(issuer string) time.Time {
	if _, is := i.now.Load().keys[issuer]; is {
		i.mu.Lock()
		defer i.mu.Unlock()
		return i.fresh
	}
	_, read := i.keys.of(issuer)
	return read
}

// ReadKeys reads an issuer's key set at once, whether that was done before or not, and says what in it is passed over.
func (i *Issuers) ReadKeys(ctx context.Context, issuer string) (keys int, remarks []string, err error) {
	if f, is := i.now.Load().keys[issuer]; is {
		return len(f.set.Keys), f.remarks, nil
	}
	if i.sourceOf(issuer).URL == "" {
		return 0, nil, errors.New("where they are, the transmitter of its stream tells, which is not asked here")
	}
	remarks, err = i.keys.readNow(ctx, issuer)
	set, _ := i.keys.of(issuer)
	return len(set.Keys), remarks, err
}

// sourceOf is where the keys of an issuer are.
func (i *Issuers) sourceOf(name string) KeySource {
	for _, issuer := range i.File().Issuers {
		if issuer.Name == name {
			return issuer.Keys
		}
	}
	return KeySource{}
}

// Maps are the map files, by their paths.
func (i *Issuers) Maps() (all []MapFile) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, path := range slices.Sorted(maps.Keys(i.state.files.maps)) {
		all = append(all, *i.state.files.maps[path])
	}
	return all
}
