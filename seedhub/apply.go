package seedhub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/hubnerite/hubnerite/iothub"
)

// applier writes what differs.
type applier struct {
	Target
	part   Part
	counts Counts
}

func (a *applier) failed(err error, path ...any) error { return a.part.problem(err, path...) }

// rights reads names of rights that package seed has checked.
func rights(names []string) (out iothub.AccessRights) {
	for _, name := range names {
		for _, r := range allRights() {
			if r.String() == name {
				out |= r
			}
		}
	}
	return out
}

func allRights() []iothub.AccessRights {
	return []iothub.AccessRights{iothub.RegistryRead, iothub.RegistryWrite, iothub.ServiceConnect, iothub.DeviceConnect}
}

func (a *applier) policies(ctx context.Context) error {
	for i, p := range a.part.Hub.Policies {
		known := a.Hub.Policies()
		want := iothub.AccessPolicy{Name: p.Name}
		at := slices.IndexFunc(known, func(k iothub.AccessPolicy) bool { return k.Name == p.Name })
		if at >= 0 {
			want = known[at]
		}
		if len(p.Rights) > 0 {
			want.Rights = rights(p.Rights)
		}
		if p.PrimaryKey != "" {
			want.PrimaryKey = p.PrimaryKey
		}
		if p.SecondaryKey != "" {
			want.SecondaryKey = p.SecondaryKey
		}
		if at >= 0 && want == known[at] {
			a.counts.unchanged()
			continue
		}
		if _, err := a.Hub.PutPolicy(ctx, want); err != nil {
			return a.failed(err, "policies", i)
		}
		if at >= 0 {
			a.counts.changed(true)
		} else {
			a.counts.created()
		}
	}
	return nil
}

func (a *applier) certificates(ctx context.Context) error {
	for i, c := range a.part.Hub.Certificates {
		verified := c.Verified == nil || *c.Verified
		known, err := a.Hub.CACertificate(c.Name)
		there := err == nil
		if there && bytes.Equal(known.DER, der(c.Certificate)) && (known.Verified || !verified) {
			a.counts.unchanged()
			continue
		}
		if _, err := a.Hub.PutCACertificate(ctx, c.Name, []byte(c.Certificate), verified); err != nil {
			return a.failed(err, "certificates", i)
		}
		if there {
			a.counts.changed(true)
		} else {
			a.counts.created()
		}
	}
	return nil
}

func (a *applier) consumerGroups(context.Context) error {
	for i, name := range a.part.Hub.ConsumerGroups {
		if _, there := a.Hub.ConsumerGroup(name); there {
			a.counts.unchanged()
			continue
		}
		if err := a.Hub.AddConsumerGroup(name); err != nil {
			return a.failed(err, "consumerGroups", i)
		}
		a.counts.created()
	}
	return nil
}

// routing comes in the order in which things name each other.
func (a *applier) routing(ctx context.Context) error {
	now := a.Hub.Routing()
	for i, e := range a.part.Hub.Endpoints {
		want := iothub.Endpoint(e)
		err := put(a, now.Endpoints, want, func(e iothub.Endpoint) string { return e.Name }, func() error { return a.Hub.PutEndpoint(ctx, want) })
		if err != nil {
			return a.failed(err, "endpoints", i)
		}
	}
	for i, e := range a.part.Hub.Enrichments {
		want := e.Enrichment()
		err := put(a, now.Enrichments, want, func(e iothub.Enrichment) string { return e.Key }, func() error { return a.Hub.PutEnrichment(ctx, want) })
		if err != nil {
			return a.failed(err, "enrichments", i)
		}
	}
	for i, r := range a.part.Hub.Routes {
		want := r.Route()
		err := put(a, now.Routes, want, func(r iothub.Route) string { return r.Name }, func() error { return a.Hub.PutRoute(ctx, want) })
		if err != nil {
			return a.failed(err, "routes", i)
		}
	}
	if on := a.part.Hub.FallbackRoute; on != nil {
		a.counts.changed(*on != now.Fallback)
		if *on != now.Fallback {
			if err := a.Hub.SetFallback(ctx, *on); err != nil {
				return a.failed(err, "fallbackRoute")
			}
		}
	}
	return nil
}

