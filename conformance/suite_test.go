//go:build conformance

package conformance

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// insideVariable is set for the process that runs one scenario in a namespace of its own.
const insideVariable = "HUBNERITE_CONFORMANCE_INSIDE"

// sharedVariable, when set, makes the scenarios share the machine's own ports although namespaces could be had.
const sharedVariable = "HUBNERITE_CONFORMANCE_SHARED"

// folderVariable names a folder that outlives the namespace's process, for what has to be there until its end.
const folderVariable = "HUBNERITE_CONFORMANCE_FOLDER"

// scenarioTimeout ends a scenario that hangs. The longest good one takes about two minutes.
const scenarioTimeout = 6 * time.Minute

// scenario is one subtest of TestConformance: an emulator and the programs that use it.
type scenario struct {
	name string
	// needs names the runtimes it uses: python, proton, node, java, browser, schemathesis. A missing one means the scenario is not run.
	needs []string
	run   func(t *testing.T, s *site)
}

// site is where a scenario runs: the paths of what it starts, and whether it has the machine's ports for itself.
type site struct {
	binary string
	python string
	node   string
	java   string
	// browser is the folder of Playwright, chromium the program that it drives.
	browser, chromium string
	// schemathesis is the program of that name.
	schemathesis string
	// namespaced says that this process has a network, a hosts file and user id 0 of its own.
	namespaced bool
}

func TestMain(m *testing.M) {
	demo := flag.Bool("demo", false, "run both tutorials and print what their programs print")
	_ = flag.Bool(matrixFlag, false, "write what works with which SDK into docs/coverage.md")
	flag.Parse()
	interruptible()
	inside := os.Getenv(insideVariable) != ""
	if inside {
		if err := enterNamespace(); err != nil {
			fmt.Fprintln(os.Stderr, "namespace:", err)
			os.Exit(probeFailed)
		}
		if os.Getenv(insideVariable) == "probe" {
			os.Exit(0)
		}
	}
	pattern := "test.skip"
	if *demo {
		pattern = "test.run"
	}
	if err := flag.Set(pattern, "^TestDemo$"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if *demo {
		os.Exit(demoMain(m, inside))
	}
	os.Exit(m.Run())
}

// interruptible makes the programs that we start take Ctrl-C. A background job of a shell ignores that signal, and so would
// whatever it starts; a signal that somebody listens for is back to normal in children.
func interruptible() {
	if signal.Ignored(os.Interrupt) {
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	}
}

// TestConformance runs every scenario, each in a network namespace of its own where the system allows it, else one after the
// other on 127.0.0.1.
func TestConformance(t *testing.T) {
	s := newSite(t)
	inside := os.Getenv(insideVariable) != ""
	s.namespaced = inside
	spawn := !inside && namespacesWork(t)
	if !inside && !spawn {
		t.Log("no network namespaces here: the scenarios take turns, and need 127.0.0.1 ports 443, 5671, 8883 and 8484")
		requirePorts(t)
	}
	var cells *collector
	if !inside {
		cells = collectCells(t, s)
	}
	var turns sync.Mutex
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			if cells != nil {
				cells.watch(t, sc.name)
			}
			s.require(t, sc.needs)
			switch {
			case inside:
				sc.run(t, s)
			case spawn:
				runInNamespace(t)
			default:
				turns.Lock()
				defer turns.Unlock()
				sc.run(t, s)
			}
		})
	}
}

func scenarios() []scenario {
	var all []scenario
	for _, group := range [][]scenario{
		pythonScenarios(), pythonFaultScenarios(), nodeScenarios(), lifecycleScenarios(), stopScenarios(), commandScenarios(), crashScenarios(), recordScenarios(),
		refusalScenarios(),
		hostileScenarios(), managementScenarios(), webSocketScenarios(), queueScenarios(), javaScenarios(), reconnectScenarios(), httpScenarios(), serviceAPIScenarios(), queryScenarios(), faultScenarios(), faultRuleScenarios(),
		certificateScenarios(), nodeMatrixScenarios(), edgeScenarios(), dashboardScenarios(), newcomerScenarios(), seedScenarios(), docsScenarios(),
	} {
		all = append(all, group...)
	}
	return all
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{
		binary: os.Getenv("HUBNERITE_BIN"), python: os.Getenv("HUBNERITE_PYTHON"), node: os.Getenv("HUBNERITE_NODE"),
		java: os.Getenv("HUBNERITE_JAVA"), schemathesis: os.Getenv("HUBNERITE_SCHEMATHESIS"),
		browser: os.Getenv("HUBNERITE_BROWSER"), chromium: os.Getenv("HUBNERITE_CHROMIUM"),
	}
	if s.binary == "" {
		binary, err := filepath.Abs(filepath.Join("..", "bin", "hubnerite"))
		if err != nil {
			t.Fatal(err)
		}
		s.binary = binary
	}
	if _, err := os.Stat(s.binary); err != nil {
		t.Fatalf("the binary under test: %v (make build)", err)
	}
	return s
}

