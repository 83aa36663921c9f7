package blobcontainer

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/blob"
	"github.com/hubnerite/hubnerite/hub"
)

// The emulator's own account stands for somebody else's.
func TestOpenAccount(t *testing.T) {
	server, err := blob.NewServer(blob.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(server)
	t.Cleanup(s.Close)
	account := server.Account("x")
	account.Endpoint = s.URL + "/" + account.Name
	for range 2 { // the second time the container is there
		files, err := OpenAccount(t.Context(), account.ConnectionString(), "uploads", time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := files.Blob(t.Context(), "d/none"); !errors.Is(err, hub.ErrNoBlob) {
			t.Errorf("%v", err)
		}
		place, err := files.Grant(t.Context(), "d/a b+ü.txt", time.Now().Add(time.Hour), "the.hub")
		if err != nil {
			t.Fatal(err)
		}
		if place.HostName != strings.TrimPrefix(account.Endpoint, "http://") || place.ContainerName != "uploads" ||
			!strings.HasPrefix(place.SASToken, "?") || place.URI != account.BlobURI("uploads", "d/a b+ü.txt") {
			t.Errorf("%+v", place)
		}
		// As a device does, but without TLS.
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+place.HostName+"/"+place.ContainerName+"/d/a%20b+%C3%BC.txt"+place.SASToken, strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("x-ms-blob-type", "BlockBlob")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusCreated {
			t.Fatalf("%s %s", answer.Status, text)
		}
		size, at, err := files.Blob(t.Context(), "d/a b+ü.txt")
		if err != nil || size != 5 || time.Since(at) > time.Minute {
			t.Errorf("%d %s, %v", size, at, err)
		}
	}
	secret := "c2VjcmV0c2VjcmV0"
	for name, text := range map[string]string{
		"nothing": "", "no key": "AccountName=x", "no base64": "AccountName=x;AccountKey=%%" + secret,
		"another key": strings.Replace(account.ConnectionString(), blob.EmulatorKey, secret, 1),
	} {
		if _, err := OpenAccount(t.Context(), text, "uploads", time.Now); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
