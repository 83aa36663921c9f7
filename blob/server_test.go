package blob

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // Content-MD5 is the protocol's
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
)

// site is an account behind a plain HTTP server, and a client with its key.
type site struct {
	t      *testing.T
	dir    string
	server *Server
	http   *httptest.Server
	client *azblob.Client
	now    func() time.Time
}

func newSite(t *testing.T) *site {
	s := &site{t: t, dir: t.TempDir(), now: time.Now}
	s.restart()
	return s
}

// restart serves the folder anew.
func (s *site) restart() {
	s.t.Helper()
	var err error
	if s.server, err = NewServer(Options{Dir: s.dir, Version: "1.2.3", Now: func() time.Time { return s.now() }}); err != nil {
		s.t.Fatal(err)
	}
	s.http = httptest.NewServer(s.server)
	s.t.Cleanup(s.http.Close)
	if s.client, err = azblob.NewClientFromConnectionString(s.account().ConnectionString(), nil); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) account() Account {
	a := s.server.Account("x")
	a.Endpoint = s.http.URL + "/" + a.Name
	return a
}

func (s *site) ctx() context.Context { return s.t.Context() }

// container makes one and returns its client.
func (s *site) container(name string) *container.Client {
	s.t.Helper()
	c := s.client.ServiceClient().NewContainerClient(name)
	if _, err := c.Create(s.ctx(), nil); err != nil {
		s.t.Fatal(err)
	}
	return c
}

func wantCode(t *testing.T, what string, err error, status int, code string) {
	t.Helper()
	var answer *azcore.ResponseError
	if !errors.As(err, &answer) || answer.StatusCode != status || answer.ErrorCode != code {
		t.Errorf("%s: %v, want %d %s", what, err, status, code)
	}
}

func body(text string) io.ReadSeekCloser { return streaming.NopCloser(strings.NewReader(text)) }

