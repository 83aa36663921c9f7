package blob

import (
	"crypto/md5" //nolint:gosec // Content-MD5 is the protocol's
	"encoding/base64"
	"hash"
	"io"
	"net/http"
	"strings"
	"time"
)

// checkedBody is the body of a request with its MD5; the length is known.
type checkedBody struct {
	io.Reader
	sum  hash.Hash
	want string
}

// body returns the body of at most limit bytes.
func (r *request) body(limit int64) (*checkedBody, error) {
	switch {
	case r.ContentLength < 0:
		return nil, refuse(http.StatusLengthRequired, "MissingContentLengthHeader", "Content-Length was not specified.")
	case r.ContentLength > limit:
		return nil, refuse(http.StatusRequestEntityTooLarge, "RequestBodyTooLarge", "The request body has %d bytes; the limit is %d.", r.ContentLength, limit)
	}
	sum := md5.New() //nolint:gosec // see the import
	return &checkedBody{io.TeeReader(r.Body, sum), sum, r.Header.Get("Content-MD5")}, nil
}

// check compares what arrived with what the sender said, and returns the MD5.
func (b *checkedBody) check() (string, error) {
	got := base64.StdEncoding.EncodeToString(b.sum.Sum(nil))
	if b.want != "" && b.want != got {
		return "", badRequest("Md5Mismatch", "The MD5 value in the request is not that of the content.")
	}
	return got, nil
}

// putBlob makes a block blob of the body.
func (s *Server) putBlob(w http.ResponseWriter, r *request) error {
	if kind := r.Header.Get("x-ms-blob-type"); kind != "BlockBlob" {
		if kind == "PageBlob" || kind == "AppendBlob" {
			return errNotImplemented(kind)
		}
		return badRequest("InvalidHeaderValue", "x-ms-blob-type must be BlockBlob.")
	}
	e, err := r.newEntry()
	if err != nil {
		return err
	}
	// Before the body is read: a condition that fails now is not worth it.
	if err := s.checkWrite(r); err != nil {
		return err
	}
	body, err := r.body(maxPut)
	if err != nil {
		return err
	}
	if e.Data, e.Size, err = s.files.receive(r.container, dataSuffix, body); err != nil {
		return err
	}
	sum, err := body.check()
	if err == nil {
		if e.Headers["Content-MD5"] == "" {
			e.Headers["Content-MD5"] = sum
		}
		err = s.files.put(r.container, e, r.checkReplace)
	}
	if err != nil {
		s.files.remove(r.container, e.Data)
		return err
	}
	s.files.forgetBlocks(r.container, r.blob)
	w.Header().Set("Content-MD5", sum)
	return created(w, e)
}

// checkWrite looks at the container and the conditions.
func (s *Server) checkWrite(r *request) error {
	return s.files.look(r.container, func(c *folder) error { return r.checkReplace(c.blobs[r.blob]) })
}

// checkReplace decides whether the request may replace what is there, nil for nothing.
func (r *request) checkReplace(old *entry) error {
	if err := r.checkConditions(old, false); err != nil {
		return err
	}
	if old != nil && !r.mayOverwrite() {
		return refuse(http.StatusForbidden, "UnauthorizedBlobOverwrite", "This request is not authorized to perform blob overwrites.")
	}
	return nil
}

func created(w http.ResponseWriter, e *entry) error {
	w.Header().Set("ETag", e.ETag)
	w.Header().Set("Last-Modified", e.LastModified.Format(http.TimeFormat))
	w.Header().Set("x-ms-request-server-encrypted", "false")
	w.WriteHeader(http.StatusCreated)
	return nil
}

// newEntry returns a blob with what the headers say of it.
func (r *request) newEntry() (*entry, error) {
	metadata, err := r.metadata()
	if err != nil {
		return nil, err
	}
	return &entry{Name: r.blob, Headers: r.contentHeaders(true), Metadata: metadata}, nil
}

