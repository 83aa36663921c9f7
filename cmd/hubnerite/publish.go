package main

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
)

func secondsOf(n int) time.Duration { return time.Duration(n) * time.Second }

// publish sends one message as a device over MQTT, in the few packets that this
// takes, and waits for the PUBACK.
func (s *service) publish(connectionString, device, bag, body string) error {
	if strings.Contains(connectionString, ";x509=true") {
		return fmt.Errorf("device %s has a certificate and no key; this command signs with a key", device)
	}
	password, err := emulator.DeviceToken(connectionString, s.now.Add(5*time.Minute))
	if err != nil {
		return err
	}
	transport, ok := s.client.Transport.(*http.Transport)
	if !ok {
		return errors.New("no TLS settings")
	}
	host, _, err := net.SplitHostPort(s.address)
	if err != nil {
		return err
	}
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: askTimeout}, Config: transport.TLSClientConfig.Clone()}
	c, err := dialer.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(s.info.Ports.MQTT)))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(askTimeout)); err != nil {
		return err
	}
	// CONNECT with user name, password and a clean session (MQTT 3.1.1 3.1).
	connect := append(mqttText(nil, "MQTT"), 4, 0xC2, 0, 60)
	connect = mqttText(connect, device)
	connect = mqttText(connect, s.info.HostName+"/"+url.PathEscape(device)+"/?api-version="+apiVersion)
	connect = mqttText(connect, password)
	if err := mqttExchange(c, 1<<4, connect, [4]byte{0x20, 2, 0, 0}); err != nil {
		return fmt.Errorf("device %s: the hub refuses the connection: %w", device, err)
	}
	message := mqttText(nil, "devices/"+url.QueryEscape(device)+"/messages/events/"+bag)
	message = append(binary.BigEndian.AppendUint16(message, 1), body...)
	if err := mqttExchange(c, 3<<4|1<<1, message, [4]byte{0x40, 2, 0, 1}); err != nil {
		return fmt.Errorf("device %s: the hub refuses the message: %w", device, err)
	}
	_, err = c.Write([]byte{0xE0, 0})
	return err
}

// mqttExchange sends a packet and expects an answer of four bytes.
func mqttExchange(c net.Conn, first byte, body []byte, want [4]byte) error {
	packet := append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...)
	if _, err := c.Write(packet); err != nil {
		return err
	}
	var got [4]byte
	if _, err := io.ReadFull(c, got[:]); err != nil {
		return fmt.Errorf("%w; the emulator's log says why", err)
	}
	if got != want {
		return fmt.Errorf("it answers % x; the emulator's log says why", got)
	}
	return nil
}

func mqttText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}
