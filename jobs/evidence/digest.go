package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nkeys"
)

// Version is the version of digests that this package writes and reads.
const Version = 1

// MaxRecords is the longest range of sequences of one digest.
const MaxRecords = 4096

// MaxBytes is more than any digest needs.
const MaxBytes = 32 << 10

// A Digest says what a range of results is.
type Digest struct {
	Version int `json:"version"`
	// Number is 1 for the first digest, and grows by one with each.
	Number uint64 `json:"number"`
	// From and To are the sequences of the first and the last result in the stream of results. Sequences between them
	// of which nothing was there are marked in Prints.
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
	// Count is how many results there are, and Root that of the tree over them.
	Count uint64 `json:"count"`
	Root  Hash   `json:"root"`
	// Prints are the first four bytes of each leaf, zeros where there was no result. The proof is the root; they tell
	// which result is not what it was.
	Prints []byte `json:"prints"`
	// Latest is when the last of the results was stored, and Made when their stream was made.
	Latest time.Time `json:"latest"`
	Made   time.Time `json:"made"`
	// Previous is the hash of the digest before; zeros at the first. Since is when that was signed.
	Previous Hash      `json:"previous"`
	Since    time.Time `json:"since,omitzero"`
	At       time.Time `json:"at"` // signed
	Worker   string    `json:"worker"`
	// Key is the public NKEY of who signed, and Signature is over all else.
	Key       string `json:"key"`
	Signature []byte `json:"signature"`
}

// printSize is how many bytes of a leaf a digest has.
const printSize = 4

// signed stands before what is signed, so that no signature can be taken for one over something else.
const signed = "logoff audit digest 1\n"

// hashMark stands before a hash, which is written as browsers and package managers write theirs.
const hashMark = "sha256-"

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode([]byte(hashMark), h[:]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(text []byte) error {
	digits, marked := bytes.CutPrefix(text, []byte(hashMark))
	data, err := base64.StdEncoding.AppendDecode(nil, digits)
	if err != nil || !marked || len(data) != len(h) {
		return errors.New("a hash is " + hashMark + " and 32 bytes in base64")
	}
	copy(h[:], data)
	return nil
}

// String implements fmt.Stringer.
func (h Hash) String() string { return hashMark + base64.StdEncoding.EncodeToString(h[:]) }

// A Range gathers the results of one digest, in the order of the stream.
type Range struct {
	tree   Tree
	from   uint64
	prints []byte
}

// NewRange returns a range that begins with a sequence.
func NewRange(from uint64) *Range { return &Range{from: from} }

// Full reports whether nothing more fits that follows at once.
func (r *Range) Full() bool { return len(r.prints) >= MaxRecords*printSize }

// Add adds a result. It reports false, and adds nothing, where the result is too far behind the first.
func (r *Range) Add(record Record) bool {
	at := record.Sequence - r.from
	if record.Sequence < r.from || at >= MaxRecords || at*printSize < uint64(len(r.prints)) {
		return false
	}
	leaf := record.Leaf()
	r.tree.Add(leaf)
	r.prints = append(r.prints, make([]byte, int(at)*printSize-len(r.prints))...)
	r.prints = append(r.prints, leaf.print()...)
	return true
}

// print is what of a leaf stands in a digest; zeros mean that there is none.
func (h Hash) print() []byte {
	p := h[:printSize]
	if binary.BigEndian.Uint32(p) == 0 {
		return []byte{0, 0, 0, 1}
	}
	return p
}

// Into writes the range into a digest.
func (r *Range) Into(d *Digest) {
	d.From, d.To = r.from, r.from+uint64(len(r.prints)/printSize)-1
	d.Count, d.Root, d.Prints = r.tree.count, r.tree.Root(), r.prints
}

// Sign signs the digest with a key, and returns it as [DecodeDigest] reads it.
func (d *Digest) Sign(key nkeys.KeyPair) ([]byte, error) {
	public, err := key.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("sign a digest: %w", err)
	}
	d.Version, d.Key = Version, public
	text, err := d.text()
	if err != nil {
		return nil, err
	}
	if d.Signature, err = key.Sign(text); err != nil {
		return nil, fmt.Errorf("sign a digest: %w", err)
	}
	return d.encode()
}

