package iothub

import (
	"maps"
	"reflect"
	"slices"
)

// Assign returns desired properties after some places are removed and then
// assignments made, the later over the earlier. An object replaces what is
// there; an assignment to all of the properties replaces each member that it
// has, or everything when whole is true. desired is not changed.
// Source: IoT Hub, automatic device management (target content); IoT Edge,
// automatic deployments.
func Assign(desired map[string]any, removed [][]string, list []Assignment, whole bool) map[string]any {
	out := maps.Clone(desired)
	if out == nil {
		out = map[string]any{}
	}
	for _, path := range removed {
		setPath(out, path, nil)
	}
	for _, a := range list {
		if len(a.Path) > 0 {
			setPath(out, a.Path, withoutNulls(a.Value))
			continue
		}
		object := desiredObject(a.Value)
		if whole {
			clear(out)
		}
		for name, v := range object {
			setPath(out, []string{name}, withoutNulls(v))
		}
	}
	return out
}

// setPath sets a place in an object that may be changed; the objects below it may not. nil removes.
func setPath(object map[string]any, path []string, value any) {
	name := path[0]
	if len(path) == 1 {
		if value == nil {
			delete(object, name)
		} else {
			object[name] = value
		}
		return
	}
	below, ok := object[name].(map[string]any)
	if !ok && value == nil {
		return
	}
	below = maps.Clone(below)
	if below == nil {
		below = map[string]any{}
	}
	setPath(below, path[1:], value)
	object[name] = below
}

func withoutNulls(v any) any {
	object, ok := v.(map[string]any)
	if !ok {
		return v
	}
	out := make(map[string]any, len(object))
	for name, member := range object {
		if member != nil {
			out[name] = withoutNulls(member)
		}
	}
	return out
}

// Difference returns the twin patch that makes before into after, nil when they are equal.
func Difference(before, after map[string]any) map[string]any {
	out := map[string]any{}
	for name := range before {
		if _, ok := after[name]; !ok {
			out[name] = nil
		}
	}
	for name, v := range after {
		old, there := before[name]
		was, isObject := old.(map[string]any)
		now, ok := v.(map[string]any)
		switch {
		case isObject && ok:
			if change := Difference(was, now); change != nil {
				out[name] = change
			}
		case !there || !reflect.DeepEqual(old, v):
			out[name] = v
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// Paths returns the places that assignments set: an assignment to all of the
// properties sets each member that it has.
func Paths(list []Assignment) [][]string {
	var out [][]string
	for _, a := range list {
		if len(a.Path) > 0 {
			out = append(out, a.Path)
			continue
		}
		for name := range desiredObject(a.Value) {
			out = append(out, []string{name})
		}
	}
	return out
}

// Overrides reports whether an assignment to over decides of the whole of path.
func Overrides(over, path []string) bool {
	return len(over) <= len(path) && slices.Equal(over, path[:len(over)])
}
