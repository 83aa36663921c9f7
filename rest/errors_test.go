package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// The .NET service SDK reports a code only when iothub-errorcode and body agree.
func TestEveryCodeInEveryEnvelope(t *testing.T) {
	s := New(Options{Version: "1"})
	for _, code := range iothub.Codes() {
		for _, form := range []envelope{legacy, flat, nested} {
			rec := httptest.NewRecorder()
			setExact(rec.Header(), requestIDHeader, "0b5bb1de-3c0e-4d05-8b33-1d7a3f5e2c11")
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			s.writeError(rec, r, form, fmt.Errorf("wrapped: %w", iothub.NewError(code, `text; "quoted" <&> %d`, 7)))
			text := answer{t, rec.Code, rec.Header(), rec.Body.String()}.refused(form, code)
			if text != `text; "quoted" <&> 7` {
				t.Errorf("%s: text %q", code, text)
			}
			if !strings.Contains(rec.Body.String(), "0b5bb1de3c0e4d058b331d7a3f5e2c11-G:0-TimeStamp:") {
				t.Errorf("%s: the tracking ID does not follow the request's: %s", code, rec.Body)
			}
		}
	}
}

func TestErrorInfo(t *testing.T) {
	e := iothub.NewError(iothub.CodeDeviceNotOnline, "Timed out waiting for device to connect.")
	e.Info = map[string]any{"timeout": "00:00:00"}
	s := New(Options{})
	rec := httptest.NewRecorder()
	s.writeError(rec, httptest.NewRequest(http.MethodGet, "/", nil), nested, e)
	if !strings.Contains(rec.Body.String(), `\"info\":{\"timeout\":\"00:00:00\"}`) {
		t.Errorf("body %s has no info", rec.Body)
	}
	e.Info = map[string]any{"bad": func() {}}
	rec = httptest.NewRecorder()
	s.writeError(rec, httptest.NewRequest(http.MethodGet, "/", nil), nested, e)
	answer{t, rec.Code, rec.Header(), rec.Body.String()}.refused(nested, iothub.CodeDeviceNotOnline)
}

func TestErrorBranches(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, c := range []struct {
		name  string
		err   error
		ctx   context.Context
		code  iothub.Code
		text  string
		level string
	}{
		{"ours", iothub.NewError(iothub.CodeDeviceNotFound, "no d").WithCause(errors.New("secret")), t.Context(), iothub.CodeDeviceNotFound, "no d", "level=INFO"},
		{"syntax", &syntaxFault{errors.New("unexpected end")}, t.Context(), iothub.CodeIotHubFormatError, "The body is malformed: unexpected end.", "level=INFO"},
		{"large", &http.MaxBytesError{Limit: 5}, t.Context(), iothub.CodeMessageTooLarge, "The body is larger than 5 bytes.", "level=INFO"},
		{"fault", errors.New("secret"), t.Context(), iothub.CodeServerError, "Internal server error.", "level=ERROR"},
		{"cancelled inside", context.Canceled, t.Context(), iothub.CodeServerError, "Internal server error.", "level=ERROR"},
		{"client left", context.Canceled, gone, iothub.CodeClientClosedRequest, "The client closed the request.", "level=DEBUG"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			s := w.handler.(*Server)
			rec := httptest.NewRecorder()
			s.writeError(rec, httptest.NewRequest(http.MethodGet, "https://"+testHost+"/", nil).WithContext(c.ctx), legacy, c.err)
			if text := (answer{t, rec.Code, rec.Header(), rec.Body.String()}).refused(legacy, c.code); text != c.text {
				t.Errorf("text %q, want %q", text, c.text)
			}
			refusals, err := w.hub.ReadActivity(t.Context(), hub.ActivityQuery{Kinds: []hub.ActivityKind{hub.ActivityRefusal}}, 10)
			if err != nil || (len(refusals.Activities) == 0) != errors.Is(c.err, context.Canceled) {
				t.Errorf("remembered as refused: %v, %v; only what was cancelled is not", refusals.Activities, err)
			}
			if log := w.logs.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, c.level) {
				t.Errorf("log %q, want one line at %s", log, c.level)
			}
		})
	}
}

func TestPanicBecomesServerError(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Hubs = func(string) (*hub.Hub, error) { panic("secret") }
	})
	a := w.do("GET", "/devices", "")
	if text := a.refused(legacy, iothub.CodeServerError); strings.Contains(a.body, "secret") {
		t.Errorf("the panic's text is told: %q", text)
	}
	if !strings.Contains(w.logs.String(), "secret") || !strings.Contains(w.logs.String(), "rest.TestPanicBecomesServerError") {
		t.Errorf("the panic is not logged with its stack: %s", w.logs)
	}
}

func TestAbortedHandlerStaysAborted(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Hubs = func(string) (*hub.Hub, error) { panic(http.ErrAbortHandler) }
	})
	defer func() {
		if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // the sentinel itself is expected
			t.Errorf("recovered %v", p)
		}
	}()
	w.do("GET", "/devices", "")
}
