package broker

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/internal/mqtttest"
	"github.com/hubnerite/hubnerite/iothub"
)

// TestNoConnect: a peer that connects and stalls is cut when the time is over,
// before CONNECT and in the middle of it.
func TestNoConnect(t *testing.T) {
	for name, part := range map[string]int{"nothing": 0, "one byte": 1, "no body": 3, "half a body": 60} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Options{ConnectTimeout: 10 * time.Second}, func(t *testing.T, w *world) {
				c, start := w.dial(), time.Now()
				c.Send(mqtttest.AppendConnect(nil, w.connectOptions(testDevice()))[:part])
				c.ExpectClose()
				if d := time.Since(start); d != 10*time.Second {
					t.Errorf("cut after %v", d)
				}
				w.logged("level=WARN", "no CONNECT in time")
			})
		})
	}
}

// TestNoConnectOverTCP: the end that the stalled peer sees is an orderly one.
func TestNoConnectOverTCP(t *testing.T) {
	w := newWorld(t, Options{ConnectTimeout: 2 * time.Second})
	c := w.dial()
	c.Send(mqtttest.AppendConnect(nil, w.connectOptions(testDevice()))[:60])
	c.ExpectClose()
	w.logged("level=WARN", "no CONNECT in time")
}

// TestTrickle: bytes that come one by one do not stretch the connect time-out.
func TestTrickle(t *testing.T) {
	inBubble(t, Options{ConnectTimeout: 2 * time.Second}, func(t *testing.T, w *world) {
		c, start := w.dial(), time.Now()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for _, b := range bytes.Repeat([]byte{0x10, 0xff, 0x7f}, 1000) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}()
		c.ExpectClose()
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("cut after %v", d)
		}
		<-ended
	})
}

// TestStallInFrame: keep-alive cuts a peer that stops in the middle of a packet.
func TestStallInFrame(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, w *world) {
		c := w.dial()
		o := w.connectOptions(testDevice())
		o.KeepAlive = 1
		if _, code := c.Connect(o); code != 0 {
			t.Fatal(code)
		}
		start := time.Now()
		whole := mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/", make([]byte, 1000), 1, 1)
		c.Send(whole[:500])
		c.ExpectClose()
		if d := time.Since(start); d != 1500*time.Millisecond {
			t.Errorf("cut after %v", d)
		}
	})
}

// TestPeerThatNeverReads: a device that floods the hub with requests and reads
// no answer is cut by the write time-out, and others do not notice.
func TestPeerThatNeverReads(t *testing.T) {
	// Long enough for a write to the other device on a machine that is busy.
	w := newWorld(t, Options{WriteTimeout: 3 * time.Second})
	big := map[string]any{}
	for i := range 7 {
		big[fmt.Sprint("k", i)] = strings.Repeat("x", 4000)
	}
	if _, err := w.hub.PatchTwin(t.Context(), testDevice(), iothub.TwinPatch{Desired: big}, ""); err != nil {
		t.Fatal(err)
	}
	c := w.connect(testDevice())
	c.Subscribe(1, "$iothub/twin/res/#", 0)
	request := bytes.Repeat(mqtttest.AppendPublish(nil, "$iothub/twin/GET/?$rid=1", nil, 0, 0), 100)
	flooding := make(chan struct{})
	if err := c.SetWriteDeadline(time.Time{}); err != nil { // it floods as long as it may
		t.Fatal(err)
	}
	go func() {
		defer close(flooding)
		for {
			if _, err := c.Write(request); err != nil {
				return
			}
		}
	}()
	other := w.connect(iothub.ID{DeviceID: "dev-2"})
	for i := range 50 {
		other.Send(mqtttest.AppendPublish(nil, "devices/dev-2/messages/events/", nil, 1, uint16(i+1)))
		other.Expect(mqtttest.Puback)
	}
	w.logged("level=WARN", "device=dev-1", "does not read")
	<-flooding
}

