//go:build !unix

package main

import (
	"os"
	"os/exec"
	"os/signal"
)

// replaceProcess runs the program and takes on its exit code. An interrupt of
// the console reaches the program by itself.
func replaceProcess(path string, command, environment []string) error {
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, os.Interrupt)
	defer signal.Stop(ignored)
	child := exec.Command(path, command[1:]...) //nolint:gosec // running what the user names is the point
	child.Env = environment
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := child.Run(); err != nil {
		return exitOf(err)
	}
	return nil
}

// runProcess runs the program.
func runProcess(path string, command, environment []string) error {
	return replaceProcess(path, command, environment)
}

func signalOf(*os.ProcessState) int { return 0 }
