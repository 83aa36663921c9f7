package rest

import (
	"bufio"
	"context"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/coder/websocket"

	"github.com/hubnerite/hubnerite/iothub"
)

// Protocols that a WebSocket may carry, as Options.WebSocket is told them.
const (
	WebSocketMQTT = "mqtt"
	WebSocketAMQP = "amqp"
)

// webSocketPath is a path on which WebSockets are opened. Every stream of bytes
// that the other ports serve is had on port 443 this way.
type webSocketPath struct {
	pattern string
	// name is for the refusal when nobody serves WebSockets.
	name string
	// protocols maps the subprotocols in lower case to what they carry.
	protocols map[string]string
}

// webSocketPaths lists where WebSockets are opened. Sources: IoT Hub devguide
// (choose a communication protocol), OASIS MQTT 3.1.1 6 (subprotocol mqtt),
// OASIS AMQP WebSocket Binding 1.0 2.1 (subprotocol amqp). AMQPWSB10 is what
// Azure's SDKs offer, after that binding's draft.
func webSocketPaths() []webSocketPath {
	all := map[string]string{"mqtt": WebSocketMQTT, "amqpwsb10": WebSocketAMQP, "amqp": WebSocketAMQP}
	amqp := map[string]string{"amqpwsb10": WebSocketAMQP, "amqp": WebSocketAMQP}
	return []webSocketPath{
		{"/$iothub/websocket", "MQTT and AMQP over WebSockets", all},
		// With a port in its connection string the Node.js SDK puts it into the path.
		{"/{port::[0-9]+}/$iothub/websocket", "MQTT and AMQP over WebSockets", all},
		{"/$servicebus/websocket", "AMQP over WebSockets", amqp},
	}
}

// openWebSocket turns the request into a WebSocket and gives it to whoever serves its
// protocol, until that is done with it.
func (s *Server) openWebSocket(path webSocketPath) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		offered, protocol, err := path.negotiate(w, r)
		if err != nil {
			s.writeError(w, r, legacy, err)
			return
		}
		if !s.enter() {
			s.writeError(w, r, legacy, iothub.NewError(iothub.CodeServiceUnavailable, "The server is closing."))
			return
		}
		defer s.sockets.Done()
		up := &hijacking{ResponseWriter: w}
		ws, err := websocket.Accept(up, r, &websocket.AcceptOptions{
			// Echoed as the client spelled it: some compare it with case.
			Subprotocols: []string{offered},
			// Checked by negotiate.
			InsecureSkipVerify: true,
		})
		if err != nil {
			// Accept has answered; what can fail here is the connection alone.
			s.o.Logger.Info("WebSocket not opened", "rid", requestID(w), "remote", r.RemoteAddr, "err", err)
			return
		}
		c := newSocket(ws, up.conn)
		s.o.Logger.Debug("WebSocket opened", "rid", requestID(w), "remote", r.RemoteAddr, "path", r.URL.Path, "subprotocol", offered)
		defer s.finish(c)
		s.o.WebSocket(r.Context(), c.asNetConn(), protocol)
	}
}

