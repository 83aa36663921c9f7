package wire

// Format codes of OASIS AMQP 1.0 1.6. The high digit gives the width class:
// 4 empty, 5 to 9 fixed (1, 2, 4, 8, 16 bytes), a and b variable, c and d
// compound, e and f array (1.2.3).
const (
	codeDescribed  = 0x00
	codeNull       = 0x40
	codeTrue       = 0x41
	codeFalse      = 0x42
	codeUint0      = 0x43
	codeUlong0     = 0x44
	codeList0      = 0x45
	codeUbyte      = 0x50
	codeByte       = 0x51
	codeUint8      = 0x52
	codeUlong8     = 0x53
	codeInt8       = 0x54
	codeLong8      = 0x55
	codeBool       = 0x56
	codeUshort     = 0x60
	codeShort      = 0x61
	codeUint       = 0x70
	codeInt        = 0x71
	codeFloat      = 0x72
	codeChar       = 0x73
	codeDecimal32  = 0x74
	codeUlong      = 0x80
	codeLong       = 0x81
	codeDouble     = 0x82
	codeTimestamp  = 0x83
	codeDecimal64  = 0x84
	codeDecimal128 = 0x94
	codeUUID       = 0x98
	codeBinary8    = 0xa0
	codeString8    = 0xa1
	codeSymbol8    = 0xa3
	codeBinary32   = 0xb0
	codeString32   = 0xb1
	codeSymbol32   = 0xb3
	codeList8      = 0xc0
	codeMap8       = 0xc1
	codeList32     = 0xd0
	codeMap32      = 0xd1
	codeArray8     = 0xe0
	codeArray32    = 0xf0
)

// maxDepth bounds how deep values may nest: lists, maps, arrays and descriptors
// each count one. No protocol on top of AMQP comes near it.
const maxDepth = 32

// maxEmptyElements bounds, per decoded value, the array elements that occupy no
// bytes: their count is the only one that the input's length does not bound.
const maxEmptyElements = 256

// typeOfCode maps a format code to its primitive type.
func typeOfCode(code byte) (t Type, ok bool) {
	switch code {
	case codeNull:
		return TypeNull, true
	case codeTrue, codeFalse, codeBool:
		return TypeBoolean, true
	case codeUbyte:
		return TypeUbyte, true
	case codeUshort:
		return TypeUshort, true
	case codeUint0, codeUint8, codeUint:
		return TypeUint, true
	case codeUlong0, codeUlong8, codeUlong:
		return TypeUlong, true
	case codeByte:
		return TypeByte, true
	case codeShort:
		return TypeShort, true
	case codeInt8, codeInt:
		return TypeInt, true
	case codeLong8, codeLong:
		return TypeLong, true
	case codeFloat:
		return TypeFloat, true
	case codeDouble:
		return TypeDouble, true
	case codeDecimal32:
		return TypeDecimal32, true
	case codeDecimal64:
		return TypeDecimal64, true
	case codeDecimal128:
		return TypeDecimal128, true
	case codeChar:
		return TypeChar, true
	case codeTimestamp:
		return TypeTimestamp, true
	case codeUUID:
		return TypeUUID, true
	case codeBinary8, codeBinary32:
		return TypeBinary, true
	case codeString8, codeString32:
		return TypeString, true
	case codeSymbol8, codeSymbol32:
		return TypeSymbol, true
	case codeList0, codeList8, codeList32:
		return TypeList, true
	case codeMap8, codeMap32:
		return TypeMap, true
	case codeArray8, codeArray32:
		return TypeArray, true
	}
	return 0, false
}
