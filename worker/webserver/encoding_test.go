package webserver

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"
	"testing"
)

func packed(t *testing.T, body string, open func(io.Writer) io.WriteCloser) string {
	t.Helper()
	var b bytes.Buffer
	w := open(&b)
	io.WriteString(w, body)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func gzipped(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }

func zlibbed(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }

func deflated(w io.Writer) io.WriteCloser {
	f, _ := flate.NewWriter(w, flate.DefaultCompression)
	return f
}

// wide is ASCII in UTF-16, with the zero in front of each character or behind it.
func wide(text string, zeroes int) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		b.Write([][]byte{{c, 0}, {0, c}}[zeroes])
	}
	return b.String()
}

// Whatever was asked for, an answer may come in an encoding, and its header may be wrong about it.
func TestEncodedAnswersAreRead(t *testing.T) {
	for name, test := range map[string]struct {
		encoding, body string
		want           Verdict // of a logoff; 0 is success
	}{
		"gzip":                     {"gzip", packed(t, successElement, gzipped), 0},
		"x-gzip":                   {"X-GZIP", packed(t, successElement, gzipped), 0},
		"deflate of zlib":          {"deflate", packed(t, successElement, zlibbed), 0},
		"bare deflate":             {"deflate", packed(t, successElement, deflated), 0},
		"gzip that is none":        {"gzip", successElement, 0},
		"deflate that is none":     {"deflate", successElement, 0},
		"identity":                 {"identity", successElement, 0},
		"gzip cut off":             {"gzip", packed(t, successElement, gzipped)[:20], Unavailable},
		"gzip with a broken sum":   {"gzip", packed(t, successElement, gzipped)[:40] + "x", Unavailable},
		"deflate cut off":          {"deflate", packed(t, successElement, zlibbed)[:12], Unavailable},
		"gzip not told":            {"", packed(t, successElement, gzipped), Unavailable},
		"an encoding of tomorrow":  {"zstd", "\x28\xb5\x2f\xfd", Unavailable},
		"an error in gzip":         {"gzip", packed(t, `{"errorMessage":"no","errorCode":7}`, gzipped), Refused},
		"a page in gzip":           {"gzip", packed(t, maintenance, gzipped), Unavailable},
		"bomb in deflate":          {"deflate", packed(t, strings.Repeat(" ", 64*maxBody)+successElement, deflated), Unavailable},
		"bomb in zlib":             {"deflate", packed(t, strings.Repeat(" ", 64*maxBody)+successElement, zlibbed), Unavailable},
		"two successes in gzip":    {"gzip", packed(t, successElement+successElement, gzipped), Unavailable},
		"gzip in gzip":             {"gzip, gzip", packed(t, packed(t, successElement, gzipped), gzipped), Unavailable},
		"junk behind zlib":         {"deflate", packed(t, successElement, zlibbed) + "junk", Unavailable},
		"junk behind a deflate":    {"deflate", packed(t, successElement, deflated) + "junk", Unavailable},
		"junk behind gzip":         {"gzip", packed(t, successElement, gzipped) + "junk", Unavailable},
		"UTF-16":                   {"", "\xff\xfe" + wide(successElement, 0), 0},
		"UTF-16 in gzip":           {"gzip", packed(t, "\xfe\xff"+wide(successElement, 1), gzipped), 0},
		"UTF-16 without its mark":  {"", wide(successElement, 0), Unavailable},
		"half of UTF-16":           {"", "\xff\xfe" + wide(successElement, 0)[1:], Unavailable},
		"junk behind bare deflate": {"deflate", "\x05\x00\xff", Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, map[string]http.HandlerFunc{"Sessions": says(200, test.body, "Content-Encoding", test.encoding)})
			err := s.client(t).Logoff(t.Context(), Origin{}, []string{guid})
			if test.want == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if e := facts(t, err); e.Verdict != test.want || !e.Sent {
				t.Errorf("%+v", e)
			}
		})
	}
}

// What begins in a way that nobody knows is named by its first bytes.
func TestUnknownAnswerIsNamed(t *testing.T) {
	for body, want := range map[string]string{
		"\x28\xb5\x2f\xfd\x00": "28 b5 2f fd 00",
		`{"status":"OK"}`:      `{"status":"OK"}`,
		"done, canary-token":   "done",
	} {
		s := serve(t, map[string]http.HandlerFunc{"Sessions": says(200, body)})
		e := facts(t, s.client(t, func(c *Config) { c.Token = fixed("QSDK canary-token") }).Logoff(t.Context(), Origin{}, []string{guid}))
		if !e.Unknown || !strings.Contains(e.Error(), want) || strings.Contains(e.Error(), "canary") {
			t.Errorf("%q is %v", body, e)
		}
	}
}

// What was packed says itself where it ends; that the connection broke off is seen all the same.
func TestPackedAnswerShorterThanItsLengthIsNoSuccess(t *testing.T) {
	for encoding, body := range map[string]string{
		"gzip": packed(t, successElement, gzipped), "deflate": packed(t, successElement, zlibbed), "Deflate": packed(t, successElement, deflated),
	} {
		c, _ := raw(t, plays("HTTP/1.1 200 OK\r\nContent-Encoding: "+encoding+"\r\nContent-Length: 200\r\n\r\n"+body))
		if e := facts(t, c.Logoff(t.Context(), Origin{}, []string{guid})); e.Verdict != Unavailable || !e.Sent {
			t.Errorf("%s: %v", encoding, e)
		}
	}
}

func TestUnknownEncodingIsNamed(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"Sessions": says(200, "\x1b\x03\x00\xff", "Content-Encoding", "br")})
	e := facts(t, s.client(t).Logoff(t.Context(), Origin{}, []string{guid}))
	if !e.Unknown || !strings.Contains(e.Error(), "br, which was not asked for; it begins with the bytes 1b 03 00 ff") {
		t.Error(e)
	}
}
