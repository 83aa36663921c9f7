//go:build conformance && !linux

package conformance

import (
	"errors"
	"os"
	"os/exec"
	"testing"
)

const probeFailed = 97

func isolate(*exec.Cmd) {}

func namespacesWork(*testing.T) bool { return false }

func probeNamespace() ([]byte, error) { return nil, errors.ErrUnsupported }

func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

func ownGroup(*exec.Cmd) {}

func interruptGroup(cmd *exec.Cmd) { _ = cmd.Process.Signal(os.Interrupt) }

func enterNamespace() error { return errors.ErrUnsupported }
