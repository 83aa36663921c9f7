//go:build conformance

package conformance

import "testing"

// edgeScenarios are edge devices: routes from module to module, children, clients that dial a gateway's host.
func edgeScenarios() []scenario {
	return []scenario{
		{"python_edge", []string{"python", "namespace"}, func(t *testing.T, s *site) { s.judgeItself(t, startGateway(t, s), "edge.py") }},
		{"node_edge", []string{"node", "namespace"}, func(t *testing.T, s *site) { s.judgeItselfNode(t, startGateway(t, s), "edge.js") }},
	}
}

// startGateway starts a hub whose certificate covers the name of a gateway, which the hosts file knows.
func startGateway(t *testing.T, s *site) *hub {
	return s.startHub(t, "--device", "d1", "--hostname", "localhost", "--hostname", "gateway.factory.example")
}
