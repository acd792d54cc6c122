package signals

import "testing"

func BenchmarkSET(b *testing.B) {
	r := fixtureReader(b)
	for _, f := range fixtures(b) {
		if f.id != "caep-revoked-complex-session" && f.id != "caep-revoked-email-ec" && f.id != "oversize" {
			continue
		}
		b.Run(f.id, func(b *testing.B) {
			b.SetBytes(int64(len(f.body)))
			b.ReportAllocs()
			for b.Loop() {
				if a := r.SET("idp", f.body); string(a.Verdict) != f.verdict {
					b.Fatal(a.Why)
				}
			}
		})
	}
}
