package intake

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
)

// How long senders are asked to wait.
const (
	crowdedWait = time.Second
	awayWait    = 5 * time.Second
	fullWait    = 30 * time.Second
	keysWait    = 30 * time.Second // a key set is asked for no more often
)

// An answer is what a sender is told. Its zero value is none.
type answer struct {
	code   int
	header [][2]string
	body   any // as JSON; nil for none
}

// with adds a header.
func (a answer) with(name, value string) answer {
	a.header = append(a.header, [2]string{name, value})
	return a
}

// after asks the sender to come again after some time.
func (a answer) after(d time.Duration) answer {
	return a.with("Retry-After", strconv.Itoa(int(d/time.Second)))
}

func (a answer) write(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	for _, h := range a.header {
		header.Set(h[0], h[1])
	}
	if a.body == nil {
		w.WriteHeader(a.code)
		return
	}
	text, err := json.Marshal(a.body, json.Deterministic(true))
	if err != nil { // which texts cannot cause that were read as UTF-8
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	header.Set("Content-Type", "application/json")
	w.WriteHeader(a.code)
	_, _ = w.Write(append(text, '\n')) // who went away needs no answer
}

// problem is an answer that says in words what is wrong.
func problem(code int, words string) answer {
	return answer{code: code, body: map[string]string{"error": words}}
}

func tooLarge(err error) bool {
	var limit *http.MaxBytesError
	return errors.As(err, &limit)
}
