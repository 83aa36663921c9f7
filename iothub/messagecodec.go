package iothub

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// ErrMessageEncoding says that stored bytes are not an encoded message of a
// known version.
var ErrMessageEncoding = errors.New("iothub: bad message encoding")

// fields lists the system properties in the order of the stored form. New ones
// go at the end: the form marks each by its place.
func (s *SystemProperties) fields() [12]*string {
	return [...]*string{
		&s.MessageID, &s.CorrelationID, &s.UserID, &s.To, &s.ContentType, &s.ContentEncoding,
		&s.Expiry, &s.CreationTime, &s.Schema, &s.Component, &s.InterfaceID, &s.OutputName,
	}
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// appendSystem writes a mask of the properties that are there, then their texts.
func appendSystem(dst []byte, s *SystemProperties) []byte {
	fields, mask := s.fields(), uint64(0)
	for i, f := range fields {
		if *f != "" {
			mask |= 1 << i
		}
	}
	dst = binary.AppendUvarint(dst, mask)
	for _, f := range fields {
		if *f != "" {
			dst = appendText(dst, *f)
		}
	}
	return dst
}

func appendProperties(dst []byte, p Properties) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(p)))
	for _, q := range p {
		dst = appendText(appendText(dst, q.Name), q.Value)
	}
	return dst
}

// messageReader takes an encoded message apart. After the first fault every
// read returns zero values and bad is true.
type messageReader struct {
	data []byte
	bad  bool
	// texts is a copy of the bytes before some end of data, which the texts there
	// are cut from: one copy for all of them. end is what is left of data there.
	texts string
	end   int
}

func (r *messageReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.data)
	if n <= 0 {
		r.bad, r.data = true, nil
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *messageReader) varint() int64 {
	v, n := binary.Varint(r.data)
	if n <= 0 {
		r.bad, r.data = true, nil
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *messageReader) text() string {
	n := r.uvarint()
	if n > uint64(len(r.data)) {
		r.bad, r.data = true, nil
		return ""
	}
	var s string
	// texts ends where r.end bytes are left, so this many of its own bytes are ahead.
	if ahead := len(r.data) - r.end; n <= uint64(max(ahead, 0)) && ahead <= len(r.texts) {
		s = r.texts[len(r.texts)-ahead:][:n]
	} else {
		s = string(r.data[:n])
	}
	r.data = r.data[n:]
	return s
}

// skip passes over n texts.
func (r *messageReader) skip(n uint64) {
	for ; n > 0 && !r.bad; n-- {
		length := r.uvarint()
		if length > uint64(len(r.data)) {
			r.bad, r.data = true, nil
			return
		}
		r.data = r.data[length:]
	}
}

// copyTexts copies everything up to the body, which follows so many texts, the
// system properties and the properties. What follows is read as before.
func (r *messageReader) copyTexts(texts uint64) {
	ahead := messageReader{data: r.data}
	ahead.skip(texts)
	ahead.skip(uint64(bits.OnesCount64(ahead.uvarint())))
	if n := ahead.uvarint(); n <= uint64(len(ahead.data))/2 {
		ahead.skip(2 * n)
	}
	if !ahead.bad {
		r.end = len(ahead.data)
		r.texts = string(r.data[:len(r.data)-r.end])
	}
}

func (r *messageReader) system(s *SystemProperties) {
	fields, mask := s.fields(), r.uvarint()
	if bits.Len64(mask) > len(fields) {
		r.bad = true
		return
	}
	for i, f := range fields {
		if mask&(1<<i) != 0 {
			*f = r.text()
		}
	}
}

func (r *messageReader) properties() Properties {
	n := r.uvarint()
	// Each property has at least two length bytes.
	if n > uint64(len(r.data))/2 {
		r.bad, r.data = true, nil
		return nil
	}
	if n == 0 {
		return nil
	}
	p := make(Properties, n)
	for i := range p {
		p[i] = Property{Name: r.text(), Value: r.text()}
	}
	return p
}

// body returns the rest, sharing the input's memory; nil when empty.
func (r *messageReader) body() []byte {
	if len(r.data) == 0 {
		return nil
	}
	return r.data[:len(r.data):len(r.data)]
}
