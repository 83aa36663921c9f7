// Package docs_test keeps what the documents claim in step with the code.
package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestCoverageNamesTests checks that every row of coverage.md has a known status and names tests that exist.
func TestCoverageNamesTests(t *testing.T) {
	text, err := os.ReadFile("coverage.md")
	if err != nil {
		t.Fatal(err)
	}
	rows, known := 0, tests{}
	for _, table := range tables(string(text)) {
		if table.header[0] == "Feature" {
			continue // the matrix, which TestConformance writes and checks
		}
		if !slices.Equal(table.header, []string{"Operation", "Status", "Test"}) {
			t.Errorf("coverage.md: a table with the columns %q, want Operation, Status, Test", table.header)
			continue
		}
		for _, row := range table.rows {
			rows++
			if complaint := known.checkRow("..", row); complaint != "" {
				t.Errorf("coverage.md: %q: %s", row[0], complaint)
			}
		}
	}
	if rows == 0 {
		t.Fatal("coverage.md has no row")
	}
}

// TestCoverageCheck makes sure that the check above can fail.
func TestCoverageCheck(t *testing.T) {
	known := tests{}
	for _, tc := range []struct {
		row []string
		ok  bool
	}{
		{[]string{"x", "works", "`docs.TestCoverageCheck`"}, true},
		{[]string{"x", "works", "`docs.TestCoverageCheck`, `docs.TestNowhere`"}, false},
		{[]string{"x", "works", "`nowhere.TestCoverageCheck`"}, false},
		{[]string{"x", "works", "`conformance.TestConformance/kill9`"}, true},
		{[]string{"x", "works", "`conformance.TestConformance/kill99`"}, false},
		{[]string{"x", "works", ""}, false},
		{[]string{"x", "works", "by hand"}, false},
		{[]string{"x", "partial: no y", "`docs.TestCoverageCheck`"}, true},
		{[]string{"x", "not yet", ""}, true},
		{[]string{"x", "done", "`docs.TestCoverageCheck`"}, false},
	} {
		if complaint := known.checkRow("..", tc.row); (complaint == "") != tc.ok {
			t.Errorf("checkRow(%q) = %q, want ok %v", tc.row, complaint, tc.ok)
		}
	}
}

// checkRow says what is wrong with a row of coverage.md, or nothing.
func (known tests) checkRow(root string, row []string) string {
	if len(row) != 3 {
		return "want three cells"
	}
	status, named := row[1], regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[2], -1)
	switch {
	case status == "not yet":
	case status == "works", strings.HasPrefix(status, "partial: "):
		if len(named) == 0 {
			return "names no test"
		}
	default:
		return "unknown status " + status
	}
	for _, name := range named {
		if complaint := known.find(root, name[1]); complaint != "" {
			return complaint
		}
	}
	return ""
}

// tests are the tests of packages by the folders that were looked into, with the texts in their code, of which some name scenarios.
type tests map[string]map[string]bool

// find looks for a test such as store/bolt.TestQueue or conformance.TestConformance/kill9 below root.
func (known tests) find(root, name string) string {
	pkg, test, ok := strings.Cut(name, ".")
	if !ok {
		return name + " is not of the form package.TestName"
	}
	folder := filepath.Join(root, filepath.FromSlash(pkg))
	there, ok := known[folder]
	if !ok {
		var err error
		if there, err = testsIn(folder); err != nil {
			return err.Error()
		}
		known[folder] = there
	}
	test, sub, isSub := strings.Cut(test, "/")
	switch {
	case !there["func "+test]:
		return "there is no " + test + " in " + pkg
	case isSub && !there[sub]:
		return "there is no scenario " + sub + " in " + pkg
	}
	return ""
}

// testsIn reads the tests of a folder: "func " and the name for each function, and each text with _ for blanks.
func testsIn(folder string) (map[string]bool, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			return nil, err
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.FuncDecl:
				if node.Recv == nil {
					there["func "+node.Name.Name] = true
				}
			case *ast.BasicLit:
				if node.Kind == token.STRING {
					if text, err := strconv.Unquote(node.Value); err == nil {
						there[strings.ReplaceAll(text, " ", "_")] = true
					}
				}
			}
			return true
		})
	}
	return there, nil
}

// table is a Markdown table.
type table struct {
	header []string
	rows   [][]string
}

// tables returns the tables of a Markdown text.
func tables(text string) []table {
	var all []table
	inside := false
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			inside = false
			continue
		}
		row := cells(line)
		switch {
		case !inside:
			all, inside = append(all, table{header: row}), true
		case strings.Trim(strings.Join(row, ""), "-: ") == "":
		default:
			last := &all[len(all)-1]
			last.rows = append(last.rows, row)
		}
	}
	return all
}

// cells splits a table's line at bars that are not escaped.
func cells(line string) []string {
	line = strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(line, "|"), "|"), `\|`, "\x00")
	row := strings.Split(line, "|")
	for i := range row {
		row[i] = strings.TrimSpace(strings.ReplaceAll(row[i], "\x00", "|"))
	}
	return row
}
