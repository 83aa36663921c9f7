//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// replaceProcess becomes the program: signals and the exit code are its own.
func replaceProcess(path string, command, environment []string) error {
	if err := syscall.Exec(path, command, environment); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// runProcess runs the program as a child and takes on its exit code.
func runProcess(path string, command, environment []string) error {
	forward, stop := catchSignals()
	defer stop()
	child := exec.Command(path) //nolint:gosec // running what the user names is the point
	child.Args, child.Env = command, environment
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := child.Start(); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "hubnerite: %v\n", err)
		return exitCode(exitCannotRun)
	}
	forward(child.Process)
	if err := child.Wait(); err != nil {
		return exitOf(err)
	}
	return nil
}

// catchSignals takes signals that are for a program, from now on; forward hands them on to it, with those that came before. What
// the keyboard sends goes to the whole foreground group, the program included, and is not doubled.
func catchSignals() (forward func(*os.Process), stop func()) {
	_, err := unix.IoctlGetInt(int(os.Stdin.Fd()), unix.TIOCGPGRP)
	atKeyboard := err == nil
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	done := make(chan struct{})
	forward = func(p *os.Process) {
		go func() {
			for {
				select {
				case s := <-signals:
					if !atKeyboard || s != syscall.SIGINT && s != syscall.SIGQUIT {
						_ = p.Signal(s)
					}
				case <-done:
					return
				}
			}
		}()
	}
	return forward, func() {
		signal.Stop(signals)
		close(done)
	}
}

// signalOf returns the number of the signal that ended a process.
func signalOf(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return int(status.Signal())
	}
	return 0
}
