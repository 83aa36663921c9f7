package seed

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/simulate/template"
)

// Limits of simulations, to keep a mistake from filling memory.
const (
	// MaxSimulated is how many simulated devices a hub has.
	MaxSimulated = 100_000
	// maxRate is how many messages a second the simulations of a hub send.
	maxRate = 100_000
)

func (v *validator) simulations(h *Hub, n *node) {
	once := v.names("simulation", false)
	played := map[iothub.ID]string{}
	rate := 0.0
	for i := range h.Simulations {
		s, place := &h.Simulations[i], list(n, "simulations")[i]
		once(s.ID(), at(place, "name"))
		v.simulation(s, place)
		if len(played)+s.Devices() > MaxSimulated {
			v.complain(place.at, "a hub has at most %d simulated devices", MaxSimulated)
			return
		}
		for id := range s.Identities() {
			if other, twice := played[id]; twice {
				v.complain(at(place, "device"), "%s is played by the simulation %q already", id, other)
				break
			}
			played[id] = s.ID()
		}
		rate += s.Rate()
	}
	if rate > maxRate {
		v.complain(at(n, "simulations"), "the simulations would send %.0f messages a second; %d are the most", rate, maxRate)
	}
}

func (v *validator) simulation(s *Simulation, n *node) {
	if s.Devices() > 1 && s.DeviceID(1) == s.DeviceID(2) {
		v.complain(at(n, "device"), "%d devices need {n} in the device ID, which stands for their number", s.Devices())
		return
	}
	// The last one has the longest number.
	for _, number := range []int{s.FirstNumber(), s.FirstNumber() + s.Devices() - 1} {
		if v.refuse(at(n, "device"), iothub.ValidateDeviceID(s.DeviceID(number))) {
			return
		}
	}
	if s.Module != "" {
		v.refuse(at(n, "module"), iothub.ValidateModuleID(s.Module))
		if strings.HasPrefix(s.Module, "$") {
			v.complain(at(n, "module"), "modules of the system are not simulated")
		}
	}
	for i := range s.Telemetry {
		v.telemetry(s, &s.Telemetry[i], list(n, "telemetry")[i])
	}
	methods := n.member("methods")
	for _, name := range slices.Sorted(maps.Keys(s.Methods)) {
		place := methods.member(name)
		if name != "*" {
			v.refuse(place.at, iothub.ValidateMethodName(name))
		}
		if _, err := template.JSON(s.Methods[name].Payload, template.Options{Method: true}); err != nil {
			v.complain(at(place, "payload"), "payload: %v", err)
		}
	}
}

func (v *validator) telemetry(s *Simulation, t *Telemetry, n *node) {
	if _, err := t.Template(); err != nil {
		v.complain(at(n, "body"), "body: %v", err)
	}
	if _, err := template.Text(t.MessageID, template.Options{}); err != nil {
		v.complain(at(n, "messageId"), "messageId: %v", err)
	}
	for name, value := range t.Properties {
		if _, err := template.Text(value, template.Options{}); err != nil {
			v.complain(at(n, "properties"), "properties.%s: %v", name, err)
		}
		if name == "" {
			v.complain(at(n, "properties"), "the name of a property must not be empty")
		}
	}
	if t.Output != "" && s.Module == "" {
		v.complain(at(n, "output"), "only a module has outputs")
	}
}

// Template compiles the body. It is nil for an empty body.
func (t *Telemetry) Template() (*template.Template, error) {
	if text, ok := t.Body.(string); ok || t.Body == nil {
		return template.Text(text, template.Options{})
	}
	return template.JSON(t.Body, template.Options{})
}

// IsJSON reports whether the body is a JSON value rather than a text.
func (t *Telemetry) IsJSON() bool {
	_, text := t.Body.(string)
	return !text && t.Body != nil
}

// ID returns the name of the simulation, which is the device ID unless given.
func (s *Simulation) ID() string {
	switch {
	case s.Name != "":
		return s.Name
	case s.Module != "":
		return s.Device + "/" + s.Module
	}
	return s.Device
}

// Devices returns how many devices there are.
func (s *Simulation) Devices() int {
	if s.Count == nil {
		return 1
	}
	return *s.Count
}

// FirstNumber returns the number of the first device.
func (s *Simulation) FirstNumber() int {
	if s.First == nil {
		return 1
	}
	return *s.First
}

// DeviceID returns the ID of the device of a number.
func (s *Simulation) DeviceID(number int) string {
	before, rest, found := strings.Cut(s.Device, "{n")
	if !found {
		return s.Device
	}
	width, after := 0, ""
	switch {
	case strings.HasPrefix(rest, "}"):
		after = rest[1:]
	case len(rest) >= 4 && strings.HasPrefix(rest, ":0") && rest[2] >= '1' && rest[2] <= '9' && rest[3] == '}':
		width, after = int(rest[2]-'0'), rest[4:]
	default:
		return s.Device
	}
	return before + fmt.Sprintf("%0*d", width, number) + after
}

// Identities yields the IDs with their numbers.
func (s *Simulation) Identities() func(yield func(iothub.ID, int) bool) {
	return func(yield func(iothub.ID, int) bool) {
		for i := range s.Devices() {
			number := s.FirstNumber() + i
			if !yield(iothub.ID{DeviceID: s.DeviceID(number), ModuleID: s.Module}, number) {
				return
			}
		}
	}
}

// Rate returns how many messages a second all its devices send.
func (s *Simulation) Rate() (rate float64) {
	for _, t := range s.Telemetry {
		if t.Every > 0 {
			rate += float64(s.Devices()) / (float64(t.Every) / 1e9)
		}
	}
	return rate
}
