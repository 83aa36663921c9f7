package query

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// Limits of an expression's text.
const (
	// MaxLength is the longest text in characters.
	// Source: IoT Hub service API, query devices (query length).
	MaxLength = 8192
	// maxNesting is the deepest nesting of parentheses and brackets; ours.
	maxNesting = 100
)

// SyntaxError says where and why a text is not an expression.
type SyntaxError struct {
	// Position is the place of the fault, counted in characters from 1.
	Position int
	Message  string
}

// Error names the position first.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("at character %d: %s", e.Position, e.Message)
}

// The grammar, from the loosest binding to the tightest. A hyphen right between
// letters belongs to the name, as in $dt-subject.

type orSyntax struct {
	Terms []*andSyntax `parser:"@@ (\"OR\" @@)*"`
}

type andSyntax struct {
	Terms []*notSyntax `parser:"@@ (\"AND\" @@)*"`
}

type notSyntax struct {
	Nots    []string       `parser:"@\"NOT\"*"`
	Operand *compareSyntax `parser:"@@"`
}

type compareSyntax struct {
	Left  *sumSyntax   `parser:"@@"`
	Op    string       `parser:"( @(\"=\" | \"!=\" | \"<>\" | \"<=\" | \">=\" | \"<\" | \">\")"`
	Right *sumSyntax   `parser:"  @@"`
	In    string       `parser:"| @(\"IN\" | \"NIN\")"`
	List  *arraySyntax `parser:"  @@ )?"`
}

type sumSyntax struct {
	First *productSyntax   `parser:"@@"`
	Rest  []*sumTailSyntax `parser:"@@*"`
}

type sumTailSyntax struct {
	Op      string         `parser:"@(\"+\" | \"-\")"`
	Operand *productSyntax `parser:"@@"`
}

type productSyntax struct {
	First *unarySyntax         `parser:"@@"`
	Rest  []*productTailSyntax `parser:"@@*"`
}

type productTailSyntax struct {
	Op      string       `parser:"@(\"*\" | \"/\" | \"%\")"`
	Operand *unarySyntax `parser:"@@"`
}

type unarySyntax struct {
	Signs   []string       `parser:"@(\"-\" | \"+\")*"`
	Operand *primarySyntax `parser:"@@"`
}

type primarySyntax struct {
	Constant *constantSyntax `parser:"  @@"`
	Array    *arraySyntax    `parser:"| @@"`
	Call     *callSyntax     `parser:"| @@"`
	Path     *pathSyntax     `parser:"| @@"`
	Group    *orSyntax       `parser:"| \"(\" @@ \")\""`
}

type constantSyntax struct {
	Pos    lexer.Position
	Number string `parser:"  @(Hex | Number)"`
	Text   string `parser:"| @String"`
	Word   string `parser:"| @(\"TRUE\" | \"FALSE\" | \"NULL\" | \"UNDEFINED\") (?! \"(\")"`
}

type arraySyntax struct {
	Elements []*elementSyntax `parser:"\"[\" (@@ (\",\" @@)*)? \"]\""`
}

type elementSyntax struct {
	Sign     string          `parser:"@(\"-\" | \"+\")?"`
	Constant *constantSyntax `parser:"( @@"`
	Array    *arraySyntax    `parser:"| @@ )"`
}

type callSyntax struct {
	Pos       lexer.Position
	Name      string      `parser:"(?! \"AND\" | \"OR\" | \"NOT\" | \"IN\" | \"NIN\") @Name \"(\""`
	Arguments []*orSyntax `parser:"(@@ (\",\" @@)*)? \")\""`
}

type pathSyntax struct {
	Pos   lexer.Position
	Root  string        `parser:"(?! \"AND\" | \"OR\" | \"NOT\" | \"IN\" | \"NIN\") @Name"`
	Steps []*stepSyntax `parser:"@@*"`
}

type stepSyntax struct {
	Pos    lexer.Position
	Name   string `parser:"  \".\" @Name"`
	Quoted string `parser:"| @QuotedName"`
	Text   string `parser:"| \"[\" @String \"]\""`
	Index  string `parser:"| \"[\" @Number \"]\""`
}

