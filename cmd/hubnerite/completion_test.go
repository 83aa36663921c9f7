package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func TestComplete(t *testing.T) {
	parser, err := kong.New(new(cli), kong.Vars{"datadir": "d"}, environmentTwins())
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		words, want string
	}{
		{"dev", "device"},
		{"device ", "create delete list show"},
		{"device cr", "create"},
		{"device create d1 ", ""},
		{"c2d send --ack ", "full negative none positive"},
		{"c2d send --ack=n", "--ack=negative --ack=none"},
		{"c2d send --mess", "--message-id"},
		{"c2d send -p --mess", ""}, // the value of -p
		{"--log-level d", "debug"},
		{"--mqtt-p", "--mqtt-plain-port --mqtt-port"},
		{"start --mqtt-p", "--mqtt-plain-port --mqtt-port"},
		{"start --in-memory --mqtt-p", "--mqtt-plain-port --mqtt-port"},
		{"completion ", "bash fish powershell zsh"},
		{"help dev", "device"},
		{"help c2d ", "send"},
		{"exec -- dev", ""},
		{"run-with", ""},
		{"nonsense dev", ""},
		{"", "ca c2d completion"}, // among others
	} {
		var got []string
		for _, c := range complete(parser.Model.Node, strings.Split(tc.words, " ")) {
			got = append(got, c.word)
		}
		slices.Sort(got)
		if tc.words == "" {
			for _, name := range strings.Fields(tc.want) {
				if !slices.Contains(got, name) {
					t.Errorf("%s is not offered: %v", name, got)
				}
			}
			continue
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%q: %q, want %q", tc.words, strings.Join(got, " "), tc.want)
		}
	}
	if complete(parser.Model.Node, nil) != nil {
		t.Error("no word at all is completed")
	}
}

// TestCompletionInShells runs the scripts in the shells that this machine has.
func TestCompletionInShells(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The test's program is hubnerite when it is called so; see TestMain.
	if err := os.Symlink(self, filepath.Join(dir, "hubnerite")); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	ran := 0
	for shell, tc := range map[string]struct{ script, want string }{
		"bash": {
			`source <(hubnerite completion bash); COMP_WORDS=(hubnerite c2d send --ack ''); COMP_CWORD=4; _hubnerite; printf '%s\n' "${COMPREPLY[@]}"`,
			"none\npositive\nnegative\nfull\n",
		},
		"fish": {`hubnerite completion fish | source; complete -C 'hubnerite completion po' | cut -f 1`, "powershell\n"},
		"zsh": {
			`autoload -U compinit; compinit -u -D; _describe() { printf '%s\n' $found; }; source <(hubnerite completion zsh); ` +
				`words=(hubnerite completion po); CURRENT=3; _hubnerite`, "powershell:\n",
		},
		"pwsh": {
			`hubnerite completion powershell | Out-String | Invoke-Expression; ` +
				`(TabExpansion2 'hubnerite completion po' 23).CompletionMatches.CompletionText`, "powershell\n",
		},
	} {
		program, err := exec.LookPath(shell)
		if err != nil {
			continue
		}
		ran++
		command := exec.CommandContext(t.Context(), program, "-c", tc.script)
		command.Env = append(os.Environ(), "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
		out, err := command.CombinedOutput()
		if err != nil || strings.ReplaceAll(string(out), "\r", "") != tc.want {
			t.Errorf("%s: %q, %v; want %q", shell, out, err, tc.want)
		}
	}
	t.Log(ran, "shells")
	for shell, script := range completionScripts() {
		if !strings.Contains(script, "hubnerite complete ") {
			t.Errorf("%s: the script asks nobody", shell)
		}
	}
}
