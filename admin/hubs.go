package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// HubInfo describes one of the emulator's hubs.
type HubInfo struct {
	Name string `json:"name" doc:"Its name, for ?hub= and the Event Hubs-compatible endpoint."`
	// Default says that it is the hub of the configuration.
	Default bool `json:"default" doc:"The hub of the configuration, which unknown host names reach too."`
	// HostName goes into connection strings.
	HostName  string   `json:"hostName" doc:"Host name in the connection strings."`
	HostNames []string `json:"hostNames" nullable:"false" doc:"The host names it answers to."`
	// ConnectionStrings are those of the shared access policies, by policy name.
	ConnectionStrings map[string]string `json:"connectionStrings" doc:"Service connection strings by policy name."`
	EventHub          EventHub          `json:"eventHub" doc:"How to read telemetry with the Event Hubs SDKs."`
	Storage           Storage           `json:"storage" doc:"Its own storage account."`
	// Devices are the connection strings of the devices that the hub began with, by device ID.
	Devices map[string]string `json:"devices" doc:"Device connection strings by device ID."`
}

// HubRequest is a hub to be made.
type HubRequest struct {
	Name string `json:"name" minLength:"1" maxLength:"50" doc:"1 to 50 letters, digits and hyphens."`
	// HostNames beside NAME.azure-devices.net and NAME.localhost; the first one goes into
	// connection strings.
	HostNames []string `json:"hostNames,omitempty" doc:"Further host names; the first one goes into connection strings."`
	// PolicyKeys are the primary keys of access policies; the others have those of the default hub.
	PolicyKeys     map[string]string `json:"policyKeys,omitempty" doc:"Primary keys (base64) by policy name; the others are those of the default hub."`
	Devices        []string          `json:"devices,omitempty" doc:"Devices to create, with generated keys."`
	ConsumerGroups []string          `json:"consumerGroups,omitempty" doc:"Consumer groups beside $Default."`
	// Snapshot is one to begin with, of the hub SnapshotHub.
	Snapshot    string `json:"snapshot,omitempty" doc:"Begin with the state that a snapshot holds of the default hub, or of snapshotHub."`
	SnapshotHub string `json:"snapshotHub,omitempty" doc:"Which hub of that snapshot."`
}

// Hosting holds the emulator's hubs. Its errors are *iothub.Error or *Refusal where the caller is to
// blame. The name "" is the default hub.
type Hosting interface {
	// Hubs returns the hubs, the default one first, the others by name.
	Hubs() []HubInfo
	// HubInfo describes one.
	HubInfo(name string) (HubInfo, error)
	// CreateHub makes a hub and returns when it can be used.
	CreateHub(ctx context.Context, r HubRequest) (HubInfo, error)
	// DeleteHub ends a hub and removes all it holds. The default one stays.
	DeleteHub(ctx context.Context, name string) error
}

// Refusal is an error that the caller is told, with a status of HTTP.
type Refusal struct {
	Status  int
	Message string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Message }

type (
	hubsOutput struct {
		Body struct {
			Hubs []HubInfo `json:"hubs" nullable:"false"`
		}
	}
	hubOutput struct{ Body HubInfo }
)

func (s *server) registerHubs() {
	huma.Register(s.api, huma.Operation{
		OperationID: "hubs", Method: http.MethodGet, Path: "/hubs", Summary: "The hubs",
		Description: "The default one first, then those made at run time, by name.",
	}, func(context.Context, *struct{}) (*hubsOutput, error) {
		out := new(hubsOutput)
		out.Body.Hubs = s.Hosting.Hubs()
		return out, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "hub", Method: http.MethodGet, Path: "/hubs/{name}", Summary: "One hub",
		Errors: []int{http.StatusNotFound},
	}, func(_ context.Context, in *namePath) (*hubOutput, error) {
		return s.hubOutput(s.Hosting.HubInfo(in.Name))
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "createHub", Method: http.MethodPost, Path: "/hubs", Summary: "Make a hub", DefaultStatus: http.StatusCreated,
		Description: "It shares nothing with the others but the ports. It answers to NAME.azure-devices.net, NAME.localhost and the host names given, " +
			"and is there again after a restart when there is a data directory.",
		Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, in *struct{ Body HubRequest }) (*hubOutput, error) {
		return s.hubOutput(s.Hosting.CreateHub(ctx, in.Body))
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "deleteHub", Method: http.MethodDelete, Path: "/hubs/{name}", Summary: "Remove a hub with all it holds",
		Description:   "Its clients are disconnected. The default hub cannot be removed, only reset.",
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusConflict, http.StatusNotFound},
	}, func(ctx context.Context, in *namePath) (*struct{}, error) {
		if err := s.Hosting.DeleteHub(ctx, in.Name); err != nil {
			return nil, s.problem(err)
		}
		return nil, nil
	})
}

func (s *server) hubOutput(h HubInfo, err error) (*hubOutput, error) {
	if err != nil {
		return nil, s.problem(err)
	}
	return &hubOutput{h}, nil
}
