// Package transmitter is a transmitter of Shared Signals for tests and demonstrations: an independent reading of SSF 1.0,
// RFC 8417, RFC 8935 and RFC 8936, which shares no type with the receiver's side.
//
// It signs security event tokens with keys that can be rotated, and serves them; it has streams that are created, read,
// changed, paused and verified; it delivers by poll, held open or not, and by push with retries. [Settings] make it
// behave as transmitters do on bad days. It remembers every request ([Transmitter.Journal]).
//
// It has one receiver, and knows no subjects: each event goes to every stream that delivers its type.
package transmitter

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// The types of the events that are about a stream itself.
const (
	verificationEvent = "https://schemas.openid.net/secevent/ssf/event-type/verification"
	updatedEvent      = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated"
)

const (
	push = "urn:ietf:rfc:8935"
	poll = "urn:ietf:rfc:8936"
)

// Settings are how a transmitter behaves. They may be changed while it runs.
type Settings struct {
	// Issuer is its URL, below which all else is.
	Issuer string
	// Bearer is the token that requests need; with a Client they need one that its Secret has got at /token. With
	// neither they need none.
	Bearer         string
	Client, Secret string
	// Audience is the aud of its tokens; empty has one made for each stream.
	Audience string
	// Hold is how long a poll without events is held open; 0 answers at once.
	Hold time.Duration
	// DefaultSubjects is ALL or NONE, and only told.
	DefaultSubjects string
	// Supported are the types of events that there are; nil has all that are asked for.
	Supported []string
	// Unnamed leaves the descriptions out of what it says of streams; Single has one stream at most.
	Unnamed, Single bool
	// Appended serves the configuration behind the path, and Old where it was before SSF, instead of between host and
	// path. They are of no effect later.
	Appended, Old bool

	Unlisted bool // tokens are signed by a key that the key set does not have
	KeysDown bool // the key set answers 503
	Down     bool // all else does
	Silent   bool // nothing is delivered, and nothing said of it
}

// A Transmitter is one issuer. It is an [http.Handler].
type Transmitter struct {
	// Acked, if set before the first request, hears of each token that a poll acknowledges, before it is forgotten.
	Acked func(jti string)

	mux *http.ServeMux

	mu       sync.Mutex
	settings Settings
	keys     []key
	stranger key                  // that is in no key set
	tokens   map[string]time.Time // access tokens, and when they end
	streams  []*stream
	made     int // streams so far
	changed  chan struct{}
	journal  []Entry
}

// A stream is one receiver's.
type stream struct {
	ID          string   `json:"stream_id"`
	Issuer      string   `json:"iss"`
	Audience    string   `json:"aud"`
	Delivery    delivery `json:"delivery"`
	Supported   []string `json:"events_supported"`
	Requested   []string `json:"events_requested"`
	Delivered   []string `json:"events_delivered"`
	Description string   `json:"description,omitempty"`

	status, reason string
	pending        []token
}

type delivery struct {
	Method        string `json:"method"`
	Endpoint      string `json:"endpoint_url,omitempty"`
	Authorization string `json:"authorization_header,omitempty"`
}

// An Entry is a request that was answered, or a push that was made.
type Entry struct {
	At      time.Time
	Op      string // discover, keys, token, list, create, change, delete, status, verify, poll, push
	Status  int
	Ack     []string          // of a poll, as the receiver sent them
	Refused map[string]string // of a poll or push: codes by jti
	Sent    []string          // the jtis of the tokens that it brought
	Body    string            // of a change to streams
}

// New returns a transmitter with one key of ES256.
func New(s Settings) *Transmitter {
	t := &Transmitter{settings: s, tokens: map[string]time.Time{}, changed: make(chan struct{})}
	t.stranger = newKey("ES256")
	t.Rotate("ES256")
	t.mux = t.routes()
	return t
}

// Configure changes the settings.
func (t *Transmitter) Configure(change func(*Settings)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.settings)
	t.announce()
}

// announce wakes whoever waits for a change. The lock is held.
func (t *Transmitter) announce() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// Journal is what happened so far.
func (t *Transmitter) Journal() []Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.journal)
}

// Count is how many requests of a kind there were.
func (t *Transmitter) Count(op string) (n int) {
	for _, e := range t.Journal() {
		if e.Op == op {
			n++
		}
	}
	return n
}

// SetStatus changes the status of all streams. Their receiver is told by an event, once they deliver again.
func (t *Transmitter) SetStatus(status, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.streams {
		t.setStatus(s, status, reason)
	}
}

func (t *Transmitter) setStatus(s *stream, status, reason string) {
	s.status, s.reason = status, reason
	t.give(s, rand.Text(), Event{Type: updatedEvent, Subject: subjectOf(s), Members: map[string]any{"status": status, "reason": reason}})
}

// Remove ends a stream, and forgets what it has not delivered. It reports whether there was one.
func (t *Transmitter) Remove(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := len(t.streams)
	t.streams = slices.DeleteFunc(t.streams, func(s *stream) bool { return s.ID == id })
	return len(t.streams) < before
}

// Streams are those that there are, as JSON.
func (t *Transmitter) Streams() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []string
	for _, s := range t.streams {
		text, _ := json.Marshal(s)
		all = append(all, string(text))
	}
	return all
}

// Pending is how many tokens have not been acknowledged.
func (t *Transmitter) Pending() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.streams {
		n += len(s.pending)
	}
	return n
}

// An Event is what is to be told.
type Event struct {
	Type    string         // a URI
	Subject map[string]any // a subject identifier of RFC 9493
	Members map[string]any // of the event itself
	JTI     string         // empty has one made
}

// Issue signs an event, and gives it to each stream that delivers its type. It returns the token's jti.
func (t *Transmitter) Issue(e Event) (jti string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	jti = cmp.Or(e.JTI, rand.Text())
	for _, s := range t.streams {
		if slices.Contains(s.Delivered, e.Type) && s.status == "enabled" {
			t.give(s, jti, e)
		}
	}
	return jti
}

// Queue gives a text as a token to all streams, whatever it is.
func (t *Transmitter) Queue(jti, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.streams {
		s.pending = append(s.pending, token{jti, text})
	}
	t.announce()
}

// give signs an event for one stream. The lock is held.
func (t *Transmitter) give(s *stream, jti string, e Event) {
	members := maps.Clone(e.Members)
	if members == nil {
		members = map[string]any{}
	}
	s.pending = append(s.pending, token{jti, t.sign(map[string]any{
		"iss": t.settings.Issuer, "aud": s.Audience, "iat": time.Now().Unix(), "jti": jti,
		"sub_id": e.Subject, "events": map[string]any{e.Type: members},
	})})
	t.announce()
}

// path is where something of the transmitter's is on its host.
func (t *Transmitter) path(of string) string {
	u, err := url.Parse(t.settings.Issuer)
	if err != nil {
		panic("transmitter: " + err.Error())
	}
	return strings.TrimSuffix(u.Path, "/") + of
}

func (t *Transmitter) address(of string) string {
	return strings.TrimSuffix(t.settings.Issuer, "/") + of
}

// ServeHTTP implements [http.Handler].
func (t *Transmitter) ServeHTTP(w http.ResponseWriter, r *http.Request) { t.mux.ServeHTTP(w, r) }

func (t *Transmitter) String() string { return fmt.Sprintf("transmitter %s", t.settings.Issuer) }
