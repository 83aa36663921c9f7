//go:build conformance

package conformance

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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
	}...)
}

// startJava runs a compiled program of conformance/java with the jars of a profile of its pom, and flags of the virtual machine. It
// trusts the hub by a store that keytool made, as docs/trust.md tells people to.
func (s *site) startJava(t testing.TB, h *hub, profile, class string, flags []string, env ...string) *program {
	t.Helper()
	store := filepath.Join(t.TempDir(), "trust.p12")
	keytool := exec.Command("keytool", "-importcert", "-noprompt", "-alias", "hubnerite", "-file", h.ready.CAFile,
		"-keystore", store, "-storetype", "PKCS12", "-storepass", "changeit")
	if out, err := keytool.CombinedOutput(); err != nil {
		t.Fatalf("keytool: %v\n%s", err, out)
	}
	flags = append(slices.Clip(flags), "-Djavax.net.ssl.trustStore="+store, "-Djavax.net.ssl.trustStorePassword=changeit")
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
