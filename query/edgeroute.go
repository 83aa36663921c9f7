package query

import (
	"errors"
	"fmt"
	"strings"
)

// Upstream is the sink of an edge route that leads to the hub.
const Upstream = "$upstream"

// EdgeRoute is a parsed route of an IoT Edge hub. It is safe for concurrent use.
// Source: IoT Edge, deploy modules and establish routes (declare routes).
type EdgeRoute struct {
	// source are the parts of the path after FROM.
	source    []string
	Condition *Condition
	// Module and Input are where the messages go; both are empty for $upstream.
	Module, Input string
}

// Upstream reports whether the route leads to the hub.
func (r *EdgeRoute) Upstream() bool { return r.Module == "" }

// From reports whether the route takes messages of a source: a path such as
// messages/modules/m/outputs/o. A star at the end of the route's path stands for whatever
// follows, and for nothing. Case does not matter.
func (r *EdgeRoute) From(source ...string) bool {
	for i, part := range r.source {
		if part == "*" && i == len(r.source)-1 {
			return true
		}
		if i >= len(source) || !strings.EqualFold(part, source[i]) {
			return false
		}
	}
	return len(source) == len(r.source)
}

// EdgeRoute parses FROM source [WHERE condition] INTO sink, perhaps with SELECT * in front.
// The sink is $upstream or BrokeredEndpoint("/modules/{module}/inputs/{input}").
func (p *Parser) EdgeRoute(text string) (*EdgeRoute, error) {
	words := edgeWords(text)
	if len(words) > 1 && strings.EqualFold(words[0].text, "SELECT") && words[1].text == "*" {
		words = words[2:]
	}
	into := -1
	for i, w := range words {
		if strings.EqualFold(w.text, "INTO") {
			into = i
		}
	}
	switch {
	case len(words) < 2 || !strings.EqualFold(words[0].text, "FROM"):
		return nil, &SyntaxError{1, "a route begins with FROM"}
	case into < 2 || into == len(words)-1:
		return nil, &SyntaxError{1, "a route ends with INTO and a sink"}
	}
	r := &EdgeRoute{}
	var err error
	if r.source, err = edgeSource(words[1].text); err != nil {
		return nil, faultAt(text, words[1].at, "%s", err)
	}
	condition := ""
	if into > 2 {
		if !strings.EqualFold(words[2].text, "WHERE") {
			return nil, faultAt(text, words[2].at, "expected WHERE or INTO")
		}
		condition = withoutBraces(text[words[2].at+len("WHERE") : words[into].at])
		if strings.TrimSpace(condition) == "" {
			return nil, faultAt(text, words[2].at, "there is no condition after WHERE")
		}
	}
	if r.Condition, err = p.Condition(condition, RoutingFunctions()); err != nil {
		return nil, fmt.Errorf("the condition: %w", err)
	}
	last := words[into+1]
	if r.Module, r.Input, err = edgeSink(strings.TrimSpace(text[last.at:])); err != nil {
		return nil, faultAt(text, last.at, "%s", err)
	}
	return r, nil
}

// edgeWord is a piece of a route between white space, outside of quotes.
type edgeWord struct {
	text string
	at   int
}

func edgeWords(text string) []edgeWord {
	var words []edgeWord
	start, quote := -1, byte(0)
	for i := 0; i <= len(text); i++ {
		c := byte(' ')
		if i < len(text) {
			c = text[i]
		}
		switch {
		case quote != 0 && i < len(text):
			switch c {
			case '\\':
				i++
			case quote:
				quote = 0
			}
			continue
		case c == '\'' || c == '"':
			quote = c
		}
		space := c == ' ' || c == '\t' || c == '\r' || c == '\n'
		switch {
		case space && start >= 0:
			words = append(words, edgeWord{text[start:i], start})
			start = -1
		case !space && start < 0:
			start = i
		}
	}
	if start >= 0 {
		words = append(words, edgeWord{text[start:], start})
	}
	return words
}

func edgeSource(path string) ([]string, error) {
	rest, ok := strings.CutPrefix(path, "/")
	parts := strings.Split(rest, "/")
	for i, part := range parts {
		if part == "" || part == "*" && i != len(parts)-1 {
			ok = false
		}
	}
	if !ok {
		return nil, errors.New("the source must be a path such as /messages/*")
	}
	return parts, nil
}

func edgeSink(text string) (module, input string, err error) {
	if strings.EqualFold(text, Upstream) {
		return "", "", nil
	}
	fault := errors.New(`the sink must be $upstream or BrokeredEndpoint("/modules/{module}/inputs/{input}")`)
	const function = "BrokeredEndpoint"
	if len(text) < len(function) || !strings.EqualFold(text[:len(function)], function) {
		return "", "", fault
	}
	argument, open := strings.CutPrefix(strings.TrimSpace(text[len(function):]), "(")
	argument, closed := strings.CutSuffix(argument, ")")
	argument = strings.TrimSpace(argument)
	if !open || !closed || len(argument) < 2 || argument[0] != argument[len(argument)-1] || !strings.ContainsAny(argument[:1], `"'`) {
		return "", "", fault
	}
	path := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(argument[1:len(argument)-1]), "/"), "/")
	parts := strings.Split(path, "/")
	if len(parts) != 4 || !strings.EqualFold(parts[0], "modules") || parts[1] == "" || !strings.EqualFold(parts[2], "inputs") || parts[3] == "" {
		return "", "", fault
	}
	return parts[1], parts[3], nil
}

// withoutBraces takes the braces off {$name}, the other way to write a system property.
// Source: IoT Edge, deploy modules and establish routes (condition).
func withoutBraces(condition string) string {
	var out strings.Builder
	quote := byte(0)
	for i := 0; i < len(condition); i++ {
		c := condition[i]
		switch {
		case quote != 0 && c == '\\' && i+1 < len(condition):
			out.WriteByte(c)
			i++
			c = condition[i]
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
		case c == '\'' || c == '"':
			quote = c
		case c == '{' && i+1 < len(condition) && condition[i+1] == '$':
			if end := strings.IndexByte(condition[i:], '}'); end > 0 {
				out.WriteString(condition[i+1 : i+end])
				i += end
				continue
			}
		}
		out.WriteByte(c)
	}
	return out.String()
}
