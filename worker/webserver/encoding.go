package webserver

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf16"
)

// decoded reads a body in clear. We ask for no encoding, and a front end is known to use one all the same: gzip,
// and deflate in both of its meanings (RFC 9110 names the one of zlib, old servers send the bare one). What is
// not what its header says is read as it is.
func decoded(response *http.Response) io.Reader {
	body := bufio.NewReader(response.Body)
	first, _ := body.Peek(2)
	switch encoding := strings.ToLower(strings.TrimSpace(response.Header.Get("Content-Encoding"))); {
	case (encoding == "gzip" || encoding == "x-gzip") && isGzip(first):
		if clear, err := gzip.NewReader(body); err == nil {
			return unpacked{clear, body}
		}
		return unreadableBody{errors.New("the body is not the gzip that its header says")}
	case encoding == "deflate" && isZlib(first):
		if clear, err := zlib.NewReader(body); err == nil {
			return unpacked{clear, body}
		}
		return unreadableBody{errors.New("the body is not the deflate that its header says")}
	case encoding == "deflate" && len(first) > 0 && !startsWith(first[:1], '{', '[', '<', ' ', '\r', '\n', '\t', 0xEF):
		return unpacked{flate.NewReader(body), body}
	}
	return body
}

// An unpacked body ends where both it and what it was packed in end: the packed form says itself where that is, and
// more, or a connection that broke off, may follow.
type unpacked struct {
	clear  io.Reader
	packed *bufio.Reader
}

func (u unpacked) Read(p []byte) (int, error) {
	n, err := u.clear.Read(p)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if _, err := u.packed.Peek(1); err != nil {
		return n, err
	}
	return n, errors.New("more follows the packed body")
}

// fromUTF16 is a body in UTF-8 that begins with the mark of UTF-16, as some of .NET do; any other is left as it is.
func fromUTF16(body []byte) []byte {
	var order binary.ByteOrder = binary.LittleEndian
	switch {
	case bytes.HasPrefix(body, []byte{0xFE, 0xFF}):
		order = binary.BigEndian
	case !bytes.HasPrefix(body, []byte{0xFF, 0xFE}):
		return body
	}
	if len(body)%2 != 0 {
		return body
	}
	units := make([]uint16, 0, len(body)/2)
	for i := 2; i < len(body); i += 2 {
		units = append(units, order.Uint16(body[i:]))
	}
	return []byte(string(utf16.Decode(units)))
}

func isGzip(first []byte) bool { return len(first) == 2 && first[0] == 0x1f && first[1] == 0x8b }

// isZlib reports whether two bytes are the header of a zlib stream (RFC 1950): method 8, and a check sum.
func isZlib(first []byte) bool {
	return len(first) == 2 && first[0]&0x0f == 8 && (int(first[0])<<8|int(first[1]))%31 == 0
}

// An unreadableBody has nothing but an error.
type unreadableBody struct{ err error }

func (b unreadableBody) Read([]byte) (int, error) { return 0, b.err }
