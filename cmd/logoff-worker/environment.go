package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"logoffworker/worker/env"
)

// A list is a setting with any number of entries.
type list []string

// Decode implements envconfig.Decoder.
func (l *list) Decode(value string) error {
	*l = env.Entries(value)
	if len(*l) == 0 {
		return errors.New("nothing is in it")
	}
	return nil
}

// serviceLink is the name of a variable that Kubernetes makes for a service, when the service's name
// begins as ours do.
var serviceLink = regexp.MustCompile(`^LOGOFF(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// strangers finds variables that are probably misspelled. It only tells, because others put variables with our
// prefix into an environment too.
func strangers() (told []string) {
	known := variableNames()
	var links []string
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		upper := strings.ToUpper(name)
		switch {
		case slices.Contains(known, name):
		case serviceLink.MatchString(name), strings.HasPrefix(name, prefix) && strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://"):
			links = append(links, name)
		default:
			meant := nearest(upper, known)
			if meant != "" {
				told = append(told, fmt.Sprintf("%s is not a variable of this program; did you mean %s?", name, meant))
			} else if strings.HasPrefix(upper, prefix+"_") {
				told = append(told, name+" is not a variable of this program")
			}
		}
	}
	if len(links) > 0 {
		told = append(told, fmt.Sprintf("%d variables such as %s are no settings: Kubernetes makes them of its services (enableServiceLinks: false in the pod leaves them out)", len(links), slices.Min(links)))
	}
	return told
}

// nearest is the known name that is probably meant by another; empty when none is near.
func nearest(name string, known []string) (meant string) {
	if strings.HasPrefix(name, prefix+"_") {
		return env.Nearest(name, known, 4) // names with our prefix may be further off
	}
	return env.Nearest(name, known, 2)
}

// variableNames lists every variable in the order of the fields.
func variableNames() []string { return env.Names(prefix, &settings{}) }