// negotiate checks the opening handshake (RFC 6455 4.2.1) and returns the first
// subprotocol that the client offers and the path has, as the client spelled it,
// and what it carries.
func (p webSocketPath) negotiate(w http.ResponseWriter, r *http.Request) (offered, protocol string, err error) {
	refuse := func(format string, args ...any) (string, string, error) {
		return "", "", iothub.NewError(iothub.CodeGenericBadRequest, format, args...)
	}
	if !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1 || !hasToken(r.Header, "Connection", "upgrade") || !hasToken(r.Header, "Upgrade", "websocket") {
		return refuse("The path takes WebSockets only: an HTTP/1.1 request with Connection: Upgrade and Upgrade: websocket.")
	}
	if version := r.Header.Get("Sec-WebSocket-Version"); version != "13" {
		w.Header().Set("Sec-WebSocket-Version", "13")
		return refuse("The WebSocket version is %q, not 13.", version)
	}
	keys := r.Header.Values("Sec-WebSocket-Key")
	if len(keys) != 1 {
		return refuse("There must be one Sec-WebSocket-Key, not %d.", len(keys))
	}
	if key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0])); err != nil || len(key) != 16 {
		return refuse("The Sec-WebSocket-Key is not 16 bytes in base64.")
	}
	if origin := r.Header.Get("Origin"); !sameHost(origin, r.Host) {
		return "", "", iothub.NewError(iothub.CodeGenericForbidden,
			"A page of %q may not open a WebSocket to %q: the Origin must be the host itself.", origin, r.Host)
	}
	list := tokens(r.Header, "Sec-WebSocket-Protocol")
	for _, offered := range list {
		if protocol, ok := p.protocols[strings.ToLower(offered)]; ok {
			return offered, protocol, nil
		}
	}
	if len(list) == 0 {
		return refuse("The client offers no WebSocket subprotocol; %s has %s.", p.pattern, p.names())
	}
	return refuse("No subprotocol that the client offers (%s) is served here; %s has %s.", strings.Join(list, ", "), p.pattern, p.names())
}

// names lists the path's subprotocols for a person.
func (p webSocketPath) names() string {
	names := []string{"AMQPWSB10", "amqp"}
	if _, ok := p.protocols["mqtt"]; ok {
		names = slices.Insert(names, 0, "mqtt")
	}
	return strings.Join(names, ", ")
}

// sameHost reports whether a page of the origin may open a WebSocket to the
// host: there is no origin, which is to say no browser, or it is the host
// itself on any port. The SDKs that send one name the host. A token cannot be
// borrowed by a page, but a client certificate in the browser and the published
// keys of an emulator on localhost can, and a WebSocket has no pre-flight
// request that would keep a stranger's page out as it does from the rest of this API.
func sameHost(origin, host string) bool {
	if origin == "" {
		return true
	}
	from, err := url.Parse(origin)
	if err != nil || from.Host == "" {
		return false
	}
	to := url.URL{Host: host}
	return strings.EqualFold(from.Hostname(), to.Hostname())
}

// tokens splits a header that is a list.
func tokens(h http.Header, name string) []string {
	var list []string
	for _, line := range h.Values(name) {
		for token := range strings.SplitSeq(line, ",") {
			if token = strings.TrimSpace(token); token != "" {
				list = append(list, token)
			}
		}
	}
	return list
}

func hasToken(h http.Header, name, token string) bool {
	return slices.ContainsFunc(tokens(h, name), func(t string) bool { return strings.EqualFold(t, token) })
}

// hijacking remembers the connection below the WebSocket, whose deadlines and
// TLS state the library hides.
type hijacking struct {
	http.ResponseWriter
	conn net.Conn
}

// Hijack implements http.Hijacker. From here on the time-outs of the HTTP server do
// not hold any more.
func (h *hijacking) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	h.conn = c
	return c, rw, err
}

// enter counts a WebSocket, unless Shutdown has begun.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.sockets.Add(1)
	return true
}

// finish takes leave of the peer.
func (s *Server) finish(c *socket) {
	status := websocket.StatusNormalClosure
	s.mu.Lock()
	if s.closing {
		status = websocket.StatusGoingAway
	}
	s.lingering[c] = struct{}{}
	cut := s.cut
	s.mu.Unlock()
	if cut {
		c.cut()
	}
	c.finish(status)
	s.mu.Lock()
	delete(s.lingering, c)
	s.mu.Unlock()
}

// Shutdown refuses new WebSockets and waits until the open ones have ended.
// Whoever serves what they carry must be told to end them. When ctx ends first,
// those that only wait for the peer's farewell are cut off, and the error of
// ctx is returned. Shutdown does not touch plain requests, which are the HTTP
// server's.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.sockets.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	s.cut = true
	for c := range s.lingering {
		c.cut()
	}
	s.mu.Unlock()
	<-done
	return ctx.Err()
}
