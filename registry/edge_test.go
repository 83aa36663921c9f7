package registry

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store/memory"
)

func edgeCapability() *iothub.Capabilities { return &iothub.Capabilities{IoTEdge: true} }

func TestScopes(t *testing.T) {
	r, _ := newRegistry(t)
	ctx := t.Context()
	id := func(name string) iothub.ID { return iothub.ID{DeviceID: name} }
	parent, err := r.Create(ctx, id("parent-1"), iothub.IdentityRequest{Capabilities: edgeCapability()})
	if err != nil {
		t.Fatal(err)
	}
	child, err := r.Create(ctx, id("child"), iothub.IdentityRequest{Capabilities: edgeCapability(), ParentScopes: []string{parent.DeviceScope}})
	if err != nil || !slices.Equal(child.ParentScopes, []string{parent.DeviceScope}) || child.DeviceScope == parent.DeviceScope {
		t.Fatal(child, err)
	}
	// An update repeats the scope; without parents it detaches.
	_, err = r.Replace(ctx, child.ID, iothub.IdentityRequest{Capabilities: edgeCapability()}, "*")
	wantCode(t, "an update without the scope", err, iothub.CodeArgumentInvalid)
	if err != nil && !strings.Contains(err.Error(), "Device scope is immutable") {
		t.Error(err)
	}
	detached, err := r.Replace(ctx, child.ID, iothub.IdentityRequest{Capabilities: edgeCapability(), DeviceScope: child.DeviceScope, ParentScopes: []string{}}, "*")
	if err != nil || len(detached.ParentScopes) != 0 || detached.DeviceScope != child.DeviceScope {
		t.Error(detached, err)
	}
	for what, req := range map[string]iothub.IdentityRequest{
		"its own scope as parent": {Capabilities: edgeCapability(), DeviceScope: child.DeviceScope, ParentScopes: []string{child.DeviceScope}},
		"an unknown parent":       {Capabilities: edgeCapability(), DeviceScope: child.DeviceScope, ParentScopes: []string{scopePrefix + "nobody-1"}},
		"a parent's old scope":    {Capabilities: edgeCapability(), DeviceScope: child.DeviceScope, ParentScopes: []string{scopePrefix + "parent-1-1"}},
		"no scope at all":         {Capabilities: edgeCapability(), DeviceScope: child.DeviceScope, ParentScopes: []string{"parent-1"}},
	} {
		_, err := r.Replace(ctx, child.ID, req, "*")
		wantCode(t, what, err, iothub.CodeInvalidDeviceScope)
	}
	_, err = r.Replace(ctx, child.ID, iothub.IdentityRequest{
		Capabilities: edgeCapability(), DeviceScope: child.DeviceScope, ParentScopes: []string{parent.DeviceScope, parent.DeviceScope},
	}, "*")
	wantCode(t, "two parents", err, iothub.CodeArgumentInvalid)

	// A leaf: its scope is its parent's; parents alone are passed over.
	leaf, err := r.Create(ctx, id("leaf"), iothub.IdentityRequest{ParentScopes: []string{parent.DeviceScope}})
	if err != nil || leaf.DeviceScope != "" || len(leaf.ParentScopes) != 0 {
		t.Error(leaf, err)
	}
	leaf, err = r.Replace(ctx, leaf.ID, iothub.IdentityRequest{DeviceScope: parent.DeviceScope}, "*")
	if err != nil || leaf.DeviceScope != parent.DeviceScope || !slices.Equal(leaf.ParentScopes, []string{parent.DeviceScope}) {
		t.Error(leaf, err)
	}
	for _, scope := range []string{"somewhere", scopePrefix + "nobody-1", scopePrefix, scopePrefix + "leaf-1"} {
		_, err = r.Replace(ctx, leaf.ID, iothub.IdentityRequest{DeviceScope: scope}, "*")
		wantCode(t, scope, err, iothub.CodeInvalidDeviceScope)
	}
	// A parent that is gone may be kept, but not be chosen.
	if err := r.Delete(ctx, parent.ID, "*"); err != nil {
		t.Fatal(err)
	}
	if _, err = r.Replace(ctx, leaf.ID, iothub.IdentityRequest{DeviceScope: parent.DeviceScope}, "*"); err != nil {
		t.Error(err)
	}
	_, err = r.Create(ctx, id("late"), iothub.IdentityRequest{DeviceScope: parent.DeviceScope})
	wantCode(t, "a parent that is gone", err, iothub.CodeInvalidDeviceScope)
}