// Verify tells whether the key that the digest names has signed it.
func (d Digest) Verify() error {
	key, err := nkeys.FromPublicKey(d.Key)
	if err != nil {
		return fmt.Errorf("its key is no public NKEY: %w", err)
	}
	text, err := d.text()
	if err != nil {
		return err
	}
	if err := key.Verify(text, d.Signature); err != nil {
		return fmt.Errorf("it is not signed by %s, as it says: %w", d.Key, err)
	}
	return nil
}

// text is what is signed.
func (d Digest) text() ([]byte, error) {
	d.Signature = nil
	data, err := d.encode()
	return append([]byte(signed), data...), err
}

func (d Digest) encode() ([]byte, error) {
	d.Latest, d.Made, d.Since, d.At = d.Latest.UTC(), d.Made.UTC(), d.Since.UTC(), d.At.UTC()
	data, err := json.Marshal(d, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("encode a digest: %w", err)
	}
	return data, nil
}

// HashOf is the hash by which the next digest names an encoded one.
func HashOf(digest []byte) Hash { return sha256.Sum256(digest) }

// DecodeDigest reads a digest. There is one way only to write it, so that all of it is what is signed. Whether it is
// signed, [Digest.Verify] tells.
func DecodeDigest(data []byte) (Digest, error) {
	var d Digest
	if len(data) > MaxBytes {
		return Digest{}, fmt.Errorf("decode a digest: it has %d bytes, more than any", len(data))
	}
	if err := json.Unmarshal(data, &d, json.RejectUnknownMembers(true)); err != nil {
		return Digest{}, fmt.Errorf("decode a digest: %w", err)
	}
	if err := d.check(); err != nil {
		return Digest{}, fmt.Errorf("decode a digest: %w", err)
	}
	again, err := d.encode()
	if err == nil && !bytes.Equal(again, data) {
		err = errors.New("decode a digest: it is not written as digests are")
	}
	if err != nil {
		return Digest{}, err
	}
	return d, nil
}

// check refuses what no digest says.
func (d Digest) check() error {
	length := d.To - d.From + 1
	switch {
	case d.Version != Version:
		return fmt.Errorf("its version is %d, and this program knows version %d", d.Version, Version)
	case d.Number == 0:
		return errors.New("it has no number")
	case d.From == 0 || d.To < d.From || length > MaxRecords:
		return fmt.Errorf("it cannot cover results %d to %d", d.From, d.To)
	case uint64(len(d.Prints)) != length*printSize:
		return fmt.Errorf("it covers %d sequences, and has %d bytes of prints", length, len(d.Prints))
	case uint64(d.prints()) != d.Count:
		return fmt.Errorf("it counts %d results, and has prints of %d", d.Count, d.prints())
	}
	return nil
}

// prints counts the results that left a print.
func (d Digest) prints() (n int) {
	for at := 0; at < len(d.Prints); at += printSize {
		if binary.BigEndian.Uint32(d.Prints[at:]) != 0 {
			n++
		}
	}
	return n
}

// print is that of a sequence in the range.
func (d Digest) print(sequence uint64) []byte {
	at := (sequence - d.From) * printSize
	return d.Prints[at : at+printSize]
}

// had reports whether there was a result.
func (d Digest) had(sequence uint64) bool { return binary.BigEndian.Uint32(d.print(sequence)) != 0 }

// is reports whether a print is that of a leaf.
func (d Digest) is(sequence uint64, leaf Hash) bool {
	return bytes.Equal(d.print(sequence), leaf.print())
}
