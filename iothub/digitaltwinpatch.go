package iothub

import (
	"encoding/json"
	"errors"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
)

const (
	// maxDTDLName is the longest name of a component, property or field.
	maxDTDLName = 64
	// maxDTDLDepth is how deep objects of a property may nest.
	maxDTDLDepth = 5
	// maxPatchOperations bounds the work of one patch; the size of the twin
	// would end a longer one that says anything.
	maxPatchOperations = 1000
)

// DigitalTwinPatch turns a JSON Patch (RFC 6902) of the digital twin document
// into the change of desired properties that it means; nil when it changes
// nothing. Operations are add, replace and remove, of a component (whose value
// has an empty $metadata), a property, or a field of one.
// Errors: InvalidDigitalTwinJsonPatch (no JSON Patch), InvalidDigitalTwinPatch
// (another operation), InvalidDigitalTwinPatchPath (a name that is not DTDL's,
// or nothing there), InvalidDigitalTwinPayload (a value that is not DTDL's), and
// ArgumentInvalid when what is there already is none.
// Source: Manage IoT Plug and Play digital twins.
func (t Twin) DigitalTwinPatch(patch []byte) (map[string]any, error) {
	operations, err := decodeDigitalTwinPatch(patch)
	if err != nil || len(operations) == 0 {
		return nil, err
	}
	before := writableDocument(t)
	after, err := applyDigitalTwinPatch(before, operations)
	if err != nil {
		return nil, err
	}
	touched := touchedBy(operations, before, after)
	out := make(map[string]any, len(touched))
	for name, properties := range touched {
		if err := conformant(name, before[name]); err != nil {
			return nil, err
		}
		desired := t.Desired.Values[name]
		if properties != nil {
			component, err := componentChange(name, properties, desired, after[name])
			if err != nil {
				return nil, err
			}
			out[name] = component
			continue
		}
		value, err := rootChange(name, before[name], after)
		if err != nil {
			return nil, err
		}
		out[name] = replacement(desired, value)
	}
	return out, nil
}

// patchOperation is an operation with its path taken apart.
type patchOperation struct {
	jsonpatch.Operation
	path []string
}

func decodeDigitalTwinPatch(body []byte) ([]patchOperation, error) {
	patch, err := jsonpatch.DecodePatch(body)
	if err != nil {
		return nil, NewError(CodeInvalidDigitalTwinJsonPatch, "The body is not a JSON Patch.").WithCause(err)
	}
	if len(patch) > maxPatchOperations {
		return nil, NewError(CodeInvalidDigitalTwinJsonPatch, "The patch has more than %d operations.", maxPatchOperations)
	}
	operations := make([]patchOperation, len(patch))
	for i, op := range patch {
		switch op.Kind() {
		case "add", "replace", "remove":
		default:
			return nil, NewError(CodeInvalidDigitalTwinPatch, "A digital twin takes the operations add, replace and remove, not %q.", op.Kind())
		}
		path, err := op.Path()
		if err != nil {
			return nil, NewError(CodeInvalidDigitalTwinJsonPatch, "Operation %d has no path.", i).WithCause(err)
		}
		names := strings.Split(path, "/")
		if names[0] != "" || len(names) < 2 {
			return nil, NewError(CodeInvalidDigitalTwinPatchPath, "The path %.128q does not name a component or property.", path)
		}
		for _, name := range names[1:] {
			if !validDTDLName(name) {
				return nil, NewError(CodeInvalidDigitalTwinPatchPath,
					"The path %.128q has a name that a component, property or field cannot have.", path)
			}
		}
		operations[i] = patchOperation{op, names[1:]}
	}
	return operations, nil
}

// validDTDLName: letters, digits and underscores, beginning with a letter and
// not ending with an underscore.
func validDTDLName(name string) bool {
	if name == "" || len(name) > maxDTDLName || strings.HasSuffix(name, "_") {
		return false
	}
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}

// writableDocument is the digital twin as a patch sees it: what is desired of
// each property, or else what the device reports.
func writableDocument(t Twin) map[string]any {
	doc, metadata := digitalTwinRoot(t)
	for _, value := range doc {
		component, _ := value.(map[string]any)
		if own, ok := component["$metadata"].(map[string]any); ok {
			desire(component, own)
			component["$metadata"] = map[string]any{}
		}
	}
	desire(doc, metadata)
	return doc
}

func desire(object, metadata map[string]any) {
	for name, m := range metadata {
		own, _ := m.(map[string]any)
		if value, ok := own["desiredValue"]; ok {
			object[name] = value
		}
	}
}

