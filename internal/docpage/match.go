package docpage

import (
	"regexp"
	"slices"
	"strings"
)

// Match compares what was printed with the lines of an Output step. A line "..." stands for any number of lines, "..." within a
// line for any text; blanks at the end of a line do not count. It answers the number of lines of got up to the end of the match,
// or -1. A whole comparison takes in every line of got; otherwise want may begin anywhere and something may follow it.
func Match(want string, got []string, whole bool) int {
	lines := strings.Split(strings.TrimRight(want, "\n"), "\n")
	if !whole {
		lines = append([]string{"..."}, lines...)
	}
	patterns := make([]*regexp.Regexp, len(lines)) // nil for any number of lines
	for i, line := range lines {
		if strings.TrimSpace(line) == "..." {
			continue
		}
		pieces := strings.Split(strings.TrimRight(line, " \t"), "...")
		for j := range pieces {
			pieces[j] = regexp.QuoteMeta(pieces[j])
		}
		patterns[i] = regexp.MustCompile("^" + strings.Join(pieces, ".*") + `[ \t\r]*$`)
	}
	// ends[n] says that the patterns so far match the first n lines.
	ends := make([]bool, len(got)+1)
	ends[0] = true
	for _, pattern := range patterns {
		next := make([]bool, len(got)+1)
		reached := false
		for n := range ends {
			if pattern == nil {
				reached = reached || ends[n]
				next[n] = reached
			} else if n > 0 {
				next[n] = ends[n-1] && pattern.MatchString(got[n-1])
			}
		}
		ends = next
	}
	if whole {
		if ends[len(got)] {
			return len(got)
		}
		return -1
	}
	return slices.Index(ends, true)
}
