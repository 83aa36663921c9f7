package hub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubnerite/hubnerite/iothub"
)

func (f *fixture) telemetry(c *Connection, m iothub.Telemetry) error {
	result := make(chan error, 1)
	c.SendTelemetry(context.Background(), m, func(err error) { result <- err })
	return <-result
}

func TestTelemetryIsStampedAndKept(t *testing.T) {
	f := newFixture(t)
	id := f.device("d/m"[:1])
	module := f.device("d/m")
	identity, err := f.GetIdentity(t.Context(), module)
	if err != nil {
		t.Fatal(err)
	}
	o := options("mqtt")
	o.ModelID = "dtmi:com:example;1"
	c, err := f.Connect(t.Context(), module, o, newFakeClient())
	if err != nil {
		t.Fatal(err)
	}
	sent := iothub.Telemetry{
		ID:     iothub.ID{DeviceID: "forged"},
		System: iothub.SystemProperties{MessageID: "m1", ContentType: "application/json"},
		Body:   []byte(`{}`), Properties: iothub.Properties{{Name: "zone", Value: "n"}},
	}
	before := time.Now().Truncate(time.Millisecond)
	if err := f.telemetry(c, sent); err != nil {
		t.Fatal(err)
	}
	device, _ := f.connect(id, "mqtt")
	if err := f.telemetry(device, iothub.Telemetry{Body: []byte("2")}); err != nil {
		t.Fatal(err)
	}
	got, err := f.ReadTelemetry(t.Context(), TelemetryQuery{DeviceID: "d", Since: -1, Limit: 10})
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got[0].EnqueuedTime.Before(before) || got[0].EnqueuedTime.After(time.Now()) {
		t.Errorf("enqueued %v", got[0].EnqueuedTime)
	}
	want := sent
	want.ID, want.ModelID, want.GenerationID, want.AuthMethod = module, o.ModelID, identity.GenerationID, o.Grant.AuthMethod
	want.EnqueuedTime, want.Partition, want.Offset = got[0].EnqueuedTime, f.partition("d"), got[0].Offset
	if d := cmp.Diff(want, got[0]); d != "" {
		t.Error(d)
	}
	if got[1].Partition != got[0].Partition || got[1].SequenceNumber != 1 || got[1].Offset <= got[0].Offset {
		t.Errorf("second %+v", got[1])
	}
	twin, err := f.GetTwin(t.Context(), module)
	if err != nil || twin.Twin.ModelID != o.ModelID {
		t.Errorf("model ID %q, %v", twin.Twin.ModelID, err)
	}
}

func TestTelemetryRefusals(t *testing.T) {
	f := newFixture(t)
	c, _ := f.connect(f.device("d"), "mqtt")
	wantCode(t, f.telemetry(c, iothub.Telemetry{Body: make([]byte, iothub.MaxTelemetrySize+1)}), iothub.CodeMessageTooLarge)
	wantCode(t, f.telemetry(c, iothub.Telemetry{System: iothub.SystemProperties{MessageID: strings.Repeat("x", 129)}}), iothub.CodeArgumentInvalid)
	if err := f.telemetry(c, iothub.Telemetry{Body: make([]byte, iothub.MaxTelemetrySize)}); err != nil {
		t.Error(err)
	}
	c.Close()
	wantCode(t, f.telemetry(c, iothub.Telemetry{}), iothub.CodeDeviceConnectionClosedRemotely)
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestReadTelemetry(t *testing.T) {
	f := newFixture(t)
	var conns []*Connection
	for i := range 10 {
		c, _ := f.connect(f.device(fmt.Sprint("d", i)), "mqtt")
		conns = append(conns, c)
	}
	for i := range 300 {
		for _, c := range conns {
			if err := f.telemetry(c, iothub.Telemetry{Body: []byte(fmt.Sprint(i))}); err != nil {
				t.Fatal(err)
			}
		}
	}
	read := func(q TelemetryQuery) []iothub.Telemetry {
		t.Helper()
		got, err := f.ReadTelemetry(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if all := read(TelemetryQuery{Since: -1, Limit: 10000}); len(all) != 3000 {
		t.Errorf("%d messages of all", len(all))
	}
	one := read(TelemetryQuery{DeviceID: "d3", Since: -1, Limit: 10000})
	for i, m := range one {
		if string(m.Body) != fmt.Sprint(i) || m.ID.DeviceID != "d3" {
			t.Fatalf("message %d: %+v", i, m)
		}
	}
	if len(one) != 300 {
		t.Errorf("%d messages of d3", len(one))
	}
	page := read(TelemetryQuery{DeviceID: "d3", Since: one[99].SequenceNumber, Limit: 7})
	if len(page) != 7 || string(page[0].Body) != "100" {
		t.Errorf("page of %d from %s", len(page), page[0].Body)
	}
	if none := read(TelemetryQuery{DeviceID: "d3", Since: one[299].SequenceNumber, Limit: 7}); len(none) != 0 {
		t.Errorf("%d messages after the last", len(none))
	}
}

func TestWaitTelemetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		c, _ := f.connect(f.device("d"), "mqtt")
		other, _ := f.connect(f.device("e"), "mqtt")
		for _, q := range []TelemetryQuery{{DeviceID: "d", Since: -1, Limit: 100}, {Since: -1, Limit: 100}} {
			before, err := f.ReadTelemetry(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			type result struct {
				got []iothub.Telemetry
				err error
			}
			done := make(chan result, 1)
			go func() {
				got, err := f.WaitTelemetry(t.Context(), q, len(before)+2, time.Minute)
				done <- result{got, err}
			}()
			for range 2 {
				synctest.Wait()
				if len(done) != 0 {
					t.Fatal("returned too early")
				}
				if err := errors.Join(f.telemetry(c, iothub.Telemetry{}), func() error {
					if q.DeviceID != "" {
						return f.telemetry(other, iothub.Telemetry{})
					}
					return nil
				}()); err != nil {
					t.Fatal(err)
				}
			}
			if r := <-done; r.err != nil || len(r.got) != len(before)+2 {
				t.Errorf("%d messages, %v", len(r.got), r.err)
			}
		}
		start := time.Now()
		got, err := f.WaitTelemetry(t.Context(), TelemetryQuery{DeviceID: "d", Since: -1, Limit: 100}, 100, time.Minute)
		if err != nil || len(got) != 4 || time.Since(start) != time.Minute {
			t.Errorf("%d messages, %v after %v", len(got), err, time.Since(start))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := f.WaitTelemetry(ctx, TelemetryQuery{Since: -1, Limit: 100}, 100, time.Minute); !errors.Is(err, context.Canceled) {
			t.Errorf("after the caller left: %v", err)
		}
		stuck := make(chan error, 1)
		go func() {
			_, err := f.WaitTelemetry(t.Context(), TelemetryQuery{Since: -1, Limit: 100}, 100, time.Hour)
			stuck <- err
		}()
		synctest.Wait()
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		wantCode(t, <-stuck, iothub.CodeServiceUnavailable)
	})
}

// The partition of a device must never change: these values are for ever.
func TestPartitionHash(t *testing.T) {
	for id, want := range map[string]uint32{"": 0x811c9dc5, "a": 0xe40c292c, "foobar": 0xbf9cf968} {
		if got := partitionHash(id); got != want {
			t.Errorf("%q: %#x, want %#x", id, got, want)
		}
	}
}
