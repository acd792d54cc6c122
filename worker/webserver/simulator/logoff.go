package simulator

import (
	"encoding/xml"
	"net/http"
	"strings"
	"time"
)

// logoffReply is the documented success: an empty element. The JSON form is not public; siblings
// send an empty object.
type logoffReply struct {
	XMLName xml.Name `json:"-" xml:"Api_LogoffUsersResponse"`
}

// logoff answers DELETE /Sessions.
func (s *Server) logoff(x *exchange, caller caller) answer {
	if x.document.err != nil {
		return x.statusAnswer(http.StatusBadRequest)
	}
	if status, refused := s.refusedWhole(x.document.ids); refused {
		return x.statusAnswer(status)
	}
	if !s.mayEnd(caller, x.document.ids) {
		return s.forbidden(x)
	}
	good, failure := s.judge(x, caller)
	now := time.Now()
	for _, ending := range good {
		if s.logOff(ending, now) {
			x.entry.Applied = append(x.entry.Applied, ending.ID)
		}
	}
	if failure != nil {
		return *failure
	}
	return x.loggedOff()
}

// loggedOff is the success as documented: the element is spelled as on the page.
func (x *exchange) loggedOff() answer {
	if x.wantsJSON() {
		return x.succeeded(logoffReply{})
	}
	a := x.xmlAnswer(http.StatusOK, []byte("<Api_LogoffUsersResponse />"))
	a.success = true
	return a
}

// refusedWhole reports the status of a document that is refused before anything of it is applied.
func (s *Server) refusedWhole(ids []string) (status int, refused bool) {
	for _, id := range ids {
		if status := s.settings.BadIDs[strings.ToUpper(id)]; status != 0 && status < http.StatusInternalServerError {
			return status, true
		}
	}
	return 0, false
}

// mayEnd reports whether the caller may end all the sessions, or none is refused because of that.
func (s *Server) mayEnd(caller caller, ids []string) bool {
	if caller.user.Administrator || s.settings.NoPermission == NoPermissionEmpty {
		return true
	}
	for _, id := range ids {
		if known := s.sessions.find(id); known == nil || known.UserID != caller.user.ID {
			return false
		}
	}
	return true
}

// judge goes through a document and returns the sessions to end, and the answer if one of the IDs
// was bad. An ID that stands there twice is ended when its second place is reached.
func (s *Server) judge(x *exchange, caller caller) (good []*session, failure *answer) {
	seen := map[*session]bool{}
	for _, id := range x.document.ids {
		known := s.sessions.find(id)
		if known != nil && (!caller.user.Administrator && known.UserID != caller.user.ID || s.hides(caller, s.users[known.UserID])) {
			known = nil
		}
		bad := s.verdict(x, id, known != nil && known.Active() && !seen[known])
		switch {
		case bad != nil && s.settings.Partial == PartialAtomic:
			return nil, bad
		case bad != nil && s.settings.Partial == PartialStop:
			return good, bad
		case bad != nil && failure == nil:
			failure = bad
		case bad == nil && known != nil && known.Active() && !seen[known]:
			good = append(good, known)
			seen[known] = true
		}
	}
	return good, failure
}

// verdict is the answer that one ID brings upon its document, nil if it is none.
func (s *Server) verdict(x *exchange, id string, alive bool) *answer {
	var a answer
	switch status := s.settings.BadIDs[strings.ToUpper(id)]; {
	case status != 0:
		a = x.statusAnswer(status)
	case alive || s.settings.Ended == EndedIgnore:
		return nil
	case s.settings.Ended == EndedError:
		// The words of the command-line twin, qlogout, in the form of the captured error.
		a = x.failed(http.StatusOK, wrappedError{Error: errorDetail{"User not logged in", 0x268}})
	default:
		a = x.statusAnswer(http.StatusInternalServerError)
	}
	return &a
}
