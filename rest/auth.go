package rest

import (
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// operation is one call of the service API.
type operation struct {
	method, pattern string
	// rights are those of which the caller needs one.
	rights iothub.AccessRights
	// device says that it is a device's: the credential is one that opens the
	// identity in the path, a client certificate included.
	device bool
	// form is the envelope of the operation's own errors.
	form envelope
	// versionOptional lets module clients leave api-version out.
	versionOptional bool
	// throttle limits it on a hub with a tier; "" when nothing does or the hub
	// counts by itself.
	throttle iothub.Throttle
	// metered counts the larger of request and answer against the daily quota.
	metered bool
	run     func(*call) error
}

// call is an admitted request.
type call struct {
	w   http.ResponseWriter
	r   *http.Request
	hub *hub.Hub
	log *slog.Logger
	// id is the identity in the path; zero when the path names none.
	id iothub.ID
	// grant is what a device's credential allows; zero for the service's operations.
	grant iothub.Grant
}

// handle admits a request to op and runs it.
func (s *Server) handle(op operation) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := s.admit(op, w, r)
		if err != nil {
			// These refusals, and every 401, come from in front of the operations
			// in Azure, too, and always use the oldest envelope.
			s.writeError(w, r, legacy, err)
			return
		}
		began, name := time.Now(), operationName(r)
		defer func() { c.hub.ObserveRequest(name, time.Since(began)) }()
		if !op.device {
			c.id, err = pathID(r)
		}
		if err == nil {
			err = c.hub.FaultRequest(r.Context(), name, c.id)
		}
		if err == nil {
			err = c.admitTo(op)
		}
		if err == nil {
			err = op.run(c)
		}
		if op.metered && err == nil {
			c.hub.Charge(int(max(r.ContentLength, written(w))))
		}
		if iothub.ErrorCode(err).HTTPStatus() == http.StatusUnauthorized {
			op.form = legacy
		}
		if err != nil {
			s.writeError(w, r, op.form, err)
		}
	}
}

// admitTo waits for the operation's turn and checks what is left of the quota.
func (c *call) admitTo(op operation) error {
	if op.throttle != "" {
		if err := c.hub.Throttle(c.r.Context(), op.throttle, 1); err != nil {
			return err
		}
	}
	if op.metered {
		return c.hub.QuotaLeft()
	}
	return nil
}

// admit checks api-version, host and credential, in this order.
func (s *Server) admit(op operation, w http.ResponseWriter, r *http.Request) (*call, error) {
	if err := s.checkVersion(op, r); err != nil {
		return nil, err
	}
	h, err := s.o.Hubs(r.Host)
	if err != nil {
		return nil, err
	}
	c := &call{w: w, r: r, hub: h, log: s.o.Logger}
	if op.device {
		return c, c.admitDevice()
	}
	if err := authorize(h, op.rights, r); err != nil {
		return nil, err
	}
	return c, nil
}

// admitDevice verifies the credential of the identity in the path.
// Source: IoT Hub devguide, control access (device endpoints), X.509.
func (c *call) admitDevice() (err error) {
	if c.id, err = pathID(c.r); err != nil {
		return err
	}
	credential := hub.Credential{Token: c.r.Header.Get("Authorization")}
	if c.r.TLS != nil {
		credential.Certificates = c.r.TLS.PeerCertificates
	}
	c.grant, err = c.hub.AuthenticateDevice(c.r.Context(), c.id, credential)
	return err
}

// authorize verifies the shared access signature of the Authorization header. A
// missing or bad signature and a missing right are all 401, never 403.
// Source: IoT Hub devguide, control access with shared access signatures.
func authorize(h *hub.Hub, rights iothub.AccessRights, r *http.Request) error {
	token := r.Header.Get("Authorization")
	scheme, _, _ := strings.Cut(token, " ")
	switch {
	case token == "":
		return iothub.NewError(iothub.CodeIotHubUnauthorizedAccess, "Unauthorized: the request has no Authorization header.")
	case !strings.EqualFold(scheme, "SharedAccessSignature"):
		return iothub.NewError(iothub.CodeIotHubUnauthorizedAccess,
			"Unauthorized: only shared access signatures are accepted; the emulator knows no Microsoft Entra tokens.")
	}
	g, err := h.Authenticate(r.Context(), token)
	if err != nil {
		return err
	}
	path := resourcePath(r.URL.RawPath)
	err = h.Authorize(g, rights, path)
	if err != nil {
		// Tokens may be scoped to the spelling of the documentation.
		if documented, ok := strings.CutPrefix(path, "messages/servicebound"); ok && h.Authorize(g, rights, "messages/serviceBound"+documented) == nil {
			return nil
		}
	}
	return err
}

// pathID returns the identity in the path, decoded exactly once.
func pathID(r *http.Request) (id iothub.ID, err error) {
	for _, p := range []struct {
		name     string
		value    *string
		validate func(string) error
	}{{"deviceID", &id.DeviceID, iothub.ValidateDeviceID}, {"moduleID", &id.ModuleID, iothub.ValidateModuleID}} {
		raw := chi.URLParam(r, p.name)
		if raw == "" {
			continue
		}
		if *p.value, err = url.PathUnescape(raw); err != nil {
			return iothub.ID{}, iothub.NewError(iothub.CodeArgumentInvalid, "The path has a malformed escape.").WithCause(err)
		}
		if err = p.validate(*p.value); err != nil {
			return iothub.ID{}, err
		}
	}
	return id, nil
}

// checkVersion demands a well-formed api-version, or in strict mode a known one.
func (s *Server) checkVersion(op operation, r *http.Request) error {
	version := queryValue(r, "api-version")
	switch {
	case version == "" && op.versionOptional && r.Header.Get("x-ms-edge-moduleId") != "":
		return nil
	case version == "":
		return iothub.NewError(iothub.CodeInvalidProtocolVersion, "The query parameter api-version is missing.")
	case !wellFormedVersion(version):
		return iothub.NewError(iothub.CodeInvalidProtocolVersion,
			"The api-version %q is not a date such as 2021-04-12.", version)
	case s.o.StrictAPIVersion && !slices.Contains(knownVersions(), version):
		return iothub.NewError(iothub.CodeInvalidProtocolVersion, "The api-version %q is not supported.", version)
	}
	return nil
}

// queryValue returns a query parameter, whose name the service compares without
// case; "" when there is none. A malformed rest of the query is passed over.
func queryValue(r *http.Request, name string) string {
	for key, values := range r.URL.Query() {
		if strings.EqualFold(key, name) {
			return values[0]
		}
	}
	return ""
}

func wellFormedVersion(v string) bool {
	_, err := time.Parse(time.DateOnly, strings.TrimSuffix(v, "-preview"))
	return err == nil
}

// knownVersions are those that the official SDKs and the documentation use.
func knownVersions() []string {
	return []string{
		"2016-02-03", "2016-11-14", "2017-06-30", "2017-08-21-preview", "2017-11-08-preview", "2018-03-01-preview",
		"2018-04-01", "2018-06-30", "2018-08-30-preview", "2019-03-30", "2019-07-01-preview", "2019-10-01",
		"2020-03-01", "2020-03-13", "2020-05-31-preview", "2020-09-30", "2021-04-12", "2024-03-31",
	}
}
