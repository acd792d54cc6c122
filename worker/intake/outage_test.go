package intake

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
	"logoffworker/worker/stage"
	"logoffworker/worker/stream"
)

// An idp signs events with a key that its file of keys has.
type idp struct {
	signer jose.Signer
	dir    string // with issuers.yaml to be
	text   string // of the issuers file
}

const idpURL = "https://idp.example"

func newIDP(t *testing.T) *idp {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, (&jose.SignerOptions{}).WithType("secevent+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "keys.json"), keys, 0o600); err != nil {
		t.Fatal(err)
	}
	return &idp{signer, dir, `
issuers:
  - name: idp
    issuer: ` + idpURL + `
    audience: [logoff]
    keys: {file: keys.json}
    push: {path: /v1/events/idp, bearer: push-secret}
    subjects: {email: 'email:{email}'}
`}
}

// revoked is an event that revokes the sessions of a person.
func (i *idp) revoked(t *testing.T, jti, email string) string {
	t.Helper()
	claims, err := json.Marshal(map[string]any{
		"iss": idpURL, "aud": "logoff", "jti": jti, "iat": noon().Unix() - 60,
		"sub_id": map[string]string{"format": "email", "email": email},
		"events": map[string]any{"https://schemas.openid.net/secevent/caep/event-type/session-revoked": map[string]any{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := i.signer.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// A thousand events are pushed while the broker is killed and started again, and the sender repeats what got no 202: each
// is stored once and has one result, and whatever was not stored got 503 with Retry-After.
func TestNoEventIsLostWhereTheBrokerIsKilled(t *testing.T) {
	const events, senders = 1000, 8
	ports, err := stage.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	node := &stage.Node{Name: "n", Store: dir, File: filepath.Join(dir, "nats.conf"), Port: ports[0], WorkerPassword: "worker", Out: &stage.Output{}}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { node.Process.Kill() }()
	dial := func() (nc *nats.Conn, err error) {
		if !stage.Await(t.Context(), time.Minute, func() bool {
			nc, err = nats.Connect(node.URL(), nats.UserInfo("admin", stage.AdminPassword), nats.ReconnectBufSize(-1), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
			return err == nil
		}) {
			return nil, err
		}
		return nc, nil
	}
	r := newRigAt(t, 0, dial)
	issuer := newIDP(t)
	x := r.receiveBy(issuer.dir, issuer.text, "")
	tokens := map[string]string{}
	for n := range events {
		jti := fmt.Sprint("jti-", n)
		tokens[jobs.SignalID(idpURL, jti)] = issuer.revoked(t, jti, fmt.Sprintf("p%d@corp.example", n))
	}

	var accepted, refused atomic.Int64
	kill := sync.OnceFunc(func() { node.Process.Kill() })
	push := func(ids []string) (again []string) {
		var mu sync.Mutex
		work := make(chan string)
		var sending sync.WaitGroup
		for range senders {
			sending.Go(func() {
				for id := range work {
					got := x.post("/v1/events/idp", "push-secret", setType, tokens[id])
					switch {
					case got.code == 202:
						if accepted.Add(1) == events*4/10 {
							kill()
						}
						continue
					case got.code != 503 || got.header.Get("Retry-After") == "":
						t.Errorf("%d %s %v", got.code, got.body, got.header)
					}
					refused.Add(1)
					mu.Lock()
					again = append(again, id)
					mu.Unlock()
				}
			})
		}
		for _, id := range ids {
			work <- id
		}
		close(work)
		sending.Wait()
		return again
	}
	var all []string
	for id := range tokens {
		all = append(all, id)
	}
	again := push(all)
	if len(again) == 0 || accepted.Load()+int64(len(again)) != events {
		t.Fatalf("%d are accepted and %d refused of %d", accepted.Load(), len(again), events)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	if !stage.Await(t.Context(), time.Minute, func() bool { return r.store.Ask(t.Context(), "idp", jobs.Urgent) == nil }) {
		t.Fatalf("the broker does not come back: %v\n%s", r.store.Ask(t.Context(), "idp", jobs.Urgent), node.Out)
	}
	if again = push(again); len(again) > 0 {
		t.Errorf("%d are still refused", len(again))
	}
	count := oneOf(t, r)
	for id := range tokens {
		if count[id] != 1 {
			t.Errorf("%s is stored %d times", id, count[id])
		}
	}
	if len(count) != events {
		t.Errorf("%d jobs are stored of %d events", len(count), events)
	}
	results := r.worked(t, stream.Connection{URL: node.URL(), Options: []nats.Option{nats.UserInfo("admin", stage.AdminPassword)}}, events)
	for id := range tokens {
		if of := results[id]; len(of) != 1 || of[0].Status != jobs.Done || of[0].Signal == nil || of[0].Signal.Issuer != "idp" {
			t.Errorf("%s has the results %+v", id, of)
		}
	}
	t.Logf("%d events: %d answered with 503 and repeated; %d have a result", events, refused.Load(), len(results))
}

// percentile is the time in which so many of a hundred were done.
func percentile(took []time.Duration, percent int) time.Duration {
	slices.Sort(took)
	return took[min(len(took)-1, len(took)*percent/100)]
}

// The signed token of an event goes into the stream with its job, to be shown to whoever doubts it.
func TestEvidenceTravelsWithTheJob(t *testing.T) {
	r := newRig(t, 0)
	issuer := newIDP(t)
	x := r.receiveBy(issuer.dir, issuer.text, "")
	token := issuer.revoked(t, "jti", "jane@corp.example")
	if got := x.post("/v1/events/idp", "push-secret", setType, token); got.code != 202 {
		t.Fatalf("%d %s", got.code, got.body)
	}
	if signal := r.stored()[0].Header.Get(jobs.SignalHeader); !strings.Contains(signal, token) || !strings.Contains(signal, `"issuer":"idp"`) {
		t.Errorf("the signal is %s", signal)
	}
}
