package worker_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"

	"logoffworker/worker/issuers"
)

// until has the fake clock reach a time at which tokens are of use: it begins in 2000.
func until(t *testing.T, text string) {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	passes(t, time.Until(at))
}

// An idp is an issuer of security events, whose key set is asked for over connections in memory.
type idp struct {
	t    *testing.T
	http *http.Server
	dial func(context.Context, string, string) (net.Conn, error)

	mu     sync.Mutex
	keys   map[string]*ecdsa.PrivateKey // that it signs with
	listed []string                     // of them, those of its key set
	down   bool
	asked  []time.Time
	dialed []string
}

const idpFile = `
issuers:
  - name: idp
    issuer: https://idp.example
    audience: us
    keys: {url: "http://127.0.0.1/keys"}
    events: {session-revoked: {}, account-disabled: {newer: true}}
    subjects: {email: "email:{email}"}
`

func newIDP(t *testing.T) *idp {
	p := &idp{t: t, keys: map[string]*ecdsa.PrivateKey{}}
	conns, closed := make(chan net.Conn), make(chan struct{})
	p.dial = func(ctx context.Context, _, address string) (net.Conn, error) {
		p.mu.Lock()
		p.dialed = append(p.dialed, address)
		p.mu.Unlock()
		near, far := net.Pipe()
		select {
		case conns <- far:
			return near, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	var serving sync.WaitGroup
	p.http = &http.Server{Handler: p}
	serving.Go(func() { _ = p.http.Serve(&listener{conns: conns, closed: closed}) })
	t.Cleanup(func() {
		_ = p.http.Close()
		serving.Wait()
	})
	p.roll("k1")
	return p
}

// A listener accepts connections in memory.
type listener struct {
	conns  chan net.Conn
	closed chan struct{}
	close  sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error   { l.close.Do(func() { close(l.closed) }); return nil }
func (l *listener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (p *idp) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, time.Now())
	if p.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	var set jose.JSONWebKeySet
	for _, id := range p.listed {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: p.keys[id].Public(), KeyID: id, Use: "sig", Algorithm: "ES256"})
	}
	data, err := json.Marshal(set)
	if err != nil {
		p.t.Error(err)
	}
	_, _ = w.Write(data)
}

// roll makes a key, which alone is in the key set from now on.
func (p *idp) roll(id string) {
	p.make(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listed = []string{id}
}

// make makes a key that is in no key set.
func (p *idp) make(id string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys[id] = key
}

func (p *idp) breaks(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// requests are those for the key set.
func (p *idp) requests() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// A set is what a SET says beside what all do.
type set struct {
	key, jti, event, email string
	at                     time.Time // of the event
	header                 map[string]any
}

// sign makes a SET, made now.
func (p *idp) sign(s set) string {
	p.t.Helper()
	if s.key == "" {
		s.key = "k1"
	}
	if s.event == "" {
		s.event = "caep/event-type/session-revoked"
	}
	if s.at.IsZero() {
		s.at = time.Now()
	}
	options := (&jose.SignerOptions{}).WithType("secevent+jwt").WithHeader("kid", s.key)
	for name, value := range s.header {
		options = options.WithHeader(jose.HeaderKey(name), value)
	}
	p.mu.Lock()
	key := p.keys[s.key]
	p.mu.Unlock()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, options)
	if err != nil {
		p.t.Fatal(err)
	}
	signed, err := signer.Sign(fmt.Appendf(nil,
		`{"iss":"https://idp.example","aud":"us","iat":%d,"jti":%q,"sub_id":{"format":"email","email":%q},"events":{"https://schemas.openid.net/secevent/%s":{"event_timestamp":%d}}}`,
		time.Now().Unix(), s.jti, s.email, s.event, s.at.Unix()))
	if err != nil {
		p.t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		p.t.Fatal(err)
	}
	return token
}

// issuers are those of the idp alone, kept fresh until the test ends.
func (p *idp) issuers() *issuers.Issuers {
	path := filepath.Join(p.t.TempDir(), "issuers.yaml")
	if err := os.WriteFile(path, []byte(idpFile), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return keptFresh(p.t, path, p.dial)
}

// keptFresh opens an issuers file, and keeps it fresh until the test ends.
func keptFresh(t *testing.T, path string, dial func(context.Context, string, string) (net.Conn, error)) *issuers.Issuers {
	t.Helper()
	i, err := issuers.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	i.Dial = dial
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { i.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return i
}
