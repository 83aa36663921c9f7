package conformance

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
)

// The matrix tells which feature works with which SDK over which transport. Its cells are lines that the SDK programs print once
// they have checked a feature:
//
//	cell: python mqtt-ws telemetry pass
//	cell: java amqp telemetry-batch not supported: Batch messaging is only supported over HTTPS
//
// "not supported" is what the SDK itself says when it is asked for the feature.

// matrixColumns are the SDKs and the transports they have.
func matrixColumns() []string {
	return []string{
		"python mqtt", "python mqtt-ws",
		"node mqtt", "node mqtt-ws", "node amqp", "node amqp-ws", "node http",
		"java mqtt", "java mqtt-ws", "java amqp", "java amqp-ws", "java http",
	}
}

// feature is a row of the matrix.
type feature struct{ key, meaning string }

func matrixFeatures() []feature {
	return []feature{
		{"telemetry", "messages arrive as sent, binary and empty ones too"},
		{"telemetry-properties", "system and application properties, awkward ones too"},
		{"telemetry-batch", "several messages in one call"},
		{"telemetry-too-large", "more than 256 KB is refused"},
		{"c2d-complete", "a message from the cloud, completed"},
		{"c2d-abandon", "abandoned: it comes again"},
		{"c2d-reject", "rejected: it never comes again"},
		{"c2d-feedback", "what became of the message, told to the back end"},
		{"method-payloads", "direct methods with every kind of JSON, both ways"},
		{"method-status", "the device's own status, and 504 when it says nothing"},
		{"twin-get", "the twin as the device sees it"},
		{"twin-reported", "reported properties, set and deleted"},
		{"twin-desired-online", "desired changes as they are made"},
		{"twin-desired-offline", "desired changes made while the device was away"},
		{"module-telemetry", "a module's messages"},
		{"module-twin", "a module's twin, both ways"},
		{"module-methods", "a module's methods"},
		{"module-input", "a message from another module of the device"},
		{"x509-thumbprint", "a certificate of its own"},
		{"x509-ca", "a certificate of a registered authority"},
		{"sas-renewal", "the token is renewed, nothing is lost"},
		{"reconnect", "the TCP connection is cut, nothing acknowledged is lost"},
		{"upload-10k", "a file of 10 KB"},
		{"upload-5m", "a file of 5 MB"},
		{"upload-250m", "a file of 250 MB"},
		{"plug-and-play", "model ID; telemetry, property and command of a component"},
		{"fault-KillTcp", "the connection is reset, the device comes back"},
		{"fault-KillAmqpConnection", "the AMQP connection is closed with an error"},
		{"fault-KillAmqpSession", "the session"},
		{"fault-KillAmqpCBSLinkReq", "the link to `$cbs`"},
		{"fault-KillAmqpCBSLinkResp", "the link from `$cbs`"},
		{"fault-KillAmqpD2CLink", "the link of telemetry"},
		{"fault-KillAmqpC2DLink", "the link of messages from the cloud"},
		{"fault-KillAmqpTwinLinkReq", "the link to the twin"},
		{"fault-KillAmqpTwinLinkResp", "the link from the twin"},
		{"fault-KillAmqpMethodReqLink", "the link of calls"},
		{"fault-KillAmqpMethodRespLink", "the link of answers to calls"},
		{"fault-ShutDownAmqp", "the AMQP connection is closed in good order"},
		{"fault-ShutDownMqtt", "the MQTT connection is ended"},
		{"fault-InvokeThrottling", "telemetry and connecting are throttled for a while"},
		{"fault-InvokeMaxMessageQuota", "the quota is used up for a while"},
		{"fault-InvokeAuthError", "telemetry and connecting are refused for a while"},
	}
}

const (
	passes       = "pass"
	notSupported = "not supported: "
)

// cell is a place in the matrix.
type cell struct{ column, feature string }

// matrix maps each cell that is known to "pass" or "not supported: " and the SDK's words.
type matrix map[cell]string

// add takes a line that a program printed.
func (m matrix) add(line string) error {
	parts := regexp.MustCompile(`^cell: (\S+ \S+) (\S+) (.+)$`).FindStringSubmatch(line)
	if parts == nil {
		return fmt.Errorf("%q is not of the form cell: SDK TRANSPORT FEATURE RESULT", line)
	}
	at, result := cell{parts[1], parts[2]}, strings.Join(strings.Fields(strings.ReplaceAll(parts[3], "`", "'")), " ")
	if !slices.Contains(matrixColumns(), at.column) {
		return fmt.Errorf("%q: unknown SDK or transport", line)
	}
	if !slices.ContainsFunc(matrixFeatures(), func(f feature) bool { return f.key == at.feature }) {
		return fmt.Errorf("%q: unknown feature", line)
	}
	if result != passes && (!strings.HasPrefix(result, notSupported) || result == strings.TrimSpace(notSupported)) {
		return fmt.Errorf("%q: want pass, or not supported: and the SDK's words", line)
	}
	if known, ok := m[at]; ok && known != result {
		return fmt.Errorf("%s %s contradicts itself: %q and %q", at.column, at.feature, known, result)
	}
	m[at] = result
	return nil
}

