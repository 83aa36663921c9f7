package blob

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Bounds of requests, in bytes.
const (
	// maxPut is the largest blob of one Put Blob, maxBlock the largest block.
	// Source: Scalability and performance targets for Blob storage.
	maxPut   = 5000 << 20
	maxBlock = 4000 << 20
	// maxList is the largest body of Put Block List: 50,000 blocks.
	maxList = 8 << 20
	// maxMetadata bounds names and values together.
	maxMetadata = 8 << 10
	// patience is how long a peer may take for the next bytes.
	patience = time.Minute
)

// Options configure a Server. Dir is required.
type Options struct {
	// Dir is an existing folder that holds the blobs, and nothing else.
	Dir string
	// Sync writes blobs through to the disk before they are acknowledged.
	Sync bool
	// Logger takes a line per refusal; nil discards.
	Logger *slog.Logger
	// Version is the emulator's, for the Server header.
	Version string
	// Now is the clock of shared access signatures and of what is written; nil means time.Now.
	// Real is the clock of requests that are signed with the account's key, whose date
	// is that of the client: nil means Now.
	Now, Real func() time.Time
}

// Server is the storage account EmulatorAccount as an http.Handler. Its addresses
// have the account's name as the first part of the path, as those of storage
// emulators have. It is safe for concurrent use.
type Server struct {
	account Account
	files   *files
	log     *slog.Logger
	now     func() time.Time
	real    func() time.Time
	version string
}

// NewServer reads the folder and returns the account. What a killed process left
// half done there is removed.
func NewServer(o Options) (*Server, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Real == nil {
		o.Real = o.Now
	}
	key, err := base64.StdEncoding.DecodeString(EmulatorKey)
	if err != nil {
		return nil, err
	}
	f, err := openFiles(o.Dir, o.Sync, o.Now)
	if err != nil {
		return nil, fmt.Errorf("blobs: %w", err)
	}
	return &Server{account: Account{Name: EmulatorAccount, Key: key}, files: f, log: o.Logger, now: o.Now, real: o.Real, version: o.Version}, nil
}

// Account returns the account as it is reached under a host name, with a port if
// that is not 443.
func (s *Server) Account(hostName string) Account {
	a := s.account
	a.Endpoint = "https://" + hostName + "/" + a.Name
	return a
}

// MakeContainer makes a container unless it is there.
func (s *Server) MakeContainer(name string) error {
	if !validContainer(name) {
		return fmt.Errorf("the container's name %q must have 3 to 63 lower-case letters, digits and single hyphens", name)
	}
	_, err := s.files.create(name, nil)
	var e *Error
	if errors.As(err, &e) && e.Code == "ContainerAlreadyExists" {
		return nil
	}
	return err
}

// Blob returns the size of a blob in bytes and when it was written, or ErrNotFound.
func (s *Server) Blob(container, name string) (size int64, lastModified time.Time, err error) {
	e, err := s.files.blob(container, name)
	if err != nil {
		return 0, time.Time{}, err
	}
	return e.Size, e.LastModified, nil
}

// Mine reports whether a request's path is the account's.
func Mine(path string) bool {
	rest, ok := strings.CutPrefix(path, "/"+EmulatorAccount)
	return ok && (rest == "" || rest[0] == '/')
}

// request is a request taken apart.
type request struct {
	*http.Request
	query url.Values
	// container and blob are decoded; blob may have slashes.
	container, blob string
}

// operation is what a request asks for.
type operation struct {
	need need
	run  func(*Server, http.ResponseWriter, *request) error
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("x-ms-request-id", uuid.NewString())
	h.Set("Server", "Hubnerite/"+s.version)
	version := r.Header.Get("x-ms-version")
	if version == "" {
		version = signedVersion
	}
	h.Set("x-ms-version", version)
	if id := r.Header.Get("x-ms-client-request-id"); id != "" && len(id) <= 1024 {
		h.Set("x-ms-client-request-id", id)
	}
	// The time-outs of the server are for requests of an API; files take longer, as
	// long as bytes move.
	control := http.NewResponseController(w)
	r.Body = &patientBody{r.Body, control}
	_ = control.SetWriteDeadline(time.Time{})
	err := s.serve(&patientWriter{w, control}, r)
	if err != nil {
		s.writeError(w, r, err)
	}
}

