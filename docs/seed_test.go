package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/seed"
	"github.com/hubnerite/hubnerite/simulate/template"
)

// TestSeedExamples parses every example of seed.md and every seed file of the examples.
func TestSeedExamples(t *testing.T) {
	text, err := os.ReadFile("seed.md")
	if err != nil {
		t.Fatal(err)
	}
	fences := regexp.MustCompile("(?ms)^```(yaml|json)\n(.*?)^```").FindAllStringSubmatch(string(text), -1)
	if len(fences) < 8 {
		t.Fatalf("%d examples: the expression is wrong", len(fences))
	}
	for i, fence := range fences {
		name := fmt.Sprintf("seed.md example %d.%s", i+1, fence[1])
		if _, err := seed.Parse(name, []byte(fence[2]), seed.Options{}); err != nil {
			t.Errorf("%v", err)
		}
	}
	paths, err := filepath.Glob("../examples/seed/*")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%v %v", paths, err)
	}
	for _, path := range paths {
		if _, err := seed.Load(path); err != nil {
			t.Errorf("%v", err)
		}
	}
}

// TestSeedPlaceholders compiles the placeholders of seed.md's table, with numbers in the place of the words in capital letters.
func TestSeedPlaceholders(t *testing.T) {
	text, err := os.ReadFile("seed.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| Placeholder |")
	table, _, _ = strings.Cut(table, "\n\n")
	placeholders := regexp.MustCompile("`(\\{\\{.*?\\}\\})`").FindAllStringSubmatch(table, -1)
	if !found || len(placeholders) < 12 {
		t.Fatalf("%d placeholders", len(placeholders))
	}
	values := strings.NewReplacer("[", "", "]", "", "MINIMUM", "1", "MAXIMUM", "9", "DECIMALS", "1", "STEP", "1", "PERIOD", "10m", "FIRST", "1", "VALUE VALUE …", "1 'b'")
	for _, p := range placeholders {
		if _, err := template.Text(values.Replace(p[1]), template.Options{Method: true}); err != nil {
			t.Errorf("%s: %v", p[1], err)
		}
	}
}
