package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// Where the policies that PutPolicy wrote are stored: in one document.
const (
	policyCollection = "accessPolicies"
	policyDocument   = "all"
)

// access are the shared access policies.
type access struct {
	documents store.Documents
	// mu is held while they change, across storage.
	mu       sync.Mutex
	revision uint64
	stored   []storedPolicy
	now      atomic.Pointer[policyTable]
}

// policyTable is never changed but for the tokens that it has verified: other policies have another table, and so begin without any.
type policyTable struct {
	policies []policy
	tokens   tokenCache
}

func (t *policyTable) named(name string) (policy, bool) {
	for _, p := range t.policies {
		if p.Name == name {
			return p, true
		}
	}
	return policy{}, false
}

// storedPolicy is a policy as stored.
type storedPolicy struct {
	Name         string              `json:"name"`
	PrimaryKey   string              `json:"primaryKey"`
	SecondaryKey string              `json:"secondaryKey"`
	Rights       iothub.AccessRights `json:"rights"`
}

// loadPolicies reads what is stored over what the options have.
func (r *Registry) loadPolicies(ctx context.Context, o Options) error {
	r.access.documents = o.Documents
	policies := slices.Clone(o.Policies)
	if o.Documents != nil {
		document, err := o.Documents.GetDocument(ctx, policyCollection, policyDocument)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return fmt.Errorf("registry: access policies: %w", err)
		default:
			if err := json.Unmarshal(document.Payload, &r.access.stored); err != nil {
				return fmt.Errorf("registry: access policies: %w", err)
			}
			r.access.revision = document.Revision
		}
	}
	for _, p := range r.access.stored {
		if !slices.Contains(o.FixedPolicies, p.Name) {
			policies = putPolicy(policies, iothub.AccessPolicy(p))
		}
	}
	compiled, err := compilePolicies(policies)
	if err == nil {
		r.access.now.Store(&policyTable{policies: compiled})
	}
	return err
}

func putPolicy(policies []iothub.AccessPolicy, p iothub.AccessPolicy) []iothub.AccessPolicy {
	for i := range policies {
		if policies[i].Name == p.Name {
			policies[i] = p
			return policies
		}
	}
	return append(policies, p)
}

// Policies returns the shared access policies.
func (r *Registry) Policies() []iothub.AccessPolicy {
	table := r.access.now.Load()
	out := make([]iothub.AccessPolicy, len(table.policies))
	for i, p := range table.policies {
		out[i] = p.AccessPolicy
	}
	return out
}

// PutPolicy adds a shared access policy or replaces the one of the same name, durably. Keys that are empty are made. Tokens that were signed by
// other keys are refused from then on; who is connected stays. Errors: ArgumentInvalid for an empty name, no rights and bad keys; GenericForbidden when there are
// iothub.MaxAccessPolicies.
// Source: IoT Hub resource API, SharedAccessSignatureAuthorizationRule.
func (r *Registry) PutPolicy(ctx context.Context, p iothub.AccessPolicy) (iothub.AccessPolicy, error) {
	if p.Name == "" || p.Rights == 0 {
		return p, iothub.NewError(iothub.CodeArgumentInvalid, "A shared access policy needs a name and rights.")
	}
	for _, key := range []*string{&p.PrimaryKey, &p.SecondaryKey} {
		if *key == "" {
			*key = newKey()
		}
	}
	if _, err := symmetricKeyOf(&iothub.SymmetricKey{PrimaryKey: p.PrimaryKey, SecondaryKey: p.SecondaryKey}); err != nil {
		return p, err
	}
	r.access.mu.Lock()
	defer r.access.mu.Unlock()
	policies := putPolicy(r.Policies(), p)
	if len(policies) > iothub.MaxAccessPolicies {
		return p, iothub.NewError(iothub.CodeGenericForbidden, "A hub has at most %d shared access policies.", iothub.MaxAccessPolicies)
	}
	compiled, err := compilePolicies(policies)
	if err != nil {
		return p, err
	}
	stored := slices.DeleteFunc(slices.Clone(r.access.stored), func(s storedPolicy) bool { return s.Name == p.Name })
	stored = append(stored, storedPolicy(p))
	if r.access.documents != nil {
		payload, err := json.Marshal(stored)
		if err != nil {
			return p, err
		}
		document := store.Document{Key: policyDocument, Payload: payload, Revision: r.access.revision}
		if r.access.revision, err = r.access.documents.PutDocument(ctx, policyCollection, document); err != nil {
			return p, err
		}
	}
	r.access.stored = stored
	r.access.now.Store(&policyTable{policies: compiled})
	return p, nil
}
