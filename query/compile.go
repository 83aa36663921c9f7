package query

import (
	"strconv"
	"strings"

	"github.com/alecthomas/participle/v2/lexer"
)

// Step is one step of a path: a member's name or an element's index.
type Step struct {
	Name    string
	Index   int
	IsIndex bool
	// Quoted says that the name was written in brackets.
	Quoted bool
}

// Path is a name as written: a root and the steps from there on.
type Path struct {
	Root  string
	Steps []Step
}

// Environment gives names their values.
type Environment interface {
	// Lookup returns the value of a name; Undefined when there is none.
	Lookup(p *Path) Value
}

// Condition is a parsed expression. It is safe for concurrent use.
type Condition struct {
	root node
}

// Matches reports whether the condition is true in env: neither undefined, nor
// null, nor anything else than true passes.
func (c *Condition) Matches(env Environment) bool {
	return c.Value(env) == true
}

// Value returns what the expression is worth in env.
func (c *Condition) Value(env Environment) Value { return c.root.value(env) }

// Condition parses an expression that may call the given functions. A blank
// text is the condition that is always true. Errors are *SyntaxError.
func (p *Parser) Condition(text string, functions Functions) (*Condition, error) {
	if strings.TrimSpace(text) == "" {
		return &Condition{constant{true}}, nil
	}
	tree, err := parse(p.expression, text)
	if err != nil {
		return nil, err
	}
	c := &compiler{text: text, functions: functions}
	root := c.or(tree)
	if c.err != nil {
		return nil, c.err
	}
	return &Condition{root}, nil
}

// Path parses a text that is nothing but a name, such as $twin.tags.site.
func (p *Parser) Path(text string) (*Condition, error) {
	c, err := p.Condition(text, nil)
	if err != nil {
		return nil, err
	}
	if _, ok := c.root.(lookup); !ok {
		return nil, &SyntaxError{1, "not a name"}
	}
	return c, nil
}

// compiler turns a syntax tree into nodes and keeps the first fault.
type compiler struct {
	text      string
	functions Functions
	// names turns a name as written into the one that the environment knows; nil
	// leaves names as they are.
	names func(*Path) (*Path, error)
	err   error
}

func (c *compiler) fault(pos lexer.Position, format string, args ...any) node {
	if c.err == nil {
		c.err = faultAt(c.text, pos.Offset, format, args...)
	}
	return constant{Undefined{}}
}

func (c *compiler) or(s *orSyntax) node {
	terms := make([]node, len(s.Terms))
	for i, t := range s.Terms {
		terms[i] = c.and(t)
	}
	return logic(terms, true)
}

func (c *compiler) and(s *andSyntax) node {
	terms := make([]node, len(s.Terms))
	for i, t := range s.Terms {
		n := c.compare(t.Operand)
		if len(t.Nots) > 0 {
			// Twice is not the same as never: it makes what is no boolean undefined.
			n = not{n, len(t.Nots)%2 == 1}
		}
		terms[i] = n
	}
	return logic(terms, false)
}

func logic(terms []node, decisive bool) node {
	if len(terms) == 1 {
		return terms[0]
	}
	return junction{terms, decisive}
}

func (c *compiler) compare(s *compareSyntax) node {
	left := c.sum(s.Left)
	switch {
	case s.Op != "":
		return comparison{s.Op, left, c.sum(s.Right)}
	case s.In != "":
		list, _ := c.array(s.List).v.([]any)
		return membership{left, list, strings.EqualFold(s.In, "NIN")}
	}
	return left
}

func (c *compiler) sum(s *sumSyntax) node {
	n := c.product(s.First)
	for _, r := range s.Rest {
		n = arithmetic{r.Op[0], n, c.product(r.Operand)}
	}
	return n
}

func (c *compiler) product(s *productSyntax) node {
	n := c.unary(s.First)
	for _, r := range s.Rest {
		n = arithmetic{r.Op[0], n, c.unary(r.Operand)}
	}
	return n
}

