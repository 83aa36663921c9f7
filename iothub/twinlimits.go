package iothub

import (
	"encoding/json"
	"math/big"
	"strings"
	"unicode"
	"unicode/utf8"
)

// validateTwinObject checks a patch of a twin section against the rules for
// names, texts, numbers, nesting and nulls. where is the path for messages.
// Source: IoT Hub devguide, device twins (tags and properties format).
func validateTwinObject(where string, m map[string]any) error {
	return validateTwinMap(where, m, twinDepth{})
}

// twinDepth says how many objects, below the section itself, and how many arrays
// are around a value.
type twinDepth struct{ objects, arrays int }

func validateTwinMap(where string, m map[string]any, depth twinDepth) error {
	if depth.objects > MaxTwinDepth {
		return NewError(CodeArgumentInvalid, "%s nests more than %d objects.", where, MaxTwinDepth)
	}
	for k, v := range m {
		if err := validateTwinKey(where, k); err != nil {
			return err
		}
		if err := validateTwinValue(where+"."+k, v, depth); err != nil {
			return err
		}
	}
	return nil
}

func validateTwinKey(where, k string) error {
	switch {
	case k == "" || len(k) > MaxTwinKey:
		return NewError(CodeArgumentInvalid, "A property name in %s must have 1 to %d bytes.", where, MaxTwinKey)
	case !utf8.ValidString(k) || strings.ContainsAny(k, ".$# ") || strings.ContainsFunc(k, unicode.IsControl):
		return NewError(CodeArgumentInvalid,
			"The property name %q in %s must not contain control characters, '.', '$', '#' or space.", k, where)
	}
	return nil
}

func validateTwinValue(where string, v any, depth twinDepth) error {
	switch v := v.(type) {
	case nil:
		if depth.arrays > 0 {
			return NewError(CodeArgumentInvalid, "%s must not contain null.", where)
		}
	case string:
		if len(v) > MaxTwinString {
			return NewError(CodeArgumentInvalid, "%s is longer than %d bytes.", where, MaxTwinString)
		}
	case json.Number:
		return validateTwinNumber(where, v)
	case map[string]any:
		depth.objects++
		return validateTwinMap(where, v, depth)
	case []any:
		if depth.arrays++; depth.arrays > MaxTwinDepth {
			return NewError(CodeArgumentInvalid, "%s nests more than %d arrays.", where, MaxTwinDepth)
		}
		for _, e := range v {
			if err := validateTwinValue(where, e, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// validateTwinNumber bounds whole numbers; fractions and exponents are doubles.
func validateTwinNumber(where string, n json.Number) error {
	if strings.ContainsAny(n.String(), ".eE") {
		if _, err := n.Float64(); err != nil {
			return NewError(CodeArgumentInvalid, "%s is not a double.", where)
		}
		return nil
	}
	// A long run of digits would make big.Int work for nothing.
	if i, ok := new(big.Int), len(n) <= 20; ok {
		if _, ok = i.SetString(n.String(), 10); ok && i.IsInt64() && i.Int64() >= MinTwinInteger && i.Int64() <= MaxTwinInteger {
			return nil
		}
	}
	return NewError(CodeArgumentInvalid, "%s must be between %d and %d.", where, int64(MinTwinInteger), int64(MaxTwinInteger))
}

func checkTwinSize(where string, m map[string]any, limit int) error {
	if n := twinSize(m); n > limit {
		return NewError(CodeArgumentInvalid, "%s would have %d bytes; the limit is %d.", where, n, limit)
	}
	return nil
}

// twinSize counts names and values: texts by their bytes without control
// characters, numbers 8, booleans 4.
// Source: IoT Hub devguide, device twins (device twin size).
func twinSize(v any) int {
	n := 0
	switch v := v.(type) {
	case string:
		for _, r := range v {
			if !unicode.IsControl(r) {
				n += utf8.RuneLen(r)
			}
		}
	case json.Number:
		n = 8
	case bool:
		n = 4
	case map[string]any:
		for k, e := range v {
			n += len(k) + twinSize(e)
		}
	case []any:
		for _, e := range v {
			n += twinSize(e)
		}
	}
	return n
}
