package emulator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/hubnerite/hubnerite/admin"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/seed"
	"github.com/hubnerite/hubnerite/simulate"
)

// Simulation is a group of simulated devices.
type Simulation = admin.Simulation

// Simulations returns the simulations of a hub, by name; "" is the default hub.
func (e *Emulator) Simulations(hub string) ([]Simulation, error) {
	h := e.named(hub)
	if h == nil {
		return nil, noHub(hub)
	}
	var out []Simulation
	for _, status := range h.now.Load().simulator.List() {
		one, err := simulationOf(status, nil)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// Simulation returns one of them.
func (e *Emulator) Simulation(hub, id string) (Simulation, error) {
	h := e.named(hub)
	if h == nil {
		return Simulation{}, noHub(hub)
	}
	status, ok := h.now.Load().simulator.Get(id)
	if !ok {
		return Simulation{}, noSimulation(id)
	}
	return simulationOf(status, nil)
}

func noSimulation(id string) error {
	return &admin.Refusal{Status: http.StatusNotFound, Message: fmt.Sprintf("There is no simulation %.128q; GET /simulations lists them.", id)}
}

// PutSimulation begins a simulation, given as JSON in the form of a seed file, in the place of the one of its name. Devices that do not
// exist are created. It ends with the emulator or a reset.
func (e *Emulator) PutSimulation(ctx context.Context, hub string, spec []byte) (Simulation, error) {
	h := e.named(hub)
	if h == nil {
		return Simulation{}, noHub(hub)
	}
	f, err := seed.ParseSimulation(spec)
	if err != nil {
		return Simulation{}, &admin.Refusal{Status: http.StatusBadRequest, Message: err.Error()}
	}
	status, _, err := h.now.Load().simulator.Put(ctx, f)
	return simulationOf(status, err)
}

// DeleteSimulation ends a simulation. Its devices stay registered.
func (e *Emulator) DeleteSimulation(hub, id string) error {
	h := e.named(hub)
	switch {
	case h == nil:
		return noHub(hub)
	case !h.now.Load().simulator.Delete(id):
		return noSimulation(id)
	}
	return nil
}

// DeleteSimulations ends all simulations of a hub.
func (e *Emulator) DeleteSimulations(hub string) error {
	h := e.named(hub)
	if h == nil {
		return noHub(hub)
	}
	simulator := h.now.Load().simulator
	for _, status := range simulator.List() {
		simulator.Delete(status.ID)
	}
	return nil
}

// Playing returns a function that names the simulation that plays a device or module of a hub, "" for none.
func (e *Emulator) Playing(hub string) (func(iothub.ID) string, error) {
	h := e.named(hub)
	if h == nil {
		return nil, noHub(hub)
	}
	return h.now.Load().simulator.Playing(), nil
}

func simulationOf(s simulate.Status, err error) (Simulation, error) {
	if err != nil {
		return Simulation{}, err
	}
	spec, err := specText(s.Spec)
	if err != nil {
		return Simulation{}, err
	}
	return Simulation{
		ID: s.ID, Devices: s.Devices, Connected: s.Connected, Sent: s.Sent, Failed: s.Failed, Methods: s.Methods, Reported: s.Reported,
		Received: s.Received, LastError: s.LastError, Spec: spec,
	}, nil
}

// specText writes a simulation as JSON in the form of a seed file.
func specText(spec seed.Simulation) ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	err := e.Encode(spec)
	return bytes.TrimSpace(text.Bytes()), err
}

// seedingForAdmin tells the management API who is to blame.
type seedingForAdmin struct{ *Emulator }

// ApplySeed implements admin.Seeding.
func (e seedingForAdmin) ApplySeed(ctx context.Context, name string, text []byte) (SeedResult, error) {
	result, err := e.Emulator.ApplySeed(ctx, name, text)
	if wrong := (*SeedError)(nil); errors.As(err, &wrong) {
		err = &admin.Refusal{Status: http.StatusBadRequest, Message: wrong.Error()}
	}
	return result, err
}
