//go:build conformance

package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serviceAPIVariable replaces how long the service API is driven, in seconds.
const serviceAPIVariable = "HUBNERITE_SERVICE_API_SECONDS"

func serviceAPIScenarios() []scenario {
	return []scenario{{"service_api", []string{"schemathesis"}, serviceAPI}}
}

// serviceAPI drives every operation of the service API with generated requests, most of them bad, and holds every answer
// against serviceapi/openapi.yaml: no answer of the 500s, no status, header or member that is not described, and nothing left
// behind in the process.
func serviceAPI(t *testing.T, s *site) {
	a := newSiege(t, s, "d1", "off")
	for _, put := range [][2]string{
		{"/devices/edge1", `{"deviceId":"edge1","capabilities":{"iotEdge":true}}`},
		{"/devices/d1/modules/m1", `{"deviceId":"d1","moduleId":"m1"}`},
	} {
		if status, answer, err := a.call("PUT", put[0], json.RawMessage(put[1]), ""); err != nil || status != 200 {
			t.Fatalf("PUT %s: %d %v %v", put[0], status, answer, err)
		}
	}
	seconds := os.Getenv(serviceAPIVariable)
	if seconds == "" {
		seconds = "120"
	}
	owner := connectionFields(a.ready.ConnectionStrings["iothubowner"])
	dir := t.TempDir()
	file, err := filepath.Abs(filepath.Join("serviceapi", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p := startProgram(t, nil, append(os.Environ(), "HOME="+dir), "schemathesis", s.schemathesis, "--config-file", os.DevNull, "run", file,
		"--url", "https://"+a.host, "--tls-verify", a.ready.CABundleFile,
		"--header", "Authorization: "+sign(a.host, owner["SharedAccessKey"], "iothubowner", time.Hour),
		// One kind of input after the other: what is just right or just wrong by the description, then random.
		"--phases", "coverage,fuzzing", "--max-time", seconds, "--workers", "1", "--continue-on-failure",
		"--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance",
		"--generation-with-security-parameters", "false", "--generation-database", "none", "--request-timeout", "15",
		"--no-color", "--warnings", "off")
	p.wait(5 * time.Minute)
	for _, line := range strings.Split(p.output(), "\n") {
		if strings.Contains(line, " generated") || strings.HasPrefix(line, "Seed:") || strings.Contains(line, "Tested:") {
			t.Log(strings.TrimSpace(line))
		}
	}
	if want := fmt.Sprintf("Tested: %d", 42); !strings.Contains(p.output(), want) {
		t.Errorf("not all operations were tried: no %q", want)
	}
	a.finish()
}
