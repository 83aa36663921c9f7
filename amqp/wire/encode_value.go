package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// AppendValue adds any value of the types in the package documentation. It fails
// with a *ValueError when v, or a value inside it, has another type, when an
// Array's items do not fit its Type, or when values nest deeper than 32.
func AppendValue(dst []byte, v any) ([]byte, error) {
	return appendValue(dst, v, maxDepth)
}

func appendValue(dst []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return AppendNull(dst), nil
	case bool:
		return AppendBool(dst, v), nil
	case uint8:
		return AppendUbyte(dst, v), nil
	case uint16:
		return AppendUshort(dst, v), nil
	case uint32:
		return AppendUint(dst, v), nil
	case uint64:
		return AppendUlong(dst, v), nil
	case int8:
		return AppendByte(dst, v), nil
	case int16:
		return AppendShort(dst, v), nil
	case int32:
		return AppendInt(dst, v), nil
	case int64:
		return AppendLong(dst, v), nil
	case float32:
		return AppendFloat(dst, v), nil
	case float64:
		return AppendDouble(dst, v), nil
	case Decimal32:
		return append(append(dst, codeDecimal32), v[:]...), nil
	case Decimal64:
		return append(append(dst, codeDecimal64), v[:]...), nil
	case Decimal128:
		return append(append(dst, codeDecimal128), v[:]...), nil
	case Char:
		return AppendChar(dst, v), nil
	case time.Time:
		return AppendTimestamp(dst, v), nil
	case UUID:
		return AppendUUID(dst, v), nil
	case []byte:
		return AppendBinary(dst, v), nil
	case string:
		return AppendString(dst, v), nil
	case Symbol:
		return AppendSymbol(dst, v), nil
	}
	if depth == 0 {
		return dst, &ValueError{Reason: "values nest too deep"}
	}
	switch v := v.(type) {
	case List:
		return appendList(dst, v, depth-1)
	case Map:
		return appendMap(dst, v, depth-1)
	case Array:
		return appendArray(dst, v, depth-1)
	case Described:
		dst, err := appendValue(append(dst, codeDescribed), v.Descriptor, depth-1)
		if err != nil {
			return dst, err
		}
		return appendValue(dst, v.Value, depth-1)
	}
	return dst, &ValueError{Reason: fmt.Sprintf("no AMQP type for %T", v)}
}

func appendList(dst []byte, l List, depth int) ([]byte, error) {
	if len(l) == 0 {
		return append(dst, codeList0), nil
	}
	dst, c := BeginList(dst)
	var err error
	for _, v := range l {
		if dst, err = appendValue(dst, v, depth); err != nil {
			return dst, err
		}
	}
	return c.End(dst, len(l)), nil
}

func appendMap(dst []byte, m Map, depth int) ([]byte, error) {
	dst, c := BeginMap(dst)
	var err error
	for i := range m {
		if dst, err = appendValue(dst, m[i].Key, depth); err != nil {
			return dst, err
		}
		if dst, err = appendValue(dst, m[i].Value, depth); err != nil {
			return dst, err
		}
	}
	return c.End(dst, 2*len(m)), nil
}

// appendOptMap writes a nil map as null.
func appendOptMap(dst []byte, m Map) ([]byte, error) {
	if m == nil {
		return AppendNull(dst), nil
	}
	return appendMap(dst, m, maxDepth-1)
}

func appendArray(dst []byte, a Array, depth int) ([]byte, error) {
	if a.Type == TypeNull && len(a.Items) > maxEmptyElements {
		return dst, &ValueError{Reason: "array of nulls is too long"}
	}
	dst, c := beginArray(dst)
	var err error
	for _, d := range a.Descriptors {
		if depth == 0 {
			return dst, &ValueError{Reason: "values nest too deep"}
		}
		depth--
		if dst, err = appendValue(append(dst, codeDescribed), d, depth); err != nil {
			return dst, err
		}
	}
	code, err := arrayCode(a)
	if err != nil {
		return dst, err
	}
	dst = append(dst, code)
	for _, v := range a.Items {
		if dst, err = appendElement(dst, code, v, depth); err != nil {
			return dst, err
		}
	}
	return c.End(dst, len(a.Items)), nil
}

