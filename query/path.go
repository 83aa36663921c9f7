package query

import (
	"slices"
	"strconv"
	"strings"
)

// String returns the path as a text that no other path has.
func (p *Path) String() string {
	var out strings.Builder
	out.WriteString(p.Root)
	for _, s := range p.Steps {
		if s.IsIndex {
			out.WriteString("[" + strconv.Itoa(s.Index) + "]")
		} else {
			// Names may hold dots; brackets they cannot hold.
			out.WriteString(".[[" + s.Name + "]]")
		}
	}
	return out.String()
}

// below returns the path without its first n parts.
func (p *Path) below(n int) *Path {
	first := p.Steps[n-1]
	if first.IsIndex {
		return &Path{}
	}
	return &Path{Root: first.Name, Steps: p.Steps[n:]}
}

// last returns the last name of the path.
func (p *Path) last() string {
	for _, s := range slices.Backward(p.Steps) {
		if !s.IsIndex {
			return s.Name
		}
	}
	return p.Root
}
