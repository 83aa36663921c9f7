package query

import (
	"errors"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hubnerite/hubnerite/iothub"
)

// FuzzParse gives any text to the three parsers: they answer with a position
// inside the text or with something that can be evaluated, and the same each time.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"SELECT * FROM devices",
		"select top 5 d.deviceId as id, d.tags.[[a b]]['c'][0] from devices.modules d where not d.tags.x in [1, 'a', [null]] and (1 + 2) * 3 % 4 < -0x1F",
		"SELECT tags.site, COUNT() AS n, AVG(properties.reported.t) FROM devices WHERE startswith(id, 'x\\u00e9') GROUP BY tags.site, status",
		"SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'j' OR devices.jobs.status NIN [\"a\\\"b\"]",
		"FROM devices.modules WHERE properties.desired.$metadata.a.$lastUpdated > '2026'",
		"$body.a[1].b = $twin.tags.c AND is_defined($contentType)",
		"tags.group = 1",
		"((((((((((1))))))))))",
		"-- + - NOT NOT true",
		"SELECT",
		"'\\ud83d\\ude00' = \"\\x\"",
		"\xff",
	} {
		f.Add(text)
	}
	p := NewParser()
	at := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	twin := iothub.NewTwin(at)
	twin.Tags = map[string]any{"site": "a", "x": []any{map[string]any{"y": nil}}, "a b": map[string]any{"c": []any{true}}}
	document := &TwinDocument{Identity: &iothub.Identity{ID: iothub.ID{DeviceID: "d", ModuleID: "m"}}, Twin: &twin}
	f.Fuzz(func(t *testing.T, text string) {
		check := func(err error) bool {
			if err == nil {
				return true
			}
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Errorf("%q: %v is no syntax error", text, err)
			} else if syntax.Position < 1 || syntax.Position > utf8.RuneCountInString(text)+1 || syntax.Message == "" {
				t.Errorf("%q: position %d of %d, %q", text, syntax.Position, utf8.RuneCountInString(text), syntax.Message)
			}
			return false
		}
		if q, err := p.Query(text); check(err) {
			if q.Where != nil {
				q.Where.Value(document)
				q.Where.Equalities()
				q.Where.Names()
			}
			if len(q.Columns) == 0 && !q.All {
				t.Errorf("%q selects nothing", text)
			}
			if q.Aggregates() && q.Collection != DeviceJobs {
				g := NewGrouping(q)
				g.Add(document)
				if rows := g.Rows(); len(rows) != 1 {
					t.Errorf("%q: %d groups of one document", text, len(rows))
				}
			}
		}
		if c, err := p.TwinCondition(text); check(err) {
			passes := c.Matches(document)
			again, err := p.TwinCondition(text)
			if err != nil || again.Matches(document) != passes {
				t.Errorf("%q: parsed twice it differs, error %v", text, err)
			}
			// What is a target is one behind WHERE, too.
			if c.Where != nil && c.Collection == Devices && utf8.RuneCountInString(text) < MaxLength-100 {
				_, bare := p.Query("SELECT * FROM devices WHERE " + text)
				_, whole := p.Query("SELECT * " + text)
				if bare != nil && whole != nil {
					t.Errorf("%q is a target and no condition: %v, %v", text, bare, whole)
				}
			}
		}
		if c, err := p.Condition(text, RoutingFunctions()); check(err) {
			c.Value(&Message{Telemetry: &iothub.Telemetry{Body: []byte("{}")}})
		}
	})
}
