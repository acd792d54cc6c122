package issuers

import "time"

// KeysRead is when an issuer's key set was last read; zero if it never was.
func (i *Issuers) KeysRead(issuer string) time.Time { panic("issuers") }
