package blobcontainer

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/hub"
)

// account is a storage account that knows what this package asks of one.
type account struct {
	mu     sync.Mutex
	blobs  map[string][]byte
	blocks map[string][]byte
	// broken breaks off that many downloads in the middle.
	broken int
}

func newAccount(t *testing.T) (*account, *httptest.Server) {
	a := &account{blobs: map[string][]byte{}, blocks: map[string][]byte{}}
	s := httptest.NewTLSServer(a)
	t.Cleanup(s.Close)
	return a, s
}

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	fail := func(status int, code string) {
		w.Header().Set("x-ms-error-code", code)
		w.WriteHeader(status)
	}
	q, path := r.URL.Query(), r.URL.Path
	switch {
	case err != nil:
		fail(400, "InvalidInput")
	case q.Get("sig") != "good+/sig":
		fail(403, "AuthenticationFailed")
	case !strings.HasPrefix(path, "/account/devices/"):
		fail(404, "ContainerNotFound")
	case r.Method == http.MethodPut && q.Get("comp") == "block":
		a.blocks[q.Get("blockid")] = body
		w.WriteHeader(201)
	case r.Method == http.MethodPut && q.Get("comp") == "blocklist":
		var list struct{ Latest []string }
		if err := xml.Unmarshal(body, &list); err != nil {
			fail(400, "InvalidXmlDocument")
			return
		}
		var all []byte
		for _, id := range list.Latest {
			all = append(all, a.blocks[id]...)
		}
		a.blobs[path] = all
		w.WriteHeader(201)
	case r.Method == http.MethodPut && r.Header.Get("x-ms-blob-type") == "BlockBlob":
		a.blobs[path] = body
		w.WriteHeader(201)
	case r.Method == http.MethodGet && a.blobs[path] == nil:
		fail(404, "BlobNotFound")
	case r.Method == http.MethodGet:
		w.Header().Set("ETag", `"1"`)
		if a.broken > 0 {
			a.broken--
			panic(http.ErrAbortHandler)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.blobs[path]))
	default:
		fail(400, "UnsupportedHttpVerb")
	}
}

func TestContainer(t *testing.T) {
	a, s := newAccount(t)
	ctx := t.Context()
	c, err := Opener(s.Client())(s.URL + "/account/devices?sv=2021-04-12&sig=good%2B%2Fsig")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty.log": "", "devices.txt": "one line\r\n", "folder/a b#?.txt": "x", "large.txt": strings.Repeat("0123456789abcdef", 5<<16),
	} {
		if err := c.Upload(ctx, name, strings.NewReader(text)); err != nil {
			t.Fatalf("upload %s: %v", name, err)
		}
		body, err := c.Download(ctx, name)
		if err != nil {
			t.Fatalf("download %s: %v", name, err)
		}
		got, err := io.ReadAll(body)
		if err != nil || string(got) != text || body.Close() != nil {
			t.Errorf("%s: %d bytes, want %d; %v", name, len(got), len(text), err)
		}
	}
	if _, err := c.Download(ctx, "missing.txt"); !errors.Is(err, hub.ErrNoBlob) {
		t.Errorf("a blob that is not there: %v", err)
	}
	// A body that fails leaves what there was.
	broken := io.MultiReader(strings.NewReader(strings.Repeat("x", 3<<20)), &failing{})
	if err := c.Upload(ctx, "devices.txt", broken); err == nil || string(a.blobs["/account/devices/devices.txt"]) != "one line\r\n" {
		t.Errorf("%v: %q", err, a.blobs["/account/devices/devices.txt"])
	}
}

type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, errors.New("no more") }

// No error holds the signature.
func TestContainerRefused(t *testing.T) {
	_, s := newAccount(t)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, uri := range []string{
		"", "devices", "/account/devices?sig=secret", "ftp://host/devices?sig=secret", "https:///devices?sig=secret",
		"https://host?sig=secret", "https://host/?sig=secret", "https://host/devices", "https://ho st/devices?sig=secret",
		"https://host/%zz?sig=secret",
		s.URL + "/account/devices?sig=secret", s.URL + "/account/other?sig=good%2B%2Fsig&x=secret",
		closed.URL + "/account/devices?sig=secret",
	} {
		c, err := Opener(s.Client())(uri)
		if err == nil {
			ctx := t.Context()
			if strings.HasPrefix(uri, closed.URL) {
				ctx = ended // rather than wait for the retries
			}
			_, err = c.Download(ctx, "devices.txt")
			if up := c.Upload(ctx, "devices.txt", strings.NewReader("x")); up == nil || strings.Contains(up.Error(), "secret") {
				t.Errorf("%s: upload: %v", uri, up)
			}
		}
		if err == nil || strings.Contains(err.Error(), "secret") || errors.Is(err, hub.ErrNoBlob) {
			t.Errorf("%s: %v", uri, err)
		}
	}
	// The account's certificate is checked.
	c, err := Opener(&http.Client{Transport: &http.Transport{}})(s.URL + "/account/devices?sig=secret")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Download(t.Context(), "devices.txt"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("an unknown certificate: %v", err)
	}
}

// A broken connection is tried again.
func TestDownloadRetried(t *testing.T) {
	a, s := newAccount(t)
	c, err := Opener(s.Client())(s.URL + "/account/devices?sig=good%2B%2Fsig")
	if err != nil {
		t.Fatal(err)
	}
	a.blobs["/account/devices/devices.txt"] = []byte("all of it")
	a.broken = 1
	body, err := c.Download(t.Context(), "devices.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(body); err != nil || string(got) != "all of it" {
		t.Errorf("%q, %v", got, err)
	}
}
