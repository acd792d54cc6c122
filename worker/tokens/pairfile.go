package tokens

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"logoffworker/worker/webserver"
)

// A pair is an access token and what renews it, as it is stored. It prints without either.
type pair struct {
	Access         string    `json:"access"`
	Refresh        string    `json:"refresh"`
	Expires        time.Time `json:"expires,omitzero"`
	RenewableUntil time.Time `json:"renewableUntil,omitzero"`
}

// Format keeps the tokens out of whatever a pair is printed with.
func (p pair) Format(s fmt.State, verb rune) { webserver.Pair(p).Format(s, verb) }

// LogValue keeps the tokens out of logs.
func (p pair) LogValue() slog.Value { return webserver.Pair(p).LogValue() }

// errPairFile says what a pair file must hold. What it does hold is never repeated.
var errPairFile = errors.New(`must hold JSON with the texts "accessToken" and "refreshToken", and if known "tokenExpiryTimestamp" and "renewableUntilTimestamp" in seconds since 1970`)

// ReadPair reads the pair that an operator made from a file: the answer of the Web Server's POST
// V4/AccessToken, or an object with the same names.
func ReadPair(path string) (webserver.Pair, error) {
	p, err := readPair(path)
	return webserver.Pair(p), err
}

// maxPairFile is far more than two tokens need.
const maxPairFile = 64 << 10

func readPair(path string) (pair, error) {
	f, err := os.Open(path)
	if err != nil {
		return pair{}, errors.New("the file cannot be read")
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPairFile))
	if err != nil {
		return pair{}, errors.New("the file cannot be read")
	}
	return parsePair(text)
}

type pairForm struct {
	AccessToken             string `json:"accessToken"`
	RefreshToken            string `json:"refreshToken"`
	TokenExpiryTimestamp    int64  `json:"tokenExpiryTimestamp"`
	RenewableUntilTimestamp int64  `json:"renewableUntilTimestamp"`
}

func parsePair(text []byte) (pair, error) {
	var form struct {
		pairForm
		TokenInfo pairForm `json:"tokenInfo"`
	}
	if err := json.Unmarshal(text, &form, json.MatchCaseInsensitiveNames(true), jsontext.AllowDuplicateNames(true)); err != nil {
		return pair{}, errPairFile
	}
	f := form.pairForm
	if f.AccessToken == "" {
		f = form.TokenInfo
	}
	p := pair{strings.TrimPrefix(f.AccessToken, "Bearer "), f.RefreshToken, atSecond(f.TokenExpiryTimestamp), atSecond(f.RenewableUntilTimestamp)}
	if !usable(p.Access) || !usable(p.Refresh) {
		return pair{}, errPairFile
	}
	return p, nil
}

// usable reports whether a token can stand in a header.
func usable(token string) bool {
	return token != "" && len(token) <= 16<<10 && !strings.ContainsFunc(token, unicode.IsControl)
}

// lastSecond is the end of the year 9999, the last that JSON can write.
const lastSecond = 253402300799

// atSecond is zero for a time of no sense, which is then unknown.
func atSecond(n int64) time.Time {
	if n <= 0 || n > lastSecond {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}
