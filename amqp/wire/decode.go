package wire

import (
	"encoding/binary"
	"math"
	"time"
	"unicode/utf8"
)

// DecodeValue decodes the value at the start of b and returns what follows it.
// Nothing in v aliases b. Errors are *DecodeError.
func DecodeValue(b []byte) (v any, rest []byte, err error) {
	d := decoder{b: b, empties: maxEmptyElements}
	v, err = d.value(maxDepth)
	if err != nil {
		return nil, nil, err
	}
	return v, d.b, nil
}

// Skip returns what follows the value at the start of b, without decoding it:
// the inside of a compound is not checked. Errors are *DecodeError.
func Skip(b []byte) (rest []byte, err error) {
	d := decoder{b: b}
	if err := d.skip(maxDepth); err != nil {
		return nil, err
	}
	return d.b, nil
}

// decoder takes values off the front of b.
type decoder struct {
	b       []byte
	empties int // how many more zero-width array elements are allowed
}

func malformed(reason string) error { return &DecodeError{Reason: reason} }

func errShort() error { return malformed("value is cut off") }

// take removes n bytes, which alias the input.
func (d *decoder) take(n int) ([]byte, error) {
	if n < 0 || n > len(d.b) {
		return nil, errShort()
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v, nil
}

func (d *decoder) byte() (byte, error) {
	if len(d.b) == 0 {
		return 0, errShort()
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v, nil
}

// size removes the size or count of a variable-width, compound or array value:
// one byte or four. A value above the input's length is refused.
func (d *decoder) size(wide bool) (int, error) {
	if !wide {
		n, err := d.byte()
		return int(n), err
	}
	b, err := d.take(4)
	if err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint32(b)
	if n > math.MaxInt32 {
		return 0, errShort()
	}
	return int(n), nil
}

// variable removes the size and bytes of a value with the given code.
func (d *decoder) variable(code byte) ([]byte, error) {
	n, err := d.size(isWide(code))
	if err != nil {
		return nil, err
	}
	return d.take(n)
}

// isWide tells the 32-bit codes b., d. and f. from the 8-bit ones a., c. and e.
func isWide(code byte) bool { return code&0x10 != 0 }

// compound removes a list, map or array and returns its elements, undecoded, and
// their count.
func (d *decoder) compound(code byte) (elements []byte, count int, err error) {
	all, err := d.variable(code)
	if err != nil {
		return nil, 0, err
	}
	in := decoder{b: all}
	count, err = in.size(isWide(code))
	return in.b, count, err
}

// skip steps over one value by its constructor (OASIS AMQP 1.0 1.2.3).
func (d *decoder) skip(depth int) error {
	code, err := d.byte()
	if err != nil {
		return err
	}
	for code == codeDescribed {
		if depth == 0 {
			return malformed("values nest too deep")
		}
		depth--
		if err := d.skip(depth); err != nil {
			return err
		}
		if code, err = d.byte(); err != nil {
			return err
		}
	}
	if _, ok := typeOfCode(code); !ok {
		return malformed("unknown format code")
	}
	switch class := code >> 4; class {
	case 0x4:
	case 0x5, 0x6, 0x7, 0x8, 0x9:
		_, err = d.take(1 << (class - 5))
	default:
		_, err = d.variable(code)
	}
	return err
}

func (d *decoder) value(depth int) (any, error) {
	code, err := d.byte()
	if err != nil {
		return nil, err
	}
	if code != codeDescribed {
		return d.body(code, depth)
	}
	if depth == 0 {
		return nil, malformed("values nest too deep")
	}
	descriptor, err := d.value(depth - 1)
	if err != nil {
		return nil, err
	}
	v, err := d.value(depth - 1)
	if err != nil {
		return nil, err
	}
	return Described{Descriptor: descriptor, Value: v}, nil
}

// body decodes what follows a constructor; array elements have only this.
func (d *decoder) body(code byte, depth int) (any, error) {
	switch class := code >> 4; class {
	case 0x4:
		switch code {
		case codeNull:
			return nil, nil
		case codeTrue:
			return true, nil
		case codeFalse:
			return false, nil
		case codeUint0:
			return uint32(0), nil
		case codeUlong0:
			return uint64(0), nil
		case codeList0:
			return List{}, nil
		}
	case 0x5, 0x6, 0x7, 0x8, 0x9:
		if _, ok := typeOfCode(code); !ok {
			break
		}
		b, err := d.take(1 << (class - 5))
		if err != nil {
			return nil, err
		}
		return fixed(code, b)
	case 0xa, 0xb:
		return d.text(code)
	case 0xc, 0xd, 0xe, 0xf:
		if depth == 0 {
			return nil, malformed("values nest too deep")
		}
		switch code {
		case codeList8, codeList32:
			return d.list(code, depth-1)
		case codeMap8, codeMap32:
			return d.mapping(code, depth-1)
		case codeArray8, codeArray32:
			return d.array(code, depth-1)
		}
	}
	return nil, malformed("unknown format code")
}

// fixed decodes a fixed-width value from exactly its bytes.
func fixed(code byte, b []byte) (any, error) {
	switch code {
	case codeUbyte:
		return b[0], nil
	case codeByte:
		return int8(b[0]), nil
	case codeUint8:
		return uint32(b[0]), nil
	case codeUlong8:
		return uint64(b[0]), nil
	case codeInt8:
		return int32(int8(b[0])), nil
	case codeLong8:
		return int64(int8(b[0])), nil
	case codeBool:
		if b[0] > 1 {
			return nil, malformed("boolean is neither 0 nor 1")
		}
		return b[0] == 1, nil
	case codeUshort:
		return binary.BigEndian.Uint16(b), nil
	case codeShort:
		return int16(binary.BigEndian.Uint16(b)), nil
	case codeUint:
		return binary.BigEndian.Uint32(b), nil
	case codeInt:
		return int32(binary.BigEndian.Uint32(b)), nil
	case codeFloat:
		return math.Float32frombits(binary.BigEndian.Uint32(b)), nil
	case codeChar:
		return Char(binary.BigEndian.Uint32(b)), nil
	case codeDecimal32:
		return Decimal32(b), nil
	case codeUlong:
		return binary.BigEndian.Uint64(b), nil
	case codeLong:
		return int64(binary.BigEndian.Uint64(b)), nil
	case codeDouble:
		return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
	case codeTimestamp:
		return time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC(), nil
	case codeDecimal64:
		return Decimal64(b), nil
	case codeDecimal128:
		return Decimal128(b), nil
	case codeUUID:
		return UUID(b), nil
	}
	return nil, malformed("unknown format code")
}

// text decodes a binary, string or symbol.
func (d *decoder) text(code byte) (any, error) {
	switch code {
	case codeBinary8, codeBinary32:
		b, err := d.variable(code)
		if err != nil {
			return nil, err
		}
		return append([]byte{}, b...), nil
	case codeString8, codeString32:
		b, err := d.variable(code)
		if err != nil {
			return nil, err
		}
		if !utf8.Valid(b) {
			return nil, malformed("string is not UTF-8")
		}
		return string(b), nil
	case codeSymbol8, codeSymbol32:
		b, err := d.variable(code)
		if err != nil {
			return nil, err
		}
		if !isASCII(b) {
			return nil, malformed("symbol is not ASCII")
		}
		return Symbol(b), nil
	}
	return nil, malformed("unknown format code")
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
