package registry

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/hubnerite/hubnerite/iothub"
)

// policy is an access policy with its keys decoded.
type policy struct {
	iothub.AccessPolicy
	keys []signingKey
}

// DefaultPolicies returns the five policies of a new hub. Their keys are fixed
// and public, so that connection strings can be pasted into tests: they are for
// machines that only their owner can reach.
// Source: IoT Hub devguide, control access (default shared access policies).
func DefaultPolicies() []iothub.AccessPolicy {
	all := iothub.RegistryRead | iothub.RegistryWrite | iothub.ServiceConnect | iothub.DeviceConnect
	return []iothub.AccessPolicy{
		defaultPolicy("iothubowner", all),
		defaultPolicy("service", iothub.ServiceConnect),
		defaultPolicy("device", iothub.DeviceConnect),
		defaultPolicy("registryRead", iothub.RegistryRead),
		defaultPolicy("registryReadWrite", iothub.RegistryRead|iothub.RegistryWrite),
	}
}

// defaultPolicy derives the keys from the policy's name: nothing to keep, and
// every installation agrees.
func defaultPolicy(name string, rights iothub.AccessRights) iothub.AccessPolicy {
	key := func(which string) string {
		sum := sha256.Sum256([]byte("hubnerite " + name + " " + which))
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	return iothub.AccessPolicy{Name: name, PrimaryKey: key("primary"), SecondaryKey: key("secondary"), Rights: rights}
}

func compilePolicies(policies []iothub.AccessPolicy) ([]policy, error) {
	if len(policies) > iothub.MaxAccessPolicies {
		return nil, fmt.Errorf("registry: more than %d access policies", iothub.MaxAccessPolicies)
	}
	seen := map[string]bool{}
	var out []policy
	for _, p := range policies {
		if p.Name == "" || seen[p.Name] {
			return nil, fmt.Errorf("registry: access policy name %q is empty or used twice", p.Name)
		}
		seen[p.Name] = true
		keys, err := signingKeys(p.PrimaryKey, p.SecondaryKey)
		if err != nil {
			return nil, fmt.Errorf("registry: access policy %s: %w", p.Name, err)
		}
		out = append(out, policy{p, keys})
	}
	return out, nil
}
