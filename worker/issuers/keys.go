package issuers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"logoffworker/worker/env"
)

const (
	keysEvery   = time.Hour        // how often a key set is read in any case
	keysPause   = 30 * time.Second // between two requests for one, whoever asks
	keysTimeout = 10 * time.Second
	maxKeySet   = 1 << 20
)

// A keySet are the keys of one issuer, which are at a URL.
type keySet struct {
	url, caFile string
	keys        jose.JSONWebKeySet
	remarks     []string
	read        time.Time // when it was last read; zero if it never was
	asked       time.Time // when the latest request for it began
	asking      bool
	wanted      bool
	err         error // of the latest request; nil if it went well, or is the first
}

// due is when the key set is to be asked for.
func (s *keySet) due() time.Time {
	switch {
	case s.asked.IsZero():
		return time.Time{}
	case s.wanted, s.read.IsZero(), s.err != nil:
		return s.asked.Add(keysPause)
	}
	return s.asked.Add(keysEvery)
}

// keyCache holds the key sets that are at URLs, by the issuer's name.
type keyCache struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	wake chan struct{} // holds one

	mu   sync.Mutex
	sets map[string]*keySet
}

func newKeyCache() *keyCache {
	return &keyCache{wake: make(chan struct{}, 1), sets: map[string]*keySet{}}
}

// adopt says where the key sets are now. What was read from where one was before stays.
func (c *keyCache) adopt(sources map[string]KeySource) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.sets, func(name string, _ *keySet) bool { return sources[name].URL == "" })
	for name, source := range sources {
		if source.URL == "" {
			continue
		}
		set := c.sets[name]
		if set == nil || set.url != source.URL {
			set = &keySet{url: source.URL}
			c.sets[name] = set
		}
		set.caFile = source.CAFile
	}
	c.rouse()
}

func (c *keyCache) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// want has a key set asked for as soon as that may be.
func (c *keyCache) want(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if set := c.sets[name]; set != nil && !set.wanted {
		set.wanted = true
		c.rouse()
	}
}

// of are the keys of an issuer, and when they were read; the zero time if they never were.
func (c *keyCache) of(name string) (keys jose.JSONWebKeySet, read time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if set := c.sets[name]; set != nil {
		return set.keys, set.read
	}
	return jose.JSONWebKeySet{}, time.Time{}
}

// troubles say whose keys could not be read the last time, and since when those are that are used instead.
func (c *keyCache) troubles() (all []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(c.sets)) {
		switch set := c.sets[name]; {
		case set.err == nil:
		case set.read.IsZero():
			all = append(all, fmt.Sprintf("the keys of %s cannot be read, and never were: %v", name, set.err))
		default:
			all = append(all, fmt.Sprintf("the keys of %s cannot be read, and those of %s are used: %v", name, set.read.UTC().Format(time.RFC3339), set.err))
		}
	}
	return all
}

// run asks for key sets when they are due, until ctx ends. tell hears after each answer.
func (c *keyCache) run(ctx context.Context, tell func()) {
	var asking sync.WaitGroup
	defer asking.Wait()
	for ctx.Err() == nil {
		next := c.begin(func(set *keySet) {
			asking.Go(func() {
				c.ask(ctx, set)
				tell()
				c.rouse()
			})
		})
		select {
		case <-ctx.Done():
		case <-c.wake:
		case <-time.After(time.Until(next)):
		}
	}
}

// begin begins with the key sets that are due, and returns when it is to be called again.
func (c *keyCache) begin(ask func(*keySet)) (next time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	next = now.Add(keysEvery)
	for _, set := range c.sets {
		due := set.due()
		switch {
		case set.asking: // its end wakes
		case due.After(now):
			next = earlier(next, due)
		default:
			set.asked, set.asking, set.wanted = now, true, false
			ask(set)
		}
	}
	return next
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// ask makes one request for a key set, and takes what comes.
func (c *keyCache) ask(ctx context.Context, set *keySet) {
	keys, remarks, err := c.fetch(ctx, KeySource{URL: set.url, CAFile: c.caFile(set)})
	c.mu.Lock()
	defer c.mu.Unlock()
	set.asking = false
	if ctx.Err() != nil {
		return // a stop is no trouble
	}
	set.err = err
	if err == nil {
		set.keys, set.remarks, set.read = keys, remarks, time.Now()
	}
}

// readNow makes a request for a key set whatever was asked before, and returns what of it is passed over. Sets that are
// not at URLs are fresh.
func (c *keyCache) readNow(ctx context.Context, name string) (remarks []string, err error) {
	c.mu.Lock()
	set := c.sets[name]
	if set != nil {
		set.asked, set.asking, set.wanted = time.Now(), true, false
	}
	c.mu.Unlock()
	if set == nil {
		return nil, nil
	}
	c.ask(ctx, set)
	c.mu.Lock()
	defer c.mu.Unlock()
	return set.remarks, set.err
}

func (c *keyCache) caFile(set *keySet) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return set.caFile
}

// fetch reads a key set over HTTP, in one request. Its errors name the host alone.
func (c *keyCache) fetch(ctx context.Context, source KeySource) (jose.JSONWebKeySet, []string, error) {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	none := func(err error) (jose.JSONWebKeySet, []string, error) { return jose.JSONWebKeySet{}, nil, err }
	client, err := c.client(source.CAFile)
	if err != nil {
		return none(err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, source.URL, nil)
	if err != nil {
		return none(errors.New("the address is no URL"))
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := client.Do(request)
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err // without the URL
	}
	if err != nil {
		return none(fmt.Errorf("%s does not answer: %w", request.URL.Host, err))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return none(fmt.Errorf("%s answers with status %d", request.URL.Host, response.StatusCode))
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxKeySet+1))
	switch {
	case err != nil:
		return none(fmt.Errorf("%s ends its answer too early: %w", request.URL.Host, err))
	case len(data) > maxKeySet:
		return none(fmt.Errorf("%s answers with more than %d bytes", request.URL.Host, maxKeySet))
	}
	keys, remarks, err := readKeys(data)
	if err != nil {
		err = fmt.Errorf("the answer of %s %w", request.URL.Host, err)
	}
	return keys, remarks, err
}

// client makes requests, and follows no redirect to another host.
func (c *keyCache) client(caFile string) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pool, err := certificates(caFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = pool
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: c.dial, TLSClientConfig: config, Proxy: http.ProxyFromEnvironment,
			DisableKeepAlives: true, // for one request an hour
		},
		CheckRedirect: func(to *http.Request, via []*http.Request) error {
			from := via[0].URL
			if to.URL.Host != from.Host || to.URL.Scheme != from.Scheme {
				return errors.New("it sends to another address, which is not followed; put the address of the keys into the file")
			}
			if len(via) > 3 {
				return errors.New("it sends on and on")
			}
			return nil
		},
	}, nil
}

// certificates reads a file of certificates.
func certificates(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", env.Unreadable(err))
	}
	pool, err := certificatesOf(pem)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	return pool, nil
}

func certificatesOf(pem []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("the file holds no PEM certificate")
	}
	return pool, nil
}
