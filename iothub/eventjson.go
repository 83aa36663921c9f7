package iothub

import "strconv"

// The bodies of what the hub itself tells of. Source: IoT Hub non-telemetry
// event schemas.

// MarshalTwinUpdate returns the body of an updateTwin event: the changed parts
// as written, nulls included, with the metadata of what they left and the
// versions. A nil part has not changed.
func MarshalTwinUpdate(t Twin, tags, desired, reported map[string]any) ([]byte, error) {
	b := strconv.AppendInt(append(make([]byte, 0, 512), `{"version":`...), t.Version, 10)
	var err error
	if len(tags) > 0 {
		if b, err = appendJSONValue(appendJSONMember(b, "tags"), tags); err != nil {
			return nil, err
		}
	}
	if desired == nil && reported == nil {
		return append(b, '}'), nil
	}
	b = append(appendJSONMember(b, "properties"), '{')
	for _, part := range []struct {
		name    string
		section Section
		patch   map[string]any
	}{{"desired", t.Desired, desired}, {"reported", t.Reported, reported}} {
		if part.patch == nil {
			continue
		}
		changed := Section{Values: part.patch, Metadata: part.section.Metadata.only(part.patch), Version: part.section.Version}
		if b, err = changed.appendDocument(appendJSONMember(b, part.name), true); err != nil {
			return nil, err
		}
	}
	return append(b, "}}"...), nil
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
	b := appendJSONString(append(make([]byte, 0, 1024), `{"deviceId":`...), id.DeviceID)
	if id.IsModule() {
		b = appendJSONString(appendJSONMember(b, "moduleId"), id.ModuleID)
	}
	b = appendJSONString(appendJSONMember(b, "etag"), t.ETagText())
	b = strconv.AppendInt(appendJSONMember(b, "version"), t.Version, 10)
	b, err := appendJSONValue(appendJSONMember(b, "tags"), tags)
	if err != nil {
		return nil, err
	}
	if b, err = t.appendProperties(appendJSONMember(b, "properties"), true); err != nil {
		return nil, err
	}
	return append(b, '}'), nil
}
