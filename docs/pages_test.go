package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/internal/docpage"
)

// pageNeeds are the words of a page's "needs" comment; docsNeeds of package conformance says what they are.
func pageNeeds() []string {
	return []string{"python", "node", "java", "go", "go-modules", "c", "checkout", "curl", "openssl", "namespace"}
}

// notRunReasons are the reasons for which a block may be left out when TestConformance follows the pages.
func notRunReasons() []string {
	return []string{
		"for another operating system or shell",
		"needs a toolchain or a registry of containers that a test machine lacks",
		"needs Azure",
		"changes the machine",
		"is or contains this very test, or takes minutes",
		"make containers runs it",
		"part of a program",
		"neither a command nor its output",
	}
}

// TestPages checks that every page with commands is a script that TestConformance runs (its scenarios are all pages of this
// folder and of the root): each block is run, written to a file that the text names, compared with what is printed, or left out for one
// of the known reasons.
func TestPages(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	if len(pages) < 10 {
		t.Fatalf("only %d pages found", len(pages))
	}
	for _, path := range append(pages, filepath.Join("..", "README.md"), filepath.Join("..", "CONTRIBUTING.md")) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, complaint := range checkPage(string(text)) {
			t.Errorf("%s: %s", path, complaint)
		}
	}
}

// TestGettingStartedIndex checks that getting-started.md leads to every page of its kind.
func TestGettingStartedIndex(t *testing.T) {
	text, err := os.ReadFile("getting-started.md")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("getting-started-*.md")
	if err != nil || len(pages) < 4 {
		t.Fatalf("%v, %v", pages, err)
	}
	for _, page := range pages {
		if !strings.Contains(string(text), "("+page+")") {
			t.Errorf("getting-started.md does not lead to %s", page)
		}
	}
}

// TestPagesCheck makes sure that the check above can fail.
func TestPagesCheck(t *testing.T) {
	for text, want := range map[string]string{
		"~~~sh\nls\n~~~\n": "",
		"~~~\nls\n~~~\n":   "without a language",
		"<!-- not run: no time -->\n~~~sh\nls\n~~~\n":          "reason",
		"<!-- not run: needs Azure -->\n~~~sh\nls\n~~~\n":      "",
		"<!-- needs: cobol -->\n~~~sh\nls\n~~~\n":              "cobol",
		"<!-- file: a.py -->\n~~~python\nx\n~~~\n":             "`a.py`",
		"In `a.py`:\n<!-- file: a.py -->\n~~~python\nx\n~~~\n": "",
		"text\n\n    make everything\n":                        "indented",
		"- an item\n\n    that goes on\n":                      "",
	} {
		complaints := strings.Join(checkPage(strings.ReplaceAll(text, "~~~", "```")), "\n")
		if want == "" && complaints != "" || !strings.Contains(complaints, want) {
			t.Errorf("checkPage(%q) = %q, want %q", text, complaints, want)
		}
	}
}

// checkPage says what is wrong with a page.
func checkPage(text string) []string {
	page, err := docpage.Parse(text)
	if err != nil {
		return []string{err.Error()}
	}
	var complaints []string
	for _, need := range page.Needs {
		if !slices.Contains(pageNeeds(), need) {
			complaints = append(complaints, "unknown need "+need)
		}
	}
	for _, step := range page.Steps {
		switch {
		case step.Kind == docpage.NotRun && step.Reason != docpage.AfterNotRun && !slices.Contains(notRunReasons(), step.Reason):
			complaints = append(complaints, "no reason that is known: "+step.Reason)
		case step.Kind == docpage.File && !strings.Contains(page.Prose, "`"+step.Name+"`"):
			complaints = append(complaints, "the text does not tell the reader to save `"+step.Name+"`")
		}
	}
	// A block by indentation has no language and would escape.
	indented := regexp.MustCompile(`(?m)^[^\s\-*0-9].*\n\n(?: {4}|\t)\S.*$`).FindString(page.Prose)
	if indented != "" {
		complaints = append(complaints, "an indented block instead of a fence: "+indented)
	}
	return complaints
}