// arrayCode chooses the one format code that fits all items: the full width for
// fixed types, and for variable ones 8 bits if every item is short enough.
func arrayCode(a Array) (byte, error) {
	short := true
	for _, v := range a.Items {
		switch v := v.(type) {
		case []byte:
			short = short && len(v) <= math.MaxUint8
		case string:
			short = short && len(v) <= math.MaxUint8
		case Symbol:
			short = short && len(v) <= math.MaxUint8
		}
	}
	variable := func(code byte) (byte, error) {
		if short {
			return code, nil
		}
		return code + 0x10, nil
	}
	switch a.Type {
	case TypeBinary:
		return variable(codeBinary8)
	case TypeString:
		return variable(codeString8)
	case TypeSymbol:
		return variable(codeSymbol8)
	case TypeNull:
		return codeNull, nil
	case TypeBoolean:
		return codeBool, nil
	case TypeUbyte:
		return codeUbyte, nil
	case TypeUshort:
		return codeUshort, nil
	case TypeUint:
		return codeUint, nil
	case TypeUlong:
		return codeUlong, nil
	case TypeByte:
		return codeByte, nil
	case TypeShort:
		return codeShort, nil
	case TypeInt:
		return codeInt, nil
	case TypeLong:
		return codeLong, nil
	case TypeFloat:
		return codeFloat, nil
	case TypeDouble:
		return codeDouble, nil
	case TypeDecimal32:
		return codeDecimal32, nil
	case TypeDecimal64:
		return codeDecimal64, nil
	case TypeDecimal128:
		return codeDecimal128, nil
	case TypeChar:
		return codeChar, nil
	case TypeTimestamp:
		return codeTimestamp, nil
	case TypeUUID:
		return codeUUID, nil
	case TypeList:
		return codeList32, nil
	case TypeMap:
		return codeMap32, nil
	case TypeArray:
		return codeArray32, nil
	}
	return 0, &ValueError{Reason: "array has an unknown type"}
}

// appendElement adds one array item without its constructor, which is code.
func appendElement(dst []byte, code byte, v any, depth int) ([]byte, error) {
	start := len(dst)
	switch v := v.(type) {
	case nil:
		if code == codeNull {
			return dst, nil
		}
	case bool:
		if code == codeBool {
			if v {
				return append(dst, 1), nil
			}
			return append(dst, 0), nil
		}
	case uint32:
		if code == codeUint {
			return binary.BigEndian.AppendUint32(dst, v), nil
		}
	case uint64:
		if code == codeUlong {
			return binary.BigEndian.AppendUint64(dst, v), nil
		}
	case int32:
		if code == codeInt {
			return binary.BigEndian.AppendUint32(dst, uint32(v)), nil
		}
	case int64:
		if code == codeLong {
			return binary.BigEndian.AppendUint64(dst, uint64(v)), nil
		}
	case []byte:
		if code == codeBinary8 || code == codeBinary32 {
			return append(appendSize(dst, code, len(v)), v...), nil
		}
	case string:
		if code == codeString8 || code == codeString32 {
			return append(appendSize(dst, code, len(v)), v...), nil
		}
	case Symbol:
		if code == codeSymbol8 || code == codeSymbol32 {
			return append(appendSize(dst, code, len(v)), v...), nil
		}
	case List, Map, Array:
		return appendCompoundElement(dst, code, v, depth)
	default:
		// The remaining types have one format code each: write the value and
		// take its constructor away again.
		dst, err := appendValue(dst, v, depth)
		if err != nil {
			return dst, err
		}
		if dst[start] == code {
			return append(dst[:start], dst[start+1:]...), nil
		}
	}
	return dst[:start], &ValueError{Reason: fmt.Sprintf("array holds a %T, which is not of its type", v)}
}

// appendSize adds the size of a variable-width array item.
func appendSize(dst []byte, code byte, n int) []byte {
	if code < codeBinary32 {
		return append(dst, byte(n))
	}
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}

// appendCompoundElement adds a list, map or array as an array item, always in
// its 32-bit form.
func appendCompoundElement(dst []byte, code byte, v any, depth int) ([]byte, error) {
	one, err := appendValue(nil, v, depth)
	if err != nil {
		return dst, err
	}
	switch {
	case code == codeList32 && one[0] == codeList0:
		return append(dst, 0, 0, 0, 4, 0, 0, 0, 0), nil
	case one[0] == code:
		return append(dst, one[1:]...), nil
	case one[0] == code-0x10 && code >= codeList32:
		dst = binary.BigEndian.AppendUint32(dst, uint32(one[1])+3)
		dst = binary.BigEndian.AppendUint32(dst, uint32(one[2]))
		return append(dst, one[3:]...), nil
	}
	return dst, &ValueError{Reason: fmt.Sprintf("array holds a %T, which is not of its type", v)}
}
