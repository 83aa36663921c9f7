package query

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/alecthomas/participle/v2/lexer"
)

// Collection is what a query runs over.
type Collection string

// The three collections.
const (
	// Devices are the twins of devices, Modules those of modules.
	Devices Collection = "devices"
	Modules Collection = "devices.modules"
	// DeviceJobs are the parts of scheduled jobs, one per device.
	DeviceJobs Collection = "devices.jobs"
)

// Aggregate is a function over all rows of a group; "" is none.
type Aggregate string

// The five aggregates.
const (
	Count   Aggregate = "COUNT"
	Sum     Aggregate = "SUM"
	Average Aggregate = "AVG"
	Min     Aggregate = "MIN"
	Max     Aggregate = "MAX"
)

// Column is one element of a SELECT list.
type Column struct {
	// Name is the member's name in each row: the alias, else the last part of the
	// path, else $1, $2 and so on.
	Name string
	// Aggregate is "" for a plain attribute.
	Aggregate Aggregate
	// Path is the attribute; nil for COUNT().
	Path *Path
}

// Query is a compiled query over a collection. It is safe for concurrent use.
// Source: IoT Hub devguide, query language.
type Query struct {
	Collection Collection
	// Top is the most rows of all pages together; 0 means all.
	Top int
	// All says SELECT *; Columns is nil then.
	All     bool
	Columns []Column
	// Where is nil when every row passes.
	Where *Condition
	// Group holds the attributes of GROUP BY.
	Group []*Path
}

// Aggregates reports whether rows are made of groups rather than of one document each.
func (q *Query) Aggregates() bool {
	if len(q.Group) > 0 {
		return true
	}
	return len(q.Columns) > 0 && q.Columns[0].Aggregate != ""
}

type statementSyntax struct {
	Top   *topSyntax    `parser:"\"SELECT\" (\"TOP\" @@)?"`
	All   bool          `parser:"( @\"*\""`
	Items []*itemSyntax `parser:"| @@ (\",\" @@)* )"`
	From  *fromSyntax   `parser:"@@"`
	Where *orSyntax     `parser:"(\"WHERE\" @@)?"`
	Group *groupSyntax  `parser:"@@?"`
}

type topSyntax struct {
	Pos   lexer.Position
	Count string `parser:"@Number"`
}

type itemSyntax struct {
	Pos   lexer.Position
	Call  *callSyntax `parser:"(?! \"FROM\") ( @@"`
	Path  *pathSyntax `parser:"| @@ )"`
	Alias string      `parser:"(\"AS\" @Name)?"`
}

type fromSyntax struct {
	Collection *pathSyntax `parser:"\"FROM\" @@"`
	Alias      string      `parser:"(\"AS\" @Name | (?! \"WHERE\" | \"GROUP\" | \"ORDER\" | \"AS\") @Name)?"`
}

type groupSyntax struct {
	Pos   lexer.Position
	Paths []*pathSyntax `parser:"\"GROUP\" \"BY\" @@ (\",\" @@)*"`
}

// selectionSyntax is the target of a job or configuration.
type selectionSyntax struct {
	From  *fromSyntax `parser:"( @@"`
	Where *orSyntax   `parser:"  (\"WHERE\" @@)?"`
	Bare  *orSyntax   `parser:"| @@ )"`
}

// Query parses a query. Errors are *SyntaxError.
// Source: IoT Hub devguide, query language (basics of a query).
func (p *Parser) Query(text string) (*Query, error) {
	tree, err := parse(p.statement, text)
	if err != nil {
		return nil, err
	}
	q := &Query{All: tree.All}
	c := &compiler{text: text, functions: TwinFunctions()}
	q.Collection = c.from(tree.From)
	if tree.Top != nil {
		q.Top = c.top(tree.Top)
	}
	if tree.Where != nil {
		q.Where = &Condition{c.or(tree.Where)}
	}
	if tree.Group != nil {
		for _, g := range tree.Group.Paths {
			if path := c.name(g); path != nil {
				q.Group = append(q.Group, path)
			}
		}
	}
	c.columns(q, tree)
	if tree.Group != nil && tree.All {
		c.fault(tree.Group.Pos, "SELECT * has no groups")
	}
	if q.Collection == DeviceJobs {
		if len(tree.Items) > 0 {
			c.fault(tree.Items[0].Pos, "a query on devices.jobs can only SELECT *")
		}
	}
	if c.err != nil {
		return nil, c.err
	}
	return q, nil
}

func (c *compiler) top(s *topSyntax) int {
	n, err := strconv.ParseInt(s.Count, 10, 64)
	if err != nil || n < 1 {
		c.fault(s.Pos, "TOP takes a whole number of at least 1")
		return 0
	}
	return int(min(n, math.MaxInt32))
}

// from returns the collection and makes its names the compiler's.
func (c *compiler) from(s *fromSyntax) Collection {
	text := strings.ToLower(s.Collection.Root)
	for _, step := range s.Collection.Steps {
		text += "." + strings.ToLower(step.Name)
	}
	collection := Collection(text)
	switch collection {
	case Devices, Modules, DeviceJobs:
	default:
		c.fault(s.Collection.Pos, "the collections are devices, devices.modules and devices.jobs")
	}
	n := names{collection, s.Alias}
	c.names = n.resolve
	return collection
}

