package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// ofEachWorker are the settings in which the workers of one deployment may differ, by how their names begin.
var ofEachWorker = []string{"LOGOFF_WORKER_NAME", "LOGOFF_HTTP_", "LOGOFF_LOG_", "LOGOFF_NATS_STORE_DIR", "LOGOFF_NATS_LISTEN", "LOGOFF_SHUTDOWN_TIMEOUT"}

// hash tells settings apart: workers with the same hash work alike. Secrets do not go into it, only whether they are
// set.
func (s settings) hash() string {
	sum := sha256.New()
	for _, setting := range s.shown() {
		if !slices.ContainsFunc(ofEachWorker, func(name string) bool { return strings.HasPrefix(setting.Name, name) }) {
			fmt.Fprintf(sum, "%s=%q\n", setting.Name, setting.Value)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:12]
}
