package docs_test

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/emulator/emulatortest"
)

// TestAdminAPIReference checks that the reference in admin-api.md has every operation of a running emulator's /openapi.json, with its
// method and path, and no other.
func TestAdminAPIReference(t *testing.T) {
	e := emulatortest.Run(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.Info().AdminURL+"/openapi.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var api struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.NewDecoder(response.Body).Decode(&api); err != nil {
		t.Fatal(err)
	}
	var operations []string
	for path, methods := range api.Paths {
		for method := range methods {
			operations = append(operations, strings.ToUpper(method)+" "+path)
		}
	}
	if len(operations) < 50 {
		t.Fatalf("only %d operations", len(operations))
	}
	text, err := os.ReadFile("admin-api.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := documentedOperations(string(text))
	for _, operation := range operations {
		if !slices.Contains(documented, operation) {
			t.Errorf("admin-api.md lacks `%s`", operation)
		}
	}
	for _, operation := range documented {
		if !slices.Contains(operations, operation) && !besideTheAPI(operation) {
			t.Errorf("admin-api.md has `%s`, the emulator does not", operation)
		}
	}
}

// besideTheAPI tells operations of the management port that are documented but not part of the API's description.
func besideTheAPI(operation string) bool {
	return slices.Contains([]string{"GET /", "GET /docs", "GET /openapi.json", "GET /metrics"}, operation)
}

// documentedOperations lists what the first cells of the tables with the header Request name.
func documentedOperations(text string) []string {
	var documented []string
	for _, table := range tables(text) {
		if table.header[0] != "Request" {
			continue
		}
		for _, row := range table.rows {
			for _, found := range regexp.MustCompile("`([A-Z]+ /[^` ]*)`").FindAllStringSubmatch(row[0], -1) {
				documented = append(documented, found[1])
			}
		}
	}
	return documented
}

// TestDocumentedOperations makes sure that the check above sees what the page says.
func TestDocumentedOperations(t *testing.T) {
	got := documentedOperations("| Request | What |\n|---|---|\n| `GET /a`, `PUT /a/{b}` | `POST /c` |\n\n| Else | x |\n|---|---|\n| `GET /d` | y |\n")
	if want := []string{"GET /a", "PUT /a/{b}"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