// Parser reads expressions. It is safe for concurrent use; making one costs
// about a millisecond, so keep it.
type Parser struct {
	expression *participle.Parser[orSyntax]
	statement  *participle.Parser[statementSyntax]
	selection  *participle.Parser[selectionSyntax]
}

// NewParser returns a parser.
func NewParser() *Parser {
	rules := lexer.MustSimple([]lexer.SimpleRule{
		{Name: "Space", Pattern: `\s+`},
		{Name: "QuotedName", Pattern: `\.\[\[[^\[\]]+\]\]`},
		{Name: "Hex", Pattern: `0[xX][0-9A-Fa-f]+`},
		{Name: "Number", Pattern: `[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?`},
		{Name: "String", Pattern: `'(\\.|[^'\\])*'|"(\\.|[^"\\])*"`},
		{Name: "Name", Pattern: `\$?[\pL_][\pL\pN_]*(-[\pL_][\pL\pN_]*)*`},
		{Name: "Operator", Pattern: `<>|!=|<=|>=|[=<>+*/%-]`},
		{Name: "Punctuation", Pattern: `[().,\[\]]`},
	})
	options := []participle.Option{
		participle.Lexer(rules), participle.Elide("Space"), participle.CaseInsensitive("Name"), participle.UseLookahead(3),
	}
	return &Parser{
		participle.MustBuild[orSyntax](options...), participle.MustBuild[statementSyntax](options...),
		participle.MustBuild[selectionSyntax](options...),
	}
}

// parse returns the syntax tree of a text, or a *SyntaxError.
func parse[T any](p *participle.Parser[T], text string) (*T, error) {
	if !utf8.ValidString(text) {
		return nil, &SyntaxError{1, "the text is not UTF-8"}
	}
	if n := utf8.RuneCountInString(text); n > MaxLength {
		return nil, &SyntaxError{MaxLength + 1, fmt.Sprintf("the text has %d characters; the limit is %d", n, MaxLength)}
	}
	if at := tooDeep(text); at >= 0 {
		return nil, faultAt(text, at, "nested more than %d deep", maxNesting)
	}
	tree, err := p.ParseString("", text)
	if err == nil {
		return tree, nil
	}
	var unexpected *participle.UnexpectedTokenError
	var known participle.Error
	switch {
	case errors.As(err, &unexpected):
		if unexpected.Unexpected.EOF() {
			return nil, faultAt(text, len(text), "unexpected end")
		}
		return nil, faultAt(text, unexpected.Unexpected.Pos.Offset, "unexpected %q", unexpected.Unexpected.Value)
	case errors.As(err, &known):
		return nil, faultAt(text, known.Position().Offset, "%s", known.Message())
	}
	return nil, faultAt(text, 0, "%s", err.Error())
}

func faultAt(text string, offset int, format string, args ...any) *SyntaxError {
	return &SyntaxError{utf8.RuneCountInString(text[:min(max(offset, 0), len(text))]) + 1, fmt.Sprintf(format, args...)}
}

// tooDeep returns the offset of the bracket that nests too deeply, or -1: the
// parser recurses once per level.
func tooDeep(text string) int {
	depth, quote := 0, byte(0)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0 && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '(' || c == '[':
			if depth++; depth > maxNesting {
				return i
			}
		case c == ')' || c == ']':
			depth--
		}
	}
	return -1
}

// unquote takes the quotes off a string token and resolves its escapes.
// Source: IoT Hub devguide, query language (string literals).
func unquote(token string) (string, error) {
	body := token[1 : len(token)-1]
	if !strings.Contains(body, `\`) {
		return body, nil
	}
	var out strings.Builder
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' {
			out.WriteByte(body[i])
			continue
		}
		i++
		switch c := body[i]; c {
		case '\'', '"', '\\', '/':
			out.WriteByte(c)
		case 'b':
			out.WriteByte('\b')
		case 'f':
			out.WriteByte('\f')
		case 'n':
			out.WriteByte('\n')
		case 'r':
			out.WriteByte('\r')
		case 't':
			out.WriteByte('\t')
		case 'u':
			r, used, err := unicodeEscape(body[i+1:])
			if err != nil {
				return "", err
			}
			out.WriteRune(r)
			i += used
		default:
			return "", fmt.Errorf(`unknown escape \%c`, c)
		}
	}
	return out.String(), nil
}
