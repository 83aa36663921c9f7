//go:build conformance

package conformance

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"
)

func mqttPacket(header byte, body []byte) []byte {
	return append(binary.AppendUvarint([]byte{header}, uint64(len(body))), body...)
}

// mqttPublish is a PUBLISH; id 0 means that none is written.
func mqttPublish(header byte, topic string, id uint16, payload string) []byte {
	body := appendText(nil, topic)
	if id != 0 {
		body = binary.BigEndian.AppendUint16(body, id)
	}
	return mqttPacket(header, append(body, payload...))
}

func mqttSubscribe(header byte, id uint16, filters ...string) []byte {
	body := binary.BigEndian.AppendUint16(nil, id)
	for _, f := range filters {
		body = append(appendText(body, f), 1)
	}
	return mqttPacket(header, body)
}

// hostileMQTT breaks the rules of MQTT 3.1.1 and of IoT Hub's topics on port 8883.
func hostileMQTT(t *testing.T, s *site) {
	a := newSiege(t, s, "d1")
	a.badConnects()
	a.badPackets()
	a.badOperations()
	a.finish()
}

func (a *siege) badConnects() {
	user, token := a.userName("d1"), a.token("d1")
	good := mqttConnect{client: "d1", user: user, password: &token}
	with := func(change func(*mqttConnect)) []byte {
		p := good
		change(&p)
		return p.packet()
	}
	plain := good.packet()
	foreign := "devices/good/messages/events/"
	own := "devices/d1/messages/events/"
	invalid := "d\xff1"
	text := func(s string) *string { return &s }
	will := func(topic, payload string) []byte { return appendText(appendText(nil, topic), payload) }
	for _, x := range []struct {
		name   string
		bytes  []byte
		code   int
		reason string
	}{
		{"protocol MQTX", with(func(p *mqttConnect) { p.protocol = "MQTX" }), closedSilently, ""},
		{"MQTT 3.1", with(func(p *mqttConnect) { p.protocol, p.level = "MQIsdp", 3 }), refusedLevel, "3.1.1"},
		{"level 3", with(func(p *mqttConnect) { p.level = 3 }), refusedLevel, "3.1.1"},
		{"MQTT 5", with(func(p *mqttConnect) { p.level, p.afterKeepAlive = 5, []byte{0} }), refusedLevel, "3.1.1"},
		{"level 5 without properties", with(func(p *mqttConnect) { p.level = 5 }), closedSilently, ""}, // no packet of MQTT 5
		{"level 255", with(func(p *mqttConnect) { p.level = 255 }), refusedLevel, "3.1.1"},
		{"reserved flag", with(func(p *mqttConnect) { p.addFlags = 1 }), closedSilently, ""},
		{"flags in the fixed header", with(func(p *mqttConnect) { p.header = 0x1f }), closedSilently, ""},
		{"another client identifier", with(func(p *mqttConnect) { p.client = "good" }), refusedClientID, ""},
		{"no client identifier", with(func(p *mqttConnect) { p.client = "" }), refusedClientID, ""},
		{"client identifier of illegal characters", with(func(p *mqttConnect) { p.client = "a b\n" }), refusedClientID, ""},
		{"client identifier of 60 KB", with(func(p *mqttConnect) { p.client = strings.Repeat("x", 60000) }), refusedClientID, ""},
		{"client identifier with two slashes", with(func(p *mqttConnect) { p.client = "d1/m/x" }), refusedClientID, ""},
		{"no user name", with(func(p *mqttConnect) { p.user, p.password = nil, nil }), refusedLogin, "user name"},
		{"password without user name", with(func(p *mqttConnect) { p.user = nil }), refusedLogin, "user name"},
		{"empty user name", with(func(p *mqttConnect) { p.user = text("") }), refusedLogin, ""},
		{"user name without host", with(func(p *mqttConnect) { p.user = text("/d1/?api-version=2021-04-12") }), refusedLogin, ""},
		{"user name of another device", with(func(p *mqttConnect) { p.user = a.userName("good") }), refusedClientID, ""},
		{"invalid UTF-8 in the client identifier", with(func(p *mqttConnect) { p.client = invalid }), closedSilently, ""},
		{"invalid UTF-8 in the user name", with(func(p *mqttConnect) { p.user = text(*user + "\xc3\x28") }), closedSilently, ""},
		{"NUL in the client identifier", with(func(p *mqttConnect) { p.client = "d1\x00" }), closedSilently, ""},
		{"surrogate in the user name", with(func(p *mqttConnect) { p.user = text(*user + "\xed\xa0\x80") }), closedSilently, ""},
		{"bytes behind the end", with(func(p *mqttConnect) { p.trailing = []byte("xyz") }), closedSilently, ""},
		{"cut off in the password", mqttPacket(0x10, plain[3:len(plain)-10]), closedSilently, ""},
		{"cut off in the protocol", mqttPacket(0x10, []byte{0, 4, 'M', 'Q'}), closedSilently, ""},
		{"empty", mqttPacket(0x10, nil), closedSilently, ""},
		{"remaining length of five bytes", []byte{0x10, 0xff, 0xff, 0xff, 0xff, 0x7f}, closedSilently, ""},
		{"remaining length of 256 MiB", []byte{0x10, 0xff, 0xff, 0xff, 0x7f}, closedSilently, ""},
		{"will without its flag", with(func(p *mqttConnect) { p.addFlags = 0x20 }), closedSilently, ""},
		{"will QoS without its flag", with(func(p *mqttConnect) { p.addFlags = 0x08 }), closedSilently, ""},
		{"will QoS 3", with(func(p *mqttConnect) { p.addFlags, p.will = 0x1c, will(own, "x") }), closedSilently, ""},
		{"will QoS 2", with(func(p *mqttConnect) { p.addFlags, p.will = 0x14, will(own, "x") }), refusedAuthorization, "QoS 2"},
		{"will for another device", with(func(p *mqttConnect) { p.addFlags, p.will = 0x04, will(foreign, "x") }), refusedAuthorization, "will"},
		{"will with a wildcard", with(func(p *mqttConnect) { p.addFlags, p.will = 0x04, will(own+"#", "x") }), refusedAuthorization, "will"},
		{"will that is missing", with(func(p *mqttConnect) { p.addFlags = 0x04 }), closedSilently, ""},
		{"PUBLISH first", mqttPublish(0x32, own, 1, "x"), closedSilently, ""},
		{"PINGREQ first", []byte{0xc0, 0}, closedSilently, ""},
		{"SUBSCRIBE first", mqttSubscribe(0x82, 1, "#"), closedSilently, ""},
		{"DISCONNECT first", []byte{0xe0, 0}, closedSilently, ""},
		{"packet type 0", []byte{0x00, 0}, closedSilently, ""},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), closedSilently, ""},
		{"AMQP", []byte("AMQP\x00\x01\x00\x00"), closedSilently, ""},
	} {
		mark := a.mark()
		answer := a.exchange(x.name, 8883, x.bytes)
		a.wantConnack(x.name, answer, x.code)
		a.wantOneLine(x.name, mark, x.reason)
	}
}

