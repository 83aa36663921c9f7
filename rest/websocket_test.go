package rest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

const testKey = "dGhlIHNhbXBsZSBub25jZQ=="

// opening is a good handshake but for what change says; pairs as in world.raw.
func opening(change ...string) []string {
	return append([]string{
		"Connection", "keep-alive, Upgrade", "Upgrade", "WebSocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", testKey,
		"Sec-WebSocket-Protocol", "mqtt",
	}, change...)
}

// What is no opening of a WebSocket of ours is refused, and told why.
func TestWebSocketRefused(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.WebSocket = func(context.Context, net.Conn, string) { t.Error("opened") }
	})
	for _, c := range []struct {
		name, path string
		change     []string
		code       iothub.Code
		text       string
	}{
		{"a plain request", "/$iothub/websocket", []string{"Upgrade", ""}, iothub.CodeGenericBadRequest, "WebSockets only"},
		{"no Connection", "/$iothub/websocket", []string{"Connection", "keep-alive"}, iothub.CodeGenericBadRequest, "WebSockets only"},
		{"version", "/$iothub/websocket", []string{"Sec-WebSocket-Version", "8"}, iothub.CodeGenericBadRequest, `"8", not 13`},
		{"no key", "/$iothub/websocket", []string{"Sec-WebSocket-Key", ""}, iothub.CodeGenericBadRequest, "one Sec-WebSocket-Key, not 0"},
		{"bad key", "/$iothub/websocket", []string{"Sec-WebSocket-Key", "AAAA"}, iothub.CodeGenericBadRequest, "not 16 bytes"},
		{"no subprotocol", "/$iothub/websocket", []string{"Sec-WebSocket-Protocol", ""}, iothub.CodeGenericBadRequest, "has mqtt, AMQPWSB10, amqp"},
		{"unknown subprotocol", "/$iothub/websocket", []string{"Sec-WebSocket-Protocol", "chat, stomp"}, iothub.CodeGenericBadRequest, "(chat, stomp)"},
		{"MQTT for Event Hubs", "/$servicebus/websocket", nil, iothub.CodeGenericBadRequest, "has AMQPWSB10, amqp"},
		{"a stranger's page", "/$iothub/websocket", []string{"Origin", "https://evil.example"}, iothub.CodeGenericForbidden, "https://evil.example"},
		{"a page in a sandbox", "/$iothub/websocket", []string{"Origin", "null"}, iothub.CodeGenericForbidden, "null"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.t = t
			a := w.raw("GET", c.path, "", opening(c.change...)...)
			if text := a.refused(legacy, c.code); !strings.Contains(text, c.text) {
				t.Errorf("text %q, want %q in it", text, c.text)
			}
			if c.name == "version" && a.header.Get("Sec-WebSocket-Version") != "13" {
				t.Errorf("the version that would do is not told")
			}
		})
	}
	w.t = t
	w.raw("POST", "/$iothub/websocket", "", opening()...).refused(legacy, iothub.CodeGenericMethodNotAllowed)
	w.raw("GET", "/$iothub/websocket/more", "", opening()...).refused(legacy, iothub.CodeGenericNotFound)
}

func TestSameHost(t *testing.T) {
	for _, c := range []struct {
		origin, host string
		same         bool
	}{
		{"", "localhost", true},
		{"https://localhost:443", "localhost:443", true},
		{"https://localhost", "localhost:8443", true},
		{"http://LocalHost:5173", "localhost", true},
		{"https://[::1]:443", "[::1]", true},
		{"https://hub1.azure-devices.net:443", "hub1.azure-devices.net", true},
		{"https://hub1.azure-devices.net.evil.example", "hub1.azure-devices.net", false},
		{"https://localhost@evil.example", "localhost", false},
		{"localhost", "localhost", false},
		{"null", "null", false},
		{"https://", "", false},
		{"%", "localhost", false},
	} {
		if same := sameHost(c.origin, c.host); same != c.same {
			t.Errorf("sameHost(%q, %q) = %v", c.origin, c.host, same)
		}
	}
}

// site serves WebSockets on a listener of its own.
type site struct {
	t    *testing.T
	api  *Server
	http *httptest.Server
}

