//go:build conformance

package conformance

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// reconnectScenarios are about connections that end without a word and come back.
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
		{"python_connection_cut", []string{"python"}, func(t *testing.T, s *site) {
			h := s.startHub(t, "--device", "d1", "--mqtt-port", "0")
			pythonConnectionCut(t, s, h, startRelay(t, "127.0.0.1:8883", fmt.Sprintf("127.0.0.1:%d", h.ready.Ports.MQTT)))
		}},
		{"python_websocket_connection_cut", []string{"python"}, func(t *testing.T, s *site) {
			h := s.startHub(t, "--device", "d1", "--mqtt-port", "0", "--https-port", "0")
			w := startRelay(t, "127.0.0.1:443", fmt.Sprintf("127.0.0.1:%d", h.ready.Ports.HTTPS))
			pythonConnectionCut(t, s, h, w, overWebSockets)
		}},
	}
}

// newNodePair is newPairOn with a device in Node.js.
func newNodePair(t *testing.T, s *site, h *hub, env ...string) *pair {
	t.Helper()
	p := &pair{t: t, hub: h}
	p.service = s.startPython(t, h.env(env...), "service.py")
	p.device = s.startNode(t, h.env(append(env, h.device("d1"))...), "device.js")
	p.device.waitLine(`^ready`, 1, time.Minute)
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
	p.device.waitLine(`^done .*"telemetry meanwhile-`+label+`"`, 1, time.Minute)
	p.device.waitLine(`^done .*\{"meanwhile": "`+label+`"\}`, 1, time.Minute)
}

// nodeEmulatorKilled is emulatorKilled for the Node.js device, which sends on while there is no hub.
func nodeEmulatorKilled(t *testing.T, s *site, h *hub, env ...string) {
	p := newNodePair(t, s, h, env...)
	p.checkAll("first", time.Minute)
	for _, label := range []string{"second", "third"} {
		p.hub.kill()
		p.meanwhile(label)
		p.hub.start()
		p.wantMeanwhile(label)
		p.checkAll(label, time.Minute)
	}
	p.wantTelemetry("first", "meanwhile-second", "second", "meanwhile-third", "third")
	p.wantNoError()
}

// nodeConnectionCut cuts the TCP connections of device and back end while nothing is on its way, and while telemetry is.
func nodeConnectionCut(t *testing.T, s *site) {
	h := s.startHub(t, "--device", "d1", "--mqtt-port", "0", "--amqp-port", "0")
	w := startRelay(t, "127.0.0.1:5671", fmt.Sprintf("127.0.0.1:%d", h.ready.Ports.AMQP))
	p := newNodePair(t, s, h)
	p.checkAll("first", time.Minute)
	labels := []string{"first"}
	for i, how := range []func(*net.TCPConn){
		func(c *net.TCPConn) { _ = c.Close() },
		func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() }, // a reset
	} {
		idle, busy := fmt.Sprint("idle-", i), fmt.Sprint("busy-", i)
		w.cut(how)
		p.meanwhile(idle)
		p.wantMeanwhile(idle)
		p.checkAll(idle, time.Minute)
		// These are under way, some of them unanswered, when the connection ends.
		for n := range 50 {
			p.device.send(map[string]any{"do": "telemetry", "body": fmt.Sprintf("telemetry %s-%d", busy, n)})
			labels = append(labels, fmt.Sprintf("%s-%d", busy, n))
		}
		w.cut(how)
		p.device.waitLine(`^done .*"telemetry `+busy, 50, time.Minute)
		p.checkAll(busy, time.Minute)
		labels = append(labels, "meanwhile-"+idle, idle, busy)
	}
	p.wantTelemetry(labels...)
	p.wantNoError()
}

// pythonConnectionCut cuts the device's TCP connection while nothing is on its way, and while messages of several threads have
// arrived but not their acknowledgements. It is not cut while the SDK writes, because that may end the SDK's thread (see
// docs/sdk-notes.md). The back end's connections are not cut: they go past the relay.
func pythonConnectionCut(t *testing.T, s *site, h *hub, w *relay, env ...string) {
	// The device goes to the relay on the usual port, whatever the hub says.
	h.ready.Devices["d1"] = strings.Replace(h.ready.Devices["d1"], fmt.Sprintf(":%d", h.ready.Ports.HTTPS), "", 1)
	p := &pair{t: t, hub: h, service: s.startPython(t, h.env(), "service.py")}
	p.startDevice(s, env...)
	p.checkAll("first", 0)
	labels := []string{"first"}
	for i, how := range []func(*net.TCPConn){
		func(c *net.TCPConn) { _ = c.Close() },
		func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() }, // a reset
	} {
		idle, busy := fmt.Sprint("idle-", i), fmt.Sprint("busy-", i)
		changes := 1 + 4*i // the device's lines about its connection so far; what they say may be outdated when they are written
		w.cut(how)
		p.device.waitLine(`^connection `, changes+2, time.Minute)
		p.checkAll(idle, time.Minute)

		const burst, threads = 100, 8 // as device.py has them
		w.hold()
		p.device.send(map[string]any{"do": "burst", "body": "telemetry " + busy, "count": burst})
		p.waitKept("telemetry "+busy, threads)
		w.cut(how)
		p.device.waitLine(`^connection `, changes+4, time.Minute)
		p.device.waitLine(`^done .*"telemetry `+busy+`"`, 1, 2*time.Minute)
		p.checkAll(busy, time.Minute)
		labels = append(labels, idle, busy)
		for n := range burst {
			labels = append(labels, fmt.Sprintf("%s-%d", busy, n))
		}
	}
	p.wantTelemetry(labels...)
	p.cell("reconnect")
}

// waitKept waits until the hub keeps so many messages whose body begins with the text.
func (p *pair) waitKept(prefix string, count int) {
	p.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		kept := 0
		for _, m := range p.hub.messages("d1") {
			if strings.HasPrefix(m.Body, prefix) {
				kept++
			}
		}
		if kept == count {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%d messages %q are kept, want %d", kept, prefix, count)
		}
	}
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
	// open is closed as long as the clients get what the server sends.
	open chan struct{}
}

// startRelay listens at from until the test ends.
func startRelay(t *testing.T, from, to string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	w := &relay{served: map[*net.TCPConn]bool{}, open: make(chan struct{})}
	close(w.open)
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
	_, _ = io.Copy(relayed{w, near}, far)
	_ = near.Close()
	w.mu.Lock()
	delete(w.served, near)
	w.mu.Unlock()
}

// relayed is a client's connection, to which nothing is written while the relay holds it back.
type relayed struct {
	relay *relay
	*net.TCPConn
}

func (r relayed) Write(p []byte) (int, error) {
	r.relay.mu.Lock()
	open := r.relay.open
	r.relay.mu.Unlock()
	<-open
	return r.TCPConn.Write(p)
}

// ReadFrom hides the one of TCPConn, which would not use Write.
func (r relayed) ReadFrom(from io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{r}, from)
}

// hold keeps back what the server sends, until the connections are cut.
func (w *relay) hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = make(chan struct{})
}

// cut ends every connection on the clients' side; what was held back is lost.
func (w *relay) cut(how func(*net.TCPConn)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.served {
		how(c)
	}
	select {
	case <-w.open:
	default:
		close(w.open)
	}
}
