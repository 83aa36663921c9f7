package wire

import (
	"bytes"
	"encoding/binary"
	"time"
	"unicode/utf8"
)

// fields reads the fields of a composite type in order. The first fault sticks
// in err, after which every field reads as absent. Fields that the list does not
// have read as absent too; whether that is a fault is the caller's choice.
type fields struct {
	decoder
	left int // how many fields the list still has
	err  error
}

// openComposite reads a descriptor, which must be that of want, and the list
// that follows. rest is what follows the list.
func openComposite(b []byte, want Code) (f fields, rest []byte, err error) {
	c, descriptor, b, err := splitDescriptor(b)
	if err != nil {
		return fields{}, nil, err
	}
	if c != want {
		return fields{}, nil, &UnknownDescriptorError{In: nameOfCode(want), Descriptor: anyDescriptor(c, descriptor)}
	}
	return openList(b)
}

// openList reads a list's constructor.
func openList(b []byte) (f fields, rest []byte, err error) {
	d := decoder{b: b}
	code, err := d.byte()
	if err != nil {
		return fields{}, nil, err
	}
	switch code {
	case codeList0:
		return fields{}, d.b, nil
	case codeList8, codeList32:
		elements, count, err := d.compound(code)
		if err != nil {
			return fields{}, nil, err
		}
		if count > len(elements) {
			return fields{}, nil, malformed("compound counts more elements than it has bytes")
		}
		return fields{decoder: decoder{b: elements, empties: maxEmptyElements}, left: count}, d.b, nil
	}
	return fields{}, nil, malformed("composite value is not a list")
}

// close checks that the list ends where it says; fields of a later version of
// the specification are stepped over.
func (f *fields) close() error {
	for f.err == nil && f.left > 0 {
		f.left--
		f.err = f.skip(maxDepth)
	}
	if f.err == nil && len(f.b) != 0 {
		f.err = errLong()
	}
	return f.err
}

func (f *fields) fail(err error) {
	if f.err == nil && err != nil {
		f.err = err
	}
}

// code takes the next field's constructor; ok is false if the field is absent or
// null.
func (f *fields) code() (code byte, ok bool) {
	if f.err != nil || f.left == 0 {
		return 0, false
	}
	f.left--
	code, err := f.byte()
	f.fail(err)
	return code, err == nil && code != codeNull
}

func (f *fields) wrongType(want string) { f.fail(malformed("field is not " + want)) }

func (f *fields) missing(field string) { f.fail(malformed(field + " is mandatory")) }

// bytes takes the n bytes of a fixed-width field.
func (f *fields) bytes(n int) []byte {
	b, err := f.take(n)
	f.fail(err)
	return b
}

func (f *fields) optUint() (v Opt[uint32]) {
	code, ok := f.code()
	if !ok {
		return v
	}
	switch code {
	case codeUint0:
		return Some(uint32(0))
	case codeUint8:
		if b := f.bytes(1); b != nil {
			return Some(uint32(b[0]))
		}
	case codeUint:
		if b := f.bytes(4); b != nil {
			return Some(binary.BigEndian.Uint32(b))
		}
	default:
		f.wrongType("a uint")
	}
	return v
}

func (f *fields) uint(def uint32) uint32 { return f.optUint().Or(def) }

// mustUint reads a mandatory uint.
func (f *fields) mustUint(field string) uint32 {
	v := f.optUint()
	if !v.Set {
		f.missing(field)
	}
	return v.Value
}

func (f *fields) optUlong() (v Opt[uint64]) {
	code, ok := f.code()
	if !ok {
		return v
	}
	switch code {
	case codeUlong0:
		return Some(uint64(0))
	case codeUlong8:
		if b := f.bytes(1); b != nil {
			return Some(uint64(b[0]))
		}
	case codeUlong:
		if b := f.bytes(8); b != nil {
			return Some(binary.BigEndian.Uint64(b))
		}
	default:
		f.wrongType("a ulong")
	}
	return v
}

func (f *fields) optUshort() (v Opt[uint16]) {
	code, ok := f.code()
	if !ok {
		return v
	}
	if code != codeUshort {
		f.wrongType("a ushort")
		return v
	}
	if b := f.bytes(2); b != nil {
		return Some(binary.BigEndian.Uint16(b))
	}
	return v
}

