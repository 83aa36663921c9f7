package registry

import (
	"slices"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store/memory"
)

const otherKey = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// TestPutPolicy: a policy is added or has other keys at once, and after a restart; tokens of the old keys are refused.
func TestPutPolicy(t *testing.T) {
	s := memory.New(memory.Options{})
	defer func() { _ = s.Close() }()
	open := func(o Options) *Registry {
		t.Helper()
		o.Records, o.Documents = s.Records(), s.Documents()
		r, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := open(Options{})
	accepts := func(r *Registry, policy, key string) error {
		t.Helper()
		token, err := SignSASToken("localhost", policy, key, time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.CheckToken(t.Context(), token)
		return err
	}
	published := DefaultPolicies()[1]
	if err := accepts(r, "service", published.PrimaryKey); err != nil {
		t.Fatal(err)
	}
	p, err := r.PutPolicy(t.Context(), iothub.AccessPolicy{Name: "service", PrimaryKey: otherKey, Rights: iothub.ServiceConnect})
	if err != nil || p.SecondaryKey == "" || p.SecondaryKey == published.SecondaryKey {
		t.Fatalf("%v", err)
	}
	added, err := r.PutPolicy(t.Context(), iothub.AccessPolicy{Name: "reader", Rights: iothub.RegistryRead})
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*Registry{"at once": r, "after a restart": open(Options{})} {
		if err := accepts(r, "service", published.PrimaryKey); iothub.ErrorCode(err) != iothub.CodeIotHubUnauthorizedAccess {
			t.Errorf("%s: the old key: %v", name, err)
		}
		if err := accepts(r, "service", otherKey); err != nil {
			t.Errorf("%s: the new key: %v", name, err)
		}
		if err := accepts(r, "reader", added.SecondaryKey); err != nil {
			t.Errorf("%s: the added policy: %v", name, err)
		}
		if all := r.Policies(); len(all) != 6 || !slices.Contains(all, added) || !slices.Contains(all, p) {
			t.Errorf("%s: %d policies", name, len(all))
		}
	}
	// Keys that are given from outside win over what is stored.
	if err := accepts(open(Options{FixedPolicies: []string{"service"}}), "service", published.PrimaryKey); err != nil {
		t.Errorf("a fixed policy: %v", err)
	}
	for _, bad := range []iothub.AccessPolicy{
		{Rights: iothub.RegistryRead}, {Name: "x"}, {Name: "x", Rights: iothub.RegistryRead, PrimaryKey: "short"},
	} {
		if _, err := r.PutPolicy(t.Context(), bad); iothub.ErrorCode(err) != iothub.CodeArgumentInvalid {
			t.Errorf("%s: %v", bad.Name, err)
		}
	}
	for i := range 11 {
		_, err = r.PutPolicy(t.Context(), iothub.AccessPolicy{Name: string(rune('a' + i)), Rights: iothub.RegistryRead})
		if full := i == 10; (iothub.ErrorCode(err) == iothub.CodeGenericForbidden) != full {
			t.Errorf("policy %d: %v", i+7, err)
		}
	}
}