func (s *Server) serve(w http.ResponseWriter, plain *http.Request) error {
	query, err := url.ParseQuery(plain.URL.RawQuery)
	if err != nil {
		return badRequest("InvalidQueryParameterValue", "The query cannot be read.")
	}
	r := &request{Request: plain, query: query}
	path := strings.TrimPrefix(strings.TrimPrefix(plain.URL.Path, "/"+s.account.Name), "/")
	r.container, r.blob, _ = strings.Cut(path, "/")
	op, err := r.operation()
	if err != nil {
		return err
	}
	if err := s.authorize(r, op.need); err != nil {
		return err
	}
	if r.container != "" && !validContainer(r.container) {
		return badRequest("InvalidResourceName", "The container's name must have 3 to 63 lower-case letters, digits and single hyphens.")
	}
	if r.blob != "" && !validBlob(r.blob) {
		return badRequest("InvalidResourceName", "The blob's name is too long, has too many parts, or a character that is not allowed.")
	}
	return op.run(s, w, r)
}

// operation finds what method, path and query ask for.
func (r *request) operation() (operation, error) {
	comp, restype := strings.ToLower(r.query.Get("comp")), strings.ToLower(r.query.Get("restype"))
	key := r.Method + " " + restype + " " + comp
	var found operation
	ok := false
	switch {
	case r.blob != "":
		found, ok = blobOperations()[key]
		if r.Header.Get("x-ms-copy-source") != "" {
			return operation{}, errNotImplemented("copies")
		}
	case r.container != "":
		found, ok = containerOperations()[key]
	default:
		found, ok = serviceOperations()[key]
	}
	if !ok {
		return operation{}, errNotImplemented(strings.TrimSpace(fmt.Sprintf("%s with restype=%q comp=%q here", r.Method, restype, comp)))
	}
	return found, nil
}

func serviceOperations() map[string]operation {
	return map[string]operation{
		"GET  list":              {need{onService, "l"}, (*Server).listContainers},
		"GET account properties": {need{onService, "rl"}, (*Server).accountInformation},
	}
}

func containerOperations() map[string]operation {
	properties := operation{need{onContainer, "r"}, (*Server).containerProperties}
	return map[string]operation{
		"PUT container ":         {need{onContainer, "cw"}, (*Server).createContainer},
		"DELETE container ":      {need{onContainer, "d"}, (*Server).deleteContainer},
		"GET container ":         properties,
		"HEAD container ":        properties,
		"GET container metadata": properties,
		"GET container list":     {need{onContainer, "l"}, (*Server).listBlobs},
		"GET account properties": {need{onService, "rl"}, (*Server).accountInformation},
	}
}

func blobOperations() map[string]operation {
	return map[string]operation{
		"PUT  ":           {need{onBlob, "cw"}, (*Server).putBlob},
		"PUT  block":      {need{onBlob, "cw"}, (*Server).putBlock},
		"PUT  blocklist":  {need{onBlob, "cw"}, (*Server).putBlockList},
		"PUT  metadata":   {need{onBlob, "w"}, (*Server).setMetadata},
		"PUT  properties": {need{onBlob, "w"}, (*Server).setProperties},
		"GET  ":           {need{onBlob, "r"}, (*Server).getBlob},
		"HEAD  ":          {need{onBlob, "r"}, (*Server).getBlob},
		"GET  metadata":   {need{onBlob, "r"}, (*Server).headMetadata},
		"HEAD  metadata":  {need{onBlob, "r"}, (*Server).headMetadata},
		"GET  blocklist":  {need{onBlob, "r"}, (*Server).getBlockList},
		"DELETE  ":        {need{onBlob, "d"}, (*Server).deleteBlob},
	}
}

// mayOverwrite reports whether the credential may replace a blob that is there:
// a signature with only c may make new ones.
func (r *request) mayOverwrite() bool {
	return r.Header.Get("Authorization") != "" || strings.Contains(r.query.Get("sp"), "w")
}

func validContainer(name string) bool {
	if len(name) < 3 || len(name) > 63 || name[0] == '-' || name[len(name)-1] == '-' || strings.Contains(name, "--") {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') })
}

func validBlob(name string) bool {
	return len(name) <= 4*1024 && len([]rune(name)) <= 1024 && strings.Count(name, "/") < 254 &&
		!strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7F || r == 0xFFFD })
}

// patientBody lets a body take as long as it likes, if it moves.
type patientBody struct {
	io.ReadCloser
	control *http.ResponseController
}

// Read implements io.Reader.
func (b *patientBody) Read(p []byte) (int, error) {
	// A recorder of a test has no deadlines.
	_ = b.control.SetReadDeadline(time.Now().Add(patience))
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// patientWriter is patientBody for answers.
type patientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

// Write implements io.Writer.
func (w *patientWriter) Write(p []byte) (int, error) {
	_ = w.control.SetWriteDeadline(time.Now().Add(patience))
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
