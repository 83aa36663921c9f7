package wire

import (
	"encoding/binary"
	"math"
	"time"
)

// AppendNull adds a null.
func AppendNull(dst []byte) []byte { return append(dst, codeNull) }

// AppendBool adds a boolean.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, codeTrue)
	}
	return append(dst, codeFalse)
}

// AppendUbyte adds a ubyte.
func AppendUbyte(dst []byte, v uint8) []byte { return append(dst, codeUbyte, v) }

// AppendUshort adds a ushort.
func AppendUshort(dst []byte, v uint16) []byte {
	return append(dst, codeUshort, byte(v>>8), byte(v))
}

// AppendUint adds a uint.
func AppendUint(dst []byte, v uint32) []byte {
	switch {
	case v == 0:
		return append(dst, codeUint0)
	case v <= math.MaxUint8:
		return append(dst, codeUint8, byte(v))
	}
	return binary.BigEndian.AppendUint32(append(dst, codeUint), v)
}

// AppendUlong adds a ulong.
func AppendUlong(dst []byte, v uint64) []byte {
	switch {
	case v == 0:
		return append(dst, codeUlong0)
	case v <= math.MaxUint8:
		return append(dst, codeUlong8, byte(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, codeUlong), v)
}

// AppendByte adds a byte, which in AMQP is signed.
func AppendByte(dst []byte, v int8) []byte { return append(dst, codeByte, byte(v)) }

// AppendShort adds a short.
func AppendShort(dst []byte, v int16) []byte {
	return append(dst, codeShort, byte(v>>8), byte(v))
}

// AppendInt adds an int.
func AppendInt(dst []byte, v int32) []byte {
	if v >= math.MinInt8 && v <= math.MaxInt8 {
		return append(dst, codeInt8, byte(v))
	}
	return binary.BigEndian.AppendUint32(append(dst, codeInt), uint32(v))
}

// AppendLong adds a long.
func AppendLong(dst []byte, v int64) []byte {
	if v >= math.MinInt8 && v <= math.MaxInt8 {
		return append(dst, codeLong8, byte(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, codeLong), uint64(v))
}

// AppendFloat adds a float.
func AppendFloat(dst []byte, v float32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, codeFloat), math.Float32bits(v))
}

// AppendDouble adds a double.
func AppendDouble(dst []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, codeDouble), math.Float64bits(v))
}

// AppendChar adds a char.
func AppendChar(dst []byte, v Char) []byte {
	return binary.BigEndian.AppendUint32(append(dst, codeChar), uint32(v))
}

// AppendTimestamp adds a timestamp. Anything finer than a millisecond is lost.
func AppendTimestamp(dst []byte, v time.Time) []byte {
	return binary.BigEndian.AppendUint64(append(dst, codeTimestamp), uint64(v.UnixMilli()))
}

// AppendUUID adds a uuid.
func AppendUUID(dst []byte, v UUID) []byte {
	return append(append(dst, codeUUID), v[:]...)
}

// AppendBinary adds a binary, which must be shorter than 4 GiB; nil is the empty
// binary, not null.
func AppendBinary(dst, v []byte) []byte {
	return append(appendVariable(dst, codeBinary8, len(v)), v...)
}

// AppendString adds a string, which must be UTF-8 and shorter than 4 GiB.
func AppendString(dst []byte, v string) []byte {
	return append(appendVariable(dst, codeString8, len(v)), v...)
}

// AppendSymbol adds a symbol, which must be ASCII and shorter than 4 GiB.
func AppendSymbol(dst []byte, v Symbol) []byte {
	return append(appendVariable(dst, codeSymbol8, len(v)), v...)
}

// appendVariable adds the constructor and size of a variable-width value. The
// 32-bit code of each of these types is the 8-bit one plus 0x10.
func appendVariable(dst []byte, code byte, n int) []byte {
	if n <= math.MaxUint8 {
		return append(dst, code, byte(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, code+0x10), uint32(n))
}

// appendDescriptor adds the constructor of a type that the specification
// defines, always as 0x00 0x53 code.
func appendDescriptor(dst []byte, c Code) []byte {
	return append(dst, codeDescribed, codeUlong8, byte(c))
}

// Compound is a list or map that is being written in place. Begin it, append the
// elements to the slice, and End it with the number of elements:
//
//	dst, m := wire.BeginMap(dst)
//	dst = wire.AppendSymbol(dst, "x-opt-offset")
//	dst = wire.AppendString(dst, offset)
//	dst = m.End(dst, 2)
//
// Compounds may nest; the inner one must End first.
type Compound struct {
	start int // of the constructor
}

// BeginList starts a list. An empty list comes out as list8, not list0.
func BeginList(dst []byte) ([]byte, Compound) {
	return append(dst, codeList8, 0, 0), Compound{len(dst)}
}

// BeginMap starts a map, whose keys and values then alternate.
func BeginMap(dst []byte) ([]byte, Compound) {
	return append(dst, codeMap8, 0, 0), Compound{len(dst)}
}

// beginArray starts an array; the element constructor comes first.
func beginArray(dst []byte) ([]byte, Compound) {
	return append(dst, codeArray8, 0, 0), Compound{len(dst)}
}

// End completes the compound: count is the number of elements, for a map that of
// keys and values together.
func (c Compound) End(dst []byte, count int) []byte {
	size := len(dst) - c.start - 2 // counts the count byte
	if size <= math.MaxUint8 && count <= math.MaxUint8 {
		dst[c.start+1] = byte(size)
		dst[c.start+2] = byte(count)
		return dst
	}
	// The 32-bit form needs 6 more bytes before the elements.
	dst = append(dst, 0, 0, 0, 0, 0, 0)
	at := c.start + 9
	copy(dst[at:], dst[c.start+3:len(dst)-6])
	dst[c.start] += 0x10
	binary.BigEndian.PutUint32(dst[c.start+1:], uint32(len(dst)-c.start-5))
	binary.BigEndian.PutUint32(dst[c.start+5:], uint32(count))
	return dst
}
