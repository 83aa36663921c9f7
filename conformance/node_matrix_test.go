//go:build conformance

package conformance

import "testing"

// nodeMatrixScenarios fill the columns of the Node.js SDK in the matrix, beside what the other scenarios do for them.
func nodeMatrixScenarios() []scenario {
	features := func(start func(*testing.T, *site) *hub, transport string, extra ...string) func(*testing.T, *site) {
		return func(t *testing.T, s *site) {
			s.judgeItselfNode(t, start(t, s), "device_features.js", append(extra, "TRANSPORT="+transport)...)
		}
	}
	everywhere := func(t *testing.T, s *site) *hub { return s.startHub(t, "--device", "d1") }
	return []scenario{
		{"node_features_mqtt", []string{"node"}, features(everywhere, "mqtt")},
		{"node_features_amqp", []string{"node"}, features(everywhere, "amqp")},
		{"node_features_http", []string{"node"}, features(everywhere, "http")},
		{"node_websocket_features_mqtt", []string{"node"}, features(startHubOn443, "mqtt", overWebSockets)},
		{"node_websocket_features_amqp", []string{"node"}, features(startHubOn443, "amqp", overWebSockets)},
	}
}
