package rest

import (
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// The jobs themselves are tested in package hub; here their addresses and refusals.
func TestRegistryJobRefusals(t *testing.T) {
	w := newWorld(t)
	if list := w.do("GET", "/jobs", "").list(); len(list) != 0 {
		t.Errorf("jobs %v", list)
	}
	for _, path := range []string{"/jobs/none", "/jobs/none/", "/jobs/a%20b"} {
		for _, method := range []string{"GET", "DELETE"} {
			w.do(method, path, "").refused(legacy, iothub.CodeJobNotFound)
		}
	}
	for body, code := range map[string]iothub.Code{
		"":                  iothub.CodeArgumentNull,
		"[]":                iothub.CodeIotHubFormatError,
		"{}":                iothub.CodeArgumentInvalid,
		`{"type":"move"}`:   iothub.CodeArgumentInvalid,
		`{"type":"export"}`: iothub.CodeBlobContainerValidationError,
		`{"type":"export","outputBlobContainerUri":"https://account.blob.core.windows.net/c?sig=secret"}`: iothub.CodeBlobContainerValidationError,
		`{"type":"import","outputBlobContainerUri":"x","storageAuthenticationType":"identityBased"}`:      iothub.CodeManagedIdentityNotEnabled,
	} {
		a := w.do("POST", "/jobs/create", body)
		if a.refused(legacy, code); strings.Contains(a.body, "secret") {
			t.Errorf("the answer holds the address: %s", a.body)
		}
	}
	for policy, want := range map[string]int{"registryReadWrite": 200, "registryRead": 401, "service": 401} {
		if a := w.raw("GET", "/jobs?"+testVersion, "", "Authorization", token(t, policy, testHost, time.Now().Add(time.Hour))); a.status != want {
			t.Errorf("%s: %d, want %d", policy, a.status, want)
		}
	}
}
