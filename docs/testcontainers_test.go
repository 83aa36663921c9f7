package docs_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hubnerite/hubnerite/internal/docpage"
)

// TestTestcontainersPrograms: the programs of testcontainers.md are those that `make containers` runs, all of them, and as they are.
func TestTestcontainersPrograms(t *testing.T) {
	text, err := os.ReadFile("testcontainers.md")
	if err != nil {
		t.Fatal(err)
	}
	page, err := docpage.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{}
	for _, step := range page.Steps {
		if step.Kind == docpage.File {
			shown[step.Name] = step.Text
		}
	}
	programs := 0
	for _, pattern := range []string{"python/*.py", "node/*.js", "java/*.java"} {
		files, err := filepath.Glob(filepath.Join("..", "examples", "testcontainers", filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			programs++
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if shown[filepath.Base(file)] != string(want) {
				t.Errorf("testcontainers.md does not show %s as it is", file)
			}
		}
	}
	if programs != 3 || len(shown) != 3 {
		t.Errorf("%d programs, and %d in testcontainers.md: want Python, Node.js and Java in both", programs, len(shown))
	}
}
