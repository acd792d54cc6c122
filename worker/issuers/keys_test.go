package issuers

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
	"logoffworker/metrics"
	"logoffworker/worker/stage"
)

// today is now in the years that tokens are of: fake time begins in 2000.
func today() time.Time { return time.Now().AddDate(26, 0, 0) }

// A key is one of an issuer's.
type key struct {
	id      string
	private *ecdsa.PrivateKey
}

func newKey(t testing.TB, id string) key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key{id, private}
}

// keySetOf is the key set that an issuer publishes.
func keySetOf(t testing.TB, keys ...key) []byte {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.private.Public(), KeyID: k.id, Use: "sig", Algorithm: "ES256"})
	}
	data, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// set is a SET that revokes jane's sessions, made now.
func (k key) set(t testing.TB, jti string) []byte {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("secevent+jwt").WithHeader("kid", k.id)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: k.private}, options)
	if err != nil {
		t.Fatal(err)
	}
	claims := fmt.Sprintf(`{"iss":"https://idp.example","aud":"us","iat":%d,"jti":%q,"sub_id":{"format":"email","email":"jane@corp.example"},"events":{"https://schemas.openid.net/secevent/caep/event-type/session-revoked":{}}}`,
		today().Unix(), jti)
	signed, err := signer.Sign([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return []byte(token)
}

// An idp serves a key set in a test's fake time, and remembers when it was asked.
type idp struct {
	mu     sync.Mutex
	answer http.HandlerFunc
	asked  []time.Time
	conns  chan net.Conn
	closed chan struct{}
	close  sync.Once
}

func newIDP(t *testing.T) *idp {
	p := &idp{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &httptest.Server{Listener: p, Config: &http.Server{Handler: p}}
	server.Start()
	t.Cleanup(server.Close)
	return p
}

func (p *idp) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *idp) Close() error   { p.close.Do(func() { close(p.closed) }); return nil }
func (p *idp) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (p *idp) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *idp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, time.Now())
	answer := p.answer
	p.mu.Unlock()
	answer(w, r)
}

// answers has the idp answer so from now on.
func (p *idp) answers(answer http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *idp) serves(set []byte) {
	p.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set) })
}

func (p *idp) requests() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// atURL is an issuers file whose one issuer's keys are at a URL.
const atURL = `
issuers:
  - name: idp
    issuer: https://idp.example
    audience: us
    keys: {url: "http://127.0.0.1/keys"}
    subjects: {email: "email:{email}"}
`

// open opens an issuers file with this content.
func open(t *testing.T, content string) *Issuers {
	t.Helper()
	i, err := Open(write(t, t.TempDir(), "issuers.yaml", content))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func write(t *testing.T, dir, name, content string) (path string) {
	t.Helper()
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run has the issuers kept fresh until the test ends.
func run(t *testing.T, i *Issuers) (log *stage.Output) {
	t.Helper()
	log = &stage.Output{}
	i.Health = metrics.NewHealth(slog.New(slog.NewTextHandler(log, nil)), Part)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { i.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	synctest.Wait()
	return log
}

// work reads a message as the worker does: whoever waits for a key wants it.
func work(i *Issuers, token []byte) signals.Answer {
	a := i.Reader(jobs.Rules{}, today()).Message(nil, token)
	if a.Verdict == signals.Retry {
		i.Want(a.Issuer)
	}
	return a
}

func down(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }

// The key set is out of reach for ten minutes, and has another key then: whatever that key has signed meanwhile waits,
// and is worked within half a minute; what the key before it signs is worked all the while.
func TestNothingIsLostWhileKeysRotateOutOfReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before, after := newKey(t, "before"), newKey(t, "after")
		p := newIDP(t)
		p.serves(keySetOf(t, before))
		i := open(t, atURL)
		i.Dial = p.dial
		run(t, i)
		p.answers(down)
		begun := time.Now()
		var waiting [][]byte
		for n := range 100 {
			if a := work(i, before.set(t, fmt.Sprint("old-", n))); a.Verdict != signals.Job {
				t.Fatalf("a token of the key that is known is %s: %s", a.Verdict, a.Why)
			}
			waiting = append(waiting, after.set(t, fmt.Sprint("new-", n)))
			for _, token := range waiting {
				if a := work(i, token); a.Verdict != signals.Retry || !a.KeysRead {
					t.Fatalf("a token of a key that is not known yet is %s: %s", a.Verdict, a.Why)
				}
			}
			time.Sleep(6 * time.Second)
		}
		down := time.Since(begun)
		p.serves(keySetOf(t, after))
		for came := time.Now(); ; time.Sleep(time.Second) {
			if work(i, waiting[0]).Verdict == signals.Job {
				t.Logf("out of reach for %v, worked %v after the key set came back, %d requests", down, time.Since(came), len(p.requests()))
				break
			}
			if time.Since(came) > keysPause {
				t.Fatal("the new key is not known half a minute after it could be")
			}
		}
		for _, token := range waiting {
			if a := work(i, token); a.Verdict != signals.Job {
				t.Fatalf("a token of the new key is %s: %s", a.Verdict, a.Why)
			}
		}
		if a := work(i, before.set(t, "forgotten")); a.Verdict != signals.Retry {
			t.Fatalf("a token of a key that is listed no more is %s: %s", a.Verdict, a.Why)
		}
		spaced(t, p.requests())
	})
}