// put writes a named thing that differs from the one that is there.
func put[T any](a *applier, known []T, want T, name func(T) string, write func() error) error {
	at := slices.IndexFunc(known, func(k T) bool { return strings.EqualFold(name(k), name(want)) })
	if at >= 0 && reflect.DeepEqual(known[at], want) {
		a.counts.unchanged()
		return nil
	}
	if err := write(); err != nil {
		return err
	}
	if at >= 0 {
		a.counts.changed(true)
	} else {
		a.counts.created()
	}
	return nil
}

// configurations comes after the devices, so that they apply to them once. One whose content differs is made anew, because
// content does not change.
func (a *applier) configurations(ctx context.Context) error {
	for i, c := range a.part.Hub.Configurations {
		body, err := c.Body()
		if err != nil {
			return a.failed(err, "configurations", i)
		}
		want, err := iothub.DecodeConfiguration(c.ID, body)
		if err != nil {
			return a.failed(err, "configurations", i)
		}
		known, err := a.Hub.GetConfiguration(ctx, c.ID)
		switch iothub.ErrorCode(err) {
		case iothub.CodeConfigurationNotFound:
			if _, err := a.Hub.PutConfiguration(ctx, c.ID, body, ""); err != nil {
				return a.failed(err, "configurations", i)
			}
			a.counts.created()
			continue
		}
		if err != nil {
			return a.failed(err, "configurations", i)
		}
		sameContent := sameText(known.Content.Raw, want.Content.Raw)
		if sameContent && sameConfiguration(known.Configuration, want) {
			a.counts.unchanged()
			continue
		}
		match := "*"
		if !sameContent {
			if err := a.Hub.DeleteConfiguration(ctx, c.ID, ""); err != nil {
				return a.failed(err, "configurations", i)
			}
			match = ""
		}
		if _, err := a.Hub.PutConfiguration(ctx, c.ID, body, match); err != nil {
			return a.failed(err, "configurations", i)
		}
		a.counts.changed(true)
	}
	return nil
}

func sameConfiguration(a, b iothub.Configuration) bool {
	same := func(a, b map[string]string) bool { return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b) }
	return a.SchemaVersion == b.SchemaVersion && a.TargetCondition == b.TargetCondition && a.Priority == b.Priority &&
		same(a.Labels, b.Labels) && same(a.Metrics, b.Metrics)
}

// sameText compares JSON texts by what they say.
func sameText(a, b []byte) bool {
	left, errLeft := iothub.DecodeObject(a)
	right, errRight := iothub.DecodeObject(b)
	return errLeft == nil && errRight == nil && equal(left, right)
}

func (a *applier) simulations(ctx context.Context) error {
	for i, s := range a.part.Hub.Simulations {
		_, there := a.Simulator.Get(s.ID())
		_, changed, err := a.Simulator.Put(ctx, s)
		switch {
		case err != nil:
			return a.failed(err, "simulations", i)
		case there:
			a.counts.changed(changed)
		default:
			a.counts.created()
		}
	}
	return nil
}

// equal compares JSON values, numbers by their value.
func equal(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		b, ok := b.(json.Number)
		return ok && sameNumber(a, b)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equal)
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for name, value := range a {
			other, there := b[name]
			if !there || !equal(value, other) {
				return false
			}
		}
		return true
	}
	return a == b
}

func sameNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	left, errLeft := a.Float64()
	right, errRight := b.Float64()
	// Whole numbers that a float64 does not tell apart are compared by their text above.
	return errors.Join(errLeft, errRight) == nil && left == right && left < 1<<53 && left > -1<<53
}
