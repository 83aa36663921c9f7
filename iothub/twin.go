package iothub

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// Twin is the document of tags, desired and reported properties of a device or
// module. A Twin is a value: no function of this package changes one in place,
// so a reader may keep it while others write.
// Source: IoT Hub devguide, understand and use device twins.
type Twin struct {
	// ETag and Version count the writes of tags and desired properties. A new
	// twin has ETag 1 and Version 2.
	ETag    uint64         `json:"etag"`
	Version int64          `json:"version"`
	Tags    map[string]any `json:"tags"`
	// Desired is written by back ends, Reported by the device.
	Desired  Section `json:"desired"`
	Reported Section `json:"reported"`
	// ModelID is the digital twin model the device announced, or "".
	ModelID string `json:"modelId,omitempty"`
}

// Section is one half of a twin's properties.
type Section struct {
	// Values is the JSON object; numbers are json.Number so that they keep their
	// text. Values and everything below it are never changed in place.
	Values   map[string]any `json:"values"`
	Metadata *Metadata      `json:"metadata"`
	// Version rises by one on each write of the section, from 1.
	Version int64 `json:"version"`
}

// Metadata mirrors the object tree of a section: when each node was written.
// Arrays and scalars are leaves.
type Metadata struct {
	LastUpdated time.Time
	// LastUpdatedVersion is the section version of the write; 0 (absent) in
	// reported properties and in a desired section never written.
	LastUpdatedVersion int64
	Children           map[string]*Metadata
}

// NewTwin returns the twin of an identity created at the given time.
func NewTwin(now time.Time) Twin {
	section := func() Section {
		return Section{Values: map[string]any{}, Metadata: &Metadata{LastUpdated: now}, Version: 1}
	}
	return Twin{ETag: 1, Version: 2, Tags: map[string]any{}, Desired: section(), Reported: section()}
}

// ETagText returns the etag as the service sends it: base64 of eight big-endian
// bytes, without quotes.
func (t Twin) ETagText() string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, t.ETag))
}

// TwinPatch is a change of a twin by a back end. A nil part is left alone.
type TwinPatch struct {
	Tags    map[string]any
	Desired map[string]any
}

// Patch merges p into the twin: objects recursively, null deletes, arrays and
// scalars replace. It returns ArgumentInvalid when the patch breaks a rule or
// the result a size limit.
func (t Twin) Patch(p TwinPatch, now time.Time) (Twin, error) {
	return t.change(p, now, false)
}

// Replace sets tags and desired properties to exactly what p holds (a nil part
// becomes empty); reported properties stay.
func (t Twin) Replace(p TwinPatch, now time.Time) (Twin, error) {
	if p.Tags == nil {
		p.Tags = map[string]any{}
	}
	if p.Desired == nil {
		p.Desired = map[string]any{}
	}
	return t.change(p, now, true)
}

func (t Twin) change(p TwinPatch, now time.Time, replace bool) (Twin, error) {
	if p.Tags != nil {
		if err := validateTwinObject("tags", p.Tags); err != nil {
			return Twin{}, err
		}
		base := t.Tags
		if replace {
			base = nil
		}
		t.Tags = mergeValues(base, p.Tags)
		if err := checkTwinSize("tags", t.Tags, MaxTagsSize); err != nil {
			return Twin{}, err
		}
	}
	if p.Desired != nil {
		if err := validateTwinObject("properties.desired", p.Desired); err != nil {
			return Twin{}, err
		}
		version := t.Desired.Version + 1
		if replace {
			t.Desired.Values, t.Desired.Metadata = nil, nil
		}
		t.Desired = t.Desired.merge(p.Desired, now, version, version)
		if err := checkTwinSize("properties.desired", t.Desired.Values, MaxDesiredSize); err != nil {
			return Twin{}, err
		}
	}
	t.ETag++
	t.Version++
	return t, nil
}

// Report merges a patch from the device into the reported properties. It
// returns ArgumentInvalid when the patch breaks a rule or the size limit.
func (t Twin) Report(patch map[string]any, now time.Time) (Twin, error) {
	if err := validateTwinObject("properties.reported", patch); err != nil {
		return Twin{}, err
	}
	t.Reported = t.Reported.merge(patch, now, t.Reported.Version+1, 0)
	if err := checkTwinSize("properties.reported", t.Reported.Values, MaxReportedSize); err != nil {
		return Twin{}, err
	}
	return t, nil
}

// merge returns the section with patch merged in; stamp is the version written
// into the metadata, 0 for none.
func (s Section) merge(patch map[string]any, now time.Time, version, stamp int64) Section {
	return Section{
		Values:   mergeValues(s.Values, patch),
		Metadata: mergeMetadata(s.Metadata, patch, now, stamp),
		Version:  version,
	}
}

// mergeValues copies base along the changed paths only.
func mergeValues(base, patch map[string]any) map[string]any {
	out := make(map[string]any, len(base)+len(patch))
	maps.Copy(out, base)
	for k, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(out, k)
		case map[string]any:
			old, _ := out[k].(map[string]any)
			out[k] = mergeValues(old, v)
		default:
			out[k] = v
		}
	}
	return out
}

func mergeMetadata(base *Metadata, patch map[string]any, now time.Time, stamp int64) *Metadata {
	out := &Metadata{LastUpdated: now, LastUpdatedVersion: stamp, Children: make(map[string]*Metadata, len(patch))}
	if base != nil {
		maps.Copy(out.Children, base.Children)
	}
	for k, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(out.Children, k)
		case map[string]any:
			out.Children[k] = mergeMetadata(out.Children[k], v, now, stamp)
		default:
			out.Children[k] = &Metadata{LastUpdated: now, LastUpdatedVersion: stamp}
		}
	}
	return out
}

// MarshalJSON writes $lastUpdated, $lastUpdatedVersion and the children.
func (m *Metadata) MarshalJSON() ([]byte, error) { return m.appendJSON(nil), nil }

// UnmarshalJSON reads what MarshalJSON writes.
func (m *Metadata) UnmarshalJSON(data []byte) error {
	var raw map[string]any
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	return m.decode(raw)
}

func (m *Metadata) decode(raw map[string]any) error {
	*m = Metadata{}
	for k, v := range raw {
		switch v := v.(type) {
		case string:
			at, err := time.Parse(time.RFC3339, v)
			if err != nil || k != "$lastUpdated" {
				return fmt.Errorf("metadata: %q is %q", k, v)
			}
			m.LastUpdated = at
		case json.Number:
			n, err := v.Int64()
			if err != nil || k != "$lastUpdatedVersion" {
				return fmt.Errorf("metadata: %q is %s", k, v)
			}
			m.LastUpdatedVersion = n
		case float64:
			if k != "$lastUpdatedVersion" {
				return fmt.Errorf("metadata: %q is a number", k)
			}
			m.LastUpdatedVersion = int64(v) // as good as a float64 is, which is far
		case map[string]any:
			child := new(Metadata)
			if err := child.decode(v); err != nil {
				return err
			}
			if m.Children == nil {
				m.Children = make(map[string]*Metadata, len(raw))
			}
			m.Children[k] = child
		default:
			return fmt.Errorf("metadata: %q is %v", k, v)
		}
	}
	return nil
}
