//go:build conformance

package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pythonScenarios are the tutorials and the rest of what Microsoft's Python SDKs do when all goes well.
func pythonScenarios() []scenario {
	return []scenario{
		{"python_c2d_tutorial", []string{"python"}, c2dTutorial},
		{"python_reboot_tutorial", []string{"python"}, rebootTutorial},
		{"python_old_service_client", []string{"python", "proton", "namespace"}, oldServiceClient},
		{"python_feedback", []string{"python", "proton"}, single("feedback.py")},
		{"python_features", []string{"python"}, single("features.py")},
		{"python_telemetry", []string{"python"}, single("telemetry.py")},
		{"python_registry", []string{"python"}, single("registry.py")},
		{"python_registry_bulk", []string{"python"}, single("registry_bulk.py")},
		{"python_twins", []string{"python"}, single("twins.py")},
		{"python_methods", []string{"python"}, single("methods.py")},
		{"python_modules", []string{"python"}, single("modules.py")},
		{"python_module_inputs", []string{"python"}, single("module_inputs.py")},
		{"python_x509", []string{"python"}, certifiedDevice},
		{"python_routes", []string{"python"}, single("routes.py")},
		{"python_event_hubs", []string{"python"}, single("event_hubs.py")},
		{"python_event_processors", []string{"python"}, single("event_processors.py")},
	}
}

// pythonFaultScenarios are what happens when something is wrong.
func pythonFaultScenarios() []scenario {
	return []scenario{
		{"python_c2d_limits", []string{"python"}, single("c2d_limits.py")},
		{"python_credentials", []string{"python"}, single("credentials.py")},
		{"python_takeover", []string{"python"}, single("takeover.py")},
		{"python_clock_faults", []string{"python"}, single("clock_faults.py")},
	}
}

// programTimeout bounds every program that ends by itself; they bound themselves more tightly.
const programTimeout = 5 * time.Minute

// single is a scenario of one Python program that checks everything itself, with a device called d1 at hand.
func single(name string, extra ...string) func(*testing.T, *site) {
	return func(t *testing.T, s *site) { s.judgeItself(t, s.startHub(t, "--device", "d1"), name, extra...) }
}

// judgeItself runs a Python program that checks everything itself.
func (s *site) judgeItself(t *testing.T, h *hub, name string, extra ...string) {
	t.Helper()
	policies, err := json.Marshal(h.ready.ConnectionStrings)
	if err != nil {
		t.Fatal(err)
	}
	p := s.startPython(t, h.env(append(extra, h.device("d1"), "HUBNERITE_POLICIES="+string(policies))...), name)
	p.wait(programTimeout)
	if !strings.HasSuffix(p.output(), "PASSED") {
		t.Fatalf("%s ended without saying that it passed", name)
	}
}

// c2dTutorial is the cloud-to-device tutorial: messages sent before the device ever connected, while it is away and while it is
// connected arrive once each, in order, with their properties.
func c2dTutorial(t *testing.T, s *site) {
	h := s.startHub(t, "--device", "d1")
	env := h.env(h.device("d1"))
	send := func(first, count int) {
		t.Helper()
		s.startPython(t, env, "c2d_backend.py", "d1", fmt.Sprint(first), fmt.Sprint(count)).wait(programTimeout)
	}

	send(1, 3) // before the device ever connected
	device := s.startPython(t, env, "c2d_device.py")
	device.waitLine(`Message 3 received`, 1, time.Minute)
	send(4, 3) // while it is connected
	device.waitLine(`Message 6 received`, 1, time.Minute)
	wantMessages(t, device, 1, 6)
	device.interrupt(time.Minute)
	if got := device.output(); !strings.Contains(got, "Device stopped") {
		t.Errorf("Ctrl-C did not stop the device as it should")
	}

	send(7, 2) // while it is away
	device = s.startPython(t, env, "c2d_device.py")
	device.waitLine(`Message 2 received`, 1, time.Minute)
	wantMessages(t, device, 7, 2)

	device.kill() // no good-bye, as when the power fails
	send(9, 2)
	device = s.startPython(t, env, "c2d_device.py")
	device.waitLine(`Message 2 received`, 1, time.Minute)
	send(11, 1)
	device.waitLine(`Message 3 received`, 1, time.Minute)
	wantMessages(t, device, 9, 3)
}

