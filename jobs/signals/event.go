package signals

import (
	"maps"
	"slices"
	"strings"
)

// Events that have a short name, by which issuers files and people call them.
const (
	caep  = "https://schemas.openid.net/secevent/caep/event-type/"
	risc  = "https://schemas.openid.net/secevent/risc/event-type/"
	ssf   = "https://schemas.openid.net/secevent/ssf/event-type/"
	sse   = "https://schemas.openid.net/secevent/sse/event-type/"   // what SSF was called
	oauth = "https://schemas.openid.net/secevent/oauth/event-type/" // Google's
	scim  = "urn:ietf:params:scim:event:"

	backchannelLogout = "http://schemas.openid.net/event/backchannel-logout"
	tokenRevocation   = "global-token-revocation" // no event of a token: a call of Universal Logout
)

var eventURIs = func() map[string]string {
	all := map[string]string{"backchannel-logout": backchannelLogout}
	for prefix, names := range map[string]string{
		caep:  "session-revoked token-claims-change credential-change assurance-level-change device-compliance-change session-established session-presented risk-level-change",
		risc:  "account-credential-change-required account-purged account-disabled account-enabled identifier-changed identifier-recycled credential-compromise opt-in opt-out-initiated opt-out-cancelled opt-out-effective recovery-activated recovery-information-changed sessions-revoked",
		oauth: "token-revoked tokens-revoked",
		ssf:   "verification stream-updated",
		scim:  "feed:add feed:remove prov:create:notice prov:create:full prov:patch:notice prov:patch:full prov:put:notice prov:put:full prov:delete prov:activate prov:deactivate misc:asyncresp",
	} {
		for name := range strings.FieldsSeq(names) {
			all[name] = prefix + name
		}
	}
	return all
}()

// EventURI makes an event's URI of its short name ("session-revoked" of CAEP, "account-disabled" of RISC, "prov:delete" of
// SCIM, "backchannel-logout"), or of the URI itself; ok is false for a short name that is none.
func EventURI(name string) (uri string, ok bool) {
	if uri, ok = eventURIs[name]; ok {
		return uri, true
	}
	uri = canonical(name)
	return uri, strings.HasPrefix(uri, "https://") || strings.HasPrefix(uri, "http://") || strings.HasPrefix(uri, "urn:")
}

// EventNames are the short names that there are, sorted.
func EventNames() []string { return slices.Sorted(maps.Keys(eventURIs)) }

// EventName is the short name of an event, by which people know it: the last part of its URI.
func EventName(uri string) string {
	if name, ok := strings.CutPrefix(uri, scim); ok {
		return name
	}
	return uri[strings.LastIndexByte(uri, '/')+1:]
}

// canonical writes SCIM's URNs as RFC 9967 does; drafts of it had SCIM in capitals.
func canonical(uri string) string {
	if len(uri) >= len(scim) && strings.EqualFold(uri[:len(scim)], scim) {
		return scim + uri[len(scim):]
	}
	return uri
}

func isVerification(uri string) bool {
	return uri == ssf+"verification" || uri == sse+"verification" || uri == risc+"verification"
}

func isStreamUpdated(uri string) bool {
	return uri == ssf+"stream-updated" || uri == sse+"stream-updated"
}

// aboutOneSession tells whether the session of an event's subject is what the event is about, and not only where it was
// noticed.
func aboutOneSession(uri string) bool {
	return uri == caep+"session-revoked" || uri == backchannelLogout
}
