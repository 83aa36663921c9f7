package query

import (
	"encoding/json"
)

// Value is nil (JSON null), bool, float64, string, []any, map[string]any, or
// Undefined. Elements of arrays and objects may hold json.Number as well.
type Value any

// Undefined is the value of what is not there.
type Undefined struct{}

// FromJSON returns v, from a decoded JSON document, as a Value. A number that
// no float64 can hold is Undefined.
func FromJSON(v any) Value {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return Undefined{}
		}
		return f
	case int:
		return float64(v)
	case int64:
		return float64(v)
	}
	return v
}

// Follow returns what the steps lead to from v on: members of objects by their
// exact name, elements of arrays by index.
func Follow(v any, steps []Step) Value {
	for _, s := range steps {
		switch at := v.(type) {
		case map[string]any:
			member, ok := at[s.Name]
			if s.IsIndex || !ok {
				return Undefined{}
			}
			v = member
		case []any:
			if !s.IsIndex || s.Index >= len(at) {
				return Undefined{}
			}
			v = at[s.Index]
		default:
			return Undefined{}
		}
	}
	return FromJSON(v)
}

// equal returns whether two values of one type are equal, or Undefined:
// arrays and objects are not compared.
func equal(a, b Value) Value {
	switch a := a.(type) {
	case nil:
		if b == nil {
			return true
		}
	case bool:
		if b, ok := b.(bool); ok {
			return a == b
		}
	case float64:
		if b, ok := b.(float64); ok {
			return a == b
		}
	case string:
		if b, ok := b.(string); ok {
			return a == b
		}
	}
	return Undefined{}
}

// order compares two numbers or two texts; ok is false for anything else.
func order(a, b Value) (cmp int, ok bool) {
	switch a := a.(type) {
	case float64:
		b, ok := b.(float64)
		if !ok {
			return 0, false
		}
		switch {
		case a < b:
			return -1, true
		case a > b:
			return 1, true
		}
		return 0, a == b
	case string:
		b, ok := b.(string)
		if !ok {
			return 0, false
		}
		switch {
		case a < b:
			return -1, true
		case a > b:
			return 1, true
		}
		return 0, true
	}
	return 0, false
}
