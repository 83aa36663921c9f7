//go:build conformance

package conformance

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// program is a running SDK program and what it has printed.
type program struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser

	mu      sync.Mutex
	lines   []string
	changed chan struct{} // closed and replaced with every line
	ended   bool
	err     error
	echo    io.Writer
}

// python starts conformance/python/NAME with args. The program ends with the test.
func (s *site) startPython(t testing.TB, env []string, name string, args ...string) *program {
	t.Helper()
	return startProgram(t, nil, env, name, append([]string{s.python, filepath.Join("python", name)}, args...)...)
}

// startNode starts conformance/node/NAME with args, with the packages of s.node.
func (s *site) startNode(t testing.TB, env []string, name string, args ...string) *program {
	t.Helper()
	env = append(env, "NODE_PATH="+filepath.Join(s.node, "node_modules"))
	return startProgram(t, nil, env, name, append([]string{"node", filepath.Join("node", name)}, args...)...)
}

// startProgram starts a command, copying what it prints to echo, if there is one, with the name in front.
func startProgram(t testing.TB, echo io.Writer, env []string, name string, command ...string) *program {
	t.Helper()
	p := &program{t: t, name: name, changed: make(chan struct{}), echo: echo}
	p.cmd = exec.Command(command[0], command[1:]...)
	p.cmd.Env = env
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = writer, writer
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = writer.Close()
	go p.read(reader)
	t.Cleanup(func() {
		p.kill()
		p.keepCells()
		if t.Failed() {
			t.Logf("%s printed:\n%s", name, tail(p.output(), 80))
		}
	})
	return p
}

func (p *program) read(reader *os.File) {
	scanner := bufio.NewScanner(reader)
	scanner.Buffer(nil, 4<<20)
	for scanner.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, scanner.Text())
		p.wake()
		p.mu.Unlock()
		if p.echo != nil {
			_, _ = fmt.Fprintf(p.echo, "%-9s| %s\n", p.name, scanner.Text())
		}
	}
	_ = reader.Close()
	err := p.cmd.Wait()
	p.mu.Lock()
	p.ended, p.err = true, err
	p.wake()
	p.mu.Unlock()
}

// wake is called with mu held.
func (p *program) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// waitLine waits until count lines match the pattern, and returns the match and its groups of the last of them.
func (p *program) waitLine(pattern string, count int, timeout time.Duration) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.After(timeout)
	for {
		p.mu.Lock()
		seen := 0
		for _, line := range p.lines {
			if match := re.FindStringSubmatch(line); match != nil {
				if seen++; seen == count {
					p.mu.Unlock()
					return match
				}
			}
		}
		ended, changed := p.ended, p.changed
		p.mu.Unlock()
		if ended {
			p.t.Fatalf("%s ended (%v) with %d of %d lines like %q", p.name, p.err, seen, count, pattern)
		}
		select {
		case <-changed:
		case <-deadline:
			p.t.Fatalf("%s: %d of %d lines like %q after %s", p.name, seen, count, pattern, timeout)
		}
	}
}

// send writes a command, as a line of JSON, to the program's standard input.
func (p *program) send(command map[string]any) {
	p.t.Helper()
	text, err := json.Marshal(command)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.in.Write(append(text, '\n')); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// matches returns the first group of every line that matches.
func (p *program) matches(pattern string) []string {
	re := regexp.MustCompile(pattern)
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []string
	for _, line := range p.lines {
		if match := re.FindStringSubmatch(line); match != nil {
			found = append(found, match[1])
		}
	}
	return found
}

// wait waits for the program's own end, which must be a success.
func (p *program) wait(timeout time.Duration) {
	p.t.Helper()
	deadline := time.After(timeout)
	for {
		p.mu.Lock()
		ended, err, changed := p.ended, p.err, p.changed
		p.mu.Unlock()
		if ended {
			if err != nil {
				p.t.Fatalf("%s: %v", p.name, err)
			}
			return
		}
		select {
		case <-changed:
		case <-deadline:
			p.t.Fatalf("%s: still running after %s", p.name, timeout)
		}
	}
}

// interrupt is Ctrl-C; the program must end within the time, with whatever exit code.
func (p *program) interrupt(timeout time.Duration) {
	p.t.Helper()
	_ = p.cmd.Process.Signal(os.Interrupt)
	p.waitEnd(timeout)
}

// kill ends the program at once.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	p.waitEnd(time.Minute)
}

func (p *program) waitEnd(timeout time.Duration) {
	p.t.Helper()
	deadline := time.After(timeout)
	for {
		p.mu.Lock()
		ended, changed := p.ended, p.changed
		p.mu.Unlock()
		if ended {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			p.t.Errorf("%s: not ended after %s", p.name, timeout)
			return
		}
	}
}

func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}
