package seedhub

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/seed"
)

// checker compares a part with the hub.
type checker struct {
	Target
	part     Part
	problems []seed.Problem
}

func (c *checker) complain(path []any, format string, args ...any) {
	c.problems = append(c.problems, c.part.problem(fmt.Errorf(format, args...), path...))
}

func (c *checker) refuse(err error, path ...any) {
	if err != nil {
		c.problems = append(c.problems, c.part.problem(err, path...))
	}
}

func at(path ...any) []any { return path }

func (c *checker) check(ctx context.Context) error {
	c.policies()
	c.routing()
	c.certificates()
	c.groups()
	c.simulations()
	return c.devices(ctx)
}

func (c *checker) policies() {
	known := map[string]bool{}
	for _, p := range c.Hub.Policies() {
		known[p.Name] = true
	}
	for i, p := range c.part.Hub.Policies {
		if !known[p.Name] && len(p.Rights) == 0 {
			c.complain(at("policies", i), "the policy %q is new and needs rights", p.Name)
		}
		known[p.Name] = true
	}
	if len(known) > iothub.MaxAccessPolicies {
		c.complain(at("policies"), "the hub would have %d policies; %d are the most", len(known), iothub.MaxAccessPolicies)
	}
}

func (c *checker) groups() {
	known := map[string]bool{}
	for _, name := range append(c.Hub.ConsumerGroups(), c.part.Hub.ConsumerGroups...) {
		known[strings.ToLower(name)] = true
	}
	if len(known) > hub.MaxConsumerGroups {
		c.complain(at("consumerGroups"), "the hub would have %d consumer groups; %d are the most", len(known), hub.MaxConsumerGroups)
	}
}

func (c *checker) routing() {
	now, want := c.Hub.Routing(), c.part.Hub
	endpoints, routes, keys := map[string]bool{iothub.BuiltInEndpoint: true}, map[string]bool{}, map[string]bool{}
	for _, e := range now.Endpoints {
		endpoints[strings.ToLower(e.Name)] = true
	}
	for _, e := range want.Endpoints {
		endpoints[strings.ToLower(e.Name)] = true
	}
	for _, r := range now.Routes {
		routes[strings.ToLower(r.Name)] = true
	}
	for _, e := range now.Enrichments {
		keys[strings.ToLower(e.Key)] = true
	}
	for i, r := range want.Routes {
		routes[strings.ToLower(r.Name)] = true
		if name := r.Route().EndpointNames[0]; !endpoints[strings.ToLower(name)] {
			c.complain(at("routes", i, "endpoint"), "there is no endpoint %q", name)
		}
	}
	for i, e := range want.Enrichments {
		keys[strings.ToLower(e.Key)] = true
		for j, name := range e.Endpoints {
			if !endpoints[strings.ToLower(name)] {
				c.complain(at("enrichments", i, "endpoints", j), "there is no endpoint %q", name)
			}
		}
	}
	for _, limit := range []struct {
		name      string
		have, max int
	}{
		{"endpoints", len(endpoints) - 1, iothub.MaxEndpoints},
		{"routes", len(routes), iothub.MaxRoutes},
		{"enrichments", len(keys), iothub.MaxEnrichments},
	} {
		if limit.have > limit.max {
			c.complain(at(limit.name), "the hub would have %d %s; %d are the most", limit.have, limit.name, limit.max)
		}
	}
}

func (c *checker) certificates() {
	known, names := map[string]string{}, map[string]bool{}
	for _, ca := range c.Hub.CACertificates() {
		known[string(ca.DER)] = ca.Name
		names[strings.ToLower(ca.Name)] = true
	}
	for i, ca := range c.part.Hub.Certificates {
		if other, there := known[string(der(ca.Certificate))]; there && !strings.EqualFold(other, ca.Name) {
			c.complain(at("certificates", i), "this certificate is there already, as %q", other)
		}
		known[string(der(ca.Certificate))] = ca.Name
		names[strings.ToLower(ca.Name)] = true
	}
	if len(names) > iothub.MaxCACertificates {
		c.complain(at("certificates"), "the hub would have %d certificates; %d are the most", len(names), iothub.MaxCACertificates)
	}
}

