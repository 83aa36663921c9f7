package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/hubnerite/hubnerite/iothub"
)

func TestDesiredNotifications(t *testing.T) {
	f := newFixture(t)
	id := f.device("d")
	c, client := f.connect(id, "mqtt")
	patch := func(body string) {
		t.Helper()
		p, err := iothub.DecodeTwinPatch([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.PatchTwin(t.Context(), id, p, ""); err != nil {
			t.Fatal(err)
		}
	}
	patch(`{"properties":{"desired":{"early":1}}}`)
	c.EnableDesired(true)
	patch(`{"tags":{"a":1}}`)
	patch(`{"properties":{"desired":{"early":null,"b":{"c":2}}}}`)
	if _, err := f.ReplaceTwin(t.Context(), id, iothub.TwinPatch{Desired: map[string]any{"x": "y"}}, "*"); err != nil {
		t.Fatal(err)
	}
	_, err := f.PatchTwin(t.Context(), id, iothub.TwinPatch{Desired: map[string]any{"z": "z"}}, `"wrong"`)
	wantCode(t, err, iothub.CodePreconditionFailed)
	c.EnableDesired(false)
	patch(`{"properties":{"desired":{"late":1}}}`)
	want := []desiredChange{
		{3, `{"$version":3,"b":{"c":2},"early":null}`},
		{4, `{"$version":4,"x":"y"}`},
	}
	if got := client.changes(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("notified of %v, want %v", got, want)
	}
}

func TestNotificationsComeInVersionOrder(t *testing.T) {
	f := newFixture(t)
	id := f.device("d")
	c, client := f.connect(id, "mqtt")
	c.EnableDesired(true)
	const writers, writes = 8, 25
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range writes {
				p := iothub.TwinPatch{Desired: map[string]any{"n": json.Number("1")}}
				if _, err := f.PatchTwin(context.Background(), id, p, ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	changes := client.changes()
	if len(changes) != writers*writes {
		t.Fatalf("%d notifications, want %d", len(changes), writers*writes)
	}
	for i, c := range changes {
		if c.version != int64(i+2) {
			t.Fatalf("notification %d has version %d", i, c.version)
		}
	}
}

func TestReport(t *testing.T) {
	f := newFixture(t)
	id := f.device("d")
	c, _ := f.connect(id, "mqtt")
	version, err := c.Report(t.Context(), []byte(`{"rebootTime":"now"}`), nil)
	if err != nil || version != 2 {
		t.Errorf("version %d, %v", version, err)
	}
	twin, err := f.GetTwin(t.Context(), id)
	if err != nil || twin.Twin.Reported.Values["rebootTime"] != "now" || !twin.Connection.Connected {
		t.Errorf("twin %+v, %v", twin, err)
	}
	body, err := c.Twin(t.Context())
	if err != nil || !strings.Contains(string(body), `"rebootTime":"now"`) || strings.Contains(string(body), "$metadata") {
		t.Errorf("body %s, %v", body, err)
	}
	stale := int64(1)
	_, err = c.Report(t.Context(), []byte(`{}`), &stale)
	wantCode(t, err, iothub.CodePreconditionFailed)
	_, err = c.Report(t.Context(), []byte(`{`), nil)
	wantCode(t, err, iothub.CodeIotHubFormatError)
	_, err = c.Report(t.Context(), []byte(`{"$version":1}`), nil)
	wantCode(t, err, iothub.CodeArgumentInvalid)
	c.Close()
	_, err = c.Report(t.Context(), []byte(`{}`), nil)
	wantCode(t, err, iothub.CodeDeviceConnectionClosedRemotely)
}

func TestMQTTSessionOutlivesTheHub(t *testing.T) {
	f := newFixture(t)
	id := f.device("d")
	c, _ := f.connect(id, "mqtt")
	if s, err := c.MQTTSession(t.Context()); s != nil || err != nil {
		t.Errorf("session %v, %v", s, err)
	}
	if err := c.SetMQTTSession(t.Context(), map[string]byte{"a/#": 1}); err != nil {
		t.Fatal(err)
	}
	f.restart()
	c, _ = f.connect(id, "mqtt")
	if s, err := c.MQTTSession(t.Context()); len(s) != 1 || s["a/#"] != 1 || err != nil {
		t.Errorf("session %v, %v", s, err)
	}
}
