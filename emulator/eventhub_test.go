package emulator_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
)

// Both connection strings work as they are printed, over TLS and without.
func TestEventHubConnectionStrings(t *testing.T) {
	e := emulatortest.Run(t, emulatortest.WithConfig(func(c *emulator.Config) {
		c.Partitions, c.ConsumerGroups = 7, []string{"dash"}
	}))
	info := e.Info()
	pem, err := os.ReadFile(info.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	if groups := e.Hub().ConsumerGroups(); !slices.Equal(groups, []string{"$Default", "dash"}) {
		t.Error(groups)
	}
	for _, text := range []string{info.EventHub.ConnectionString, info.EventHub.EmulatorConnectionString} {
		// This client takes a port in the string for a part of the certificate's name.
		client, err := azeventhubs.NewConsumerClientFromConnectionString(text, "", "dash", &azeventhubs.ConsumerClientOptions{
			TLSConfig: &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		properties, err := client.GetEventHubProperties(ctx, nil)
		if err != nil || properties.Name != info.EventHub.EntityPath || len(properties.PartitionIDs) != 7 {
			t.Errorf("%+v, %v", properties, err)
		}
		if err := client.Close(ctx); err != nil {
			t.Error(err)
		}
		cancel()
	}
}
