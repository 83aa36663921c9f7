package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// function yields the value of a placeholder.
type function func(*State, *Environment) value

// value is a text, or what stands for itself in JSON: a number, true, false, null, a payload.
type value struct {
	text string
	raw  bool
	// number is written with so many decimals; decimals is -1 for a text.
	number   float64
	decimals int
}

func textValue(text string) value { return value{text: text, decimals: -1} }

func rawValue(text string) value { return value{text: text, raw: true, decimals: -1} }

func (v value) append(b []byte, f form) []byte {
	switch {
	case v.decimals >= 0:
		return strconv.AppendFloat(b, v.number, 'f', v.decimals, 64)
	case f == asText || f == asJSON && v.raw:
		return append(b, v.text...)
	case f == inString:
		return appendQuoted(b, v.text)
	}
	return append(appendQuoted(append(b, '"'), v.text), '"')
}

// argument is a word of a placeholder.
type argument struct {
	text   string
	quoted bool
}

// words splits a placeholder at its spaces, quotes aside.
func words(text string) ([]argument, error) {
	var out []argument
	for {
		text = strings.TrimLeft(text, " \t\r\n")
		if text == "" {
			return out, nil
		}
		switch text[0] {
		case '"':
			whole, err := strconv.QuotedPrefix(text)
			if err != nil {
				return nil, errors.New(`a text in " is not valid`)
			}
			unquoted, err := strconv.Unquote(whole)
			if err != nil || !utf8.ValidString(unquoted) {
				return nil, errors.New(`a text in " is not valid`)
			}
			out, text = append(out, argument{unquoted, true}), text[len(whole):]
		case '\'':
			inside, rest, found := strings.Cut(text[1:], "'")
			if !found {
				return nil, errors.New("a text in ' has no end")
			}
			out, text = append(out, argument{inside, true}), rest
		default:
			end := strings.IndexAny(text, " \t\r\n\"'")
			if end < 0 {
				end = len(text)
			}
			out, text = append(out, argument{text[:end], false}), text[end:]
		}
	}
}

// MaxDecimals is the most decimals that a number is written with.
const MaxDecimals = 15

// compile makes the function of a placeholder.
func (t *Template) compile(text string, o Options) (function, error) {
	args, err := words(text)
	if err != nil {
		return nil, err
	}
	if len(args) == 0 {
		return nil, errors.New("it is empty")
	}
	name, args := args[0], args[1:]
	if name.quoted {
		if len(args) > 0 {
			return nil, errors.New("a text has no arguments")
		}
		v := textValue(name.text)
		return func(*State, *Environment) value { return v }, nil
	}
	switch name.text {
	case "random":
		return compileRandom(args)
	case "walk":
		return t.compileWalk(args)
	case "sine":
		return compileSine(args)
	case "sequence":
		return t.compileSequence(args)
	case "choice":
		return compileChoice(args)
	case "time":
		return compileTime(args)
	}
	var f function
	switch name.text {
	case "deviceId":
		f = func(_ *State, e *Environment) value { return textValue(e.DeviceID) }
	case "moduleId":
		f = func(_ *State, e *Environment) value { return textValue(e.ModuleID) }
	case "number":
		f = func(_ *State, e *Environment) value { return value{number: float64(e.Number)} }
	case "uuid":
		f = func(s *State, _ *Environment) value { return textValue(s.uuid()) }
	case "method", "payload":
		if !o.Method {
			return nil, fmt.Errorf("only the answer of a direct method has a %s", name.text)
		}
		f = func(_ *State, e *Environment) value { return textValue(e.MethodName) }
		if name.text == "payload" {
			f = func(_ *State, e *Environment) value { return payloadValue(e.Payload) }
		}
	default:
		return nil, fmt.Errorf("there is no function %.40q; there are random, walk, sine, sequence, choice, time, uuid, deviceId, moduleId, "+
			"number, and in answers of direct methods method and payload", name.text)
	}
	if len(args) > 0 {
		return nil, fmt.Errorf("%s has no arguments", name.text)
	}
	return f, nil
}

func payloadValue(payload json.RawMessage) value {
	if len(payload) == 0 {
		return rawValue("null")
	}
	return rawValue(string(payload))
}

// uuid returns a UUID of the state's randomness, so that it is repeatable.
func (s *State) uuid() string {
	var u uuid.UUID
	for i := range u {
		u[i] = byte(s.random.Uint32())
	}
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return u.String()
}

// numbers reads arguments that are finite numbers.
func numbers(name string, args []argument) ([]float64, error) {
	out := make([]float64, len(args))
	for i, a := range args {
		n, err := strconv.ParseFloat(a.text, 64)
		if a.quoted || err != nil || math.IsInf(n, 0) || math.IsNaN(n) || math.Abs(n) > 1e15 {
			return nil, fmt.Errorf("%s: %.40q is not a number of at most 1e15", name, a.text)
		}
		out[i] = n
	}
	return out, nil
}

