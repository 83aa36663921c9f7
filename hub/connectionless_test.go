package hub

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/hubnerite/hubnerite/iothub"
)

func TestSendTelemetryWithoutConnection(t *testing.T) {
	f := newFixture(t)
	id := f.device("d")
	grant := options("").Grant
	send := func(bodies ...string) error {
		var list []iothub.Telemetry
		for _, b := range bodies {
			list = append(list, iothub.Telemetry{Body: []byte(b)})
		}
		return f.SendTelemetry(context.Background(), id, grant, list)
	}
	if err := send("1", "2", "3"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, send(), iothub.CodeNullMessage)
	wantCode(t, send(make([]string, iothub.MaxTelemetryBatch+1)...), iothub.CodeMessageTooLarge)
	half := string(bytes.Repeat([]byte("x"), iothub.MaxTelemetrySize/2))
	wantCode(t, send(half, half, "x"), iothub.CodeMessageTooLarge)
	if err := send(half, half); err != nil {
		t.Errorf("just the size: %v", err)
	}
	wantCode(t, f.SendTelemetry(context.Background(), iothub.ID{DeviceID: "x"}, grant, []iothub.Telemetry{{}}), iothub.CodeDeviceNotFound)
	wantCode(t, f.SendTelemetry(context.Background(), id, iothub.Grant{}, []iothub.Telemetry{{}}), iothub.CodeIotHubUnauthorizedAccess)
	list, err := f.ReadTelemetry(context.Background(), TelemetryQuery{DeviceID: "d", Since: -1, Limit: 100})
	if err != nil || len(list) != 5 {
		t.Fatalf("%d messages, %v; want 5", len(list), err)
	}
	for i, want := range []string{"1", "2", "3"} {
		if string(list[i].Body) != want || list[i].ID != id || list[i].GenerationID == "" || list[i].AuthMethod.Scope != "hub" {
			t.Errorf("message %d: %+v", i, list[i])
		}
	}
	i, err := f.GetIdentity(context.Background(), id)
	if err != nil || i.Connection.Connected || i.Connection.LastActivityTime.IsZero() {
		t.Errorf("%+v, %v", i.Connection, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var e *iothub.Error
	if err := send("late"); !errors.As(err, &e) || e.Code != iothub.CodeServiceUnavailable {
		t.Errorf("after the end: %v", err)
	}
}
