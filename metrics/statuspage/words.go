package statuspage

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// count is a number with a comma between thousands, or a dash where it is not known.
func count(n float64) string {
	if math.IsNaN(n) {
		return "–"
	}
	digits := strconv.FormatFloat(math.Round(n), 'f', 0, 64)
	var words strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			words.WriteByte(',')
		}
		words.WriteRune(digit)
	}
	return words.String()
}

// counted is a number of things, in words.
func counted(n float64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// lasting is how long something takes or took, as exactly as it matters: not so that it changes all the time.
func lasting(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(0, int(d.Seconds())))
	case d <= time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 24*time.Hour:
		return twoParts(int(d.Hours()), "h", int(d.Minutes())%60, "min")
	}
	return twoParts(int(d.Hours()/24), "d", int(d.Hours())%24, "h")
}

func twoParts(large int, unit string, small int, smallUnit string) string {
	if small == 0 {
		return fmt.Sprintf("%d %s", large, unit)
	}
	return fmt.Sprintf("%d %s %d %s", large, unit, small, smallUnit)
}

// took is a time to logoff.
func took(seconds float64) string {
	switch {
	case math.IsNaN(seconds):
		return "none"
	case seconds < 0.1:
		return fmt.Sprintf("%.0f ms", seconds*1000)
	case seconds < 10:
		return fmt.Sprintf("%.2f s", seconds)
	}
	return lasting(time.Duration(seconds * float64(time.Second)))
}

// share is a part of a whole. What is not all is never said to be.
func share(part, whole float64) string {
	percent := 100 * part / whole
	switch {
	case percent > 0 && percent < 0.1:
		return "< 0.1 %"
	case percent < 100 && percent > 99.9:
		return "> 99.9 %"
	case percent == 100 || percent == 0:
		return fmt.Sprintf("%.0f %%", percent)
	}
	return fmt.Sprintf("%.1f %%", percent)
}

// size is a number of bytes.
func size(bytes float64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB"}
	i := 0
	for bytes >= 1000 && i < len(units)-1 {
		bytes /= 1000
		i++
	}
	if i == 0 || bytes >= 100 {
		return fmt.Sprintf("%.0f %s", bytes, units[i])
	}
	return fmt.Sprintf("%.1f %s", bytes, units[i])
}

// clock is a time of today or of another day.
func clock(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04:05")
	}
	return t.Format("2006-01-02 15:04")
}

// spoken is a label's value as words.
func spoken(value string) string { return strings.ReplaceAll(value, "_", " ") }

// shortened is a text that others choose, at a length that the page stands.
func shortened(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most]) + "…"
}

// A piece of a text is words, or code, which stands in backticks.
type piece struct {
	Text string
	Code bool
}

func inPieces(text string) (pieces []piece) {
	for i, part := range strings.Split(text, "`") {
		pieces = append(pieces, piece{part, i%2 == 1})
	}
	return pieces
}
