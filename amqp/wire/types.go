package wire

import (
	"encoding/hex"
	"math"
)

// Symbol is an AMQP symbol: an ASCII name from a constrained domain. It is a
// different AMQP type from string (OASIS AMQP 1.0 1.6.21).
type Symbol string

// UUID is an AMQP uuid in network byte order (RFC 4122 section 4.1.2).
type UUID [16]byte

// String gives the usual 8-4-4-4-12 lower-case form.
func (u UUID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], u[0:4])
	b[8] = '-'
	hex.Encode(b[9:13], u[4:6])
	b[13] = '-'
	hex.Encode(b[14:18], u[6:8])
	b[18] = '-'
	hex.Encode(b[19:23], u[8:10])
	b[23] = '-'
	hex.Encode(b[24:36], u[10:16])
	return string(b[:])
}

// Char is an AMQP char: one UTF-32 code point (OASIS AMQP 1.0 1.6.16).
type Char uint32

// Decimal32 is an AMQP decimal32, kept as its IEEE 754-2008 bytes in wire order.
type Decimal32 [4]byte

// Decimal64 is an AMQP decimal64, kept as its IEEE 754-2008 bytes in wire order.
type Decimal64 [8]byte

// Decimal128 is an AMQP decimal128, kept as its IEEE 754-2008 bytes in wire order.
type Decimal128 [16]byte

// List is an AMQP list: a sequence of values of any types.
type List []any

// Described is a value with a descriptor. Descriptor is a uint64 or a Symbol in
// every use the specification makes, but may be any value
// (OASIS AMQP 1.0 1.2.2 and 1.5).
type Described struct {
	Descriptor any
	Value      any
}

// Type names an AMQP primitive type, whatever its width on the wire.
type Type uint8

// The primitive types of OASIS AMQP 1.0 1.6.
const (
	TypeNull Type = iota
	TypeBoolean
	TypeUbyte
	TypeUshort
	TypeUint
	TypeUlong
	TypeByte
	TypeShort
	TypeInt
	TypeLong
	TypeFloat
	TypeDouble
	TypeDecimal32
	TypeDecimal64
	TypeDecimal128
	TypeChar
	TypeTimestamp
	TypeUUID
	TypeBinary
	TypeString
	TypeSymbol
	TypeList
	TypeMap
	TypeArray
)

// Array is an AMQP array: values that all have one type (OASIS AMQP 1.0
// 1.6.24). Items hold the Go type that Type maps to, for example string for
// TypeString. Descriptors holds, outermost first, the descriptors of an array
// of described values, whose Items are then the bare values; usually it is nil.
type Array struct {
	Type        Type
	Descriptors []any
	Items       []any
}

// Strings makes an array of strings.
func Strings(s ...string) Array {
	a := Array{Type: TypeString, Items: make([]any, len(s))}
	for i, v := range s {
		a.Items[i] = v
	}
	return a
}

// Symbols makes an array of symbols.
func Symbols(s ...Symbol) Array {
	a := Array{Type: TypeSymbol, Items: make([]any, len(s))}
	for i, v := range s {
		a.Items[i] = v
	}
	return a
}

// MapEntry is one pair of a Map.
type MapEntry struct {
	Key   any
	Value any
}

// Map is an AMQP map in wire order. A nil Map is written as null where a field
// may be null, and as an empty map elsewhere.
//
// The specification calls a map with equal keys invalid; such a map is decoded
// as it stands, and the look-up methods see its first pair.
type Map []MapEntry

// Get finds the value under a name, whether the key is a symbol or a string:
// peers use either where the specification says symbol.
func (m Map) Get(name string) (value any, ok bool) {
	for i := range m {
		switch k := m[i].Key.(type) {
		case string:
			if k == name {
				return m[i].Value, true
			}
		case Symbol:
			if string(k) == name {
				return m[i].Value, true
			}
		}
	}
	return nil, false
}

// Text finds a string or symbol value under a name. ok is false when there is
// no such pair or its value has another type.
func (m Map) Text(name string) (text string, ok bool) {
	v, _ := m.Get(name)
	switch v := v.(type) {
	case string:
		return v, true
	case Symbol:
		return string(v), true
	}
	return "", false
}

// Integer finds a value of any integer type under a name. ok is false when
// there is no such pair, its value has another type, or it exceeds an int64.
func (m Map) Integer(name string) (n int64, ok bool) {
	v, _ := m.Get(name)
	switch v := v.(type) {
	case int64:
		return v, true
	case int32:
		return int64(v), true
	case int16:
		return int64(v), true
	case int8:
		return int64(v), true
	case uint64:
		return int64(v), v <= math.MaxInt64
	case uint32:
		return int64(v), true
	case uint16:
		return int64(v), true
	case uint8:
		return int64(v), true
	}
	return 0, false
}

// Add appends a pair and returns the longer map, like append.
func (m Map) Add(key, value any) Map { return append(m, MapEntry{key, value}) }

// Opt is a field that may be null. The zero value is null.
type Opt[T any] struct {
	Value T
	Set   bool
}

// Some is a field that has a value.
func Some[T any](v T) Opt[T] { return Opt[T]{Value: v, Set: true} }

// Or gives the value, or def if the field is null.
func (o Opt[T]) Or(def T) T {
	if o.Set {
		return o.Value
	}
	return def
}
