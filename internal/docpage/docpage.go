// Package docpage reads a page of the documentation as a script: its fenced blocks in order, and what HTML comments, which
// nobody sees on the rendered page, say about them. TestConformance runs the scripts (conformance/docs_test.go).
package docpage

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Kind is what a step does.
type Kind int

// The kinds of steps.
const (
	// Run is a sh block: commands for a terminal.
	Run Kind = iota + 1
	// File is a block of any other language: a file to write before what follows runs.
	File
	// Output is a text block: what the last commands of a terminal print.
	Output
	// Interrupt is Ctrl-C in a terminal.
	Interrupt
	// NotRun is a block that nothing is done with, for a reason.
	NotRun
)

// AfterNotRun is the reason of a text block that shows the output of commands that are not run.
const AfterNotRun = "output of what is not run"

// Step is one thing that a reader of the page does or sees.
type Step struct {
	Kind Kind
	// Line is where the step stands in the page, counted from 1.
	Line int
	// Language is the fence's: sh, text, python, ...
	Language string
	// Text is the content of the block, without the fence and its indentation.
	Text string
	// Terminal says which one it is about, "1" unless the page says another.
	Terminal string
	// Name is that of a file. It is relative and stays within the folder.
	Name string
	// Append is for a file that goes on where an earlier block of the same name ended.
	Append bool
	// Fails says that the last command of the block is meant to fail.
	Fails bool
	// Running is a piece of what commands that go on running print once they have begun, or empty for commands that end.
	Running string
	// Reason says why a block is not run.
	Reason string
}

// Page is one page.
type Page struct {
	Steps []Step
	// Needs names what the page uses: python, node, java, go, checkout, curl, ...
	Needs []string
	// Prose is the visible text outside of the fences.
	Prose string
}

// Commands tells whether the page has any block that is run.
func (p Page) Commands() bool {
	for _, step := range p.Steps {
		if step.Kind == Run {
			return true
		}
	}
	return false
}

var (
	comment    = regexp.MustCompile(`<!--\s*(.*?)\s*-->`)
	fence      = regexp.MustCompile("^( *)(```+|~~~+)\\s*(\\S*)\\s*$")
	tail       = regexp.MustCompile(`(^|[^\\])<!--`)
	directives = regexp.MustCompile(`^(terminal|file|append|fails|keeps running|not run|ctrl-c|needs|output)(?::\s*(.*))?$`)
)

// parser holds the state between two lines.
type parser struct {
	page Page
	// waiting are the directives since the last line that is neither empty nor a comment.
	waiting map[string]string
	// afterRun says that nothing but comments and empty lines came since a sh block, of which terminal it was, and whether it is run.
	afterRun, runTerminal string
}

// Parse reads a page. The errors name the line.
func Parse(text string) (Page, error) {
	p := &parser{waiting: map[string]string{}}
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		open := fence.FindStringSubmatch(lines[i])
		if open == nil {
			if strings.HasPrefix(strings.TrimSpace(lines[i]), "```") {
				return Page{}, fmt.Errorf("line %d: a fence with more than a language", i+1)
			}
			if err := p.line(lines[i], i+1); err != nil {
				return Page{}, err
			}
			continue
		}
		var body strings.Builder
		first, closed := i+1, false
		for i++; i < len(lines); i++ {
			if strings.TrimSpace(lines[i]) == open[2] {
				closed = true
				break
			}
			body.WriteString(unindent(lines[i], len(open[1])) + "\n")
		}
		if !closed {
			return Page{}, fmt.Errorf("line %d: the fence has no end", first)
		}
		if err := p.block(open[3], body.String(), first); err != nil {
			return Page{}, err
		}
	}
	if len(p.waiting) > 0 {
		return Page{}, fmt.Errorf("a comment at the end is about no block: %v", p.waiting)
	}
	return p.page, nil
}