// badPackets are sent after a proper CONNECT; each ends the connection.
func (a *siege) badPackets() {
	token := a.token("d1")
	own := "devices/d1/messages/events/"
	six := make([]string, 6)
	for i := range six {
		six[i] = []string{
			"devices/d1/messages/devicebound/#", "/devices/d1/messages/devicebound/#", "$iothub/methods/POST/#",
			"/$iothub/methods/POST/#", "$iothub/twin/res/#", "/$iothub/twin/res/#",
		}[i]
	}
	for _, x := range []struct {
		name   string
		bytes  []byte
		reason string
	}{
		{"second CONNECT", mqttConnect{client: "d1", user: a.userName("d1"), password: &token}.packet(), ""},
		{"CONNACK", []byte{0x20, 2, 0, 0}, ""},
		{"PUBREC", []byte{0x50, 2, 0, 1}, ""},
		{"PUBREL", []byte{0x62, 2, 0, 1}, ""},
		{"PUBCOMP", []byte{0x70, 2, 0, 1}, ""},
		{"SUBACK", []byte{0x90, 3, 0, 1, 0}, ""},
		{"UNSUBACK", []byte{0xb0, 2, 0, 1}, ""},
		{"PINGRESP", []byte{0xd0, 0}, ""},
		{"type 0", []byte{0x00, 0}, ""},
		{"AUTH of MQTT 5", []byte{0xf0, 0}, ""},
		{"PINGREQ with a body", []byte{0xc0, 1, 7}, ""},
		{"PINGREQ with flags", []byte{0xc3, 0}, ""},
		{"DISCONNECT with a body", []byte{0xe0, 2, 0, 0}, ""},
		{"PUBACK too short", []byte{0x40, 1, 0}, ""},
		{"PUBACK too long", []byte{0x40, 3, 0, 1, 0}, ""},
		{"QoS 2", mqttPublish(0x34, own, 1, "x"), "QoS 2"},
		{"QoS 3", mqttPublish(0x36, own, 1, "x"), ""},
		{"packet identifier 0", mqttPacket(0x32, append(appendText(nil, own), 0, 0, 'x')), ""},
		{"PUBLISH without a topic", mqttPublish(0x32, "", 1, "x"), ""},
		{"PUBLISH cut off in its topic", mqttPacket(0x32, []byte{0, 200, 'd'}), ""},
		{"PUBLISH cut off before its identifier", mqttPacket(0x32, appendText(nil, own)), ""},
		{"empty PUBLISH", mqttPacket(0x30, nil), ""},
		{"topic of another device", mqttPublish(0x32, "devices/good/messages/events/", 1, "x"), "not the device's own"},
		{"topic of another device by an escape", mqttPublish(0x32, "devices/%67ood/messages/events/", 1, "x"), "not the device's own"},
		{"topic for a module", mqttPublish(0x32, "devices/d1/modules/m/messages/events/", 1, "x"), ""},
		{"C2D topic", mqttPublish(0x32, "devices/d1/messages/devicebound/", 1, "x"), ""},
		{"undocumented topic", mqttPublish(0x32, "a/b", 1, "x"), ""},
		{"$SYS", mqttPublish(0x32, "$SYS/broker", 1, "x"), ""},
		{"desired properties", mqttPublish(0x32, "$iothub/twin/PATCH/properties/desired/?$rid=1", 1, "{}"), ""},
		{"method request", mqttPublish(0x32, "$iothub/methods/POST/x/?$rid=1", 1, "{}"), ""},
		{"wildcard +", mqttPublish(0x32, "devices/+/messages/events/", 1, "x"), "wildcard"},
		{"wildcard #", mqttPublish(0x32, own+"#", 1, "x"), "wildcard"},
		{"NUL in the topic", mqttPublish(0x32, own+"\x00", 1, "x"), ""},
		{"invalid UTF-8 in the topic", mqttPublish(0x32, own+"\xff", 1, "x"), ""},
		{"property with invalid UTF-8", mqttPublish(0x32, own+"a=%ff", 1, "x"), "property"},
		{"property without a name", mqttPublish(0x32, own+"=1", 1, "x"), "property"},
		{"message of 256 KiB and a byte", mqttPublish(0x32, own, 1, strings.Repeat("x", 256<<10+1)), ""},
		{"message of 1 MiB", mqttPublish(0x32, own, 1, strings.Repeat("x", 1<<20)), ""},
		{"packet that claims 256 MiB", append([]byte{0x32, 0xff, 0xff, 0xff, 0x7f}, make([]byte, 1000)...), ""},
		{"remaining length of five bytes", []byte{0x32, 0xff, 0xff, 0xff, 0xff, 0x7f}, ""},
		{"twin request without $rid", mqttPublish(0x32, "$iothub/twin/GET/", 1, ""), "$rid"},
		{"patch with a version and no $rid", mqttPublish(0x32, "$iothub/twin/PATCH/properties/reported/?$version=x", 1, "{}"), "$rid"},
		{"method answer with a bad status", mqttPublish(0x32, "$iothub/methods/res/abc/?$rid=1", 1, "{}"), "status"},
		{"method answer with a huge status", mqttPublish(0x32, "$iothub/methods/res/99999999999999999999/?$rid=1", 1, "{}"), "status"},
		{"method answer without $rid", mqttPublish(0x32, "$iothub/methods/res/200/", 1, "{}"), "$rid"},
		{"SUBSCRIBE to everything", mqttSubscribe(0x82, 1, "#"), "filter"},
		{"SUBSCRIBE to all devices", mqttSubscribe(0x82, 1, "devices/+/messages/devicebound/#"), "filter"},
		{"SUBSCRIBE to another device", mqttSubscribe(0x82, 1, "devices/good/messages/devicebound/#"), "filter"},
		{"SUBSCRIBE to a bad filter", mqttSubscribe(0x82, 1, "devices/d1/messages/devicebound#"), "filter"},
		{"SUBSCRIBE to nothing", mqttSubscribe(0x82, 1), ""},
		{"SUBSCRIBE with an empty filter", mqttSubscribe(0x82, 1, ""), ""},
		{"SUBSCRIBE with identifier 0", mqttSubscribe(0x82, 0, "$iothub/twin/res/#"), ""},
		{"SUBSCRIBE with wrong flags", mqttSubscribe(0x80, 1, "$iothub/twin/res/#"), ""},
		{"SUBSCRIBE with QoS 3", mqttPacket(0x82, append(appendText([]byte{0, 1}, "$iothub/twin/res/#"), 3)), ""},
		{"SUBSCRIBE cut off", mqttPacket(0x82, []byte{0, 1, 0, 50, 'x'}), ""},
		{"SUBSCRIBE to too much", mqttSubscribe(0x82, 1, six...), "subscriptions"},
		{"UNSUBSCRIBE from nothing", mqttPacket(0xa2, []byte{0, 1}), ""},
		{"UNSUBSCRIBE with wrong flags", mqttPacket(0xa0, append([]byte{0, 1}, appendText(nil, "x")...)), ""},
	} {
		conn := a.enter("d1", 60)
		mark := a.mark()
		if answer := a.exchangeOn(x.name, conn, x.bytes); len(answer) != 0 {
			a.t.Errorf("%s: answer % x, want none", x.name, answer)
		}
		_ = conn.Close()
		a.wantOneLine(x.name, mark, x.reason)
	}
}

