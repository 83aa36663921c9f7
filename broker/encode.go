package broker

import "encoding/binary"

// The packets that the sessions send. Everything else the MQTT library encodes.
// Source: MQTT 3.1.1 section 3.

// maxTopic is the longest topic in bytes: its length is two bytes on the wire.
const maxTopic = 65535

func appendPuback(b []byte, id uint16) []byte {
	return append(b, 0x40, 2, byte(id>>8), byte(id))
}

func appendUnsuback(b []byte, id uint16) []byte {
	return append(b, 0xb0, 2, byte(id>>8), byte(id))
}

func appendSuback(b []byte, id uint16, codes []byte) []byte {
	b = append(b, 0x90)
	b = appendLength(b, 2+len(codes))
	b = append(b, byte(id>>8), byte(id))
	return append(b, codes...)
}

func appendConnack(b []byte, sessionPresent bool, code byte) []byte {
	var flags byte
	if sessionPresent {
		flags = 1
	}
	return append(b, 0x20, 2, flags, code)
}

// appendPublish appends a PUBLISH. The topic has at most maxTopic bytes; id is
// for QoS 1 only.
func appendPublish(b []byte, topic string, payload []byte, qos byte, dup bool, id uint16) []byte {
	header := byte(0x30) | qos<<1
	if dup {
		header |= 8
	}
	n := 2 + len(topic) + len(payload)
	if qos > 0 {
		n += 2
	}
	b = append(b, header)
	b = appendLength(b, n)
	b = binary.BigEndian.AppendUint16(b, uint16(len(topic)))
	b = append(b, topic...)
	if qos > 0 {
		b = binary.BigEndian.AppendUint16(b, id)
	}
	return append(b, payload...)
}

func appendLength(b []byte, n int) []byte {
	for n >= 128 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}
