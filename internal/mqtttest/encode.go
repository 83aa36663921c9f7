package mqtttest

import "encoding/binary"

// ConnectOptions are the contents of a CONNECT. The zero values of Protocol and
// Level stand for MQTT 3.1.1.
type ConnectOptions struct {
	Protocol  string
	Level     byte
	ClientID  string
	UserName  string
	Password  string
	KeepAlive uint16
	Clean     bool
	// WillTopic, if set, adds a will.
	WillTopic   string
	WillPayload string
	WillQoS     byte
	WillRetain  bool
}

// AppendConnect appends a CONNECT. Empty user names and passwords are absent.
func AppendConnect(b []byte, o ConnectOptions) []byte {
	if o.Protocol == "" {
		o.Protocol = "MQTT"
	}
	if o.Level == 0 {
		o.Level = 4
	}
	var flags byte
	if o.Clean {
		flags |= 2
	}
	if o.WillTopic != "" {
		flags |= 4 | o.WillQoS<<3
		if o.WillRetain {
			flags |= 32
		}
	}
	if o.Password != "" {
		flags |= 64
	}
	if o.UserName != "" {
		flags |= 128
	}
	body := appendText(nil, o.Protocol)
	body = append(body, o.Level, flags, byte(o.KeepAlive>>8), byte(o.KeepAlive))
	if o.Level == 5 {
		body = append(body, 0) // no properties
	}
	body = appendText(body, o.ClientID)
	if o.WillTopic != "" {
		body = appendText(body, o.WillTopic)
		body = appendText(body, o.WillPayload)
	}
	if o.UserName != "" {
		body = appendText(body, o.UserName)
	}
	if o.Password != "" {
		body = appendText(body, o.Password)
	}
	return AppendPacket(b, Connect<<4, body)
}

// AppendPublish appends a PUBLISH; id is left out at QoS 0.
func AppendPublish(b []byte, topic string, payload []byte, qos byte, id uint16) []byte {
	body := appendText(nil, topic)
	if qos > 0 {
		body = binary.BigEndian.AppendUint16(body, id)
	}
	return AppendPacket(b, Publish<<4|qos<<1, append(body, payload...))
}

// AppendSubscribe appends a SUBSCRIBE to one filter.
func AppendSubscribe(b []byte, id uint16, filter string, qos byte) []byte {
	body := appendText(binary.BigEndian.AppendUint16(nil, id), filter)
	return AppendPacket(b, Subscribe<<4|2, append(body, qos))
}

// AppendUnsubscribe appends an UNSUBSCRIBE from one filter.
func AppendUnsubscribe(b []byte, id uint16, filter string) []byte {
	return AppendPacket(b, Unsubscribe<<4|2, appendText(binary.BigEndian.AppendUint16(nil, id), filter))
}

// AppendPuback appends a PUBACK.
func AppendPuback(b []byte, id uint16) []byte {
	return AppendPacket(b, Puback<<4, binary.BigEndian.AppendUint16(nil, id))
}

// AppendPacket appends a packet of any first byte and body.
func AppendPacket(b []byte, first byte, body []byte) []byte {
	b = append(b, first)
	b = binary.AppendUvarint(b, uint64(len(body)))
	return append(b, body...)
}

func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}
