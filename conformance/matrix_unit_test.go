package conformance

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/iothub"
)

// TestMatrixFaults checks that the matrix has every fault type.
func TestMatrixFaults(t *testing.T) {
	var want, got []string
	for _, f := range iothub.FaultTypes() {
		want = append(want, "fault-"+string(f))
	}
	for _, f := range matrixFeatures() {
		if strings.HasPrefix(f.key, "fault-") {
			got = append(got, f.key)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("fault types %q, want %q", got, want)
	}
}

func TestMatrixAdd(t *testing.T) {
	m := matrix{}
	for _, line := range []string{
		"cell: python mqtt telemetry pass",
		"cell: python mqtt telemetry pass",
		"cell: java amqp telemetry-batch not supported: only   over `HTTPS`",
		"cell: java amqp telemetry-batch not supported: only over `HTTPS`",
	} {
		if err := m.add(line); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	want := matrix{{"python mqtt", "telemetry"}: "pass", {"java amqp", "telemetry-batch"}: "not supported: only over 'HTTPS'"}
	if len(m) != len(want) || m.differences(want, matrixColumns()) != nil {
		t.Errorf("%v, want %v", m, want)
	}
	for _, line := range []string{
		"cell: python mqtt telemetry not supported: contradicts",
		"cell: java amqp telemetry-batch pass",
		"cell: java amqp telemetry-batch not supported: other words",
		"cell: python amqp telemetry pass",
		"cell: perl mqtt telemetry pass",
		"cell: python mqtt telepathy pass",
		"cell: python mqtt-ws telemetry",
		"cell: python mqtt-ws telemetry passed",
		"cell: python mqtt-ws telemetry skipped",
		"cell: python mqtt-ws telemetry not supported",
		"cell: python mqtt-ws telemetry not supported: ",
		"cell: python mqtt-ws",
		"cell:",
	} {
		if err := m.add(line); err == nil {
			t.Errorf("%q is taken", line)
		}
	}
	if len(m) != len(want) || m.differences(want, matrixColumns()) != nil {
		t.Errorf("after refusals: %v, want %v", m, want)
	}
}

// fullMatrix passes everywhere.
func fullMatrix() matrix {
	m := matrix{}
	for _, column := range matrixColumns() {
		for _, f := range matrixFeatures() {
			m[cell{column, f.key}] = passes
		}
	}
	return m
}

func TestMatrixMissing(t *testing.T) {
	m := fullMatrix()
	if got := m.missing(matrixColumns()); got != nil {
		t.Errorf("a full matrix misses %q", got)
	}
	delete(m, cell{"node http", "twin-get"})
	want := []string{"no scenario filled the cell node http twin-get"}
	if got := m.missing(matrixColumns()); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := m.missing([]string{"node mqtt"}); got != nil {
		t.Errorf("of another column: %q", got)
	}
}

func TestMatrixDifferences(t *testing.T) {
	here, documented := fullMatrix(), fullMatrix()
	if got := here.differences(documented, matrixColumns()); got != nil {
		t.Errorf("the same matrix differs: %q", got)
	}
	here[cell{"node http", "twin-get"}] = notSupported + "no such method"
	delete(documented, cell{"java mqtt", "telemetry"})
	want := []string{
		`node http twin-get: "not supported: no such method" here, "pass" in docs/coverage.md`,
		`java mqtt telemetry: "pass" here, "" in docs/coverage.md`,
	}
	if got := here.differences(documented, matrixColumns()); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := here.differences(documented, []string{"python mqtt"}); got != nil {
		t.Errorf("of another column: %q", got)
	}
}

func TestMatrixDocument(t *testing.T) {
	m := fullMatrix()
	m[cell{"node http", "twin-get"}] = notSupported + "no such | method"
	m[cell{"node http", "twin-reported"}] = notSupported + "no such | method"
	m[cell{"java http", "twin-get"}] = notSupported + "Other words."
	delete(m, cell{"java mqtt", "telemetry"})
	const around = "before\n" + matrixBegin + "\nstale\n" + matrixEnd + "\nafter\n"
	text, err := documentMatrix(around, m)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(text, "before\n"+matrixBegin) || !strings.HasSuffix(text, matrixEnd+"\nafter\n") || strings.Contains(text, "stale") {
		t.Errorf("not in its place:\n%s", text)
	}
	read, err := documentedMatrix(text)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.differences(read, matrixColumns()); got != nil {
		t.Errorf("read again it differs: %q", got)
	}
	if got := strings.Count(text, "`no such | method`"); got != 1 {
		t.Errorf("the same words %d times", got)
	}
	if _, err := documentMatrix("nothing", m); err == nil {
		t.Error("a document without a place for it is taken")
	}
	for _, wrong := range []string{
		"nothing", matrixBegin + "\n",
		strings.Replace(text, "| pass |", "| passed |", 1),
		strings.Replace(text, "| pass |", "| pass | pass |", 1),
		strings.Replace(text, "`telemetry`", "`telepathy`", 1),
		strings.Replace(text, "not supported (2)", "not supported (3)", 1),
	} {
		if _, err := documentedMatrix(wrong); err == nil {
			t.Errorf("taken:\n%.300s", wrong)
		}
	}
}

func TestMatrixString(t *testing.T) {
	m := matrix{
		{"python mqtt", "telemetry"}: passes, {"node http", "telemetry"}: passes,
		{"node http", "twin-get"}: notSupported + "no such method", {"node http", "twin-reported"}: notSupported + "no such method",
	}
	want := `
Feature        python mqtt  node http
telemetry      pass         pass
twin-get       .            no (1)
twin-reported  .            no (1)
no (1): no such method
`
	if got := "\n" + m.String(); got != want {
		t.Errorf("got:%swant:%s", got, want)
	}
}

// TestMatrixInCoverage checks that the documented matrix is complete and in the form that a run writes.
func TestMatrixInCoverage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "coverage.md"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := documentedMatrix(string(text))
	if err != nil {
		t.Fatal(err)
	}
	columns := matrixColumns()
	for _, complaint := range m.missing(columns) {
		t.Error(complaint)
	}
	again, err := documentMatrix(string(text), m)
	if err != nil {
		t.Fatal(err)
	}
	if again != string(text) {
		t.Errorf("the matrix in docs/coverage.md was changed by hand; written anew:\n%s", m.markdown())
	}
}