// spaced sees that no two requests are less than 30 seconds apart.
func spaced(t *testing.T, requests []time.Time) {
	t.Helper()
	for n := 1; n < len(requests); n++ {
		if apart := requests[n].Sub(requests[n-1]); apart < keysPause {
			t.Fatalf("requests %d and %d are %v apart", n, n+1, apart)
		}
	}
}

// Junk with a thousand kids that nobody knows costs one request in 30 seconds, and holds up nothing that is valid, though
// the key set does not answer.
func TestUnknownKidsCostOneRequestAndDelayNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := newKey(t, "known")
		p := newIDP(t)
		p.serves(keySetOf(t, known))
		i := open(t, atURL)
		i.Dial = p.dial
		run(t, i)
		p.answers(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }) // it hangs
		stranger := newKey(t, "")
		begun, first := time.Now(), len(p.requests())
		for n := range 1000 {
			stranger.id = fmt.Sprint("kid-", n)
			if a := work(i, stranger.set(t, stranger.id)); a.Verdict != signals.Retry {
				t.Fatalf("an unknown kid is %s: %s", a.Verdict, a.Why)
			}
			sent := time.Now()
			if a := work(i, known.set(t, fmt.Sprint("valid-", n))); a.Verdict != signals.Job {
				t.Fatalf("a valid token is %s: %s", a.Verdict, a.Why)
			}
			if took := time.Since(sent); took > 100*time.Millisecond {
				t.Fatalf("a valid token took %v", took)
			}
			time.Sleep(60 * time.Millisecond)
		}
		if n, most := len(p.requests())-first, int(time.Since(begun)/keysPause); n == 0 || n > most {
			t.Fatalf("%d requests in %v, and at most %d are allowed", n, time.Since(begun), most)
		}
		spaced(t, p.requests())
	})
}

// Keys are read again every hour though nobody wants any, and a failed read is told and keeps what was read before.
func TestKeysAreKeptWhileTheyCannotBeRead(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"answers with status 503": down,
		"answers with more than 1048576 bytes": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"keys":[],"x":%q}`, strings.Repeat("x", maxKeySet))
		},
		"is no key set":                 func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>canary") },
		"holds no key that a signature": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":[]}`) },
		"it sends to another address": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.2/canary", http.StatusFound)
		},
		"does not answer: context deadline exceeded":       func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"ends its answer too early: context deadline exce": func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush(); <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKey(t, "k")
				p := newIDP(t)
				p.serves(keySetOf(t, k))
				i := open(t, atURL)
				i.Dial = p.dial
				log := run(t, i)
				readAt := i.KeysReadAt("idp")
				if readAt.IsZero() {
					t.Fatal("the keys were not read at the start")
				}
				p.answers(answer)
				time.Sleep(keysEvery + keysTimeout)
				synctest.Wait()
				if a := work(i, k.set(t, "x")); a.Verdict != signals.Job || !i.KeysReadAt("idp").Equal(readAt) {
					t.Fatalf("%s: %s", a.Verdict, a.Why)
				}
				if said := log.String(); !strings.Contains(said, name) || !strings.Contains(said, "the keys of idp cannot be read, and those of ") || strings.Contains(said, "canary") {
					t.Fatalf("the log does not say so: %s", said)
				}
				p.serves(keySetOf(t, k))
				time.Sleep(keysPause)
				synctest.Wait()
				if !i.KeysReadAt("idp").After(readAt) || !strings.Contains(log.String(), "no longer: the keys of idp") {
					t.Fatalf("that they can be read again is not told: %s", log)
				}
			})
		})
	}
}

// Before its keys were read once, an issuer's messages wait.
func TestKeysThatWereNeverReadAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKey(t, "k")
		p := newIDP(t)
		p.answers(down)
		i := open(t, atURL)
		i.Dial = p.dial
		run(t, i)
		if a := work(i, k.set(t, "1")); a.Verdict != signals.Retry || a.KeysRead || !i.KeysReadAt("idp").IsZero() {
			t.Fatalf("%s: %s", a.Verdict, a.Why)
		}
		p.serves(keySetOf(t, k))
		time.Sleep(keysPause)
		synctest.Wait()
		if a := work(i, k.set(t, "2")); a.Verdict != signals.Job {
			t.Fatalf("%s: %s", a.Verdict, a.Why)
		}
	})
}

