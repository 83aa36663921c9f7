//go:build conformance

package conformance

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// terminal is a bash that executes one block after the other and keeps its variables and its folder between them.
type terminal struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	marker string
	// goRun says that the last block runs something by `go run`.
	goRun bool
	// running is set while the last block goes on running.
	running bool

	mu      sync.Mutex
	output  []string // of the last block
	status  int      // of the last block, -1 before its end
	closed  bool     // the shell has ended
	changed chan struct{}
}

// openTerminal starts the bash. It ends with the test, and whatever it started with it.
func openTerminal(t *testing.T, name, folder string, env []string) *terminal {
	t.Helper()
	term := &terminal{marker: "end of block " + rand.Text(), changed: make(chan struct{})}
	term.cmd = exec.Command("bash", "--noprofile", "--norc")
	term.cmd.Dir, term.cmd.Env = folder, env
	ownGroup(term.cmd)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	term.cmd.Stdout, term.cmd.Stderr = writer, writer
	if term.in, err = term.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := term.cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	_ = writer.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		term.read(reader)
	}()
	t.Cleanup(func() {
		killGroup(term.cmd)
		_ = term.cmd.Wait()
		// Whatever left the group and still holds the pipe shall not hold up the test.
		_ = reader.Close()
		<-done
	})
	// Ctrl-C reaches the shell and what it runs; the shell is to survive it.
	term.say("trap : INT")
	term.say(fmt.Sprintf("trap 'printf \"%s %%d\\n\" $?' EXIT", term.marker))
	return term
}

// say writes a line for the shell to read. A shell that has ended shows by its status.
func (term *terminal) say(line string) { _, _ = io.WriteString(term.in, line+"\n") }

// execute starts a block. A strict one ends at the first command that fails, and the shell with it.
func (term *terminal) execute(block string, strict bool) {
	term.mu.Lock()
	term.output, term.status = nil, -1
	if term.closed {
		term.status = 255
	}
	term.mu.Unlock()
	before, after := "set -e -o pipefail", "set +e +o pipefail"
	if !strict {
		before, after = ":", ":"
	}
	term.say(fmt.Sprintf("%s; . '%s' </dev/null; printf '%s %%d\\n' $?; %s", before, block, term.marker, after))
}

func (term *terminal) read(reader *os.File) {
	marker := regexp.MustCompile(`^(.*)` + regexp.QuoteMeta(term.marker) + ` (\d+)$`)
	lines := bufio.NewReader(reader)
	for {
		line, err := lines.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		term.mu.Lock()
		if match := marker.FindStringSubmatch(line); match != nil {
			line = match[1]
			term.status, _ = strconv.Atoi(match[2])
		}
		if err != nil {
			term.closed = true
			if term.status < 0 {
				term.status = 255
			}
		}
		if line != "" || err == nil && term.status < 0 {
			term.output = append(term.output, line)
		}
		close(term.changed)
		term.changed = make(chan struct{})
		term.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// wait waits until the condition, which is called with mu held, is true.
func (term *terminal) wait(timeout time.Duration, condition func() bool) bool {
	deadline := time.After(timeout)
	for {
		term.mu.Lock()
		ok, changed := condition(), term.changed
		term.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-deadline:
			return false
		}
	}
}

// waitStatus waits for the end of the block and answers its exit code.
func (term *terminal) waitStatus(timeout time.Duration) (int, bool) {
	ended := term.wait(timeout, func() bool { return term.status >= 0 })
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.status, ended
}

// waitOutput waits until a running block has printed something; it fails at once when the block ends without it.
func (term *terminal) waitOutput(timeout time.Duration, enough func(lines []string) bool) bool {
	seen := false
	term.wait(timeout, func() bool {
		seen = enough(term.output)
		return seen || term.status >= 0
	})
	return seen
}

// interrupt is Ctrl-C.
func (term *terminal) interrupt() { interruptGroup(term.cmd) }

func (term *terminal) lines() []string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return slices.Clone(term.output)
}

func (term *terminal) printed() string { return tail(strings.Join(term.lines(), "\n"), 80) }
