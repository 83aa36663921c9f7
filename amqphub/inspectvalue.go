package amqphub

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/iothub"
)

// inspected makes of an AMQP value, or of a struct of them, what encoding/json can write; nil for null.
func inspected(v reflect.Value) any {
	if !v.IsValid() {
		return nil
	}
	switch value := v.Interface().(type) {
	case wire.Map:
		return inspectedMap(value)
	case wire.UUID:
		return fmt.Sprintf("%x-%x-%x-%x-%x", value[:4], value[4:6], value[6:8], value[8:10], value[10:])
	case time.Time:
		if value.IsZero() {
			return nil
		}
		return value.UTC().Format(time.RFC3339Nano)
	case []byte:
		if value == nil {
			return nil
		}
		return inspectedBytes(value)
	case *wire.Error:
		if value == nil {
			return nil
		}
		return inspectedStruct(v.Elem())
	case error:
		return value.Error()
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return inspected(v.Elem())
	case reflect.Struct:
		if _, ok := v.Interface().(wire.DeliveryState); ok {
			// The type says what has become of the delivery.
			return map[string]any{strings.ToLower(v.Type().Name()): inspectedStruct(v)}
		}
		return inspectedStruct(v)
	case reflect.Slice, reflect.Array:
		return inspectedList(v)
	case reflect.String:
		if text := v.String(); strings.HasPrefix(text, "SharedAccessSignature ") {
			return iothub.WithoutSignature(text)
		}
		return v.String()
	case reflect.Float32, reflect.Float64:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Sprint(f)
		}
		return v.Float()
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return v.Uint()
	default:
		return fmt.Sprint(v.Interface())
	}
}

// inspectedStruct leaves out what is null, false, zero or empty.
func inspectedStruct(v reflect.Value) any {
	if set := v.FieldByName("Set"); v.NumField() == 2 && set.IsValid() && v.Type().Field(0).Name == "Value" {
		if !set.Bool() {
			return nil
		}
		return inspected(v.Field(0))
	}
	fields := map[string]any{}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		if value := inspected(v.Field(i)); value != nil && !isEmpty(value) {
			fields[lowerFirst(field.Name)] = value
		}
	}
	return fields
}

func inspectedList(v reflect.Value) any {
	list := make([]any, v.Len())
	for i := range list {
		list[i] = inspected(v.Index(i))
	}
	return list
}

func inspectedMap(m wire.Map) any {
	if m == nil {
		return nil
	}
	out := map[string]any{}
	for _, entry := range m {
		out[fmt.Sprint(entry.Key)] = inspected(reflect.ValueOf(entry.Value))
	}
	return out
}

// inspectedBytes is JSON as it is, other text as text, and the rest in base64 (short ones in hexadecimal).
func inspectedBytes(b []byte) any {
	switch {
	case json.Valid(b):
		return json.RawMessage(b)
	case utf8.Valid(b) && strings.IndexFunc(string(b), func(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) }) < 0:
		return string(b)
	case len(b) <= 32:
		return "0x" + hex.EncodeToString(b)
	default:
		return map[string]string{"base64": base64.StdEncoding.EncodeToString(b)}
	}
}

func isEmpty(value any) bool {
	switch v := value.(type) {
	case string:
		return v == ""
	case bool:
		return !v
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

func lowerFirst(name string) string {
	i := 0
	for i < len(name) && unicode.IsUpper(rune(name[i])) {
		i++
	}
	if i > 1 && i < len(name) {
		i-- // the last capital begins the next word
	}
	return strings.ToLower(name[:i]) + name[i:]
}
