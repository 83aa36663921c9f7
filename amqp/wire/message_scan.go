package wire

import (
	"bytes"
	"iter"
)

// ScanMessage finds the sections of an encoded message (OASIS AMQP 1.0 3.2): it
// checks that they are complete, known, and in the specified order, each at most
// once but for data and amqp-sequence, and does not decode them. Errors are
// *DecodeError or *UnknownDescriptorError. The result aliases b.
func ScanMessage(b []byte) (Message, error) {
	m := Message{raw: b}
	at := -1 // the last group seen
	for rest := b; len(rest) > 0; {
		c, symbol, value, err := splitDescriptor(rest)
		if err != nil {
			return Message{}, err
		}
		if c < CodeHeader || c > CodeFooter {
			return Message{}, &UnknownDescriptorError{In: "message section", Descriptor: anyDescriptor(c, symbol)}
		}
		group, kind := groupOfSection(c)
		if group < at || group == at && (group != groupBody || kind != m.kind || kind == BodyValue) {
			return Message{}, malformed("message sections are out of order")
		}
		if rest, err = skipSection(c, value); err != nil {
			return Message{}, err
		}
		if group == groupBody {
			m.kind = kind
		}
		at = group
		for g := group; g < sectionGroups; g++ {
			m.end[g] = len(b) - len(rest)
		}
	}
	return m, nil
}

// groupOfSection places a section of a message.
func groupOfSection(c Code) (group int, kind BodyKind) {
	switch c {
	case CodeData:
		return groupBody, BodyData
	case CodeSequence:
		return groupBody, BodySequence
	case CodeValue:
		return groupBody, BodyValue
	case CodeFooter:
		return groupFooter, BodyNone
	}
	return int(c - CodeHeader), BodyNone
}

// skipSection steps over a section's value after checking its constructor.
func skipSection(c Code, value []byte) (rest []byte, err error) {
	if len(value) == 0 {
		return nil, errShort()
	}
	t, ok := typeOfCode(value[0])
	switch c {
	case CodeHeader, CodeProperties, CodeSequence:
		ok = ok && (t == TypeList || t == TypeNull && c != CodeSequence)
	case CodeData:
		ok = ok && t == TypeBinary
	case CodeValue:
		ok = true
	default:
		ok = ok && (t == TypeMap || t == TypeNull)
	}
	if !ok {
		return nil, malformed(c.String() + " section has the wrong type")
	}
	return Skip(value)
}

func (m *Message) group(g int) []byte {
	from := 0
	if g > 0 {
		from = m.end[g-1]
	}
	return m.raw[from:m.end[g]:m.end[g]]
}

// Raw gives the whole encoded message.
func (m *Message) Raw() []byte { return m.raw }

// Bare gives the encoded bare message: properties, application-properties and
// body, the part that intermediaries must not change (OASIS AMQP 1.0 3.2).
func (m *Message) Bare() []byte {
	return m.raw[m.end[groupMessageAnnotations]:m.end[groupBody]:m.end[groupBody]]
}

// RawHeader gives the encoded header section; like the other Raw methods it
// includes the descriptor and is empty if the message has no such section.
func (m *Message) RawHeader() []byte { return m.group(groupHeader) }

// RawDeliveryAnnotations gives the encoded delivery-annotations section.
func (m *Message) RawDeliveryAnnotations() []byte { return m.group(groupDeliveryAnnotations) }

// RawMessageAnnotations gives the encoded message-annotations section.
func (m *Message) RawMessageAnnotations() []byte { return m.group(groupMessageAnnotations) }

// RawProperties gives the encoded properties section.
func (m *Message) RawProperties() []byte { return m.group(groupProperties) }

// RawApplicationProperties gives the encoded application-properties section.
func (m *Message) RawApplicationProperties() []byte { return m.group(groupApplicationProperties) }

// RawBody gives the encoded body sections.
func (m *Message) RawBody() []byte { return m.group(groupBody) }

// RawFooter gives the encoded footer section.
func (m *Message) RawFooter() []byte { return m.group(groupFooter) }

// Header decodes the header section; it is zero if there is none.
func (m *Message) Header() (Header, error) { return decodeHeader(m.RawHeader()) }

// Properties decodes the properties section; it is zero if there is none.
func (m *Message) Properties() (Properties, error) { return decodeProperties(m.RawProperties()) }

// DeliveryAnnotations decodes the section; nil if there is none.
func (m *Message) DeliveryAnnotations() (Map, error) {
	return decodeMapSection(m.RawDeliveryAnnotations())
}

// MessageAnnotations decodes the section; nil if there is none. Keys should be
// symbols, but some peers write strings.
func (m *Message) MessageAnnotations() (Map, error) {
	return decodeMapSection(m.RawMessageAnnotations())
}

// ApplicationProperties decodes the section; nil if there is none. Keys should
// be strings.
func (m *Message) ApplicationProperties() (Map, error) {
	return decodeMapSection(m.RawApplicationProperties())
}

// Footer decodes the section; nil if there is none.
func (m *Message) Footer() (Map, error) { return decodeMapSection(m.RawFooter()) }

// BodyKind says which sections the body is made of.
func (m *Message) BodyKind() BodyKind { return m.kind }

// DataSections ranges over the contents of the data sections, which alias the
// message; there are none unless BodyKind is BodyData.
func (m *Message) DataSections() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if m.kind != BodyData {
			return
		}
		for rest := m.RawBody(); len(rest) > 0; {
			_, _, value, err := splitDescriptor(rest)
			if err != nil {
				return // ScanMessage has seen to it
			}
			d := decoder{b: value[1:]}
			data, err := d.variable(value[0])
			if err != nil || !yield(data) {
				return
			}
			rest = d.b
		}
	}
}

// Data gives the contents of the data sections, joined: it aliases the message
// if there is one section and is nil if BodyKind is not BodyData.
func (m *Message) Data() []byte {
	var first []byte
	n := 0
	for data := range m.DataSections() {
		switch n {
		case 0:
			first = data
		case 1:
			first = append(bytes.Clone(first), data...)
		default:
			first = append(first, data...)
		}
		n++
	}
	return first
}

// Value decodes the amqp-value section; nil unless BodyKind is BodyValue.
func (m *Message) Value() (any, error) {
	if m.kind != BodyValue {
		return nil, nil
	}
	_, _, value, err := splitDescriptor(m.RawBody())
	if err != nil {
		return nil, err
	}
	v, _, err := DecodeValue(value)
	return v, err
}

// Sequences decodes the amqp-sequence sections; nil unless BodyKind is
// BodySequence.
func (m *Message) Sequences() ([]List, error) {
	if m.kind != BodySequence {
		return nil, nil
	}
	var all []List
	for rest := m.RawBody(); len(rest) > 0; {
		_, _, value, err := splitDescriptor(rest)
		if err != nil {
			return nil, err
		}
		var v any
		if v, rest, err = DecodeValue(value); err != nil {
			return nil, err
		}
		l, _ := v.(List)
		all = append(all, l)
	}
	return all, nil
}

// decodeMapSection decodes a section that is a map or null.
func decodeMapSection(b []byte) (Map, error) {
	if len(b) == 0 {
		return nil, nil
	}
	_, _, value, err := splitDescriptor(b)
	if err != nil {
		return nil, err
	}
	v, _, err := DecodeValue(value)
	m, _ := v.(Map)
	return m, err
}