// der returns the certificate in a text of which package seed has made sure that it has one.
func der(text string) []byte {
	if block, _ := pem.Decode([]byte(text)); block != nil {
		return block.Bytes
	}
	out, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil
	}
	return out
}

func (c *checker) devices(ctx context.Context) error {
	named := map[string]*seed.Device{}
	for i := range c.part.Hub.Devices {
		named[c.part.Hub.Devices[i].ID] = &c.part.Hub.Devices[i]
	}
	for i := range c.part.Hub.Devices {
		d := &c.part.Hub.Devices[i]
		there, err := c.find(ctx, iothub.ID{DeviceID: d.ID})
		if err != nil {
			return err
		}
		c.twin(there, d.Twin, "devices", i)
		edge := d.IoTEdge != nil && *d.IoTEdge
		if d.IoTEdge == nil && there != nil {
			edge = there.Identity.Capabilities.IoTEdge
		}
		if d.Parent != nil && *d.Parent != "" && named[*d.Parent] == nil {
			parent, err := c.find(ctx, iothub.ID{DeviceID: *d.Parent})
			if err != nil {
				return err
			}
			if parent == nil {
				c.complain(at("devices", i, "parent"), "the parent %q is neither in the seed nor in the hub", *d.Parent)
			} else if !parent.Identity.Capabilities.IoTEdge {
				c.complain(at("devices", i, "parent"), "the parent %q is not an IoT Edge device", *d.Parent)
			}
		}
		for j, m := range d.Modules {
			if strings.HasPrefix(m.ID, "$") && !edge {
				c.complain(at("devices", i, "modules", j), "only an IoT Edge device has the module %s: it needs iotEdge: true", m.ID)
			}
			there, err := c.find(ctx, iothub.ID{DeviceID: d.ID, ModuleID: m.ID})
			if err != nil {
				return err
			}
			c.twin(there, m.Twin, "devices", i, "modules", j)
		}
	}
	return nil
}

// find returns what is there of an identity, nil for nothing.
func (t Target) find(ctx context.Context, id iothub.ID) (*hub.Twin, error) {
	twin, err := t.Hub.GetTwin(ctx, id)
	switch iothub.ErrorCode(err) {
	case iothub.CodeDeviceNotFound, iothub.CodeModuleNotFound:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &twin, nil
}

// twin checks what a twin would become: the sizes are those of the whole.
func (c *checker) twin(there *hub.Twin, want seed.Twin, path ...any) {
	result := iothub.NewTwin(time.Unix(0, 0))
	if there != nil {
		result = there.Twin
	}
	var err error
	if want.Tags != nil || want.Desired != nil {
		if _, err = result.Patch(iothub.TwinPatch{Tags: want.Tags, Desired: want.Desired}, time.Unix(0, 0)); err != nil {
			c.refuse(err, path...)
		}
	}
	if want.Reported != nil {
		if _, err = result.Report(want.Reported, time.Unix(0, 0)); err != nil {
			c.refuse(err, path...)
		}
	}
}

// simulations checks that nobody is played twice.
func (c *checker) simulations() {
	played := map[iothub.ID]string{}
	named := map[string]bool{}
	for i := range c.part.Hub.Simulations {
		named[c.part.Hub.Simulations[i].ID()] = true
	}
	for _, s := range c.Simulator.List() {
		if named[s.ID] {
			continue
		}
		for id := range s.Spec.Identities() {
			played[id] = s.ID
		}
	}
	for i := range c.part.Hub.Simulations {
		for id := range c.part.Hub.Simulations[i].Identities() {
			if other, twice := played[id]; twice {
				c.complain(at("simulations", i), "%s is played by the simulation %q already", id, other)
				break
			}
		}
	}
}
