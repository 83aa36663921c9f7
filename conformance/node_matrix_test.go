//go:build conformance

package conformance

import (
	"fmt"
	"strings"
	"testing"
)

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
		{"node_reconnect", []string{"node"}, func(t *testing.T, s *site) {
			h := s.startHub(t, "--device", "d1", "--mqtt-port", "0", "--amqp-port", "0", "--https-port", "0")
			ports := fmt.Sprintf(`PORTS={"mqtt":%d,"amqp":%d,"https":%d}`, h.ready.Ports.MQTT, h.ready.Ports.AMQP, h.ready.Ports.HTTPS)
			// The program is at the ports that the SDKs look for.
			owner := strings.ReplaceAll(h.ready.ConnectionStrings["iothubowner"], fmt.Sprintf(":%d;", h.ready.Ports.HTTPS), ";")
			s.judgeItselfNode(t, h, "reconnect.js", ports, "IOTHUB_CONNECTION_STRING="+owner)
		}},
	}
}
