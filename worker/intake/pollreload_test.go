package intake

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"logoffworker/worker/intake/ssf/transmitter"
	"logoffworker/worker/stage/pipe"
)

// Whatever changes of the issuers file, and whoever looks after the stream: a silence is told.
func TestSilenceIsToldAlthoughTheFileChanges(t *testing.T) {
	for name, change := range map[string]func(s *pollSite, text string, n int) string{
		"a comment": func(_ *pollSite, text string, n int) string { return text + fmt.Sprintf("# %d\n", n) },
		"the stream itself": func(_ *pollSite, text string, n int) string {
			return strings.Replace(text, "5m", fmt.Sprintf("5m, every: %ds", 5+n), 1)
		},
		"who looks after it": func(s *pollSite, text string, _ int) string { s.handOver(); return text },
		"the rights in NATS": func(s *pollSite, text string, _ int) string { s.takeLease(); return text },
		"another issuer comes": func(_ *pollSite, text string, n int) string {
			return text + fmt.Sprintf("publishers: [{name: p%d, bearer: x%d}]\n", n, n)
		},
	} {
		t.Run(name, func(t *testing.T) {
			polled(t, transmitter.Settings{}, "delivery: poll, verify: 5m", func(t *testing.T, s *pollSite) {
				replicas := []*poller{s.start(), s.start()}
				s.ready()
				time.Sleep(20 * time.Minute)
				s.x.Configure(func(s *transmitter.Settings) { s.Silent = true })
				text, err := os.ReadFile(s.file)
				if err != nil {
					t.Fatal(err)
				}
				told := false
				for n := range 8 {
					if err := os.WriteFile(s.file, []byte(change(s, string(text), n)), 0o600); err != nil {
						t.Fatal(err)
					}
					for range 30 {
						time.Sleep(10 * time.Second)
						told = told || replicas[0].condition("silent") != nil || replicas[1].condition("silent") != nil
					}
				}
				if !told {
					t.Error("40 minutes of silence are not told")
				}
			})
		})
	}
}

// handOver has another replica look after the stream.
func (s *pollSite) handOver() {
	s.t.Helper()
	s.spoil("lease.idp", "somebody else")
	time.Sleep(5 * time.Second)
	if err := s.kv().Delete(s.t.Context(), "lease.idp"); err != nil {
		s.t.Fatal(err)
	}
}

// takeLease holds the lease against everybody for a few seconds.
func (s *pollSite) takeLease() {
	for range 4 {
		s.spoil("lease.idp", fmt.Sprint(time.Now()))
		time.Sleep(3 * time.Second)
	}
}

// What nobody has changed goes on: the lease, and how long a token has waited for its key.
func TestAChangeOfTheFileLeavesOtherStreamsAlone(t *testing.T) {
	polled(t, transmitter.Settings{}, "delivery: poll", func(t *testing.T, s *pollSite) {
		s.start()
		s.ready()
		s.x.Configure(func(s *transmitter.Settings) { s.Unlisted = true })
		s.issue(1)
		s.x.Configure(func(s *transmitter.Settings) { s.Unlisted = false })
		for n := range 7 {
			s.append(fmt.Sprintf("# %d\n", n))
			time.Sleep(10 * time.Minute)
		}
		s.until(time.Minute, "no token waits, nor an answer to a question of this moment", func() bool { return s.x.Pending() == 0 })
		if n := strings.Count(s.log.String(), "is looked after here"); n != 1 {
			t.Errorf("the stream was begun %d times", n)
		}
	})
}

// What says who the transmitter is, what is wanted of it and with which credentials, is taken up.
func TestAChangeOfTheStreamIsTakenUp(t *testing.T) {
	for name, change := range map[string]func(text string) string{
		"its credentials": func(text string) string {
			return strings.Replace(text, "bearer: stream-canary", "bearer: other-canary", 1)
		},
		"its events": func(text string) string { return strings.Replace(text, "session-revoked: {}, ", "", 1) },
		"its delivery": func(text string) string {
			return strings.Replace(text, "delivery: poll", "delivery: push, push_url: https://us.example/v1/events/idp", 1)
		},
		"what pushes prove": func(text string) string {
			return strings.Replace(text, "bearer: push-canary", "bearer: push-canary-2", 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			polled(t, transmitter.Settings{}, "delivery: poll, bearer: stream-canary", func(t *testing.T, s *pollSite) {
				s.start()
				s.ready()
				text, err := os.ReadFile(s.file)
				if err != nil {
					t.Fatal(err)
				}
				if changed := change(string(text)); changed == string(text) {
					t.Fatal("nothing is changed")
				} else if err := os.WriteFile(s.file, []byte(changed), 0o600); err != nil {
					t.Fatal(err)
				}
				s.until(time.Minute, "it is begun anew", func() bool { return strings.Count(s.log.String(), "is looked after here") == 2 })
			})
		})
	}
}

// A file of the transmitter's certificates that holds others counts, too.
func TestOtherCertificatesOfATransmitterAreTakenUp(t *testing.T) {
	polled(t, transmitter.Settings{}, "delivery: poll, ca_file: ca.pem", func(t *testing.T, s *pollSite) {
		write := func() {
			t.Helper()
			if err := os.WriteFile(filepath.Join(filepath.Dir(s.file), "ca.pem"), certificate(t), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write()
		s.start()
		s.ready()
		write()
		s.until(time.Minute, "it is begun anew", func() bool { return strings.Count(s.log.String(), "is looked after here") == 2 })
	})
}

// certificate is one that nobody has seen, as PEM.
func certificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// A transmitter that takes polls and never answers is told, although others hold polls open for as long as they like.
func TestATransmitterThatNeverAnswersIsTold(t *testing.T) {
	for name, holds := range map[string]bool{"it never answers": false, "it holds polls open for hours": true} {
		t.Run(name, func(t *testing.T) {
			polled(t, transmitter.Settings{Audience: "us"}, "delivery: poll, managed: false, poll_url: "+issuerURL+"/poll/stream-1", func(t *testing.T, s *pollSite) {
				s.append("    audience: [us]\n    keys: {url: " + issuerURL + "/keys}\n")
				s.x.Add("somebody's", revoked)
				var hangs atomic.Bool
				s.x.Configure(func(s *transmitter.Settings) { s.Hold = 5 * time.Hour })
				dial, stop := pipe.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if hangs.Load() && strings.Contains(r.URL.Path, "/poll/") {
						_, _ = io.Copy(io.Discard, r.Body) // only then it is seen that the client has gone
						<-r.Context().Done()
						return
					}
					s.x.ServeHTTP(w, r)
				}))
				t.Cleanup(stop)
				s.dial = dial
				hangs.Store(!holds)
				r := s.start()
				if holds {
					for range 6 * 60 {
						time.Sleep(time.Minute)
						if c := r.condition("unreachable"); c != nil {
							t.Fatalf("it is told: %v", c)
						}
					}
					ids := s.issue(3)
					s.until(10*time.Second, "they are stored", func() bool { return s.x.Pending() == 0 })
					s.once(ids)
					return
				}
				s.until(12*time.Minute, "it is told", func() bool { return r.condition("unreachable") != nil })
				if ready, _ := r.health.Ready(); ready {
					t.Error("all is well")
				}
				hangs.Store(false)
				ids := s.issue(3)
				s.until(5*time.Minute, "they are stored", func() bool { return s.x.Pending() == 0 })
				s.until(5*time.Minute, "it has ended", func() bool { return r.condition("unreachable") == nil })
				s.once(ids)
			})
		})
	}
}
