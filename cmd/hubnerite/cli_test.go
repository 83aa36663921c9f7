package main

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/hubnerite/hubnerite/emulator"
)

// TestEveryFlagHasItsVariable walks the command line's model: the rule is
// HUBNERITE_, the command unless it is start, and the flag.
func TestEveryFlagHasItsVariable(t *testing.T) {
	var c cli
	parser, err := kong.New(&c, kong.Vars{"datadir": "x"}, environmentTwins())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	var walk func(n *kong.Node, path []string)
	walk = func(n *kong.Node, path []string) {
		for _, flag := range n.Flags {
			if flag.Name == "help" {
				continue
			}
			words := append([]string{"hubnerite"}, path...)
			switch strings.Join(path, " ") {
			case "start":
				words = []string{"hubnerite"}
			case "ca show":
				words = []string{"hubnerite", "ca"}
			}
			if flag.Group != nil {
				// A setting that exec --start shares with start.
				words = []string{"hubnerite"}
			}
			want := strings.ToUpper(strings.ReplaceAll(strings.Join(append(words, flag.Name), "_"), "-", "_"))
			where := strings.Join(append(path, "--"+flag.Name), " ")
			if !slices.Equal(flag.Envs, []string{want}) {
				t.Errorf("%s has the variables %v, want %s", where, flag.Envs, want)
			}
			if other := seen[want]; other != "" && (flag.Group == nil || other != "start --"+flag.Name) {
				t.Errorf("%s is the variable of %s and of %s", want, other, where)
			}
			seen[want] = where
			if flag.Help == "" {
				t.Errorf("%s has no help", where)
			}
		}
		for _, child := range n.Children {
			walk(child, append(slices.Clone(path), child.Name))
		}
	}
	walk(parser.Model.Node, nil)
	for _, name := range []string{"HUBNERITE_ADMIN_URL", "HUBNERITE_MQTT_PLAIN_PORT", "HUBNERITE_DEVICE", "HUBNERITE_DEVICE_CREATE_DISABLED", "HUBNERITE_HEALTH_WAIT"} {
		if seen[name] == "" {
			t.Errorf("no flag has the variable %s; known are %v", name, slices.Sorted(maps.Keys(seen)))
		}
	}
}

func TestConfigFromSettings(t *testing.T) {
	const flag, environment = "flag", "environment"
	for name, tt := range map[string]struct {
		start   Settings
		sources map[string]string
		dataDir string
		wantErr bool
	}{
		"data flag":                      {Settings{Data: "d"}, map[string]string{"data": flag}, "d", false},
		"memory flag over data variable": {Settings{Data: "d", InMemory: true}, map[string]string{"data": environment, "in-memory": flag}, "", false},
		"data flag over memory variable": {Settings{Data: "d", InMemory: true}, map[string]string{"data": flag, "in-memory": environment}, "d", false},
		"both flags":                     {Settings{Data: "d", InMemory: true}, map[string]string{"data": flag, "in-memory": flag}, "", true},
		"both variables":                 {Settings{Data: "d", InMemory: true}, map[string]string{"data": environment, "in-memory": environment}, "", true},
	} {
		cfg, err := tt.start.config(tt.sources)
		if (err != nil) != tt.wantErr {
			t.Errorf("%s: error %v, want one: %t", name, err, tt.wantErr)
		}
		if err == nil && cfg.DataDir != tt.dataDir {
			t.Errorf("%s: data directory %q, want %q", name, cfg.DataDir, tt.dataDir)
		}
	}
	for source, want := range map[string]int{"": emulator.FallbackHTTPSPort, flag: 0, environment: 0} {
		cfg, err := (&Settings{InMemory: true, HTTPSPort: 443}).config(map[string]string{"https-port": source})
		if err != nil || cfg.HTTPSFallbackPort != want {
			t.Errorf("https-port from %q: fallback %d, %v; want %d", source, cfg.HTTPSFallbackPort, err, want)
		}
	}
}

func TestAssignments(t *testing.T) {
	v := variable{"NAME", `it's \ $x`}
	for shell, want := range map[string]string{
		"bash":       `export NAME='it'\''s \ $x'`,
		"fish":       `set -gx NAME 'it\'s \\ $x'`,
		"powershell": `$env:NAME = 'it''s \ $x'`,
		"dotenv":     `NAME=it's \ $x`,
	} {
		if got := v.assignment(shell); got != want {
			t.Errorf("%s: %s, want %s", shell, got, want)
		}
	}
}

func TestMapHosts(t *testing.T) {
	old := "127.0.0.1 localhost\n10.0.0.1 hub1.test HUB2.test other # office\n10.0.0.2 hub1.test\n# hub1.test in a comment\n10.0.0.3 last"
	want := "127.0.0.1\thub1.test\n127.0.0.1\thub2.test\n127.0.0.1 localhost\n10.0.0.1 other # office\n# hub1.test in a comment\n10.0.0.3 last\n"
	if got := mapHosts(old, "127.0.0.1", []string{"hub1.test", "hub2.test"}); got != want {
		t.Errorf("hosts file is\n%s\nwant\n%s", got, want)
	}
}

func TestBannerNamesAttention(t *testing.T) {
	info := emulator.Info{
		Version: "v1", HostName: "hub1.test", AdminURL: "http://127.0.0.1:8484",
		ConnectionStrings: map[string]string{"iothubowner": "OWNER"},
	}
	text := banner(info, []string{"mind the gap"}, emulator.Config{Bind: "0.0.0.0"})
	for _, want := range []string{"ATTENTION: mind the gap\n", "\n  OWNER\n", "device create NAME\n", "\nhubnerite ready\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the banner lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "--admin-url") {
		t.Errorf("the banner names the default management address:\n%s", text)
	}
}

func TestHelpGoesToStandardOutput(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run([]string{"--help"}, &out, &errs); code != 0 || errs.Len() != 0 || !strings.Contains(out.String(), "exec") {
		t.Errorf("code %d, errors %q, output %q", code, errs.String(), out.String())
	}
	out.Reset()
	if code := run([]string{"--nonsense"}, &out, &errs); code != exitUsage || out.Len() != 0 {
		t.Errorf("code %d, output %q; want %d and nothing", code, out.String(), exitUsage)
	}
}