// missing names the empty cells of the columns.
func (m matrix) missing(columns []string) []string {
	var complaints []string
	for _, column := range columns {
		for _, f := range matrixFeatures() {
			if m[cell{column, f.key}] == "" {
				complaints = append(complaints, fmt.Sprintf("no scenario filled the cell %s %s", column, f.key))
			}
		}
	}
	return complaints
}

// differences tells where the columns of the documented matrix are not these.
func (m matrix) differences(documented matrix, columns []string) []string {
	var complaints []string
	for _, column := range columns {
		for _, f := range matrixFeatures() {
			at := cell{column, f.key}
			if m[at] != documented[at] {
				complaints = append(complaints, fmt.Sprintf("%s %s: %q here, %q in docs/coverage.md", column, f.key, m[at], documented[at]))
			}
		}
	}
	return complaints
}

// table lays out the matrix: the header, the rows, and the words that "not supported (n)" refers to.
func (m matrix) table() (header []string, rows [][]string, notes []string) {
	header = append([]string{"Feature"}, matrixColumns()...)
	for _, f := range matrixFeatures() {
		row := []string{f.key}
		for _, column := range matrixColumns() {
			text := m[cell{column, f.key}]
			if words, found := strings.CutPrefix(text, notSupported); found {
				at := slices.Index(notes, words)
				if at < 0 {
					at = len(notes)
					notes = append(notes, words)
				}
				text = fmt.Sprintf("not supported (%d)", at+1)
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	return header, rows, notes
}

// String is the table for a terminal, without what is empty altogether.
func (m matrix) String() string {
	header, rows, notes := m.table()
	filled := func(values []string) bool { return strings.Join(values, "") != "" }
	rows = slices.DeleteFunc(rows, func(row []string) bool { return !filled(row[1:]) })
	for i := len(header) - 1; i > 0; i-- {
		var column []string
		for _, row := range rows {
			column = append(column, row[i])
		}
		if filled(column) {
			continue
		}
		header = slices.Delete(header, i, i+1)
		for r := range rows {
			rows[r] = slices.Delete(rows[r], i, i+1)
		}
	}
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		for i := range row {
			if row[i] == "" {
				row[i] = "."
			}
		}
		_, _ = fmt.Fprintln(w, strings.ReplaceAll(strings.Join(row, "\t"), "not supported", "no"))
	}
	_ = w.Flush()
	for i, words := range notes {
		_, _ = fmt.Fprintf(&out, "no (%d): %s\n", i+1, words)
	}
	return out.String()
}

// The matrix in docs/coverage.md is between these lines.
const (
	matrixBegin = "<!-- matrix: written by scripts/conformance -matrix -->"
	matrixEnd   = "<!-- end of the matrix -->"
)

// markdown is the matrix as docs/coverage.md has it, without the lines around.
func (m matrix) markdown() string {
	var out strings.Builder
	header, rows, notes := m.table()
	fmt.Fprintf(&out, "\n| %s |\n|%s\n", strings.Join(header, " | "), strings.Repeat("---|", len(header)))
	for i, f := range matrixFeatures() {
		rows[i][0] = fmt.Sprintf("`%s` %s", f.key, f.meaning)
		fmt.Fprintf(&out, "| %s |\n", strings.Join(rows[i], " | "))
	}
	out.WriteString("\n")
	for i, words := range notes {
		fmt.Fprintf(&out, "%d. `%s`\n", i+1, words)
	}
	if len(notes) > 0 {
		out.WriteString("\n")
	}
	return out.String()
}

// documentedMatrix reads the matrix in the text of docs/coverage.md.
func documentedMatrix(document string) (matrix, error) {
	_, text, found := strings.Cut(document, matrixBegin+"\n")
	text, _, ended := strings.Cut(text, matrixEnd)
	if !found || !ended {
		return nil, fmt.Errorf("docs/coverage.md: no matrix between %q and %q", matrixBegin, matrixEnd)
	}
	notes := map[string]string{}
	for _, note := range regexp.MustCompile("(?m)^([0-9]+)\\. `(.*)`$").FindAllStringSubmatch(text, -1) {
		notes[fmt.Sprintf("not supported (%s)", note[1])] = notSupported + note[2]
	}
	m := matrix{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\S+)` [^|]* \\|(.*)\\|$").FindAllStringSubmatch(text, -1) {
		values := strings.Split(row[2], "|")
		if len(values) != len(matrixColumns()) {
			return nil, fmt.Errorf("docs/coverage.md: %d cells of %s, want %d", len(values), row[1], len(matrixColumns()))
		}
		for i, column := range matrixColumns() {
			value := strings.TrimSpace(values[i])
			if words, ok := notes[value]; ok {
				value = words
			}
			if value == "" {
				continue
			}
			if err := m.add(fmt.Sprintf("cell: %s %s %s", column, row[1], value)); err != nil {
				return nil, fmt.Errorf("docs/coverage.md: %w", err)
			}
		}
	}
	return m, nil
}

// documentMatrix returns the document with another matrix in it.
func documentMatrix(document string, m matrix) (string, error) {
	before, rest, found := strings.Cut(document, matrixBegin+"\n")
	_, after, ended := strings.Cut(rest, matrixEnd)
	if !found || !ended {
		return "", fmt.Errorf("no matrix between %q and %q", matrixBegin, matrixEnd)
	}
	return before + matrixBegin + "\n" + m.markdown() + matrixEnd + after, nil
}