// badOperations have an answer of their own, or none, and leave the connection up.
func (a *siege) badOperations() {
	conn := a.enter("d1", 60)
	defer func() { _ = conn.Close() }()
	reader := bufio.NewReader(conn)
	next := func(name string) (byte, string) {
		a.t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		kind, body, err := readPacket(reader)
		if err != nil {
			a.t.Fatalf("%s: %v", name, err)
		}
		return kind, string(body)
	}
	send := func(name string, packet []byte) {
		a.t.Helper()
		if _, err := conn.Write(packet); err != nil {
			a.t.Fatalf("%s: %v", name, err)
		}
	}
	send("SUBSCRIBE", mqttSubscribe(0x82, 1, "$iothub/twin/res/#", "$iothub/methods/POST/#"))
	if kind, body := next("SUBACK"); kind != 0x90 || body != "\x00\x01\x01\x01" {
		a.t.Fatalf("SUBACK: %x % x", kind, body)
	}
	for i, x := range []struct{ name, patch, status string }{
		{"no JSON", `nonsense`, "400"},
		{"empty", ``, "400"},
		{"cut off", `{"a":`, "400"},
		{"behind the end", `{"a":1}}`, "400"},
		{"an array", `[1,2]`, "400"},
		{"null", `null`, "400"},
		{"a text", `"x"`, "400"},
		{"invalid UTF-8", "{\"a\":\"\xff\"}", "400"},
		{"too deep", strings.Repeat(`{"a":`, 12) + `1` + strings.Repeat(`}`, 12), "400"},
		{"very deep", strings.Repeat(`{"a":`, 40000) + `1` + strings.Repeat(`}`, 40000), "400"},
		{"very deep arrays", `{"a":` + strings.Repeat(`[`, 100000) + strings.Repeat(`]`, 100000) + `}`, "400"},
		{"never closed", strings.Repeat(`{"a":[`, 30000), "400"},
		{"key with a dot", `{"a.b":1}`, "400"},
		{"key with a dollar", `{"$a":1}`, "400"},
		{"key with a space", `{"a b":1}`, "400"},
		{"key with a control character", `{"a\u0001":1}`, "400"},
		{"long key", `{"` + strings.Repeat("k", 1025) + `":1}`, "400"},
		{"long value", `{"a":"` + strings.Repeat("v", 4097) + `"}`, "400"},
		{"great number", `{"a":4503599627370497}`, "400"},
		{"monstrous number", `{"a":1e999999}`, "400"},
		{"more than 32 KiB", `{` + strings.TrimSuffix(strings.Repeat(`"K":"`+strings.Repeat("v", 4000)+`",`, 1), ",") + manyProperties(9) + `}`, "4"},
	} {
		mark := a.mark()
		send(x.name, mqttPublish(0x30, fmt.Sprintf("$iothub/twin/PATCH/properties/reported/?$rid=%d", i), 0, x.patch))
		kind, body := next("patch: " + x.name)
		want := fmt.Sprintf("/?$rid=%d{", i)
		prefix := "$iothub/twin/res/" + x.status
		if kind != 0x30 || len(body) < 2 || !strings.HasPrefix(body[2:], prefix) || !strings.Contains(body, want) || !strings.Contains(body, `"errorCode":4`) {
			a.t.Errorf("patch: %s: answer %x %.200q", x.name, kind, body)
		}
		a.wantOneLine("patch: "+x.name, mark, "code=4")
	}
	// These are passed over.
	mark := a.mark()
	for _, packet := range [][]byte{
		mqttPublish(0x30, "$iothub/methods/res/200/?$rid=never-asked", 0, "{}"),
		mqttPublish(0x30, "$iothub/methods/res/-5/?$rid="+strings.Repeat("9", 60000), 0, "not JSON"),
		{0x40, 2, 0x12, 0x34}, // PUBACK of nothing
		mqttPacket(0xa2, appendText([]byte{0, 9}, "never/subscribed")), // answered
		{0xc0, 0}, // answered
	} {
		send("tolerated", packet)
	}
	first, _ := next("UNSUBACK or PINGRESP")
	second, _ := next("UNSUBACK or PINGRESP")
	if (first != 0xb0 || second != 0xd0) && (first != 0xd0 || second != 0xb0) {
		a.t.Errorf("answers to UNSUBSCRIBE and PINGREQ: %x, %x", first, second)
	}
	if lines := a.linesSince(mark); len(lines) != 0 {
		a.t.Errorf("tolerated packets in the log:\n%s", strings.Join(lines, "\n"))
	}
	send("DISCONNECT", []byte{0xe0, 0})
}

func manyProperties(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"k%d":"%s"`, i, strings.Repeat("v", 4000))
	}
	return b.String()
}
