package query

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Function is a function that expressions may call.
type Function struct {
	min, max int
	call     func([]Value) Value
}

// Functions are functions by their name in capital letters.
type Functions map[string]Function

func (f Function) arity() string {
	switch {
	case f.max == math.MaxInt:
		return fmt.Sprintf("%d arguments or more", f.min)
	case f.min != f.max:
		return fmt.Sprintf("%d to %d arguments", f.min, f.max)
	case f.min == 1:
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", f.min)
}

// RoutingFunctions returns the functions of the routing query language.
// Source: IoT Hub devguide, query language (functions).
func RoutingFunctions() Functions {
	all := Functions{
		"ABS": numeric(math.Abs), "EXP": numeric(math.Exp), "SQUARE": numeric(func(x float64) float64 { return x * x }),
		"CEILING": numeric(math.Ceil), "FLOOR": numeric(math.Floor), "SQRT": numeric(math.Sqrt),
		"SIGN": numeric(sign),
		"POWER": {2, 2, func(v []Value) Value {
			x, xOK := v[0].(float64)
			y, yOK := v[1].(float64)
			if !xOK || !yOK {
				return Undefined{}
			}
			return number(math.Pow(x, y))
		}},
	}
	maps.Copy(all, typeFunctions())
	maps.Copy(all, textFunctions())
	return all
}

// TwinFunctions returns the functions of queries over twins and jobs: those of
// routing, and the spellings and array search that Microsoft's own tools use.
// The documentation of twin queries names IS_DEFINED alone.
func TwinFunctions() Functions {
	all := RoutingFunctions()
	all["STARTSWITH"], all["ENDSWITH"] = all["STARTS_WITH"], all["ENDS_WITH"]
	all["ARRAY_CONTAINS"] = Function{2, 2, arrayContains}
	all["ARRAY_LENGTH"] = Function{1, 1, func(v []Value) Value {
		if list, ok := v[0].([]any); ok {
			return float64(len(list))
		}
		return Undefined{}
	}}
	return all
}

func arrayContains(v []Value) Value {
	list, ok := v[0].([]any)
	if _, undefined := v[1].(Undefined); !ok || undefined {
		return Undefined{}
	}
	for _, e := range list {
		if equal(FromJSON(e), v[1]) == true {
			return true
		}
	}
	return false
}

func numeric(f func(float64) float64) Function {
	return Function{1, 1, func(v []Value) Value {
		x, ok := v[0].(float64)
		if !ok {
			return Undefined{}
		}
		return number(f(x))
	}}
}

func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return 0
}

// typeFunctions are true or false for every value, Undefined included.
func typeFunctions() Functions {
	is := func(test func(Value) bool) Function {
		return Function{1, 1, func(v []Value) Value { return test(v[0]) }}
	}
	return Functions{
		"AS_NUMBER":  {1, 1, func(v []Value) Value { return asNumber(v[0]) }},
		"IS_ARRAY":   is(func(v Value) bool { _, ok := v.([]any); return ok }),
		"IS_BOOL":    is(func(v Value) bool { _, ok := v.(bool); return ok }),
		"IS_DEFINED": is(func(v Value) bool { _, undefined := v.(Undefined); return !undefined }),
		"IS_NULL":    is(func(v Value) bool { return v == nil }),
		"IS_NUMBER":  is(func(v Value) bool { _, ok := v.(float64); return ok }),
		"IS_OBJECT":  is(func(v Value) bool { _, ok := v.(map[string]any); return ok }),
		"IS_STRING":  is(func(v Value) bool { _, ok := v.(string); return ok }),
		"IS_PRIMITIVE": is(func(v Value) bool {
			switch v.(type) {
			case nil, bool, float64, string:
				return true
			}
			return false
		}),
	}
}

// asNumber reads a text as a JSON number, with blanks around it.
func asNumber(v Value) Value {
	switch v := v.(type) {
	case float64:
		return v
	case string:
		text := strings.TrimSpace(v)
		// ParseFloat knows more than numbers: "inf", "0x1p4", "1_000".
		if text == "" || strings.Trim(text, "0123456789+-.eE") != "" {
			return Undefined{}
		}
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return number(f)
		}
	}
	return Undefined{}
}

func textFunctions() Functions {
	test := func(f func(s, part string) bool) Function {
		return Function{2, 2, func(v []Value) Value {
			s, sOK := v[0].(string)
			part, partOK := v[1].(string)
			if !sOK || !partOK {
				return Undefined{}
			}
			return f(s, part)
		}}
	}
	text := func(f func(string) Value) Function {
		return Function{1, 1, func(v []Value) Value {
			s, ok := v[0].(string)
			if !ok {
				return Undefined{}
			}
			return f(s)
		}}
	}
	return Functions{
		"CONCAT":      {2, math.MaxInt, concat},
		"LENGTH":      text(func(s string) Value { return float64(utf8.RuneCountInString(s)) }),
		"LOWER":       text(func(s string) Value { return strings.ToLower(s) }),
		"UPPER":       text(func(s string) Value { return strings.ToUpper(s) }),
		"SUBSTRING":   {2, 3, substring},
		"INDEX_OF":    {2, 2, indexOf},
		"STARTS_WITH": test(strings.HasPrefix),
		"ENDS_WITH":   test(strings.HasSuffix),
		"CONTAINS":    test(strings.Contains),
	}
}

func concat(v []Value) Value {
	var out strings.Builder
	for _, part := range v {
		s, ok := part.(string)
		if !ok {
			return Undefined{}
		}
		out.WriteString(s)
	}
	return out.String()
}

// substring counts characters from 0; what lies outside the text is left out.
func substring(v []Value) Value {
	s, ok := v[0].(string)
	start, startOK := v[1].(float64)
	if !ok || !startOK {
		return Undefined{}
	}
	runes := []rune(s)
	length := float64(len(runes))
	if len(v) == 3 {
		if length, ok = v[2].(float64); !ok {
			return Undefined{}
		}
	}
	if start < 0 || length < 0 {
		return Undefined{}
	}
	from := min(math.Trunc(start), float64(len(runes)))
	to := min(from+math.Trunc(length), float64(len(runes)))
	return string(runes[int(from):int(to)])
}

// indexOf counts characters from 0; -1 when the part is not in the text.
func indexOf(v []Value) Value {
	s, sOK := v[0].(string)
	part, partOK := v[1].(string)
	if !sOK || !partOK {
		return Undefined{}
	}
	at := strings.Index(s, part)
	if at < 0 {
		return -1.0
	}
	return float64(utf8.RuneCountInString(s[:at]))
}
