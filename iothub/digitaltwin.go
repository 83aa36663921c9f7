package iothub

import (
	"encoding/json"
	"maps"
	"time"
)

// A component of a digital twin is an object with this member in the sections
// of a device twin. Source: IoT Plug and Play conventions.
const (
	componentMarker = "__t"
	componentValue  = "c"
)

// MarshalDigitalTwin returns the twin as the digital twin API shows it:
// reported values as properties, components as objects with a $metadata of
// their own, and in $metadata what is desired of each property and how the device
// acknowledged it. A twin without a model has the $model "".
// Source: Understand IoT Plug and Play digital twins.
func MarshalDigitalTwin(id ID, t Twin) ([]byte, error) {
	doc, metadata := digitalTwinRoot(t)
	metadata["$model"] = t.ModelID
	doc["$metadata"] = metadata
	doc["$dtId"] = id.DeviceID
	return json.Marshal(doc)
}

func digitalTwinRoot(t Twin) (doc, metadata map[string]any) {
	doc, metadata = map[string]any{}, map[string]any{}
	desired, reported := node{t.Desired.Values, t.Desired.Metadata}, node{t.Reported.Values, t.Reported.Metadata}
	for name := range names(desired, reported) {
		d, r := desired.child(name), reported.child(name)
		if !isComponent(d.value) && !isComponent(r.value) {
			addProperty(doc, metadata, name, d, r)
			continue
		}
		component, own := map[string]any{}, map[string]any{}
		for property := range names(d, r) {
			if property != componentMarker {
				addProperty(component, own, property, d.child(property), r.child(property))
			}
		}
		component["$metadata"] = own
		doc[name] = component
	}
	return doc, metadata
}

// node is a place in a section of a twin: its value, nil when there is none, and
// when that was written.
type node struct {
	value    any
	metadata *Metadata
}

func (n node) child(name string) node {
	object, _ := n.value.(map[string]any)
	var metadata *Metadata
	if n.metadata != nil {
		metadata = n.metadata.Children[name]
	}
	return node{object[name], metadata}
}

func (n node) lastUpdated() time.Time {
	if n.metadata == nil {
		return time.Time{}
	}
	return n.metadata.LastUpdated
}

// names returns the members of both nodes.
func names(a, b node) map[string]struct{} {
	out := map[string]struct{}{}
	for _, n := range []node{a, b} {
		object, _ := n.value.(map[string]any)
		for name := range object {
			out[name] = struct{}{}
		}
	}
	return out
}

func isComponent(v any) bool {
	object, _ := v.(map[string]any)
	return object[componentMarker] == componentValue
}

// addProperty writes one property into a component or the root. A writable
// property is reported as an object of value, ac, av and ad.
// Source: IoT Plug and Play conventions, writable properties.
func addProperty(doc, metadata map[string]any, name string, desired, reported node) {
	own := map[string]any{}
	at := desired.lastUpdated()
	if reported.value != nil {
		doc[name] = reported.value
		at = reported.lastUpdated()
		if ack, ok := acknowledged(reported.value); ok {
			maps.Copy(own, ack)
			delete(own, "value")
			if doc[name] = ack["value"]; ack["value"] == nil {
				delete(doc, name)
			}
		}
	}
	if desired.value != nil {
		own["desiredValue"] = desired.value
		if desired.metadata != nil {
			own["desiredVersion"] = desired.metadata.LastUpdatedVersion
		}
	}
	own["lastUpdateTime"] = FormatTime(at)
	metadata[name] = own
}

// acknowledged returns the parts of an acknowledgement under the names of the
// digital twin's metadata.
func acknowledged(reported any) (map[string]any, bool) {
	object, _ := reported.(map[string]any)
	code, coded := object["ac"]
	version, versioned := object["av"]
	if !coded || !versioned {
		return nil, false
	}
	ack := map[string]any{"value": object["value"], "ackCode": code, "ackVersion": version}
	if description, ok := object["ad"]; ok {
		ack["ackDescription"] = description
	}
	return ack, true
}
