package hubnerite_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/hubnerite/hubnerite/internal/docpage"
)

// TestWorkflows: the recipes of docs/ci.md are YAML, and each of their commands is one of the page, which the conformance tests
// follow in the same order; examples/github-actions is the page's workflow.
func TestWorkflows(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("docs", "ci.md"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := docpage.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	var commands []string // run, or with a reason for not being run
	recipes := map[string]string{}
	for _, step := range page.Steps {
		switch {
		case step.Kind == docpage.Run || step.Kind == docpage.NotRun && step.Language == "sh":
			commands = append(commands, strings.Split(strings.TrimSpace(step.Text), "\n")...)
		case step.Kind == docpage.File && step.Language == "yaml" && step.Name != "hub.yaml":
			recipes[step.Name] = step.Text
		}
	}
	if len(recipes) < 3 || len(commands) < 10 {
		t.Fatalf("%d recipes and %d commands found", len(recipes), len(commands))
	}
	for name, recipe := range recipes {
		wanted := recipeCommands(t, name, recipe)
		if len(wanted) == 0 {
			t.Errorf("%s: no commands found", name)
		}
		for _, command := range wanted {
			if !slices.Contains(commands, command) {
				t.Errorf("%s: the page does not run %q", name, command)
			}
		}
	}
	example, err := os.ReadFile(filepath.Join("examples", "github-actions", "hubnerite.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if string(example) != recipes[".github/workflows/tests.yml"] {
		t.Error("examples/github-actions/hubnerite.yml is not the workflow of docs/ci.md")
	}
	// In the order of the second job, whose steps depend on each other.
	last := -1
	for _, command := range recipeCommands(t, "example", string(example[strings.Index(string(example), "several-steps:"):])) {
		place := slices.Index(commands[last+1:], command)
		if place < 0 && command == "pip install azure-iot-device==2.14.0 pytest" {
			continue // once for both jobs
		}
		if place < 0 {
			t.Errorf("the page does not run %q after %q", command, commands[max(last, 0)])
			continue
		}
		last += 1 + place
	}
}

// recipeCommands returns what the steps of a recipe run, in their order.
func recipeCommands(t *testing.T, name, recipe string) []string {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(recipe), &document); err != nil {
		t.Errorf("%s: %v", name, err)
		return nil
	}
	var found []string
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		for i, child := range n.Content {
			if n.Kind == yaml.MappingNode {
				if i%2 == 1 && child.Kind == yaml.ScalarNode && slices.Contains([]string{"run", "script"}, n.Content[i-1].Value) {
					found = append(found, strings.Split(strings.TrimSpace(child.Value), "\n")...)
				}
				if i%2 == 1 && child.Kind == yaml.SequenceNode && n.Content[i-1].Value == "script" {
					for _, command := range child.Content {
						found = append(found, command.Value)
					}
				}
			}
			walk(child)
		}
	}
	walk(&document)
	return found
}
