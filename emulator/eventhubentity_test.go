package emulator_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
)

// A client that reaches the emulator by the default hub's name reads the hub that its entity names, and with the
// keys of that one alone.
func TestEventHubClientsChooseAHubByItsEntity(t *testing.T) {
	const key = "c2VydmljZSBrZXkgb2Ygc2Vjb25k"
	e := emulatortest.Run(t)
	second, err := e.CreateHub(t.Context(), emulator.HubOptions{
		Name: "second", HostNames: []string{"second.test"}, Devices: []string{"d"}, PolicyKeys: map[string]string{"service": key},
	})
	if err != nil {
		t.Fatal(err)
	}
	connect(t, hubNamed(t, e, "second"), "d").send(t, "hello")
	pem, err := os.ReadFile(e.Info().CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	if s := second.EventHub.EmulatorConnectionString; !strings.HasPrefix(s, "Endpoint=sb://localhost:") || !strings.HasSuffix(s, "EntityPath=second") {
		t.Fatalf("connection string %q", s)
	}
	first := e.Info().EventHub
	for _, tt := range []struct {
		text     string
		kept     int
		wantName string
	}{
		{second.EventHub.EmulatorConnectionString, 1, "second"},
		{strings.Replace(second.EventHub.ConnectionString, "second.test", "localhost", 1), 1, "second"},
		{first.EmulatorConnectionString, 0, "localhost"},
		{first.ConnectionString, 0, "localhost"},
		// The first hub's key is not the second one's.
		{strings.Replace(first.ConnectionString, "EntityPath=localhost", "EntityPath=second", 1), 0, ""},
	} {
		client, err := azeventhubs.NewConsumerClientFromConnectionString(tt.text, "", "$Default", &azeventhubs.ConsumerClientOptions{
			TLSConfig:    &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12},
			RetryOptions: azeventhubs.RetryOptions{MaxRetries: -1},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		properties, err := client.GetEventHubProperties(ctx, nil)
		if (err == nil) != (tt.wantName != "") || err == nil && properties.Name != tt.wantName {
			t.Errorf("%s: %+v, %v; want %q", tt.text, properties, err, tt.wantName)
		}
		kept := 0
		for _, partition := range properties.PartitionIDs {
			p, err := client.GetPartitionProperties(ctx, partition, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !p.IsEmpty {
				kept++
			}
		}
		if kept != tt.kept {
			t.Errorf("%s: %d partitions with events, want %d", tt.text, kept, tt.kept)
		}
		if err := client.Close(ctx); err != nil {
			t.Error(err)
		}
		cancel()
	}
}
