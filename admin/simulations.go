package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hubnerite/hubnerite/iothub"
)

// Simulation is a group of simulated devices with what they have done since it began.
type Simulation struct {
	ID        string          `json:"id" doc:"Its name."`
	Devices   int             `json:"devices" doc:"How many devices it has."`
	Connected int             `json:"connected" doc:"How many of them have a connection now."`
	Sent      int64           `json:"sent" doc:"Telemetry that was stored."`
	Failed    int64           `json:"failed" doc:"Telemetry that was refused."`
	Methods   int64           `json:"methods" doc:"Direct methods that came."`
	Reported  int64           `json:"reported" doc:"Writes of reported properties."`
	Received  int64           `json:"received" doc:"Cloud-to-device messages that came."`
	LastError string          `json:"lastError,omitempty" doc:"Why something failed last."`
	Spec      json.RawMessage `json:"spec" doc:"What was asked for, as in a seed file."`
}

// Simulating plays devices. Its errors are *iothub.Error or *Refusal where the caller is to blame. The hub "" is the default one.
type Simulating interface {
	Simulations(hub string) ([]Simulation, error)
	Simulation(hub, id string) (Simulation, error)
	// PutSimulation begins a simulation that is given as JSON, in the place of the one of its name.
	PutSimulation(ctx context.Context, hub string, spec []byte) (Simulation, error)
	DeleteSimulation(hub, id string) error
	// DeleteSimulations ends all of a hub.
	DeleteSimulations(hub string) error
	// Playing returns a function that names the simulation that plays a device or module, "" for none.
	Playing(hub string) (func(iothub.ID) string, error)
}

type (
	ofHub struct {
		Hub string `query:"hub" doc:"Name of the hub; the default one unless given."`
	}
	simulationPath struct {
		ID  string `path:"id"`
		Hub string `query:"hub" doc:"Name of the hub; the default one unless given."`
	}
	simulationInput struct {
		Hub     string `query:"hub" doc:"Name of the hub; the default one unless given."`
		RawBody []byte `contentType:"application/json"`
	}
	simulationOutput  struct{ Body Simulation }
	simulationsOutput struct {
		Body struct {
			Simulations []Simulation `json:"simulations" nullable:"false"`
		}
	}
)

func (s *server) registerSimulations() {
	const one = "/simulations/{id}"
	huma.Register(s.api, huma.Operation{
		OperationID: "simulations", Method: http.MethodGet, Path: "/simulations", Summary: "The simulated devices", Errors: []int{http.StatusNotFound},
	}, func(_ context.Context, in *ofHub) (*simulationsOutput, error) {
		all, err := s.Simulating.Simulations(in.Hub)
		if err != nil {
			return nil, s.problem(err)
		}
		out := new(simulationsOutput)
		out.Body.Simulations = append([]Simulation{}, all...)
		return out, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "simulation", Method: http.MethodGet, Path: one, Summary: "One simulation", Errors: []int{http.StatusNotFound},
	}, func(_ context.Context, in *simulationPath) (*simulationOutput, error) {
		return s.simulation(s.Simulating.Simulation(in.Hub, s.simulationID(in)))
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "putSimulation", Method: http.MethodPost, Path: "/simulations", Summary: "Begin a simulation",
		Description: "The body is an item of simulations of a seed file. It takes the place of the one of its name; the same one again goes on as it is. " +
			"Devices that do not exist are created. It ends with the emulator.",
		Errors: []int{http.StatusBadRequest, http.StatusNotFound}, SkipValidateBody: true,
	}, func(ctx context.Context, in *simulationInput) (*simulationOutput, error) {
		return s.simulation(s.Simulating.PutSimulation(ctx, in.Hub, in.RawBody))
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "deleteSimulation", Method: http.MethodDelete, Path: one, Summary: "End a simulation; its devices stay registered",
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound},
	}, func(_ context.Context, in *simulationPath) (*struct{}, error) {
		if err := s.Simulating.DeleteSimulation(in.Hub, s.simulationID(in)); err != nil {
			return nil, s.problem(err)
		}
		return nil, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "deleteSimulations", Method: http.MethodDelete, Path: "/simulations", Summary: "End all simulations",
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound},
	}, func(_ context.Context, in *ofHub) (*struct{}, error) {
		if err := s.Simulating.DeleteSimulations(in.Hub); err != nil {
			return nil, s.problem(err)
		}
		return nil, nil
	})
}

// simulationID returns the ID of a path, which comes escaped when it has a slash.
func (s *server) simulationID(in *simulationPath) string {
	if _, err := s.Simulating.Simulation(in.Hub, in.ID); err == nil {
		return in.ID
	}
	if id, err := url.PathUnescape(in.ID); err == nil {
		return id
	}
	return in.ID
}

func (s *server) simulation(one Simulation, err error) (*simulationOutput, error) {
	if err != nil {
		return nil, s.problem(err)
	}
	return &simulationOutput{one}, nil
}
