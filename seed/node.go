package seed

import (
	"cmp"
	"fmt"
	"strings"
)

// Position is a place in a file, line and column from 1. A column counts characters. The zero Position is the file as a whole.
type Position struct {
	Line, Column int
	// file is the one of several that were merged.
	file string
}

// Problem is something wrong in a file.
type Problem struct {
	// File is the name that the file was read under.
	File string
	Position
	Message string
}

// Error returns file:line:column: message.
func (p Problem) Error() string {
	file := cmp.Or(p.file, p.File)
	if p.Line == 0 {
		return file + ": " + p.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", file, p.Line, p.Column, p.Message)
}

// maxProblems is how many of them are told.
const maxProblems = 50

// Problems are everything that is wrong, in the order of the file. It is never empty as an error.
type Problems []Problem

// Error returns a line for each.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// kind is the JSON type of a node.
type kind int

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString
	kindArray
	kindObject
)

func (k kind) String() string {
	return [...]string{"null", "true or false", "a number", "a text", "a list", "an object"}[k]
}

// node is a JSON value with the place where it begins.
type node struct {
	kind kind
	at   Position
	// text of a text, a number (in JSON's form) or a bool.
	text    string
	items   []*node
	members []member
}

type member struct {
	name  string
	at    Position
	value *node
}

// Limits of a file, against those that were made to fill memory.
const (
	// MaxFileSize is the largest file in bytes.
	MaxFileSize = 256 << 20
	// maxDepth is how deep lists and objects may be nested.
	maxDepth = 100
)
