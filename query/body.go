package query

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/hubnerite/hubnerite/iothub"
)

// JSONBody returns the body of a message as UTF-8, when its properties say that
// it is JSON: content type application/json (parameters allowed) and content
// encoding utf-8, utf-16 or utf-32, both in any case. Bytes that are not text in
// that encoding are no JSON body. UTF-16 and UTF-32 are little-endian unless a byte order mark
// says otherwise. Source: IoT Hub message routing query syntax (message body).
func JSONBody(s *iothub.SystemProperties, body []byte) ([]byte, bool) {
	kind, _, err := mime.ParseMediaType(s.ContentType)
	if err != nil || !strings.EqualFold(kind, "application/json") {
		return nil, false
	}
	switch strings.ToLower(s.ContentEncoding) {
	case "utf-8":
		body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
		return body, utf8.Valid(body)
	case "utf-16":
		return fromUTF16(body)
	case "utf-32":
		return fromUTF32(body)
	}
	return nil, false
}

// decodeBody returns the JSON value of a body, or Undefined.
func decodeBody(s *iothub.SystemProperties, body []byte) any {
	text, ok := JSONBody(s, body)
	if !ok {
		return Undefined{}
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return Undefined{}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Undefined{}
	}
	return v
}

func fromUTF16(body []byte) ([]byte, bool) {
	if len(body)%2 != 0 {
		return nil, false
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch {
	case bytes.HasPrefix(body, []byte{0xfe, 0xff}):
		order, body = binary.BigEndian, body[2:]
	case bytes.HasPrefix(body, []byte{0xff, 0xfe}):
		body = body[2:]
	}
	units := make([]uint16, len(body)/2)
	for i := range units {
		units[i] = order.Uint16(body[2*i:])
	}
	return []byte(string(utf16.Decode(units))), true
}

func fromUTF32(body []byte) ([]byte, bool) {
	if len(body)%4 != 0 {
		return nil, false
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch {
	case bytes.HasPrefix(body, []byte{0, 0, 0xfe, 0xff}):
		order, body = binary.BigEndian, body[4:]
	case bytes.HasPrefix(body, []byte{0xff, 0xfe, 0, 0}):
		body = body[4:]
	}
	out := make([]byte, 0, len(body)/4)
	for ; len(body) > 0; body = body[4:] {
		r := order.Uint32(body)
		if r > utf8.MaxRune || !utf8.ValidRune(rune(r)) {
			return nil, false
		}
		out = utf8.AppendRune(out, rune(r))
	}
	return out, true
}
