package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// hash tells settings apart: workers with the same hash work alike. Secrets do not go into it, only whether they are
// set.
func (s settings) hash() string {
	sum := sha256.New()
	for _, setting := range s.shown() {
		if !setting.OfEachWorker() {
			fmt.Fprintf(sum, "%s=%q\n", setting.Name, setting.Value)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:12]
}
