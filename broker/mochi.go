package broker

import (
	"log/slog"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// This file alone knows the MQTT library, mochi v2.7.9. What it takes over and
// what it must never see are the facts that mochi_test.go holds fast:
//
//   - Every packet after CONNECT that the lane did not take before is consumed in
//     OnPacketRead, but for PINGREQ and DISCONNECT. A consumed packet is replaced by a PUBACK that nobody waits for,
//     which the library passes over. Its topic tree, its retained messages and
//     its inflight map, which mixes up the packet identifiers of the two
//     directions, stay empty.
//   - It knows each connection under a number of ours and as a clean session
//     without a will, so it remembers nothing of a client that left, and never
//     takes a session over, which it would do with a DISCONNECT packet that
//     MQTT 3.1.1 does not have.
//   - Its Serve is never called: no timers, no $SYS topics.

// newLibrary returns the library's server with hook attached.
func newLibrary(hook *hook) (library, error) {
	capabilities := mqtt.NewDefaultServerCapabilities()
	capabilities.MaximumPacketSize = maxPacketSize
	capabilities.MaximumClientWritesPending = 1
	capabilities.TopicAliasMaximum = 0
	capabilities.MinimumProtocolVersion = mqttLevel
	server := mqtt.New(&mqtt.Options{
		Capabilities:            capabilities,
		ClientNetReadBufferSize: readBuffer,
		Logger:                  slog.New(slog.DiscardHandler),
	})
	return server, server.AddHook(hook, nil)
}

// hook connects the library to the sessions. The library calls it on the
// goroutine that reads the connection.
type hook struct {
	mqtt.HookBase
	server *Server
}

// ID names the hook for the library.
func (h *hook) ID() string { return "hub" }

// Provides lists what the hook wants to hear.
func (h *hook) Provides(b byte) bool {
	switch b {
	case mqtt.OnPacketRead, mqtt.OnConnectAuthenticate, mqtt.OnPacketEncode, mqtt.OnSessionEstablished:
		return true
	}
	return false
}

// OnPacketRead takes each packet before the library looks at it, CONNECT
// included. ErrRejectPacket makes the library end the connection.
func (h *hook) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	c, ok := cl.Net.Conn.(*conn)
	if !ok {
		return pk, packets.ErrRejectPacket
	}
	if c.session == nil {
		return h.connect(c, pk)
	}
	pass, err := c.session.receive(&pk)
	if err != nil {
		c.fail(err)
		return pk, packets.ErrRejectPacket
	}
	if !pass {
		return packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}}, nil
	}
	return pk, nil
}

func (h *hook) connect(c *conn, pk packets.Packet) (packets.Packet, error) {
	p := pk.Connect
	keepAlive, refusal := h.server.connect(c, connectPacket{
		protocolName: string(p.ProtocolName),
		level:        pk.ProtocolVersion,
		reserved:     pk.ReservedBit != 0,
		cleanSession: p.Clean,
		keepAlive:    p.Keepalive,
		clientID:     p.ClientIdentifier,
		hasUserName:  p.UsernameFlag,
		userName:     string(p.Username),
		hasPassword:  p.PasswordFlag,
		password:     string(p.Password),
		hasWill:      p.WillFlag,
		will:         will{topic: p.WillTopic, payload: p.WillPayload, qos: p.WillQos, retain: p.WillRetain},
		remaining:    pk.FixedHeader.Remaining,
	})
	if refusal != nil {
		c.fail(refusal)
		if refusal.code != connackAccepted {
			_ = c.enqueue(appendConnack(nil, false, refusal.code))
		}
		return pk, packets.ErrRejectPacket
	}
	pk.Connect = packets.ConnectParams{
		ProtocolName:     p.ProtocolName,
		ClientIdentifier: c.id(),
		Clean:            true,
		Keepalive:        keepAlive,
	}
	return pk, nil
}

// OnConnectAuthenticate allows what OnPacketRead let through.
func (h *hook) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

// OnPacketEncode puts the session-present flag into CONNACK.
func (h *hook) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	if pk.FixedHeader.Type == packets.Connack {
		if c, ok := cl.Net.Conn.(*conn); ok && c.session != nil {
			pk.SessionPresent = c.session.present
		}
	}
	return pk
}

// OnSessionEstablished comes after CONNACK was written.
func (h *hook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	if c, ok := cl.Net.Conn.(*conn); ok && c.session != nil {
		c.session.start()
	}
}

// receive takes a packet off the library's hands; pass gives it back. An error
// ends the connection.
func (s *session) receive(pk *packets.Packet) (pass bool, err error) {
	if s.ended() {
		return false, errEnded
	}
	switch pk.FixedHeader.Type {
	case packets.Publish:
		return false, s.publish(publish{
			topic: pk.TopicName, payload: pk.Payload, packetID: pk.PacketID,
			qos: pk.FixedHeader.Qos, retain: pk.FixedHeader.Retain,
		})
	case packets.Puback:
		if pk.FixedHeader.Remaining != 2 {
			return false, errMalformed
		}
		s.c2d.acknowledged(pk.PacketID)
		return false, nil
	case packets.Subscribe:
		filters := make([]subscription, len(pk.Filters))
		for i, f := range pk.Filters {
			filters[i] = subscription{filter: f.Filter, qos: f.Qos}
		}
		return false, s.subscribe(pk.PacketID, filters)
	case packets.Unsubscribe:
		filters := make([]string, len(pk.Filters))
		for i, f := range pk.Filters {
			filters[i] = f.Filter
		}
		return false, s.unsubscribe(pk.PacketID, filters)
	case packets.Pingreq:
		if pk.FixedHeader.Remaining != 0 {
			return false, errMalformed
		}
		return true, nil
	case packets.Disconnect:
		if pk.FixedHeader.Remaining != 0 {
			return false, errMalformed
		}
		s.will.Store(nil)
		s.conn.fail(errDisconnected)
		return true, nil
	}
	return false, errUnexpectedPacket
}
