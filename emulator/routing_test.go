package emulator_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

func TestRoutingConfiguration(t *testing.T) {
	dir := t.TempDir()
	route := iothub.Route{Name: "r", Source: iothub.SourceDeviceLifecycle, EndpointNames: []string{"hook"}, IsEnabled: true}
	enrichment := iothub.Enrichment{Key: "hub", Value: "$iothubname", EndpointNames: []string{"events", "hook"}}
	endpoint := iothub.Endpoint{Name: "hook", URL: "http://127.0.0.1:1/"}
	want := hub.Routing{
		Routes: []iothub.Route{route}, Enrichments: []iothub.Enrichment{enrichment}, Endpoints: []iothub.Endpoint{endpoint}, Fallback: true,
	}
	e, err := emulator.Start(t.Context(), emulator.Config{
		DataDir: dir, Routes: want.Routes, Enrichments: want.Enrichments, Endpoints: want.Endpoints,
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, e.Hub().Routing()); diff != "" {
		t.Error(diff)
	}
	if err := e.Hub().SetFallback(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A later start has what was there, and changes what its configuration names.
	want.Fallback = false
	want.Endpoints[0].URL = "http://127.0.0.1:2/"
	e = emulatortest.Run(t, emulatortest.WithConfig(func(c *emulator.Config) {
		c.DataDir, c.Endpoints = dir, want.Endpoints
	}))
	if diff := cmp.Diff(want, e.Hub().Routing()); diff != "" {
		t.Error(diff)
	}
}
