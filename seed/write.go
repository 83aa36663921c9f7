package seed

import (
	"bytes"
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v4"
)

// JSON returns the document as JSON, indented, with a line feed at its end.
func (d *Document) JSON() ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(d); err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	return out.Bytes(), nil
}

// YAML returns the document as YAML, its members in the order of the format. schema is where editors find the JSON Schema; "" leaves
// that line out.
func (d *Document) YAML(schema string) ([]byte, error) {
	text, err := d.JSON()
	if err != nil {
		return nil, err
	}
	root, err := parseJSON(text)
	if err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	var out bytes.Buffer
	if schema != "" {
		fmt.Fprintf(&out, "# yaml-language-server: $schema=%s\n", schema)
	}
	body, err := yaml.Dump(root.yaml(), yaml.WithIndent(2), yaml.WithLineWidth(-1))
	if err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	out.Write(body)
	return out.Bytes(), nil
}

// yaml turns a node into one of YAML; texts that look like something else get quotes.
func (n *node) yaml() *yaml.Node {
	switch n.kind {
	case kindBool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: n.text}
	case kindNumber:
		tag := "!!int"
		if bytes.ContainsAny([]byte(n.text), ".eE") {
			tag = "!!float"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: n.text}
	case kindString:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: n.text}
	case kindArray:
		out := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, item := range n.items {
			out.Content = append(out.Content, item.yaml())
		}
		return out
	case kindObject:
		out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, m := range n.members {
			out.Content = append(out.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: m.name}, m.value.yaml())
		}
		return out
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
}
