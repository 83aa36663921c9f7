package seed

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// parseYAML reads one YAML document with the places of everything in it. Anchors and merge keys (<<) are followed. The error
// is a Problem without a file.
func parseYAML(data []byte) (*node, error) {
	var documents []yaml.Node
	if err := yaml.Load(data, &documents, yaml.WithAllDocuments()); err != nil {
		return nil, yamlProblem(err)
	}
	if len(documents) > 1 {
		return nil, Problem{Position: Position{Line: documents[1].Line, Column: documents[1].Column}, Message: "a seed is one YAML document; here begins another"}
	}
	if len(documents) == 0 {
		return &node{at: Position{Line: 1, Column: 1}}, nil
	}
	root := &documents[0]
	if root.Kind == yaml.DocumentNode {
		if len(root.Content) == 0 {
			return &node{at: Position{Line: 1, Column: 1}}, nil
		}
		root = root.Content[0]
	}
	c := &yamlConverter{budget: maxAliased, within: map[*yaml.Node]bool{}}
	return c.convert(root, Position{}, 0)
}

// maxAliased is how many values may come of aliases.
const maxAliased = 500_000

func yamlProblem(err error) error {
	var loading *yaml.LoadError
	if !errors.As(err, &loading) {
		return Problem{Message: err.Error()}
	}
	message := loading.Message
	if loading.ContextMsg != "" {
		message += " (" + loading.ContextMsg + ")"
	}
	return Problem{Position: Position{Line: loading.Mark.Line, Column: loading.Mark.Column}, Message: message}
}

type yamlConverter struct {
	budget int
	// within are the aliases that are being followed.
	within map[*yaml.Node]bool
}

// convert makes a node of a YAML node. at is the place of the alias that led here, if one did.
func (c *yamlConverter) convert(y *yaml.Node, at Position, depth int) (*node, error) {
	if at == (Position{}) {
		at = Position{Line: y.Line, Column: y.Column}
	}
	if len(c.within) > 0 {
		if c.budget--; c.budget < 0 {
			return nil, Problem{Position: at, Message: "aliases stand for too many values"}
		}
	}
	if depth > maxDepth {
		return nil, Problem{Position: at, Message: fmt.Sprintf("this is nested deeper than %d", maxDepth)}
	}
	n := &node{at: at}
	switch y.Kind {
	case yaml.AliasNode:
		if c.within[y.Alias] {
			return nil, Problem{Position: at, Message: "this alias stands for something that it is a part of"}
		}
		c.within[y.Alias] = true
		defer delete(c.within, y.Alias)
		return c.convert(y.Alias, at, depth+1)
	case yaml.ScalarNode:
		return n, scalar(n, y)
	case yaml.SequenceNode:
		n.kind = kindArray
		for _, item := range y.Content {
			converted, err := c.convert(item, Position{}, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, converted)
		}
		return n, nil
	case yaml.MappingNode:
		n.kind = kindObject
		return n, c.mapping(n, y, depth)
	}
	return nil, Problem{Position: at, Message: "this cannot be read"}
}

func (c *yamlConverter) mapping(n *node, y *yaml.Node, depth int) error {
	seen := map[string]int{}
	var merged []member
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		at := Position{Line: key.Line, Column: key.Column}
		for key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			return Problem{Position: at, Message: "the name of a member must be a text"}
		}
		converted, err := c.convert(value, Position{}, depth+1)
		if err != nil {
			return err
		}
		if key.ShortTag() == "!!merge" {
			sources := []*node{converted}
			if converted.kind == kindArray {
				sources = converted.items
			}
			for _, source := range sources {
				if source.kind != kindObject {
					return Problem{Position: at, Message: "<< needs an object, or a list of some"}
				}
				merged = append(merged, source.members...)
			}
			continue
		}
		if _, twice := seen[key.Value]; twice {
			return Problem{Position: at, Message: fmt.Sprintf("%q is there twice", key.Value)}
		}
		seen[key.Value] = i
		n.members = append(n.members, member{key.Value, at, converted})
	}
	for _, m := range merged {
		if _, own := seen[m.name]; !own {
			seen[m.name] = -1
			n.members = append(n.members, m)
		}
	}
	return nil
}

// scalar sets what a YAML scalar is in JSON. A date stays the text that it is written as.
func scalar(n *node, y *yaml.Node) error {
	n.text = y.Value
	switch tag := y.ShortTag(); tag {
	case "!!null":
		n.kind, n.text = kindNull, ""
	case "!!bool":
		n.kind, n.text = kindBool, strings.ToLower(y.Value)
		if n.text != "true" && n.text != "false" {
			return Problem{Position: n.at, Message: fmt.Sprintf("%.40q is neither true nor false", y.Value)}
		}
	case "!!int", "!!float":
		n.kind = kindNumber
		return number(n, y)
	case "!!str", "!!timestamp":
		n.kind = kindString
	default:
		return Problem{Position: n.at, Message: fmt.Sprintf("the type %s has no meaning in a seed", tag)}
	}
	return nil
}

// number keeps a number as it is written when JSON has that form, too.
func number(n *node, y *yaml.Node) error {
	if json.Valid([]byte(y.Value)) {
		return nil
	}
	var whole int64
	if err := y.Decode(&whole); err == nil {
		n.text = strconv.FormatInt(whole, 10)
		return nil
	}
	var fraction float64
	if err := y.Decode(&fraction); err != nil || math.IsInf(fraction, 0) || math.IsNaN(fraction) {
		return Problem{Position: n.at, Message: fmt.Sprintf("%.40q is not a number that JSON has", y.Value)}
	}
	n.text = strconv.FormatFloat(fraction, 'g', -1, 64)
	return nil
}
