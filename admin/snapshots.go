package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// SnapshotInfo describes a snapshot.
type SnapshotInfo struct {
	Name    string   `json:"name"`
	Created string   `json:"created" doc:"UTC, ISO 8601, by the real time."`
	Hubs    []string `json:"hubs" nullable:"false" doc:"The hubs that it holds."`
}

// Keeping resets hubs and keeps their state. Its errors are like those of Hosting. The hub "" is the default one, "*" is
// all of them.
type Keeping interface {
	// Reset makes a hub what it was when it began, and applies the seed if asked to.
	Reset(ctx context.Context, hub string, seed bool) error
	// Snapshot keeps the state of a hub under a name.
	Snapshot(ctx context.Context, name, hub string) (SnapshotInfo, error)
	// Snapshots returns all, by name.
	Snapshots() []SnapshotInfo
	// SnapshotInfo describes one.
	SnapshotInfo(name string) (SnapshotInfo, error)
	// DeleteSnapshot forgets one.
	DeleteSnapshot(name string) error
	// Restore makes a hub what it was.
	Restore(ctx context.Context, name, hub string) error
}

type (
	snapshotsOutput struct {
		Body struct {
			Snapshots []SnapshotInfo `json:"snapshots" nullable:"false"`
		}
	}
	snapshotOutput struct{ Body SnapshotInfo }
	snapshotInput  struct {
		Name string `path:"name"`
		Hub  string `query:"hub" default:"*" doc:"Name of the hub, * for all."`
	}
)

func (s *server) registerKeeping() {
	s.registerReset()
	huma.Register(s.api, huma.Operation{
		OperationID: "snapshots", Method: http.MethodGet, Path: "/snapshots", Summary: "The snapshots",
	}, func(context.Context, *struct{}) (*snapshotsOutput, error) {
		out := new(snapshotsOutput)
		out.Body.Snapshots = s.Keeping.Snapshots()
		return out, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "snapshot", Method: http.MethodGet, Path: "/snapshots/{name}", Summary: "One snapshot",
		Errors: []int{http.StatusNotFound},
	}, func(_ context.Context, in *namePath) (*snapshotOutput, error) {
		return s.snapshotOutput(s.Keeping.SnapshotInfo(in.Name))
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "putSnapshot", Method: http.MethodPut, Path: "/snapshots/{name}", Summary: "Keep the state of the hubs",
		Description: "Identities, keys, twins, cloud-to-device messages, jobs, configurations, routes, certificate authorities, telemetry with its positions, " +
			"uploaded files and which simulations run; not what is connected or in progress. It takes the place of one of the same name. Clients notice nothing.",
		Errors: []int{http.StatusBadRequest, http.StatusNotFound},
	}, func(ctx context.Context, in *snapshotInput) (*snapshotOutput, error) {
		return s.snapshotOutput(s.Keeping.Snapshot(ctx, in.Name, in.Hub))
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "deleteSnapshot", Method: http.MethodDelete, Path: "/snapshots/{name}", Summary: "Forget a snapshot",
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound},
	}, func(_ context.Context, in *namePath) (*struct{}, error) {
		if err := s.Keeping.DeleteSnapshot(in.Name); err != nil {
			return nil, s.problem(err)
		}
		return nil, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "restoreSnapshot", Method: http.MethodPost, Path: "/snapshots/{name}/restore", Summary: "Make hubs what they were at a snapshot",
		Description: "Hubs that were removed since come back; hubs that are not in it stay as they are. Clients of the restored hubs are disconnected; " +
			"who reconnects finds the restored state.",
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *snapshotInput) (*struct{}, error) {
		if err := s.Keeping.Restore(ctx, in.Name, in.Hub); err != nil {
			return nil, s.problem(err)
		}
		return nil, nil
	})
}

func (s *server) registerReset() {
	const description = "Empty but for what the configuration, or the request that created it, gave it; configured devices keep their keys. " +
		"Clients are disconnected; who reconnects finds the new hub. Telemetry is numbered from 0 again."
	huma.Register(s.api, huma.Operation{
		OperationID: "reset", Method: http.MethodPost, Path: "/reset", Summary: "Make a hub what it was when it began", Description: description,
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *struct {
		Hub  string `query:"hub" doc:"Name of the hub, the default one unless given; * for all."`
		Seed bool   `query:"seed" default:"false" doc:"Apply the seed that the emulator was started with."`
	},
	) (*struct{}, error) {
		return nil, s.reset(ctx, in.Hub, in.Seed)
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "resetHub", Method: http.MethodPost, Path: "/hubs/{name}/reset", Summary: "Make a hub what it was when it began", Description: description,
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *struct {
		Name string `path:"name"`
		Seed bool   `query:"seed" default:"false" doc:"Apply the seed that the emulator was started with."`
	},
	) (*struct{}, error) {
		return nil, s.reset(ctx, in.Name, in.Seed)
	})
}

func (s *server) reset(ctx context.Context, hub string, seed bool) error {
	if err := s.Keeping.Reset(ctx, hub, seed); err != nil {
		return s.problem(err)
	}
	return nil
}

func (s *server) snapshotOutput(info SnapshotInfo, err error) (*snapshotOutput, error) {
	if err != nil {
		return nil, s.problem(err)
	}
	return &snapshotOutput{info}, nil
}
