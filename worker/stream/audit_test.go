package stream

import (
	"strings"
	"testing"
	"time"
)

// Without the stream of acts the worker is ready, and says what it lacks; it is made where the worker may, and found
// where somebody else made it.
func TestNoJobNeedsTheStreamOfActs(t *testing.T) {
	for _, how := range []Provision{ProvisionCreate, ProvisionVerify} {
		t.Run(string(how), func(t *testing.T) {
			c := DefaultConfig()
			c.Provision = how
			withStreams(t, c, func(t *testing.T, s *told) {
				if err := s.js.DeleteStream(t.Context(), s.plan.audit.Name); err != nil && how == ProvisionVerify {
					t.Fatal(err)
				}
				go s.keepAudit(t.Context())
				time.Sleep(time.Second)
				ready, all := s.Health.Ready()
				if lacks := s.Audit() == nil; !ready || lacks != (how == ProvisionVerify) {
					t.Errorf("ready: %t, the stream lacks: %t, %v", ready, lacks, all)
				}
				if said := s.log.String(); strings.Contains(said, "cannot be kept") != (how == ProvisionVerify) {
					t.Errorf("it is said:\n%s", said)
				}
				if how == ProvisionVerify {
					if _, err := s.js.CreateStream(t.Context(), s.plan.audit); err != nil {
						t.Fatal(err)
					}
					time.Sleep(auditInterval)
				}
				if s.Audit() == nil {
					t.Error("the stream is there, and is not found")
				}
			})
		})
	}
}
