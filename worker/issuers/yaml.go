package issuers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"logoffworker/jobs"
	"logoffworker/worker/env"
)

// A reader reads the nodes of a YAML document strictly, and collects everything that is wrong with them. What it says of
// a value does not repeat it, since a value in the wrong place may be a secret.
type reader struct {
	files    *files
	problems []problem
	names    map[string]bool // of publishers
	paths    map[string]bool // of the receiver
	urls     map[string]bool // of issuers
}

// A problem is something that is wrong on a line.
type problem struct {
	line  int
	words string
}

// A take reads the value of a member; at says in words where that stands.
type take = func(n *yaml.Node, at string)

// document is the one document that the bytes hold; nil if nothing stands in it.
func document(data []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, errors.New(inWords(err))
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file holds more than one YAML document; keep the first, and remove the line --- and what is below it")
	}
	return first.Content[0], nil
}

// unknownAnchor is the one message of the parser that repeats something of the file.
var unknownAnchor = regexp.MustCompile(`unknown anchor '.*' referenced`)

func inWords(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	return "the file is no YAML: " + unknownAnchor.ReplaceAllString(text, "a value begins with an asterisk, which makes it a reference; put it into quotes")
}

func (r *reader) wrong(n *yaml.Node, at, format string, values ...any) {
	where := fmt.Sprintf("line %d", n.Line)
	if at != "" {
		where += ", " + at
	}
	r.problems = append(r.problems, problem{n.Line, where + ": " + fmt.Sprintf(format, values...)})
}

// err is everything that is wrong, a line each, in the order of the file; nil if nothing is.
func (r *reader) err() error {
	slices.SortStableFunc(r.problems, func(a, b problem) int { return a.line - b.line })
	var all []error
	for _, p := range r.problems {
		all = append(all, errors.New(p.words))
	}
	return errors.Join(all...)
}

// isNothing is of a member after whose colon nothing stands.
func isNothing(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// each visits the members of a mapping, in their order. Where nothing stands there are none.
func (r *reader) each(n *yaml.Node, at string, visit func(key, value *yaml.Node)) {
	if isNothing(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.wrong(n, at, "must be a mapping: members with their values, as in name: okta")
		return
	}
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge":
			r.wrong(key, at, "must have plain names of members; references and merges are not taken")
		case seen[key.Value]:
			r.wrong(key, at, "a member is here that stands above already; keep one")
		default:
			seen[key.Value] = true
			visit(key, value)
		}
	}
}

// members reads a mapping whose members are known.
func (r *reader) members(n *yaml.Node, at string, readers map[string]take) {
	known := slices.Sorted(maps.Keys(readers))
	r.each(n, at, func(key, value *yaml.Node) {
		if read := readers[key.Value]; read != nil {
			read(value, within(at, key.Value))
			return
		}
		r.wrong(key, at, "%s", unknown("member", key.Value, known))
	})
}

// unknown says that a name is not known, and which is meant. The name itself is told by the line alone.
func unknown(what, name string, known []string) string {
	meant := env.Nearest(name, known, 2)
	if part := slices.IndexFunc(known, func(k string) bool { return strings.Contains(k, name) }); meant == "" && part >= 0 {
		meant = known[part]
	}
	if meant != "" {
		return fmt.Sprintf("there is no such %s; did you mean %s?", what, meant)
	}
	return fmt.Sprintf("there is no such %s; there are %s", what, strings.Join(known, ", "))
}

// within is the place of a member.
func within(at, member string) string {
	switch {
	case at == "":
		return member
	case strings.Contains(at, ", "):
		return at + "." + member
	}
	return at + ", " + member
}

// entries reads a list.
func (r *reader) entries(read take) take {
	return func(n *yaml.Node, at string) {
		if isNothing(n) {
			return
		}
		if n.Kind != yaml.SequenceNode {
			r.wrong(n, at, "must be a list: each entry on a line that begins with -, or all in [brackets]")
			return
		}
		for _, entry := range n.Content {
			read(entry, at)
		}
	}
}

// value is the text of a scalar; ok is false where it is wrong, which is told.
func (r *reader) value(n *yaml.Node, at string) (text string, ok bool) {
	standard := slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp"}, n.ShortTag())
	switch {
	case n.Kind == yaml.AliasNode:
		r.wrong(n, at, "is a reference, which is not taken; put a value that begins with an asterisk into quotes")
	case n.Kind != yaml.ScalarNode:
		r.wrong(n, at, "must be one value")
	case n.Value == "" || isNothing(n):
		r.wrong(n, at, "is empty; give it a value, or leave it out")
	case !standard:
		r.wrong(n, at, "begins with an exclamation mark, which makes it a tag; put the value into quotes")
	case strings.ContainsFunc(n.Value, unicode.IsControl):
		r.wrong(n, at, "holds a line break or another control character")
	default:
		return n.Value, true
	}
	return "", false
}

func (r *reader) text(to *string) take {
	return func(n *yaml.Node, at string) { *to, _ = r.value(n, at) }
}