// serveWebSockets gives every WebSocket to serve. change may alter the HTTP server.
func serveWebSockets(t *testing.T, serve func(context.Context, net.Conn, string), change ...func(*httptest.Server)) *site {
	t.Helper()
	s := &site{t: t, api: New(Options{
		Hubs:      func(string) (*hub.Hub, error) { return nil, iothub.NewError(iothub.CodeIotHubNotFound, "no hub") },
		WebSocket: serve,
	})}
	s.http = httptest.NewUnstartedServer(s.api)
	s.http.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	for _, f := range change {
		f(s.http)
	}
	s.http.StartTLS()
	t.Cleanup(func() {
		if err := s.api.Shutdown(t.Context()); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		s.http.Close()
	})
	return s
}

// dial opens a WebSocket and closes it in the end.
func (s *site) dial(path string, o websocket.DialOptions) *websocket.Conn {
	s.t.Helper()
	o.HTTPClient = s.http.Client()
	c, answer, err := websocket.Dial(s.t.Context(), s.http.URL+path, &o)
	if err != nil {
		body := ""
		if answer != nil && answer.Body != nil {
			b, _ := io.ReadAll(answer.Body)
			body = string(b)
		}
		s.t.Fatal(err, body)
	}
	c.SetReadLimit(-1)
	s.t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

func mqttOptions() websocket.DialOptions {
	return websocket.DialOptions{Subprotocols: []string{"mqtt"}}
}

func amqpOptions() websocket.DialOptions {
	return websocket.DialOptions{Subprotocols: []string{"AMQPWSB10"}}
}

// echo sends back what it reads, in pieces of at most 1000 bytes.
func echo(_ context.Context, c net.Conn, _ string) {
	defer func() { _ = c.Close() }()
	piece := make([]byte, 1000)
	for {
		n, err := c.Read(piece)
		if err != nil {
			return
		}
		if _, err := c.Write(piece[:n]); err != nil {
			return
		}
	}
}

// Every path and spelling opens what it should, and the subprotocol comes back
// as it was offered.
func TestWebSocketOpened(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("group", func(t *testing.T) {
		opened := make(chan string, 1)
		s := serveWebSockets(t, func(ctx context.Context, c net.Conn, protocol string) {
			opened <- protocol
			echo(ctx, c, protocol)
		})
		for _, c := range []struct{ path, offered, want, protocol string }{
			{"/$iothub/websocket", "mqtt", "mqtt", WebSocketMQTT},
			{"/$iothub/websocket", "MQTT", "MQTT", WebSocketMQTT},
			{"/$iothub/websocket/?iothub-no-client-cert=true", "mqtt", "mqtt", WebSocketMQTT},
			{"/%24IoTHub/websocket?a=b&c", "mqtt", "mqtt", WebSocketMQTT},
			{"/:8443/$iothub/websocket", "mqtt", "mqtt", WebSocketMQTT},
			{"/$iothub/websocket", "AMQPWSB10", "AMQPWSB10", WebSocketAMQP},
			{"/$iothub/websocket", "chat, AmqpWsB10, mqtt", "AmqpWsB10", WebSocketAMQP},
			{"/$iothub/websocket", "amqp", "amqp", WebSocketAMQP},
			{"/$servicebus/websocket", "AMQPWSB10", "AMQPWSB10", WebSocketAMQP},
			{"/$servicebus/websocket/", "amqp", "amqp", WebSocketAMQP},
		} {
			ws := s.dial(c.path, websocket.DialOptions{
				Subprotocols: strings.Split(c.offered, ", "), HTTPHeader: http.Header{"Origin": {s.http.URL}},
			})
			if got := ws.Subprotocol(); got != c.want {
				t.Errorf("%s %s: subprotocol %q, want %q", c.path, c.offered, got, c.want)
			}
			if got := <-opened; got != c.protocol {
				t.Errorf("%s %s: protocol %q, want %q", c.path, c.offered, got, c.protocol)
			}
			if err := ws.Close(websocket.StatusNormalClosure, ""); err != nil {
				t.Errorf("%s %s: farewell: %v", c.path, c.offered, err)
			}
		}
	})
}

// The bytes are one stream however they are spread over messages and frames.
func TestWebSocketStream(t *testing.T) {
	s := serveWebSockets(t, echo)
	data := make([]byte, 70_000)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	for name, send := range map[string]func(*websocket.Conn, []byte) error{
		"one message": func(ws *websocket.Conn, p []byte) error {
			return ws.Write(t.Context(), websocket.MessageBinary, p)
		},
		"a byte a message": func(ws *websocket.Conn, p []byte) error {
			for i := range p[:3000] {
				if err := ws.Write(t.Context(), websocket.MessageBinary, p[i:i+1]); err != nil {
					return err
				}
			}
			return ws.Write(t.Context(), websocket.MessageBinary, p[3000:])
		},
		"fragments and empty messages": func(ws *websocket.Conn, p []byte) error {
			for len(p) > 0 {
				if err := ws.Write(t.Context(), websocket.MessageBinary, nil); err != nil {
					return err
				}
				w, err := ws.Writer(t.Context(), websocket.MessageBinary)
				if err != nil {
					return err
				}
				for _, size := range []int{1, 0, 1500, 3} {
					size = min(size, len(p))
					if _, err := w.Write(p[:size]); err != nil {
						return err
					}
					p = p[size:]
				}
				if err := w.Close(); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			ws := s.dial("/$iothub/websocket", mqttOptions())
			sent := make(chan error, 1)
			go func() { sent <- send(ws, data) }()
			var got []byte
			for len(got) < len(data) {
				kind, message, err := ws.Read(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if kind != websocket.MessageBinary || len(message) == 0 || len(message) > 1000 {
					t.Fatalf("a message of kind %v with %d bytes, want one for each write", kind, len(message))
				}
				got = append(got, message...)
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, data) {
				t.Error("not the bytes that were sent")
			}
		})
	}
}

// Every write is one message, however large.
func TestWebSocketWrite(t *testing.T) {
	sizes := []int{1, 125, 126, 65535, 65536, 300_000}
	s := serveWebSockets(t, func(_ context.Context, c net.Conn, _ string) {
		for _, size := range sizes {
			if n, err := c.Write(bytes.Repeat([]byte{byte(size)}, size)); n != size || err != nil {
				t.Errorf("Write of %d: %d, %v", size, n, err)
			}
		}
	})
	ws := s.dial("/$servicebus/websocket", amqpOptions())
	for _, size := range sizes {
		_, message, err := ws.Read(t.Context())
		if err != nil || !bytes.Equal(message, bytes.Repeat([]byte{byte(size)}, size)) {
			t.Fatalf("%d bytes, %v, want %d", len(message), err, size)
		}
	}
	_, _, err := ws.Read(t.Context())
	if got := websocket.CloseStatus(err); got != websocket.StatusNormalClosure {
		t.Errorf("the end: %v", err)
	}
}

// The answer to a ping does not fall to the deadline of an earlier write.
func TestWebSocketPing(t *testing.T) {
	s := serveWebSockets(t, func(ctx context.Context, c net.Conn, protocol string) {
		if err := c.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Error(err)
		}
		if _, err := c.Write([]byte("first")); err != nil {
			t.Error(err)
		}
		if err := c.SetWriteDeadline(time.Unix(1, 0)); err != nil {
			t.Error(err)
		}
		echo(ctx, c, protocol)
	})
	ws := s.dial("/$iothub/websocket", mqttOptions())
	if _, _, err := ws.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx := ws.CloseRead(t.Context())
	for range 3 {
		if err := ws.Ping(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// What breaks the protocol ends the connection with the status that says so.
func TestWebSocketViolations(t *testing.T) {
	ended := make(chan error, 1)
	s := serveWebSockets(t, func(_ context.Context, c net.Conn, _ string) {
		_, err := io.Copy(io.Discard, c)
		ended <- err
	})
	ws := s.dial("/$iothub/websocket", mqttOptions())
	if err := ws.Write(t.Context(), websocket.MessageText, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	_, _, err := ws.Read(t.Context())
	if websocket.CloseStatus(err) != websocket.StatusUnsupportedData || !strings.Contains(err.Error(), "binary messages only") {
		t.Errorf("text: %v", err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "binary messages only") {
		t.Errorf("text: the protocol saw %v", err)
	}

	ws = s.dial("/$iothub/websocket", mqttOptions())
	_ = ws.Close(websocket.StatusInternalError, "out of order")
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("a close that says something: the protocol saw %v", err)
	}

	for name, frame := range map[string]string{
		"unmasked":          "\x82\x01x",
		"reserved bits":     "\xf2\x80\x00\x00\x00\x00",
		"unknown opcode":    "\x83\x80\x00\x00\x00\x00",
		"negative length":   "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
		"long ping":         "\x89\xfe\x00\x7e\x00\x00\x00\x00" + strings.Repeat("x", 126),
		"torn message":      "\x82\x85\x00\x00\x00\x00x",
		"lone continuation": "\x80\x81\x00\x00\x00\x00x",
	} {
		c := s.open(t)
		if _, err := io.WriteString(c, frame); err != nil {
			t.Fatal(name, err)
		}
		_ = c.CloseWrite()
		if err := <-ended; err == nil {
			t.Errorf("%s: the protocol saw an orderly end", name)
		}
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	}

	// The end of the connection without a close frame is an end all the same.
	c := s.open(t)
	_ = c.Close()
	if err := <-ended; err != nil {
		t.Errorf("a broken connection: the protocol saw %v", err)
	}
}

// open does the handshake by hand, for clients that misbehave.
func (s *site) open(t *testing.T) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", s.http.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a test's own server
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	request := "GET /$iothub/websocket HTTP/1.1\r\nHost: localhost\r\n"
	headers := opening()
	for i := 0; i < len(headers); i += 2 {
		request += headers[i] + ": " + headers[i+1] + "\r\n"
	}
	if _, err := io.WriteString(c, request+"\r\n"); err != nil {
		t.Fatal(err)
	}
	// The answer, byte by byte so that nothing after it is taken.
	var answer []byte
	for !bytes.HasSuffix(answer, []byte("\r\n\r\n")) {
		var b [1]byte
		if _, err := c.Read(b[:]); err != nil {
			t.Fatal(err)
		}
		answer = append(answer, b[0])
	}
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 101 ")) || !bytes.Contains(answer, []byte("\r\nConnection: Upgrade\r\n")) ||
		!bytes.Contains(answer, []byte("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")) {
		t.Fatalf("answer %s", answer)
	}
	return c
}

// A peer that does not read holds nobody longer than the write's deadline, and
// is cut.
func TestWebSocketStalledPeer(t *testing.T) {
	ended := make(chan error, 1)
	s := serveWebSockets(t, func(_ context.Context, c net.Conn, _ string) {
		defer func() { _ = c.Close() }()
		if err := c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Error(err)
		}
		for {
			if _, err := c.Write(make([]byte, 1<<20)); err != nil {
				ended <- err
				return
			}
		}
	})
	c := s.open(t)
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write: %v", err)
	}
	// What was sent may be read, and then the connection is at its end.
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("not cut")
	}
}

// The protocol finds the client's certificate and addresses.
func TestWebSocketTLS(t *testing.T) {
	seen := make(chan net.Conn, 1)
	s := serveWebSockets(t, func(ctx context.Context, c net.Conn, protocol string) {
		seen <- c
		echo(ctx, c, protocol)
	})
	s.http.Client().Transport.(*http.Transport).TLSClientConfig.Certificates = s.http.TLS.Certificates
	s.dial("/$iothub/websocket", mqttOptions())
	c := <-seen
	secure, ok := c.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		t.Fatal("no ConnectionState")
	}
	if chain := secure.ConnectionState().PeerCertificates; len(chain) != 1 || !chain[0].Equal(s.http.Certificate()) {
		t.Errorf("%d certificates, want the client's", len(chain))
	}
	if w, ok := c.(interface{ WebSocket() bool }); !ok || !w.WebSocket() {
		t.Error("it does not say what it is")
	}
	if got := c.LocalAddr().String(); got != s.http.Listener.Addr().String() {
		t.Errorf("local address %s", got)
	}
	if host, _, err := net.SplitHostPort(c.RemoteAddr().String()); err != nil || host != "127.0.0.1" {
		t.Errorf("remote address %s", c.RemoteAddr())
	}
}

