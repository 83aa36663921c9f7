//go:build conformance

package conformance

import "testing"

// httpScenarios are devices over HTTPS and the files that devices upload.
func httpScenarios() []scenario {
	return []scenario{
		{"node_device_http", []string{"node"}, func(t *testing.T, s *site) {
			s.judgeItselfNode(t, s.startHub(t, "--device", "d1"), "device_http.js", certificates(t)...)
		}},
		{"python_device_http", []string{"python"}, single("device_http.py")},
	}
}
