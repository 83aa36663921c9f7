package seed

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// File is a seed that was read and checked as far as it can be without a hub.
type File struct {
	Document
	// Name is the one it was read under.
	Name string
	// NamesFiles says that it names other files, the contents of which stand in their places now.
	NamesFiles bool
	root       *node
}

// Options vary reading.
type Options struct {
	// ReadFile returns the content of a file that the seed names; nil refuses those.
	ReadFile func(name string) ([]byte, error)
}

// Load reads a file and those that it names, the paths of which begin at its folder.
func Load(path string) (*File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data, Options{ReadFile: func(name string) ([]byte, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(path), name)
		}
		return os.ReadFile(name)
	}})
}

// Parse reads a seed and checks it. The name is for messages; one that ends in .json says that the text is JSON, and so does a text that is.
// An error that says what is wrong with it is Problems.
func Parse(name string, data []byte, o Options) (*File, error) {
	f := &File{Name: name}
	problems := f.parse(data, o)
	if len(problems) == 0 {
		return f, nil
	}
	return nil, sorted(problems, name)
}

// sorted returns what is wrong in the order of the file.
func sorted(problems []Problem, name string) Problems {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.file, b.file), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if more := len(problems) - maxProblems; more > 0 {
		problems = append(problems[:maxProblems], Problem{Message: fmt.Sprintf("%d more problems", more)})
	}
	for i := range problems {
		problems[i].File = name
	}
	return problems
}

func (f *File) parse(data []byte, o Options) []Problem {
	data = []byte(strings.TrimPrefix(string(data), "\ufeff"))
	switch {
	case len(data) > MaxFileSize:
		return []Problem{{Message: fmt.Sprintf("a seed has at most %d MiB", MaxFileSize>>20)}}
	case !utf8.Valid(data):
		return []Problem{{Message: "a seed is UTF-8"}}
	}
	read := parseYAML
	if strings.EqualFold(filepath.Ext(f.Name), ".json") || json.Valid(data) {
		read = parseJSON
	}
	root, err := read(data)
	if err != nil {
		var problem Problem
		if !errors.As(err, &problem) {
			problem = Problem{Message: err.Error()}
		}
		return []Problem{problem}
	}
	f.root = root
	if root.kind == kindNull {
		// An empty file is a seed of nothing.
		return nil
	}
	return f.read(o)
}

// read fills the document and checks it.
func (f *File) read(o Options) []Problem {
	d := newDecoder()
	d.decode(f.root, reflect.ValueOf(&f.Document).Elem(), field{}, "a seed")
	if len(d.problems) > 0 {
		return d.problems
	}
	v := newValidator(o)
	v.document(&f.Document, f.root)
	f.NamesFiles = f.NamesFiles || v.namesFiles
	return v.problems
}

// Place returns where a value is, as far as the path leads: texts are names of members, numbers places in lists.
func (f *File) Place(path ...any) Position {
	if f.root == nil {
		return Position{}
	}
	n := f.root
	for _, step := range path {
		var next *node
		switch step := step.(type) {
		case string:
			next = n.member(step)
		case int:
			if step < len(n.items) {
				next = n.items[step]
			}
		}
		if next == nil {
			break
		}
		n = next
	}
	return n.at
}

// ParseSimulation reads one simulation, as an item of a seed's simulations, in JSON. An error that says what is wrong with it is Problems.
func ParseSimulation(data []byte) (Simulation, error) {
	var f struct {
		Simulations []Simulation `json:"simulations"`
	}
	root, err := parseJSON(data)
	if err != nil {
		var problem Problem
		if errors.As(err, &problem) {
			problem.File = simulationName
			err = Problems{problem}
		}
		return Simulation{}, err
	}
	// As the only item of a seed, so that the same rules hold for it.
	whole := &node{kind: kindObject, at: root.at, members: []member{{"simulations", root.at, &node{kind: kindArray, at: root.at, items: []*node{root}}}}}
	d := newDecoder()
	d.decode(whole, reflect.ValueOf(&f).Elem(), field{}, simulationName)
	problems := d.problems
	if len(problems) == 0 {
		v := newValidator(Options{})
		v.simulations(&Hub{Simulations: f.Simulations}, whole)
		problems = v.problems
	}
	if len(problems) > 0 {
		for i := range problems {
			problems[i].File = simulationName
		}
		return Simulation{}, Problems(problems)
	}
	return f.Simulations[0], nil
}

// simulationName is what a simulation by itself is called in messages.
const simulationName = "simulation"
