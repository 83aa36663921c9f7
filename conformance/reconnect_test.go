//go:build conformance

package conformance

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// reconnectScenarios are about the Node.js device SDK over AMQP, whose connection ends without a word and comes back.
func reconnectScenarios() []scenario {
	needs := []string{"python", "node"} // the back end is Python's
	return []scenario{
		{"node_amqp_emulator_killed", needs, func(t *testing.T, s *site) {
			nodeEmulatorKilled(t, s, s.startHub(t, "--device", "d1"))
		}},
		{"node_websocket_amqp_emulator_killed", needs, func(t *testing.T, s *site) {
			nodeEmulatorKilled(t, s, startHubOn443(t, s), overWebSockets)
		}},
		{"node_amqp_connection_cut", needs, nodeConnectionCut},
	}
}

// newNodePair is newPairOn with a device in Node.js.
func newNodePair(t *testing.T, s *site, h *hub, env ...string) *pair {
	t.Helper()
	p := &pair{t: t, hub: h}
	p.service = s.startPython(t, h.env(env...), "service.py")
	p.device = s.startNode(t, h.env(append(env, h.device("d1"))...), "device.js")
	p.device.waitLine(`^ready`, 1, 30*time.Second)
	return p
}

// meanwhile has the device send while there is nobody to send to; wantMeanwhile waits until that arrived.
func (p *pair) meanwhile(label string) {
	p.t.Helper()
	p.device.send(map[string]any{"do": "telemetry", "body": "telemetry meanwhile-" + label})
	p.device.send(map[string]any{"do": "reported", "patch": map[string]any{"meanwhile": label}})
}

func (p *pair) wantMeanwhile(label string) {
	p.t.Helper()
	p.device.waitLine(`^done .*"telemetry meanwhile-`+label+`"`, 1, 60*time.Second)
	p.device.waitLine(`^done .*\{"meanwhile": "`+label+`"\}`, 1, 60*time.Second)
}

// nodeEmulatorKilled is emulatorKilled for the Node.js device, which sends on while there is no hub.
func nodeEmulatorKilled(t *testing.T, s *site, h *hub, env ...string) {
	p := newNodePair(t, s, h, env...)
	p.checkAll("first", 10*time.Second)
	for _, label := range []string{"second", "third"} {
		p.hub.kill()
		p.meanwhile(label)
		p.hub.start()
		p.wantMeanwhile(label)
		p.checkAll(label, 30*time.Second)
	}
	p.wantTelemetry("first", "meanwhile-second", "second", "meanwhile-third", "third")
	p.wantNoError()
}

// nodeConnectionCut cuts the TCP connections of device and back end while nothing is on its way, and while telemetry is.
func nodeConnectionCut(t *testing.T, s *site) {
	h := s.startHub(t, "--device", "d1", "--mqtt-port", "0", "--amqp-port", "0")
	w := startRelay(t, "127.0.0.1:5671", fmt.Sprintf("127.0.0.1:%d", h.ready.Ports.AMQP))
	p := newNodePair(t, s, h)
	p.checkAll("first", 10*time.Second)
	labels := []string{"first"}
	for i, how := range []func(*net.TCPConn){
		func(c *net.TCPConn) { _ = c.Close() },
		func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() }, // a reset
	} {
		idle, busy := fmt.Sprint("idle-", i), fmt.Sprint("busy-", i)
		w.cut(how)
		p.meanwhile(idle)
		p.wantMeanwhile(idle)
		p.checkAll(idle, 30*time.Second)
		// These are under way, some of them unanswered, when the connection ends.
		for n := range 50 {
			p.device.send(map[string]any{"do": "telemetry", "body": fmt.Sprintf("telemetry %s-%d", busy, n)})
			labels = append(labels, fmt.Sprintf("%s-%d", busy, n))
		}
		w.cut(how)
		p.device.waitLine(`^done .*"telemetry `+busy, 50, 60*time.Second)
		p.checkAll(busy, 30*time.Second)
		labels = append(labels, "meanwhile-"+idle, idle, busy)
	}
	p.wantTelemetry(labels...)
	p.wantNoError()
}

// wantNoError checks that the device never gave up and that nothing failed.
func (p *pair) wantNoError() {
	p.t.Helper()
	if bad := p.device.matches(`^((?:disconnect|error|failed).*)`); len(bad) > 0 {
		p.t.Errorf("the device said: %q", bad)
	}
}

// relay copies TCP connections to another address until somebody cuts them.
type relay struct {
	mu     sync.Mutex
	served map[*net.TCPConn]bool
}

// startRelay listens at from until the test ends.
func startRelay(t *testing.T, from, to string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	w := &relay{served: map[*net.TCPConn]bool{}}
	t.Cleanup(func() {
		_ = listener.Close()
		w.cut(func(c *net.TCPConn) { _ = c.Close() })
	})
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go w.serve(c.(*net.TCPConn), to)
		}
	}()
	return w
}

func (w *relay) serve(near *net.TCPConn, to string) {
	far, err := net.Dial("tcp", to)
	if err != nil {
		_ = near.Close()
		return
	}
	w.mu.Lock()
	w.served[near] = true
	w.mu.Unlock()
	go func() {
		_, _ = io.Copy(far, near)
		_ = far.Close()
	}()
	_, _ = io.Copy(near, far)
	_ = near.Close()
	w.mu.Lock()
	delete(w.served, near)
	w.mu.Unlock()
}

// cut ends every connection on the clients' side.
func (w *relay) cut(how func(*net.TCPConn)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.served {
		how(c)
	}
}
