//go:build conformance

package image

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// exampleTimeout bounds one program of examples/testcontainers. Most of it is the start of a container and of a runtime.
const exampleTimeout = 3 * time.Minute

// testExamples runs the programs of docs/testcontainers.md with the image, one after the other: all of them publish the SDKs' ports.
func testExamples(t *testing.T, e *engine) {
	// The name that the programs have for it.
	e.docker(t, "tag", e.image, "hubnerite:dev")
	root, err := filepath.Abs(filepath.Join("..", "..", "examples", "testcontainers"))
	if err != nil {
		t.Fatal(err)
	}
	for _, example := range []struct {
		name, variable string
		command        func(packages string) []string
	}{
		{"testcontainers python", "HUBNERITE_TESTCONTAINERS_PYTHON", func(packages string) []string {
			return []string{filepath.Join(packages, "bin", "python"), filepath.Join(root, "python", "example.py")}
		}},
		{"testcontainers node", "HUBNERITE_TESTCONTAINERS_NODE", func(packages string) []string {
			return []string{"env", "NODE_PATH=" + filepath.Join(packages, "node_modules"), "node", filepath.Join(root, "node", "example.js")}
		}},
		{"testcontainers java", "HUBNERITE_TESTCONTAINERS_JAVA", func(packages string) []string {
			return []string{"java", "-cp", filepath.Join(packages, "lib", "*"), filepath.Join(root, "java", "Example.java")}
		}},
	} {
		t.Run(example.name, func(t *testing.T) {
			packages := os.Getenv(example.variable)
			switch {
			case packages != "":
			case os.Getenv("CI") == "true":
				t.Fatal("it is not set up")
			default:
				t.Skip("it is not set up; scripts/not-run names it")
			}
			before := e.docker(t, "ps", "--all", "--quiet")
			ctx, cancel := context.WithTimeout(t.Context(), exampleTimeout)
			defer cancel()
			command := example.command(packages)
			cmd := exec.CommandContext(ctx, command[0], command[1:]...)
			cmd.WaitDelay = 10 * time.Second
			text, err := cmd.CombinedOutput()
			out := string(text)
			if err != nil {
				t.Fatalf("%v (%v):\n%s", err, ctx.Err(), out)
			}
			for _, line := range []string{"telemetry: {", "message: hello", "done"} {
				if !strings.Contains("\n"+out, "\n"+line) {
					t.Errorf("no line %q:\n%s", line, out)
				}
			}
			if after := e.docker(t, "ps", "--all", "--quiet"); after != before {
				t.Errorf("it left containers behind: %q, before %q", after, before)
			}
		})
	}
}
