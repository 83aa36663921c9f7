//go:build conformance

package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// shotsVariable names a folder for pictures of the dashboard; `make screenshots` sets it.
const shotsVariable = "HUBNERITE_SCREENSHOTS"

// dashboardScenarios are about the dashboard, in Chromium by Playwright.
func dashboardScenarios() []scenario {
	return []scenario{
		{"dashboard", []string{"browser", "python"}, func(t *testing.T, s *site) {
			h := s.startHub(t, "--device", "d1", "--device", "pump-7", "--device", "thermostat")
			device := s.startPython(t, h.env(h.device("d1")), "device.py")
			device.waitLine(`^ready`, 1, 60*time.Second)
			browser := s.startBrowser(t, h, "dashboard.js")
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				sendUntil(device, browser)
			}()
			browser.waitLine(`^PASSED`, 1, programTimeout)
			<-sent
			// What the page says that it did has reached the device.
			for _, want := range []string{`^desired .*"interval": 10`, `^method .*"hello": \[1, "two", null\]`, `^c2d .*"from the dashboard".*"colour": "blue"`} {
				device.waitLine(want, 1, time.Minute)
			}
		}},
	}
}

// startBrowser starts conformance/browser/NAME, which drives Chromium.
func (s *site) startBrowser(t testing.TB, h *hub, name string) *program {
	t.Helper()
	env := append(h.env(), "NODE_PATH="+filepath.Join(s.browser, "node_modules"), "CHROMIUM="+s.chromium, "HOME="+t.TempDir(),
		"SHOTS="+os.Getenv(shotsVariable))
	return startProgram(t, nil, env, name, "node", filepath.Join("browser", name))
}

// sendUntil has the device send telemetry with numbers until the other program has ended.
func sendUntil(device, other *program) {
	for n := 0; !other.over(); n++ {
		body := fmt.Sprintf(`{"temperature": %.1f, "humidity": %d}`, 20+5*float64(n%13)/13, 40+n%7)
		text, err := json.Marshal(map[string]any{"do": "telemetry", "body": body})
		if err != nil {
			panic(err) // strings always encode
		}
		if _, err := device.in.Write(append(text, '\n')); err != nil {
			return // the device has ended, and the scenario with it
		}
		time.Sleep(300 * time.Millisecond)
	}
}

// over reports whether the program has ended.
func (p *program) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}
