package iothub

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func drawSystem(t *rapid.T) SystemProperties {
	var s SystemProperties
	for _, f := range s.fields() {
		*f = rapid.String().Draw(t, "system")
	}
	return s
}

func drawProperties(t *rapid.T) Properties {
	var p Properties
	for range rapid.IntRange(0, 4).Draw(t, "properties") {
		p = append(p, Property{Name: rapid.String().Draw(t, "name"), Value: rapid.String().Draw(t, "value")})
	}
	return p
}

func drawBody(t *rapid.T) []byte {
	if b := rapid.SliceOf(rapid.Byte()).Draw(t, "body"); len(b) > 0 {
		return b
	}
	return nil
}

func TestTelemetryEncodingRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Telemetry{
			ID:     ID{rapid.String().Draw(t, "device"), rapid.String().Draw(t, "module")},
			System: drawSystem(t), Properties: drawProperties(t), Body: drawBody(t),
			ModelID: rapid.String().Draw(t, "model"), GenerationID: rapid.String().Draw(t, "generation"),
			AuthMethod: AuthMethod{Scope: "device", Type: "sas", Issuer: rapid.String().Draw(t, "issuer")},
			Source:     MessageSource(rapid.SampledFrom([]string{"", "Telemetry", "twinChangeEvents"}).Draw(t, "source")),
		}
		data := AppendTelemetry(nil, &want)
		got, err := DecodeTelemetry(data)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
		if id, err := TelemetryDeviceID(data); err != nil || string(id) != want.ID.DeviceID {
			t.Fatalf("device ID %q, %v", id, err)
		}
	})
}

func TestC2DEncodingRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := C2DMessage{
			ID:     ID{rapid.String().Draw(t, "device"), rapid.String().Draw(t, "module")},
			System: drawSystem(t), Properties: drawProperties(t), Body: drawBody(t),
			Ack: AckFull, GenerationID: rapid.String().Draw(t, "generation"),
			EnqueuedTime: time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "enqueued"), 123456789).UTC(),
			// The zero time must come back as zero.
			ExpiryTime:    time.Time{},
			DeliveryCount: rapid.IntRange(0, 100).Draw(t, "count"),
		}
		if want.Input = rapid.String().Draw(t, "input"); want.Input != "" {
			want.From = ID{rapid.String().Draw(t, "from"), rapid.String().Draw(t, "from module")}
			want.Priority = rapid.Uint32().Draw(t, "priority")
		}
		got, err := DecodeC2D(AppendC2D(nil, &want))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

func TestDecodeMessageRefusesOtherVersions(t *testing.T) {
	for _, data := range [][]byte{nil, {0}, {3, 0}, {1}, {1, 200}, {1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0x7f}} {
		if _, err := DecodeTelemetry(data); !errors.Is(err, ErrMessageEncoding) {
			t.Errorf("telemetry %v: %v", data, err)
		}
		if _, err := DecodeC2D(data); !errors.Is(err, ErrMessageEncoding) {
			t.Errorf("c2d %v: %v", data, err)
		}
		if len(data) == 0 || data[0] != 1 || len(data) < 3 {
			if _, err := TelemetryDeviceID(data); !errors.Is(err, ErrMessageEncoding) {
				t.Errorf("device ID %v: %v", data, err)
			}
		}
	}
}

// FuzzDecodeTelemetry: no input crashes, and what decodes encodes to a stable form.
func FuzzDecodeTelemetry(f *testing.F) {
	full := Telemetry{
		ID: ID{"d", "m"}, System: SystemProperties{MessageID: "1", OutputName: "o"},
		Properties: Properties{{"a", "b"}}, Body: []byte("x"), ModelID: "dtmi:a;1",
	}
	f.Add(AppendTelemetry(nil, &full))
	f.Add(AppendTelemetry(nil, &Telemetry{}))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := DecodeTelemetry(data)
		if err != nil {
			return
		}
		once := AppendTelemetry(nil, &m)
		again, err := DecodeTelemetry(once)
		if err != nil || !bytes.Equal(AppendTelemetry(nil, &again), once) {
			t.Fatalf("%q is not stable: %v", data, err)
		}
		if id, err := TelemetryDeviceID(data); err != nil || string(id) != m.ID.DeviceID {
			t.Fatalf("device ID %q, %v", id, err)
		}
	})
}

// FuzzDecodeC2D: no input crashes, and what decodes encodes to a stable form.
func FuzzDecodeC2D(f *testing.F) {
	full := C2DMessage{
		ID: ID{"d", "m"}, System: SystemProperties{MessageID: "1"}, Properties: Properties{{"a", "b"}}, Body: []byte("x"),
		Ack: AckFull, EnqueuedTime: time.Unix(1, 2), ExpiryTime: time.Unix(3, 4), DeliveryCount: 2,
	}
	f.Add(AppendC2D(nil, &full))
	f.Add(AppendC2D(nil, &C2DMessage{}))
	full.Input, full.From, full.Priority = "in", ID{"d", "m"}, 9
	f.Add(AppendC2D(nil, &full))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := DecodeC2D(data)
		if err != nil {
			return
		}
		once := AppendC2D(nil, &m)
		again, err := DecodeC2D(once)
		if err != nil || !bytes.Equal(AppendC2D(nil, &again), once) {
			t.Fatalf("%q is not stable: %v", data, err)
		}
	})
}

// Reading the log must not cost memory per text: one copy holds them all, and
// one list the properties.
func TestDecodeTelemetryAllocations(t *testing.T) {
	data := AppendTelemetry(nil, &Telemetry{
		ID: ID{"device", "module"}, GenerationID: "638000000000000000", ModelID: "dtmi:example:thing;1",
		AuthMethod: AuthMethod{Scope: "device", Type: "sas", Issuer: "iothub"},
		System:     SystemProperties{MessageID: "1", ContentType: "application/json", ContentEncoding: "utf-8"},
		Properties: Properties{{"alert", "true"}, {"level", "3"}}, Body: make([]byte, 256),
	})
	n := testing.AllocsPerRun(100, func() {
		if _, err := DecodeTelemetry(data); err != nil {
			t.Fatal(err)
		}
	})
	if n > 2 {
		t.Errorf("%v allocations", n)
	}
}
