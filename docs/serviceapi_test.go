package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCoverageHasEveryOperation checks that coverage.md has one row for each
// operation of the service API, with its method and path.
func TestCoverageHasEveryOperation(t *testing.T) {
	text, err := os.ReadFile("coverage.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{}
	for _, table := range tables(string(text)) {
		for _, row := range table.rows {
			rows[row[0]]++
		}
	}
	operations := serviceOperations(t)
	if len(operations) != 42 {
		t.Errorf("the API description has %d operations, want 42", len(operations))
	}
	for id, call := range operations {
		if want := "`" + id + "`: `" + call + "`"; rows[want] != 1 {
			t.Errorf("coverage.md has %d rows %q, want one", rows[want], want)
		}
	}
}

// serviceOperations returns the operations of the API description, such as
// "GET /devices/{id}", by their IDs.
func serviceOperations(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash("../conformance/serviceapi/openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var (
		path      = regexp.MustCompile(`^  (/\S*):`)
		method    = regexp.MustCompile(`^    (get|put|post|patch|delete):`)
		operation = regexp.MustCompile(`operationId: (\w+)`)
	)
	found, onPath, by := map[string]string{}, "", ""
	for line := range strings.Lines(string(text)) {
		if m := path.FindStringSubmatch(line); m != nil {
			onPath = m[1]
		}
		if m := method.FindStringSubmatch(line); m != nil {
			by = strings.ToUpper(m[1])
		}
		if m := operation.FindStringSubmatch(line); m != nil {
			found[m[1]] = by + " " + onPath
		}
	}
	return found
}
