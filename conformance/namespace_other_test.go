//go:build conformance && !linux

package conformance

import (
	"errors"
	"os/exec"
	"testing"
)

const probeFailed = 97

func isolate(*exec.Cmd) {}

func namespacesWork(*testing.T) bool { return false }

func probeNamespace() ([]byte, error) { return nil, errors.ErrUnsupported }

func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

func enterNamespace() error { return errors.ErrUnsupported }
