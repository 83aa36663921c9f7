package query

// Equality is a part of a condition without which the whole is not true: the
// name has one of the values, which are null, booleans, numbers or texts.
type Equality struct {
	Path   *Path
	Values []Value
}

// Equalities returns the equalities among the terms that AND joins.
func (c *Condition) Equalities() []Equality {
	terms := []node{c.root}
	if j, ok := c.root.(junction); ok && !j.decisive {
		terms = j.terms
	}
	var out []Equality
	for _, t := range terms {
		switch t := t.(type) {
		case comparison:
			if t.op != "=" {
				continue
			}
			name, value := t.left, t.right
			if _, ok := name.(lookup); !ok {
				name, value = value, name
			}
			n, isName := name.(lookup)
			v, isConstant := value.(constant)
			if isName && isConstant && simple(v.v) {
				out = append(out, Equality{n.path, []Value{v.v}})
			}
		case membership:
			n, ok := t.operand.(lookup)
			if !ok || t.negate {
				continue
			}
			e := Equality{Path: n.path}
			seen := map[Value]bool{}
			for _, v := range t.list {
				// What is not simple equals nothing.
				if simple(v) && !seen[v] {
					seen[v] = true
					e.Values = append(e.Values, v)
				}
			}
			out = append(out, e)
		}
	}
	return out
}

func simple(v Value) bool {
	switch v.(type) {
	case nil, bool, float64, string:
		return true
	}
	return false
}

// Names returns the names that the condition looks up; one that occurs twice is
// there twice.
func (c *Condition) Names() []*Path { return namesOf(c.root, nil) }

func namesOf(n node, out []*Path) []*Path {
	switch n := n.(type) {
	case lookup:
		return append(out, n.path)
	case junction:
		for _, t := range n.terms {
			out = namesOf(t, out)
		}
	case not:
		return namesOf(n.operand, out)
	case comparison:
		return namesOf(n.right, namesOf(n.left, out))
	case membership:
		return namesOf(n.operand, out)
	case arithmetic:
		return namesOf(n.right, namesOf(n.left, out))
	case call:
		for _, a := range n.arguments {
			out = namesOf(a, out)
		}
	}
	return out
}
