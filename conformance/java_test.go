//go:build conformance

package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// javaScenarios are Microsoft's Java SDKs.
func javaScenarios() []scenario {
	return append(javaDeviceScenarios(), []scenario{
		{"java_event_hubs", []string{"java"}, func(t *testing.T, s *site) {
			// The device SDK wants a dot in the name.
			h := s.startHub(t, "--hostname", "127.0.0.1", "--device", "d1", "--device", "d2")
			s.judgeItselfJava(t, h, "event-hubs", "EventHubs", "IOTHUB_DEVICES="+h.ready.Devices["d1"]+"\t"+h.ready.Devices["d2"])
		}},
		{"java_service", []string{"java"}, func(t *testing.T, s *site) {
			h := s.startHub(t, "--hostname", "127.0.0.1", "--device", "d1")
			s.judgeItselfJava(t, h, "service", "Service", storage(h),
				"REGISTRY_READ_CONNECTION_STRING="+h.ready.ConnectionStrings["registryRead"])
		}},
		{"java_env_and_exec", []string{"java"}, javaEnvironment},
	}...)
}

// javaEnvironment runs a device and its back end with nothing set but by `hubnerite exec`, and by `hubnerite env`. The trust store's
// path has a space, which the virtual machine takes for the end of an option unless it is told otherwise.
func javaEnvironment(t *testing.T, s *site) {
	s.startHub(t, "--hostname", "127.0.0.1", "--device", "d1", "--data", filepath.Join(t.TempDir(), "my data"))
	java := s.javaCommand("service", "Everyday", fastStart()...)
	for name, prefix := range map[string][]string{
		"exec": {s.binary, "exec", "--"},
		"env":  {"sh", "-c", `eval "$("$0" env)" && exec "$@"`, s.binary},
	} {
		p := startProgram(t, nil, os.Environ(), name, append(slices.Clip(prefix), java...)...)
		p.wait(programTimeout)
		wantPassed(t, p)
		p.waitLine(`^Picked up JAVA_TOOL_OPTIONS: .*my data`, 1, time.Minute)
	}
}

// startJava runs a compiled program of conformance/java with the jars of a profile of its pom, and flags of the virtual machine. It
// trusts the hub by what `hubnerite env` says.
func (s *site) startJava(t testing.TB, h *hub, profile, class string, flags []string, env ...string) *program {
	t.Helper()
	tell := exec.Command(s.binary, "env", "--shell", "dotenv")
	tell.Env = append(os.Environ(), "HUBNERITE_ADMIN_URL="+h.ready.AdminURL)
	out, err := tell.Output()
	if err != nil {
		t.Fatalf("hubnerite env: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "JAVA_TOOL_OPTIONS=") {
			env = append(slices.Clip(env), strings.TrimSpace(line))
		}
	}
	return startProgram(t, nil, h.env(env...), class, s.javaCommand(profile, class, flags...)...)
}

// javaCommand is the command line of a compiled program.
func (s *site) javaCommand(profile, class string, flags ...string) []string {
	path := filepath.Join(s.java, "classes") + string(filepath.ListSeparator) + filepath.Join(s.java, "lib", profile, "*")
	command := append([]string{"java", "-XX:+UseSerialGC", "-Xshare:auto", "-Dfile.encoding=UTF-8", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"}, flags...)
	return append(command, "-cp", path, class)
}

// fastStart tells the virtual machine to start fast rather than to run fast.
func fastStart() []string { return []string{"-XX:TieredStopAtLevel=1"} }

// judgeItselfJava runs a Java program that checks everything itself.
func (s *site) judgeItselfJava(t *testing.T, h *hub, profile, class string, env ...string) {
	t.Helper()
	p := s.startJava(t, h, profile, class, fastStart(), append(env, h.device("d1"))...)
	p.wait(programTimeout)
	wantPassed(t, p)
}

// wantPassed checks that a program that has ended well says so, too.
func wantPassed(t *testing.T, p *program) {
	t.Helper()
	if !strings.HasSuffix(p.output(), "PASSED") {
		t.Fatalf("%s ended without saying that it passed", p.name)
	}
}
