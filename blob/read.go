package blob

import (
	"encoding/xml"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// getBlob answers GET and HEAD.
func (s *Server) getBlob(w http.ResponseWriter, r *request) error {
	e, file, err := s.openBlob(r)
	if err != nil {
		return err
	}
	if file != nil {
		defer func() { _ = file.Close() }()
	}
	h := w.Header()
	e.describe(h)
	// A signature may overrule what the blob is given back with.
	for parameter, name := range map[string]string{
		"rscc": "Cache-Control", "rscd": "Content-Disposition", "rsce": "Content-Encoding", "rscl": "Content-Language", "rsct": "Content-Type",
	} {
		if value := r.query.Get(parameter); value != "" && r.query.Get("sig") != "" {
			h.Set(name, value)
		}
	}
	h.Set("Accept-Ranges", "bytes")
	first, length, status := int64(0), e.Size, http.StatusOK
	text := r.Header.Get("x-ms-range")
	if text == "" {
		text = r.Header.Get("Range")
	}
	if text != "" && r.Method == http.MethodGet {
		var ok bool
		if first, length, ok = parseRange(text, e.Size); !ok {
			h.Set("Content-Range", "bytes */"+itoa(e.Size))
			return refuse(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The range specified is invalid for the current size of the resource.")
		}
		status = http.StatusPartialContent
		h.Set("Content-Range", "bytes "+itoa(first)+"-"+itoa(first+length-1)+"/"+itoa(e.Size))
		if sum := h.Get("Content-MD5"); sum != "" {
			// That of the whole has another name then.
			h.Del("Content-MD5")
			h.Set("x-ms-blob-content-md5", sum)
		}
	}
	h.Set("Content-Length", itoa(length))
	w.WriteHeader(status)
	if r.Method == http.MethodGet && file != nil {
		// A failed write means that the peer is gone.
		_, _ = io.Copy(onlyWriter{w}, io.NewSectionReader(file, first, length))
	}
	return nil
}

// onlyWriter keeps io.Copy from the way around Write, which gives the peer time.
type onlyWriter struct{ io.Writer }

// openBlob returns a blob and its content, nil when it has none. A file that is
// open outlives its removal.
func (s *Server) openBlob(r *request) (e *entry, file *os.File, err error) {
	err = s.files.look(r.container, func(c *folder) error {
		if e = c.blobs[r.blob]; e == nil {
			return errNoBlob()
		}
		if err := r.checkConditions(e, true); err != nil {
			return err
		}
		if e.Data == "" || r.Method == http.MethodHead {
			return nil
		}
		var err error
		file, err = os.Open(s.files.path(r.container, e.Data))
		return err
	})
	return e, file, err
}

// parseRange reads bytes=a-b or bytes=a-.
func parseRange(text string, size int64) (first, length int64, ok bool) {
	text, isBytes := strings.CutPrefix(text, "bytes=")
	from, to, isRange := strings.Cut(text, "-")
	first, err := strconv.ParseInt(from, 10, 64)
	if !isBytes || !isRange || err != nil || first < 0 || first >= size {
		return 0, 0, false
	}
	last := size - 1
	if to != "" {
		n, err := strconv.ParseInt(to, 10, 64)
		if err != nil || n < first {
			return 0, 0, false
		}
		last = min(last, n)
	}
	return first, last - first + 1, true
}

// describe writes what a blob has as headers.
func (e *entry) describe(h http.Header) {
	h.Set("ETag", e.ETag)
	h.Set("Last-Modified", e.LastModified.Format(http.TimeFormat))
	h.Set("x-ms-creation-time", e.Created.Format(http.TimeFormat))
	h.Set("x-ms-blob-type", "BlockBlob")
	h.Set("x-ms-lease-status", "unlocked")
	h.Set("x-ms-lease-state", "available")
	h.Set("x-ms-server-encrypted", "false")
	for name, value := range e.Headers {
		h.Set(name, value)
	}
	for name, value := range e.Metadata {
		h.Set("x-ms-meta-"+name, value)
	}
}

func (s *Server) headMetadata(w http.ResponseWriter, r *request) error {
	e, err := s.files.blob(r.container, r.blob)
	if err != nil {
		return err
	}
	if err := r.checkConditions(e, true); err != nil {
		return err
	}
	e.describe(w.Header())
	w.WriteHeader(http.StatusOK)
	return nil
}

type xmlBlock struct {
	Name string
	Size int64
}

type xmlBlockList struct {
	XMLName     xml.Name    `xml:"BlockList"`
	Committed   *[]xmlBlock `xml:"CommittedBlocks>Block"`
	Uncommitted *[]xmlBlock `xml:"UncommittedBlocks>Block"`
}

func (s *Server) getBlockList(w http.ResponseWriter, r *request) error {
	kind := strings.ToLower(r.query.Get("blocklisttype"))
	committed, uncommitted := []xmlBlock{}, []xmlBlock{}
	err := s.files.look(r.container, func(c *folder) error {
		e, parts := c.blobs[r.blob], c.blocks[r.blob]
		if e == nil && len(parts) == 0 {
			return errNoBlob()
		}
		if e != nil {
			for _, b := range e.Blocks {
				committed = append(committed, xmlBlock{b.ID, b.Size})
			}
			w.Header().Set("ETag", e.ETag)
			w.Header().Set("Last-Modified", e.LastModified.Format(http.TimeFormat))
			w.Header().Set("x-ms-blob-content-length", itoa(e.Size))
		}
		for _, id := range sortedKeys(parts) {
			uncommitted = append(uncommitted, xmlBlock{id, parts[id].size})
		}
		return nil
	})
	if err != nil {
		return err
	}
	var list xmlBlockList
	if kind != "uncommitted" {
		list.Committed = &committed
	}
	if kind == "uncommitted" || kind == "all" {
		list.Uncommitted = &uncommitted
	}
	return reply(w, list)
}

func reply(w http.ResponseWriter, v any) error {
	body, err := xml.Marshal(v)
	if err != nil {
		return err
	}
	writeXML(w, http.StatusOK, body)
	return nil
}

func (s *Server) accountInformation(w http.ResponseWriter, _ *request) error {
	w.Header().Set("x-ms-sku-name", "Standard_LRS")
	w.Header().Set("x-ms-account-kind", "StorageV2")
	w.Header().Set("x-ms-is-hns-enabled", "false")
	w.WriteHeader(http.StatusOK)
	return nil
}
