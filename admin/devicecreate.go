package admin

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// DeviceRequest is a device to be made.
type DeviceRequest struct {
	DeviceID     string         `json:"deviceId,omitempty" maxLength:"128" doc:"One is made up unless given."`
	PrimaryKey   string         `json:"primaryKey,omitempty" doc:"Base64 of 16 to 64 bytes; random unless given."`
	SecondaryKey string         `json:"secondaryKey,omitempty" doc:"The same."`
	Disabled     bool           `json:"disabled,omitempty" doc:"Whether it may not connect."`
	IoTEdge      bool           `json:"iotEdge,omitempty" doc:"Whether it is an IoT Edge device."`
	Tags         map[string]any `json:"tags,omitempty" doc:"What its twin begins with."`
	Desired      map[string]any `json:"desired,omitempty" doc:"The same."`
	Modules      []string       `json:"modules,omitempty" maxItems:"50" doc:"Modules to create with it."`
}

type createDeviceInput struct{ Body DeviceRequest }

// createDevice makes a device with its modules, or nothing.
func (s *server) createDevice(ctx context.Context, in *createDeviceInput) (*deviceOutput, error) {
	r := &in.Body
	if r.DeviceID == "" {
		r.DeviceID = "device-" + randomText()
	}
	id := iothub.ID{DeviceID: r.DeviceID}
	request := iothub.IdentityRequest{
		DeviceID: r.DeviceID, Status: iothub.StatusEnabled, Capabilities: &iothub.Capabilities{IoTEdge: r.IoTEdge},
	}
	if r.PrimaryKey != "" || r.SecondaryKey != "" {
		request.Authentication = &iothub.AuthenticationRequest{Type: iothub.AuthSAS, SymmetricKey: &iothub.SymmetricKey{
			PrimaryKey: cmp.Or(r.PrimaryKey, randomKey()), SecondaryKey: cmp.Or(r.SecondaryKey, randomKey()),
		}}
	}
	if r.Disabled {
		request.Status = iothub.StatusDisabled
	}
	h := s.hub(ctx)
	if _, err := h.CreateWithTwin(ctx, hub.Seeded{ID: id, Request: request, Twin: iothub.TwinPatch{Tags: r.Tags, Desired: r.Desired}}); err != nil {
		return nil, s.problem(err)
	}
	for _, module := range r.Modules {
		_, err := h.CreateWithTwin(ctx, hub.Seeded{ID: iothub.ID{DeviceID: r.DeviceID, ModuleID: module}, Request: iothub.IdentityRequest{DeviceID: r.DeviceID, ModuleID: module}})
		if err != nil {
			return nil, s.problem(errors.Join(err, h.DeleteIdentity(context.WithoutCancel(ctx), id, "*")))
		}
	}
	return s.device(ctx, r.DeviceID)
}

// randomKey returns 32 random bytes as base64.
func randomKey() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return base64.StdEncoding.EncodeToString(b[:])
}

// randomText returns 8 digits of hex.
func randomText() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return fmt.Sprintf("%x", b)
}
