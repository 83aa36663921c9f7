package seedhub

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/seed"
)

// createBatch is how many identities are created at once.
const createBatch = 1000

// devices applies devices, parents before their children, because the scope of a parent goes into its children.
func (a *applier) devices(ctx context.Context) error {
	for _, level := range a.levels() {
		var (
			list  []hub.Seeded
			paths [][]any
		)
		flush := func() error {
			for i, err := range a.Hub.CreateSeeded(ctx, list) {
				if err != nil {
					return a.failed(err, paths[i]...)
				}
				a.counts.created()
			}
			list, paths = list[:0], paths[:0]
			return nil
		}
		for _, i := range level {
			d := &a.part.Hub.Devices[i]
			there, err := a.find(ctx, iothub.ID{DeviceID: d.ID})
			if err != nil {
				return a.failed(err, "devices", i)
			}
			if there != nil {
				if err := a.changeDevice(ctx, d, there); err != nil {
					return a.failed(err, "devices", i)
				}
				continue
			}
			made, err := a.newDevice(ctx, d)
			if err != nil {
				return a.failed(err, "devices", i)
			}
			list, paths = append(list, made), append(paths, at("devices", i))
			if len(list) == createBatch {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		if err := flush(); err != nil {
			return err
		}
		for _, i := range level {
			if err := a.modules(ctx, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// levels returns the places of the devices, those whose parents are not in the seed first, then their children.
func (a *applier) levels() (levels [][]int) {
	parents := map[string]string{}
	for _, d := range a.part.Hub.Devices {
		parents[d.ID] = ""
	}
	for _, d := range a.part.Hub.Devices {
		if d.Parent != nil {
			if _, named := parents[*d.Parent]; named {
				parents[d.ID] = *d.Parent
			}
		}
	}
	for i, d := range a.part.Hub.Devices {
		depth := 0
		for up := parents[d.ID]; up != ""; up = parents[up] {
			depth++
		}
		for len(levels) <= depth {
			levels = append(levels, nil)
		}
		levels[depth] = append(levels[depth], i)
	}
	return levels
}

// scopeOf returns the scope of a parent, which is there by now.
func (a *applier) scopeOf(ctx context.Context, parent string) (string, error) {
	if parent == "" {
		return "", nil
	}
	there, err := a.find(ctx, iothub.ID{DeviceID: parent})
	switch {
	case err != nil:
		return "", err
	case there == nil || !there.Identity.Capabilities.IoTEdge:
		return "", fmt.Errorf("the parent %q is not an IoT Edge device", parent)
	}
	return there.Identity.DeviceScope, nil
}

func (a *applier) newDevice(ctx context.Context, d *seed.Device) (hub.Seeded, error) {
	request := iothub.IdentityRequest{Status: iothub.Status(d.Status), StatusReason: d.StatusReason, Authentication: newAuthentication(d.Authentication)}
	if d.IoTEdge != nil {
		request.Capabilities = &iothub.Capabilities{IoTEdge: *d.IoTEdge}
	}
	if d.Parent != nil {
		scope, err := a.scopeOf(ctx, *d.Parent)
		if err != nil {
			return hub.Seeded{}, err
		}
		setScope(&request, scope)
	}
	out := hub.Seeded{ID: iothub.ID{DeviceID: d.ID}, Request: request, Twin: iothub.TwinPatch{Tags: d.Tags, Desired: d.Desired}, Reported: d.Reported}
	if d.ModelID != nil {
		out.ModelID = *d.ModelID
	}
	return out, nil
}

// setScope makes the device of a request the child of the edge device that has the scope.
func setScope(r *iothub.IdentityRequest, scope string) {
	switch {
	case r.Capabilities != nil && r.Capabilities.IoTEdge:
		r.ParentScopes = nil
		if scope != "" {
			r.ParentScopes = []string{scope}
		}
	default:
		r.DeviceScope, r.ParentScopes = scope, nil
	}
}

// newAuthentication is that of a new identity. nil stays nil: the registry makes keys.
func newAuthentication(a *seed.Authentication) *iothub.AuthenticationRequest {
	if a == nil {
		return nil
	}
	auth, _ := merge(iothub.Authentication{}, a)
	return request(auth)
}

// merge returns an identity's authentication with what a seed says of it, and whether that changes anything.
func merge(now iothub.Authentication, want *seed.Authentication) (out iothub.Authentication, changed bool) {
	out = now
	if want == nil {
		return out, false
	}
	if kind := want.Kind(); kind != now.Type {
		out, changed = iothub.Authentication{Type: kind}, true
	}
	set := func(place *string, value string) {
		if value != "" && value != *place {
			*place, changed = value, true
		}
	}
	switch out.Type {
	case iothub.AuthSAS:
		set(&out.SymmetricKey.PrimaryKey, want.PrimaryKey)
		set(&out.SymmetricKey.SecondaryKey, want.SecondaryKey)
		for _, key := range []*string{&out.SymmetricKey.PrimaryKey, &out.SymmetricKey.SecondaryKey} {
			if *key == "" {
				*key = newKey()
			}
		}
	case iothub.AuthSelfSigned:
		setThumbprint := func(place **string, value string) {
			if value != "" && (*place == nil || !strings.EqualFold(**place, value)) {
				*place, changed = &value, true
			}
		}
		setThumbprint(&out.X509Thumbprint.PrimaryThumbprint, want.PrimaryThumbprint)
		setThumbprint(&out.X509Thumbprint.SecondaryThumbprint, want.SecondaryThumbprint)
	}
	return out, changed
}

// newKey returns 32 random bytes as base64.
func newKey() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return base64.StdEncoding.EncodeToString(b[:])
}

func request(a iothub.Authentication) *iothub.AuthenticationRequest {
	out := &iothub.AuthenticationRequest{Type: a.Type}
	if a.Type == iothub.AuthSAS {
		out.SymmetricKey = &a.SymmetricKey
	} else {
		out.X509Thumbprint = &a.X509Thumbprint
	}
	return out
}

// changeDevice writes what of a device differs.
func (a *applier) changeDevice(ctx context.Context, d *seed.Device, there *hub.Twin) error {
	now := there.Identity
	auth, changed := merge(now.Authentication, d.Authentication)
	r := iothub.IdentityRequest{
		Status: now.Status, StatusReason: &now.StatusReason, Authentication: request(auth), Capabilities: &iothub.Capabilities{IoTEdge: now.Capabilities.IoTEdge},
		DeviceScope: now.DeviceScope, ParentScopes: now.ParentScopes,
	}
	if d.Status != "" && d.Status != string(now.Status) {
		r.Status, changed = iothub.Status(d.Status), true
	}
	if d.StatusReason != nil && *d.StatusReason != now.StatusReason {
		r.StatusReason, changed = d.StatusReason, true
	}
	parent := ""
	if len(now.ParentScopes) > 0 {
		parent = now.ParentScopes[0]
	}
	wantParent := parent
	if d.Parent != nil {
		var err error
		if wantParent, err = a.scopeOf(ctx, *d.Parent); err != nil {
			return err
		}
	}
	edge := now.Capabilities.IoTEdge
	if d.IoTEdge != nil {
		edge = *d.IoTEdge
	}
	if edge != now.Capabilities.IoTEdge {
		// Its own scope comes or goes.
		r.Capabilities.IoTEdge, r.DeviceScope, changed = edge, "", true
		setScope(&r, wantParent)
	} else if wantParent != parent {
		changed = true
		setScope(&r, wantParent)
	}
	if changed {
		if err := a.Hub.ReplaceSeeded(ctx, now.ID, r); err != nil {
			return err
		}
	}
	twinChanged, err := a.changeTwin(ctx, there, d.Twin, d.ModelID)
	a.counts.changed(changed || twinChanged)
	return err
}

func (a *applier) modules(ctx context.Context, device int) error {
	d := &a.part.Hub.Devices[device]
	for j := range d.Modules {
		m := &d.Modules[j]
		id := iothub.ID{DeviceID: d.ID, ModuleID: m.ID}
		there, err := a.find(ctx, id)
		if err == nil {
			if there == nil {
				err = a.newModule(ctx, id, m)
			} else {
				err = a.changeModule(ctx, m, there)
			}
		}
		if err != nil {
			return a.failed(err, "devices", device, "modules", j)
		}
	}
	return nil
}

func (a *applier) newModule(ctx context.Context, id iothub.ID, m *seed.Module) error {
	made := hub.Seeded{
		ID: id, Request: iothub.IdentityRequest{ManagedBy: m.ManagedBy, Authentication: newAuthentication(m.Authentication)},
		Twin: iothub.TwinPatch{Tags: m.Tags, Desired: m.Desired}, Reported: m.Reported,
	}
	if m.ModelID != nil {
		made.ModelID = *m.ModelID
	}
	if err := a.Hub.CreateSeeded(ctx, []hub.Seeded{made})[0]; err != nil {
		return err
	}
	a.counts.created()
	return nil
}

func (a *applier) changeModule(ctx context.Context, m *seed.Module, there *hub.Twin) error {
	now := there.Identity
	auth, changed := merge(now.Authentication, m.Authentication)
	managedBy := now.ManagedBy
	if m.ManagedBy != nil && *m.ManagedBy != managedBy {
		managedBy, changed = *m.ManagedBy, true
	}
	if changed {
		r := iothub.IdentityRequest{ManagedBy: &managedBy, Authentication: request(auth)}
		if err := a.Hub.ReplaceSeeded(ctx, now.ID, r); err != nil {
			return err
		}
	}
	twinChanged, err := a.changeTwin(ctx, there, m.Twin, m.ModelID)
	a.counts.changed(changed || twinChanged)
	return err
}

// changeTwin writes what of a twin differs.
func (a *applier) changeTwin(ctx context.Context, there *hub.Twin, want seed.Twin, modelID *string) (changed bool, err error) {
	id := there.Identity.ID
	patch := iothub.TwinPatch{Tags: difference(there.Twin.Tags, want.Tags), Desired: difference(there.Twin.Desired.Values, want.Desired)}
	if patch.Tags != nil || patch.Desired != nil {
		changed = true
		_, err = a.Hub.PatchTwin(ctx, id, patch, "")
	}
	if reported := difference(there.Twin.Reported.Values, want.Reported); reported != nil {
		changed = true
		err = errors.Join(err, a.Hub.Report(ctx, id, reported))
	}
	if modelID != nil && *modelID != there.Twin.ModelID {
		changed = true
		err = errors.Join(err, a.Hub.SetModelID(ctx, id, *modelID))
	}
	return changed, err
}

// difference returns the part of a patch that changes something, nil for nothing.
func difference(now, patch map[string]any) map[string]any {
	var out map[string]any
	set := func(name string, value any) {
		if out == nil {
			out = map[string]any{}
		}
		out[name] = value
	}
	for name, want := range patch {
		have, there := now[name]
		object, isObject := want.(map[string]any)
		haveObject, hasObject := have.(map[string]any)
		switch {
		case want == nil:
			if there {
				set(name, nil)
			}
		case isObject && hasObject:
			if inner := difference(haveObject, object); inner != nil {
				set(name, inner)
			}
		case !there || isObject || !equal(have, want):
			set(name, want)
		}
	}
	return out
}
