package main

import "errors"

// helpCmd is there for the list of commands: run turns "help COMMAND" into
// "COMMAND --help" before anything is parsed.
type helpCmd struct {
	Command []string `arg:"" optional:"" help:"The command."`
}

// Run is never called.
func (helpCmd) Run() error { return errors.New("help is the first word of a command line") }
