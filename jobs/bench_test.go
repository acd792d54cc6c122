package jobs

import (
	"strconv"
	"testing"
	"time"
)

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 500} {
		data := manySessions(n)
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if job, err := Decode(data, Rules{MaxBytes: 1 << 20}); err != nil || len(job.Sessions) != n {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkResultEncode(b *testing.B) {
	now := time.Now()
	for _, n := range []int{1, 500} {
		r := Result{Version: ResultVersion, JobID: "01JDCASE7K2Q5", Lane: Urgent, RequestedAt: now, ReceivedAt: now, CompletedAt: now, Worker: "worker-0", Deliveries: 1}
		for range n {
			r.Sessions = append(r.Sessions, SessionResult{ID: emc, Outcome: Accepted, RequestID: "0c6849a6", Attempts: 1})
		}
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			var data []byte
			for b.Loop() {
				r.Conclude()
				var err error
				if data, err = r.Append(data[:0], 1<<20); err != nil || len(data) < 41*n {
					b.Fatal(err)
				}
			}
		})
	}
}
