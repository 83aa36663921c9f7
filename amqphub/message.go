package amqphub

import (
	"encoding/base64"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/iothub"
)

// message is a decoded AMQP message in the terms that the hub needs.
type message struct {
	header      wire.Header
	annotations wire.Map
	properties  wire.Properties
	// applicationMap are the application properties with their types.
	applicationMap wire.Map
	application    iothub.Properties
	body           []byte
}

// parseMessage decodes what arrived. It returns DeserializationError for what
// is no message, and ArgumentInvalid for a body that is neither data nor text.
func parseMessage(d *amqp.Delivery) (message, error) {
	if d.Format != 0 {
		return message{}, iothub.NewError(iothub.CodeGenericNotImplemented, "Hubnerite does not implement message format %#x here.", d.Format)
	}
	return parseEncoded(d.Payload)
}

// parseEncoded decodes a message of the standard's format.
func parseEncoded(payload []byte) (message, error) {
	var m message
	scanned, err := wire.ScanMessage(payload)
	if err != nil {
		return m, undecodable(err)
	}
	if m.header, err = scanned.Header(); err != nil {
		return m, undecodable(err)
	}
	if m.annotations, err = scanned.MessageAnnotations(); err != nil {
		return m, undecodable(err)
	}
	if m.properties, err = scanned.Properties(); err != nil {
		return m, undecodable(err)
	}
	if m.applicationMap, err = scanned.ApplicationProperties(); err != nil {
		return m, undecodable(err)
	}
	for _, e := range m.applicationMap {
		if name := text(e.Key); name != "" {
			m.application = append(m.application, iothub.Property{Name: name, Value: text(e.Value)})
		}
	}
	m.body, err = bodyOf(&scanned)
	return m, err
}

func undecodable(err error) error {
	return iothub.NewError(iothub.CodeDeserializationError, "The message cannot be decoded.").WithCause(err)
}

func bodyOf(m *wire.Message) ([]byte, error) {
	switch m.BodyKind() {
	case wire.BodyData:
		return m.Data(), nil
	case wire.BodyNone:
		return nil, nil
	case wire.BodyValue:
		v, err := m.Value()
		if err != nil {
			return nil, undecodable(err)
		}
		switch v := v.(type) {
		case nil:
			return nil, nil
		case string:
			return []byte(v), nil
		case []byte:
			return v, nil
		}
	}
	return nil, iothub.NewError(iothub.CodeArgumentInvalid, "The body must be a data section, or a value that is binary or a string.")
}

// system returns the system properties; the IDs become text whatever their
// AMQP type.
func (m *message) system() iothub.SystemProperties {
	return iothub.SystemProperties{
		MessageID:       text(m.properties.MessageID),
		CorrelationID:   text(m.properties.CorrelationID),
		UserID:          text(m.properties.UserID),
		To:              m.properties.To,
		ContentType:     string(m.properties.ContentType),
		ContentEncoding: string(m.properties.ContentEncoding),
	}
}

// text returns a value as the text that other protocols carry. Binary that is
// not UTF-8 becomes base64; compound values, which the hub does not support as
// properties, become empty.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case wire.Symbol:
		return string(v)
	case []byte:
		if utf8.Valid(v) {
			return string(v)
		}
		return base64.StdEncoding.EncodeToString(v)
	case bool:
		return strconv.FormatBool(v)
	case uint8:
		return strconv.FormatUint(uint64(v), 10)
	case uint16:
		return strconv.FormatUint(uint64(v), 10)
	case uint32:
		return strconv.FormatUint(uint64(v), 10)
	case uint64:
		return strconv.FormatUint(v, 10)
	case int8:
		return strconv.FormatInt(int64(v), 10)
	case int16:
		return strconv.FormatInt(int64(v), 10)
	case int32:
		return strconv.FormatInt(int64(v), 10)
	case int64:
		return strconv.FormatInt(v, 10)
	case float32:
		return strconv.FormatFloat(float64(v), 'g', -1, 32)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case wire.Char:
		return string(rune(v))
	case wire.UUID:
		return v.String()
	case time.Time:
		return iothub.FormatTime(v)
	}
	return ""
}
