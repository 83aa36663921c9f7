// Command hubnerite is a local Azure IoT Hub. Without arguments it starts the
// emulator; its sub-commands help the programs that use it.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// Exit codes besides 0. exec ends with its program's code instead.
const (
	exitFailure = 1
	exitUsage   = 2
)

// exitCode is an error that only carries a code: whatever there was to say has
// been said.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// app is what every command gets.
type app struct {
	stdout, stderr io.Writer
	// adminURL is where a running emulator is asked; without a slash at its end.
	adminURL string
	// adminToken is what the management API demands, or is to demand; empty is nothing.
	adminToken string
	// hub is the hub that a command is about; empty is the default one.
	hub string
	// model is the command line's grammar.
	model *kong.Node
	// sources says where the value of a flag comes from: "flag", "environment"
	// or, absent, the default.
	sources map[string]string
}

// run parses and executes a command line and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	unsetEmpty()
	var c cli
	exited, code := false, 0
	parser, err := kong.New(&c, kong.Name("hubnerite"),
		kong.Description("A local Azure IoT Hub for the unmodified Azure IoT SDKs. \"hubnerite start --help\" lists its settings. Every flag can also be set by the environment variable shown with it."),
		kong.Writers(stdout, stderr), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Exit(func(status int) { exited, code = true, status }),
		kong.Vars{"datadir": defaultDataDir()}, environmentTwins())
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "hubnerite:", err)
		return exitFailure
	}
	if len(args) > 0 && args[0] == "help" {
		args = append(args[1:len(args):len(args)], "--help")
	}
	context, err := parser.Parse(args)
	if exited { // --help
		return code
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "hubnerite: %v\n%s\n", err, tryHelp(commandOf(err, parser.Model.DefaultCmd)))
		return exitUsage
	}
	a := &app{stdout: stdout, stderr: stderr, adminURL: strings.TrimRight(c.AdminURL, "/"), adminToken: c.AdminToken, hub: c.Hub, sources: flagSources(context), model: parser.Model.Node}
	if a.adminURL == "" {
		a.adminURL = defaultAdminURL()
	}
	err = context.Run(a)
	var silent exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &silent):
		return int(silent)
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		_, _ = fmt.Fprintln(stderr, "hubnerite:", line)
	}
	var usage usageError
	if errors.As(err, &usage) {
		_, _ = fmt.Fprintln(stderr, tryHelp(context.Selected()))
		return exitUsage
	}
	return exitFailure
}

// commandOf returns the command in whose arguments a syntax error is. That of
// "hubnerite NONSENSE" is no argument of start, although it reads like one.
func commandOf(err error, start *kong.Node) *kong.Node {
	var syntax *kong.ParseError
	if !errors.As(err, &syntax) {
		return nil
	}
	node := syntax.Context.Selected()
	if node == nil {
		for _, p := range syntax.Context.Path {
			if p.Command != nil {
				node = p.Command
			}
		}
	}
	switch {
	case node != nil && node != start:
		return node
	case strings.Contains(err.Error(), "unexpected argument"):
		return nil
	}
	return start
}

// tryHelp says where the help of a command is; nil is the program's.
func tryHelp(command *kong.Node) string {
	name := "hubnerite"
	if command != nil {
		name = command.FullPath()
	}
	return fmt.Sprintf("Try %q.", name+" --help")
}

// unsetEmpty forgets our variables that are empty, which is how compose files
// and CI systems leave something out.
func unsetEmpty() {
	for _, entry := range os.Environ() {
		if name, value, _ := strings.Cut(entry, "="); value == "" && strings.HasPrefix(name, environmentPrefix) {
			_ = os.Unsetenv(name)
		}
	}
}

// usageError is an error in how a command was called.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }
