//go:build conformance

package conformance

import "testing"

// faultScenarios are devices that ask for faults by the properties of their messages. After an AMQP connection was closed, and not
// just cut, the Node.js SDK needs 45 seconds before it tries again.
func faultScenarios() []scenario {
	node := func(start func(*testing.T, *site) *hub, protocol string, extra ...string) func(*testing.T, *site) {
		return func(t *testing.T, s *site) {
			s.judgeItselfNode(t, start(t, s), "faults.js", append(extra, "FAULTS="+protocol)...)
		}
	}
	everywhere := func(t *testing.T, s *site) *hub { return s.startHub(t, "--device", "d1") }
	return []scenario{
		{"python_faults", []string{"python"}, single("faults.py")},
		{"python_websocket_faults", []string{"python"}, func(t *testing.T, s *site) {
			s.judgeItself(t, startHubOn443(t, s), "faults.py", overWebSockets)
		}},
		{"node_faults_mqtt", []string{"node"}, node(everywhere, "mqtt")},
		{"node_faults_amqp", []string{"node"}, node(everywhere, "amqp")},
		{"node_faults_http", []string{"node"}, node(everywhere, "http")},
		{"node_websocket_faults_mqtt", []string{"node"}, node(startHubOn443, "mqtt", overWebSockets)},
		{"node_websocket_faults_amqp", []string{"node"}, node(startHubOn443, "amqp", overWebSockets)},
	}
}
