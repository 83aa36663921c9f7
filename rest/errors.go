package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// envelope is one of the three forms of an error body. Whichever it is, the
// header iothub-errorcode carries the same code by name: the .NET service SDK
// drops a code on which header and body disagree.
type envelope int

const (
	// legacy is {"Message":"ErrorCode:Name;text","ExceptionMessage":"Tracking
	// ID:..."}: identities of devices, twins, statistics, C2D and all that is refused before
	// an operation begins. The Node.js service SDK reads only this form.
	legacy envelope = iota
	// flat is {"errorCode":409301,"message":...}: identities of modules.
	flat
	// nested is flat as JSON text in the Message of a legacy object: direct methods.
	nested
)

// syntaxFault is a body that breaks the rules of JSON or of its schema. Its text
// speaks only of what the peer sent.
type syntaxFault struct{ err error }

func (f *syntaxFault) Error() string { return f.err.Error() }
func (f *syntaxFault) Unwrap() error { return f.err }

// writeError is the one place where errors become answers: ours in the given
// form, the peer's syntax as a bad request, and anything else logged and told
// as ServerError without its text.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, form envelope, err error) {
	switch {
	case errors.Is(err, hub.ErrSilent):
		<-r.Context().Done() // the peer's patience, or the server's end
		panic(http.ErrAbortHandler)
	case errors.Is(err, hub.ErrUnanswered):
		panic(http.ErrAbortHandler)
	}
	id, _ := pathID(r) // of nobody, when it cannot be read
	log := s.o.Logger.With("rid", requestID(w), "method", r.Method, "path", r.URL.Path, "device", id.String(), "conn", r.RemoteAddr)
	var (
		e     *iothub.Error
		fault *syntaxFault
		large *http.MaxBytesError
	)
	switch {
	case errors.As(err, &e):
		switch e.Code.HTTPStatus() {
		case http.StatusInternalServerError:
			log.Error("request failed", "code", int(e.Code), "err", err)
		case http.StatusNotImplemented:
			log.Warn("request refused", "code", int(e.Code), "err", err)
		default:
			log.Info("request refused", "code", int(e.Code), "err", err)
		}
	case errors.As(err, &large):
		e = iothub.NewError(iothub.CodeMessageTooLarge, "The body is larger than %d bytes.", large.Limit)
		log.Info("request refused", "code", int(e.Code), "err", e)
	case errors.As(err, &fault):
		e = iothub.NewError(iothub.CodeIotHubFormatError, "The body is malformed: %s.", strings.TrimSuffix(fault.Error(), "."))
		log.Info("request refused", "code", int(e.Code), "err", e)
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		// Nobody is there to read this answer.
		e = iothub.NewError(iothub.CodeClientClosedRequest, "The client closed the request.")
		log.Debug("client left", "code", int(e.Code))
	default:
		e = iothub.AsError(err)
		log.Error("request failed", "code", int(e.Code), "err", err)
	}
	s.remember(r, e)
	s.sendError(w, requestID(w), form, e)
}

// remember tells the hub of a refusal, for those who look at what happened.
func (s *Server) remember(r *http.Request, e *iothub.Error) {
	if s.o.Hubs == nil || e.Code == iothub.CodeClientClosedRequest { // a caller that left was refused nothing
		return
	}
	h, err := s.o.Hubs(r.Host)
	if err != nil {
		return
	}
	id, _ := pathID(r) // of no use when it cannot be read
	h.Refused(operationName(r), "https", r.RemoteAddr, id, e)
}

// operationName is the method with the pattern of the path, or the path where there is none.
func operationName(r *http.Request) string {
	if route := chi.RouteContext(r.Context()); route != nil && route.RoutePattern() != "" {
		return r.Method + " " + route.RoutePattern()
	}
	return r.Method + " " + r.URL.Path
}

// sendError writes e under the request's identifier.
func (s *Server) sendError(w http.ResponseWriter, rid string, form envelope, e *iothub.Error) {
	now := s.o.Now().UTC()
	tracking := fmt.Sprintf("%s-G:0-TimeStamp:%s", strings.ReplaceAll(rid, "-", ""), now.Format("01/02/2006 15:04:05"))
	w.Header().Set("iothub-errorcode", e.Code.String())
	w.Header().Set("Content-Type", jsonContentType)
	w.WriteHeader(e.Code.HTTPStatus())
	// A failed write means that the peer is gone, which concerns nobody here.
	_, _ = w.Write(errorBody(form, e, tracking, now))
}

type flatError struct {
	ErrorCode    int            `json:"errorCode"`
	TrackingID   string         `json:"trackingId"`
	Message      string         `json:"message"`
	Info         map[string]any `json:"info,omitempty"`
	TimestampUTC string         `json:"timestampUtc"`
}

type legacyError struct {
	Message          string `json:"Message"`
	ExceptionMessage string `json:"ExceptionMessage"`
}

// errorBody encodes e. Only Info could fail to encode, so it is then left out.
func errorBody(form envelope, e *iothub.Error, tracking string, now time.Time) []byte {
	if form == legacy {
		return mustJSON(legacyError{
			Message:          fmt.Sprintf("ErrorCode:%s;%s", e.Code, e.Message),
			ExceptionMessage: "Tracking ID:" + tracking,
		})
	}
	f := flatError{int(e.Code), tracking, e.Message, e.Info, iothub.FormatTime(now)}
	body, err := json.Marshal(f)
	if err != nil {
		f.Info = nil
		body = mustJSON(f)
	}
	if form == nested {
		body = mustJSON(legacyError{Message: string(body)})
	}
	return body
}

// mustJSON encodes values made of text and numbers, which always succeeds.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
