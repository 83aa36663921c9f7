package admin

import (
	"cmp"
	"context"
	"net/http"
	"path"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// Device is a device with its live state. The service API has the identity and the twin whole.
type Device struct {
	DeviceID string `json:"deviceId"`
	WatchedIdentity
	Status       string `json:"status" enum:"enabled,disabled"`
	StatusReason string `json:"statusReason,omitempty"`
	IoTEdge      bool   `json:"iotEdge" doc:"Whether it is an IoT Edge device."`
}

// DeviceDetail is a device with its modules and the log of its connections.
type DeviceDetail struct {
	Device
	Modules []Module `json:"modules" nullable:"false"`
	Log     []Logged `json:"log" nullable:"false" doc:"The last 50 times that it or a module of it connected or disconnected, the oldest first, as far as they are remembered."`
}

// Module is a module of a device with its live state.
type Module struct {
	DeviceID string `json:"deviceId"`
	ModuleID string `json:"moduleId"`
	WatchedIdentity
	ManagedBy string `json:"managedBy,omitempty"`
}

// WatchedIdentity is what devices and modules have in common. It is exported because huma passes over embedded types that are not.
type WatchedIdentity struct {
	GenerationID     string          `json:"generationId" doc:"Another one once it was deleted and created anew."`
	Authentication   string          `json:"authentication" enum:"sas,selfSigned,certificateAuthority,none" doc:"none is that of an edge device's own modules."`
	ConnectionString string          `json:"connectionString,omitempty" doc:"For its program. One with a certificate has no key in it."`
	Connected        bool            `json:"connected"`
	Connection       *LiveConnection `json:"connection,omitempty" doc:"The connection that it has now."`
	LastActivity     string          `json:"lastActivity,omitempty" doc:"UTC, ISO 8601; left out when it was not there since the emulator began."`
	C2DWaiting       int             `json:"c2dWaiting" doc:"Cloud-to-device messages in its queue."`
	Simulation       string          `json:"simulation,omitempty" doc:"The simulation that plays it; left out for one that is not simulated."`
	ModelID          string          `json:"modelId,omitempty" doc:"The digital twin model that it announced."`
	Twin             TwinVersions    `json:"twin"`
}

// LiveConnection is a connection that is open.
type LiveConnection struct {
	Protocol      string `json:"protocol" doc:"mqtt, mqtt-ws, amqp, amqp-ws, or simulated."`
	RemoteAddress string `json:"remoteAddress"`
	Since         string `json:"since" doc:"UTC, ISO 8601."`
}

// TwinVersions tell whether a twin has changed.
type TwinVersions struct {
	ETag     string `json:"etag"`
	Version  int64  `json:"version" doc:"Rises with each write of tags and desired properties."`
	Desired  int64  `json:"desiredVersion" doc:"Rises with each write of desired properties."`
	Reported int64  `json:"reportedVersion" doc:"Rises with each write of reported properties."`
}

// Logged is a line of the log of connections.
type Logged struct {
	Time     string         `json:"time" doc:"UTC, ISO 8601."`
	Event    string         `json:"event" enum:"connected,disconnected"`
	Module   string         `json:"module,omitempty" doc:"Empty when it is the device itself."`
	Protocol string         `json:"protocol"`
	Address  string         `json:"remoteAddress,omitempty"`
	Error    *ActivityError `json:"error,omitempty" doc:"Why it was disconnected."`
}

// maxDeviceLog is how many lines the log of a device has.
const maxDeviceLog = 50

type (
	devicesInput struct {
		Search    string `query:"search" doc:"Only devices whose ID has this in it, in any case; with * and ? the whole ID must match." example:"thermostat-*"`
		State     string `query:"state" enum:"connected,disconnected" doc:"Only these."`
		Status    string `query:"status" enum:"enabled,disabled" doc:"Only these."`
		Simulated string `query:"simulated" enum:"true,false" doc:"Only devices that a simulation plays, or only others."`
		After     string `query:"after" doc:"Only devices whose IDs come after this one: next of the page before."`
		Limit     int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"The most to return."`
	}
	devicesOutput struct {
		Body struct {
			Devices []Device `json:"devices" nullable:"false" doc:"In the order of their IDs."`
			Total   int      `json:"total" doc:"How many match, on this page or another."`
			Next    string   `json:"next,omitempty" doc:"For after; left out on the last page."`
		}
	}
	devicePath struct {
		DeviceID string `path:"deviceId"`
	}
	deviceOutput struct{ Body DeviceDetail }
)

func (s *server) registerDevices() {
	huma.Register(s.api, huma.Operation{
		OperationID: "devices", Method: http.MethodGet, Path: "/devices", Summary: "The devices, with their live state", Tags: []string{"devices"},
		Description: "Without their modules. Reading it counts in no metric of the hub.",
	}, s.devices)
	huma.Register(s.api, huma.Operation{
		OperationID: "device", Method: http.MethodGet, Path: "/devices/{deviceId}", Summary: "One device, with its modules and the log of its connections",
		Tags: []string{"devices"}, Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *devicePath) (*deviceOutput, error) {
		return s.device(ctx, in.DeviceID)
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "createDevice", Method: http.MethodPost, Path: "/devices", Summary: "Create a device", Tags: []string{"devices"},
		Description: "A short way for tests and people: no token, and the answer has the connection string. The service API makes devices with certificates.",
		Errors:      []int{http.StatusBadRequest, http.StatusConflict, http.StatusForbidden}, DefaultStatus: http.StatusCreated,
	}, s.createDevice)
	huma.Register(s.api, huma.Operation{
		OperationID: "deleteDevice", Method: http.MethodDelete, Path: "/devices/{deviceId}", Summary: "Delete a device with its twin, modules and messages",
		Tags: []string{"devices"}, DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *devicePath) (*struct{}, error) {
		if err := s.hub(ctx).DeleteIdentity(ctx, iothub.ID{DeviceID: in.DeviceID}, "*"); err != nil {
			return nil, s.problem(err)
		}
		return nil, nil
	})
}

func (s *server) devices(ctx context.Context, in *devicesInput) (*devicesOutput, error) {
	view, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	filter := hub.WatchedFilter{Status: iothub.Status(in.Status), After: in.After, Limit: in.Limit}
	if in.State != "" {
		connected := in.State == "connected"
		filter.Connected = &connected
	}
	searched := searchOf(in.Search)
	filter.Select = func(id string) bool {
		return searched(id) && (in.Simulated == "" || (view.playing(iothub.ID{DeviceID: id}) != "") == (in.Simulated == "true"))
	}
	page, total, more, err := s.hub(ctx).WatchDevices(ctx, filter)
	if err != nil {
		return nil, s.problem(err)
	}
	out := new(devicesOutput)
	out.Body.Devices, out.Body.Total = make([]Device, 0, len(page)), total
	for i := range page {
		out.Body.Devices = append(out.Body.Devices, view.device(&page[i]))
	}
	if more && len(page) > 0 {
		out.Body.Next = page[len(page)-1].Identity.ID.DeviceID
	}
	return out, nil
}

// searchOf returns what a search selects: IDs that have the text in them, or match it when it has * or ?.
func searchOf(text string) func(id string) bool {
	text = strings.ToLower(text)
	if pattern := globOf(text); pattern != "" {
		return func(id string) bool { ok, err := path.Match(pattern, strings.ToLower(id)); return ok && err == nil }
	}
	return func(id string) bool { return strings.Contains(strings.ToLower(id), text) }
}

func (s *server) device(ctx context.Context, deviceID string) (*deviceOutput, error) {
	view, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	h := s.hub(ctx)
	found, err := h.Watch(ctx, iothub.ID{DeviceID: deviceID})
	if err != nil {
		return nil, s.problem(err)
	}
	out := &deviceOutput{DeviceDetail{Device: view.device(&found), Modules: []Module{}, Log: []Logged{}}}
	modules, err := h.WatchModules(ctx, deviceID)
	if err != nil {
		return nil, s.problem(err)
	}
	for i := range modules {
		out.Body.Modules = append(out.Body.Modules, view.module(&modules[i]))
	}
	// The ring holds fewer than this.
	const all = 100_000
	happened, err := h.ReadActivity(ctx, hub.ActivityQuery{Kinds: []hub.ActivityKind{hub.ActivityConnection}, DeviceID: deviceID}, all)
	if err != nil {
		return nil, s.activityError(err)
	}
	for i := max(0, len(happened.Activities)-maxDeviceLog); i < len(happened.Activities); i++ {
		out.Body.Log = append(out.Body.Log, logged(&happened.Activities[i]))
	}
	return out, nil
}

func logged(a *hub.Activity) Logged {
	out := Logged{Time: iothub.FormatTime(a.Time), Event: a.Event, Module: a.ID.ModuleID, Protocol: a.Protocol, Address: a.RemoteAddr}
	if a.Error != nil {
		out.Error = &ActivityError{int(a.Error.Code), a.Error.Code.String(), a.Error.Message}
	}
	return out
}

// deviceView puts devices of a hub into the form of the management API.
type deviceView struct {
	info    Info
	playing func(iothub.ID) string
}

func (s *server) view(ctx context.Context) (deviceView, error) {
	name := s.hub(ctx).Name()
	view := deviceView{info: s.Info(name), playing: func(iothub.ID) string { return "" }}
	if s.Simulating != nil {
		playing, err := s.Simulating.Playing(name)
		if err != nil {
			return view, s.problem(err)
		}
		view.playing = playing
	}
	return view, nil
}

func (v deviceView) device(w *hub.Watched) Device {
	i := &w.Identity
	return Device{
		DeviceID: i.ID.DeviceID, WatchedIdentity: v.identity(w), Status: string(cmp.Or(i.Status, iothub.StatusEnabled)), StatusReason: i.StatusReason,
		IoTEdge: i.Capabilities.IoTEdge,
	}
}

func (v deviceView) module(w *hub.Watched) Module {
	i := &w.Identity
	return Module{DeviceID: i.ID.DeviceID, ModuleID: i.ID.ModuleID, WatchedIdentity: v.identity(w), ManagedBy: i.ManagedBy}
}

func (v deviceView) identity(w *hub.Watched) WatchedIdentity {
	out := WatchedIdentity{
		GenerationID: w.Identity.GenerationID, Authentication: string(w.Identity.Authentication.Type),
		Connected: w.Live != nil, C2DWaiting: w.Connection.C2DCount, Simulation: v.playing(w.Identity.ID), ModelID: w.Twin.Twin.ModelID,
		Twin: TwinVersions{
			ETag: w.Twin.Twin.ETagText(), Version: w.Twin.Twin.Version, Desired: w.Twin.Twin.Desired.Version, Reported: w.Twin.Twin.Reported.Version,
		},
	}
	if w.Identity.Authentication.Type != iothub.AuthNone {
		out.ConnectionString = v.info.DeviceConnectionString(w.Identity)
	}
	if at := w.Connection.LastActivityTime; !at.IsZero() {
		out.LastActivity = iothub.FormatTime(at)
	}
	if w.Live != nil {
		out.Connection = &LiveConnection{w.Live.Protocol, w.Live.RemoteAddr, iothub.FormatTime(w.Live.Since)}
	}
	return out
}
