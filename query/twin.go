package query

import (
	"maps"
	"strings"

	"github.com/hubnerite/hubnerite/iothub"
)

// Live is what happens now, as far as queries can ask: it is read when a
// condition is evaluated, never kept.
type Live interface {
	// Connection returns state and times of the connection; C2DCount need not be set.
	Connection(id iothub.ID) iothub.ConnectionInfo
	// C2DCount returns the number of waiting cloud-to-device messages.
	C2DCount(id iothub.ID, generation string) int
	// Configurations returns what automatic device management says of a device or
	// module, by configuration ID, such as {"fw": {"status": "Applied"}}; nil for nothing.
	Configurations(id iothub.ID) map[string]any
}

// TwinDocument is the environment of conditions on twins: the members of the
// twin document that back ends see. The first name of a path has its fixed
// spelling here, see [Parser.Query]; tags and properties are compared exactly.
// Source: IoT Hub devguide, query language; queries for device and module twins.
type TwinDocument struct {
	Identity *iothub.Identity
	Twin     *iothub.Twin
	// Live may be nil: then nothing is connected.
	Live Live
}

// Lookup gives a name its value.
func (t *TwinDocument) Lookup(p *Path) Value {
	if v, ok := LookupLive(p, t.Identity.ID, t.Identity.GenerationID, t.Live); ok {
		return v
	}
	return t.Stored(p)
}

// IsLive reports whether a name's value is not a part of the stored twin.
func IsLive(p *Path) bool {
	switch p.Root {
	case "connectionState", "lastActivityTime", "cloudToDeviceMessageCount", "configurations":
		return true
	}
	return false
}

// LookupLive gives the names of IsLive their values; ok is false for all others.
func LookupLive(p *Path, id iothub.ID, generation string, live Live) (v Value, ok bool) {
	if !IsLive(p) {
		return nil, false
	}
	if p.Root == "configurations" {
		if live == nil {
			return Undefined{}, true
		}
		all := live.Configurations(id)
		if all == nil {
			return Undefined{}, true
		}
		return Follow(all, p.Steps), true
	}
	if len(p.Steps) > 0 {
		return Undefined{}, true
	}
	switch p.Root {
	case "cloudToDeviceMessageCount":
		if live == nil {
			return 0.0, true
		}
		return float64(live.C2DCount(id, generation)), true
	default:
		var info iothub.ConnectionInfo
		if live != nil {
			info = live.Connection(id)
		}
		if p.Root == "connectionState" {
			return info.ConnectionState(), true
		}
		return iothub.FormatTime(info.LastActivityTime), true
	}
}

// Stored gives the names of the stored document their values.
func (t *TwinDocument) Stored(p *Path) Value {
	switch p.Root {
	case "tags":
		return Follow(t.Twin.Tags, p.Steps)
	case "properties":
		return t.properties(p.Steps)
	case "x509Thumbprint":
		return Follow(thumbprints(t.Identity.Authentication.X509Thumbprint), p.Steps)
	case "capabilities":
		return Follow(map[string]any{"iotEdge": t.Identity.Capabilities.IoTEdge}, p.Steps)
	case "parentScopes":
		if len(t.Identity.ParentScopes) == 0 {
			return Undefined{}
		}
		scopes := make([]any, len(t.Identity.ParentScopes))
		for i, s := range t.Identity.ParentScopes {
			scopes[i] = s
		}
		return Follow(scopes, p.Steps)
	}
	if len(p.Steps) > 0 {
		return Undefined{}
	}
	return t.attribute(p.Root)
}

// attribute returns a member that has no members.
func (t *TwinDocument) attribute(name string) Value {
	i := t.Identity
	switch name {
	case "deviceId":
		return i.ID.DeviceID
	case "moduleId":
		return textOrUndefined(i.ID.ModuleID)
	case "etag":
		return t.Twin.ETagText()
	case "deviceEtag":
		return i.ETag
	case "version":
		return float64(t.Twin.Version)
	case "status":
		return string(i.Status)
	case "statusReason":
		return textOrUndefined(i.StatusReason)
	case "statusUpdateTime":
		return iothub.FormatTime(i.StatusUpdatedTime)
	case "authenticationType":
		return string(i.Authentication.Type)
	case "modelId":
		return t.Twin.ModelID
	case "deviceScope":
		return textOrUndefined(i.DeviceScope)
	}
	return Undefined{}
}

