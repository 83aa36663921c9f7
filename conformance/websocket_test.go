//go:build conformance

package conformance

import (
	"testing"
	"time"
)

// overWebSockets makes the programs open WebSockets, on port 443, wherever their SDK can.
const overWebSockets = "WEBSOCKETS=1"

// webSocketScenarios are programs of the other scenarios with nothing but port 443 to go to.
func webSocketScenarios() []scenario {
	python := func(name string) func(*testing.T, *site) {
		return func(t *testing.T, s *site) { s.judgeItself(t, startHubOn443(t, s), name, overWebSockets) }
	}
	node := func(name string) func(*testing.T, *site) {
		return func(t *testing.T, s *site) { s.judgeItselfNode(t, startHubOn443(t, s), name, overWebSockets) }
	}
	return []scenario{
		{"python_websocket_features", []string{"python"}, python("features.py")},
		{"python_websocket_module_inputs", []string{"python"}, python("module_inputs.py")},
		{"python_websocket_telemetry", []string{"python"}, python("telemetry.py")},
		{"python_websocket_c2d", []string{"python"}, python("c2d_limits.py")},
		{"python_websocket_x509", []string{"python"}, func(t *testing.T, s *site) {
			s.judgeItself(t, startHubOn443(t, s), "x509.py", append(certificates(t), overWebSockets)...)
		}},
		{"python_websocket_sas_renewal", []string{"python"}, func(t *testing.T, s *site) {
			newPairOn(t, s, startHubOn443(t, s), "SASTOKEN_TTL=130", overWebSockets).renewTwice()
		}},
		{"python_websocket_emulator_killed", []string{"python"}, webSocketEmulatorKilled},
		{"node_websocket_device", []string{"node"}, node("device_mqtt.js")},
		{"node_websocket_device_amqp", []string{"node"}, node("device_amqp.js")},
		{"node_websocket_amqp_x509", []string{"node"}, func(t *testing.T, s *site) {
			s.judgeItselfNode(t, startHubOn443(t, s), "x509_amqp.js", append(certificates(t), overWebSockets)...)
		}},
		{"node_websocket_c2d", []string{"node"}, node("c2d.js")},
	}
}

// startHubOn443 starts a hub that is not where a program looks for MQTT and AMQP, so that only WebSockets find it.
func startHubOn443(t *testing.T, s *site) *hub {
	t.Helper()
	return s.startHub(t, "--device", "d1", "--mqtt-port", "0", "--amqp-port", "0")
}

// webSocketEmulatorKilled kills the emulator under open WebSockets, which end without a close frame.
func webSocketEmulatorKilled(t *testing.T, s *site) {
	p := newPairOn(t, s, startHubOn443(t, s), overWebSockets)
	p.checkAll("first", 0)
	p.hub.kill()
	p.device.waitLine(`^connection \{"connected": false\}`, 1, time.Minute)
	p.hub.start()
	p.device.waitLine(`^connection \{"connected": true\}`, 2, time.Minute)
	p.checkAll("second", time.Minute)
	p.wantTelemetry("first", "second")
}
