package blob

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// ErrNotFound says that there is no such blob or container.
var ErrNotFound = errors.New("blob: not found")

// Error is a refusal as the service words it.
// Source: Blob service error codes, Common REST API error codes.
type Error struct {
	Status  int
	Code    string
	Message string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Message) }

// Is makes a missing blob or container ErrNotFound.
func (e *Error) Is(target error) bool {
	return target == ErrNotFound && e.Status == http.StatusNotFound //nolint:errorlint // the sentinel itself
}

func refuse(status int, code, format string, args ...any) *Error {
	return &Error{status, code, fmt.Sprintf(format, args...)}
}

func badRequest(code, format string, args ...any) *Error {
	return refuse(http.StatusBadRequest, code, format, args...)
}

func errNoContainer() *Error {
	return refuse(http.StatusNotFound, "ContainerNotFound", "The specified container does not exist.")
}

func errNoBlob() *Error {
	return refuse(http.StatusNotFound, "BlobNotFound", "The specified blob does not exist.")
}

func errNotImplemented(what string) *Error {
	return refuse(http.StatusNotImplemented, "NotImplemented", "Hubnerite's blob endpoint does not implement %s.", what)
}

// errorBody is the answer to a refused request.
type errorBody struct {
	XMLName xml.Name `xml:"Error"`
	Code    string
	Message string
}

// writeError is the one place where errors become answers.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	id := w.Header().Get("x-ms-request-id")
	var (
		e     *Error
		large *http.MaxBytesError
	)
	switch {
	case errors.As(err, &e):
		s.log.Info("blob request refused", "rid", id, "method", r.Method, "path", r.URL.Path, "code", e.Code, "err", e.Message)
	case errors.As(err, &large):
		e = refuse(http.StatusRequestEntityTooLarge, "RequestBodyTooLarge", "The request body is larger than %d bytes.", large.Limit)
	case r.Context().Err() != nil, errors.Is(err, io.ErrUnexpectedEOF):
		e = badRequest("InvalidInput", "The request body did not arrive whole.")
		s.log.Debug("blob client left", "rid", id, "path", r.URL.Path, "err", err)
	default:
		e = refuse(http.StatusInternalServerError, "InternalError", "The server encountered an internal error.")
		s.log.Error("blob request failed", "rid", id, "method", r.Method, "path", r.URL.Path, "err", err)
	}
	w.Header().Set("x-ms-error-code", e.Code)
	if r.Method == http.MethodHead || e.Status == http.StatusNotModified {
		w.WriteHeader(e.Status)
		return
	}
	body, marshalErr := xml.Marshal(errorBody{Code: e.Code, Message: fmt.Sprintf("%s\nRequestId:%s\nTime:%s", e.Message, id, s.now().UTC().Format(time.RFC3339Nano))})
	if marshalErr != nil {
		body = nil
	}
	writeXML(w, e.Status, body)
}

func writeXML(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	// A failed write means that the peer is gone.
	_, _ = io.WriteString(w, xml.Header)
	_, _ = w.Write(body)
}