func read(t *testing.T, c interface {
	DownloadStream(context.Context, *blob.DownloadStreamOptions) (blob.DownloadStreamResponse, error)
},
) string {
	t.Helper()
	answer, err := c.DownloadStream(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestBlobLife(t *testing.T) {
	s := newSite(t)
	c := s.container("uploads")
	b := c.NewBlockBlobClient("d 1/über%2F+&=?#.txt")
	sum := md5.Sum([]byte("hello")) //nolint:gosec // see the import
	made, err := b.Upload(s.ctx(), body("hello"), &blockblob.UploadOptions{
		Metadata:    map[string]*string{"one": to.Ptr("1")},
		HTTPHeaders: &blob.HTTPHeaders{BlobContentType: to.Ptr("text/plain"), BlobContentEncoding: to.Ptr("utf-8")},
	})
	if err != nil || !bytes.Equal(made.ContentMD5, sum[:]) || made.ETag == nil {
		t.Fatalf("%+v, %v", made, err)
	}
	if got := read(t, b); got != "hello" {
		t.Errorf("%q", got)
	}
	p, err := b.GetProperties(s.ctx(), nil)
	if err != nil || *p.ContentLength != 5 || *p.ContentType != "text/plain" || *p.ContentEncoding != "utf-8" || *p.Metadata["One"] != "1" ||
		*p.ETag != *made.ETag || *p.BlobType != blob.BlobTypeBlockBlob || !bytes.Equal(p.ContentMD5, sum[:]) {
		t.Errorf("%+v, %v", p, err)
	}
	for from, want := range map[blob.HTTPRange]string{{Offset: 1, Count: 3}: "ell", {Offset: 3}: "lo", {Offset: 4, Count: 100}: "o"} {
		answer, err := b.DownloadStream(s.ctx(), &blob.DownloadStreamOptions{Range: from})
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(answer.Body); err != nil || string(text) != want {
			t.Errorf("range %+v: %q, %v", from, text, err)
		}
	}
	_, err = b.DownloadStream(s.ctx(), &blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: 5}})
	wantCode(t, "behind the end", err, 416, "InvalidRange")

	// Survives a restart, and so does what replaces it.
	s.restart()
	b = s.client.ServiceClient().NewContainerClient("uploads").NewBlockBlobClient("d 1/über%2F+&=?#.txt")
	if got := read(t, b); got != "hello" {
		t.Errorf("after a restart %q", got)
	}
	if _, err := b.SetMetadata(s.ctx(), map[string]*string{"two": to.Ptr("2")}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.SetHTTPHeaders(s.ctx(), blob.HTTPHeaders{BlobCacheControl: to.Ptr("no-store")}, nil); err != nil {
		t.Fatal(err)
	}
	if p, err = b.GetProperties(s.ctx(), nil); err != nil || p.Metadata["One"] != nil || *p.Metadata["Two"] != "2" || *p.CacheControl != "no-store" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := b.Upload(s.ctx(), body(""), nil); err != nil {
		t.Fatal(err)
	}
	if got := read(t, b); got != "" {
		t.Errorf("an empty one: %q", got)
	}
	if _, err := b.Delete(s.ctx(), nil); err != nil {
		t.Fatal(err)
	}
	_, err = b.Delete(s.ctx(), nil)
	wantCode(t, "deleted twice", err, 404, string(bloberror.BlobNotFound))
	if left := s.dataFiles(); len(left) != 0 {
		t.Errorf("files are left: %v", left)
	}
}

// dataFiles returns the contents on the disk, and what is half done.
func (s *site) dataFiles() (found []string) {
	s.t.Helper()
	folders, err := os.ReadDir(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, folder := range folders {
		files, err := os.ReadDir(s.dir + "/" + folder.Name())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, f := range files {
			if !strings.HasSuffix(f.Name(), entrySuffix) && f.Name() != containerFile && !strings.HasSuffix(f.Name(), stagedSuffix) {
				found = append(found, f.Name())
			}
		}
	}
	return found
}

func TestBlocks(t *testing.T) {
	s := newSite(t)
	b := s.container("uploads").NewBlockBlobClient("blocks")
	id := func(n byte) string { return base64.StdEncoding.EncodeToString([]byte{'b', n}) }
	stage := func(n byte, text string) {
		t.Helper()
		if _, err := b.StageBlock(s.ctx(), id(n), body(text), nil); err != nil {
			t.Fatal(err)
		}
	}
	commit := func(ids ...string) error {
		_, err := b.CommitBlockList(s.ctx(), ids, &blockblob.CommitBlockListOptions{HTTPHeaders: &blob.HTTPHeaders{BlobContentType: to.Ptr("a/b")}})
		return err
	}
	stage(1, "one")
	stage(2, "two")
	stage(2, "TWO") // replaced
	_, err := b.DownloadStream(s.ctx(), nil)
	wantCode(t, "before the list", err, 404, "BlobNotFound")
	list, err := b.GetBlockList(s.ctx(), blockblob.BlockListTypeAll, nil)
	if err != nil || len(list.UncommittedBlocks) != 2 || len(list.CommittedBlocks) != 0 || *list.UncommittedBlocks[1].Size != 3 {
		t.Errorf("%+v, %v", list, err)
	}
	wantCode(t, "an unknown block", commit(id(1), id(9)), 400, "InvalidBlockList")
	if err := commit(id(2), id(1), id(2)); err != nil {
		t.Fatal(err)
	}
	if got := read(t, b); got != "TWOoneTWO" {
		t.Errorf("%q", got)
	}
	// A committed block may be used again, and is older than a new one of its name.
	stage(3, "three")
	stage(1, "ONE")
	if err := commit(id(3), id(2), id(1)); err != nil {
		t.Fatal(err)
	}
	if got := read(t, b); got != "threeTWOONE" {
		t.Errorf("%q", got)
	}
	p, err := b.GetProperties(s.ctx(), nil)
	if err != nil || *p.ContentType != "a/b" || *p.ContentLength != 11 {
		t.Errorf("%+v, %v", p, err)
	}
	if n := len(s.dataFiles()); n != 1 {
		t.Errorf("%d contents, want 1", n)
	}
	_, err = b.StageBlock(s.ctx(), "%%%", body("x"), nil)
	wantCode(t, "an ID that is no base64", err, 400, "InvalidQueryParameterValue")
	stage(4, "x")
	_, err = b.StageBlock(s.ctx(), base64.StdEncoding.EncodeToString([]byte("longer")), body("x"), nil)
	wantCode(t, "an ID of another length", err, 400, "InvalidBlobOrBlock")
	// Those that were acknowledged outlive the process, for a week.
	stage(4, "four")
	s.restart()
	b = s.client.ServiceClient().NewContainerClient("uploads").NewBlockBlobClient("blocks")
	list, err = b.GetBlockList(s.ctx(), blockblob.BlockListTypeAll, nil)
	if err != nil || len(list.UncommittedBlocks) != 1 || *list.UncommittedBlocks[0].Size != 4 || len(list.CommittedBlocks) != 3 {
		t.Errorf("after a restart: %+v, %v", list, err)
	}
	stage(5, "five")
	if err := commit(id(4), id(5), id(1)); err != nil {
		t.Fatal(err)
	}
	if got := read(t, b); got != "fourfiveONE" {
		t.Errorf("%q", got)
	}
	stage(6, "six")
	now := s.now
	s.now = func() time.Time { return now().Add(8 * 24 * time.Hour) }
	s.restart()
	if n := len(s.dataFiles()); n != 1 {
		t.Errorf("%d files after a week, want 1", n)
	}
}

// A large blob goes through block lists of the SDK's own, and comes back in parallel.
func TestLargeBlob(t *testing.T) {
	s := newSite(t)
	s.container("uploads")
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	if _, err := s.client.UploadStream(s.ctx(), "uploads", "large", bytes.NewReader(content), &azblob.UploadStreamOptions{BlockSize: 1 << 20, Concurrency: 4}); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(content))
	n, err := s.client.DownloadBuffer(s.ctx(), "uploads", "large", got, &azblob.DownloadBufferOptions{BlockSize: 3 << 20, Concurrency: 4})
	if err != nil || n != int64(len(content)) || !bytes.Equal(got, content) {
		t.Fatalf("%d bytes, %v", n, err)
	}
}

func TestContainersAndLists(t *testing.T) {
	s := newSite(t)
	c := s.container("c-1")
	s.container("c-2")
	_, err := c.Create(s.ctx(), nil)
	wantCode(t, "twice", err, 409, "ContainerAlreadyExists")
	_, err = s.client.CreateContainer(s.ctx(), "Bad_Name", nil)
	wantCode(t, "a bad name", err, 400, "InvalidResourceName")
	if _, err := c.GetProperties(s.ctx(), nil); err != nil {
		t.Error(err)
	}
	names := []string{"a", "dir/1", "dir/2", "dir/sub/3", "z & <>"}
	for _, name := range names {
		if _, err := c.NewBlockBlobClient(name).Upload(s.ctx(), body(name), &blockblob.UploadOptions{Metadata: map[string]*string{"k": to.Ptr("v")}}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	flat := c.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{MaxResults: to.Ptr[int32](2), Include: container.ListBlobsInclude{Metadata: true}})
	for flat.More() {
		page, err := flat.NextPage(s.ctx())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range page.Segment.BlobItems {
			got = append(got, *b.Name)
			if *b.Properties.ContentLength != int64(len(*b.Name)) || *b.Metadata["k"] != "v" || b.Properties.LastModified.IsZero() {
				t.Errorf("%+v", b.Properties)
			}
		}
	}
	if strings.Join(got, "|") != strings.Join(names, "|") {
		t.Errorf("%q", got)
	}
	got = nil
	tree := c.NewListBlobsHierarchyPager("/", &container.ListBlobsHierarchyOptions{MaxResults: to.Ptr[int32](1)})
	for tree.More() {
		page, err := tree.NextPage(s.ctx())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.Segment.BlobPrefixes {
			got = append(got, *p.Name)
		}
		for _, b := range page.Segment.BlobItems {
			got = append(got, *b.Name)
		}
	}
	if strings.Join(got, "|") != "a|dir/|z & <>" {
		t.Errorf("%q", got)
	}
	got = nil
	containers := s.client.NewListContainersPager(&service.ListContainersOptions{MaxResults: to.Ptr[int32](1)})
	for containers.More() {
		page, err := containers.NextPage(s.ctx())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page.ContainerItems {
			got = append(got, *c.Name)
		}
	}
	if strings.Join(got, "|") != "c-1|c-2" {
		t.Errorf("%q", got)
	}
	if _, err := c.Delete(s.ctx(), nil); err != nil {
		t.Fatal(err)
	}
	_, err = c.NewBlockBlobClient("a").Upload(s.ctx(), body("x"), nil)
	wantCode(t, "into a container that is gone", err, 404, "ContainerNotFound")
	s.restart()
	if len(s.server.files.containers) != 1 {
		t.Errorf("%v", s.server.files.containers)
	}
}

func TestConditions(t *testing.T) {
	s := newSite(t)
	b := s.container("uploads").NewBlockBlobClient("b")
	upload := func(c blob.ModifiedAccessConditions) error {
		_, err := b.Upload(s.ctx(), body("x"), &blockblob.UploadOptions{AccessConditions: &blob.AccessConditions{ModifiedAccessConditions: &c}})
		return err
	}
	wantCode(t, "If-Match of nothing", upload(blob.ModifiedAccessConditions{IfMatch: to.Ptr(azcore.ETagAny)}), 412, "ConditionNotMet")
	if err := upload(blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "If-None-Match *", upload(blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)}), 409, "BlobAlreadyExists")
	p, err := b.GetProperties(s.ctx(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := upload(blob.ModifiedAccessConditions{IfMatch: p.ETag}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "the old ETag", upload(blob.ModifiedAccessConditions{IfMatch: p.ETag}), 412, "ConditionNotMet")
	now, err := b.GetProperties(s.ctx(), nil)
	if err != nil {
		t.Fatal(err)
	}
	unchanged, err := b.DownloadStream(s.ctx(), &blob.DownloadStreamOptions{AccessConditions: &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: now.ETag}}})
	if err != nil || unchanged.ErrorCode == nil || *unchanged.ErrorCode != "ConditionNotMet" {
		t.Errorf("unchanged: %+v, %v", unchanged, err)
	}
	past := time.Now().Add(-time.Hour)
	_, err = b.Delete(s.ctx(), &blob.DeleteOptions{AccessConditions: &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfUnmodifiedSince: &past}}})
	wantCode(t, "If-Unmodified-Since", err, 412, "ConditionNotMet")
}

