package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestErrorsAreAllThere checks that errors.md has one row for each code of the
// catalogue, that exactly those that no code makes say "never", and that the tests
// that it names exist and speak of the code.
func TestErrorsAreAllThere(t *testing.T) {
	text, err := os.ReadFile("errors.md")
	if err != nil {
		t.Fatal(err)
	}
	codes := catalogue(t)
	made := madeCodes(t, "..")
	var listed []string
	known := tests{}
	for _, table := range tables(string(text)) {
		if !slices.Equal(table.header, []string{"Code", "Name", "When", "Test"}) {
			t.Errorf("errors.md: a table with the columns %q", table.header)
			continue
		}
		for _, row := range table.rows {
			listed = append(listed, row[0])
			if complaint := checkErrorRow("..", row, codes, made, known); complaint != "" {
				t.Errorf("errors.md: %s: %s", row[0], complaint)
			}
		}
	}
	var all []string
	for number := range codes {
		all = append(all, number)
	}
	slices.Sort(all)
	if !slices.Equal(listed, all) {
		t.Errorf("errors.md has the codes\n%v, in this order; the catalogue has\n%v", listed, all)
	}
}

// TestErrorsCheck makes sure that the check above can fail.
func TestErrorsCheck(t *testing.T) {
	codes := map[string]string{"400004": "ArgumentInvalid", "401000": "GenericUnauthorized"}
	made := map[string]bool{"ArgumentInvalid": true}
	for _, tc := range []struct {
		row []string
		ok  bool
	}{
		{[]string{"400004", "ArgumentInvalid", "a value is wrong", "`docs.TestErrorsCheck`"}, true},
		{[]string{"400004", "ArgumentNull", "a value is wrong", "`docs.TestErrorsCheck`"}, false},
		{[]string{"400099", "ArgumentInvalid", "a value is wrong", "`docs.TestErrorsCheck`"}, false},
		{[]string{"400004", "ArgumentInvalid", "never: no reason", ""}, false},
		{[]string{"400004", "ArgumentInvalid", "", "`docs.TestErrorsCheck`"}, false},
		{[]string{"400004", "ArgumentInvalid", "a value is wrong", ""}, false},
		{[]string{"400004", "ArgumentInvalid", "a value is wrong", "`docs.TestNowhere`"}, false},
		{[]string{"400004", "ArgumentInvalid", "a value is wrong", "`docs.TestCoverageNamesTests`"}, false},
		{[]string{"400004", "ArgumentInvalid", "a value is wrong"}, false},
		{[]string{"401000", "GenericUnauthorized", "never: no reason", ""}, true},
		{[]string{"401000", "GenericUnauthorized", "never: ", ""}, false},
		{[]string{"401000", "GenericUnauthorized", "never: no reason", "`docs.TestErrorsCheck`"}, false},
		{[]string{"401000", "GenericUnauthorized", "at times", "`docs.TestErrorsCheck`"}, false},
	} {
		if complaint := checkErrorRow("..", tc.row, codes, made, tests{}); (complaint == "") != tc.ok {
			t.Errorf("checkErrorRow(%q) = %q, want ok %v", tc.row, complaint, tc.ok)
		}
	}
}

// checkErrorRow says what is wrong with a row of errors.md, or nothing. codes maps
// numbers to names.
func checkErrorRow(root string, row []string, codes map[string]string, made map[string]bool, known tests) string {
	if len(row) != 4 {
		return "want four cells"
	}
	number, name, when := row[0], row[1], row[2]
	if codes[number] != name || name == "" {
		return "its name is " + codes[number] + ", not " + name
	}
	why, never := strings.CutPrefix(when, "never:")
	named := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[3], -1)
	switch {
	case never && made[name]:
		return "says never, but there is code that makes it: say when, and name a test"
	case never && (strings.TrimSpace(why) == "" || row[3] != ""):
		return "want a reason and no test"
	case never:
		return ""
	case !made[name]:
		return "no code makes it any more: say never, and why"
	case when == "" || len(named) == 0:
		return "does not say when, or names no test"
	}
	for _, test := range named {
		if complaint := known.find(root, test[1]); complaint != "" {
			return complaint
		}
		if complaint := speaksOf(root, test[1], number, name); complaint != "" {
			return complaint
		}
	}
	return ""
}

