//go:build conformance

package conformance

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// uploader is a device that uploads files, with requests made by hand.
type uploader struct {
	a     *siege
	name  string
	token string
}

// place is where a device may write a file.
type place struct {
	CorrelationID string `json:"correlationId"`
	HostName      string `json:"hostName"`
	ContainerName string `json:"containerName"`
	BlobName      string `json:"blobName"`
	SASToken      string `json:"sasToken"`
}

// newUploader has a token that outlives the moves of the clock.
func newUploader(a *siege, device string) *uploader {
	return &uploader{a, device, sign(a.host+"/devices/"+device, a.key(device), "", 24*time.Hour)}
}

// start asks for a place; the error is the service's.
func (u *uploader) start(blob string) (p place, err error) {
	u.a.t.Helper()
	body, err := json.Marshal(map[string]string{"blobName": blob})
	if err != nil {
		return p, err
	}
	status, code, text, err := u.a.post(u.a.client, "/devices/"+u.name+"/files", u.token, string(body))
	switch {
	case err != nil:
		return p, err
	case status != http.StatusOK:
		return p, fmt.Errorf("%d %s %s", status, code, text)
	}
	return p, json.Unmarshal([]byte(text), &p)
}

func (u *uploader) mustStart(blob string) place {
	u.a.t.Helper()
	p, err := u.start(blob)
	if err != nil {
		u.a.t.Fatal(err)
	}
	return p
}

// notify says how an upload ended; the answer is its status and the code of the error, if there is one.
func (u *uploader) notify(body string) string {
	u.a.t.Helper()
	status, code, text, err := u.a.post(u.a.client, "/devices/"+u.name+"/files/notifications", u.token, body)
	if err != nil {
		return err.Error()
	}
	if i := strings.Index(text, "ErrorCode:"); i >= 0 && code == "" {
		code = text[i:]
	}
	return strings.TrimSpace(fmt.Sprint(status, " ", code))
}

func ended(correlationID string) string {
	return fmt.Sprintf(`{"correlationId":%q,"isSuccess":true,"statusCode":200,"statusDescription":"ok"}`, correlationID)
}

// put is a request to the storage account: its status and error code.
func (p place) put(a *siege, query, body string) string {
	a.t.Helper()
	return p.do(a, http.MethodPut, query, strings.NewReader(body))
}

func (p place) address() string {
	return "https://" + p.HostName + "/" + p.ContainerName + "/" + (&url.URL{Path: p.BlobName}).EscapedPath() + p.SASToken
}

func (p place) do(a *siege, method, query string, body io.Reader) string {
	a.t.Helper()
	request, err := http.NewRequest(method, p.address()+query, body)
	if err != nil {
		a.t.Fatal(err)
	}
	if _, whole := body.(*strings.Reader); body != nil && !whole {
		request.ContentLength = 2 << 20 // which it will not keep
	}
	if !strings.Contains(query, "comp=") {
		request.Header.Set("x-ms-blob-type", "BlockBlob")
	}
	response, err := a.client.Do(request)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	return strings.TrimSpace(fmt.Sprint(response.StatusCode, " ", response.Header.Get("x-ms-error-code")))
}