func (c *compiler) columns(q *Query, tree *statementSyntax) {
	taken := map[string]bool{}
	unnamed := 0
	for i, item := range tree.Items {
		column := c.column(item)
		if i > 0 && len(q.Group) == 0 && (column.Aggregate == "") != (q.Columns[0].Aggregate == "") {
			c.fault(item.Pos, "aggregates and attributes in one list need GROUP BY")
		}
		if len(q.Group) > 0 && column.Aggregate == "" && column.Path != nil && !grouped(q.Group, column.Path) {
			c.fault(item.Pos, "the attribute is neither in GROUP BY nor in an aggregate")
		}
		if column.Name == "" {
			unnamed++
			column.Name = "$" + strconv.Itoa(unnamed)
		}
		if taken[column.Name] {
			c.fault(item.Pos, "two elements have the name %s; give one an alias with AS", column.Name)
		}
		taken[column.Name] = true
		q.Columns = append(q.Columns, column)
	}
}

func grouped(group []*Path, p *Path) bool {
	for _, g := range group {
		if g.String() == p.String() {
			return true
		}
	}
	return false
}

func (c *compiler) column(s *itemSyntax) Column {
	column := Column{Name: s.Alias}
	if s.Path != nil {
		if column.Path = c.name(s.Path); column.Path != nil && column.Name == "" {
			column.Name = column.Path.last()
		}
		return column
	}
	column.Aggregate = Aggregate(strings.ToUpper(s.Call.Name))
	arguments := s.Call.Arguments
	switch column.Aggregate {
	case Count:
		if len(arguments) > 0 {
			c.fault(s.Pos, "COUNT takes no arguments")
		}
		return column
	case Sum, Average, Min, Max:
	default:
		c.fault(s.Pos, "only attributes and COUNT, SUM, AVG, MIN and MAX can be selected")
		return column
	}
	if len(arguments) != 1 {
		c.fault(s.Pos, "%s takes 1 argument, not %d", column.Aggregate, len(arguments))
		return column
	}
	attribute, ok := c.or(arguments[0]).(lookup)
	if !ok {
		c.fault(s.Pos, "%s takes an attribute", column.Aggregate)
		return column
	}
	column.Path = attribute.path
	return column
}

// TwinCondition selects devices or modules by their twins. It is safe for
// concurrent use.
type TwinCondition struct {
	Collection Collection
	// Where is nil when every twin passes.
	Where *Condition
}

// Matches reports whether the twin passes; that it is of the collection is for
// the caller to know.
func (c *TwinCondition) Matches(twin Environment) bool {
	return c.Where == nil || c.Where.Matches(twin)
}

// TwinCondition parses the target of a job or of a configuration: what stands
// behind WHERE in a query over devices, or "FROM devices.modules WHERE ...". A
// blank text and * select every device. Errors are *SyntaxError.
// Source: IoT Hub devguide, jobs (queryCondition); automatic device management (target condition).
func (p *Parser) TwinCondition(text string) (*TwinCondition, error) {
	if t := strings.TrimSpace(text); t == "" || t == "*" {
		return &TwinCondition{Collection: Devices}, nil
	}
	tree, err := parse(p.selection, text)
	if err != nil {
		return nil, err
	}
	c := &compiler{text: text, functions: TwinFunctions()}
	out := &TwinCondition{Collection: Devices}
	where := tree.Bare
	if tree.From != nil {
		out.Collection = c.from(tree.From)
		if out.Collection == DeviceJobs {
			c.fault(tree.From.Collection.Pos, "jobs are no target")
		}
		where = tree.Where
	} else {
		n := names{Devices, ""}
		c.names = n.resolve
	}
	if where != nil {
		out.Where = &Condition{c.or(where)}
	}
	if c.err != nil {
		return nil, c.err
	}
	return out, nil
}

// names are the names of a collection: what they are called in a query and in
// the environment.
type names struct {
	collection Collection
	alias      string
}

var errOtherCollection = errors.New("the name belongs to another collection; collections cannot be joined")

// resolve takes the prefix off a name and gives fixed words their spelling.
func (n names) resolve(p *Path) (*Path, error) {
	for _, s := range p.Steps {
		if !s.IsIndex && !s.Quoted && reserved(s.Name) {
			return nil, fmt.Errorf("%s is a word of the language; write .[[%s]]", s.Name, s.Name)
		}
	}
	switch {
	case n.alias != "" && strings.EqualFold(p.Root, n.alias) && len(p.Steps) > 0:
		p = p.below(1)
	case strings.EqualFold(p.Root, "devices") && len(p.Steps) > 0:
		first := strings.ToLower(p.Steps[0].Name)
		child := first == "modules" || first == "jobs"
		switch {
		case n.collection == Devices && !child:
			p = p.below(1)
		case string(n.collection) == "devices."+first && len(p.Steps) > 1:
			p = p.below(2)
		default:
			return nil, errOtherCollection
		}
	}
	if n.collection == DeviceJobs {
		return p, nil
	}
	return twinPath(p), nil
}

// reserved words cannot be members' names unless in brackets.
func reserved(name string) bool {
	switch strings.ToUpper(name) {
	case "SELECT", "FROM", "WHERE", "GROUP", "BY", "AS", "AND", "OR", "NOT", "IN", "NIN", "TRUE", "FALSE", "NULL", "UNDEFINED":
		return true
	}
	return false
}
