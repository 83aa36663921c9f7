//go:build conformance

package conformance

import (
	"strings"
	"testing"
)

// nodeScenarios are Microsoft's Node.js SDKs.
func nodeScenarios() []scenario {
	return []scenario{
		{"node_device_mqtt", []string{"node"}, singleNode("device_mqtt.js")},
		{"node_registry", []string{"node"}, singleNode("registry.js")},
		{"node_registry_bulk", []string{"node"}, singleNode("registry_bulk.js")},
		{"node_c2d", []string{"node"}, singleNode("c2d.js")},
		{"node_device_amqp", []string{"node"}, singleNode("device_amqp.js")},
		{"node_event_hubs", []string{"node"}, singleNode("event_hubs.js")},
		{"node_event_processors", []string{"node"}, singleNode("event_processors.js")},
		{"node_amqp_x509", []string{"node"}, func(t *testing.T, s *site) {
			s.judgeItselfNode(t, s.startHub(t, "--device", "d1"), "x509_amqp.js", certificates(t)...)
		}},
	}
}

// singleNode is a scenario of one Node.js program that checks everything itself.
func singleNode(name string) func(*testing.T, *site) {
	return func(t *testing.T, s *site) { s.judgeItselfNode(t, s.startHub(t, "--device", "d1"), name) }
}

// judgeItselfNode runs a Node.js program that checks everything itself.
func (s *site) judgeItselfNode(t *testing.T, h *hub, name string, extra ...string) {
	t.Helper()
	p := s.startNode(t, h.env(append(extra, h.device("d1"))...), name)
	p.wait(programTimeout)
	if !strings.HasSuffix(p.output(), "PASSED") {
		t.Fatalf("%s ended without saying that it passed", name)
	}
}
