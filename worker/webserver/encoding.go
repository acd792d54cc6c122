package webserver

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"strings"
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
			return clear
		}
		return unreadableBody{errors.New("the body is not the gzip that its header says")}
	case encoding == "deflate" && isZlib(first):
		if clear, err := zlib.NewReader(body); err == nil {
			return clear
		}
		return unreadableBody{errors.New("the body is not the deflate that its header says")}
	case encoding == "deflate" && len(first) > 0 && !startsWith(first[:1], '{', '[', '<', ' ', '\r', '\n', '\t', 0xEF):
		return flate.NewReader(body)
	}
	return body
}

func isGzip(first []byte) bool { return len(first) == 2 && first[0] == 0x1f && first[1] == 0x8b }

// isZlib reports whether two bytes are the header of a zlib stream (RFC 1950): method 8, and a check sum.
func isZlib(first []byte) bool {
	return len(first) == 2 && first[0]&0x0f == 8 && (int(first[0])<<8|int(first[1]))%31 == 0
}

// An unreadableBody has nothing but an error.
type unreadableBody struct{ err error }

func (b unreadableBody) Read([]byte) (int, error) { return 0, b.err }