// unindent takes away as many blanks as the fence has before it, at most.
func unindent(line string, blanks int) string {
	for range blanks {
		line = strings.TrimPrefix(line, " ")
	}
	return line
}

// line reads one outside of blocks.
func (p *parser) line(line string, number int) error {
	visible := comment.ReplaceAllString(line, "")
	if tail.MatchString(visible) {
		return fmt.Errorf("line %d: a comment must end on its line", number)
	}
	p.page.Prose += visible + "\n"
	if strings.TrimSpace(visible) != "" {
		if len(p.waiting) > 0 {
			return fmt.Errorf("line %d: text between a comment and the block that it is about: %v", number, p.waiting)
		}
		p.afterRun = ""
	}
	for _, found := range comment.FindAllStringSubmatch(line, -1) {
		directive := directives.FindStringSubmatch(found[1])
		if strings.Contains(found[1], "matrix") {
			continue // where TestConformance writes into coverage.md
		}
		if directive == nil {
			return fmt.Errorf("line %d: unknown comment %q", number, found[1])
		}
		word, value := directive[1], directive[2]
		switch word {
		case "needs":
			for need := range strings.SplitSeq(value, ",") {
				p.page.Needs = append(p.page.Needs, strings.TrimSpace(need))
			}
		case "ctrl-c":
			if value == "" {
				value = "1"
			}
			p.page.Steps = append(p.page.Steps, Step{Kind: Interrupt, Line: number, Terminal: value})
		default:
			if _, twice := p.waiting[word]; twice {
				return fmt.Errorf("line %d: a second %q for one block", number, word)
			}
			needsValue := word != "fails" && word != "output"
			if needsValue != (value != "") {
				return fmt.Errorf("line %d: %q: a value is missing, or too much", number, found[1])
			}
			p.waiting[word] = value
		}
	}
	return nil
}

// block takes in a fenced block with the directives before it.
func (p *parser) block(language, text string, line int) error {
	step := Step{Line: line, Language: language, Text: text, Terminal: "1"}
	said := p.waiting
	p.waiting = map[string]string{}
	if name, ok := said["terminal"]; ok {
		step.Terminal = name
	}
	allowed := []string{"not run"}
	reason, skipped := said["not run"]
	switch {
	case language == "":
		return fmt.Errorf("line %d: a fence without a language: sh for commands, text for output", line)
	case skipped:
		step.Kind, step.Reason = NotRun, reason
	case language == "sh":
		step.Kind = Run
		_, step.Fails = said["fails"]
		step.Running = said["keeps running"]
		allowed = append(allowed, "terminal", "fails", "keeps running")
	case language == "text":
		_, claimed := said["output"]
		_, named := said["terminal"]
		step.Kind = Output
		allowed = append(allowed, "terminal", "output")
		switch {
		case p.afterRun == "not run":
			step.Kind, step.Reason = NotRun, AfterNotRun
		case p.afterRun == "run" && !named:
			step.Terminal = p.runTerminal
		case !claimed && !named:
			return fmt.Errorf("line %d: a text block that is not directly after its commands: say <!-- output -->, <!-- terminal: N --> or <!-- not run: ... -->", line)
		}
	default:
		step.Kind = File
		allowed = append(allowed, "file", "append")
		step.Name = said["file"]
		if name, ok := said["append"]; ok {
			step.Name, step.Append = name, true
		}
		if step.Name == "" || !filepath.IsLocal(step.Name) {
			return fmt.Errorf("line %d: %s: say <!-- file: NAME --> with a relative name, or <!-- not run: ... -->", line, language)
		}
	}
	for word := range said {
		if !slices.Contains(allowed, word) {
			return fmt.Errorf("line %d: %q is not for a block of %s", line, word, language)
		}
	}
	p.page.Steps = append(p.page.Steps, step)
	if language == "sh" {
		p.afterRun, p.runTerminal = "run", step.Terminal
		if skipped {
			p.afterRun = "not run"
		}
	} else if language != "text" {
		p.afterRun = ""
	}
	return nil
}
