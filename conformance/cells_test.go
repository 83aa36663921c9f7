//go:build conformance

package conformance

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// cellsVariable names the folder in which scenarios leave the cells that their programs printed, in a file of the scenario's name.
const cellsVariable = "HUBNERITE_CONFORMANCE_CELLS"

// matrixFlag makes a run write docs/coverage.md.
const matrixFlag = "matrix"

func coverageFile() string { return filepath.Join("..", "docs", "coverage.md") }

// keepCells leaves the cells among what a program of the scenario printed for the end of the run.
func (p *program) keepCells() {
	p.t.Helper()
	folder := os.Getenv(cellsVariable)
	lines := p.matches(`^(cell: .*)$`)
	if folder == "" || len(lines) == 0 {
		return
	}
	scenario := strings.Split(p.t.Name(), "/")[1]
	file, err := os.OpenFile(filepath.Join(folder, scenario), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		p.t.Error(err)
		return
	}
	_, err = file.WriteString(strings.Join(lines, "\n") + "\n")
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		p.t.Error(err)
	}
}

// collector gathers the cells of all scenarios that passed.
type collector struct {
	folder string

	mu              sync.Mutex
	started, passed map[string]bool
}

// collectCells makes the scenarios' processes leave their cells, and looks at them after the last of them.
func collectCells(t *testing.T, s *site) *collector {
	t.Helper()
	c := &collector{folder: t.TempDir(), started: map[string]bool{}, passed: map[string]bool{}}
	t.Setenv(cellsVariable, c.folder)
	t.Cleanup(func() { c.judge(t, s) })
	return c
}

// watch is called at the beginning of each scenario.
func (c *collector) watch(t *testing.T, name string) {
	c.mu.Lock()
	c.started[name] = true
	c.mu.Unlock()
	t.Cleanup(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.passed[name] = !t.Failed() && !t.Skipped()
	})
}

// judge prints the matrix. After a run of all scenarios no cell may be empty, and docs/coverage.md must have the same.
func (c *collector) judge(t *testing.T, s *site) {
	m, whole := matrix{}, true
	for _, sc := range scenarios() {
		whole = whole && c.started[sc.name]
		if !c.passed[sc.name] {
			continue
		}
		text, err := os.ReadFile(filepath.Join(c.folder, sc.name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if err := m.add(strings.TrimSuffix(line, "\n")); err != nil {
				t.Errorf("%s: %v", sc.name, err)
			}
		}
	}
	if len(m) > 0 {
		t.Logf("what works with which SDK:\n%s", m)
	}
	document, err := os.ReadFile(coverageFile())
	if err != nil {
		t.Fatal(err)
	}
	documented, err := documentedMatrix(string(document))
	if err != nil {
		t.Fatal(err)
	}
	if flag.Lookup(matrixFlag).Value.String() == "true" {
		if !whole {
			maps.Copy(documented, m) // of scenarios that were not run, what is there stays
			m = documented
		}
		text, err := documentMatrix(string(document), m)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(coverageFile(), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !whole {
		return
	}
	runtimes := map[string]string{"python": s.python, "node": s.node, "java": s.java}
	columns := slices.DeleteFunc(matrixColumns(), func(column string) bool {
		sdk, _, _ := strings.Cut(column, " ")
		return runtimes[sdk] == ""
	})
	for _, complaint := range m.missing(columns) {
		t.Error(complaint)
	}
	for _, complaint := range m.differences(documented, columns) {
		t.Errorf("%s (scripts/conformance -matrix writes it)", complaint)
	}
}
