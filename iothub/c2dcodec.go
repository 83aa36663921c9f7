package iothub

import (
	"encoding/binary"
	"math"
	"time"
)

// The first byte of an encoded C2DMessage: the second form is for an input of a module.
const (
	c2dVersion      = 1
	c2dInputVersion = 2
)

// AppendC2D appends the stored form of m to dst and returns the result. The
// SequenceNumber is not part of it: the queue entry's number is it. Times keep
// nanoseconds.
func AppendC2D(dst []byte, m *C2DMessage) []byte {
	if m.Input == "" {
		dst = append(dst, c2dVersion)
	} else {
		dst = append(dst, c2dInputVersion)
		dst = appendText(dst, m.Input)
		dst = appendText(dst, m.From.DeviceID)
		dst = appendText(dst, m.From.ModuleID)
		dst = binary.AppendUvarint(dst, uint64(m.Priority))
	}
	dst = appendText(dst, m.ID.DeviceID)
	dst = appendText(dst, m.ID.ModuleID)
	dst = appendText(dst, m.GenerationID)
	dst = appendText(dst, string(m.Ack))
	dst = appendTime(dst, m.EnqueuedTime)
	dst = appendTime(dst, m.ExpiryTime)
	dst = binary.AppendUvarint(dst, uint64(max(m.DeliveryCount, 0)))
	dst = appendSystem(dst, &m.System)
	dst = appendProperties(dst, m.Properties)
	return append(dst, m.Body...)
}

// DecodeC2D reads what AppendC2D wrote. Body shares the memory of data. It
// returns ErrMessageEncoding for anything else.
func DecodeC2D(data []byte) (C2DMessage, error) {
	if len(data) == 0 || data[0] != c2dVersion && data[0] != c2dInputVersion {
		return C2DMessage{}, ErrMessageEncoding
	}
	r := messageReader{data: data[1:]}
	var m C2DMessage
	if data[0] == c2dInputVersion {
		m.Input, m.From.DeviceID, m.From.ModuleID = r.text(), r.text(), r.text()
		priority := r.uvarint()
		r.bad = r.bad || priority > math.MaxUint32 || m.Input == ""
		m.Priority = uint32(priority)
	}
	m.ID.DeviceID, m.ID.ModuleID = r.text(), r.text()
	m.GenerationID, m.Ack = r.text(), Ack(r.text())
	m.EnqueuedTime, m.ExpiryTime = r.time(), r.time()
	count := r.uvarint()
	if count > 1<<20 {
		r.bad = true
	}
	m.DeliveryCount = int(count)
	r.system(&m.System)
	m.Properties = r.properties()
	m.Body = r.body()
	if r.bad {
		return C2DMessage{}, ErrMessageEncoding
	}
	return m, nil
}

// appendTime writes seconds and nanoseconds, which holds the zero time as well.
func appendTime(dst []byte, t time.Time) []byte {
	return binary.AppendUvarint(binary.AppendVarint(dst, t.Unix()), uint64(t.Nanosecond()))
}

func (r *messageReader) time() time.Time {
	seconds, nanos := r.varint(), r.uvarint()
	if nanos >= 1e9 {
		r.bad = true
		return time.Time{}
	}
	return time.Unix(seconds, int64(nanos)).UTC()
}
