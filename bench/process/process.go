// Package process runs the servers that benchmarks measure, and reads what they
// use of the machine.
package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
)

// Process is a running server. Its complaints go to standard error.
type Process struct {
	name   string
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start runs a program, which ends with ctx. The name is for messages.
func Start(ctx context.Context, name, program string, args ...string) (*Process, error) {
	p := &Process{name: name, cmd: exec.CommandContext(ctx, program, args...), exited: make(chan struct{})}
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// StartEmulator runs the built emulator on a data folder until its ready file is
// there, on free ports where args name no others, and returns what the file says.
func StartEmulator(ctx context.Context, name, binary, data, ready string, args ...string) (*Process, emulator.Info, error) {
	var info emulator.Info
	if err := os.Remove(ready); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, info, err
	}
	args = append([]string{
		"start", "--data", data, "--ready-file", ready,
		"--mqtt-port=0", "--amqp-port=0", "--amqp-plain-port=-1", "--https-port=0", "--admin-port=0",
	}, args...)
	p, err := Start(ctx, name, binary, args...)
	if err != nil {
		return nil, info, err
	}
	err = p.Poll(func() error {
		text, err := os.ReadFile(ready)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &info)
	})
	if err != nil {
		p.Stop()
		return nil, info, err
	}
	return p, info, nil
}

// Poll repeats f every 2 ms until it succeeds, for a minute at most, or until the process ends.
func (p *Process) Poll(f func() error) error {
	for end := time.Now().Add(time.Minute); ; {
		err := f()
		if err == nil || time.Now().After(end) {
			return err
		}
		select {
		case <-p.exited:
			return fmt.Errorf("%s ended: %v", p.name, p.cmd.ProcessState)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// Stop asks the process to end, and makes it after ten seconds.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(os.Interrupt)
	select {
	case <-p.exited:
	case <-time.After(10 * time.Second):
		p.Kill()
	}
}

// Kill ends the process at once.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// CPU returns the processor time of the process so far; see CPUOf.
func (p *Process) CPU() time.Duration { return CPUOf(p.cmd.Process.Pid) }

// CPUOf returns the processor time of a process so far; 0 where the system does
// not say so in Linux's way. The clock ticks 100 times a second.
func CPUOf(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The second field is a name in parentheses that may hold spaces.
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if errors.Join(err1, err2) != nil {
		return 0
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// Memory returns the resident memory of the process in bytes; 0 where the system
// does not say so in Linux's way.
func (p *Process) Memory() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == "VmRSS:" {
			kilobytes, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				return 0
			}
			return kilobytes << 10
		}
	}
	return 0
}
