package env

import (
	"crypto/sha256"
	"time"
)

// LookInterval is how often files are looked at that are read again when they change.
const LookInterval = 5 * time.Second

// A Sum stands for what files hold.
type Sum = [sha256.Size]byte

// A Change tells when files hold something new. It counts once two looks agree, since one may come while a file is
// being written.
type Change struct {
	adopted, suspect Sum // as they are in force, and as the latest look found them
}

// Adopt says what is in force.
func (c *Change) Adopt(sum Sum) { c.adopted, c.suspect = sum, sum }

// Is reports whether this is in force.
func (c *Change) Is(sum Sum) bool { return c.adopted == sum }

// Look takes what a look has found, and reports whether that is settled and not in force.
func (c *Change) Look(sum Sum) (changed bool) {
	settled := sum == c.suspect
	c.suspect = sum
	return settled && !c.Is(sum)
}
