package broker

import "testing"

// What the options ask for is what the server does.
func TestBrokerSyncsIfTold(t *testing.T) {
	for _, always := range []bool{false, true} {
		b, err := Start(Options{StoreDir: t.TempDir(), SyncAlways: always})
		if err != nil {
			t.Fatal(err)
		}
		if got := b.server.JetStreamConfig().SyncAlways; got != always {
			t.Errorf("it syncs always: %t, told %t", got, always)
		}
		b.Shutdown()
	}
}
