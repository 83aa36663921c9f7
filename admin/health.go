package admin

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

type healthOutput struct {
	Status int
	Body   Health
}

// Health is the answer of GET /health.
type Health struct {
	Status string `json:"status" enum:"healthy,starting" doc:"healthy once every listener is bound."`
	// Missing are the listeners that are not bound; never null.
	Missing []string `json:"missing" nullable:"false" doc:"Listeners that are not bound."`
	// Hubs are the names of the hubs that can be used.
	Hubs []string `json:"hubs,omitempty" doc:"Names of the hubs, the default one first."`
	// Seed is what became of the last seed, those of the start included.
	Seed *SeedResult `json:"seed,omitempty" doc:"What became of the last seed; the emulator is not healthy before those of its start are applied."`
}

func (s *server) registerHealth() {
	huma.Register(s.api, huma.Operation{
		OperationID: "health", Method: http.MethodGet, Path: "/health", Summary: "Whether every listener is bound",
		Description: "200 when programs may connect, 503 with what is missing until then.",
		Responses: map[string]*huma.Response{"503": {
			Description: "Starting", Content: map[string]*huma.MediaType{"application/json": {
				Schema: s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Health](), true, ""),
			}},
		}},
	}, func(context.Context, *struct{}) (*healthOutput, error) {
		missing := s.Ready()
		if len(missing) == 0 {
			return &healthOutput{http.StatusOK, Health{"healthy", []string{}, s.hubNames(), s.seedResult()}}, nil
		}
		return &healthOutput{http.StatusServiceUnavailable, Health{"starting", missing, s.hubNames(), s.seedResult()}}, nil
	})
}

// hubNames returns the names of the hubs; nil when they are fixed.
func (s *server) hubNames() []string {
	if s.Hosting == nil {
		return nil
	}
	var names []string
	for _, h := range s.Hosting.Hubs() {
		names = append(names, h.Name)
	}
	return names
}

type infoOutput struct{ Body Info }

type pemOutput struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (s *server) registerInfo() {
	huma.Register(s.api, huma.Operation{
		OperationID: "info", Method: http.MethodGet, Path: "/info", Summary: "Ports, files and connection strings",
		Description: "The JSON of the ready file. It holds keys, as an emulator's keys are no secrets.",
	}, func(_ context.Context, in *struct {
		Hub string `query:"hub" doc:"Name of the hub; the default one unless given."`
	},
	) (*infoOutput, error) {
		info := s.Info(in.Hub)
		if info.ConnectionStrings == nil {
			info.ConnectionStrings = map[string]string{}
		}
		if info.HostNames == nil {
			info.HostNames = []string{}
		}
		if info.Devices == nil {
			info.Devices = map[string]string{}
		}
		return &infoOutput{info}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "ca", Method: http.MethodGet, Path: "/ca.pem", Summary: "The certificate authority to trust",
		Errors: []int{http.StatusNotFound},
		Responses: map[string]*huma.Response{"200": {
			Description: "PEM", Content: map[string]*huma.MediaType{pemContentType: {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, func(context.Context, *struct{}) (*pemOutput, error) {
		if s.CA != nil {
			if pem := s.CA(); len(pem) > 0 {
				return &pemOutput{pemContentType, pem}, nil
			}
		}
		return nil, huma.Error404NotFound("The emulator serves a certificate that it did not make.")
	})
}

const pemContentType = "application/x-pem-file"

type unsupportedOutput struct {
	Body struct {
		Operations map[string]int `json:"operations" doc:"Number of calls by operation."`
	}
}

func (s *server) registerUnsupported() {
	huma.Register(s.api, huma.Operation{
		OperationID: "unsupported", Method: http.MethodGet, Path: "/unsupported", Summary: "Calls of operations that the emulator refuses",
		Description: "Counted since the start. A program that causes none uses nothing that is missing.",
	}, func(ctx context.Context, _ *struct{}) (*unsupportedOutput, error) {
		out := new(unsupportedOutput)
		out.Body.Operations = s.hub(ctx).Unsupported()
		if out.Body.Operations == nil {
			out.Body.Operations = map[string]int{}
		}
		return out, nil
	})
}