// Shutdown lets nobody in, says good-bye when the protocols are done, and cuts
// those who do not answer when its time is over.
func TestWebSocketShutdown(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("group", func(t *testing.T) {
		politeEnds, silentEnds, running := make(chan struct{}), make(chan struct{}), make(chan struct{}, 2)
		ends := make(chan chan struct{}, 2)
		ends <- politeEnds
		ends <- silentEnds
		s := serveWebSockets(t, func(_ context.Context, c net.Conn, _ string) {
			select {
			case end := <-ends:
				running <- struct{}{}
				<-end
			default:
				running <- struct{}{}
			}
			_ = c.Close()
		})
		polite := s.dial("/$iothub/websocket", mqttOptions())
		<-running
		said := make(chan error, 1)
		go func() {
			_, _, err := polite.Read(t.Context())
			said <- err
		}()
		s.open(t) // will not answer
		<-running
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.api.Shutdown(ctx) }()
		for { // until Shutdown has begun
			early, answer, err := websocket.Dial(t.Context(), s.http.URL+"/$iothub/websocket",
				&websocket.DialOptions{HTTPClient: s.http.Client(), Subprotocols: []string{"mqtt"}})
			if err == nil {
				t.Cleanup(func() { _ = early.CloseNow() })
				<-running
				continue
			}
			if answer == nil || answer.StatusCode != http.StatusServiceUnavailable {
				t.Fatalf("while closing: %v", err)
			}
			break
		}
		select {
		case err := <-done:
			t.Fatalf("Shutdown did not wait: %v", err)
		default:
		}
		close(politeEnds)
		if err := <-said; websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("farewell: %v", err)
		}
		cancel()
		for cut := false; !cut; time.Sleep(time.Millisecond) { // until Shutdown waits for nobody's farewell
			s.api.mu.Lock()
			cut = s.api.cut
			s.api.mu.Unlock()
		}
		close(silentEnds)
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

// pipeListener hands out the server's ends of pipes.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	close(l.done)
	return nil
}
func (l *pipeListener) Addr() net.Addr { return &net.IPAddr{} }