// TestNotificationsToPeerThatNeverReads: the hub's own calls never wait for the peer.
func TestNotificationsToPeerThatNeverReads(t *testing.T) {
	w := newWorld(t, Options{WriteTimeout: time.Minute})
	c := w.connect(testDevice())
	c.Subscribe(1, "$iothub/twin/PATCH/properties/desired/#", 0)
	text := strings.Repeat("x", 4000)
	patch := iothub.TwinPatch{Desired: map[string]any{"a": text, "b": text, "c": text, "d": text, "e": text, "f": text, "g": text}}
	w.until(func() error {
		for range 50 {
			if _, err := w.hub.PatchTwin(t.Context(), testDevice(), patch, ""); err != nil {
				t.Fatal(err)
			}
		}
		if !w.log.has("level=WARN", "device=dev-1", "does not read") {
			return fmt.Errorf("not cut off")
		}
		return nil
	})
}

// TestReset: a peer that is gone without a word leaves nothing behind.
func TestReset(t *testing.T) {
	w := newWorld(t, Options{})
	for range 20 {
		c := w.connect(testDevice())
		c.Subscribe(1, c2dFilter, 1)
		c.Send(mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/", make([]byte, 100), 1, 1))
		if tcp, ok := c.Conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
	w.until(func() error {
		if n := w.hub.ConnectedDevices(); n != 0 {
			return fmt.Errorf("%d devices connected", n)
		}
		return nil
	})
}

// TestIdleConnectionGoroutines: an idle connection has no goroutine of ours.
func TestIdleConnectionGoroutines(t *testing.T) {
	w := newWorld(t, Options{})
	before := runtime.NumGoroutine()
	const count = 20
	for i := range count {
		id := iothub.ID{DeviceID: fmt.Sprint("idle-", i)}
		if _, err := w.hub.CreateIdentity(t.Context(), id, iothub.IdentityRequest{DeviceID: id.DeviceID}); err != nil {
			t.Fatal(err)
		}
		c := w.connect(id)
		c.Subscribe(1, "devices/"+id.DeviceID+"/messages/devicebound/#", 1)
		c.ExpectQuiet()
	}
	w.until(func() error {
		// The library's reader and its idle writer.
		if n := runtime.NumGoroutine() - before; n > 2*count {
			return fmt.Errorf("%d goroutines for %d idle connections", n, count)
		}
		return nil
	})
}

// TestPipe: any net.Conn serves, one without CloseWrite too.
func TestPipe(t *testing.T) {
	w := newWorld(t, Options{})
	here, there := net.Pipe()
	ended := make(chan struct{})
	go func() {
		w.server.ServeConn(there, "mqtt-ws")
		close(ended)
	}()
	c := mqtttest.New(t, here)
	if _, code := c.Connect(w.connectOptions(testDevice())); code != 0 {
		t.Fatal(code)
	}
	c.Send(mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/", nil, 1, 1))
	c.Expect(mqtttest.Puback)
	w.connect(testDevice())
	<-ended
}

// FuzzConnection: whatever bytes follow a good CONNECT, or come in its place,
// the server neither panics nor keeps the connection for ever.
func FuzzConnection(f *testing.F) {
	w := newWorld(f, Options{ConnectTimeout: time.Second})
	connect := mqtttest.AppendConnect(nil, w.connectOptions(testDevice()))
	seed := func(connected bool, packets ...[]byte) { f.Add(connected, bytes.Join(packets, nil)) }
	seed(false, connect)
	seed(false, mqtttest.AppendConnect(nil, mqtttest.ConnectOptions{Level: 5, ClientID: "dev-1", UserName: testHost + "/dev-1", Password: "x"}))
	seed(false, []byte{0x10, 0xff, 0xff, 0xff, 0x7f})
	seed(true, mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/%24.mid=1&k=v", []byte("x"), 1, 1),
		mqtttest.AppendSubscribe(nil, 1, "$iothub/twin/res/#", 1), mqtttest.AppendPublish(nil, "$iothub/twin/GET/?$rid=1", nil, 0, 0))
	seed(true, mqtttest.AppendSubscribe(nil, 2, c2dFilter, 1), mqtttest.AppendPuback(nil, 1), mqtttest.AppendUnsubscribe(nil, 3, c2dFilter), []byte{0xe0, 0})
	seed(true, mqtttest.AppendPublish(nil, "$iothub/twin/PATCH/properties/reported/?$rid=1&$version=2", []byte(`{"a":1}`), 1, 9), []byte{0xc0, 0})
	seed(true, mqtttest.AppendPublish(nil, "$iothub/methods/res/200/?$rid=1", []byte(`{}`), 1, 9), mqtttest.AppendPublish(nil, "a", nil, 2, 1))
	f.Fuzz(func(t *testing.T, connected bool, data []byte) {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if connected {
			data = append(bytes.Clone(connect), data...)
		}
		if err := c.SetDeadline(time.Now().Add(mqtttest.Timeout)); err != nil {
			t.Fatal(err)
		}
		// The server may end the connection before it has read all.
		_, _ = c.Write(data)
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			return
		}
		buf := make([]byte, 4096)
		for {
			if _, err := c.Read(buf); err != nil {
				if e, ok := err.(net.Error); ok && e.Timeout() { //nolint:errorlint // what net.Conn returns
					t.Errorf("the server keeps the connection after % x", data)
				}
				return
			}
		}
	})
}

// TestStallInHandshake: the connect time-out covers the TLS handshake.
func TestStallInHandshake(t *testing.T) {
	certificate := selfSigned(t, testHost)
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	for _, begin := range []string{"", "\x16\x03\x01"} {
		inBubble(t, Options{ConnectTimeout: 10 * time.Second}, func(t *testing.T, w *world) {
			here, there := net.Pipe()
			served := make(chan struct{})
			go func() {
				w.server.ServeConn(tls.Server(there, config), "mqtt")
				close(served)
			}()
			client, start := mqtttest.New(t, here), time.Now()
			client.Send([]byte(begin))
			client.ExpectClose()
			if d := time.Since(start); d != 10*time.Second {
				t.Errorf("cut after %v", d)
			}
			<-served
		})
	}
	// Plain MQTT on a TLS port is refused at once; what comes back is an alert.
	w := newWorld(t, Options{})
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := tls.NewListener(inner, config)
	served := make(chan error, 1)
	go func() { served <- w.server.Serve(l, "mqtt") }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client := mqtttest.New(t, c)
	client.Send(mqtttest.AppendConnect(nil, w.connectOptions(testDevice())))
	if p, err := client.TryRead(); err == nil && p.Type == mqtttest.Connack {
		t.Errorf("got %+v", p)
	}
	_ = c.Close()
	_ = l.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestConnectStorm: of many connections of one identity at the same time one
// stays, and works.
func TestConnectStorm(t *testing.T) {
	w := newWorld(t, Options{})
	const count = 30
	connect := mqtttest.AppendConnect(nil, w.connectOptions(testDevice()))
	clients := make([]*mqtttest.Client, count)
	var all sync.WaitGroup
	for i := range clients {
		clients[i] = w.dial()
		all.Go(func() { _, _ = clients[i].Write(connect) })
	}
	all.Wait()
	w.until(func() error {
		w.server.mu.Lock()
		defer w.server.mu.Unlock()
		if w.server.number < count {
			return fmt.Errorf("%d connections accepted", w.server.number)
		}
		return nil
	})
	alive := make(chan *mqtttest.Client, count)
	for _, c := range clients {
		all.Go(func() {
			for {
				w.server.mu.Lock()
				left := len(w.server.conns)
				w.server.mu.Unlock()
				// The survivor answers, the others end. Whoever answers when one is left is that one.
				if _, err := c.Write([]byte{mqtttest.Pingreq << 4, 0}); err != nil {
					return
				}
				for {
					p, err := c.TryRead()
					if err != nil {
						return
					}
					if p.Type == mqtttest.Pingresp {
						break
					}
				}
				if left == 1 {
					alive <- c
					return
				}
			}
		})
	}
	all.Wait()
	close(alive)
	c, ok := <-alive
	if !ok || len(alive) > 0 {
		t.Fatalf("%d more connections are alive", len(alive))
	}
	c.Send(mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/", nil, 1, 1))
	c.Expect(mqtttest.Puback)
	if n := w.hub.ConnectedDevices(); n != 1 {
		t.Errorf("%d devices connected", n)
	}
}