func blockID(n int) string {
	return "&comp=block&blockid=" + url.QueryEscape(base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%05d", n)))
}

func blockList(blocks int) string {
	text := "<BlockList>"
	for n := range blocks {
		text += "<Latest>" + base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%05d", n)) + "</Latest>"
	}
	return text + "</BlockList>"
}

// refusedUploads leaves uploads half finished, and ends those of others.
func refusedUploads(t *testing.T, s *site) {
	h := s.startHub(t, "--device", "d1", "--device", "d2", "--device", "busy")
	a := newGate(t, s, h)
	one, two, busy := newUploader(a, "d1"), newUploader(a, "d2"), newUploader(a, "busy")
	want := func(name, got, want string, mark int64, reason string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if reason != "" {
			a.wantLogged(name, mark, reason)
		}
	}

	// The end of an upload of which there is no blob, yet; then there is one.
	p := one.mustStart("late.txt")
	mark := a.mark()
	want("success without a blob", one.notify(ended(p.CorrelationID)), "400 InvalidStorageEndpointOrBlob", mark, "400020")
	want("its block", p.put(a, blockID(0), "four"), "201", mark, "")
	mark = a.mark()
	want("success before the block list", one.notify(ended(p.CorrelationID)), "400 InvalidStorageEndpointOrBlob", mark, "400020")
	mark = a.mark()
	want("a list with a block that is not there", p.put(a, "&comp=blocklist", blockList(2)), "400 InvalidBlockList", mark, "InvalidBlockList")
	want("the blob", p.do(a, http.MethodGet, "", nil), "404 BlobNotFound", mark, "")

	// Correlation IDs: foreign, wrong, missing, of the past.
	mark = a.mark()
	want("another device's correlation ID", two.notify(ended(p.CorrelationID)), "400 InvalidFileUploadCorrelationId", mark, "400015")
	stranger := &uploader{a, "d1", two.token}
	mark = a.mark()
	want("another device's token", stranger.notify(ended(p.CorrelationID)), "401 IotHubUnauthorizedAccess", mark, notCovered)
	for _, id := range []string{"", "nonsense", p.CorrelationID + "0", "../" + p.CorrelationID, strings.Repeat("x", 4000)} {
		mark = a.mark()
		want(fmt.Sprintf("correlation ID %.40q", id), one.notify(ended(id)), "400 InvalidFileUploadCorrelationId", mark, "400015")
	}
	mark = a.mark()
	want("no word of success", one.notify(fmt.Sprintf(`{"correlationId":%q}`, p.CorrelationID)), "400 InvalidFileUploadCompletionStatus", mark, "400019")
	want("the block list", p.put(a, "&comp=blocklist", blockList(1)), "201", mark, "")
	want("success", one.notify(ended(p.CorrelationID)), "204", mark, "")
	mark = a.mark()
	want("success again", one.notify(ended(p.CorrelationID)), "400 InvalidFileUploadCorrelationId", mark, "400015")
	if told := a.fileNotifications(); len(told) != 1 || told[0] != "d1/late.txt" {
		t.Errorf("back ends were told of %q", told)
	}

	// What the signature does not cover.
	p = one.mustStart("mine.txt")
	for name, other := range map[string]func(*place){
		"another blob":         func(p *place) { p.BlobName = "d1/other.txt" },
		"another device's":     func(p *place) { p.BlobName = "d2/mine.txt" },
		"another container":    func(p *place) { p.ContainerName = "elsewhere" },
		"a longer life":        func(p *place) { p.SASToken = strings.Replace(p.SASToken, "se=2", "se=3", 1) },
		"more rights":          func(p *place) { p.SASToken = strings.Replace(p.SASToken, "sp=", "sp=d", 1) },
		"another's signature":  func(p *place) { p.SASToken = two.mustStart("mine.txt").SASToken },
		"no signature":         func(p *place) { p.SASToken = "?" },
		"a list of all blobs":  func(p *place) { p.BlobName = ""; p.SASToken += "&restype=container&comp=list" },
		"the removal of blobs": nil,
	} {
		mark, q := a.mark(), p
		method := http.MethodPut
		if other != nil {
			other(&q)
		} else {
			method = http.MethodDelete
		}
		if name == "a list of all blobs" {
			method = http.MethodGet
		}
		if got := q.do(a, method, "", strings.NewReader("x")); !strings.HasPrefix(got, "403 Auth") && got != "401 NoAuthenticationInformation" {
			t.Errorf("%s: %s, want 403, or 401 without a signature", name, got)
		}
		a.wantLogged(name, mark, "Auth")
	}

	// A body that does not arrive whole leaves nothing that could be seen.
	mark = a.mark()
	if got := p.do(a, http.MethodPut, "", io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)), brokenReader{})); got == "201" {
		t.Error("half a body was taken")
	}
	want("half a body", p.do(a, http.MethodGet, "", nil), "404 BlobNotFound", mark, "")
	want("success after it", one.notify(ended(p.CorrelationID)), "400 InvalidStorageEndpointOrBlob", mark, "400020")

	// Ten at a time, of each device; one that ends makes room.
	var all []place
	for i := range 10 {
		all = append(all, busy.mustStart(fmt.Sprint(i)))
	}
	mark = a.mark()
	if _, err := busy.start("eleven"); err == nil || !strings.Contains(err.Error(), "403 DeviceMaximumActiveFileUploadLimitExceeded") {
		t.Errorf("the eleventh upload: %v", err)
	}
	a.wantLogged("the eleventh upload", mark, "403006")
	two.mustStart("of another device")
	want("a failure", busy.notify(fmt.Sprintf(`{"correlationId":%q,"isSuccess":false,"statusCode":500}`, all[0].CorrelationID)), "204", mark, "")
	all[0] = busy.mustStart("eleven")

	// Uploads that were begun and never ended are over with their signatures.
	a.admin(http.MethodPost, "/clock/advance", []byte(`{"duration":"2h"}`), http.StatusOK)
	mark = a.mark()
	if got := all[1].put(a, "", "late"); got != "403 AuthenticationFailed" {
		t.Errorf("a signature that expired: %s", got)
	}
	a.wantLogged("a signature that expired", mark, "AuthenticationFailed")
	mark = a.mark()
	want("the end of an upload that expired", busy.notify(ended(all[1].CorrelationID)), "400 ExpiredFileUploadCorrelationId", mark, "400016")
	for i := range 10 {
		busy.mustStart(fmt.Sprint("again ", i))
	}
	for _, name := range []string{"", "/x", "x/", "a//b", "a\\b", "a.", strings.Repeat("x", 1025)} {
		mark = a.mark()
		if _, err := one.start(name); err == nil || !strings.HasPrefix(err.Error(), "400 ") {
			t.Errorf("a blob called %.40q: %v", name, err)
		}
		a.wantLogged(fmt.Sprintf("a blob called %.40q", name), mark, "4000")
	}
	if told := a.fileNotifications(); len(told) != 0 {
		t.Errorf("back ends were told of %q", told)
	}
	a.checkLog()
}

