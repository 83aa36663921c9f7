package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/query"
	"github.com/hubnerite/hubnerite/store"
)

// field is where a name's value stands in a stored record.
type field struct {
	path []string
	// rest leads on from there, from the first index on.
	rest []query.Step
	// absent is the value when the record has none there.
	absent query.Value
	// convert makes the value of what is stored; nil takes it as it is.
	convert func(any) any
}

// fieldsOf returns the fields of names; ok is false when a name is not one
// value of the record.
func fieldsOf(paths []*query.Path) (fields []field, ok bool) {
	for _, p := range paths {
		f, ok := fieldOf(p)
		if !ok {
			return nil, false
		}
		fields = append(fields, f)
	}
	return fields, true
}

func fieldOf(p *query.Path) (f field, ok bool) {
	steps := p.Steps
	f.absent = query.Undefined{}
	switch p.Root {
	case "tags":
		f.path = []string{"twin", "tags"}
	case "properties":
		if len(steps) < 2 || steps[0].IsIndex || steps[1].IsIndex || steps[0].Name != "desired" && steps[0].Name != "reported" {
			return f, false
		}
		f.path = []string{"twin", steps[0].Name, "values"}
		switch steps = steps[1:]; steps[0].Name {
		case "$metadata", "$version":
			f.path[2] = steps[0].Name[1:]
			steps = steps[1:]
		}
	case "modelId":
		f.path, f.absent = []string{"twin", "modelId"}, ""
	case "version":
		f.path = []string{"twin", "version"}
	case "status":
		f.path, f.absent = []string{"identity", "Status"}, ""
	case "deviceEtag":
		f.path, f.absent = []string{"identity", "ETag"}, ""
	case "authenticationType":
		f.path = []string{"identity", "Authentication", "type"}
	case "capabilities":
		f.path = []string{"identity", "Capabilities"}
	case "x509Thumbprint":
		f.path = []string{"identity", "Authentication", "x509Thumbprint"}
	case "statusReason":
		f.path, f.convert = []string{"identity", "StatusReason"}, unlessBlank
	case "deviceScope":
		f.path, f.convert = []string{"identity", "DeviceScope"}, unlessBlank
	case "parentScopes":
		f.path, f.convert = []string{"identity", "ParentScopes"}, unlessBlank
	case "statusUpdateTime":
		f.path, f.convert = []string{"identity", "StatusUpdatedTime"}, formatTime
		f.absent = iothub.FormatTime(time.Time{})
	case "etag":
		f.path, f.convert = []string{"twin", "etag"}, twinETag
	default:
		return f, false
	}
	for len(steps) > 0 && !steps[0].IsIndex {
		f.path = append(f.path, steps[0].Name)
		steps = steps[1:]
	}
	if len(p.Steps) > 0 {
		f.absent = query.Undefined{}
	}
	f.rest = steps
	return f, true
}

// project is scan for records of which single values can be read.
func (t *table) project(ctx context.Context, p store.Projector, fields []field, yield func(iothub.ID, rowRevision, []query.Value) error) error {
	paths := [][]string{{"identity", "GenerationID"}}
	for _, f := range fields {
		paths = append(paths, f.path)
	}
	values := make([]query.Value, len(fields))
	resume := ""
	for {
		next, err := p.Project(ctx, store.ListFilter{Kind: t.kind}, paths, resume, scanPage, func(row store.Projection) error {
			generation, _ := decodeValue(row.Values[0]).(string)
			for i, f := range fields {
				raw := row.Values[i+1]
				if raw == nil {
					values[i] = f.absent
					continue
				}
				v := decodeValue(raw)
				if f.convert != nil {
					v = f.convert(v)
				}
				values[i] = query.Follow(v, f.rest)
			}
			return yield(row.ID, rowRevision{generationNumber(generation), row.Revision}, values)
		})
		if err != nil {
			return err
		}
		if next == "" {
			return nil
		}
		resume = next
	}
}

// unlessBlank makes a blank text or list no value.
func unlessBlank(v any) any {
	if list, isList := v.([]any); v == nil || v == "" || isList && len(list) == 0 {
		return query.Undefined{}
	}
	return v
}

func formatTime(v any) any {
	text, _ := v.(string)
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return query.Undefined{}
	}
	return iothub.FormatTime(at)
}

func twinETag(v any) any {
	number, _ := v.(float64) // a count of writes
	return iothub.Twin{ETag: uint64(number)}.ETagText()
}

// decodeValue returns a stored JSON value.
func decodeValue(raw []byte) any {
	if len(raw) == 0 {
		return query.Undefined{}
	}
	switch raw[0] {
	case '"':
		if bytes.IndexByte(raw, '\\') < 0 {
			return string(raw[1 : len(raw)-1])
		}
	case 't':
		return true
	case 'f':
		return false
	case 'n':
		return nil
	case '{':
		// Conditions see no more of an object than that it is one.
		return map[string]any{}
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return query.FromJSON(json.Number(raw))
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return query.Undefined{}
	}
	return v
}

// generationText is the generation ID of a row.
func generationText(n int64) string { return strconv.FormatInt(n, 10) }