// wantMessages checks that the device printed exactly the messages first to first+count-1.
func wantMessages(t *testing.T, device *program, first, count int) {
	t.Helper()
	// A message too many would come right after the others.
	time.Sleep(500 * time.Millisecond)
	lines := device.matches(`details: (.*)`)
	if len(lines) != count {
		t.Fatalf("%d messages, want %d:\n%s", len(lines), count, strings.Join(lines, "\n"))
	}
	for i, line := range lines {
		number := first + i
		want := fmt.Sprintf(`{"ack": null, "correlationId": "correlation-%d", "count": %d, "data": "order number %d", `+
			`"messageId": "message-%d", "properties": {"prop number": "a/b=c&d+%d %%"}}`, number, i+1, number, number, number)
		if line != want {
			t.Errorf("message %d:\n got %s\nwant %s", i+1, line, want)
		}
	}
}

// rebootTutorial is the device management tutorial, with its 20 s of sleep.
func rebootTutorial(t *testing.T, s *site) {
	h := s.startHub(t, "--device", "d1")
	env := h.env(h.device("d1"))
	device := s.startPython(t, env, "reboot_device.py")
	device.waitLine(`Waiting for commands`, 1, time.Minute)
	waitListening(t, h, "d1")
	backEnd := s.startPython(t, env, "reboot_backend.py", "d1")
	backEnd.wait(programTimeout)
	// The payload is a JSON string, and must not have been parsed on its way.
	device.waitLine(`Rebooting, payload '\{"method_number":"42"\}'`, 1, 0)
	backEnd.waitLine(`Answer after 2\d\.\d s: status 200, payload \{'result': True, 'data': 'rebooted at `, 1, 0)
	backEnd.waitLine(`The twin says: rebootTime 20`, 1, 0)
	device.interrupt(time.Minute)
}

// waitListening waits until the device is connected and listens for methods. A person would take a moment between starting the
// device and the back end; a program that does not has to wait for the SDK's subscription, which is answered to with 404 as long
// as there is none.
func waitListening(t *testing.T, h *hub, device string) {
	t.Helper()
	c := newCaller(t, h)
	deadline := time.Now().Add(time.Minute)
	for {
		body := map[string]any{"methodName": "nobodyWaitsForThis", "responseTimeoutInSeconds": 5}
		status, _, err := c.call("POST", "/twins/"+device+"/methods", body, "")
		if err != nil {
			t.Fatal(err)
		}
		if status != http.StatusNotFound {
			return // a device that listens, but not for this name, answers nothing at all
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen for methods after 30 s", device)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// oldServiceClient speaks the dialect of the deprecated iothub_service_client, which insists on a host name with a dot.
func oldServiceClient(t *testing.T, s *site) {
	h := s.startHub(t, "--hostname", "hub1.azure-devices.net", "--device", "d1")
	env := h.env(h.device("d1"))
	if want := "HostName=hub1.azure-devices.net;"; !strings.HasPrefix(h.ready.ConnectionStrings["iothubowner"], want) {
		t.Fatalf("the connection string does not start with %s", want)
	}
	back := s.startPython(t, env, "old_service_client.py", "d1", "5")
	back.waitLine(`^accepted 5`, 1, time.Minute)
	device := s.startPython(t, env, "c2d_device.py")
	device.waitLine(`Message 5 received`, 1, time.Minute)
	for i, line := range device.matches(`details: (.*)`) {
		want := fmt.Sprintf(`{"ack": "full", "correlationId": "correlation-%d", "count": %d, "data": "from the old client %d", `+
			`"messageId": "old-%d", "properties": {"prop_1": "value %d"}}`, i+1, i+1, i+1, i+1, i+1)
		if line != want {
			t.Errorf("message %d:\n got %s\nwant %s", i+1, line, want)
		}
	}
	back.wait(programTimeout)
}

// certifiedDevice makes two certificates, of which the hub is told one.
func certifiedDevice(t *testing.T, s *site) {
	s.judgeItself(t, s.startHub(t, "--device", "d1"), "x509.py", certificates(t)...)
}

// certificates makes the two of certifiedDevice and returns the environment that names them.
func certificates(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	var extra []string
	for _, prefix := range []string{"", "OTHER_"} {
		certFile, keyFile, thumbprint := selfSigned(t, dir, prefix+"certified")
		extra = append(extra, prefix+"CERT_FILE="+certFile, prefix+"KEY_FILE="+keyFile, prefix+"THUMBPRINT="+thumbprint)
	}
	return extra
}

// selfSigned writes a new certificate and its key, and returns their paths and the SHA-256 thumbprint.
func selfSigned(t *testing.T, dir, name string) (certFile, keyFile, thumbprint string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	for path, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der},
		keyFile:  {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile, fmt.Sprintf("%X", sha256.Sum256(der))
}