// require leaves a scenario whose runtime is missing as not run; with CI=true that is a failure.
func (s *site) require(t *testing.T, needs []string) {
	t.Helper()
	for _, need := range needs {
		missing := ""
		switch need {
		case "python":
			if s.python == "" {
				missing = "Python"
			}
		case "proton":
			if s.python == "" || exec.Command(s.python, "-c", "import proton").Run() != nil {
				missing = "python-qpid-proton"
			}
		case "node":
			if s.node == "" {
				missing = "Node.js"
			}
		case "java":
			if s.java == "" {
				missing = "Java"
			}
		case "c":
			if exec.Command("cc", "-E", "-include", "mosquitto.h", "-x", "c", os.DevNull).Run() != nil {
				missing = "a C compiler with libmosquitto"
			}
		case "browser":
			if s.browser == "" || s.chromium == "" {
				missing = "Chromium"
			}
		case "schemathesis":
			if s.schemathesis == "" {
				missing = "Schemathesis"
			}
		case "namespace":
			if !s.namespaced && !namespacesWork(t) {
				missing = "a mount namespace"
			}
		case "bash", "curl", "openssl":
			if _, err := exec.LookPath(need); err != nil {
				missing = need
			}
		default:
			t.Fatalf("unknown need %q", need)
		}
		switch {
		case missing == "":
		case os.Getenv("CI") == "true":
			t.Fatalf("not run: %s is missing", missing)
		default:
			s.noteNotRun(t, missing)
			t.Skipf("not run: %s is missing", missing)
		}
	}
}

// noteNotRun tells the end of `make test` that a scenario was not run, in a file that scripts/conformance names.
func (s *site) noteNotRun(t *testing.T, missing string) {
	t.Helper()
	path := os.Getenv("HUBNERITE_NOT_RUN")
	if path == "" {
		return
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(file, "%s: needs %s\n", t.Name(), missing)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		t.Fatal(err)
	}
}

// runInNamespace runs the scenario of t, and nothing else, in a copy of this process with namespaces of its own.
func runInNamespace(t *testing.T) {
	name := t.Name()
	pattern := "^" + strings.ReplaceAll(name, "/", "$/^") + "$"
	cmd := exec.Command("/proc/self/exe", "-test.v", "-test.run", pattern, "-test.timeout", scenarioLimit(t).String())
	cmd.Env = append(os.Environ(), insideVariable+"=1", folderVariable+"="+t.TempDir())
	isolate(cmd)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	defer killGroup(cmd)
	select {
	case err := <-done:
		if err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		if !strings.Contains(out.String(), "--- PASS: "+name) {
			t.Fatalf("the scenario did not run:\n%s", out.String())
		}
		// What it had to say although it passed, such as how much it did.
		for _, line := range regexp.MustCompile(`(?m)^ +\w+_test\.go:\d+: (.*)$`).FindAllStringSubmatch(out.String(), -1) {
			t.Log(line[1])
		}
	case <-time.After(scenarioLimit(t) + 20*time.Second):
		killGroup(cmd)
		t.Fatalf("stuck, killed: %v\n%s", <-done, out.String())
	}
}

// requirePorts names the ports that the SDKs insist on and somebody else holds.
func requirePorts(t *testing.T) {
	t.Helper()
	for _, port := range []int{443, 5671, 8883} {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatalf("the SDKs insist on 127.0.0.1 ports 443, 5671 and 8883, and without a network namespace this run needs them: %v", err)
		}
		_ = listener.Close()
	}
}
