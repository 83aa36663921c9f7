package blob

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// page is a list that is handed out in pieces; the marker is the last name of the
// piece before.
type page struct {
	prefix, marker string
	size           int
}

// maxPage is the most names of one answer.
const maxPage = 5000

func (r *request) page() (page, error) {
	p := page{r.query.Get("prefix"), r.query.Get("marker"), maxPage}
	if text := r.query.Get("maxresults"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return p, badRequest("OutOfRangeQueryParameterValue", "maxresults must be at least 1.")
		}
		p.size = min(n, maxPage)
	}
	return p, nil
}

type xmlContainers struct {
	XMLName         xml.Name `xml:"EnumerationResults"`
	ServiceEndpoint string   `xml:"ServiceEndpoint,attr"`
	Prefix          string
	Marker          string
	MaxResults      int
	Containers      []xmlContainer `xml:"Containers>Container"`
	NextMarker      string
}

type xmlContainer struct {
	Name       string
	Properties xmlProperties
}

func (s *Server) listContainers(w http.ResponseWriter, r *request) error {
	p, err := r.page()
	if err != nil {
		return err
	}
	list := xmlContainers{ServiceEndpoint: s.endpoint(r), Prefix: p.prefix, Marker: p.marker, MaxResults: p.size}
	s.files.mu.Lock()
	defer s.files.mu.Unlock()
	for _, name := range sortedKeys(s.files.containers) {
		if !strings.HasPrefix(name, p.prefix) || name <= p.marker {
			continue
		}
		if len(list.Containers) == p.size {
			list.NextMarker = list.Containers[p.size-1].Name
			break
		}
		c := s.files.containers[name]
		list.Containers = append(list.Containers, xmlContainer{name, xmlProperties{
			LastModified: c.Created.Format(http.TimeFormat), ETag: c.ETag, LeaseStatus: "unlocked", LeaseState: "available",
		}})
	}
	return reply(w, list)
}

func (s *Server) endpoint(r *request) string {
	scheme := "https"
	if r.TLS == nil {
		scheme = "http"
	}
	return scheme + "://" + r.Host + "/" + s.account.Name + "/"
}

type xmlBlobs struct {
	XMLName         xml.Name `xml:"EnumerationResults"`
	ServiceEndpoint string   `xml:"ServiceEndpoint,attr"`
	ContainerName   string   `xml:"ContainerName,attr"`
	Prefix          string
	Marker          string
	MaxResults      int
	Delimiter       string
	Blobs           struct {
		Blob       []xmlBlob
		BlobPrefix []xmlPrefix
	}
	NextMarker string
}

type xmlPrefix struct{ Name string }

type xmlBlob struct {
	Name       string
	Properties xmlProperties
	Metadata   *xmlMetadata `xml:",omitempty"`
}

type xmlProperties struct {
	CreationTime       string `xml:"Creation-Time,omitempty"`
	LastModified       string `xml:"Last-Modified"`
	ETag               string `xml:"Etag"`
	ContentLength      *int64 `xml:"Content-Length,omitempty"`
	ContentType        string `xml:"Content-Type,omitempty"`
	ContentEncoding    string `xml:"Content-Encoding,omitempty"`
	ContentLanguage    string `xml:"Content-Language,omitempty"`
	ContentDisposition string `xml:"Content-Disposition,omitempty"`
	CacheControl       string `xml:"Cache-Control,omitempty"`
	ContentMD5         string `xml:"Content-MD5,omitempty"`
	BlobType           string `xml:",omitempty"`
	AccessTier         string `xml:",omitempty"`
	LeaseStatus        string
	LeaseState         string
}

// xmlMetadata has an element per name.
type xmlMetadata map[string]string

// MarshalXML implements xml.Marshaler.
func (m xmlMetadata) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	for _, name := range sortedKeys(m) {
		if err := e.EncodeElement(m[name], xml.StartElement{Name: xml.Name{Local: name}}); err != nil {
			return err
		}
	}
	return e.EncodeToken(start.End())
}

func (s *Server) listBlobs(w http.ResponseWriter, r *request) error {
	p, err := r.page()
	if err != nil {
		return err
	}
	delimiter := r.query.Get("delimiter")
	withMetadata := slices.Contains(strings.Split(strings.ToLower(strings.Join(r.query["include"], ",")), ","), "metadata")
	list := xmlBlobs{
		ServiceEndpoint: s.endpoint(r), ContainerName: r.container, Prefix: p.prefix, Marker: p.marker, MaxResults: p.size, Delimiter: delimiter,
	}
	err = s.files.look(r.container, func(c *folder) error {
		last, n := "", 0
		for _, name := range sortedKeys(c.blobs) {
			if !strings.HasPrefix(name, p.prefix) || name <= p.marker {
				continue
			}
			shown, isPrefix := name, false
			if delimiter != "" {
				if i := strings.Index(name[len(p.prefix):], delimiter); i >= 0 {
					shown, isPrefix = name[:len(p.prefix)+i+len(delimiter)], true
				}
			}
			if isPrefix && (shown == last || strings.HasPrefix(p.marker, shown)) {
				continue
			}
			if n == p.size {
				list.NextMarker = last
				return nil
			}
			n, last = n+1, shown
			if isPrefix {
				list.Blobs.BlobPrefix = append(list.Blobs.BlobPrefix, xmlPrefix{shown})
				continue
			}
			b := c.blobs[name].listed()
			if withMetadata {
				m := xmlMetadata(c.blobs[name].Metadata)
				b.Metadata = &m
			}
			list.Blobs.Blob = append(list.Blobs.Blob, b)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return reply(w, list)
}

func (e *entry) listed() xmlBlob {
	h := e.Headers
	return xmlBlob{Name: e.Name, Properties: xmlProperties{
		CreationTime: e.Created.Format(http.TimeFormat), LastModified: e.LastModified.UTC().Truncate(time.Second).Format(http.TimeFormat),
		ETag: e.ETag, ContentLength: &e.Size, ContentType: h["Content-Type"], ContentEncoding: h["Content-Encoding"],
		ContentLanguage: h["Content-Language"], ContentDisposition: h["Content-Disposition"], CacheControl: h["Cache-Control"],
		ContentMD5: h["Content-MD5"], BlobType: "BlockBlob", AccessTier: "Hot", LeaseStatus: "unlocked", LeaseState: "available",
	}}
}