// What a transmitter says counts where the file says nothing, and nowhere else.
func TestAudienceAndKeysMayBeLearnedFromTheTransmitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKey(t, "k")
		p := newIDP(t)
		p.serves(keySetOf(t, k))
		i := open(t, strings.NewReplacer("    audience: us\n", "", `keys: {url: "http://127.0.0.1/keys"}`, `stream: {delivery: poll}`).Replace(atURL))
		i.Dial = p.dial
		run(t, i)
		if a := work(i, k.set(t, "1")); a.Verdict != signals.Retry {
			t.Fatalf("%s: %s", a.Verdict, a.Why)
		}
		lacks := func(i *Issuers, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, i.Lacking("idp")); diff != "" {
				t.Errorf("lacking (-want +got):\n%s", diff)
			}
		}
		const noKeys, noAudience = "idp names no address of its keys, and neither does the issuers file", "idp names no audience of its stream, and neither does the issuers file"
		const refused = "the transmitter's address of keys must begin with https://; http:// is for addresses of this machine alone"
		lacks(i, noAudience, noKeys)
		i.Learn("idp", Learned{Audience: []string{"us"}, KeysURL: "http://elsewhere.example/keys"})
		lacks(i, refused)
		if f := i.File(); f.Issuers[0].Keys.URL != "" || len(f.Policy.Issuers[0].Audience) != 1 {
			t.Errorf("the keys are at %q, the audience is %v", f.Issuers[0].Keys.URL, f.Policy.Issuers[0].Audience)
		}
		i.Learn("idp", Learned{Audience: []string{"us"}, KeysURL: "http://127.0.0.1/keys"})
		lacks(i)
		synctest.Wait()
		if a := work(i, k.set(t, "2")); a.Verdict != signals.Job {
			t.Fatalf("%s: %s", a.Verdict, a.Why)
		}
		i.Learn("idp", Learned{Audience: []string{"others", "us"}, KeysURL: "http://elsewhere.example/keys"})
		lacks(i, refused)
		if a := work(i, k.set(t, "3")); a.Verdict != signals.Job || len(i.File().Policy.Issuers[0].Audience) != 2 {
			t.Errorf("the keys that were known are of no use: %s: %s", a.Verdict, a.Why)
		}
		given := open(t, atURL)
		given.Learn("idp", Learned{Audience: []string{"them"}, KeysURL: "https://elsewhere.example/keys"})
		given.Learn("idp", Learned{KeysURL: "http://elsewhere.example/keys"})
		lacks(given)
		if f := given.File(); f.Policy.Issuers[0].Audience[0] != "us" || f.Issuers[0].Keys.URL != "http://127.0.0.1/keys" {
			t.Fatalf("what the file says was replaced: %+v", f.Issuers[0].Keys)
		}
	})
}

// A key set's private and symmetric keys, those for encryption and those that nobody can read are passed over, with a
// word each that repeats nothing; a weak one is told, and stays, so that what it signs is refused at once.
func TestOnlyPublicKeysForSignaturesAreTaken(t *testing.T) {
	good, private := newKey(t, "good"), newKey(t, "private")
	secret, err := json.Marshal(jose.JSONWebKey{Key: private.private, KeyID: "private"})
	if err != nil {
		t.Fatal(err)
	}
	public, err := json.Marshal(jose.JSONWebKey{Key: good.private.Public(), KeyID: "good"})
	if err != nil {
		t.Fatal(err)
	}
	encryption := strings.Replace(string(public), "{", `{"use":"enc",`, 1)
	weak := `{"kty":"RSA","kid":"weak","e":"AQAB","n":"` + strings.Repeat("x", 171) + `"}`
	data := `{"keys":[` + strings.Join([]string{string(public), string(secret), `{"kty":"oct","k":"Y2FuYXJ5"}`, encryption, `{"kty":"canary"}`, weak}, ",") + `]}`
	set, remarks, err := readKeys([]byte(data))
	if err != nil || len(set.Keys) != 2 || set.Keys[0].KeyID != "good" || set.Keys[1].KeyID != "weak" {
		t.Fatalf("%d keys: %v", len(set.Keys), err)
	}
	said := strings.Join(remarks, "; ")
	for _, want := range []string{"key 2 is not public", "key 3 is not public", "key 4 is not for signatures", "key 5 is of a kind that is not known", "key 6 has 1024 bits"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said: %s", want, said)
		}
	}
	if strings.Contains(said, "canary") || strings.Contains(said, "Y2FuYXJ5") {
		t.Errorf("it repeats what it read: %s", said)
	}
}
