package main

import (
	"fmt"
	"runtime"

	"github.com/hubnerite/hubnerite/emulator"
)

type versionCmd struct{}

// Run prints the version of this program.
func (versionCmd) Run(a *app) error {
	_, err := fmt.Fprintf(a.stdout, "hubnerite %s %s/%s %s\n", emulator.Version(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	return err
}
