package stream

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// A consumer is past a job that it takes for acknowledged, or has delivered while it knows of none in hand.
func TestConsumerThatIsPastAJobIsKnown(t *testing.T) {
	for name, test := range map[string]struct {
		consumer jetstream.ConsumerInfo
		past     bool
	}{
		"not delivered yet":         {consumer: jetstream.ConsumerInfo{NumPending: 1}},
		"acknowledged":              {consumer: jetstream.ConsumerInfo{AckFloor: jetstream.SequenceInfo{Stream: 7}, NumPending: 3}, past: true},
		"delivered, none in hand":   {consumer: jetstream.ConsumerInfo{Delivered: jetstream.SequenceInfo{Stream: 7}}, past: true},
		"delivered, one in hand":    {consumer: jetstream.ConsumerInfo{Delivered: jetstream.SequenceInfo{Stream: 7}, NumAckPending: 1}},
		"delivered, another waits":  {consumer: jetstream.ConsumerInfo{Delivered: jetstream.SequenceInfo{Stream: 7}, NumPending: 1}},
		"only those before are off": {consumer: jetstream.ConsumerInfo{AckFloor: jetstream.SequenceInfo{Stream: 6}, NumPending: 1}},
	} {
		if got := isPast(&test.consumer, 7); got != test.past {
			t.Errorf("%s: %t", name, got)
		}
	}
}
