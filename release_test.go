package hubnerite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// TestRelease: a release has the platforms that "make cross" builds, made in the same way, and every file that it
// names is there.
func TestRelease(t *testing.T) {
	text, err := os.ReadFile(".goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var release struct {
		Version int
		Builds  []struct {
			Main                string
			Binary              string
			Env, Flags, Ldflags []string
			Goos, Goarch        []string
			ModTimestamp        string `yaml:"mod_timestamp"`
			Ignore              []map[string]string
		}
		Archives []struct{ Files []string }
	}
	if err := yaml.Unmarshal(text, &release); err != nil {
		t.Fatal(err)
	}
	if release.Version != 2 || len(release.Builds) != 1 || len(release.Archives) != 1 {
		t.Fatalf("version %d with %d builds and %d archives", release.Version, len(release.Builds), len(release.Archives))
	}
	build := release.Builds[0]
	var got []string
	for _, system := range build.Goos {
		for _, processor := range build.Goarch {
			got = append(got, system+"/"+processor)
		}
	}
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^PLATFORMS := (.+)$`).FindSubmatch(makefile)
	if line == nil {
		t.Fatal("the Makefile has no PLATFORMS")
	}
	want := strings.Fields(string(line[1]))
	slices.Sort(got)
	slices.Sort(want)
	if len(want) != 6 || !slices.Equal(got, want) || len(build.Ignore) != 0 {
		t.Errorf("a release is for %v (without %v), make cross for %v", got, build.Ignore, want)
	}
	made := fmt.Sprintf("%s build %s -ldflags '%s' -o %s %s", strings.Join(build.Env, " "), strings.Join(build.Flags, " "),
		strings.Join(build.Ldflags, " "), build.Binary, build.Main)
	if made != "CGO_ENABLED=0 build -trimpath -ldflags '-s -w' -o hubnerite ./cmd/hubnerite" {
		t.Errorf("built in another way: %s", made)
	}
	for _, part := range []string{"CGO_ENABLED=0", "-trimpath", "-ldflags '-s -w'", "./cmd/hubnerite"} {
		if !strings.Contains(string(makefile), part) {
			t.Errorf("make cross builds without %s", part)
		}
	}
	for _, pattern := range release.Archives[0].Files {
		if files, err := filepath.Glob(pattern); err != nil || len(files) == 0 {
			t.Errorf("no file %s (%v)", pattern, err)
		}
	}
}