func (l *pipeListener) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	l.conns <- server
	return client, nil
}

// The HTTP server's time-outs do not hold for a WebSocket, the protocol's do; and
// a peer that never answers the close frame is cut when its time is over.
func TestWebSocketTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &pipeListener{make(chan net.Conn), make(chan struct{})}
		type end struct {
			err   error
			after time.Duration
		}
		ended := make(chan end, 1)
		api := New(Options{WebSocket: func(_ context.Context, c net.Conn, _ string) {
			if _, ok := c.(interface{ ConnectionState() tls.ConnectionState }); ok {
				t.Error("a connection without TLS has a TLS state")
			}
			var b [1]byte
			if _, err := c.Read(b[:]); err != nil {
				t.Error(err)
			}
			start := time.Now()
			if err := c.SetDeadline(start.Add(90 * time.Minute)); err != nil {
				t.Error(err)
			}
			_, err := c.Read(b[:])
			ended <- end{err, time.Since(start)}
		}})
		server := &http.Server{Handler: api} //nolint:gosec // Configure sets the time-outs
		Configure(server)
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		transport := &http.Transport{DialContext: l.dial}
		ws, _, err := websocket.Dial(t.Context(), "http://localhost/$iothub/websocket",
			&websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}, Subprotocols: []string{"mqtt"}})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour) // longer than any time-out of the HTTP server
		if err := ws.Write(t.Context(), websocket.MessageBinary, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if e := <-ended; !errors.Is(e.err, os.ErrDeadlineExceeded) || e.after != 90*time.Minute {
			t.Errorf("%v after %v", e.err, e.after)
		}
		// The peer does not read on: its farewell never comes.
		start := time.Now()
		if err := api.Shutdown(t.Context()); err != nil || time.Since(start) != farewellTime {
			t.Errorf("Shutdown: %v after %v", err, time.Since(start))
		}
		_ = ws.CloseNow()
		transport.CloseIdleConnections()
		if err := server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}
