package seed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

// parseJSON reads one JSON value with the places of everything in it. The error is a Problem without a file.
func parseJSON(data []byte) (*node, error) {
	p := &jsonParser{data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	p.dec.UseNumber()
	for i, b := range data {
		if b == '\n' {
			p.lines = append(p.lines, i+1)
		}
	}
	root, err := p.value(0)
	if err == nil {
		if _, end := p.dec.Token(); !errors.Is(end, io.EOF) {
			err = Problem{Position: p.next(), Message: "there is something after the end of the JSON value"}
		}
	}
	if err != nil {
		return nil, p.problem(err)
	}
	return root, nil
}

type jsonParser struct {
	data []byte
	dec  *json.Decoder
	// lines are the offsets at which lines begin, from the second on.
	lines []int
}

// position turns an offset into a place.
func (p *jsonParser) position(offset int) Position {
	line, found := slices.BinarySearch(p.lines, offset)
	if found {
		line++
	}
	begin := 0
	if line > 0 {
		begin = p.lines[line-1]
	}
	return Position{Line: line + 1, Column: utf8.RuneCount(p.data[begin:offset]) + 1}
}

// next returns where the next token begins.
func (p *jsonParser) next() Position {
	offset := int(p.dec.InputOffset())
	for offset < len(p.data) && bytes.IndexByte([]byte(" \t\r\n,:"), p.data[offset]) >= 0 {
		offset++
	}
	return p.position(offset)
}

func (p *jsonParser) problem(err error) error {
	var problem Problem
	if errors.As(err, &problem) {
		return problem
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return Problem{Position: p.position(len(p.data)), Message: "the file ends in the middle of the JSON value"}
	}
	return Problem{Position: p.next(), Message: err.Error()}
}

func (p *jsonParser) value(depth int) (*node, error) {
	n := &node{at: p.next()}
	if depth > maxDepth {
		return nil, Problem{Position: n.at, Message: fmt.Sprintf("this is nested deeper than %d", maxDepth)}
	}
	token, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case nil:
	case bool:
		n.kind, n.text = kindBool, fmt.Sprint(token)
	case json.Number:
		n.kind, n.text = kindNumber, token.String()
	case string:
		n.kind, n.text = kindString, token
	case json.Delim:
		if token == '[' {
			n.kind = kindArray
			err = p.items(n, depth)
		} else {
			n.kind = kindObject
			err = p.members(n, depth)
		}
	}
	return n, err
}

func (p *jsonParser) items(n *node, depth int) error {
	for p.dec.More() {
		item, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	_, err := p.dec.Token()
	return err
}

func (p *jsonParser) members(n *node, depth int) error {
	seen := map[string]bool{}
	for p.dec.More() {
		at := p.next()
		token, err := p.dec.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		if seen[name] {
			return Problem{Position: at, Message: fmt.Sprintf("%q is there twice", name)}
		}
		seen[name] = true
		value, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		n.members = append(n.members, member{name, at, value})
	}
	_, err := p.dec.Token()
	return err
}
