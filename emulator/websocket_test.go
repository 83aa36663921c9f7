package emulator_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
	"github.com/hubnerite/hubnerite/internal/mqtttest"
)

// webSocket is the client's end of an opened WebSocket, its frames made by hand.
type webSocket struct {
	t      *testing.T
	stream io.ReadWriteCloser
	in     *bufio.Reader
}

func openWebSocket(t *testing.T, e *emulator.Emulator, path, subprotocol string) *webSocket {
	t.Helper()
	// The context also ends what waits for the emulator in vain.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://localhost:"+strconv.Itoa(e.Info().Ports.HTTPS)+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Protocol": {subprotocol},
	}
	response, err := httpClient(t, e).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	stream, ok := response.Body.(io.ReadWriteCloser)
	if !ok || response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get("Sec-Websocket-Protocol") != subprotocol {
		t.Fatalf("answer %s %v", response.Status, response.Header)
	}
	t.Cleanup(func() { _ = stream.Close() })
	return &webSocket{t, stream, bufio.NewReader(stream)}
}

// send writes a frame of less than 65536 bytes under the mask 0.
func (w *webSocket) send(opcode byte, payload []byte) {
	w.t.Helper()
	frame := []byte{0x80 | opcode, 0x80 | 126, byte(len(payload) >> 8), byte(len(payload)), 0, 0, 0, 0}
	if _, err := w.stream.Write(append(frame, payload...)); err != nil {
		w.t.Fatal(err)
	}
}

// receive reads a frame of less than 126 bytes.
func (w *webSocket) receive() (opcode byte, payload []byte) {
	w.t.Helper()
	var header [2]byte
	if _, err := io.ReadFull(w.in, header[:]); err != nil {
		w.t.Fatal(err)
	}
	if header[0]&0xf0 != 0x80 || header[1] >= 126 {
		w.t.Fatalf("frame % x", header)
	}
	payload = make([]byte, header[1])
	if _, err := io.ReadFull(w.in, payload); err != nil {
		w.t.Fatal(err)
	}
	return header[0] & 15, payload
}

// wantEnd reads a close frame of one of the statuses, which may be after other
// frames, and then the end of the stream.
func (w *webSocket) wantEnd(statuses ...int) {
	w.t.Helper()
	for {
		opcode, payload := w.receive()
		if opcode != 8 {
			continue
		}
		if len(payload) != 2 || !slices.Contains(statuses, int(payload[0])<<8|int(payload[1])) {
			w.t.Errorf("close frame %q, want one of the statuses %d", payload, statuses)
		}
		w.send(8, payload)
		break
	}
	if n, err := io.Copy(io.Discard, w.in); n != 0 || err != nil {
		w.t.Errorf("after the close frame: %d bytes, %v", n, err)
	}
}

// MQTT and AMQP are there over WebSockets, and closing the emulator ends those
// connections as it ends the others.
func TestWebSockets(t *testing.T) {
	e := emulatortest.Run(t, emulatortest.WithDevices("d1"))
	mqtt := openWebSocket(t, e, "/$iothub/websocket", "MQTT")
	// Refused, but by the broker: there is no password.
	connect := mqtttest.AppendConnect(nil, mqtttest.ConnectOptions{ClientID: "d1", UserName: "localhost/d1/?api-version=2021-04-12"})
	mqtt.send(2, connect[:5])
	mqtt.send(2, connect[5:])
	if opcode, connack := mqtt.receive(); opcode != 2 || len(connack) != 4 || connack[0] != mqtttest.Connack<<4 || connack[3] == 0 {
		t.Errorf("opcode %d, % x, want a refusing CONNACK", opcode, connack)
	}
	mqtt.wantEnd(1000)

	mqtt = openWebSocket(t, e, "/$iothub/websocket", "mqtt")
	protocolHeader := []byte("AMQP\x03\x01\x00\x00")
	var amqp []*webSocket
	for _, path := range []string{"/$iothub/websocket", "/$servicebus/websocket/"} {
		w := openWebSocket(t, e, path, "AMQPWSB10")
		w.send(2, protocolHeader)
		if opcode, answer := w.receive(); opcode != 2 || !bytes.HasPrefix(answer, protocolHeader) {
			t.Errorf("%s: opcode %d, %q, want the SASL header", path, opcode, answer)
		}
		amqp = append(amqp, w)
	}
	closed := make(chan error, 1)
	go func() { closed <- e.Close(t.Context()) }()
	for _, w := range append(amqp, mqtt) {
		// Going away, where the protocol said its farewell only after the WebSockets were told to end.
		w.wantEnd(1000, 1001)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