// fileNotifications receives and completes what back ends are told of files: the names of the blobs.
func (a *siege) fileNotifications() (blobs []string) {
	a.t.Helper()
	for {
		request, err := http.NewRequest(http.MethodGet, "https://"+a.address(443)+"/messages/serviceBound/filenotifications?api-version=2021-04-12", nil)
		if err != nil {
			a.t.Fatal(err)
		}
		request.Host = a.host
		owner := connectionFields(a.ready.ConnectionStrings["iothubowner"])
		request.Header.Set("Authorization", sign(a.host, owner["SharedAccessKey"], "iothubowner", 24*time.Hour))
		response, err := a.client.Do(request)
		if err != nil {
			a.t.Fatal(err)
		}
		var told struct {
			BlobName string `json:"blobName"`
		}
		err = json.NewDecoder(response.Body).Decode(&told)
		_ = response.Body.Close()
		if response.StatusCode == http.StatusNoContent {
			return blobs
		}
		if response.StatusCode != http.StatusOK || err != nil {
			a.t.Fatalf("file notifications: %s, %v", response.Status, err)
		}
		blobs = append(blobs, told.BlobName)
		request.Method = http.MethodDelete
		request.URL.Path += "/" + strings.Trim(response.Header.Get("ETag"), `"`)
		done, err := a.client.Do(request)
		if err != nil {
			a.t.Fatal(err)
		}
		_ = done.Body.Close()
		if done.StatusCode != http.StatusNoContent {
			a.t.Fatalf("file notification %s: %s", told.BlobName, done.Status)
		}
	}
}

// brokenReader fails, in the middle of a body.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
