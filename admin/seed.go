package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// SeedResult says what became of a seed.
type SeedResult struct {
	Status string `json:"status" enum:"applied,failed"`
	// Sources are the files, or what the caller named.
	Sources []string `json:"sources" nullable:"false" doc:"Where it came from."`
	Time    string   `json:"time" doc:"UTC, ISO 8601."`
	// Created, Changed and Unchanged count hubs, policies, devices, modules, routes and whatever else a seed names.
	Created      int     `json:"created" doc:"How many things were made."`
	Changed      int     `json:"changed" doc:"How many were there and changed."`
	Unchanged    int     `json:"unchanged" doc:"How many were there as they shall be."`
	Milliseconds float64 `json:"milliseconds" doc:"How long it took."`
	Error        string  `json:"error,omitempty" doc:"What is wrong, a line for each thing: file:line:column: message."`
}

// Values of SeedResult.Status.
const (
	SeedApplied = "applied"
	SeedFailed  = "failed"
)

// Seeding applies and writes seeds. Its errors are *Refusal where the caller is to blame.
type Seeding interface {
	// SeedResult returns what became of the last one, nil for none.
	SeedResult() *SeedResult
	// ApplySeed applies a seed as YAML or JSON; name is for messages.
	ApplySeed(ctx context.Context, name string, text []byte) (SeedResult, error)
	// ExportSeed writes all hubs, or, when hub is not empty, that one alone.
	ExportSeed(ctx context.Context, hub string, asJSON bool) ([]byte, error)
	// SeedSchema returns the JSON Schema.
	SeedSchema() []byte
}

// maxSeed is the largest seed that is posted, in bytes.
const maxSeed = 64 << 20

type (
	seedInput struct {
		Name    string `query:"name" default:"seed.yaml" doc:"What the seed is called in messages; a name that ends in .json says that it is JSON."`
		RawBody []byte `contentType:"application/yaml"`
	}
	seedOutput struct{ Body SeedResult }
	textOutput struct {
		ContentType string `header:"Content-Type"`
		Body        []byte
	}
	exportInput struct {
		Hub    string `query:"hub" doc:"Only this hub, as if it were the default one; all hubs unless given."`
		Format string `query:"format" default:"yaml" enum:"yaml,json"`
	}
)

func (s *server) registerSeed() {
	text := func(contentType string) map[string]*huma.Response {
		return map[string]*huma.Response{"200": {
			Description: "OK", Content: map[string]*huma.MediaType{contentType: {Schema: &huma.Schema{Type: huma.TypeString}}},
		}}
	}
	huma.Register(s.api, huma.Operation{
		OperationID: "applySeed", Method: http.MethodPost, Path: "/seed", Summary: "Apply a seed file",
		Description: "YAML or JSON. What it names is created or changed; what is as it shall be is not written again; what it does not name stays.",
		Errors:      []int{http.StatusBadRequest}, MaxBodyBytes: maxSeed, SkipValidateBody: true,
	}, func(ctx context.Context, in *seedInput) (*seedOutput, error) {
		result, err := s.Seeding.ApplySeed(ctx, in.Name, in.RawBody)
		if err != nil {
			return nil, s.problem(err)
		}
		return &seedOutput{result}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "export", Method: http.MethodGet, Path: "/export", Summary: "The state of the hubs as a seed file",
		Description: "Keys included. Messages and jobs are no part of it.", Errors: []int{http.StatusNotFound}, Responses: text("application/yaml"),
	}, func(ctx context.Context, in *exportInput) (*textOutput, error) {
		body, err := s.Seeding.ExportSeed(ctx, in.Hub, in.Format == "json")
		if err != nil {
			return nil, s.problem(err)
		}
		return &textOutput{"application/" + in.Format, body}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "seedSchema", Method: http.MethodGet, Path: "/seed.schema.json", Summary: "The JSON Schema of seed files", Responses: text("application/schema+json"),
	}, func(context.Context, *struct{}) (*textOutput, error) {
		return &textOutput{"application/schema+json", s.Seeding.SeedSchema()}, nil
	})
}

// seedResult returns what became of the last seed, nil for none.
func (s *server) seedResult() *SeedResult {
	if s.Seeding == nil {
		return nil
	}
	return s.Seeding.SeedResult()
}