func applyDigitalTwinPatch(before map[string]any, operations []patchOperation) (map[string]any, error) {
	doc, err := json.Marshal(before)
	if err != nil {
		return nil, err
	}
	patch := make(jsonpatch.Patch, len(operations))
	for i, op := range operations {
		patch[i] = op.Operation
	}
	options := jsonpatch.NewApplyOptions()
	options.SupportNegativeIndices = false
	doc, err = patch.ApplyWithOptions(doc, options)
	switch {
	case errors.Is(err, jsonpatch.ErrMissing):
		return nil, NewError(CodeInvalidDigitalTwinPatchPath, "The digital twin has nothing at a path of the patch: %v.", err)
	case err != nil:
		return nil, NewError(CodeInvalidDigitalTwinPatch, "The patch does not fit the digital twin: %v.", err)
	}
	return DecodeObject(doc)
}

// touchedBy returns the names at the root that the operations write; of a
// component of which only properties are written, those, else nil.
func touchedBy(operations []patchOperation, before, after map[string]any) map[string]map[string]bool {
	touched := map[string]map[string]bool{}
	for _, op := range operations {
		name := op.path[0]
		properties, seen := touched[name]
		switch {
		case len(op.path) == 1, !hasMetadata(before[name]), !hasMetadata(after[name]), seen && properties == nil:
			touched[name] = nil
		case !seen:
			touched[name] = map[string]bool{op.path[1]: true}
		default:
			properties[op.path[1]] = true
		}
	}
	return touched
}

func hasMetadata(v any) bool {
	object, _ := v.(map[string]any)
	_, ok := object["$metadata"]
	return ok
}

// componentChange is the patch of a component of which only some properties are written.
func componentChange(name string, properties map[string]bool, desired, after any) (map[string]any, error) {
	old, _ := desired.(map[string]any)
	now, _ := after.(map[string]any)
	change := map[string]any{componentMarker: componentValue}
	for property := range properties {
		value, there := now[property]
		if there {
			if err := checkDTDL(name+"."+property, value, 0); err != nil {
				return nil, err
			}
		}
		change[property] = replacement(old[property], value)
	}
	return change, nil
}

// rootChange returns the desired value of a property or whole component, nil
// when it is removed.
func rootChange(name string, before any, after map[string]any) (any, error) {
	value, there := after[name]
	if !there {
		return nil, nil
	}
	object, _ := value.(map[string]any)
	metadata, marked := object["$metadata"]
	if !marked {
		if hasMetadata(before) {
			return nil, NewError(CodeInvalidDigitalTwinPayload, "%s is a component: its value must have an empty $metadata.", name)
		}
		return value, checkDTDL(name, value, 0)
	}
	if marker, ok := metadata.(map[string]any); !ok || len(marker) != 0 {
		return nil, NewError(CodeInvalidDigitalTwinPayload, "The $metadata of component %s must be an empty object.", name)
	}
	component := map[string]any{componentMarker: componentValue}
	for property, v := range object {
		if property == "$metadata" {
			continue
		}
		if !validDTDLName(property) {
			return nil, NewError(CodeInvalidDigitalTwinPayload, "%s.%.128s is not a name that a property can have.", name, property)
		}
		if err := checkDTDL(name+"."+property, v, 0); err != nil {
			return nil, err
		}
		component[property] = v
	}
	return component, nil
}

// checkDTDL checks the value of a property: no arrays, no null, fields with
// proper names, not too deep.
func checkDTDL(where string, v any, depth int) error {
	switch v := v.(type) {
	case nil:
		return NewError(CodeInvalidDigitalTwinPayload, "%s must not be null: remove it instead.", where)
	case []any:
		return NewError(CodeInvalidDigitalTwinPayload, "%s must not be an array.", where)
	case map[string]any:
		if depth == maxDTDLDepth {
			return NewError(CodeInvalidDigitalTwinPayload, "%s nests more than %d levels.", where, maxDTDLDepth)
		}
		for name, field := range v {
			if !validDTDLName(name) {
				return NewError(CodeInvalidDigitalTwinPayload, "%s has a field %.128q, which is not a name that a field can have.", where, name)
			}
			if err := checkDTDL(where+"."+name, field, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// conformant refuses to patch a part of the twin that no digital twin could have.
func conformant(name string, before any) error {
	object, isObject := before.(map[string]any)
	if isObject && hasMetadata(before) {
		for property, value := range object {
			if property == "$metadata" {
				continue
			}
			if !validDTDLName(property) || checkDTDL(property, value, 0) != nil {
				return notConformant(name + "." + property)
			}
		}
		return nil
	}
	if before != nil && checkDTDL(name, before, 0) != nil {
		return notConformant(name)
	}
	return nil
}

func notConformant(name string) error {
	return NewError(CodeArgumentInvalid, "'%s' exists within the device twin and is not a digital twin conformant property.", name)
}

// replacement returns the twin patch that makes old exactly value: twin patches
// merge, so what value has no longer becomes null.
func replacement(old, value any) any {
	was, ok := old.(map[string]any)
	now, isObject := value.(map[string]any)
	if !ok || !isObject {
		return value
	}
	out := make(map[string]any, len(was)+len(now))
	for name := range was {
		out[name] = nil
	}
	for name, v := range now {
		out[name] = replacement(was[name], v)
	}
	return out
}
