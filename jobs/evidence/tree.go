// Package evidence makes it visible when the record of what was done is changed afterwards. It knows bytes and keys,
// and neither NATS nor the clock.
//
// A [Digest] covers a range of results: its root is that of a Merkle tree over them (RFC 9162), it names the digest
// before it by its hash, and it is signed. A [Chain] goes through digests and results side by side, and names each
// that is not what it was: changed, dropped, moved, added, or signed by somebody else. A [Ledger] tells from the keys
// of the results whether each stored job has exactly one.
//
// What this proves: results that a digest covers are those that were there when it was made, as long as one key that
// signed is not in the hands of whoever changes them. What it does not: that a result was true when it was written, that
// the latest results, which no digest covers yet, are whole, what its headers were and when it was stored, or that
// digests were not cut off at the end of the chain. For the last there is the log of the workers, which holds the hash of
// each digest outside of NATS. Results that are gone and may have aged out are told as that: nothing shows more.
package evidence

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// A Record is a message of the stream of results.
type Record struct {
	Sequence uint64
	Subject  string
	Payload  []byte
}

// A Hash is what SHA-256 makes of something.
type Hash [sha256.Size]byte

// The first byte of what is hashed tells leaves from what is above them (RFC 9162, 2.1.1).
const (
	leafByte = 0
	nodeByte = 1
)

// Leaf is a record's hash. The length of the subject stands before it, so that no byte can go over to the payload.
func (r Record) Leaf() Hash {
	b := make([]byte, 0, 1+8+4+len(r.Subject)+len(r.Payload))
	b = append(b, leafByte)
	b = binary.BigEndian.AppendUint64(b, r.Sequence)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Subject)))
	b = append(append(b, r.Subject...), r.Payload...)
	return sha256.Sum256(b)
}

// A Tree is a Merkle tree that grows at its end. It keeps the roots of its whole parts only. Its zero value is empty.
type Tree struct {
	roots []Hash // of parts of a power of two of leaves each, the largest first
	count uint64
}

// Add adds a leaf.
func (t *Tree) Add(leaf Hash) {
	for range bits.TrailingZeros64(^t.count) { // each part that is as large as what is added becomes one with it
		last := len(t.roots) - 1
		leaf = node(t.roots[last], leaf)
		t.roots = t.roots[:last]
	}
	t.roots = append(t.roots, leaf)
	t.count++
}

// Root is that of all leaves added so far.
func (t *Tree) Root() Hash {
	if len(t.roots) == 0 {
		return sha256.Sum256(nil)
	}
	root := t.roots[len(t.roots)-1]
	for i := len(t.roots) - 2; i >= 0; i-- {
		root = node(t.roots[i], root)
	}
	return root
}

func node(left, right Hash) Hash {
	b := make([]byte, 0, 1+2*sha256.Size)
	b = append(b, nodeByte)
	b = append(append(b, left[:]...), right[:]...)
	return sha256.Sum256(b)
}