// texts reads a list of texts, or one text.
func (r *reader) texts(to *[]string) take {
	return func(n *yaml.Node, at string) {
		add := func(n *yaml.Node, at string) {
			if text, ok := r.value(n, at); ok {
				*to = append(*to, text)
			}
		}
		if n.Kind != yaml.SequenceNode {
			add(n, at)
			return
		}
		if len(n.Content) == 0 {
			r.wrong(n, at, "is an empty list; give it an entry, or leave it out")
		}
		r.entries(add)(n, at)
	}
}

// choice reads one of some words.
func (r *reader) choice(to *string, words ...string) take {
	return func(n *yaml.Node, at string) {
		text, ok := r.value(n, at)
		if ok && !slices.Contains(words, text) {
			r.wrong(n, at, "must be %s", strings.Join(words, " or "))
			return
		}
		*to = text
	}
}

func (r *reader) truth(to *bool) take {
	return func(n *yaml.Node, at string) {
		if n.ShortTag() != "!!bool" || n.Decode(to) != nil {
			r.wrong(n, at, "must be true or false")
		}
	}
}

// duration reads one of at least so much, or 0 where that is allowed.
func (r *reader) duration(to *time.Duration, least time.Duration, orZero bool) take {
	return func(n *yaml.Node, at string) {
		text, ok := r.value(n, at)
		if !ok {
			return
		}
		d, err := time.ParseDuration(text)
		switch {
		case err != nil:
			r.wrong(n, at, "must be a duration such as 5s, 2m or 720h")
		case d < least && (d != 0 || !orZero):
			r.wrong(n, at, "must be %v or more", least)
		default:
			*to = d
		}
	}
}

// name reads a name under which jobs are published.
func (r *reader) name(to *string) take {
	return func(n *yaml.Node, at string) {
		text, ok := r.value(n, at)
		switch {
		case !ok:
		case jobs.LegalID(text) != nil:
			r.wrong(n, at, "must be 1 to %d visible characters without blanks, dots, asterisks and >, because it is part of a subject of NATS", jobs.MaxIDLength)
		case r.names[text]:
			r.wrong(n, at, "is the name of another issuer, recipe or publisher; results tell them apart by it")
		default:
			r.names[text] = true
			*to = text
		}
	}
}

// secret reads a value, or a mapping with the file that it is in.
func (r *reader) secret(to *Secret) take {
	return func(n *yaml.Node, at string) {
		if n.Kind == yaml.MappingNode {
			r.members(n, at, map[string]take{"file": r.secretFile(to)})
			return
		}
		if text, ok := r.value(n, at); ok {
			r.give(to, env.Source(env.Secret(text), ""), n, at)
		}
	}
}

// secretFile reads the name of a file that holds a secret, and sees whether it does.
func (r *reader) secretFile(to *Secret) take {
	return func(n *yaml.Node, at string) {
		file := r.path(n, at)
		if file == "" {
			return
		}
		if _, err := env.ReadSecret(file); err != nil {
			r.wrong(n, at, "%v", err)
		}
		r.give(to, env.Source("", file), n, at)
	}
}

func (r *reader) give(to *Secret, secret Secret, n *yaml.Node, at string) {
	if *to != nil {
		r.wrong(n, at, "is given as a value and as a file; keep one")
	}
	*to = secret
}

// path is the file that a value names; empty where it is wrong, which is told.
func (r *reader) path(n *yaml.Node, at string) string {
	text, ok := r.value(n, at)
	if !ok {
		return ""
	}
	return r.files.resolve(text)
}

// file reads the name of a file.
func (r *reader) file(to *string) take {
	return func(n *yaml.Node, at string) { *to = r.path(n, at) }
}

// url reads an address that requests are made to, or may come to.
func (r *reader) url(to *string) take {
	return func(n *yaml.Node, at string) {
		text, ok := r.value(n, at)
		if !ok {
			return
		}
		if problem := urlProblem(text); problem != "" {
			r.wrong(n, at, "%s", problem)
			return
		}
		*to = text
	}
}

// urlProblem says what is wrong with an address; empty when nothing is.
func urlProblem(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return "must be an address such as https://idp.example/keys"
	case u.User != nil:
		return "must not hold a user or password"
	case u.Fragment != "":
		return "must end before the #"
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "must begin with https://; http:// is for addresses of this machine alone"
	}
	return ""
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// jobsPath is where publishers post jobs, which no other use may have.
const jobsPath = "/v1/jobs"

// receiverPath reads a path of the receiver.
func (r *reader) receiverPath(to *string) take {
	return func(n *yaml.Node, at string) {
		text, ok := r.value(n, at)
		switch {
		case !ok:
		case !strings.HasPrefix(text, "/v1/") || path.Clean(text) != text || strings.ContainsAny(text, "?#%{} "):
			r.wrong(n, at, "must begin with /v1/, as in /v1/events/okta, without a slash at its end, blanks, and any of ? # %% { }")
		case text == jobsPath:
			r.wrong(n, at, "is where publishers post jobs; choose another")
		case r.paths[text]:
			r.wrong(n, at, "is used above already; each use needs a path of its own")
		default:
			r.paths[text] = true
			*to = text
		}
	}
}
