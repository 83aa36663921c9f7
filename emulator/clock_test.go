package emulator_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// The clock of an emulator, stopped and advanced: a message expires with its feedback, and telemetry is kept for a day.
func TestClockOfEmulator(t *testing.T) {
	for name, options := range map[string][]emulatortest.Option{"in memory": nil, "in files": {emulatortest.WithDataDir(t.TempDir())}} {
		t.Run(name, func(t *testing.T) {
			e := emulatortest.Run(t, append(options, emulatortest.WithDevices("d1"))...)
			id, ctx := iothub.ID{DeviceID: "d1"}, context.Background()
			noon := time.Date(2031, 5, 1, 12, 0, 0, 0, time.UTC)
			emulatortest.Freeze(t, e, noon)
			if _, err := e.Hub().SendC2D(ctx, iothub.C2DMessage{ID: id, Ack: iothub.AckFull, ExpiryTime: noon.Add(time.Minute)}); err != nil {
				t.Fatal(err)
			}
			grant := iothub.Grant{Policy: "device", Rights: iothub.DeviceConnect}
			if err := e.Hub().SendTelemetry(ctx, id, grant, []iothub.Telemetry{{Body: []byte("a")}}); err != nil {
				t.Fatal(err)
			}
			emulatortest.Advance(t, e, time.Hour)
			d, ok, err := e.Hub().Feedback().Receive(ctx)
			if err != nil || !ok {
				t.Fatalf("no feedback: %v", err)
			}
			var records []iothub.FeedbackRecord
			if err := json.Unmarshal(d.Body, &records); err != nil || len(records) != 1 || records[0].StatusCode != iothub.OutcomeExpired {
				t.Errorf("feedback %s", d.Body)
			}
			kept := func() int {
				list, err := e.Hub().ReadTelemetry(ctx, hub.TelemetryQuery{DeviceID: "d1", Since: -1, Limit: 10})
				if err != nil {
					t.Fatal(err)
				}
				return len(list)
			}
			if kept() != 1 {
				t.Error("telemetry of an hour ago is gone")
			}
			emulatortest.Advance(t, e, 28*time.Hour)
			if kept() != 0 {
				t.Error("telemetry of yesterday is kept")
			}
			if got := e.Clock().Now(); !got.Equal(noon.Add(29 * time.Hour)) {
				t.Errorf("it is %v", got)
			}
		})
	}
}

// TestCertificateOfAHubMadeAfterAnAdvance: clients judge certificates by the real time, whatever the hubs' clock shows.
func TestCertificateOfAHubMadeAfterAnAdvance(t *testing.T) {
	e := emulatortest.Run(t)
	emulatortest.Advance(t, e, 48*time.Hour)
	if _, err := e.CreateHub(t.Context(), emulator.HubOptions{Name: "late", HostNames: []string{"late.test"}}); err != nil {
		t.Fatal(err)
	}
	info := e.Info()
	ca, err := os.ReadFile(info.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "late.test", MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", info.Ports.HTTPS))
	if err != nil {
		t.Fatalf("the certificate of a hub made with the clock two days ahead: %v", err)
	}
	_ = conn.Close()
}