func TestEdgeCapabilityToggled(t *testing.T) {
	r, _ := newRegistry(t)
	ctx := t.Context()
	parent, err := r.Create(ctx, iothub.ID{DeviceID: "parent"}, iothub.IdentityRequest{Capabilities: edgeCapability()})
	if err != nil {
		t.Fatal(err)
	}
	createDevice(t, r, "d")
	id := iothub.ID{DeviceID: "d"}
	if _, err := r.Replace(ctx, id, iothub.IdentityRequest{DeviceScope: parent.DeviceScope}, "*"); err != nil {
		t.Fatal(err)
	}
	edge, err := r.Replace(ctx, id, iothub.IdentityRequest{Capabilities: edgeCapability(), DeviceScope: parent.DeviceScope}, "*")
	if err != nil || !strings.HasPrefix(edge.DeviceScope, scopePrefix+"d-") || !slices.Equal(edge.ParentScopes, []string{parent.DeviceScope}) {
		t.Fatal(edge, err)
	}
	if modules, err := r.ListModules(ctx, "d"); err != nil || len(modules) != 2 {
		t.Error(modules, err)
	}
	leaf, err := r.Replace(ctx, id, iothub.IdentityRequest{DeviceScope: edge.DeviceScope}, "*")
	if err != nil || leaf.DeviceScope != "" || leaf.ParentScopes != nil || leaf.Capabilities.IoTEdge {
		t.Error(leaf, err)
	}
}

func TestSystemModules(t *testing.T) {
	r, _ := newRegistry(t)
	ctx := t.Context()
	if _, err := r.Create(ctx, iothub.ID{DeviceID: "e"}, iothub.IdentityRequest{Capabilities: edgeCapability()}); err != nil {
		t.Fatal(err)
	}
	agent := iothub.ID{DeviceID: "e", ModuleID: "$edgeAgent"}
	wantCode(t, "delete", r.Delete(ctx, agent, "*"), iothub.CodeSystemModuleModifyUnauthorizedAccess)
	_, err := r.Replace(ctx, agent, iothub.IdentityRequest{}, "*")
	wantCode(t, "replace", err, iothub.CodeSystemModuleModifyUnauthorizedAccess)
	if i, err := r.Get(ctx, agent); err != nil || i.Authentication.Type != iothub.AuthNone {
		t.Error(i, err)
	}
	if _, _, err := r.PatchTwin(ctx, agent, iothub.TwinPatch{Desired: map[string]any{"a": true}}, ""); err != nil {
		t.Errorf("its twin is anyone's: %v", err)
	}
}

// The hub's limit counts devices and modules, those under way included.
func TestMaxIdentities(t *testing.T) {
	st := memory.New(memory.Options{})
	r, err := New(Options{Records: st.Records(), MaxIdentities: 10})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	createDevice(t, r, "d")
	for _, m := range []string{"a", "b"} {
		if _, err := r.Create(ctx, iothub.ID{DeviceID: "d", ModuleID: m}, iothub.IdentityRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	var many []Creation
	for _, name := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"} {
		many = append(many, Creation{ID: iothub.ID{DeviceID: name}})
	}
	refused := 0
	for _, err := range r.CreateDevices(ctx, many) {
		if err != nil {
			refused++
			wantCode(t, "too many", err, iothub.CodeTooManyDevices)
		}
	}
	if c, err := r.Counts(ctx); err != nil || c.Devices+c.Modules != 10 || refused != 2 {
		t.Errorf("%+v with %d refused, %v", c, refused, err)
	}
	_, err = r.Create(ctx, iothub.ID{DeviceID: "d", ModuleID: "c"}, iothub.IdentityRequest{})
	wantCode(t, "one module more", err, iothub.CodeTooManyDevices)
	if err := r.Delete(ctx, iothub.ID{DeviceID: "1"}, "*"); err != nil {
		t.Fatal(err)
	}
	createDevice(t, r, "again")
}
