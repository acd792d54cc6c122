package issuers

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"logoffworker/jobs/signals"
)

// A state is what the files say at one moment.
type state struct {
	file  *File
	keys  map[string]fileKeys // of issuers whose keys are in a file
	files *files
}

// maxFile is the most bytes that an issuers file may have.
const maxFile = 1 << 20

// load reads an issuers file and the files that it names. Its error says everything that is wrong, a line each.
func load(path string) (*state, error) {
	files := newFiles(path)
	data, err := files.read(path)
	if err != nil {
		return nil, err
	}
	s := &state{files: files, keys: map[string]fileKeys{}}
	if s.file, err = read(data, files); err != nil {
		return nil, err
	}
	var problems []error
	for _, issuer := range s.file.Issuers {
		if issuer.Keys.File == "" {
			continue
		}
		if s.keys[issuer.Name], err = readKeyFile(files, issuer.Keys.File); err != nil {
			problems = append(problems, fmt.Errorf("issuer %s, keys.file: %w", issuer.Name, err))
		}
	}
	return s, errors.Join(problems...)
}

// read reads an issuers file.
func read(data []byte, files *files) (*File, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("the file has more than %d bytes", maxFile)
	}
	root, err := document(data)
	if err != nil {
		return nil, err
	}
	r := &reader{files: files, names: map[string]bool{}, paths: map[string]bool{}, urls: map[string]bool{}}
	file := &File{}
	if root != nil {
		r.members(root, "", map[string]take{
			"issuers":    r.entries(r.issuer(file)),
			"recipes":    r.entries(r.recipe(file)),
			"publishers": r.entries(r.publisher(file)),
		})
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	if len(file.Issuers)+len(file.Policy.Recipes)+len(file.Publishers) == 0 {
		return nil, errors.New("nothing is in the file: no issuer, no recipe and no publisher; to trust nobody, leave the variable out")
	}
	return file, nil
}

// called is the place of an entry: what it is, and its name where it has one.
func called(what string, n *yaml.Node) string {
	if n.Kind == yaml.MappingNode {
		for i := 0; i < len(n.Content); i += 2 {
			if name := n.Content[i+1]; n.Content[i].Value == "name" && name.Kind == yaml.ScalarNode && isShort(name.Value) {
				return what + " " + name.Value
			}
		}
	}
	return "one of the " + what + "s"
}

func isShort(name string) bool {
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' })
}

// needs tells of a member that is missing.
func (r *reader) needs(n *yaml.Node, at string, given bool, member, words string) {
	if !given && !has(n, member) {
		r.wrong(n, at, "needs %s: %s", member, words)
	}
}

// has reports whether a mapping has a member, right or wrong.
func has(n *yaml.Node, member string) bool {
	if isNothing(n) {
		return false
	}
	if n.Kind != yaml.MappingNode {
		return true // which is told
	}
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == member {
			return true
		}
	}
	return false
}

func (r *reader) publisher(file *File) take {
	return func(n *yaml.Node, _ string) {
		at := called("publisher", n)
		var p Publisher
		r.members(n, at, map[string]take{
			"name": r.name(&p.Name), "bearer": r.secret(&p.Bearer), "bearer_file": r.secretFile(&p.Bearer),
		})
		r.needs(n, at, p.Name != "", "name", "its jobs are published under it")
		r.needs(n, at, p.Bearer != nil || has(n, "bearer_file"), "bearer", "the token by which it is known, or bearer_file")
		file.Publishers = append(file.Publishers, p)
	}
}

func (r *reader) issuer(file *File) take {
	return func(n *yaml.Node, _ string) {
		at := called("issuer", n)
		p, how := signals.Issuer{}, Issuer{}
		var typ, session string
		r.members(n, at, map[string]take{
			"name":       r.name(&p.Name),
			"issuer":     r.issuerURL(&p.URL),
			"audience":   r.texts(&p.Audience),
			"keys":       r.keys(&how.Keys),
			"algorithms": r.algorithms(&p.Algorithms),
			"max_age":    r.duration(&p.MaxAge, minAge, false),
			"typ":        r.choice(&typ, "any"),
			"events":     r.events(&p.Events),
			"subjects":   r.subjects(&p),
			"session":    r.choice(&session, string(signals.Person), string(signals.IgnoreSession), string(signals.Commvault)),
			"push":       r.push(&how),
			"revoke":     r.revoke(&p, &how),
			"stream":     r.stream(&how),
		})
		p.AnyType, p.Session, how.Name = typ != "", signals.SessionMeaning(session), p.Name
		if !has(n, "events") {
			p.Events = standardEvents()
		}
		if how.Stream != nil {
			how.Stream.Events = wanted(p.Events)
			how.Stream.Sum = r.sum(n, p.URL, how.Stream)
		}
		r.checkIssuer(n, at, p, how)
		file.Policy.Issuers = append(file.Policy.Issuers, p)
		file.Issuers = append(file.Issuers, how)
	}
}

