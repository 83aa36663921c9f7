package broker

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
)

func TestInspection(t *testing.T) {
	connect := &packets.Packet{
		ProtocolVersion: 4, FixedHeader: packets.FixedHeader{Type: packets.Connect},
		Connect: packets.ConnectParams{
			ProtocolName: []byte("MQTT"), ClientIdentifier: "d1", Keepalive: 60, Clean: true, UsernameFlag: true, Username: []byte("h/d1/?api-version=2021-04-12"),
			PasswordFlag: true, Password: []byte("SharedAccessSignature sr=h&sig=hidden&se=1"),
		},
	}
	publish := &packets.Packet{
		ProtocolVersion: 4, FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, PacketID: 7,
		TopicName: "devices/d1/messages/events/", Payload: []byte(`{"temperature":21}`),
	}
	subscribe := &packets.Packet{
		ProtocolVersion: 4, FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, PacketID: 8,
		Filters: packets.Subscriptions{{Filter: "$iothub/methods/POST/#", Qos: 0}},
	}
	var stream bytes.Buffer
	for _, err := range []error{connect.ConnectEncode(&stream), publish.PublishEncode(&stream), subscribe.SubscribeEncode(&stream)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	stream.Write([]byte{0x40, 2, 0, 7, 0xc0, 0, 0x90, 3, 0, 8, 0x80, 0x20, 2, 0, 5})
	var got []string
	for b := stream.Bytes(); len(b) > 0; {
		n := Inspection{}.Length(b)
		if n <= 0 || n > len(b) {
			t.Fatalf("length %d of %x", n, b)
		}
		d := Inspection{}.Describe(b[:n])
		fields, err := json.Marshal(d.Fields)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(fields), "hidden") {
			t.Errorf("the signature shows: %s", fields)
		}
		got = append(got, strings.ToLower(d.Type)+" "+d.Summary)
		if d.Type == packets.PacketNames[packets.Connect] && d.Label != "d1" {
			t.Errorf("label %q", d.Label)
		}
		if d.Type == packets.PacketNames[packets.Publish] && !strings.Contains(string(fields), `"payload":{"temperature":21}`) {
			t.Errorf("publish: %s", fields)
		}
		b = b[n:]
	}
	want := []string{"connect d1", "publish devices/d1/messages/events/", "subscribe $iothub/methods/POST/#", "puback 7", "pingreq ", "suback 8 [128]", "connack return code 5"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("described as %q, want %q", got, want)
	}
}

// FuzzInspection: whatever goes over a connection, looking at it does no harm.
func FuzzInspection(f *testing.F) {
	f.Add([]byte{0x10, 4, 0, 4, 'M', 'Q'})
	f.Add([]byte{0x30, 5, 0, 9, 'a', 'b', 'c'})
	f.Add([]byte{0x82, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		n := Inspection{}.Length(b)
		if n < -1 {
			t.Errorf("length %d", n)
		}
		if _, err := json.Marshal(Inspection{}.Describe(b).Fields); err != nil {
			t.Error(err)
		}
	})
}
