package broker

import (
	"context"
	"hash/maphash"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// mqttLevel is the protocol level of MQTT 3.1.1, the only one served.
const mqttLevel = 4

// maxKeepAlive is the longest keep-alive in seconds: the hub cuts an idle
// client after one and a half times its keep-alive, but at most 1767 s.
// Source: IoT Hub, communicate using the MQTT protocol (default keep-alive time-out).
const maxKeepAlive = 1178

// connectPacket is a CONNECT as decoded.
type connectPacket struct {
	protocolName string
	level        byte
	reserved     bool
	cleanSession bool
	keepAlive    uint16
	clientID     string
	hasUserName  bool
	userName     string
	hasPassword  bool
	password     string
	hasWill      bool
	will         will
	// remaining is the length that the fixed header gives.
	remaining int
}

// connect decides on a CONNECT. If it accepts, c has its session and the
// keep-alive to mind is returned; CONNACK is not yet sent. A refusal with
// connackAccepted as its code means to close without an answer.
func (s *Server) connect(c *conn, p connectPacket) (keepAlive uint16, refusal *connectError) {
	c.claim(p.clientID)
	if refusal = p.check(); refusal != nil {
		return 0, refusal
	}
	id, err := iothub.ParseID(p.clientID)
	if err != nil {
		return 0, &connectError{code: connackBadClientID, reason: err}
	}
	if !p.hasUserName {
		return 0, refuseConnect(connackMalformedLogin, iothub.CodeIotHubFormatError, "the CONNECT has no user name")
	}
	u, err := parseUserName(p.userName, id)
	if err != nil {
		if iothub.ErrorCode(err) == iothub.CodeIotHubFormatError {
			return 0, &connectError{code: connackMalformedLogin, reason: err}
		}
		return 0, &connectError{code: connackBadClientID, reason: err}
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.o.ConnectTimeout)
	defer cancel()
	h, grant, refusal := s.authenticate(ctx, c, id, u, p)
	if refusal != nil {
		if h != nil {
			h.Refused("connect", c.protocol, c.RemoteAddr().String(), id, refusal.reason)
		}
		return 0, refusal
	}
	if p.hasWill {
		if err := p.will.check(id); err != nil {
			return 0, &connectError{code: connackNotAuthorized, reason: err}
		}
	}
	ss := s.newSession(c, sessionKey{h, id}, u, !p.cleanSession)
	if p.hasWill {
		ss.will.Store(&p.will)
	}
	if err := s.attach(ctx, ss, grant, u.modelID); err != nil {
		h.Refused("connect", c.protocol, c.RemoteAddr().String(), id, err)
		return 0, refuseForError(err)
	}
	keepAlive = p.keepAlive
	if keepAlive == 0 || keepAlive > maxKeepAlive {
		keepAlive = maxKeepAlive
	}
	c.idleTimeout = time.Duration(keepAlive) * time.Second * 3 / 2
	return keepAlive, nil
}

// check looks at the protocol and the flags (MQTT 3.1.1 3.1.2).
func (p *connectPacket) check() *connectError {
	known := p.protocolName == "MQTT" || p.protocolName == "MQIsdp"
	switch {
	case !known:
		return refuseConnect(connackAccepted, iothub.CodeInvalidProtocolVersion, "the CONNECT is not of the MQTT protocol")
	case p.protocolName != "MQTT" || p.level != mqttLevel:
		return refuseConnect(connackBadProtocol, iothub.CodeInvalidProtocolVersion, "only MQTT 3.1.1 is supported")
	case p.reserved, !p.hasWill && (p.will.qos != 0 || p.will.retain), p.will.qos > 2, p.remaining != p.length():
		return &connectError{code: connackAccepted, reason: errMalformed}
	case !utf8.ValidString(p.userName) || strings.ContainsRune(p.userName, 0):
		// The library takes it for binary data (MQTT 3.1.1 1.5.3).
		return &connectError{code: connackAccepted, reason: errMalformed}
	case p.hasPassword && !p.hasUserName:
		return refuseConnect(connackMalformedLogin, iothub.CodeIotHubFormatError, "the CONNECT has a password and no user name")
	}
	return nil
}

// length is what the remaining length of the packet must be: the library passes
// over what follows the last field.
func (p *connectPacket) length() int {
	n := 2 + len(p.protocolName) + 1 + 1 + 2 + 2 + len(p.clientID)
	if p.hasWill {
		n += 2 + len(p.will.topic) + 2 + len(p.will.payload)
	}
	if p.hasUserName {
		n += 2 + len(p.userName)
	}
	if p.hasPassword {
		n += 2 + len(p.password)
	}
	return n
}

// authenticate finds the hub and verifies the token or, where there is none,
// the client certificate. The hub is there with a refusal, too, if it was found.
func (s *Server) authenticate(ctx context.Context, c *conn, id iothub.ID, u userName, p connectPacket) (*hub.Hub, iothub.Grant, *connectError) {
	h, err := s.o.Hubs(u.host)
	if err != nil {
		return nil, iothub.Grant{}, refuseForError(err)
	}
	credential := hub.Credential{Token: p.password}
	if p.password == "" {
		credential.Certificates = c.peerCertificates()
		if len(credential.Certificates) == 0 {
			return h, iothub.Grant{}, refuseConnect(connackNotAuthorized, iothub.CodeIotHubUnauthorizedAccess,
				"neither a password nor a client certificate")
		}
	}
	grant, err := h.AuthenticateDevice(ctx, id, credential)
	if err != nil {
		return h, iothub.Grant{}, refuseForError(err)
	}
	return h, grant, nil
}

// attach puts the session in the place of an older one of the same identity and
// restores or drops what is stored of it.
func (s *Server) attach(ctx context.Context, ss *session, grant iothub.Grant, modelID string) error {
	lock := &s.connecting[maphash.Comparable(s.seed, ss.key)%uint64(len(s.connecting))]
	lock.Lock()
	defer lock.Unlock()
	// The older session stops before its stored state is read. Its will, which
	// takeover sets off, needs its connection, which Connect then ends.
	if old := s.live(ss.key); old != nil {
		old.abort(iothub.NewError(iothub.CodeConnectionForcefullyClosedOnNewConnection, "a newer connection of the same identity took over"))
		old.quiesce()
	}
	link, err := ss.key.hub.Connect(ctx, ss.key.id, hub.ConnectionOptions{
		Grant: grant, Protocol: ss.conn.protocol, RemoteAddr: ss.conn.RemoteAddr().String(), ModelID: modelID,
	}, ss)
	if err != nil {
		ss.cancel()
		return err
	}
	ss.link = link
	if err := ss.restore(ctx); err != nil {
		link.Close()
		ss.cancel()
		return err
	}
	if !s.remember(ss) {
		link.Close()
		ss.cancel()
		return errClosing
	}
	ss.conn.session = ss
	return nil
}

// restore reads the stored session, makes one, or ends it, as the clean session
// flag says (MQTT 3.1.1 3.1.2.4).
func (s *session) restore(ctx context.Context) error {
	stored, err := s.link.MQTTSession(ctx)
	if err != nil {
		return err
	}
	left := s.server.takeUnacknowledged(s.key)
	switch {
	case s.persistent && stored != nil:
		s.present = true
		for filter, qos := range stored {
			s.subscriptions[filter] = qos
		}
		s.c2d.resume(left)
	case s.persistent:
		return s.link.SetMQTTSession(ctx, map[string]byte{})
	case stored != nil:
		return s.link.SetMQTTSession(ctx, nil)
	}
	return nil
}
