//go:build conformance

package image

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// programTimeout bounds each wait for a program. Far more than it should take.
const programTimeout = 90 * time.Second

// program is a running SDK program of the conformance suite.
type program struct {
	name  string
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string
	// seen is what it printed and was read.
	seen []string
}

// startPython starts conformance/python/NAME. The program ends with the test.
func startPython(t *testing.T, env []string, name string, args ...string) *program {
	t.Helper()
	p := &program{name: name, lines: make(chan string, 10000)}
	p.cmd = exec.Command(os.Getenv("HUBNERITE_PYTHON"), append([]string{filepath.Join("..", "python", name)}, args...)...)
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
	go func() {
		for scanner := bufio.NewScanner(reader); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
		_ = reader.Close()
		close(p.lines)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("%s printed:\n%s", name, strings.Join(p.seen, "\n"))
		}
	})
	return p
}

// next returns the next line, false at the end of the program.
func (p *program) next(t *testing.T) (string, bool) {
	t.Helper()
	select {
	case line, ok := <-p.lines:
		if ok {
			p.seen = append(p.seen, line)
		}
		return line, ok
	case <-time.After(programTimeout):
		t.Fatalf("%s says nothing for %s", p.name, programTimeout)
		return "", false
	}
}

// wait returns the next line that matches, passing over others.
func (p *program) wait(t *testing.T, pattern string) string {
	t.Helper()
	for re := regexp.MustCompile(pattern); ; {
		line, ok := p.next(t)
		switch {
		case !ok:
			t.Fatalf("%s ended without a line like %q", p.name, pattern)
		case re.MatchString(line):
			return line
		}
	}
}

// send writes a command, as a line of JSON, to the program's standard input.
func (p *program) send(t *testing.T, command string) {
	t.Helper()
	if _, err := io.WriteString(p.in, command+"\n"); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
}

// end waits for the program's good end.
func (p *program) end(t *testing.T) {
	t.Helper()
	for {
		if _, ok := p.next(t); !ok {
			break
		}
	}
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
}