func (f *fields) optUbyte() (v Opt[uint8]) {
	code, ok := f.code()
	if !ok {
		return v
	}
	if code != codeUbyte {
		f.wrongType("a ubyte")
		return v
	}
	if b := f.bytes(1); b != nil {
		return Some(b[0])
	}
	return v
}

func (f *fields) optBool() (v Opt[bool]) {
	code, ok := f.code()
	if !ok {
		return v
	}
	switch code {
	case codeTrue:
		return Some(true)
	case codeFalse:
		return Some(false)
	case codeBool:
		b := f.bytes(1)
		if b == nil {
			return v
		}
		if b[0] > 1 {
			f.wrongType("a boolean")
		}
		return Some(b[0] == 1)
	}
	f.wrongType("a boolean")
	return v
}

func (f *fields) bool() bool { return f.optBool().Value }

// text reads a string or a symbol, whichever of the two the field should be:
// peers mix them up. ok is false if the field is absent.
func (f *fields) text() (b []byte, ok bool) {
	code, ok := f.code()
	if !ok {
		return nil, false
	}
	switch code {
	case codeString8, codeString32, codeSymbol8, codeSymbol32:
		b, err := f.variable(code)
		f.fail(err)
		if !utf8.Valid(b) {
			f.fail(malformed("string is not UTF-8"))
		}
		return b, f.err == nil
	}
	f.wrongType("a string or symbol")
	return nil, false
}

func (f *fields) string() string {
	b, _ := f.text()
	return string(b)
}

func (f *fields) mustString(field string) string {
	b, ok := f.text()
	if !ok {
		f.missing(field)
	}
	return string(b)
}

func (f *fields) symbol() Symbol { return Symbol(f.string()) }

// aliasedBinary reads a binary without copying it; nil if the field is absent.
func (f *fields) aliasedBinary() []byte {
	code, ok := f.code()
	if !ok {
		return nil
	}
	if code != codeBinary8 && code != codeBinary32 {
		f.wrongType("a binary")
		return nil
	}
	b, err := f.variable(code)
	f.fail(err)
	return b
}

// binary reads and copies a binary; nil if the field is absent.
func (f *fields) binary() []byte { return bytes.Clone(f.aliasedBinary()) }

func (f *fields) timestamp() (t time.Time) {
	code, ok := f.code()
	if !ok {
		return t
	}
	if code != codeTimestamp {
		f.wrongType("a timestamp")
		return t
	}
	if b := f.bytes(8); b != nil {
		return time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC()
	}
	return t
}

// any reads a field of any type.
func (f *fields) any() any {
	if f.err != nil || f.left == 0 {
		return nil
	}
	f.left--
	v, err := f.value(maxDepth)
	f.fail(err)
	return v
}

func (f *fields) mapping() Map {
	v := f.any()
	m, ok := v.(Map)
	if !ok && v != nil {
		f.wrongType("a map")
	}
	return m
}

// symbols reads a "multiple" symbol field: one value, or an array of them
// (OASIS AMQP 1.0 1.4).
func (f *fields) symbols() []Symbol {
	switch v := f.any().(type) {
	case nil:
		return nil
	case Symbol:
		return []Symbol{v}
	case string:
		return []Symbol{Symbol(v)}
	case Array:
		if len(v.Descriptors) == 0 && (v.Type == TypeSymbol || v.Type == TypeString) {
			return symbolItems(v.Items)
		}
		if len(v.Items) == 0 {
			return []Symbol{}
		}
	case List: // not allowed, but harmless
		for _, item := range v {
			switch item.(type) {
			case Symbol, string:
				continue
			}
			f.wrongType("a symbol or an array of symbols")
			return nil
		}
		return symbolItems(v)
	}
	f.wrongType("a symbol or an array of symbols")
	return nil
}

func symbolItems(items []any) []Symbol {
	s := make([]Symbol, len(items))
	for i, v := range items {
		switch v := v.(type) {
		case Symbol:
			s[i] = v
		case string:
			s[i] = Symbol(v)
		}
	}
	return s
}

// described gives the encoded form of a composite field, undecoded; nil if the
// field is absent.
func (f *fields) described() []byte {
	if f.err != nil || f.left == 0 {
		return nil
	}
	f.left--
	start := f.b
	if err := f.skip(maxDepth); err != nil {
		f.fail(err)
		return nil
	}
	if start[0] == codeNull {
		return nil
	}
	return start[:len(start)-len(f.b)]
}
