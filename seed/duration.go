package seed

import (
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time, written as 500ms, 10s or 1h30m.
type Duration time.Duration

// durationPattern is the form of a Duration; it knows no sign and no unit below a millisecond.
const durationPattern = `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`

// String returns the form that a seed has, without units that are zero.
func (d Duration) String() string {
	if time.Duration(d)%time.Millisecond != 0 {
		return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', -1, 64) + "ms"
	}
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText writes String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads it.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}
