//go:build conformance

package conformance

import (
	"net"
	"testing"
)

// relayAddress is where the Java programs find the relay whose connections are cut; the hub itself is at 127.0.0.1.
const relayAddress = "127.0.0.2"

// javaDeviceScenarios are everything that Microsoft's Java device client can do, a program for each transport.
func javaDeviceScenarios() []scenario {
	over := func(transport, port string) func(*testing.T, *site) {
		return func(t *testing.T, s *site) { javaDevice(t, s, transport, port) }
	}
	return []scenario{
		{"java_device_mqtt", []string{"java"}, over("mqtt", "8883")},
		{"java_device_mqtt_ws", []string{"java"}, over("mqtt-ws", "443")},
		{"java_device_amqp", []string{"java"}, over("amqp", "5671")},
		{"java_device_amqp_ws", []string{"java"}, over("amqp-ws", "443")},
		{"java_device_http", []string{"java"}, over("http", "443")},
		{"java_file_upload", []string{"java"}, func(t *testing.T, s *site) { javaUploads(t, s, "mqtt amqp http") }},
		{"java_file_upload_websocket", []string{"java"}, func(t *testing.T, s *site) { javaUploads(t, s, "mqtt-ws amqp-ws") }},
	}
}

// javaUploads has files uploaded by a device of each of the transports, of 250 MB too, and the emulator must not keep them in memory.
func javaUploads(t *testing.T, s *site, transports string) {
	h := s.startHub(t, "--hostname", "127.0.0.1")
	p := s.startJava(t, h, "device", "MatrixUploads", append(fastStart(), "-Xmx192m"), "UPLOADS="+t.TempDir(), "TRANSPORTS="+transports)
	p.wait(programTimeout)
	wantPassed(t, p)
	h.wantLittleMemory(t)
}

// javaDevice runs the program of a transport, and cuts the connections of its device behind the relay when it says so.
func javaDevice(t *testing.T, s *site, transport, port string) {
	h, certs := startSigned(t, s, "--hostname", "127.0.0.1", "--hostname", relayAddress)
	w := startRelay(t, net.JoinHostPort(relayAddress, port), net.JoinHostPort("127.0.0.1", port))
	p := s.startJava(t, h, "device", "Matrix", fastStart(), append(certificates(t), certs, "MATRIX_TRANSPORT="+transport, "RELAY="+relayAddress)...)
	p.waitLine(`^cut: closed$`, 1, programTimeout)
	w.cut(func(c *net.TCPConn) { _ = c.Close() })
	p.send(map[string]any{"cut": "closed"})
	p.waitLine(`^cut: reset$`, 1, programTimeout)
	w.cut(func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() })
	p.send(map[string]any{"cut": "reset"})
	p.wait(programTimeout)
	wantPassed(t, p)
}
