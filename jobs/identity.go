package jobs

import (
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// Identify returns the id under which a job is worked: its own, else the id its message was
// published with, else its key ([Key]). A message id that is no legal job id is passed over: no session
// stays alive because of a header that only spots duplicates.
func Identify(own, messageID, key string) string {
	switch {
	case own != "":
		return own
	case messageID != "" && LegalID(messageID) == nil:
		return messageID
	}
	return key
}

// Key names a stored message by its sequence in the stream and the time it was stored: unique even
// where a stream was deleted and made anew.
func Key(sequence uint64, stored time.Time) string {
	key := strconv.AppendUint(make([]byte, 0, 48), sequence, 10)
	return string(strconv.AppendInt(append(key, '-'), stored.UnixNano(), 10))
}

// LegalID tells whether a job's id, or a publisher's name, can be one token of a subject and be read
// by people: 1 to 64 graphic characters, none of them a space, a dot, an asterisk or a greater-than
// sign.
func LegalID(id string) error {
	switch {
	case id == "":
		return refused("the id is empty")
	case !utf8.ValidString(id):
		return refused("the id %s is not valid UTF-8", quote(id))
	case utf8.RuneCountInString(id) > MaxIDLength:
		return refused("the id %s has more than %d characters", quote(id), MaxIDLength)
	}
	for _, r := range id {
		if !legalInToken(r) {
			return refused("the id %s contains %s; an id has graphic characters only, and no space, dot, asterisk or >", quote(id), strconv.QuoteRune(r))
		}
	}
	return nil
}

func legalInToken(r rune) bool {
	return unicode.IsPrint(r) && r != ' ' && r != '.' && r != '*' && r != '>'
}
