package seedhub

import (
	"context"
	"encoding/pem"
	"slices"
	"strings"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/seed"
)

// exportPage is how many twins are read at once.
const exportPage = 500

// Export returns the hub's state as a seed: what Apply makes of it on an empty hub is the same again. Messages, jobs and what configurations have done are
// no part of it, and neither are versions, etags and times.
func (t Target) Export(ctx context.Context) (seed.Hub, error) {
	var out seed.Hub
	t.exportPolicies(&out)
	for _, name := range t.Hub.ConsumerGroups() {
		if name != hub.DefaultConsumerGroup {
			out.ConsumerGroups = append(out.ConsumerGroups, name)
		}
	}
	for _, ca := range t.Hub.CACertificates() {
		c := seed.Certificate{Name: ca.Name, Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.DER}))}
		if !ca.Verified {
			c.Verified = new(bool)
		}
		out.Certificates = append(out.Certificates, c)
	}
	t.exportRouting(&out)
	configurations, err := t.Hub.Configurations(ctx, 0)
	if err != nil {
		return out, err
	}
	for _, c := range configurations {
		made, err := exportConfiguration(c.Configuration)
		if err != nil {
			return out, err
		}
		out.Configurations = append(out.Configurations, made)
	}
	for _, s := range t.Simulator.List() {
		out.Simulations = append(out.Simulations, s.Spec)
	}
	return out, t.exportDevices(ctx, &out)
}

func (t Target) exportPolicies(out *seed.Hub) {
	for _, p := range t.Hub.Policies() {
		if slices.Contains(t.DefaultPolicies, p) {
			continue
		}
		made := seed.Policy{Name: p.Name, PrimaryKey: p.PrimaryKey, SecondaryKey: p.SecondaryKey}
		for _, r := range allRights() {
			if p.Rights.Has(r) {
				made.Rights = append(made.Rights, r.String())
			}
		}
		out.Policies = append(out.Policies, made)
	}
}

func (t Target) exportRouting(out *seed.Hub) {
	r := t.Hub.Routing()
	for _, e := range r.Endpoints {
		out.Endpoints = append(out.Endpoints, seed.Endpoint(e))
	}
	for _, route := range r.Routes {
		made := seed.Route{Name: route.Name, Source: string(route.Source), Condition: route.Condition, Endpoint: route.EndpointNames[0]}
		if route.Source == iothub.SourceDeviceMessages {
			made.Source = ""
		}
		if made.Condition == "true" {
			made.Condition = ""
		}
		if strings.EqualFold(made.Endpoint, iothub.BuiltInEndpoint) {
			made.Endpoint = ""
		}
		if !route.IsEnabled {
			made.Enabled = new(bool)
		}
		out.Routes = append(out.Routes, made)
	}
	for _, e := range r.Enrichments {
		out.Enrichments = append(out.Enrichments, seed.Enrichment{Key: e.Key, Value: e.Value, Endpoints: e.EndpointNames})
	}
	if !r.Fallback {
		out.FallbackRoute = new(bool)
	}
}

func exportConfiguration(c iothub.Configuration) (seed.Configuration, error) {
	content, err := iothub.DecodeObject(c.Content.Raw)
	return seed.Configuration{
		ID: c.ID, SchemaVersion: c.SchemaVersion, Labels: c.Labels, TargetCondition: c.TargetCondition, Priority: int(c.Priority), Content: content,
		Metrics: c.Metrics,
	}, err
}

func (t Target) exportDevices(ctx context.Context, out *seed.Hub) error {
	// scopes are the edge devices by their scopes, places those of the devices in out.
	scopes, places := map[string]string{}, map[string]int{}
	// parent is the scope of each device's parent.
	var parents []string
	for resume := ""; ; {
		page, next, err := t.Hub.ListTwins(ctx, resume, exportPage)
		if err != nil {
			return err
		}
		for i := range page {
			identity := &page[i].Identity
			if identity.ID.IsModule() {
				if place, ok := places[identity.ID.DeviceID]; ok {
					exportModule(&out.Devices[place], &page[i])
				}
				continue
			}
			if identity.Capabilities.IoTEdge {
				scopes[identity.DeviceScope] = identity.ID.DeviceID
			}
			parent := ""
			if len(identity.ParentScopes) > 0 {
				parent = identity.ParentScopes[0]
			}
			places[identity.ID.DeviceID] = len(out.Devices)
			out.Devices, parents = append(out.Devices, exportDevice(&page[i])), append(parents, parent)
		}
		if resume = next; next == "" {
			break
		}
	}
	for i, scope := range parents {
		// The scope of a parent that is gone cannot be told.
		if name, there := scopes[scope]; there {
			out.Devices[i].Parent = &name
		}
	}
	return nil
}

func exportDevice(t *hub.Twin) seed.Device {
	i := &t.Identity
	d := seed.Device{ID: i.ID.DeviceID, Authentication: exportAuthentication(i.Authentication), Twin: exportTwin(t.Twin), ModelID: textOrNil(t.Twin.ModelID)}
	if i.Status != iothub.StatusEnabled {
		d.Status = string(i.Status)
	}
	d.StatusReason = textOrNil(i.StatusReason)
	if i.Capabilities.IoTEdge {
		edge := true
		d.IoTEdge = &edge
	}
	return d
}

// exportModule leaves out what an edge device's own modules are by themselves.
func exportModule(d *seed.Device, t *hub.Twin) {
	m := seed.Module{ID: t.Identity.ID.ModuleID, Twin: exportTwin(t.Twin), ModelID: textOrNil(t.Twin.ModelID)}
	if strings.HasPrefix(m.ID, "$") {
		if m.Tags == nil && m.Desired == nil && m.Reported == nil && m.ModelID == nil {
			return
		}
	} else {
		m.Authentication, m.ManagedBy = exportAuthentication(t.Identity.Authentication), textOrNil(t.Identity.ManagedBy)
	}
	d.Modules = append(d.Modules, m)
}

func exportAuthentication(a iothub.Authentication) *seed.Authentication {
	out := &seed.Authentication{Type: string(a.Type)}
	switch a.Type {
	case iothub.AuthSAS:
		out.Type, out.PrimaryKey, out.SecondaryKey = "", a.SymmetricKey.PrimaryKey, a.SymmetricKey.SecondaryKey
	case iothub.AuthSelfSigned:
		if p := a.X509Thumbprint.PrimaryThumbprint; p != nil {
			out.PrimaryThumbprint = *p
		}
		if p := a.X509Thumbprint.SecondaryThumbprint; p != nil {
			out.SecondaryThumbprint = *p
		}
	}
	return out
}

func exportTwin(t iothub.Twin) seed.Twin {
	return seed.Twin{Tags: filled(t.Tags), Desired: filled(t.Desired.Values), Reported: filled(t.Reported.Values)}
}

// filled leaves an empty object out.
func filled(values map[string]any) map[string]any {
	if len(values) == 0 {
		return nil
	}
	return values
}

func textOrNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// Text writes a document as YAML, or as JSON, with the address of the JSON Schema.
func Text(d *seed.Document, asJSON bool, schema string) ([]byte, error) {
	if asJSON {
		with := *d
		with.Schema = schema
		return with.JSON()
	}
	return d.YAML(schema)
}
