//go:build conformance

package conformance

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/internal/docpage"
)

// docsTimeout ends a page that hangs. Pages install packages and take their time on a busy machine.
const docsTimeout = 10 * time.Minute

// commandTimeout bounds one block of commands of a page. Most take a second; some install packages.
const commandTimeout = 4 * time.Minute

// outputTimeout bounds the wait for what a running program is to print.
const outputTimeout = 3 * time.Minute

// docsPages finds the pages that may have commands: those of docs/ and the ones at the root.
func docsPages() []string {
	pages, _ := filepath.Glob(filepath.Join("..", "docs", "*.md"))
	return append(pages, filepath.Join("..", "README.md"), filepath.Join("..", "CONTRIBUTING.md"))
}

// docsScenarios has one scenario for every page with commands: docs_getting_started_python for docs/getting-started-python.md.
// A new page is among them by being there. What cannot be parsed is a scenario, too, and fails.
func docsScenarios() []scenario {
	var all []scenario
	for _, path := range docsPages() {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		page, err := docpage.Parse(string(text))
		if err == nil && !page.Commands() {
			continue
		}
		name := strings.ToLower(strings.TrimSuffix(filepath.Base(path), ".md"))
		all = append(all, scenario{
			"docs_" + strings.ReplaceAll(name, "-", "_"), scenarioNeeds(page.Needs),
			func(t *testing.T, s *site) {
				if err != nil {
					t.Fatalf("%s: %v", path, err)
				}
				runPage(t, s, filepath.Base(path), page)
			},
		})
	}
	return all
}

// runPage does what a reader of the page does, in a folder, a home and terminals of its own.
func runPage(t *testing.T, s *site, name string, page docpage.Page) {
	r := &reader{t: t, page: name, terminals: map[string]*terminal{}}
	// A page that takes too long shall fail by itself, so that what it started is ended.
	r.deadline = time.Now().Add(docsTimeout - time.Minute)
	r.folder, r.env = docsEnvironment(t, s, page.Needs)
	skipped := map[string]int{}
	for _, step := range page.Steps {
		r.at = fmt.Sprintf("%s:%d", name, step.Line)
		if step.Kind == docpage.NotRun {
			skipped[step.Reason]++
			continue
		}
		r.step(step)
	}
	r.at = name
	for _, number := range slices.Sorted(maps.Keys(r.terminals)) {
		if r.terminals[number].running {
			r.interrupt(r.terminals[number])
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(skipped)) {
		t.Logf("%s: %d blocks not run: %s", name, skipped[reason], reason)
	}
}

// reader is somebody who follows a page.
type reader struct {
	t         *testing.T
	page      string
	at        string // page and line, for complaints
	folder    string
	deadline  time.Time
	env       []string
	terminals map[string]*terminal
}

func (r *reader) step(step docpage.Step) {
	r.t.Helper()
	switch step.Kind {
	case docpage.File:
		r.write(step)
	case docpage.Run:
		term := r.terminals[step.Terminal]
		if term == nil {
			term = openTerminal(r.t, r.page+" terminal "+step.Terminal, r.folder, r.env)
			r.terminals[step.Terminal] = term
		}
		if term.running {
			r.t.Fatalf("%s: terminal %s is busy: something there goes on running", r.at, step.Terminal)
		}
		r.run(term, step)
	case docpage.Output:
		term := r.terminals[step.Terminal]
		if term == nil {
			r.t.Fatalf("%s: terminal %s has run nothing", r.at, step.Terminal)
		}
		r.compare(term, step)
	case docpage.Interrupt:
		term := r.terminals[step.Terminal]
		if term == nil || !term.running {
			r.t.Fatalf("%s: Ctrl-C in terminal %s, where nothing runs", r.at, step.Terminal)
		}
		r.interrupt(term)
	default:
		r.t.Fatalf("%s: unknown step", r.at)
	}
}

// write makes a file of the page.
func (r *reader) write(step docpage.Step) {
	r.t.Helper()
	path := filepath.Join(r.folder, filepath.FromSlash(step.Name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatalf("%s: %v", r.at, err)
	}
	flags := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if step.Append {
		flags = os.O_WRONLY | os.O_APPEND
	}
	file, err := os.OpenFile(path, flags, 0o644)
	if err != nil {
		r.t.Fatalf("%s: %v", r.at, err)
	}
	_, err = file.WriteString(step.Text)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		r.t.Fatalf("%s: %v", r.at, err)
	}
}

// run has a terminal execute a block, and waits for its end, or for what says that it has begun.
func (r *reader) run(term *terminal, step docpage.Step) {
	r.t.Helper()
	block := filepath.Join(r.t.TempDir(), "block.sh")
	if err := os.WriteFile(block, []byte(step.Text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	// `go run` makes 1 of every end by Ctrl-C.
	term.goRun = strings.Contains(step.Text, "go run ")
	term.execute(block, !step.Fails && step.Running == "")
	if step.Running != "" {
		term.running = true
		if !term.waitOutput(r.within(outputTimeout), func(lines []string) bool {
			return slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, step.Running) })
		}) {
			r.t.Fatalf("%s: does not print %q:\n%s", r.at, step.Running, term.printed())
		}
		return
	}
	status, ended := term.waitStatus(r.within(commandTimeout))
	switch {
	case !ended:
		r.t.Fatalf("%s: still running after a long time:\n%s", r.at, term.printed())
	case step.Fails && status == 0:
		r.t.Fatalf("%s: succeeds, and is said to fail:\n%s", r.at, term.printed())
	case !step.Fails && status != 0:
		r.t.Fatalf("%s: exit code %d:\n%s", r.at, status, term.printed())
	}
}

// compare holds what the page says was printed against what was.
func (r *reader) compare(term *terminal, step docpage.Step) {
	r.t.Helper()
	if !term.running {
		if docpage.Match(step.Text, term.lines(), true) < 0 {
			r.t.Fatalf("%s: the page says\n%s\nprinted was\n%s", r.at, step.Text, term.printed())
		}
		return
	}
	// Anywhere in what the block has printed: whether one thing comes before another is mostly chance.
	if !term.waitOutput(r.within(outputTimeout), func(lines []string) bool {
		return docpage.Match(step.Text, lines, false) >= 0
	}) {
		r.t.Fatalf("%s: the page says\n%s\nprinted was\n%s", r.at, step.Text, term.printed())
	}
}

// interrupt is Ctrl-C; the program must end, and with success or as one that died of it.
func (r *reader) interrupt(term *terminal) {
	r.t.Helper()
	term.interrupt()
	status, ended := term.waitStatus(r.within(60 * time.Second))
	term.running = false
	switch {
	case !ended:
		r.t.Fatalf("%s: still running 60 s after Ctrl-C:\n%s", r.at, term.printed())
	case strings.Contains(term.printed(), "panic:") || strings.Contains(term.printed(), "DATA RACE"):
		r.t.Errorf("%s: a panic:\n%s", r.at, term.printed())
	case status != 0 && status != 130 && (status != 1 || !term.goRun):
		r.t.Errorf("%s: exit code %d after Ctrl-C:\n%s", r.at, status, term.printed())
	}
}

// within is the time, or what the page has left of its own.
func (r *reader) within(timeout time.Duration) time.Duration {
	return min(timeout, time.Until(r.deadline))
}