// speaksOf says that a test does not have the code, by constant, name or number, in
// itself or in a function of its file that it calls; or nothing.
func speaksOf(root, test, number, name string) string {
	pkg, function, _ := strings.Cut(test, ".")
	function, _, _ = strings.Cut(function, "/")
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pkg), "*_test.go"))
	if err != nil {
		return err.Error()
	}
	word := regexp.MustCompile(`\b(Code)?` + name + `\b|\b` + number + `\b`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err.Error()
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file, text, 0)
		if err != nil {
			return err.Error()
		}
		bodies := map[string]string{}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				bodies[f.Name.Name] = string(text[set.Position(f.Pos()).Offset:set.Position(f.End()).Offset])
			}
		}
		body, ok := bodies[function]
		if !ok {
			continue
		}
		for called, inner := range bodies {
			if !strings.HasPrefix(called, "Test") && strings.Contains(body, called+"(") {
				body += inner
			}
		}
		if word.MatchString(body) {
			return ""
		}
	}
	return test + " does not speak of it"
}

// catalogue returns the names of iothub.Codes by number. It reads the source, for
// this package imports nothing of the program.
func catalogue(t *testing.T) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.FromSlash("../iothub/code.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	numbers, names := map[string]string{}, map[string]string{}
	ast.Inspect(parsed, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.ValueSpec:
			if len(node.Names) == 1 && len(node.Values) == 1 {
				if value, ok := node.Values[0].(*ast.BasicLit); ok {
					numbers[node.Names[0].Name] = value.Value
				}
			}
		case *ast.CompositeLit: // {CodeX, "X"}
			if len(node.Elts) == 2 {
				constant, isIdent := node.Elts[0].(*ast.Ident)
				if text, isText := node.Elts[1].(*ast.BasicLit); isIdent && isText {
					names[constant.Name], _ = strconv.Unquote(text.Value)
				}
			}
		}
		return true
	})
	codes := map[string]string{}
	for constant, number := range numbers {
		if names[constant] != strings.TrimPrefix(constant, "Code") {
			t.Errorf("%s has the name %q in the catalogue", constant, names[constant])
		}
		codes[number] = names[constant]
	}
	if len(codes) != len(names) || len(codes) < 100 {
		t.Fatalf("%d constants, %d rows", len(codes), len(names))
	}
	return codes
}

// madeCodes returns the names of the codes that the program's code puts into an
// error. To ask whether an error has a code, in a case or a comparison, is not to make it.
func madeCodes(t *testing.T, root string) map[string]bool {
	t.Helper()
	made := map[string]bool{}
	var look func(node ast.Node, inside bool)
	look = func(node ast.Node, inside bool) {
		ast.Inspect(node, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CaseClause:
				for _, statement := range n.Body {
					look(statement, inside)
				}
				return false
			case *ast.BinaryExpr:
				return n.Op != token.EQL && n.Op != token.NEQ
			case *ast.SelectorExpr:
				if pkg, ok := n.X.(*ast.Ident); ok && pkg.Name == "iothub" {
					if name, ok := strings.CutPrefix(n.Sel.Name, "Code"); ok {
						made[name] = true
					}
				}
			case *ast.Ident:
				if name, ok := strings.CutPrefix(n.Name, "Code"); ok && inside {
					made[name] = true
				}
			}
			return true
		})
	}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name == "node_modules" || name == "conformance" || len(name) > 2 && name[0] == '.'):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || path == filepath.Join(root, "iothub", "code.go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err == nil {
			look(parsed, parsed.Name.Name == "iothub")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}