func thumbprints(x iothub.X509Thumbprint) map[string]any {
	text := func(s *string) any {
		if s == nil {
			return nil
		}
		return *s
	}
	return map[string]any{"primaryThumbprint": text(x.PrimaryThumbprint), "secondaryThumbprint": text(x.SecondaryThumbprint)}
}

func (t *TwinDocument) properties(steps []Step) Value {
	if len(steps) == 0 {
		return map[string]any{"desired": section(t.Twin.Desired), "reported": section(t.Twin.Reported)}
	}
	var s iothub.Section
	switch steps[0].Name {
	case "desired":
		s = t.Twin.Desired
	case "reported":
		s = t.Twin.Reported
	default:
		return Undefined{}
	}
	if len(steps) == 1 {
		return section(s)
	}
	if steps[1].IsIndex {
		return Undefined{}
	}
	switch steps[1].Name {
	case "$version":
		if len(steps) > 2 {
			return Undefined{}
		}
		return float64(s.Version)
	case "$metadata":
		return metadata(s.Metadata, steps[2:])
	}
	return Follow(s.Values, steps[1:])
}

// section returns the whole document of a section, for IS_OBJECT and projections.
func section(s iothub.Section) map[string]any {
	out := make(map[string]any, len(s.Values)+2)
	maps.Copy(out, s.Values)
	out["$version"] = float64(s.Version)
	out["$metadata"] = metadataDocument(s.Metadata)
	return out
}

func metadata(m *iothub.Metadata, steps []Step) Value {
	for i, s := range steps {
		if m == nil || s.IsIndex {
			return Undefined{}
		}
		if s.Name == "$lastUpdated" || s.Name == "$lastUpdatedVersion" {
			return Follow(metadataStamps(m), steps[i:])
		}
		m = m.Children[s.Name]
	}
	if m == nil {
		return Undefined{}
	}
	return metadataDocument(m)
}

func metadataStamps(m *iothub.Metadata) map[string]any {
	out := map[string]any{"$lastUpdated": iothub.FormatTime(m.LastUpdated)}
	if m.LastUpdatedVersion != 0 {
		out["$lastUpdatedVersion"] = float64(m.LastUpdatedVersion)
	}
	return out
}

func metadataDocument(m *iothub.Metadata) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	out := metadataStamps(m)
	for name, child := range m.Children {
		out[name] = metadataDocument(child)
	}
	return out
}

// twinPath gives the fixed words of a twin's names their spelling: these may be
// written in any case. Source: queries for device and module twins (projections).
func twinPath(p *Path) *Path {
	out := &Path{Root: spelling(p.Root, "deviceId", "moduleId", "etag", "deviceEtag", "version", "status", "statusReason",
		"statusUpdateTime", "connectionState", "lastActivityTime", "cloudToDeviceMessageCount", "authenticationType",
		"x509Thumbprint", "modelId", "tags", "properties", "capabilities", "deviceScope", "parentScopes", "configurations")}
	if strings.EqualFold(out.Root, "id") {
		// Microsoft's tools know the device ID under this name, too.
		out.Root = "deviceId"
	}
	out.Steps = append([]Step(nil), p.Steps...)
	respell := func(i int, words ...string) {
		if i < len(out.Steps) && !out.Steps[i].IsIndex {
			out.Steps[i].Name = spelling(out.Steps[i].Name, words...)
		}
	}
	switch out.Root {
	case "properties":
		respell(0, "desired", "reported")
		respell(1, "$version", "$metadata")
	case "x509Thumbprint":
		respell(0, "primaryThumbprint", "secondaryThumbprint")
	case "capabilities":
		respell(0, "iotEdge")
	}
	for i := range out.Steps {
		out.Steps[i].Quoted = false
	}
	return out
}

func spelling(word string, known ...string) string {
	for _, k := range known {
		if strings.EqualFold(word, k) {
			return k
		}
	}
	return word
}

// Object is the environment of documents that are plain JSON objects, such as
// the rows of devices.jobs. First names are compared without case.
type Object map[string]any

// Lookup gives a name its value.
func (o Object) Lookup(p *Path) Value {
	v, ok := o[p.Root]
	if !ok {
		for name, value := range o {
			if strings.EqualFold(name, p.Root) {
				v, ok = value, true
			}
		}
	}
	if !ok {
		return Undefined{}
	}
	return Follow(v, p.Steps)
}