// contentHeaders are those that a blob is given back with; plain says that the
// request's own count when there is none with x-ms-blob-.
func (r *request) contentHeaders(plain bool) map[string]string {
	headers := map[string]string{}
	for _, name := range contentHeaderNames() {
		value := r.Header.Get("x-ms-blob-" + strings.ToLower(name))
		if value == "" && plain && name != "Content-Disposition" {
			value = r.Header.Get(name)
		}
		if value != "" {
			headers[name] = value
		}
	}
	if headers["Content-Type"] == "" && plain {
		headers["Content-Type"] = "application/octet-stream"
	}
	return headers
}

func contentHeaderNames() []string {
	return []string{"Content-Type", "Content-Encoding", "Content-Language", "Content-Disposition", "Cache-Control", "Content-MD5"}
}

// metadata returns the x-ms-meta- headers; names are in lower case.
func (r *request) metadata() (map[string]string, error) {
	metadata, size := map[string]string{}, 0
	for name, values := range r.Header {
		lower := strings.ToLower(name)
		key, ok := strings.CutPrefix(lower, "x-ms-meta-")
		if !ok {
			continue
		}
		if key == "" {
			return nil, badRequest("EmptyMetadataKey", "A metadata name is empty.")
		}
		metadata[key] = strings.Join(values, ",")
		size += len(key) + len(metadata[key])
	}
	if size > maxMetadata {
		return nil, badRequest("MetadataTooLarge", "The metadata has %d bytes; the limit is %d.", size, maxMetadata)
	}
	return metadata, nil
}

// setMetadata replaces the metadata of a blob, setProperties its content headers.
func (s *Server) setMetadata(w http.ResponseWriter, r *request) error {
	metadata, err := r.metadata()
	if err != nil {
		return err
	}
	return s.change(w, r, func(e *entry) { e.Metadata = metadata })
}

func (s *Server) setProperties(w http.ResponseWriter, r *request) error {
	return s.change(w, r, func(e *entry) { e.Headers = r.contentHeaders(false) })
}

func (s *Server) change(w http.ResponseWriter, r *request, apply func(*entry)) error {
	old, err := s.files.blob(r.container, r.blob)
	if err != nil {
		return err
	}
	e := *old
	apply(&e)
	err = s.files.put(r.container, &e, func(now *entry) error {
		if now != old {
			return refuse(http.StatusPreconditionFailed, "ConditionNotMet", "The blob was changed by somebody else.")
		}
		return r.checkConditions(now, false)
	})
	if err != nil {
		return err
	}
	w.Header().Set("ETag", e.ETag)
	w.Header().Set("Last-Modified", e.LastModified.Format(http.TimeFormat))
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) deleteBlob(w http.ResponseWriter, r *request) error {
	err := s.files.removeBlob(r.container, r.blob, func(old *entry) error { return r.checkConditions(old, false) })
	if err != nil {
		return err
	}
	w.Header().Set("x-ms-delete-type-permanent", "true")
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// checkConditions checks If-Match and its kin; reading makes some of them 304.
// Source: Specifying conditional headers for Blob service operations.
func (r *request) checkConditions(e *entry, reading bool) error {
	failed := refuse(http.StatusPreconditionFailed, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met.")
	unchanged := failed
	if reading {
		unchanged = refuse(http.StatusNotModified, "ConditionNotMet", "")
	}
	if match := r.Header.Get("If-Match"); match != "" && (e == nil || match != "*" && !sameTag(match, e.ETag)) {
		return failed
	}
	if none := r.Header.Get("If-None-Match"); none != "" && e != nil && (none == "*" || sameTag(none, e.ETag)) {
		if none == "*" && !reading {
			return refuse(http.StatusConflict, "BlobAlreadyExists", "The specified blob already exists.")
		}
		return unchanged
	}
	if e == nil {
		return nil
	}
	if at, err := http.ParseTime(r.Header.Get("If-Modified-Since")); err == nil && !e.LastModified.After(at) {
		return unchanged
	}
	if at, err := http.ParseTime(r.Header.Get("If-Unmodified-Since")); err == nil && e.LastModified.Truncate(time.Second).After(at) {
		return failed
	}
	return nil
}

func sameTag(a, b string) bool { return strings.Trim(a, `"`) == strings.Trim(b, `"`) }