// span reads a minimum and a maximum, further numbers, and decimals, which are 2 when they are left out.
func span(name string, args []argument, further int, usage string) (n []float64, decimals int, err error) {
	if len(args) != 2+further && len(args) != 3+further {
		return nil, 0, fmt.Errorf("write %s", usage)
	}
	if n, err = numbers(name, args); err != nil {
		return nil, 0, err
	}
	decimals = 2
	if len(n) == 3+further {
		last := n[2+further]
		if last != math.Trunc(last) || last < 0 || last > MaxDecimals {
			return nil, 0, fmt.Errorf("%s: decimals are 0 to %d", name, MaxDecimals)
		}
		decimals = int(last)
	}
	if n[0] > n[1] {
		return nil, 0, fmt.Errorf("%s: the minimum %v is greater than the maximum %v", name, n[0], n[1])
	}
	return n, decimals, nil
}

// rounded keeps a number in its range when it is written with few decimals; it is never a negative zero.
func rounded(n, lowest, highest float64, decimals int) value {
	scale := math.Pow10(decimals)
	r := math.Round(n*scale) / scale
	if r < lowest {
		r = math.Ceil(lowest*scale) / scale
	}
	if r > highest {
		r = math.Floor(highest*scale) / scale
	}
	return value{number: r + 0, decimals: decimals}
}

func compileRandom(args []argument) (function, error) {
	n, decimals, err := span("random", args, 0, "random MINIMUM MAXIMUM [DECIMALS]")
	if err != nil {
		return nil, err
	}
	lowest, highest := n[0], n[1]
	steps := math.Floor((highest - lowest) * math.Pow10(decimals))
	if steps > 1<<53 {
		return nil, errors.New("random: the range has too many values")
	}
	scale := math.Pow10(decimals)
	return func(s *State, _ *Environment) value {
		step := float64(s.random.Uint64N(uint64(steps) + 1))
		return rounded(lowest+step/scale, lowest, highest, decimals)
	}, nil
}

func (t *Template) compileWalk(args []argument) (function, error) {
	n, decimals, err := span("walk", args, 1, "walk MINIMUM MAXIMUM STEP [DECIMALS]")
	if err != nil {
		return nil, err
	}
	lowest, highest, step := n[0], n[1], n[2]
	if step < 0 {
		return nil, errors.New("walk: the step is negative")
	}
	slot := t.slot()
	return func(s *State, _ *Environment) value {
		at := &s.memory[slot]
		if !s.begun[slot] {
			s.begun[slot] = true
			*at = lowest + s.random.Float64()*(highest-lowest)
		} else {
			*at = min(max(*at+(2*s.random.Float64()-1)*step, lowest), highest)
		}
		return rounded(*at, lowest, highest, decimals)
	}, nil
}

func compileSine(args []argument) (function, error) {
	const usage = "sine MINIMUM MAXIMUM PERIOD [DECIMALS], the period as 10m"
	if len(args) < 3 || len(args) > 4 {
		return nil, fmt.Errorf("write %s", usage)
	}
	period, err := time.ParseDuration(args[2].text)
	if err != nil || period <= 0 {
		return nil, fmt.Errorf("sine: %.40q is not a period such as 10m", args[2].text)
	}
	n, decimals, err := span("sine", append(args[:2:2], args[3:]...), 0, usage)
	if err != nil {
		return nil, err
	}
	middle, swing := (n[0]+n[1])/2, (n[1]-n[0])/2
	return func(_ *State, e *Environment) value {
		phase := float64(e.Now.UnixNano()%int64(period)) / float64(period)
		return rounded(middle+swing*math.Sin(2*math.Pi*phase), n[0], n[1], decimals)
	}, nil
}

func (t *Template) compileSequence(args []argument) (function, error) {
	n, err := numbers("sequence", args)
	if err != nil {
		return nil, err
	}
	if len(n) > 2 {
		return nil, errors.New("write sequence [FIRST [STEP]]")
	}
	first, step := 1.0, 1.0
	if len(n) > 0 {
		first = n[0]
	}
	if len(n) > 1 {
		step = n[1]
	}
	if first != math.Trunc(first) || step != math.Trunc(step) {
		return nil, errors.New("sequence: numbers are whole")
	}
	slot := t.slot()
	return func(s *State, _ *Environment) value {
		at := &s.memory[slot]
		if !s.begun[slot] {
			s.begun[slot], *at = true, first
		} else {
			*at += step
		}
		return value{number: *at}
	}, nil
}

func compileChoice(args []argument) (function, error) {
	if len(args) == 0 {
		return nil, errors.New("write choice VALUE VALUE …")
	}
	values := make([]value, len(args))
	for i, a := range args {
		values[i] = textValue(a.text)
		if !a.quoted && json.Valid([]byte(a.text)) {
			values[i] = rawValue(a.text)
		}
	}
	return func(s *State, _ *Environment) value { return values[s.random.IntN(len(values))] }, nil
}

func compileTime(args []argument) (function, error) {
	kind := "iso"
	if len(args) == 1 {
		kind = args[0].text
	}
	switch {
	case len(args) > 1:
	case kind == "iso":
		return func(_ *State, e *Environment) value {
			return textValue(e.Now.UTC().Format("2006-01-02T15:04:05.000Z"))
		}, nil
	case kind == "unix":
		return func(_ *State, e *Environment) value { return value{number: float64(e.Now.Unix())} }, nil
	case kind == "unixms":
		return func(_ *State, e *Environment) value { return value{number: float64(e.Now.UnixMilli())} }, nil
	}
	return nil, errors.New("write time, time unix or time unixms")
}

// slot gives a function a place to remember a number.
func (t *Template) slot() int {
	t.memory++
	return t.memory - 1
}
