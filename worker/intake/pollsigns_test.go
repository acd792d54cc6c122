package intake

import (
	"testing"
	"testing/synctest"
	"time"
)

// What is heard twice at one moment, by the clock, is heard twice.
func TestEachSignIsLaterThanTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := signs{heard: map[sign]time.Time{}}
		of := sign{updatedSign, "idp"}
		s.hear(of)
		told := s.all()[of]
		s.hear(of)
		if again := s.all()[of]; !again.After(told) {
			t.Errorf("told at %v, and heard again at %v", told, again)
		}
	})
}
