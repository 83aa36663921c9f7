package broker

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/hubnerite/hubnerite/inspect"
	"github.com/hubnerite/hubnerite/iothub"
)

// Inspection is the inspect.Codec of MQTT 3.1.1. Passwords are shown without their signatures.
type Inspection struct{}

// Length implements inspect.Codec.
func (Inspection) Length(b []byte) int {
	n, size, complete := remainingLength(b)
	switch {
	case len(b) == 0 || b[0]>>4 != 0 && !complete && size < 4:
		return 0
	case b[0]>>4 == 0 || b[0]>>4 == 15 || !complete:
		return -1
	}
	return 1 + size + n
}

// remainingLength reads the length in a fixed header: its value, how many bytes it takes, and whether they are all there.
func remainingLength(b []byte) (n, size int, complete bool) {
	for i := 1; i < len(b) && i <= 4; i++ {
		n |= int(b[i]&0x7f) << (7 * (i - 1))
		if b[i]&0x80 == 0 {
			return n, i, true
		}
		size = i
	}
	return 0, size, false
}

// Describe implements inspect.Codec.
func (Inspection) Describe(frame []byte) inspect.Description {
	_, size, complete := remainingLength(frame)
	if !complete {
		return inspect.Description{Type: "incomplete"}
	}
	pk := packets.Packet{ProtocolVersion: 4}
	if err := pk.FixedHeader.Decode(frame[0]); err != nil {
		return inspect.Description{Type: "malformed", Summary: err.Error()}
	}
	body := frame[1+size:]
	pk.FixedHeader.Remaining = len(body)
	d := inspect.Description{Type: packets.PacketNames[pk.FixedHeader.Type]}
	fields := map[string]any{}
	var err error
	switch pk.FixedHeader.Type {
	case packets.Connect:
		if err = pk.ConnectDecode(body); err == nil {
			describeConnect(&pk, fields)
			d.Label = pk.Connect.ClientIdentifier
			d.Summary = pk.Connect.ClientIdentifier
		}
	case packets.Connack:
		if err = pk.ConnackDecode(body); err == nil {
			fields["sessionPresent"], fields["returnCode"] = pk.SessionPresent, int(pk.ReasonCode)
			d.Summary = fmt.Sprintf("return code %d", pk.ReasonCode)
		}
	case packets.Publish:
		if err = pk.PublishDecode(body); err == nil {
			describePublish(&pk, fields)
			d.Summary = pk.TopicName
		}
	case packets.Subscribe:
		if err = pk.SubscribeDecode(body); err == nil {
			fields["packetId"], fields["filters"] = pk.PacketID, filtersOf(&pk)
			d.Summary = strings.Join(namesOf(&pk), ", ")
		}
	case packets.Unsubscribe:
		if err = pk.UnsubscribeDecode(body); err == nil {
			fields["packetId"], fields["filters"] = pk.PacketID, namesOf(&pk)
			d.Summary = strings.Join(namesOf(&pk), ", ")
		}
	case packets.Suback:
		if err = pk.SubackDecode(body); err == nil {
			codes := make([]int, len(pk.ReasonCodes))
			for i, c := range pk.ReasonCodes {
				codes[i] = int(c)
			}
			fields["packetId"], fields["returnCodes"] = pk.PacketID, codes
			d.Summary = fmt.Sprint(pk.PacketID, " ", codes)
		}
	case packets.Puback, packets.Unsuback:
		if len(body) >= 2 {
			id := int(body[0])<<8 | int(body[1])
			fields["packetId"] = id
			d.Summary = fmt.Sprint(id)
		}
	}
	if err != nil {
		d.Summary = err.Error()
	}
	if len(fields) > 0 {
		d.Fields = fields
	}
	return d
}

func describeConnect(pk *packets.Packet, fields map[string]any) {
	c := &pk.Connect
	fields["clientId"], fields["cleanSession"], fields["keepAlive"] = c.ClientIdentifier, c.Clean, c.Keepalive
	if c.UsernameFlag {
		fields["username"] = string(c.Username)
	}
	if c.PasswordFlag {
		fields["password"] = iothub.WithoutSignature(string(c.Password))
	}
	if c.WillFlag {
		fields["will"] = map[string]any{"topic": c.WillTopic, "qos": c.WillQos, "retain": c.WillRetain, "payload": readable(c.WillPayload)}
	}
}

func describePublish(pk *packets.Packet, fields map[string]any) {
	fields["topic"], fields["qos"], fields["retain"], fields["duplicate"] = pk.TopicName, pk.FixedHeader.Qos, pk.FixedHeader.Retain, pk.FixedHeader.Dup
	if pk.FixedHeader.Qos > 0 {
		fields["packetId"] = pk.PacketID
	}
	fields["payload"] = readable(pk.Payload)
}

func filtersOf(pk *packets.Packet) []map[string]any {
	var list []map[string]any
	for _, f := range pk.Filters {
		list = append(list, map[string]any{"filter": f.Filter, "qos": f.Qos})
	}
	return list
}

func namesOf(pk *packets.Packet) []string {
	var list []string
	for _, f := range pk.Filters {
		list = append(list, f.Filter)
	}
	return list
}

// readable is JSON as it is, other text as text, and the rest in base64.
func readable(b []byte) any {
	switch {
	case json.Valid(b):
		return json.RawMessage(b)
	case utf8.Valid(b):
		return string(b)
	default:
		return map[string]string{"base64": base64.StdEncoding.EncodeToString(b)}
	}
}
