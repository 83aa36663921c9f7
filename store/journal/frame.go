package journal

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"

	"github.com/hubnerite/hubnerite/store"
)

// A record in a segment, little-endian: payload length plus one (4 bytes, so
// that zeros end the data), CRC-32C (4) over the segment's number and all that
// follows, partition (2), zero (2), sequence number (8), offset (8), enqueued
// time in milliseconds (8), payload.
const frameHeader = 36

func frameSize(payload int) int64 { return frameHeader + int64(payload) }

// salt is the checksum of a segment's number, which all others go on from.
func salt(segment uint64) uint32 {
	return checksum(0, binary.LittleEndian.AppendUint64(nil, segment))
}

func checksum(salt uint32, data []byte) uint32 {
	return crc32.Update(salt, crc32.MakeTable(crc32.Castagnoli), data) // the table is made once
}

func appendFrame(b []byte, salt uint32, r store.LogRecord) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Payload)+1))
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(r.Partition))
	b = append(b, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.SequenceNumber))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Offset))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.EnqueuedTime.UnixMilli()))
	b = append(b, r.Payload...)
	binary.LittleEndian.PutUint32(b[start+4:], checksum(salt, b[start+8:]))
	return b
}

// parseHeader reads the header of a record and the length of its payload. It
// reports false for anything that cannot begin a record.
func parseHeader(h []byte, partitions int) (r store.LogRecord, payload int, ok bool) {
	n := binary.LittleEndian.Uint32(h)
	if n == 0 || n > MaxPayload+1 {
		return store.LogRecord{}, 0, false
	}
	r.Partition = int(binary.LittleEndian.Uint16(h[8:]))
	r.SequenceNumber = int64(binary.LittleEndian.Uint64(h[12:]))
	r.Offset = int64(binary.LittleEndian.Uint64(h[20:]))
	r.EnqueuedTime = fromMillis(int64(binary.LittleEndian.Uint64(h[28:])))
	ok = r.Partition < partitions && r.SequenceNumber >= 0 && r.Offset >= 0
	return r, int(n - 1), ok
}

// whole reports whether the checksum of a complete record is right.
func whole(salt uint32, frame []byte) bool {
	return binary.LittleEndian.Uint32(frame[4:]) == checksum(salt, frame[8:])
}

// noTime stands for "never" in files.
const noTime = math.MinInt64

func toMillis(t time.Time) int64 {
	if t.IsZero() {
		return noTime
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == noTime {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// state is where a partition stands at some point of the journal.
type state struct {
	next, offset int64 // sequence number and offset of the next record
	last         int64 // offset of the newest record, -1 for none
	lastTime     time.Time
}

// advance moves the state behind r.
func (s *state) advance(r store.LogRecord) {
	s.next = r.SequenceNumber + 1
	s.last = r.Offset
	s.offset = r.Offset + frameSize(len(r.Payload))
	s.lastTime = r.EnqueuedTime
}

// A segment's header, little-endian: magic (8), number (8), partitions (4),
// zero (4), the state of each partition (32), CRC-32C (4) over the number and
// all before.
const segmentMagic = "HUBNSEG1"

func headerSize(partitions int) int64 { return 24 + 32*int64(partitions) + 4 }

func encodeHeader(number uint64, states []state) []byte {
	b := append([]byte(nil), segmentMagic...)
	b = binary.LittleEndian.AppendUint64(b, number)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(states)))
	b = append(b, 0, 0, 0, 0)
	for _, s := range states {
		for _, v := range []int64{s.next, s.offset, s.last, toMillis(s.lastTime)} {
			b = binary.LittleEndian.AppendUint64(b, uint64(v))
		}
	}
	return binary.LittleEndian.AppendUint32(b, checksum(salt(number), b))
}

// decodeHeader reads the header of the segment that the file's name numbers.
func decodeHeader(b []byte, number uint64, partitions int) ([]state, bool) {
	if int64(len(b)) < headerSize(partitions) || string(b[:8]) != segmentMagic ||
		binary.LittleEndian.Uint64(b[8:]) != number || int(binary.LittleEndian.Uint32(b[16:])) != partitions {
		return nil, false
	}
	end := headerSize(partitions) - 4
	if binary.LittleEndian.Uint32(b[end:]) != checksum(salt(number), b[:end]) {
		return nil, false
	}
	states := make([]state, partitions)
	for p := range states {
		v := func(i int) int64 { return int64(binary.LittleEndian.Uint64(b[24+32*p+8*i:])) }
		states[p] = state{v(0), v(1), v(2), fromMillis(v(3))}
		if states[p].next < 0 || states[p].offset < 0 || states[p].last < -1 {
			return nil, false
		}
	}
	return states, true
}
