package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestSettingsTable checks README's table of settings against the flags of `hubnerite start --help`, both ways.
func TestSettingsTable(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, table := range tables(string(text)) {
		if len(table.header) < 3 || table.header[0] != "Flag" || table.header[1] != "Environment" {
			continue
		}
		for _, row := range table.rows {
			flag := regexp.MustCompile("`--([a-z0-9-]+)").FindStringSubmatch(row[0])
			if flag == nil {
				t.Errorf("README: no flag in %q", row[0])
				continue
			}
			documented[flag[1]] = strings.Trim(row[1], "`")
		}
	}
	if len(documented) == 0 {
		t.Fatal("README has no table whose first columns are Flag and Environment")
	}
	help := startHelp(t)
	flags := flagsOf(help)
	if len(flags) < 5 {
		t.Fatalf("only %d flags found in:\n%s", len(flags), help)
	}
	for flag, variable := range flags {
		switch got, ok := documented[flag]; {
		case !ok:
			t.Errorf("README's table lacks --%s (%s)", flag, variable)
		case got != variable:
			t.Errorf("README says %s for --%s, the binary says %s", got, flag, variable)
		}
		if variable == "" {
			t.Errorf("--%s has no environment variable", flag)
		}
	}
	for flag := range documented {
		if _, ok := flags[flag]; !ok {
			t.Errorf("README's table has --%s, the binary does not", flag)
		}
	}
}

// startHelp builds the binary and asks it for the help text of start.
func startHelp(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "hubnerite")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/hubnerite").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(binary, "start", "--help")
	// Variables of the caller must not show up as defaults.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(pair string) bool { return strings.HasPrefix(pair, "HUBNERITE_") })
	help, err := cmd.Output()
	if err != nil {
		t.Fatalf("start --help: %v", err)
	}
	return string(help)
}

// flagsOf returns the flags of a help text with their environment variables, --help and --version aside.
func flagsOf(help string) map[string]string {
	flags := map[string]string{}
	// Flags stand at most six columns in; what stands deeper is text that happens to begin with a flag's name.
	flagLine := regexp.MustCompile(`^ {2,6}(?:-[A-Za-z], +)?--(?:\[no-\])?([a-z0-9-]+)`)
	variable := regexp.MustCompile(`\$(HUBNERITE_[A-Z0-9_]+)`)
	current := ""
	for _, line := range strings.Split(help, "\n") {
		if match := flagLine.FindStringSubmatch(line); match != nil {
			current = match[1]
			if current == "help" || current == "version" {
				current = ""
				continue
			}
			flags[current] = ""
		}
		if match := variable.FindStringSubmatch(line); match != nil && current != "" {
			flags[current] = match[1]
		}
	}
	return flags
}

func TestFlagsOf(t *testing.T) {
	help := "Usage: x start [flags]\n\nFlags:\n  -h, --help    Show help.\n\n      --bind=\"127.0.0.1\"    Address, see --other-flag\n" +
		"                  --or-this ($HUBNERITE_BIND).\n  -d, --data=STRING   Folder ($HUBNERITE_DATA).\n      --[no-]fast   Speed.\n"
	got := flagsOf(help)
	if len(got) != 3 || got["bind"] != "HUBNERITE_BIND" || got["data"] != "HUBNERITE_DATA" || got["fast"] != "" {
		t.Errorf("flagsOf = %v", got)
	}
}
