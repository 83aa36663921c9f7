package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"

	"github.com/hubnerite/hubnerite/clock"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/inspect"
)

// Options configure the management API. Hub, Info and Ready are required.
type Options struct {
	// Hub returns the hub of a name, as it is now; "" is the default one.
	Hub func(name string) (h *hub.Hub, ok bool)
	// Hosting makes and removes hubs; nil when they are fixed.
	Hosting Hosting
	// Seeding applies and writes seeds, Simulating plays devices; nil when there is none.
	Seeding    Seeding
	Simulating Simulating
	// Keeping resets hubs and keeps snapshots of them; nil when there is nobody to do it.
	Keeping Keeping
	// Info describes the emulator as it is now, with the names and strings of a hub that there is; "" is the default one.
	Info func(name string) Info
	// Ready returns the names of the listeners that are not bound yet, such as
	// "mqtt"; none means ready.
	Ready func() []string
	// Clock is the clock of the hubs.
	Clock *clock.Clock
	// CA returns the certificate authority as PEM; nil, or a func that returns
	// nothing, when the operator brought a certificate.
	CA func() []byte
	// IssueDevice signs a certificate for tests of an authority that it registers with the hub; nil when there is
	// nobody to do it.
	IssueDevice func(context.Context, *hub.Hub, DeviceCertificateRequest) (DeviceCertificate, error)
	// Service returns the service API of a hub, "" for the default one, as its owner sees it: requests to it carry no
	// credential. nil when it is not offered.
	Service func(hub string) (http.Handler, error)
	// Inspector looks at connections; nil when nobody does.
	Inspector *inspect.Recorder
	// Token is what requests must carry, but for GET /health; empty demands none.
	Token string
	// Hosts are the host names and addresses, without ports, that requests may
	// name besides the loopback ones: the configured bind address and names. An
	// unspecified address (0.0.0.0, ::) accepts every address, but no name.
	Hosts []string
	// Logger takes faults and refused origins; nil discards.
	Logger  *slog.Logger
	Version string
}

// Times for the server that carries the handler; see Configure.
const (
	// MaxWait is the longest that GET /messages/wait waits.
	MaxWait = 5 * time.Minute

	readHeaderTimeout = 10 * time.Second
	readTimeout       = time.Minute
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
)

// Configure sets the server's time-outs and header limit, so that a slow or
// silent client does not keep a connection.
func Configure(s *http.Server) {
	s.ReadHeaderTimeout = readHeaderTimeout
	s.ReadTimeout = readTimeout
	s.WriteTimeout = MaxWait + time.Minute
	s.IdleTimeout = idleTimeout
	s.MaxHeaderBytes = maxHeaderBytes
}

type server struct {
	Options
	api huma.API
}

// New returns the handler of the management API.
func New(o Options) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &server{Options: o}
	mux := chi.NewRouter()
	mux.Use(s.recoverPanics, s.secure, s.demandToken, s.chooseHub, unescapePath)
	mux.NotFound(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, http.StatusNotFound, fmt.Sprintf("There is no %q; see /docs.", r.URL.Path))
	})
	mux.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, http.StatusMethodNotAllowed, fmt.Sprintf("%q does not support %s.", r.URL.Path, r.Method))
	})

	config := huma.DefaultConfig("Hubnerite management API", o.Version)
	config.Info.Description = "What the emulator tells about itself and what arrived at it. The IoT Hub API is on other ports."
	// Its documentation pages load scripts from elsewhere; ours is docs.go.
	config.DocsPath = ""
	// Answers shall hold what is documented and no $schema links.
	config.SchemasPath = ""
	config.CreateHooks = nil
	s.api = humachi.New(mux, config)
	s.api.UseMiddleware(s.refuseUnknown)
	s.registerHealth()
	s.registerInfo()
	if s.Hosting != nil {
		s.registerHubs()
	}
	if s.Seeding != nil {
		s.registerSeed()
	}
	if s.Simulating != nil {
		s.registerSimulations()
	}
	if s.Keeping != nil {
		s.registerKeeping()
	}
	s.registerMessages()
	s.registerClock()
	s.registerActivity()
	s.registerFaults()
	s.registerRouting()
	s.registerConsumerGroups()
	s.registerDevices()
	s.registerC2D()
	s.registerFileUpload()
	s.registerCertificates()
	s.registerUnsupported()
	if s.Inspector != nil {
		s.registerInspector()
		s.registerPcap()
	}
	s.describeHubParameter()
	mux.Get("/docs", s.docs)
	mux.Get("/messages/live", s.live)
	mux.Method(http.MethodGet, "/metrics", s.metrics())
	mux.HandleFunc(servicePrefix+"/*", s.service)
	s.serveDashboard(mux)
	return mux
}

// recoverPanics keeps a panic from reaching the connection.
func (s *server) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { //nolint:errorlint // the sentinel is compared as net/http does
				panic(p)
			}
			s.Logger.Error("panic in a management request", "path", r.URL.Path, "err", fmt.Sprint(p), "stack", string(debug.Stack()))
			writeProblem(w, http.StatusInternalServerError, "Internal server error.")
		}()
		next.ServeHTTP(w, r)
	})
}

// writeProblem answers in the form of RFC 9457, as the operations do.
func writeProblem(w http.ResponseWriter, status int, detail string) {
	body, err := json.Marshal(huma.ErrorModel{Title: http.StatusText(status), Status: status, Detail: detail})
	if err != nil {
		panic(err) // three plain members always encode
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	// A failed write means that the peer is gone.
	_, _ = w.Write(body)
}
