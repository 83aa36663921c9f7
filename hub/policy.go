package hub

import (
	"context"

	"github.com/hubnerite/hubnerite/iothub"
)

// Policies returns the shared access policies.
func (h *Hub) Policies() []iothub.AccessPolicy { return h.o.Registry.Policies() }

// PutPolicy adds a shared access policy or replaces one; see registry.PutPolicy.
func (h *Hub) PutPolicy(ctx context.Context, p iothub.AccessPolicy) (iothub.AccessPolicy, error) {
	return h.o.Registry.PutPolicy(ctx, p)
}
