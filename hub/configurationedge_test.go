package hub

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// edge creates an edge device with a tag.
func (f *fixture) edge(name, site string) {
	f.t.Helper()
	id := iothub.ID{DeviceID: name}
	if _, err := f.CreateIdentity(context.Background(), id, iothub.IdentityRequest{Capabilities: &iothub.Capabilities{IoTEdge: true}}); err != nil {
		f.t.Fatalf("create %q: %v", name, err)
	}
	f.tag(name, site)
}

const (
	baseContent = `{"modulesContent":{"$edgeAgent":{"properties.desired":{"schemaVersion":"1.1","modules":{"m":{"image":"a"}}}},
		"$edgeHub":{"properties.desired":{"routes":{"r":"FROM /* INTO $upstream"}}},"m":{"properties.desired":{"i":1}}}}`
	layerContent = `{"modulesContent":{"$edgeAgent":{"properties.desired.modules.extra":{"image":"b"}},"m":{"properties.desired.more":{"x":2}},
		"extra":{"properties.desired":{"y":3}}}}`
)

func TestDeployment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.edge("e", "n")
		f.device("leaf")
		f.tag("leaf", "n")
		f.configuration("base", "tags.site='n'", 10, baseContent, "")
		f.wantDesired("e/$edgeAgent", `{"modules":{"m":{"image":"a"}},"schemaVersion":"1.1"}`, `{"base":{"status":"Applied"}}`)
		f.wantDesired("e/$edgeHub", `{"routes":{"r":"FROM /* INTO $upstream"}}`, `null`)
		f.wantDesired("e/m", `{"i":1}`, `null`)
		f.wantDesired("e", `{}`, `{"base":{"status":"Applied"}}`)
		f.wantDesired("leaf", `{}`, `null`) // no edge device
		if i, err := f.GetIdentity(t.Context(), iothub.ID{DeviceID: "e", ModuleID: "m"}); err != nil || i.ManagedBy != "iotEdge" {
			t.Errorf("module %+v, %v", i.Identity, err)
		}

		// A layer above the base adds to it, one below does not.
		f.configuration("layer", "tags.site='n'", 20, layerContent, "")
		f.configuration("under", "tags.site='n'", 5, `{"modulesContent":{"$edgeAgent":{"properties.desired.modules.never":{}}}}`, "")
		f.wantDesired("e/$edgeAgent", `{"modules":{"extra":{"image":"b"},"m":{"image":"a"}},"schemaVersion":"1.1"}`,
			`{"base":{"status":"Applied"},"layer":{"status":"Applied"},"under":{"status":"Targeted"}}`)
		f.wantDesired("e/m", `{"i":1,"more":{"x":2}}`, `null`)
		f.wantDesired("e/extra", `{"y":3}`, `null`)

		// The agent reports what became of it.
		agent, _ := f.connect(iothub.ID{DeviceID: "e", ModuleID: "$edgeAgent"}, "mqtt")
		version := f.twin("e/$edgeAgent").Twin.Desired.Version
		if version != 3 {
			t.Errorf("desired version %d", version)
		}
		if _, err := agent.Report(t.Context(), []byte(`{"lastDesiredVersion":3,"lastDesiredStatus":{"code":200}}`), nil); err != nil {
			t.Fatal(err)
		}
		f.settle()
		r, err := f.GetConfiguration(t.Context(), "base")
		if err != nil || r.System["targetedCount"] != 1 || r.System["appliedCount"] != 1 || r.System["reportedSuccessfulCount"] != 1 || r.System["reportedFailedCount"] != 0 {
			t.Errorf("metrics %v, %v", r.System, err)
		}

		// Without a base the layer has nothing to stand on, and the device goes on as it is.
		if err := f.DeleteConfiguration(t.Context(), "base", ""); err != nil {
			t.Fatal(err)
		}
		f.wantDesired("e/$edgeAgent", `{"modules":{"extra":{"image":"b"},"m":{"image":"a"}},"schemaVersion":"1.1"}`,
			`{"layer":{"status":"Targeted"},"under":{"status":"Targeted"}}`)
		// Of two bases the higher one applies alone.
		time.Sleep(time.Second)
		f.configuration("base2", "*", 30, `{"modulesContent":{"$edgeAgent":{"properties.desired":{"modules":{}}}}}`, "")
		f.wantDesired("e/$edgeAgent", `{"modules":{}}`, `{"base2":{"status":"Applied"},"layer":{"status":"Targeted"},"under":{"status":"Targeted"}}`)
		// What somebody writes over is set again.
		id := iothub.ID{DeviceID: "e", ModuleID: "$edgeAgent"}
		if _, err := f.PatchTwin(t.Context(), id, iothub.TwinPatch{Desired: map[string]any{"mine": true}}, ""); err != nil {
			t.Fatal(err)
		}
		f.wantDesired("e/$edgeAgent", `{"modules":{}}`, `{"base2":{"status":"Applied"},"layer":{"status":"Targeted"},"under":{"status":"Targeted"}}`)
		// Out of scope, nothing is taken back.
		f.configuration("base2", "tags.site='x'", 30, `{"modulesContent":{"$edgeAgent":{"properties.desired":{}}}}`, "*")
		f.wantDesired("e/$edgeAgent", `{"modules":{}}`, `{"layer":{"status":"Targeted"},"under":{"status":"Targeted"}}`)
	})
}

// Content is applied to one device by one caller at a time.
func TestApplyContentInProgress(t *testing.T) {
	f := newFixture(t)
	f.edge("e", "n")
	f.configurations.applying["e"] = struct{}{}
	wantCode(t, f.ApplyContent(t.Context(), "e", []byte(baseContent)), iothub.CodeApplyConfigurationAlreadyInProgressOnDevice)
	delete(f.configurations.applying, "e")
	if err := f.ApplyContent(t.Context(), "e", []byte(baseContent)); err != nil {
		t.Fatal(err)
	}
	f.wantDesired("e/m", `{"i":1}`, `null`)
	f.edge("other", "n")
	f.configuration("base", "deviceId = 'e'", 1, `{"modulesContent":{"$edgeAgent":{"properties.desired":{"modules":{}}}}}`, "")
	f.settle()
	// A deployment has the last word.
	if err := f.ApplyContent(t.Context(), "e", []byte(baseContent)); err != nil {
		t.Fatal(err)
	}
	f.wantDesired("e/$edgeAgent", `{"modules":{}}`, `{"base":{"status":"Applied"}}`)
	f.wantDesired("other/$edgeAgent", `{}`, `null`)
}
