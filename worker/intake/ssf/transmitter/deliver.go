package transmitter

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// poll answers a poll: what is acknowledged or refused is forgotten first.
func (t *Transmitter) poll(r *http.Request, body []byte, e *Entry) answer {
	var asks struct {
		Max         *int     `json:"maxEvents"`
		Immediately bool     `json:"returnImmediately"`
		Ack         []string `json:"ack"`
		Refused     map[string]struct {
			Err         string `json:"err"`
			Description string `json:"description"`
		} `json:"setErrs"`
	}
	if json.Unmarshal(body, &asks) != nil {
		return failure(http.StatusBadRequest, "invalid_request", "this is no JSON")
	}
	e.Ack = asks.Ack
	for jti, refused := range asks.Refused {
		if e.Refused == nil {
			e.Refused = map[string]string{}
		}
		e.Refused[jti] = refused.Err
	}
	if !t.forget(r.PathValue("stream"), e) {
		return noStream
	}
	limit := 1000
	if asks.Max != nil {
		limit = *asks.Max
	}
	sent, more := t.await(r.Context(), r.PathValue("stream"), limit, asks.Immediately)
	sets := map[string]string{}
	for _, token := range sent {
		sets[token.jti] = token.text
		e.Sent = append(e.Sent, token.jti)
	}
	return answer{http.StatusOK, map[string]any{"sets": sets, "moreAvailable": more}}
}

// forget drops what a poll says it has; false if there is no such stream.
func (t *Transmitter) forget(id string, e *Entry) bool {
	if t.Acked != nil {
		for _, jti := range e.Ack {
			t.Acked(jti)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.find(id)
	if s == nil {
		return false
	}
	s.pending = slices.DeleteFunc(s.pending, func(k token) bool {
		_, refused := e.Refused[k.jti]
		return refused || slices.Contains(e.Ack, k.jti)
	})
	return true
}

// await is what a poll gets, once there is something, or its time is up.
func (t *Transmitter) await(ctx context.Context, id string, limit int, immediately bool) (sent []token, more bool) {
	t.mu.Lock()
	held := time.After(t.settings.Hold)
	t.mu.Unlock()
	for last := immediately || limit == 0; ; {
		t.mu.Lock()
		sent, more = t.ready(id, limit)
		changed := t.changed
		t.mu.Unlock()
		if len(sent) > 0 || last {
			return sent, more
		}
		select {
		case <-ctx.Done():
			return nil, false
		case <-held:
			last = true
		case <-changed:
		}
	}
}

// ready is what a stream delivers now. The lock is held.
func (t *Transmitter) ready(id string, limit int) (sent []token, more bool) {
	s := t.find(id)
	if s == nil || t.settings.Silent || s.status != "enabled" {
		return nil, false
	}
	return slices.Clone(s.pending[:min(limit, len(s.pending))]), len(s.pending) > limit
}

// Push delivers to streams that want pushes until ctx ends, one token after the other, and again what was not taken.
func (t *Transmitter) Push(ctx context.Context, client *http.Client) {
	for wait := time.Duration(0); ; {
		t.mu.Lock()
		changed := t.changed
		s, next, found := t.toPush()
		t.mu.Unlock()
		var retry <-chan time.Time
		if found {
			var after time.Duration
			if after, found = t.push(ctx, client, s, next); found {
				wait = 0
				continue
			}
			wait = min(max(time.Second, 2*wait, after), time.Minute)
			retry = time.After(wait)
			changed = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-retry:
		}
	}
}

// toPush is the next token to be pushed. The lock is held.
func (t *Transmitter) toPush() (s stream, next token, found bool) {
	for _, s := range t.streams {
		if s.Delivery.Method == push && s.status == "enabled" && len(s.pending) > 0 && !t.settings.Silent {
			return *s, s.pending[0], true
		}
	}
	return s, next, false
}

// push delivers one token; done means that it need not come again.
func (t *Transmitter) push(ctx context.Context, client *http.Client, s stream, k token) (after time.Duration, done bool) {
	e := Entry{At: time.Now(), Op: "push", Sent: []string{k.jti}}
	defer func() { t.note(e) }()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Delivery.Endpoint, strings.NewReader(k.text))
	if err != nil {
		return 0, false
	}
	r.Header.Set("Content-Type", "application/secevent+jwt")
	r.Header.Set("Accept", "application/json")
	if s.Delivery.Authorization != "" {
		r.Header.Set("Authorization", s.Delivery.Authorization)
	}
	response, err := client.Do(r)
	if err != nil {
		return 0, false
	}
	defer response.Body.Close()
	e.Status = response.StatusCode
	body, _ := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if e.Status == http.StatusBadRequest {
		var refused struct {
			Err string `json:"err"`
		}
		_ = json.Unmarshal(body, &refused)
		e.Refused = map[string]string{k.jti: refused.Err}
	}
	if done = e.Status == http.StatusAccepted || e.Status == http.StatusBadRequest; done {
		t.drop(s.ID, k.jti)
	}
	seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
	return time.Duration(seconds) * time.Second, done
}

func (t *Transmitter) drop(id, jti string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.find(id); s != nil {
		s.pending = slices.DeleteFunc(s.pending, func(k token) bool { return k.jti == jti })
	}
}
