package amqphub

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

func TestInspection(t *testing.T) {
	message := wire.AppendDataSection(nil, []byte(`{"temperature":21}`))
	token, err := wire.AppendValueSection(nil, "SharedAccessSignature sr=h&sig=hidden&se=1")
	if err != nil {
		t.Fatal(err)
	}
	stream := wire.AppendProtocolHeader(nil, wire.ProtocolSASL)
	add := func(frame []byte, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		stream = frame
	}
	add(wire.AppendFrame(stream, 0, &wire.SASLInit{Mechanism: "PLAIN", InitialResponse: []byte("\x00service@sas.root.h\x00SharedAccessSignature sr=h&sig=hidden&se=1")}))
	add(wire.AppendFrame(stream, 0, &wire.Open{ContainerID: "c", HostName: "h"}))
	add(wire.AppendFrame(stream, 1, &wire.Attach{Name: "l", Role: wire.RoleSender, Target: &wire.Target{Address: "/devices/d1/messages/events"}}))
	for _, payload := range [][]byte{message, token} {
		frame, rest, err := wire.AppendTransferFrame(stream, 1, &wire.Transfer{Handle: 2, DeliveryID: wire.Some(uint32(3)), DeliveryTag: []byte{1}}, payload, 4096)
		if err != nil || len(rest) > 0 {
			t.Fatal(err, rest)
		}
		stream = frame
	}
	add(wire.AppendFrame(stream, 1, &wire.Detach{Handle: 2, Error: &wire.Error{Condition: "amqp:link:detach-forced", Description: "gone"}}))
	stream = wire.AppendEmptyFrame(stream)
	var got []string
	for b := stream; len(b) > 0; {
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
		line := d.Type + " " + d.Summary
		if d.Label != "" {
			line += " of " + d.Label
		}
		if d.Type == "transfer" {
			var with struct {
				Message struct{ Body json.RawMessage }
			}
			if err := json.Unmarshal(fields, &with); err != nil {
				t.Fatal(err)
			}
			line += " " + string(with.Message.Body)
		}
		got = append(got, line)
		b = b[n:]
	}
	want := []string{
		"header SASL 1.0.0", "saslinit PLAIN", "open c h", "attach /devices/d1/messages/events of d1", `transfer handle 2 {"temperature":21}`,
		`transfer handle 2 "SharedAccessSignature sr=h\u0026sig=…\u0026se=1"`, "detach handle 2 amqp:link:detach-forced: gone", "heartbeat ",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("described as\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestInspectionOfDispositions: every outcome of a delivery, as a peer may send it.
func TestInspectionOfDispositions(t *testing.T) {
	for _, c := range []struct {
		state wire.DeliveryState
		want  string
	}{
		{nil, ""},
		{wire.Accepted{}, `{"accepted":{}}`},
		{wire.Released{}, `{"released":{}}`},
		{wire.Received{SectionNumber: 1, SectionOffset: 2}, `{"received":{"sectionNumber":1,"sectionOffset":2}}`},
		{wire.Modified{DeliveryFailed: true, MessageAnnotations: wire.Map{{Key: wire.Symbol("x"), Value: int32(1)}}}, `{"modified":{"deliveryFailed":true,"messageAnnotations":{"x":1}}}`},
		{wire.Rejected{Error: &wire.Error{Condition: "amqp:not-found", Description: "gone"}}, `{"rejected":{"error":{"condition":"amqp:not-found","description":"gone"}}}`},
	} {
		frame, err := wire.AppendFrame(nil, 1, &wire.Disposition{Role: wire.RoleReceiver, First: 3, Settled: true, State: c.state})
		if err != nil {
			t.Fatal(err)
		}
		d := Inspection{}.Describe(frame)
		fields, ok := d.Fields.(map[string]any)
		if !ok || d.Type != "disposition" {
			t.Fatalf("described as %+v", d)
		}
		got := ""
		if fields["state"] != nil {
			text, err := json.Marshal(fields["state"])
			if err != nil {
				t.Fatal(err)
			}
			got = string(text)
		}
		if c.state != nil && d.Summary != "3 "+strings.ToLower(reflect.TypeOf(c.state).Name()) {
			t.Errorf("the summary of %#v is %q", c.state, d.Summary)
		}
		if got != c.want {
			t.Errorf("%#v is described as %s, want %s", c.state, got, c.want)
		}
	}
}

// FuzzInspection: whatever goes over a connection, looking at it does no harm.
func FuzzInspection(f *testing.F) {
	f.Add([]byte("AMQP\x00\x01\x00\x00"))
	frame, err := wire.AppendFrame(nil, 0, &wire.Open{ContainerID: "c"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(frame)
	for _, p := range []wire.Performative{
		&wire.Disposition{State: wire.Accepted{}}, &wire.Transfer{Handle: 1, State: wire.Rejected{Error: &wire.Error{Condition: "c"}}},
		&wire.Attach{Name: "l", Source: &wire.Source{Address: "a"}}, &wire.SASLOutcome{}, &wire.Begin{}, &wire.Flow{}, &wire.End{}, &wire.Close{},
	} {
		if frame, err = wire.AppendFrame(nil, 1, p); err != nil {
			f.Fatal(err)
		}
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := (Inspection{}).Length(b); n < -1 {
			t.Errorf("length %d", n)
		}
		if _, err := json.Marshal(Inspection{}.Describe(b).Fields); err != nil {
			t.Error(err)
		}
	})
}