// raw sends a request with a signature for everything in the container.
func (s *site) raw(method, path string, content io.Reader, headers ...string) *http.Response {
	s.t.Helper()
	u, err := url.Parse(s.http.URL + "/" + EmulatorAccount + path)
	if err != nil {
		s.t.Fatal(err)
	}
	sas := strings.TrimPrefix(s.account().ContainerSAS("uploads", "racwdl", time.Now(), time.Now().Add(time.Hour)), "?")
	u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+sas, "&")
	r, err := http.NewRequestWithContext(s.ctx(), method, u.String(), content)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

func TestBadRequests(t *testing.T) {
	s := newSite(t)
	s.container("uploads")
	block := []string{"x-ms-blob-type", "BlockBlob"}
	for name, tt := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		code               string
	}{
		"no blob type":      {"PUT", "/uploads/b", "x", nil, 400, "InvalidHeaderValue"},
		"a page blob":       {"PUT", "/uploads/b", "", []string{"x-ms-blob-type", "PageBlob"}, 501, "NotImplemented"},
		"a wrong MD5":       {"PUT", "/uploads/b", "x", append([]string{"Content-MD5", "AAAA"}, block...), 400, "Md5Mismatch"},
		"a copy":            {"PUT", "/uploads/b", "", []string{"x-ms-copy-source", "https://x/y"}, 501, "NotImplemented"},
		"a lease":           {"PUT", "/uploads/b?comp=lease", "", nil, 501, "NotImplemented"},
		"a control byte":    {"PUT", "/uploads/b%01", "x", block, 400, "InvalidResourceName"},
		"a long name":       {"PUT", "/uploads/" + strings.Repeat("x", 1025), "x", block, 400, "InvalidResourceName"},
		"much metadata":     {"PUT", "/uploads/b", "x", append([]string{"x-ms-meta-a", strings.Repeat("x", maxMetadata)}, block...), 400, "MetadataTooLarge"},
		"a list of nothing": {"PUT", "/uploads/b?comp=blocklist", "", nil, 400, "InvalidXmlDocument"},
		"half a list":       {"PUT", "/uploads/b?comp=blocklist", "<BlockList><Latest>AA==</Latest>", nil, 400, "InvalidXmlDocument"},
		"another document":  {"PUT", "/uploads/b?comp=blocklist", "<A/>", nil, 400, "InvalidXmlDocument"},
		"another element":   {"PUT", "/uploads/b?comp=blocklist", "<BlockList><X/></BlockList>", nil, 400, "InvalidXmlDocument"},
		"no such block":     {"PUT", "/uploads/b?comp=blocklist", "<BlockList><Latest>AA==</Latest></BlockList>", nil, 400, "InvalidBlockList"},
		"a page of -1":      {"GET", "/uploads?restype=container&comp=list&maxresults=-1", "", nil, 400, "OutOfRangeQueryParameterValue"},
		"a method":          {"PATCH", "/uploads/b", "", nil, 501, "NotImplemented"},
	} {
		a := s.raw(tt.method, tt.path, strings.NewReader(tt.body), tt.headers...)
		text, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		if a.StatusCode != tt.status || a.Header.Get("x-ms-error-code") != tt.code || !strings.Contains(string(text), "<Code>"+tt.code+"</Code>") {
			t.Errorf("%s: %d %s", name, a.StatusCode, text)
		}
	}
	a := s.raw("PUT", "/uploads/b", io.MultiReader(strings.NewReader("chunked")), block...)
	if a.StatusCode != 411 || a.Header.Get("x-ms-error-code") != "MissingContentLengthHeader" {
		t.Errorf("chunked: %d %s", a.StatusCode, a.Header.Get("x-ms-error-code"))
	}
	a = s.raw("HEAD", "/uploads/none", nil, "x-ms-version", "2020-10-02", "x-ms-client-request-id", "mine")
	if a.StatusCode != 404 || a.Header.Get("x-ms-error-code") != "BlobNotFound" || a.Header.Get("x-ms-version") != "2020-10-02" ||
		a.Header.Get("x-ms-client-request-id") != "mine" || a.Header.Get("x-ms-request-id") == "" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	if left := s.dataFiles(); len(left) != 0 {
		t.Errorf("files are left: %v", left)
	}
}

// A body that does not arrive whole leaves nothing behind.
func TestCutOff(t *testing.T) {
	s := newSite(t)
	s.container("uploads")
	r := httptest.NewRequestWithContext(s.ctx(), http.MethodPut, "/"+EmulatorAccount+"/uploads/b"+s.account().BlobSAS("uploads", "b", "w", time.Now(), time.Now().Add(time.Hour)),
		io.MultiReader(strings.NewReader("half"), cut{}))
	r.Header.Set("x-ms-blob-type", "BlockBlob")
	r.ContentLength = 8
	rec := httptest.NewRecorder()
	s.server.ServeHTTP(rec, r)
	if rec.Code != 400 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if left := s.dataFiles(); len(left) != 0 {
		t.Errorf("files are left: %v", left)
	}
	if _, _, err := s.server.Blob("uploads", "b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
}

type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
