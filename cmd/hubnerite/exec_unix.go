//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"
)

// replaceProcess becomes the program: signals and the exit code are its own.
func replaceProcess(path string, command, environment []string) error {
	if err := syscall.Exec(path, command, environment); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// signalOf returns the number of the signal that ended a process.
func signalOf(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return int(status.Signal())
	}
	return 0
}
