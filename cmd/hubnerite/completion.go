package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCmd prints a shell's script. The script asks this program what may
// come next, so it stays right when commands are added.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish,powershell" help:"bash, zsh, fish or powershell."`
}

// Run prints the script.
func (c *completionCmd) Run(a *app) error {
	_, err := fmt.Fprint(a.stdout, completionScripts()[c.Shell])
	return err
}

func completionScripts() map[string]string {
	return map[string]string{
		"bash": `# In ~/.bashrc: source <(hubnerite completion bash)
_hubnerite() {
  local IFS=$'\n'
  COMPREPLY=($(hubnerite complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f 1))
}
complete -o default -F _hubnerite hubnerite
`,
		"zsh": `#compdef hubnerite
# In ~/.zshrc, after compinit: source <(hubnerite completion zsh)
_hubnerite() {
  local -a found
  local word text
  while IFS=$'\t' read -r word text; do
    found+=("${word//:/\\:}:$text")
  done < <(hubnerite complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( $#found )); then
    _describe -o hubnerite found
  else
    _files
  fi
}
compdef _hubnerite hubnerite
`,
		"fish": `# In ~/.config/fish/config.fish: hubnerite completion fish | source
complete -c hubnerite -a '(hubnerite complete -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
`,
		// Before version 7.3 an empty argument is lost, hence --new-word.
		"powershell": `# In $PROFILE: hubnerite completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName hubnerite -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | Select-Object -Skip 1 | ForEach-Object { "$_" })
  $new = @()
  if ($wordToComplete -eq '') { $new = @('--new-word') }
  hubnerite complete @new '--' @words 2>$null | ForEach-Object {
    $word, $text = $_ -split "` + "`" + `t", 2
    if (-not $text) { $text = $word }
    [System.Management.Automation.CompletionResult]::new($word, $word, 'ParameterValue', $text)
  }
}
`,
	}
}

// completeCmd is what the scripts ask: the words after the program's name, of which the
// last one, perhaps empty, is to be completed.
type completeCmd struct {
	NewWord bool     `help:"Complete an empty word behind these."`
	Words   []string `arg:"" optional:"" passthrough:""`
}

// Run prints what may stand there, each with a tab and a description.
func (c *completeCmd) Run(a *app) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	if c.NewWord {
		words = append(words, "")
	}
	for _, f := range complete(a.model, words) {
		if _, err := fmt.Fprintf(a.stdout, "%s\t%s\n", f.word, f.text); err != nil {
			return err
		}
	}
	return nil
}

// completion is a word that may come, with its description.
type completion struct{ word, text string }

// complete returns what the last of the words may become. Nothing leaves it to the shell, which
// offers files.
func complete(root *kong.Node, words []string) []completion {
	if len(words) == 0 {
		return nil
	}
	current, before := words[len(words)-1], words[:len(words)-1]
	node, arguments := root, 0
	var valueOf *kong.Flag // the flag whose value comes next
	for _, word := range before {
		switch {
		case valueOf != nil:
			valueOf = nil
		case word == "--":
			return nil
		case strings.HasPrefix(word, "-"):
			if flag := findFlag(node, word); flag != nil && !flag.IsBool() {
				valueOf = flag
			}
		default:
			if child := findCommand(node, word); child != nil && arguments == 0 {
				node = child
			} else {
				arguments++
			}
		}
	}
	var all []completion
	switch name, _, assigned := strings.Cut(current, "="); {
	case valueOf != nil:
		all = values(valueOf.Value, "")
	case strings.HasPrefix(current, "-") && assigned:
		if flag := findFlag(node, name); flag != nil {
			all = values(flag.Value, name+"=")
		}
	case strings.HasPrefix(current, "-"):
		for _, flag := range flagsOf(node) {
			if !flag.Hidden {
				all = append(all, completion{"--" + flag.Name, firstSentence(flag.Help)})
			}
		}
	default:
		if arguments == 0 {
			for _, child := range node.Children {
				if !child.Hidden {
					all = append(all, completion{child.Name, firstSentence(child.Help)})
				}
			}
		}
		if arguments < len(node.Positional) {
			all = append(all, values(node.Positional[arguments], "")...)
		}
		if node.Name == "help" && node.Parent == root {
			all = append(all, complete(root, append(slices.Clone(before[1:]), current))...)
		}
	}
	return slices.DeleteFunc(all, func(c completion) bool { return !strings.HasPrefix(c.word, current) })
}

// values returns what a value with a fixed choice may be.
func values(v *kong.Value, prefix string) []completion {
	var all []completion
	if v.Enum == "" {
		return nil
	}
	for word := range strings.SplitSeq(v.Enum, ",") {
		if word = strings.TrimSpace(word); word != "" {
			all = append(all, completion{prefix + word, ""})
		}
	}
	return all
}

func findCommand(node *kong.Node, name string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == name && !child.Hidden {
			return child
		}
	}
	return nil
}

// flagsOf returns the flags that a command line may have at a command: its own, those
// above it, and those of a default command below.
func flagsOf(node *kong.Node) []*kong.Flag {
	var all []*kong.Flag
	if node.DefaultCmd != nil {
		all = append(all, node.DefaultCmd.Flags...)
	}
	for n := node; n != nil; n = n.Parent {
		all = append(all, n.Flags...)
	}
	return all
}

func findFlag(node *kong.Node, word string) *kong.Flag {
	for _, flag := range flagsOf(node) {
		if word == "--"+flag.Name || flag.Short != 0 && word == "-"+string(flag.Short) {
			return flag
		}
	}
	return nil
}

// firstSentence is enough of a help text for a list.
func firstSentence(help string) string {
	text, _, _ := strings.Cut(help, ". ")
	return strings.TrimSuffix(strings.ReplaceAll(text, "\n", " "), ".")
}