func (c *compiler) unary(s *unarySyntax) node {
	n := c.primary(s.Operand)
	if len(s.Signs) == 0 {
		return n
	}
	negative := false
	for _, sign := range s.Signs {
		negative = negative != (sign == "-")
	}
	if negative {
		return arithmetic{'*', constant{-1.0}, n}
	}
	return arithmetic{'*', constant{1.0}, n}
}

func (c *compiler) primary(s *primarySyntax) node {
	switch {
	case s.Constant != nil:
		return c.constant(s.Constant)
	case s.Array != nil:
		return c.array(s.Array)
	case s.Call != nil:
		return c.call(s.Call)
	case s.Path != nil:
		return c.path(s.Path)
	}
	return c.or(s.Group)
}

func (c *compiler) constant(s *constantSyntax) node {
	switch {
	case s.Text != "":
		text, err := unquote(s.Text)
		if err != nil {
			return c.fault(s.Pos, "%s", err)
		}
		return constant{text}
	case s.Word != "":
		switch strings.ToUpper(s.Word) {
		case "TRUE":
			return constant{true}
		case "FALSE":
			return constant{false}
		case "NULL":
			return constant{nil}
		}
		return constant{Undefined{}}
	case strings.HasPrefix(s.Number, "0x"), strings.HasPrefix(s.Number, "0X"):
		n, err := strconv.ParseUint(s.Number[2:], 16, 64)
		if err != nil {
			return c.fault(s.Pos, "%s is too large", s.Number)
		}
		return constant{float64(n)}
	}
	f, err := strconv.ParseFloat(s.Number, 64)
	if err != nil {
		return c.fault(s.Pos, "%s is too large", s.Number)
	}
	return constant{f}
}

func (c *compiler) array(s *arraySyntax) constant {
	elements := make([]any, len(s.Elements))
	for i, e := range s.Elements {
		if e.Array != nil {
			elements[i] = c.array(e.Array).v
			continue
		}
		k, _ := c.constant(e.Constant).(constant)
		elements[i] = k.v
		if e.Sign == "" {
			continue
		}
		number, ok := k.v.(float64)
		if !ok {
			c.fault(e.Constant.Pos, "a sign before what is no number")
		}
		if e.Sign == "-" {
			elements[i] = -number
		}
	}
	return constant{elements}
}

func (c *compiler) call(s *callSyntax) node {
	f, ok := c.functions[strings.ToUpper(s.Name)]
	if !ok {
		return c.fault(s.Pos, "there is no function %s", s.Name)
	}
	if n := len(s.Arguments); n < f.min || n > f.max {
		return c.fault(s.Pos, "%s takes %s, not %d", strings.ToUpper(s.Name), f.arity(), n)
	}
	arguments := make([]node, len(s.Arguments))
	for i, a := range s.Arguments {
		arguments[i] = c.or(a)
	}
	return call{f, arguments}
}

func (c *compiler) path(s *pathSyntax) node {
	p := c.name(s)
	if p == nil {
		return constant{Undefined{}}
	}
	return lookup{p}
}

// name returns the path that a syntax tree writes, or nil after a fault.
func (c *compiler) name(s *pathSyntax) *Path {
	p := &Path{Root: s.Root, Steps: make([]Step, len(s.Steps))}
	for i, step := range s.Steps {
		switch {
		case step.Name != "":
			p.Steps[i].Name = step.Name
		case step.Quoted != "":
			p.Steps[i] = Step{Name: strings.TrimSuffix(strings.TrimPrefix(step.Quoted, ".[["), "]]"), Quoted: true}
		case step.Text != "":
			text, err := unquote(step.Text)
			if err != nil {
				c.fault(step.Pos, "%s", err)
				return nil
			}
			p.Steps[i] = Step{Name: text, Quoted: true}
		default:
			n, err := strconv.ParseInt(step.Index, 10, 32)
			if err != nil {
				c.fault(step.Pos, "%s is not an index", step.Index)
				return nil
			}
			p.Steps[i] = Step{Index: int(n), IsIndex: true}
		}
	}
	if c.names == nil {
		return p
	}
	known, err := c.names(p)
	if err != nil {
		c.fault(s.Pos, "%s", err)
		return nil
	}
	return known
}
