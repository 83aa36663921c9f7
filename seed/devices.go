package seed

import (
	"strings"

	"github.com/hubnerite/hubnerite/iothub"
)

func (v *validator) devices(h *Hub, n *node) {
	once := v.names("device", false)
	parents, edge := map[string]string{}, map[string]*bool{}
	for i := range h.Devices {
		d, place := &h.Devices[i], list(n, "devices")[i]
		once(d.ID, place.at)
		edge[d.ID] = d.IoTEdge
		v.refuse(at(place, "id"), iothub.ValidateDeviceID(d.ID))
		v.authentication(d.Authentication, place)
		v.twin(d.Twin, place)
		v.modules(d, place)
		if d.Parent != nil && *d.Parent != "" {
			parents[d.ID] = *d.Parent
			v.refuse(at(place, "parent"), iothub.ValidateDeviceID(*d.Parent))
		}
	}
	for i, d := range h.Devices {
		place := list(n, "devices")[i]
		parent, has := parents[d.ID]
		if !has {
			continue
		}
		if isEdge, named := edge[parent]; named && (isEdge == nil || !*isEdge) {
			v.complain(at(place, "parent"), "the parent %q is not an IoT Edge device: it needs iotEdge: true", parent)
		}
		steps := 0
		for up, ok := parent, true; ok && steps <= len(parents); up, ok = parents[up] {
			if up == d.ID {
				v.complain(at(place, "parent"), "the device %q is its own ancestor", d.ID)
				break
			}
			steps++
		}
	}
}

func (v *validator) modules(d *Device, n *node) {
	once := v.names("module", false)
	own := 0
	for i := range d.Modules {
		m, place := &d.Modules[i], list(n, "modules")[i]
		once(m.ID, place.at)
		v.refuse(at(place, "id"), iothub.ValidateModuleID(m.ID))
		v.twin(m.Twin, place)
		v.authentication(m.Authentication, place)
		if !strings.HasPrefix(m.ID, "$") {
			own++
			continue
		}
		switch {
		case m.ID != iothub.EdgeAgent && m.ID != iothub.EdgeHub:
			v.complain(at(place, "id"), "module IDs that begin with $ belong to the system: there are %s and %s", iothub.EdgeAgent, iothub.EdgeHub)
		case m.Authentication != nil || m.ManagedBy != nil:
			v.complain(place.at, "the system's module %s has nothing but a twin", m.ID)
		case d.IoTEdge != nil && !*d.IoTEdge:
			v.complain(place.at, "only an IoT Edge device has the module %s", m.ID)
		}
	}
	if own > iothub.MaxModules {
		v.complain(at(n, "modules"), "a device has at most %d modules, not %d", iothub.MaxModules, own)
	}
}

func (v *validator) authentication(a *Authentication, owner *node) {
	if a == nil {
		return
	}
	n := owner.member("authentication")
	v.keys(n, a.PrimaryKey, a.SecondaryKey)
	keys, thumbprints := a.PrimaryKey != "" || a.SecondaryKey != "", a.PrimaryThumbprint != "" || a.SecondaryThumbprint != ""
	switch a.Kind() {
	case iothub.AuthSAS:
		if thumbprints {
			v.complain(n.at, "type sas has no thumbprints")
		}
	case iothub.AuthSelfSigned:
		if keys {
			v.complain(n.at, "type selfSigned has no keys")
		}
	case iothub.AuthCertificateAuthority:
		if keys || thumbprints {
			v.complain(n.at, "type certificateAuthority has neither keys nor thumbprints")
		}
	}
}

// Kind returns the type, which follows from the other members when it is left out.
func (a *Authentication) Kind() iothub.AuthenticationType {
	switch {
	case a.Type != "":
		return iothub.AuthenticationType(a.Type)
	case a.PrimaryThumbprint != "" || a.SecondaryThumbprint != "":
		return iothub.AuthSelfSigned
	}
	return iothub.AuthSAS
}

// twin checks a twin's content against the rules of patches; how large the result is depends on what is there.
func (v *validator) twin(t Twin, owner *node) {
	for _, part := range []struct {
		name   string
		values map[string]any
	}{{"tags", t.Tags}, {"desired", t.Desired}, {"reported", t.Reported}} {
		if part.values == nil {
			continue
		}
		var err error
		switch empty := iothub.NewTwin(anyTime()); part.name {
		case "tags":
			_, err = empty.Patch(iothub.TwinPatch{Tags: part.values}, anyTime())
		case "desired":
			_, err = empty.Patch(iothub.TwinPatch{Desired: part.values}, anyTime())
		default:
			_, err = empty.Report(part.values, anyTime())
		}
		v.refuse(at(owner, part.name), err)
	}
}
