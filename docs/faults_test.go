package docs_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/hub"
)

// TestFaultTable: admin-api.md says which actions of fault rules each operation takes.
func TestFaultTable(t *testing.T) {
	text, err := os.ReadFile("admin-api.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string][]string{}
	for _, table := range tables(string(text)) {
		if table.header[0] != "Operation" {
			continue
		}
		for _, row := range table.rows {
			var actions []string
			for i, cell := range row {
				if cell == "yes" {
					actions = append(actions, strings.Trim(table.header[i], "`"))
				}
			}
			documented[strings.Trim(row[0], "`")] = actions
		}
	}
	for _, o := range hub.FaultMatrix() {
		var actions []string
		for _, a := range o.Actions {
			actions = append(actions, string(a))
		}
		if !slices.Equal(documented[o.Name], actions) {
			t.Errorf("%s: documented with %v, takes %v", o.Name, documented[o.Name], actions)
		}
		delete(documented, o.Name)
	}
	for name := range documented {
		t.Errorf("%s is documented and no operation", name)
	}
}
