package query

import (
	"math"
)

// node is a compiled expression.
type node interface {
	value(env Environment) Value
}

type constant struct{ v Value }

func (n constant) value(Environment) Value { return n.v }

type lookup struct{ path *Path }

func (n lookup) value(env Environment) Value { return env.Lookup(n.path) }

// junction is OR when true decides it, AND when false does.
type junction struct {
	terms    []node
	decisive bool
}

func (n junction) value(env Environment) Value {
	var result Value = !n.decisive
	for _, t := range n.terms {
		switch b, ok := t.value(env).(bool); {
		case !ok:
			result = Undefined{}
		case b == n.decisive:
			return b
		}
	}
	return result
}

type not struct {
	operand node
	negate  bool
}

func (n not) value(env Environment) Value {
	b, ok := n.operand.value(env).(bool)
	if !ok {
		return Undefined{}
	}
	return b != n.negate
}

type comparison struct {
	op          string
	left, right node
}

func (n comparison) value(env Environment) Value {
	a, b := n.left.value(env), n.right.value(env)
	switch n.op {
	case "=":
		return equal(a, b)
	case "!=", "<>":
		if same, ok := equal(a, b).(bool); ok {
			return !same
		}
		return Undefined{}
	}
	c, ok := order(a, b)
	if !ok {
		return Undefined{}
	}
	switch n.op {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	}
	return c >= 0
}

// membership is IN and NIN. An element of another type is not equal.
type membership struct {
	operand node
	list    []any
	negate  bool
}

func (n membership) value(env Environment) Value {
	v := n.operand.value(env)
	if _, undefined := v.(Undefined); undefined {
		return Undefined{}
	}
	for _, e := range n.list {
		if equal(v, e) == true {
			return !n.negate
		}
	}
	return n.negate
}

type arithmetic struct {
	op          byte
	left, right node
}

func (n arithmetic) value(env Environment) Value {
	a, aOK := n.left.value(env).(float64)
	b, bOK := n.right.value(env).(float64)
	if !aOK || !bOK {
		return Undefined{}
	}
	switch n.op {
	case '+':
		return number(a + b)
	case '-':
		return number(a - b)
	case '*':
		return number(a * b)
	case '/':
		return number(a / b)
	}
	return number(math.Mod(a, b))
}

// number returns f, or Undefined for what JSON has no number for.
func number(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Undefined{}
	}
	return f
}

type call struct {
	f         Function
	arguments []node
}

func (n call) value(env Environment) Value {
	values := make([]Value, len(n.arguments))
	for i, a := range n.arguments {
		values[i] = a.value(env)
	}
	return n.f.call(values)
}
