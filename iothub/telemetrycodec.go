package iothub

import "encoding/binary"

// The first byte of an encoded Telemetry: the second form has a source.
const (
	telemetryVersion       = 1
	telemetrySourceVersion = 2
)

func telemetryKnown(data []byte) bool {
	return len(data) > 0 && (data[0] == telemetryVersion || data[0] == telemetrySourceVersion)
}

// AppendTelemetry appends the stored form of t to dst and returns the result.
// The place in the log (Partition, SequenceNumber, Offset) and EnqueuedTime are
// not part of it: the log record has them.
func AppendTelemetry(dst []byte, t *Telemetry) []byte {
	version := byte(telemetryVersion)
	if t.Source != "" {
		version = telemetrySourceVersion
	}
	dst = append(dst, version)
	dst = appendText(dst, t.ID.DeviceID)
	dst = appendText(dst, t.ID.ModuleID)
	dst = appendText(dst, t.GenerationID)
	dst = appendText(dst, t.ModelID)
	dst = appendText(dst, t.AuthMethod.Scope)
	dst = appendText(dst, t.AuthMethod.Type)
	dst = appendText(dst, t.AuthMethod.Issuer)
	if version == telemetrySourceVersion {
		dst = appendText(dst, string(t.Source))
	}
	dst = appendSystem(dst, &t.System)
	dst = appendProperties(dst, t.Properties)
	return append(dst, t.Body...)
}

// TelemetryDeviceID reads only the device ID of an encoded Telemetry, so that a
// reader who wants one device need not decode the others.
func TelemetryDeviceID(data []byte) ([]byte, error) {
	if !telemetryKnown(data) {
		return nil, ErrMessageEncoding
	}
	n, used := binary.Uvarint(data[1:])
	if used <= 0 || n > uint64(len(data)-1-used) {
		return nil, ErrMessageEncoding
	}
	return data[1+used : 1+used+int(n)], nil
}

// DecodeTelemetry reads what AppendTelemetry wrote. Body shares the memory of
// data; the rest is copied. It returns ErrMessageEncoding for anything else.
func DecodeTelemetry(data []byte) (Telemetry, error) {
	if !telemetryKnown(data) {
		return Telemetry{}, ErrMessageEncoding
	}
	r := messageReader{data: data[1:]}
	texts := uint64(7)
	if data[0] == telemetrySourceVersion {
		texts++
	}
	r.copyTexts(texts)
	var t Telemetry
	t.ID.DeviceID, t.ID.ModuleID = r.text(), r.text()
	t.GenerationID, t.ModelID = r.text(), r.text()
	t.AuthMethod.Scope, t.AuthMethod.Type, t.AuthMethod.Issuer = r.text(), r.text(), r.text()
	if data[0] == telemetrySourceVersion {
		t.Source = MessageSource(r.text())
	}
	r.system(&t.System)
	t.Properties = r.properties()
	t.Body = r.body()
	if r.bad {
		return Telemetry{}, ErrMessageEncoding
	}
	return t, nil
}