// checkIssuer tells of what is missing, and of what does not go together.
func (r *reader) checkIssuer(n *yaml.Node, at string, p signals.Issuer, how Issuer) {
	learns := how.Stream != nil && !how.Stream.Unmanaged
	r.needs(n, at, p.Name != "", "name", "its jobs are published under it")
	r.needs(n, at, p.URL != "", "issuer", "the text that its tokens have as iss, to the letter")
	r.needs(n, at, len(p.Audience) > 0 || learns, "audience", "what its tokens have as aud; a stream that is managed tells it")
	r.needs(n, at, how.Keys != KeySource{} || learns, "keys", "{url: …} or {file: …}, where its key set is; a stream that is managed tells it")
	r.needs(n, at, has(n, "subjects") || p.Session == signals.Commvault, "subjects", "how its identifiers become users, as in email: 'email:{email}'")
	if how.Stream != nil && how.Stream.Delivery == "push" && how.PushPath == "" && !has(n, "push") {
		r.wrong(n, at, "needs push: {path: …}, since its stream is to be pushed")
	}
}

// issuerURL reads the text by which an issuer is known.
func (r *reader) issuerURL(to *string) take {
	return func(n *yaml.Node, at string) {
		text, ok := r.value(n, at)
		switch {
		case !ok:
		case strings.ContainsAny(text, " \t"):
			r.wrong(n, at, "holds a blank; it is compared with the iss of tokens to the letter")
		case r.urls[text]:
			r.wrong(n, at, "is that of another issuer above; one entry tells all of it")
		default:
			r.urls[text] = true
			*to = text
		}
	}
}

func (r *reader) keys(to *KeySource) take {
	return func(n *yaml.Node, at string) {
		r.members(n, at, map[string]take{"file": r.file(&to.File), "url": r.url(&to.URL), "ca_file": r.caFile(&to.CAFile)})
		switch {
		case to.File != "" && to.URL != "":
			r.wrong(n, at, "a file and a URL are given; keep one")
		case to.URL == "" && to.CAFile != "":
			r.wrong(n, at, "ca_file goes with url only")
		case !has(n, "file") && !has(n, "url"):
			r.wrong(n, at, "needs url or file")
		}
	}
}

// caFile reads the name of a file of certificates, and sees whether it is one.
func (r *reader) caFile(to *string) take {
	return func(n *yaml.Node, at string) {
		file := r.path(n, at)
		if file == "" {
			return
		}
		data, err := r.files.read(file)
		if err == nil {
			_, err = certificatesOf(data)
		}
		if err != nil {
			r.wrong(n, at, "%v", err)
		}
		*to = file
	}
}

func (r *reader) algorithms(to *[]string) take {
	add := func(n *yaml.Node, at string) {
		var algorithm string
		if r.choice(&algorithm, signals.Algorithms()...)(n, at); algorithm != "" {
			*to = append(*to, algorithm)
		}
	}
	return r.entries(add)
}

func (r *reader) push(how *Issuer) take {
	return func(n *yaml.Node, at string) {
		r.members(n, at, map[string]take{
			"path": r.receiverPath(&how.PushPath), "bearer": r.secret(&how.PushBearer), "bearer_file": r.secretFile(&how.PushBearer),
		})
		r.needs(n, at, how.PushPath != "", "path", "where the issuer pushes to, as in /v1/events/okta")
	}
}

func (r *reader) revoke(p *signals.Issuer, how *Issuer) take {
	return func(n *yaml.Node, at string) {
		r.members(n, at, map[string]take{"path": r.receiverPath(&how.RevokePath), "audience": r.text(&p.RevokeAudience)})
		r.needs(n, at, how.RevokePath != "", "path", "where calls of Universal Logout come to, as in /v1/events/okta/revoke")
		r.needs(n, at, p.RevokeAudience != "", "audience", "the whole address of that path, as the issuer calls it")
	}
}
