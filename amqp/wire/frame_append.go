package wire

import "encoding/binary"

// AppendProtocolHeader adds the 8 bytes "AMQP", id, 1, 0, 0 (OASIS AMQP 1.0 2.2).
func AppendProtocolHeader(dst []byte, id ProtocolID) []byte {
	return append(dst, 'A', 'M', 'Q', 'P', byte(id), 1, 0, 0)
}

// AppendEmptyFrame adds a heartbeat: an empty frame on channel 0
// (OASIS AMQP 1.0 2.4.5).
func AppendEmptyFrame(dst []byte) []byte {
	return append(dst, 0, 0, 0, 8, 2, byte(FrameAMQP), 0, 0)
}

// AppendFrame adds a frame without payload. Its type follows from p; a SASL
// frame ignores channel. Errors are those of p.Append; dst is then returned as it
// was. The caller sees to it that the frame is not larger than its peer allows.
func AppendFrame(dst []byte, channel uint16, p Performative) ([]byte, error) {
	t := FrameAMQP
	if p.Code() >= CodeSASLMechanisms {
		t, channel = FrameSASL, 0
	}
	start := len(dst)
	dst, err := p.Append(appendFrameHeader(dst, t, channel))
	if err != nil {
		return dst[:start], err
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start))
	return dst, nil
}

// AppendTransferFrame adds one transfer frame of at most maxFrameSize bytes,
// with as much of payload as fits, and returns what did not fit. The frame's
// more flag is set when t.More is, or when something did not fit; t itself is
// not changed. The caller repeats it, clearing DeliveryID, DeliveryTag and
// MessageFormat if it likes, until rest is empty:
//
//	for {
//		buf, payload, err = wire.AppendTransferFrame(buf, channel, t, payload, maxFrameSize)
//		if err != nil || len(payload) == 0 {
//			break
//		}
//	}
//
// It fails with a *ValueError if not even one byte of payload fits, or if
// t.State does not encode; dst is then returned as it was.
func AppendTransferFrame(dst []byte, channel uint16, t *Transfer, payload []byte, maxFrameSize uint32) (out, rest []byte, err error) {
	start := len(dst)
	dst, moreAt, err := t.append(appendFrameHeader(dst, FrameAMQP, channel), t.More)
	if err != nil {
		return dst[:start], payload, err
	}
	room := int64(maxFrameSize) - int64(len(dst)-start)
	if room < 0 || room == 0 && len(payload) > 0 {
		return dst[:start], payload, &ValueError{Reason: "transfer does not fit in a frame"}
	}
	n := int(min(room, int64(len(payload))))
	if n < len(payload) {
		dst[moreAt] = codeTrue
	}
	dst = append(dst, payload[:n]...)
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start))
	return dst, payload[n:], nil
}

// appendFrameHeader adds a frame header whose size is still 0.
func appendFrameHeader(dst []byte, t FrameType, channel uint16) []byte {
	return append(dst, 0, 0, 0, 0, 2, byte(t), byte(channel>>8), byte(channel))
}
