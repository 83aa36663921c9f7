package iothub

import (
	"encoding/json"
	"maps"
)

// The bodies of what the hub itself tells of. Source: IoT Hub non-telemetry
// event schemas.

// MarshalTwinUpdate returns the body of an updateTwin event: the changed parts
// as written, nulls included, with the metadata of what they left and the
// versions. A nil part has not changed.
func MarshalTwinUpdate(t Twin, tags, desired, reported map[string]any) ([]byte, error) {
	type changed struct {
		Desired  map[string]any `json:"desired,omitempty"`
		Reported map[string]any `json:"reported,omitempty"`
	}
	doc := struct {
		Version    int64          `json:"version"`
		Tags       map[string]any `json:"tags,omitempty"`
		Properties *changed       `json:"properties,omitempty"`
	}{Version: t.Version, Tags: tags}
	if desired != nil || reported != nil {
		doc.Properties = &changed{t.Desired.changed(desired), t.Reported.changed(reported)}
	}
	return json.Marshal(doc)
}

// changed returns a patch with the section's version and the metadata of what
// it wrote; nil for a nil patch.
func (s Section) changed(patch map[string]any) map[string]any {
	if patch == nil {
		return nil
	}
	out := make(map[string]any, len(patch)+2)
	maps.Copy(out, patch)
	out["$metadata"] = s.Metadata.only(patch)
	out["$version"] = s.Version
	return out
}

// only returns the metadata of what a patch wrote and did not delete.
func (m *Metadata) only(patch map[string]any) *Metadata {
	if m == nil {
		return nil
	}
	out := &Metadata{LastUpdated: m.LastUpdated, LastUpdatedVersion: m.LastUpdatedVersion, Children: map[string]*Metadata{}}
	for name, v := range patch {
		child := m.Children[name]
		if child == nil {
			continue
		}
		part, _ := v.(map[string]any)
		out.Children[name] = child.only(part)
	}
	return out
}

// MarshalEventTwin returns the body of a replaceTwin event and of the events
// about a device or module that was created or deleted: the whole twin.
func MarshalEventTwin(id ID, t Twin) ([]byte, error) {
	tags := t.Tags
	if tags == nil {
		tags = map[string]any{}
	}
	return json.Marshal(struct {
		DeviceID   string         `json:"deviceId"`
		ModuleID   string         `json:"moduleId,omitempty"`
		ETag       string         `json:"etag"`
		Version    int64          `json:"version"`
		Tags       map[string]any `json:"tags"`
		Properties propertiesJSON `json:"properties"`
	}{
		id.DeviceID, id.ModuleID, t.ETagText(), t.Version, tags,
		propertiesJSON{t.Desired.document(true), t.Reported.document(true)},
	})
}
